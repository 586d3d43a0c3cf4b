"""What the service costs against ClickHouse and FastAPI alone: `python -m bench [--quick]`.

Read in this order: `measure` (what is done to one engine), `workload` (the events), `wire` (the load
generator), `batches`, `direct`, `singles`, `queries` (the measurements), `table`, `telling` and `history` (what
becomes of the figures). Nothing here asserts a time: ratios are taken in one run, and stand beside their targets.
`bench.query` is a bench of its own: what answers cost on 50 M events.
"""
