"""What of a store or a table is written to a file, and how is it made of that again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from equiprob.orbits.failures import Skipped
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.storage.blocks import BlockState, BlockSums, TopRows
from equiprob.orbits.storage.store import RowArrays, Store, arrays_of
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.fingerprint import check_same_transform

Arrays = dict[str, NDArray[Any]]

_TOP = ("position", "row_ids", "unit_ids")


def packed(store: Store) -> tuple[Arrays, dict[str, Any]]:
    """Return all that a store holds, as arrays by name and a header of JSON types."""
    arrays: Arrays = {}
    header: dict[str, Any] = {
        "done": store.done,
        "evaluated": store.evaluated,
        "first": store.first,
        "backend": store.backend,
        "skipped": [[s.start, s.stop, s.reason] for s in store.skipped],
        "outputs": [[name, s.shape, s.dtype.name] for name, s in store.outputs.items()],
        "templates": _put_all(arrays, "templates", store.templates),
        "fills": None,
        "blocks": None,
    }
    if store.blocks is None:
        held = list(store.arrays.items(store.done))
        header["fills"] = [[name, fill] for name, _, fill in held]
        arrays |= {f"rows/{i}": values for i, (_, values, _) in enumerate(held)}
    else:
        header["blocks"] = _put_blocks(arrays, store.blocks)
    return arrays, header


def unpack(arrays: Arrays, header: dict[str, Any], store: Store) -> None:
    """Put all that was written into a store that is empty.

    Raises:
        ValueError: If arrays are not of the rows that the header says were done.
    """
    store.done, store.evaluated = int(header["done"]), int(header["evaluated"])
    store.backend = header["backend"]
    first, last = header["first"]
    store.first = int(first), int(last)
    store.skipped = [Skipped(*skipped) for skipped in header["skipped"]]
    store.outputs = {
        name: jax.ShapeDtypeStruct(tuple(shape), jnp.dtype(dtype))
        for name, shape, dtype in header["outputs"]
    }
    store.templates = _all(arrays, "templates", header["templates"])
    store.arrays = RowArrays(store.n)
    if header["blocks"] is None:
        store.blocks = None
        for i, (name, fill) in enumerate(header["fills"]):
            values = arrays[f"rows/{i}"]
            if len(values) != store.done:
                raise ValueError(f"{name} is of {len(values)} rows, not of {store.done}")
            store.arrays.put(name, 0, values, fill)
    else:
        store.blocks = _blocks(arrays, header["blocks"])


_ROWS = ("row_ids", "unit_ids", "count")


def packed_table(table: OrbitTable) -> tuple[Arrays, dict[str, Any]]:
    """Return what tells a table from others of the same call, without its inputs."""
    arrays: Arrays = {name: getattr(table, name) for name in _ROWS}
    if table.mass is not None:
        arrays["mass"] = table.mass
    return arrays, {
        "transform": table.transform.fingerprint,
        "statistics": _put_all(arrays, "statistics", table.statistics),
        "blocks": None if table.blocks is None else _put_blocks(arrays, table.blocks),
        "grouped": table.grouped,
        "backend": table.backend,
        "floor_method": table.floor_method,
        "skipped": [[s.start, s.stop, s.reason] for s in table.skipped],
        "stopped": table.stopped,
    }


def unpacked_table(arrays: Arrays, header: dict[str, Any], like: OrbitTable) -> OrbitTable:
    """Return the table that was packed, given another one of the same call.

    Raises:
        ValueError: If it is over another transform.
    """
    named = ("another process's table", "this one")
    check_same_transform(header["transform"], like.transform.fingerprint, named=named)
    plain = {name: header[name] for name in ("grouped", "backend", "floor_method", "stopped")}
    return replace(
        like,
        statistics=_all(arrays, "statistics", header["statistics"]),
        blocks=None if header["blocks"] is None else _blocks(arrays, header["blocks"]),
        mass=arrays.get("mass"),
        skipped=tuple(Skipped(*skipped) for skipped in header["skipped"]),
        x=None,
        **{name: arrays[name] for name in _ROWS},
        **plain,
    )


def _put_blocks(arrays: Arrays, blocks: BlockState) -> dict[str, Any]:
    for i, sums in enumerate(blocks.sums.values()):
        arrays |= {f"sums/{i}/{key}": values for key, values in vars(sums).items()}
    top = None
    if blocks.top is not None:
        arrays |= {f"top/{key}": getattr(blocks.top, key) for key in _TOP}
        top = _put_all(arrays, "top", blocks.top.statistics)
    return {
        "n": blocks.n,
        "mixed": blocks.mixed,
        "sums": list(blocks.sums),
        "top": top,
        "nonfinite": blocks.nonfinite,
        "n_nonfinite": blocks.n_nonfinite,
    }


def _blocks(arrays: Arrays, header: dict[str, Any]) -> BlockState:
    top = header["top"]
    if top is not None:
        position, row_ids, unit_ids = (arrays[f"top/{key}"] for key in _TOP)
        top = TopRows(position, row_ids, unit_ids, _all(arrays, "top", top))
    return BlockState(
        n=header["n"],
        mixed=header["mixed"],
        sums={
            name: BlockSums(**_below(arrays, f"sums/{i}/")) for i, name in enumerate(header["sums"])
        },
        top=top,
        nonfinite=header["nonfinite"],
        n_nonfinite=header["n_nonfinite"],
    )


def _put_all(arrays: Arrays, key: str, each: Mapping[str, RowStatistics]) -> list[Any]:
    """Add the arrays of statistics by output; return the names and what is no array."""
    rest = []
    for i, (name, statistics) in enumerate(each.items()):
        own = arrays_of(statistics)
        arrays |= {f"{key}/{i}/{field}": values for field, values in own.items()}
        rest.append([name, {k: v for k, v in vars(statistics).items() if k not in own}])
    return rest


def _all(arrays: Arrays, key: str, listed: list[Any]) -> dict[str, RowStatistics]:
    found = {}
    for i, (name, rest) in enumerate(listed):
        rest = rest | {"output_shape": tuple(rest["output_shape"])}
        found[name] = RowStatistics(**_below(arrays, f"{key}/{i}/"), **rest)
    return found


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
