"""How the outcome of a comparison looks in answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.reconciliations import Reconciliation
from clickhouse.rollups import DATASETS, ROLLUPS


class ReconciliationRow(BaseModel):
    """One partition of a rollup, or of raw (view_events, samples), by month.

    `expected` and `found` are views or samples of the buckets that were compared; of raw, rows without and with
    duplicates. `drift` are those missing or too many, added up over sites and dimension sets; `distinct_drift` distinct
    counts that are wrong, of samples rows with another sum or extreme, of raw events the blogs whose number is not
    theirs alone. `duplicates`: events there twice; samples that a later one of their series and time corrects.
    `repaired`: buckets that were wrong, and are not now; of raw, corrected samples that were dropped.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "dataset": "views",
                "table": "views_by_day",
                "partition": "2025",
                "at": "2025-02-01T00:35:00.120Z",
                "equal": False,
                "expected": 120_000,
                "found": 119_990,
                "drift": 40,
                "drift_buckets": 1,
                "distinct_drift": 2,
                "first_bucket": "2025-01-16T00:00:00Z",
                "last_bucket": "2025-01-16T00:00:00Z",
                "duplicates": 0,
                "examples": [],
                "repaired": 0,
            }
        }
    )

    dataset: str
    table: str
    partition: str
    at: str
    equal: bool
    expected: int
    found: int
    drift: int
    drift_buckets: int
    distinct_drift: int
    first_bucket: str | None
    last_bucket: str | None
    duplicates: int
    examples: list[str]
    repaired: int

    @classmethod
    def of(cls, one: Reconciliation) -> ReconciliationRow:
        wrong = one.wrong_buckets > 0 and one.table in ROLLUPS
        return cls(
            dataset=_DATASETS[one.table],
            table=one.table,
            partition=one.partition,
            at=rfc3339(from_epoch_ms(one.at)),
            equal=one.equal,
            expected=one.expected,
            found=one.found,
            drift=one.wrong_views,
            drift_buckets=one.wrong_buckets,
            distinct_drift=one.wrong_distinct,
            first_bucket=rfc3339(from_epoch_ms(one.first_wrong)) if wrong else None,
            last_bucket=rfc3339(from_epoch_ms(one.last_wrong)) if wrong else None,
            duplicates=one.duplicates,
            examples=list(one.examples),
            repaired=one.repaired,
        )


_DATASETS = {
    **{dataset.raw: dataset.name for dataset in DATASETS},
    **{table: grain.dataset.name for table, grain in ROLLUPS.items()},
}


class ReconciliationPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[ReconciliationRow]
