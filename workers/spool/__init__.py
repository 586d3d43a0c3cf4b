"""Between HTTP and ClickHouse: accepted events on disk, fsynced before they are acknowledged, until they are stored.

A spool is a folder of segments; a segment is a file of records; a record is what one request had accepted.
"""
