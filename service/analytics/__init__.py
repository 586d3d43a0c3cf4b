"""A question's way: parameters → range → Question → plan → statement → rows. Read `routes` first."""
