-- Files that were imported (docs/decisions/0014). No version column: the row inserted last wins.
CREATE TABLE imports
(
    id UInt32,
    run UInt32,
    site LowCardinality(String),
    file_name String,
    format LowCardinality(String),
    size UInt64,
    digest String,
    options String,
    status LowCardinality(String),
    position UInt64,
    offset UInt64,
    lines UInt64,
    events UInt64,
    accepted UInt64,
    duplicates UInt64,
    rejected UInt64,
    skipped String,
    error String,
    jobs String,
    begun_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;

-- 0: sent by a client. One value for millions of rows in a row costs next to nothing.
ALTER TABLE view_events
    ADD COLUMN IF NOT EXISTS import_id UInt32 DEFAULT 0 CODEC(ZSTD(1))
SETTINGS mutations_sync = 2;
