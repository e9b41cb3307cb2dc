"""The command line."""

from equiprob.cli.commands import main

__all__ = ["main"]
