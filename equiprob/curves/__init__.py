"""Learning curves: what risks and gaps become with more training rows, from runs at hand."""
