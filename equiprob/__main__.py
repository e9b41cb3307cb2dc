"""``python -m equiprob``."""

from equiprob.cli import main

main()
