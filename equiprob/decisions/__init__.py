"""Which model to ship, and how sure that is."""
