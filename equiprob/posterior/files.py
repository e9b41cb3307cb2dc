"""What is believed of a file that anyone may have written?

A file says its format, its kind and a digest of all that is read of it. The kind is looked up in a
table; draws, dimensions, units, facts and diagnostics are looked at before the result is returned.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked, field_types
from equiprob.arguments.plain_hdf5 import PlainFile, opened
from equiprob.arguments.refusals import is_refusal
from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.facts import Facts
from equiprob.posterior.kinds import saved_class
from equiprob.posterior.named import Absent
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.stored import DIGEST, Stored
from equiprob.posterior.tree import ATTRIBUTE, FORMAT

_RESULT_KEYS = {"format", "kind", "facts", "units", "dims", "diagnostics"}
_BUNDLE_KEYS = {"format", "kind", "facts", "parts"}

_AXES_OF_WORDS = {"candidate", "output", "way"}
_AXES_OF_LABELS = {"generator", "group", "position_grid", "unit"}
_AXES_TO_INFINITY = {"asymmetric_ridge"}
"""Along all other axes there are finite numbers, as figures need them."""


@checked
def load(path: str | Path) -> Any:
    """Read a result that `save` wrote. Nothing that a file holds is run, and no link is followed.

    Args:
        path: A netCDF file.

    Returns:
        The result, of the class that was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is of a later version, or holds no equiprob result.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {str(source)!r}")
    try:
        with opened(source, source.stat().st_size) as plain:
            _require_format(plain, source)
            stored = Stored.of(plain, plain.file)
            written = plain.text(plain.file, DIGEST)
    except _Refused as error:
        raise ValueError(str(error)) from error
    # What a damaged file raises depends on where the damage is.
    except Exception as error:
        raise ValueError(f"{source} cannot be read as netCDF of equiprob: {error}") from error
    if stored.digest != written:
        raise ValueError(
            f"{source} is damaged: what it holds is not what was written; fit the result again"
        )
    try:
        return _checked_result(stored)
    except Exception as error:
        raise ValueError(f"{source} is not as .save wrote it: {error}") from error


class _Refused(ValueError):
    """A whole file that is none of ours, or of another version."""


