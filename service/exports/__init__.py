"""Raw as files: what was stored, streamed out in the forms it can come in again."""
