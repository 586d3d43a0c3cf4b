-- Numbers of series (docs/decisions/0017). Labels follow metric in the key: equal ones lie together, and a series is read
-- in one piece. `series` stands for metric and labels where samples are looked up.
CREATE TABLE samples
(
    site LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    labels LowCardinality(String) CODEC(ZSTD(1)),
    series UInt64 CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX received_at_minmax received_at TYPE minmax GRANULARITY 1,
    INDEX at_minmax at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (site, metric, labels, at)
SETTINGS
    non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1,
    old_parts_lifetime = 480;

ALTER TABLE retention
    ADD COLUMN IF NOT EXISTS dataset LowCardinality(String) DEFAULT 'views'
SETTINGS mutations_sync = 2;
