"""What answers about samples cost: `python -m bench.samples [--quick]`, which is `make bench-samples`.

Read in this order: `samples.sql` and `dataset` (what there is), `questions` (what is asked of it), `measure` (the API
and scans of raw: timed, and compared row by row), `tables` (the figures beside their targets).
"""
