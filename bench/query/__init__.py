"""What answers cost on tens of millions of events: `python -m bench.query [--quick]`, which is `make bench-query`.

Read in this order: `events.sql` and `dataset` (what there is), `questions` (what is asked of it; `by_hand/` has the
best SQL for each), `ways` (the API, that SQL, and raw scans: timed, and compared row by row), `inserts` (what the
rollups cost a writer), `tables` (the figures beside their targets).
"""
