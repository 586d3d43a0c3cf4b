"""What making every rollup again costs: beside a plain INSERT … SELECT of the same, and for those who send events."""
