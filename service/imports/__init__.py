"""Files that become events: lines -> combined | ndjson -> pages -> events -> batches. No HTTP, no SQL."""
