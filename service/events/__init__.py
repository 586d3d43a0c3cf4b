"""An event's way in: body → parse → append. Read `routes`, then `body`, then `parse`."""
