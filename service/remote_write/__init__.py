"""Prometheus remote write 1.0: the body that it sends, and the route that takes it."""
