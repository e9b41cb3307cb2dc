"""What a mismatch of symmetry costs, and what symmetry buys."""
