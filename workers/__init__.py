"""Jobs and time: what happens to events between HTTP and ClickHouse, and (later) rebuilds and schedules."""
