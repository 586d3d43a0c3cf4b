"""Rows frozen for insertion into raw, and the insert that may be repeated."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.engine import Engine


@dataclass(frozen=True)
class Block:
    """The bytes (Native) and the token never change between tries."""

    table: str
    columns: tuple[str, ...]
    token: str
    data: bytes


INSERT_SETTINGS = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "materialized_views_ignore_errors": "0",
    # Times go back to 2000: a batch may touch each of those months once, and must not be refused for it.
    "max_partitions_per_insert_block": "1000",
}


async def insert(engine: Engine, block: Block) -> None:
    """Raw and every rollup hold the block when this returns; calling it again with the same block adds nothing."""
    settings = {**INSERT_SETTINGS, "insert_deduplication_token": block.token}
    await engine.insert(block.table, block.columns, block.data, settings)
