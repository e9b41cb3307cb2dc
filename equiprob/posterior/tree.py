"""The one crossing from arrays to labelled data: results as ArviZ DataTrees, on disk and back."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.arguments.checked import checked
from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.results import AbstractResult

if TYPE_CHECKING:
    import xarray as xr

_ATTRIBUTE = "equiprob"


def to_datatree(result: AbstractResult) -> xr.DataTree:
    """Return a result as a DataTree.

    Returns:
        Groups ``posterior`` (chain, draw, ...: one chain of independent draws, or the Markov chains
        that were run), ``rows`` and ``diagnostics``; one JSON
        attribute on the root holds facts, units and the kind of result.
    """
    import xarray as xr
    from arviz_base import from_dict

    data: dict[str, dict[str, Any]] = {
        "posterior": {
            name: values.reshape(result.n_chains, -1, *values.shape[1:])
            for name, values in result.draws.items()
        }
    }
    tree = from_dict(
        data,
        dims={name: list(dims) for name, dims in result.dims.items()},
        coords={dim: np.asarray(values) for dim, values in result.coords.items()},
    )
    for name, unit in result.units.items():
        if name in result.draws and unit:
            tree["posterior"][name].attrs["units"] = unit
    rows = xr.Dataset({name: ("row", np.asarray(v)) for name, v in result.rows.items()})
    messages = xr.Dataset(
        {
            "name": ("diagnostic", np.array([d.name for d in result.diagnostics], dtype="U")),
            "message": (
                "diagnostic",
                np.array(list(map(result.in_words, result.diagnostics)), dtype="U"),
            ),
        }
    )
    tree = tree.assign(
        {"rows": xr.DataTree(rows), "diagnostics": xr.DataTree(messages)},
    )
    header = _header(result) | {
        "units": dict(result.units),
        "dims": {name: list(dims) for name, dims in result.dims.items()},
        "diagnostics": [d.name for d in result.diagnostics],
    }
    tree.attrs[_ATTRIBUTE] = json.dumps(header)
    return tree


def _header(result: AbstractResult | AbstractBundle) -> dict[str, Any]:
    """Return what a file says of a result besides its arrays."""
    kind = type(result)
    return {
        "format": 1,
        "module": kind.__module__,
        "result": kind.__qualname__,
        "facts": dict(result.facts),
    }


def bundle_datatree(bundle: AbstractBundle) -> xr.DataTree:
    """Return a bundle as a DataTree with a group for each result, each as `to_datatree` has it."""
    import xarray as xr

    tree = xr.DataTree()
    for name, result in bundle.parts.items():
        tree[name] = to_datatree(result)
    tree.attrs[_ATTRIBUTE] = json.dumps(_header(bundle) | {"parts": list(bundle.parts)})
    return tree


@checked
def save(result: AbstractResult | AbstractBundle, path: str | Path) -> None:
    """Write a result or a bundle as netCDF. The file is replaced whole or not at all."""
    target = Path(path)
    if not target.name or target.is_dir() or not target.parent.is_dir():
        raise ValueError(f"path must be a file in a folder that exists, got {str(path)!r}")
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        whole = isinstance(result, AbstractResult)
        tree = to_datatree(result) if whole else bundle_datatree(result)
        tree.to_netcdf(partial, engine="h5netcdf")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@checked
def load(path: str | Path) -> Any:
    """Read a result that `save` wrote.

    Args:
        path: A netCDF file.

    Returns:
        The result, of the class that was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds no equiprob result.
    """
    import xarray as xr

    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:
        raise ValueError(f"{source} cannot be read as netCDF: {error}") from error
    if _ATTRIBUTE not in tree.attrs:
        raise ValueError(f"{source} holds no equiprob result; pass a file that .save wrote")
    try:
        return _from_datatree(tree, source)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{source} is not as .save wrote it: {error}") from error


def _from_datatree(tree: xr.DataTree, source: Path) -> Any:
    """Return what a tree of `to_datatree` or `bundle_datatree` holds."""
    header = json.loads(tree.attrs[_ATTRIBUTE])
    kind = _result_class(header, source)
    if issubclass(kind, AbstractBundle):
        parts = {name: _from_datatree(_group(tree, name), source) for name in header["parts"]}
        return kind(parts=parts, facts=header["facts"])
    posterior = tree["posterior"].to_dataset()
    dims = {name: tuple(d) for name, d in header["dims"].items()}
    return kind(
        draws={
            str(name): v.values.reshape(-1, *v.shape[2:]) for name, v in posterior.data_vars.items()
        },
        dims=dims,
        # Dimensions may be declared of quantities that are withheld.
        coords={d: posterior[d].values for ds in dims.values() for d in ds if d in posterior},
        units=header["units"],
        diagnostics=tuple(Diagnostic[name] for name in header["diagnostics"]),
        facts=header["facts"],
        rows={str(name): v.values for name, v in tree["rows"].to_dataset().data_vars.items()},
    )


def _group(tree: xr.DataTree, name: str) -> xr.DataTree:
    import xarray as xr

    found = tree[name]
    if not isinstance(found, xr.DataTree):
        raise KeyError(f"{name} is no group")
    return found


def _result_class(
    header: dict[str, Any], source: Path
) -> type[AbstractResult] | type[AbstractBundle]:
    """Return the named class if it is one of ours: a file never chooses what code runs."""
    module, name = str(header["module"]), str(header["result"])
    if module.startswith("equiprob."):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type) and issubclass(found, AbstractResult | AbstractBundle):
            return found
    raise ValueError(f"{source} names an unknown kind of result, {module}.{name}")
