"""equiprob."""
