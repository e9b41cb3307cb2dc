"""The one crossing from arrays to labelled data: results as ArviZ DataTrees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.posterior.facts import Facts
from equiprob.posterior.kinds import saved_name_of
from equiprob.posterior.labelled_draws import LabelledDraws

if TYPE_CHECKING:
    import xarray as xr

ATTRIBUTE = "equiprob"
"""The attribute that holds what is no array, as JSON."""

FORMAT = 3
"""Changes where files that were written before cannot be read any more."""


def to_datatree(result: LabelledDraws) -> xr.DataTree:
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
    header = _header(result, result.facts) | {
        "units": dict(result.units),
        "dims": {name: list(dims) for name, dims in result.dims.items()},
        "diagnostics": [d.name for d in result.diagnostics],
    }
    tree.attrs[ATTRIBUTE] = json.dumps(header)
    return tree


def _header(result: object, facts: Facts) -> dict[str, Any]:
    """Return what a file says of a result besides its arrays."""
    return {"format": FORMAT, "kind": saved_name_of(result), "facts": facts.as_dict()}


def bundle_datatree(
    bundle: object, facts: Facts, parts: Mapping[str, LabelledDraws]
) -> xr.DataTree:
    """Return a bundle as a DataTree with a group for each result, each as `to_datatree` has it."""
    import xarray as xr

    tree = xr.DataTree()
    for name, result in parts.items():
        tree[name] = to_datatree(result)
    tree.attrs[ATTRIBUTE] = json.dumps(_header(bundle, facts) | {"parts": list(parts)})
    return tree
