"""A sample's way in: body → items, or lines of text → parse → append. Read `routes` first."""
