-- Of a month of samples: how many rows no look for corrections has to come back to. 0 of those looked at before.
ALTER TABLE reconciliations
    ADD COLUMN IF NOT EXISTS settled UInt64
SETTINGS mutations_sync = 2;
