"""SQL: what rollups of samples say beside counts, held against what they were made from."""

from __future__ import annotations

from collections.abc import Sequence

from clickhouse.rollups import SERIES
from clickhouse.shapes import Grain
from clickhouse.spans import BUCKET, EVENT, Span, within


def wrong_numbers(grain: Grain, source: str, spans: Sequence[Span]) -> str:
    """Rows `(bucket in epoch ms, rollup rows whose count, sum, minimum or maximum is wrong)` of a partition.

    Sums are added in another order each time. A thousand millionth of what they may come to is more than that makes,
    and the day of a correction that small in a year shows it.
    """
    made = _from_raw(grain, spans) if source == grain.dataset.raw else _from_rollup(grain, source, spans)
    return f"""\
SELECT toInt64(toUnixTimestamp(bucket)) * 1000, count()
FROM
(
    SELECT
        bucket,
        sumIf(c, made) AS expected, sumIf(c, NOT made) AS found,
        greatest(abs(min(low)), abs(max(high))) AS size
    FROM
    (
        SELECT
            0 AS made,
            r.site AS site, toInt8(r.dimension_set) AS set_id, r.metric AS metric, r.labels AS labels,
            r.bucket AS bucket, r.count AS c, r.sum AS s, r.min AS low, r.max AS high
        FROM {grain.table} AS r
        WHERE r._partition_id = {{partition:String}} AND {within("r.bucket", BUCKET, spans)}
        UNION ALL
{made}
    )
    GROUP BY site, set_id, metric, labels, bucket
    HAVING expected != found
        OR minIf(low, made) != minIf(low, NOT made)
        OR maxIf(high, made) != maxIf(high, NOT made)
        OR abs(sumIf(s, made) - sumIf(s, NOT made)) > 1e-9 * expected * size
)
GROUP BY bucket"""


def _from_raw(grain: Grain, spans: Sequence[Span]) -> str:
    sets = ", ".join(str(one.id) for one in grain.dimension_sets)
    return f"""\
        SELECT
            1 AS made, e.site AS site, set_id, e.metric AS metric, if(set_id = {SERIES.id}, e.labels, '') AS labels,
            {grain.bucket.format("e.at")} AS bucket,
            count() AS c, sum(e.value) AS s, min(e.value) AS low, max(e.value) AS high
        FROM {grain.dataset.raw} AS e
        ARRAY JOIN CAST([{sets}], 'Array(Int8)') AS set_id
        WHERE {within("e.at", EVENT, spans)}
        GROUP BY site, set_id, metric, labels, bucket"""


def _from_rollup(grain: Grain, source: str, spans: Sequence[Span]) -> str:
    return f"""\
        SELECT
            1 AS made,
            e.site AS site, toInt8(e.dimension_set) AS set_id, e.metric AS metric, e.labels AS labels,
            {grain.bucket.format("e.bucket")} AS bucket, e.count AS c, e.sum AS s, e.min AS low, e.max AS high
        FROM {source} AS e
        WHERE {within("e.bucket", BUCKET, spans)}"""
