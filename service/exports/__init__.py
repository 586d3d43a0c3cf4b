"""Raw as files: what was stored, streamed out. Views can come in again in every form, samples as OpenMetrics and as
NDJSON."""
