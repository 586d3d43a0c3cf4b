-- No version column: the row inserted last wins, also when two upserts share a millisecond.
CREATE TABLE authors
(
    site LowCardinality(String),
    author_id String,
    username String,
    name String
)
ENGINE = ReplacingMergeTree
ORDER BY (site, author_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE TABLE blogs
(
    site LowCardinality(String),
    blog_id String,
    title String,
    author_id String,
    country LowCardinality(String),
    created_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (site, blog_id)
SETTINGS non_replicated_deduplication_window = 0;
