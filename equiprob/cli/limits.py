"""Limits on the error that make an audit a check for continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equiprob.auditing.assertion import Gate
    from equiprob.auditing.findings import Audit


def gate_of(
    max_error: float | None, *, credibility: float, relative: bool, bound: float | None
) -> Gate | None:
    """Return the limit that was stated, None for none; the arguments are those of `Gate`.

    Raises:
        ValueError: If a number is out of range, or a bound was given without a limit.
    """
    from equiprob.auditing.assertion import Gate

    if max_error is not None:
        return Gate(max_error=max_error, credibility=credibility, relative=relative, bound=bound)
    if bound is not None:
        raise ValueError("--bound certifies a limit: pass --max-error, too")
    return None


def failures_of(gate: Gate, found: Audit) -> list[str]:
    """Return a message for each model that does not meet the limit, or could not be judged."""
    from equiprob.errors.model_error import ModelEquivarianceErrorResult

    failures = []
    for name in found.models:
        error = found[name].get("model_error")
        if not isinstance(error, ModelEquivarianceErrorResult):
            failures.append(f"'{name}': there is no error to judge, see what is missing")
            continue
        judgement = gate.judge(found.tables[name], error)
        if not judgement.passes:
            failures.append(f"'{name}': {judgement.failure}")
    return failures
