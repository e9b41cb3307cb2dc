"""Self-contained HTML pages out of results."""
