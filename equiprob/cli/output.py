"""How commands answer: words or JSON, and what exit codes mean."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, override

import click
import numpy as np

from equiprob.arguments.refusals import is_refusal

BAD_INPUT = 2
"""Exit code where files, arrays or options do not fit."""

GATE_FAILED = 3
"""Exit code where everything was computed and a stated limit is not met."""

INTERNAL_ERROR = 70
"""Exit code where the package itself is at fault (``EX_SOFTWARE`` of the BSDs)."""


class Refusals(click.Group):
    """A group whose commands answer an error with one clear message and an exit code."""

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
            ctx.exit(_explained(error))


def _explained(error: Exception) -> int:
    """Say what went wrong and whose fault it is; return the exit code."""
    if is_refusal(error):
        click.echo(f"Error: {error}", err=True)
        return BAD_INPUT
    if isinstance(error, OSError | MemoryError):  # a full disk, a file that is locked
        click.echo(f"Error: {str(error) or 'there is not enough memory'}", err=True)
        return BAD_INPUT
    click.echo(
        f"Internal error: {type(error).__name__}: {str(error)[:300]}\n"
        f"This is a fault of equiprob {version('equiprob')}, not of your input. Please report it"
        f"{_with_record(error)}.",
        err=True,
    )
    return INTERNAL_ERROR


def _with_record(error: Exception) -> str:
    """Write what a report of an internal error needs; return where, in words."""
    versions = [f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy", "numpyro")]
    lines = [
        f"{', '.join(versions)}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {shlex.join(sys.argv)}",
        *traceback.format_exception(error),
    ]
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="equiprob-error-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write("\n".join(lines))
    except OSError:  # no room there, either
        return ", with the command and what it prints after EQUIPROB_TRACEBACK=1 is set"
    return f", with the file {file.name}, which holds versions, the command and the traceback"


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
