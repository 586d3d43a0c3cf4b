"""An event's way in: body → items → parse → append. Read `routes` first."""
