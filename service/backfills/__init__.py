"""Backfills: rollups made again from raw, asked for, looked at and cancelled."""
