"""Rollups held against raw: asked for, and what it came to."""
