"""An event's way in: body → items (both in service.ingest) → parse → append. Read `routes` first."""
