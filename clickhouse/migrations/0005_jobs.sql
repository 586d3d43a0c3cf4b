-- Long work and its units (docs/decisions/0013). A row is written anew with a higher version where something changed.
-- A unit without its job is none: units are written first.
CREATE TABLE jobs
(
    id String,
    kind LowCardinality(String),
    parameters String,
    requested_at DateTime64(3, 'UTC'),
    cancelled_at DateTime64(3, 'UTC'),
    version UInt32
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;

CREATE TABLE job_units
(
    job String,
    name String,
    task LowCardinality(String),
    unit_group LowCardinality(String),
    stage UInt32,
    position UInt32,
    arguments String,
    rows UInt64,
    status LowCardinality(String),
    attempt UInt32,
    failures UInt32,
    due_at DateTime64(3, 'UTC'),
    started_at DateTime64(3, 'UTC'),
    finished_at DateTime64(3, 'UTC'),
    rows_done UInt64,
    error String,
    note String,
    version UInt32
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (job, name)
SETTINGS non_replicated_deduplication_window = 0;
