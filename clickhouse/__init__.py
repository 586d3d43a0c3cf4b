"""Everything that knows SQL, and nothing that knows HTTP.

Read in this order: `rollups` (what exists), `question` → `plan` → `render` (how a question becomes a
statement), `engine` (where it runs), `migrate` (how the tables came to be).
"""
