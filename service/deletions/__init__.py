"""Deletion over HTTP: of a blog, of what a viewer read, of a whole site."""
