"""Samples as ClickHouse sees them: numbers of series, which are a metric and its labels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from clickhouse import native
from clickhouse.blocks import Block
from clickhouse.engine import Engine
from clickhouse.rollups import SAMPLES
from clickhouse.statement import Statement, Value, portions

_instant_and_value = Struct("<qd").pack


class Sample(NamedTuple):
    """One number, valid and normalised. Times are epoch milliseconds, UTC."""

    site: str
    metric: str
    labels: str
    """As `labels_text` writes them: the same labels are the same text."""
    at: int
    value: float
    """Finite."""
    received_at: int

    @property
    def series(self) -> int:
        """Stands for site, metric and labels: 64 bits of a hash."""
        return int.from_bytes(_hashed(self.site, self.metric, self.labels)[:8], "little")

    @property
    def id(self) -> bytes:
        """16 bytes that tell it from every other, and from one of the same series and time with another value."""
        hashed = blake2b(_hashed(self.site, self.metric, self.labels), digest_size=16, person=b"sample")
        hashed.update(_instant_and_value(self.at, self.value))
        return hashed.digest()

    @property
    def instant(self) -> int:
        return self.at


def labels_text(labels: Mapping[str, str]) -> str:
    """JSON, sorted by name, without spaces; a label without a value is none."""
    kept = {name: labels[name] for name in sorted(labels) if labels[name]}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def labels_of(text: str) -> dict[str, str]:
    """As given to `labels_text`."""
    found: dict[str, str] = json.loads(text)
    return found


# A scrape has the same series as the one before. Of long labels 20,000 would keep a GB; to hash those takes 10 µs.
_KEPT = 1_024


def _hashed(site: str, metric: str, labels: str) -> bytes:
    return _kept(site, metric, labels) if len(labels) <= _KEPT else _hash(site, metric, labels)


def _hash(site: str, metric: str, labels: str) -> bytes:
    return blake2b(f"{site}\0{metric}\0{labels}".encode(), digest_size=16, person=b"series").digest()


_kept = lru_cache(20_000)(_hash)

_COLUMNS = ("site", "metric", "labels", "series", "at", "value", "received_at")
_INSTANT = "DateTime64(3, 'UTC')"


def freeze(token: str, samples: Sequence[Sample]) -> Block:
    """The samples as one Native block, in the order given; at least one."""
    sites, metrics, labels, instants, values, received = zip(*samples, strict=True)
    columns = [
        native.Column("site", "String", native.strings(sites)),
        native.Column("metric", "String", native.strings(metrics)),
        native.Column("labels", "String", native.strings(labels)),
        native.Column("series", "UInt64", native.uint64s(sample.series for sample in samples)),
        native.Column("at", _INSTANT, native.int64s(instants)),
        native.Column("value", "Float64", native.float64s(values)),
        native.Column("received_at", _INSTANT, native.int64s(received)),
    ]
    return Block(SAMPLES, _COLUMNS, token, native.block(len(samples), columns))


# Samples per look-up: they stand in the query's text, 32 bytes each, which may be 256 kB long.
_LOOKUP = 2_500

_series_and_instant = Struct("<Qq").pack


async def known_ids(engine: Engine, rows: Sequence[Sample]) -> set[tuple[str, bytes]]:
    """The (site, id) among `rows` that are stored already, whenever they came in. Raises ClickHouseError."""
    # By time: parts of raw hold pieces of time, and each portion reads few.
    ordered = sorted(rows, key=lambda sample: sample.at)
    chunks = portions(ordered, lambda sample: [sample.site, sample.metric], _LOOKUP)
    found = await asyncio.gather(*(_known_ids(engine, chunk) for chunk in chunks))
    return set().union(*found)


async def _known_ids(engine: Engine, samples: Sequence[Sample]) -> set[tuple[str, bytes]]:
    values: dict[str, Value] = {
        "sites": sorted({sample.site for sample in samples}),
        "metrics": sorted({sample.metric for sample in samples}),
        "first": min(sample.at for sample in samples),
        "last": max(sample.at for sample in samples),
    }
    # 2,500 tuples written out take the parser 59 ms, as hex the whole look-up takes 15.
    keys = b"".join(_series_and_instant(sample.series, sample.at) for sample in samples).hex()
    sql = f"""\
SELECT site, metric, labels, toUnixTimestamp64Milli(at), value
FROM {SAMPLES}
WHERE site IN {{sites:Array(String)}}
  AND metric IN {{metrics:Array(String)}}
  AND at >= fromUnixTimestamp64Milli({{first:Int64}}, 'UTC')
  AND at <= fromUnixTimestamp64Milli({{last:Int64}}, 'UTC')
  AND (series, toUnixTimestamp64Milli(at)) IN
(
    WITH unhex('{keys}') AS packed
    SELECT
        reinterpretAsUInt64(substring(packed, 1 + 16 * number, 8)),
        reinterpretAsInt64(substring(packed, 9 + 16 * number, 8))
    FROM numbers(toUInt64(length(packed) / 16))
)"""
    rows = await engine.select(Statement(sql, values))
    return {(row[0], Sample(row[0], row[1], row[2], row[3], row[4], 0).id) for row in rows}
