"""The fault tier: what was acknowledged is counted once, whatever is killed, cut, filled up or sent.

Each case runs the service as a process, spoils something while `load` writes and `oracle` keeps the books, repairs it,
and asks `truth` whether ClickHouse holds what the books say. `--faults full` (`make fault`) runs the long form.
"""
