"""How is a result kept in a file, and what is believed of a file that anyone may have written?

A file says its format, its kind and a digest of all that is read of it. The kind is looked up in a
table; draws, dimensions, units, facts and diagnostics are looked at before the result is returned.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.arguments.plain_hdf5 import PlainFile, opened
from equiprob.arguments.refusals import is_refusal
from equiprob.arguments.whole_files import replacing
from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.kinds import class_of, kind_of
from equiprob.posterior.named import Absent
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.tree import ATTRIBUTE, FORMAT, bundle_datatree, to_datatree

if TYPE_CHECKING:
    import h5py

_DIGEST = "equiprob_digest"
_PART = re.compile(r"[a-z_]+(/\d{1,9})?")
_RESULT_KEYS = {"format", "kind", "facts", "units", "dims", "diagnostics"}
_BUNDLE_KEYS = {"format", "kind", "facts", "parts"}

_AXES_OF_WORDS = {"candidate", "output", "way"}
_AXES_OF_LABELS = {"generator", "group", "position_grid"}
_AXES_TO_INFINITY = {"asymmetric_ridge"}
"""Along all other axes there are finite numbers, as figures need them."""

Arrays = dict[str, NDArray[Any]]


@checked
def save(result: AbstractResult | AbstractBundle, path: str | Path) -> None:
    """Write a result or a bundle as netCDF. The file is replaced whole or not at all.

    Raises:
        ValueError: If there can be no file of that name, the result is of a class of a user's own,
            or a name in it is no text that a file can hold.
        OSError: If it cannot be written, as on a full disk: what was there before is still there.
    """
    import h5py

    parts = {} if isinstance(result, AbstractResult) else result.parts
    for one in (result, *parts.values()):
        if kind_of(one) is None:
            raise ValueError(
                f"{type(one).__name__} is no result of equiprob, which load could make again; "
                f"keep its .tree, or its .draws"
            )
    tree = to_datatree(result) if isinstance(result, AbstractResult) else bundle_datatree(result)
    # In memory: the library may end the process where a disk fills while it writes.
    content = io.BytesIO()
    tree.to_netcdf(content, engine="h5netcdf")
    with h5py.File(content, "r+") as file:
        stored = _Stored.of(PlainFile(file, content.getbuffer().nbytes), file)
        file.attrs[_DIGEST] = stored.digest
    with replacing(Path(path)) as partial:
        partial.write_bytes(content.getvalue())


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
            stored = _Stored.of(plain, plain.file)
            written = plain.text(plain.file, _DIGEST)
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


@dataclass(frozen=True, eq=False)
class _Stored:
    """All that is read of a result, or of a bundle.

    Args:
        header: Of JSON types.
        posterior: Draws ``(chain, draw, ...)`` and coordinates.
        rows: One entry a row.
        parts: The results of a bundle.
    """

    header: dict[str, Any]
    posterior: Arrays
    rows: Arrays
    parts: dict[str, _Stored]

    @classmethod
    def of(cls, plain: PlainFile, group: h5py.Group, *, is_part: bool = False) -> _Stored:
        header = json.loads(plain.text(group, ATTRIBUTE))
        if not isinstance(header, dict):
            raise TypeError("its header is no table")
        if "parts" not in header:
            posterior, rows = (_arrays(plain, group, name) for name in ("posterior", "rows"))
            return cls(header, posterior, rows, {})
        names = header["parts"]
        if is_part or not all(isinstance(n, str) and _PART.fullmatch(n) for n in names):
            raise ValueError(f"its parts have names that no part has: {names!r:.200}")
        parts = {name: cls.of(plain, plain.group(name), is_part=True) for name in names}
        return cls(header, {}, {}, parts)

    @property
    def digest(self) -> str:
        """A hash of it all."""
        found = hashlib.blake2b(json.dumps(self.header, sort_keys=True).encode(), digest_size=16)
        for group in (self.posterior, self.rows):
            for name, array in sorted(group.items()):
                found.update(f"{name!r} {array.dtype.str} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        for name, part in sorted(self.parts.items()):
            found.update(f"{name} {part.digest}".encode())
        return found.hexdigest()


def _arrays(plain: PlainFile, group: h5py.Group, name: str) -> Arrays:
    found = plain.group(f"{group.name}/{name}")
    keys = [str(key) for key in found]
    return {key: plain.array(found, key) for key in keys if not _is_bare_dimension(found[key])}


def _is_bare_dimension(item: Any) -> bool:
    """Whether it is what netCDF writes of a dimension that has no values."""
    name = item.attrs.get("NAME", b"")
    return isinstance(name, bytes) and name.startswith(b"This is a netCDF dimension but not")


# ---- checks against the class -------------------------------------------------------------------


def _checked_result(stored: _Stored) -> AbstractResult | AbstractBundle:
    header = stored.header
    kind = class_of(header.get("kind"))
    if kind is None:
        raise ValueError(f"{header.get('kind')!r:.200} is an unknown kind of result")
    expected = _BUNDLE_KEYS if issubclass(kind, AbstractBundle) else _RESULT_KEYS
    _require(set(header) == expected, f"the header of {kind.__name__} has {sorted(header)}")
    _require_table(header, "facts", object)
    if issubclass(kind, AbstractBundle):
        parts = {name: _checked_result(part) for name, part in stored.parts.items()}
        made = kind(parts=cast("dict[str, AbstractResult]", parts), facts=header["facts"])
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


def _result(kind: type[AbstractResult], stored: _Stored) -> AbstractResult:
    header, posterior = stored.header, stored.posterior
    _require_table(header, "units", str)
    _require_table(header, "dims", list)
    facts, dims = header["facts"], {name: tuple(d) for name, d in header["dims"].items()}
    axes = {d for each in dims.values() for d in each}
    names = [n for n in posterior if n not in axes | {"chain", "draw"}]
    _require(bool(names), "there are no draws")
    sizes = {posterior[name].shape[:2] for name in names}
    n_chains = facts.get("n_chains", 1)
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
    n_rows = facts.get("n_rows", 0)
    _require(type(n_rows) is int and 0 <= n_rows < 2**53, f"it is of {n_rows!r:.80} rows")
    known = Diagnostic.__members__
    found = header["diagnostics"]
    _require(
        isinstance(found, list) and all(isinstance(d, str) and d in known for d in found),
        f"it has unknown diagnostics: {found!r:.200}",
    )
    _require(
        isinstance(details := facts.get("details", {}), dict)
        and all(isinstance(text, str) for text in details.values()),
        "the details of its diagnostics are no words",
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


def _require_table(header: dict[str, Any], name: str, kind: type) -> None:
    found = header[name]
    _require(
        isinstance(found, dict) and all(isinstance(value, kind) for value in found.values()),
        f"its {name} are {found!r:.200}",
    )


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
