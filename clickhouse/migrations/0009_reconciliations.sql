-- What the last comparison of a rollup's partition with raw came to, and of a month of raw with itself.
CREATE TABLE reconciliations
(
    table LowCardinality(String),
    partition String,
    at DateTime64(3, 'UTC'),
    expected UInt64,
    found UInt64,
    wrong_views UInt64,
    wrong_buckets UInt64,
    wrong_distinct UInt64,
    first_wrong Int64,
    last_wrong Int64,
    duplicates UInt64,
    examples Array(String),
    repaired UInt64
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (table, partition)
SETTINGS non_replicated_deduplication_window = 0;

-- When a partition was last put in place, by whatever asked for it.
CREATE TABLE rebuilds
(
    table LowCardinality(String),
    partition String,
    at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (table, partition)
SETTINGS non_replicated_deduplication_window = 0;

-- Which job a schedule began, and what it is about. The first row of a name has no job: what was before is not missed.
CREATE TABLE schedule_runs
(
    name LowCardinality(String),
    at DateTime64(3, 'UTC'),
    job String,
    start DateTime64(3, 'UTC'),
    end DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (name, at)
SETTINGS non_replicated_deduplication_window = 0;
