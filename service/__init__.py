"""Everything that knows HTTP and the terminal, and no SQL."""
