"""Files that become events: lines -> combined | ndjson -> pages -> events. No HTTP, no SQL."""
