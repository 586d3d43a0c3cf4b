"""A question about samples: parameters → range → interval → SeriesQuestion → plan → rows. Read `routes` first."""
