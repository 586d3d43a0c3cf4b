-- The spool forgets what raw has. A merged part is on disk before the parts it was made of go, and those stay a while.
ALTER TABLE view_events
    MODIFY SETTING min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480;
