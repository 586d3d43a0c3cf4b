"""What the service costs against ClickHouse and FastAPI alone: `python -m bench [--quick]`.

`--ingest` asks how events are taken, alone and in more detail. Read in this order: `measure` and `ingestion` (what is
done to one engine), `plan` and `workload` (with which events, how many), `wire` (the load generator), `batches`,
`direct`, `singles`, `alone`, `queries` (the measurements), `usage` (what they cost), `table`, `telling` and `history`
(what becomes of the figures). Nothing here asserts a time: ratios are taken in one run, and stand beside their targets.
Benches of their own: `bench.spool`, our log against SQLite; `bench.query`, what answers cost on 50 M events.
"""
