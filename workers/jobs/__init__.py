"""Long work: jobs of units in stages, the ledger they stand in, and the worker that does them."""