def _require_format(plain: PlainFile, source: Path) -> None:
    """Raise for a file that this version does not read, before anything else is looked at."""
    if ATTRIBUTE not in plain.file.attrs:
        raise _Refused(f"{source} holds no equiprob result; pass a file that .save wrote")
    header = json.loads(plain.text(plain.file, ATTRIBUTE))
    found = header.get("format") if isinstance(header, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise _Refused(f"{source} is not as .save wrote it: it names no format")
    if found != FORMAT:
        what = "update equiprob" if found > FORMAT else "fit the result again"
        raise _Refused(
            f"{source} is of format {found}, and this version reads format {FORMAT}: {what}"
        )


# ---- checks against the class -------------------------------------------------------------------


def _checked_result(stored: Stored) -> AbstractResult | AbstractBundle:
    header = stored.header
    kind = saved_class(header.get("kind"))
    if kind is None:
        raise ValueError(f"{header.get('kind')!r:.200} is an unknown kind of result")
    expected = _BUNDLE_KEYS if issubclass(kind, AbstractBundle) else _RESULT_KEYS
    _require(set(header) == expected, f"the header of {kind.__name__} has {sorted(header)}")
    _require_table(header, "facts", object)
    if issubclass(kind, AbstractBundle):
        parts = {name: _checked_result(part) for name, part in stored.parts.items()}
        made = kind(parts=cast("dict[str, AbstractResult]", parts), facts=_facts(kind, header))
    else:
        made = _result(kind, stored)
        _ = made.status
    str(made)  # what it says of itself needs the facts and draws of its class
    for name in _answers(type(made)):
        try:
            found = getattr(made, name)
            _ = found() if inspect.ismethod(found) else found
        except Exception as error:
            # A refusal in our words is an answer, unless it is that something is not there.
            if isinstance(error, Absent) or not is_refusal(error):
                raise ValueError(f"there is no {name} in it: {error!r:.200}") from error
    return made


@cache
def _answers(kind: type) -> tuple[str, ...]:
    """Return what a result is asked without arguments: these need all else that it holds.

    Figures are left out, as they take longer than all the rest: they read what these do.
    """
    return tuple(
        name
        for name, member in inspect.getmembers(kind)
        if (not name.startswith("_") or name == "_repr_html_")
        and name not in ("tree", "save", "plot")
        and (isinstance(member, property | cached_property) or _needs_nothing(member))
    )


def _needs_nothing(member: Any) -> bool:
    if not inspect.isfunction(member):
        return False
    _, *taken = inspect.signature(member).parameters.values()
    return all(p.default is not p.empty for p in taken)


def _result(kind: type[AbstractResult], stored: Stored) -> AbstractResult:
    header, posterior = stored.header, stored.posterior
    _require_table(header, "units", str)
    _require_table(header, "dims", list)
    facts, dims = _facts(kind, header), {name: tuple(d) for name, d in header["dims"].items()}
    axes = {d for each in dims.values() for d in each}
    names = [n for n in posterior if n not in axes | {"chain", "draw"}]
    _require(bool(names), "there are no draws")
    sizes = {posterior[name].shape[:2] for name in names}
    n_chains = facts.n_chains
    _require(
        len(sizes) == 1 and len(size := next(iter(sizes))) == 2 and size[0] == n_chains and size[1],
        f"draws have the shapes {sizes} with {n_chains} chains",
    )
    for name in names:
        values, along = posterior[name], dims.get(name, ())
        labels = [posterior[d].shape if d in posterior else None for d in along]
        _require(
            values.dtype == np.float64 and labels == [(n,) for n in values.shape[2:]],
            f"draws {name!r} of {values.dtype} and shape {values.shape} have axes {along}",
        )
    for name in axes & posterior.keys():
        _require(_fits_axis(name, posterior[name]), f"{name!r} is no axis")
    lengths = {array.shape for array in stored.rows.values()}
    _require(len(lengths) <= 1 and all(len(s) == 1 for s in lengths), f"rows have shapes {lengths}")
    n_rows = header["facts"].get("n_rows", 0)
    _require(type(n_rows) is int and 0 <= n_rows < 2**53, f"it is of {n_rows!r:.80} rows")
    known = Diagnostic.__members__
    found = header["diagnostics"]
    _require(
        isinstance(found, list) and all(isinstance(d, str) and d in known for d in found),
        f"it has unknown diagnostics: {found!r:.200}",
    )
    return kind(
        draws={n: posterior[n].reshape(-1, *posterior[n].shape[2:]) for n in names},
        dims=dims,
        # Dimensions may be declared of quantities that are withheld.
        coords={d: posterior[d] for d in axes if d in posterior},
        units=header["units"],
        diagnostics=tuple(Diagnostic[name] for name in found),
        facts=facts,
        rows=stored.rows,
    )


def _fits_axis(name: str, values: NDArray[Any]) -> bool:
    """Whether words, or numbers, can stand along an axis."""
    if values.dtype.kind in "OU":
        return name in _AXES_OF_WORDS | _AXES_OF_LABELS
    allowed = ~np.isnan(values) if name in _AXES_TO_INFINITY else np.isfinite(values)
    return name not in _AXES_OF_WORDS and bool(allowed.all())


def _facts(kind: type[AbstractResult | AbstractBundle], header: dict[str, Any]) -> Facts:
    """Return the facts of a result, whose fields and types its class declares."""
    declared = field_types(kind)["facts"]
    found, expected = header["facts"], {each.name for each in fields(declared)}
    _require(
        set(found) == expected, f"its facts are {sorted(found)!s:.300}, not {sorted(expected)}"
    )
    return declared(**found)


def _require_table(header: dict[str, Any], name: str, kind: type) -> None:
    found = header[name]
    _require(
        isinstance(found, dict) and all(isinstance(value, kind) for value in found.values()),
        f"its {name} are {found!r:.200}",
    )


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
