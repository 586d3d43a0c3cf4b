"""The registry of blogs and authors over HTTP."""
