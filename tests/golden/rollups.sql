CREATE TABLE views_by_hour
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'country_author' = 3, 'author_blog' = 4),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    blogs AggregateFunction(uniq, String),
    viewers AggregateFunction(uniqCombined64(14), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 512,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_day
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'country_author' = 3, 'author_blog' = 4),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    blogs AggregateFunction(uniq, String),
    viewers AggregateFunction(uniqCombined64(14), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 512,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_week
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'country_author' = 3, 'author_blog' = 4),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    blogs AggregateFunction(uniq, String),
    viewers AggregateFunction(uniqCombined64(14), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 512,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_month
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'country_author' = 3, 'author_blog' = 4),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    blogs AggregateFunction(uniq, String),
    viewers AggregateFunction(uniqCombined64(14), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 512,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE views_by_year
(
    dimension_set Enum8('total' = 0, 'country' = 1, 'author' = 2, 'country_author' = 3, 'author_blog' = 4),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    blogs AggregateFunction(uniq, String),
    viewers AggregateFunction(uniqCombined64(14), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = 512,
    non_replicated_deduplication_window = 10000,
    min_age_to_force_merge_seconds = 60,
    min_age_to_force_merge_on_partition_only = 1;

CREATE MATERIALIZED VIEW views_by_hour_mv TO views_by_hour AS
SELECT
    set_id AS dimension_set,
    e.site AS site,
    if(set_id IN (1, 3), e.country, '') AS country,
    if(set_id IN (2, 3, 4), e.author_id, '') AS author_id,
    if(set_id IN (4), e.blog_id, '') AS blog_id,
    toStartOfHour(e.viewed_at) AS bucket,
    count() AS views,
    uniqStateIf(e.blog_id, set_id IN (0, 1, 2, 3)) AS blogs,
    uniqCombined64StateIf(14)(e.viewer, set_id IN (0, 1, 2, 4)) AS viewers
FROM view_events AS e
ARRAY JOIN CAST([0, 1, 2, 3, 4], 'Array(Int8)') AS set_id
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_day_mv TO views_by_day AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toStartOfDay(r.bucket) AS bucket,
    sum(r.views) AS views,
    uniqMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_hour AS r
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_week_mv TO views_by_week AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toMonday(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    uniqMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_day AS r
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_month_mv TO views_by_month AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toStartOfMonth(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    uniqMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_day AS r
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;

CREATE MATERIALIZED VIEW views_by_year_mv TO views_by_year AS
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    toDateTime(toStartOfYear(r.bucket), 'UTC') AS bucket,
    sum(r.views) AS views,
    uniqMergeState(r.blogs) AS blogs,
    uniqCombined64MergeState(14)(r.viewers) AS viewers
FROM views_by_month AS r
GROUP BY dimension_set, site, country, author_id, blog_id, bucket;
