"""The one crossing from arrays to labelled data: results as ArviZ DataTrees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.kinds import kind_of
from equiprob.posterior.results import AbstractResult

if TYPE_CHECKING:
    import xarray as xr

ATTRIBUTE = "equiprob"
"""The attribute that holds what is no array, as JSON."""

FORMAT = 2
"""Changes where files that were written before cannot be read any more."""


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
    tree.attrs[ATTRIBUTE] = json.dumps(header)
    return tree


def _header(result: AbstractResult | AbstractBundle) -> dict[str, Any]:
    """Return what a file says of a result besides its arrays."""
    return {"format": FORMAT, "kind": kind_of(result), "facts": dict(result.facts)}


def bundle_datatree(bundle: AbstractBundle) -> xr.DataTree:
    """Return a bundle as a DataTree with a group for each result, each as `to_datatree` has it."""
    import xarray as xr

    tree = xr.DataTree()
    for name, result in bundle.parts.items():
        tree[name] = to_datatree(result)
    tree.attrs[ATTRIBUTE] = json.dumps(_header(bundle) | {"parts": list(bundle.parts)})
    return tree
