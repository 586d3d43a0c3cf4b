-- One row per view. Time stands right after site in the key: ranges are what is asked of raw, and the check for
-- events sent twice looks events up by (site, viewed_at).
-- The raw table alone is fsynced on insert: rollups can be made again from it.
CREATE TABLE view_events
(
    event_id UUID,
    site LowCardinality(String),
    blog_id String CODEC(ZSTD(1)),
    author_id String CODEC(ZSTD(1)),
    country LowCardinality(String),
    viewer UInt64,
    viewed_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    url String CODEC(ZSTD(1)),
    referrer String CODEC(ZSTD(1)),
    INDEX received_at_minmax received_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(viewed_at)
ORDER BY (site, viewed_at, event_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
