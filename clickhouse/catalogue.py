"""Which series there are: the metrics of a site, the labels of a metric; values are bound by the server."""

from __future__ import annotations

from clickhouse.statement import Statement

# Of all labels together.
MOST_VALUES = 100_000


def metrics(site: str, limit: int, offset: int) -> Statement:
    """Rows `(metric, samples, first, last, total)` by name: of each metric how many samples were ever counted, and the
    minutes (epoch s) of the first and the last; `total` counts the metrics of all pages."""
    # Days tell in which minutes to look. A batch may be in these before it is in those.
    page = """\
    SELECT t.metric AS metric, sum(t.count) AS samples, min(t.bucket) AS first, max(t.bucket) AS last,
        count() OVER () AS total
    FROM samples_by_day AS t
    WHERE t.site = {site:String} AND t.dimension_set = 'metric'
    GROUP BY metric
    ORDER BY metric
    LIMIT {limit:UInt32} OFFSET {offset:UInt64}"""
    sql = f"""\
WITH page AS
(
{page}
)
SELECT
    d.metric,
    d.samples,
    toUnixTimestamp(greatest(d.first, m.first)),
    toUnixTimestamp(greatest(d.last, m.last)),
    d.total
FROM page AS d
LEFT JOIN
(
    SELECT t.metric AS metric, min(t.bucket) AS first, max(t.bucket) AS last
    FROM samples_by_minute AS t
    WHERE t.site = {{site:String}} AND t.dimension_set = 'metric'
      AND (t.metric, toStartOfDay(t.bucket)) IN (SELECT p.metric, arrayJoin([p.first, p.last]) FROM page AS p)
    GROUP BY metric
) AS m ON m.metric = d.metric
ORDER BY d.metric"""
    return Statement(sql, {"site": site, "limit": limit, "offset": offset})


def series_count(site: str, metric: str) -> Statement:
    """One row `(series,)`."""
    sql = """\
SELECT uniqExact(t.labels)
FROM samples_by_year AS t
WHERE t.site = {site:String} AND t.dimension_set = 'series' AND t.metric = {metric:String}"""
    return Statement(sql, {"site": site, "metric": metric})


def label_values(site: str, metric: str, limit: int) -> Statement:
    """Rows `(label, value, series, samples, values)`, one beyond MOST_VALUES if there are more: by label, and of each
    the `limit` values of the most series, with how many values it has."""
    sql = """\
SELECT label.1 AS name, label.2 AS value, count() AS series, sum(s.samples) AS samples,
    count() OVER (PARTITION BY name) AS values
FROM
(
    SELECT t.labels AS labels, sum(t.count) AS samples
    FROM samples_by_year AS t
    WHERE t.site = {site:String} AND t.dimension_set = 'series' AND t.metric = {metric:String}
    GROUP BY labels
) AS s
ARRAY JOIN JSONExtractKeysAndValues(s.labels, 'String') AS label
GROUP BY name, value
ORDER BY name, series DESC, value
LIMIT {limit:UInt32} BY name
LIMIT {most:UInt32}"""
    return Statement(sql, {"site": site, "metric": metric, "limit": limit, "most": MOST_VALUES + 1})
