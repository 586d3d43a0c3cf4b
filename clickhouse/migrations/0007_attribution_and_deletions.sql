-- Authors that the registry once named for a blog: events of theirs follow it to its next author.
CREATE TABLE former_authors
(
    site LowCardinality(String),
    blog_id String,
    author_id String
)
ENGINE = ReplacingMergeTree
ORDER BY (site, blog_id, author_id)
SETTINGS non_replicated_deduplication_window = 0;

-- Events received until `asked_at` that these match are dropped wherever they turn up later: out of a spool, a dead
-- letter. Of a viewer the number alone is kept.
CREATE TABLE deletions
(
    site String,
    kind LowCardinality(String),
    key String,
    asked_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY asked_at
SETTINGS non_replicated_deduplication_window = 0;
