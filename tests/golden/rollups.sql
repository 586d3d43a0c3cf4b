CREATE TABLE views_by_quarter_hour
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, toHour(bucket), bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 32,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_hour
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, toHour(bucket), bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 16,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_six_hours
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 64,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_day
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1)),
    viewers AggregateFunction(uniqCombined64(14), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_week
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1)),
    viewers AggregateFunction(uniqCombined64(14), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_month
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1)),
    viewers AggregateFunction(uniqCombined64(14), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_year
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'author_blog' = 4, 'country_author_blog' = 5),
    site LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    author_id LowCardinality(String) CODEC(ZSTD(1)),
    blog_id LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    views SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    blogs AggregateFunction(groupBitmap, UInt32) CODEC(ZSTD(1)),
    viewers AggregateFunction(uniqCombined64(14), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY intDiv(toYear(bucket), 10)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 1024,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_minute
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 1024,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_hour
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_day
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_week
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_month
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE samples_by_year
(
    dimension_set Enum8('metric' = 0, 'series' = 1),
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last AggregateFunction(argMax, Float64, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY intDiv(toYear(bucket), 10)
ORDER BY (site, dimension_set, metric, bucket, labels)
SETTINGS
    index_granularity = 256,
    min_rows_for_wide_part = 10000,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE MATERIALIZED VIEW views_by_quarter_hour_from_events TO views_by_quarter_hour AS
SELECT
    'total' AS dimension_set,
    e.site AS site,
    toStartOfFifteenMinutes(e.viewed_at) AS bucket,
    count() AS views,
    groupBitmapState(e.blog_number) AS blogs
FROM view_events AS e
GROUP BY site, bucket;

CREATE MATERIALIZED VIEW views_by_hour_from_quarter_hour TO views_by_hour AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toStartOfHour(r.bucket) AS bucket,
    sum(r.views) AS views,
    groupBitmapMergeState(r.blogs) AS blogs
FROM views_by_quarter_hour AS r
WHERE r.dimension_set IN ('total')
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_six_hours_from_hour TO views_by_six_hours AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toStartOfInterval(r.bucket, INTERVAL 6 HOUR) AS bucket,
    sum(r.views) AS views,
    groupBitmapMergeState(r.blogs) AS blogs
FROM views_by_hour AS r
WHERE r.dimension_set IN ('total')
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_day_from_events TO views_by_day AS
SELECT
    set_id AS dimension_set,
    e.site AS site,
    if(set_id IN (1), e.country, '') AS country,
    if(set_id IN (2, 4), e.author_id, '') AS author_id,
    if(set_id IN (4), e.blog_id, '') AS blog_id,
    toStartOfDay(e.viewed_at) AS bucket,
    count() AS views,
    groupBitmapStateIf(e.blog_number, set_id IN (0, 1, 2)) AS blogs,
    uniqCombined64StateIf(14)(e.viewer, set_id IN (0, 1)) AS viewers
FROM view_events AS e
ARRAY JOIN CAST([0, 1, 2, 4], 'Array(Int8)') AS set_id
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_week_from_day TO views_by_week AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toMonday(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    groupBitmapMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_day AS r
WHERE r.dimension_set IN ('total', 'country', 'author')
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_month_from_day TO views_by_month AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toStartOfMonth(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    groupBitmapMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_day AS r
WHERE r.dimension_set IN ('total', 'country', 'author', 'author_blog')
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_month_from_events TO views_by_month AS
SELECT
    'country_author_blog' AS dimension_set,
    e.site AS site,
    e.country AS country,
    e.author_id AS author_id,
    e.blog_id AS blog_id,
    toDateTime(toStartOfMonth(e.viewed_at), 'UTC') AS bucket,
    count() AS views
FROM view_events AS e
GROUP BY site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_year_from_month TO views_by_year AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toStartOfYear(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    groupBitmapMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_month AS r
WHERE r.dimension_set IN ('total', 'country', 'author', 'author_blog')
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW samples_by_minute_from_samples TO samples_by_minute AS
SELECT
    set_id AS dimension_set,
    e.site AS site,
    if(set_id IN (0, 1), e.metric, '') AS metric,
    if(set_id IN (1), e.labels, '') AS labels,
    toStartOfMinute(e.at) AS bucket,
    count() AS count,
    sum(e.value) AS sum,
    min(e.value) AS min,
    max(e.value) AS max,
    argMaxState(e.value, e.at) AS last
FROM samples AS e
ARRAY JOIN CAST([0, 1], 'Array(Int8)') AS set_id
GROUP BY dimension_set, site, metric, labels, bucket;

CREATE MATERIALIZED VIEW samples_by_hour_from_samples TO samples_by_hour AS
SELECT
    set_id AS dimension_set,
    e.site AS site,
    if(set_id IN (0, 1), e.metric, '') AS metric,
    if(set_id IN (1), e.labels, '') AS labels,
    toStartOfHour(e.at) AS bucket,
    count() AS count,
    sum(e.value) AS sum,
    min(e.value) AS min,
    max(e.value) AS max,
    argMaxState(e.value, e.at) AS last,
    quantilesTDigestState(0.5, 0.95, 0.99)(e.value) AS quantiles
FROM samples AS e
ARRAY JOIN CAST([0, 1], 'Array(Int8)') AS set_id
GROUP BY dimension_set, site, metric, labels, bucket;

CREATE MATERIALIZED VIEW samples_by_day_from_hour TO samples_by_day AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.metric AS metric,
    r.labels AS labels,
    toStartOfDay(r.bucket) AS bucket,
    sum(r.count) AS count,
    sum(r.sum) AS sum,
    min(r.min) AS min,
    max(r.max) AS max,
    argMaxMergeState(r.last) AS last,
    quantilesTDigestMergeState(0.5, 0.95, 0.99)(r.quantiles) AS quantiles
FROM samples_by_hour AS r
WHERE r.dimension_set IN ('metric', 'series')
GROUP BY dimension_set, site, metric, labels, bucket;

CREATE MATERIALIZED VIEW samples_by_week_from_day TO samples_by_week AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.metric AS metric,
    r.labels AS labels,
    toDateTime(toMonday(r.bucket), 'UTC') AS bucket,
    sum(r.count) AS count,
    sum(r.sum) AS sum,
    min(r.min) AS min,
    max(r.max) AS max,
    argMaxMergeState(r.last) AS last,
    quantilesTDigestMergeState(0.5, 0.95, 0.99)(r.quantiles) AS quantiles
FROM samples_by_day AS r
WHERE r.dimension_set IN ('metric', 'series')
GROUP BY dimension_set, site, metric, labels, bucket;

CREATE MATERIALIZED VIEW samples_by_month_from_day TO samples_by_month AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.metric AS metric,
    r.labels AS labels,
    toDateTime(toStartOfMonth(r.bucket), 'UTC') AS bucket,
    sum(r.count) AS count,
    sum(r.sum) AS sum,
    min(r.min) AS min,
    max(r.max) AS max,
    argMaxMergeState(r.last) AS last,
    quantilesTDigestMergeState(0.5, 0.95, 0.99)(r.quantiles) AS quantiles
FROM samples_by_day AS r
WHERE r.dimension_set IN ('metric', 'series')
GROUP BY dimension_set, site, metric, labels, bucket;

CREATE MATERIALIZED VIEW samples_by_year_from_month TO samples_by_year AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.metric AS metric,
    r.labels AS labels,
    toDateTime(toStartOfYear(r.bucket), 'UTC') AS bucket,
    sum(r.count) AS count,
    sum(r.sum) AS sum,
    min(r.min) AS min,
    max(r.max) AS max,
    argMaxMergeState(r.last) AS last,
    quantilesTDigestMergeState(0.5, 0.95, 0.99)(r.quantiles) AS quantiles
FROM samples_by_month AS r
WHERE r.dimension_set IN ('metric', 'series')
GROUP BY dimension_set, site, metric, labels, bucket;
