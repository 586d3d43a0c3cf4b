"""Batches that ClickHouse refused: list, retry, drop."""
