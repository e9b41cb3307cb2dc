"""How commands answer: words or JSON, and what exit codes mean."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, override

import click
import numpy as np

BAD_INPUT = 2
"""Exit code where files, arrays or options do not fit."""

GATE_FAILED = 3
"""Exit code where everything was computed and a stated limit is not met."""


class Refusals(click.Group):
    """A group whose commands answer bad input with one clear message and exit code 2."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; set ``EQUIPROB_TRACEBACK=1`` to see where an error comes from."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of dependencies; ours are diagnostics
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("EQUIPROB_TRACEBACK"):
                raise
            words = str(error) or type(error).__name__
            if not isinstance(error, ValueError | TypeError | ImportError | RuntimeError | OSError):
                words = f"{type(error).__name__}: {words}"
            click.echo(f"Error: {words}", err=True)
            ctx.exit(BAD_INPUT)


def answer(words: str, data: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the answer: words for people, or one JSON object for programs."""
    click.echo(json.dumps(_plain(data), indent=2, allow_nan=False) if as_json else words)


def of_table(table: Any) -> list[dict[str, Any]]:
    """Return a DataFrame as a list of records, its index among their entries."""
    return table.reset_index().to_dict(orient="records")


def _plain(value: Any) -> Any:
    """Return what JSON can hold: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return None if value is None else str(value)


def writable(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises:
        ValueError: If its folder does not exist or may not be written to.
    """
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"the folder of {path} does not exist: make it first")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{path} cannot be written")


def say(words: str) -> None:
    """Say where a file is, beside the answer and not in it."""
    print(words, file=sys.stderr)
