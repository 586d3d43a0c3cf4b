-- The watermark: events viewed before the latest covered_since have expired. Written some time before they are dropped,
-- so that nobody is reading them then.
CREATE TABLE retention
(
    covered_since DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY covered_since
SETTINGS non_replicated_deduplication_window = 0;
