"""Networks of PyTorch Geometric on graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from equiprob import transforms
from equiprob.adapters.graph_rows import EDGES, NODES, GraphRows, Place, listed
from equiprob.adapters.pytorch import TorchPredictor, from_torch
from equiprob.arguments.checked import checked
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.output import Output
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.extras import require
from equiprob.transforms.transform import Transform

Array = NDArray[Any]

Level = Literal["graph", "nodes", "edges"]
"""What an output belongs to."""

_TRIED = 8
"""Graphs at which it is seen what a network returns."""


@final
@dataclass(frozen=True, eq=False)
class GraphModel:
    """A network and graphs as a model and its rows; made by `from_graphs`.

    Args:
        predict: The network on a dict of arrays.
        rows: How graphs become arrays.
        x: The graphs as a dict of arrays, rows first, padded to the largest.
        levels: What each output belongs to, and its shape without that axis.
        y: The targets that came with the graphs, or None.
    """

    predict: TorchPredictor
    rows: GraphRows
    x: Mapping[str, Array]
    levels: Mapping[str, tuple[Level, int]]
    y: Any

    def __call__(self, x: Any) -> Any:
        """Return the network's outputs for a batch of rows; those of padding are 0."""
        return self.predict(x)

    @property
    def outputs(self) -> dict[str, Output]:
        """Padding of what the network returns: ``outputs`` of `evaluate_orbits`."""
        masks = {"nodes": self.x[NODES], "edges": self.x[EDGES]}
        found = {}
        for name, (level, _) in self.levels.items():
            if level == "graph":
                found[name] = Output()
                continue
            empty = np.flatnonzero(~masks[level].any(axis=1))
            if len(empty):
                raise ValueError(f"graph {empty[0]} has no {level}, for which {name!r} is returned")
            found[name] = Output(mask=masks[level], per="item")
        return found

    @property
    def targets(self) -> Array:
        """What the graphs came with as ``y``, for ``model.orbits(..., y=model.targets)``.

        Raises:
            ValueError: If they came with none.
        """
        if self.y is None:
            raise ValueError("not all graphs have a y; pass targets as y=, shaped like the output")
        return self.y

    def orbits(self, transform: Any, **options: Any) -> OrbitTable:
        """Evaluate the network on the graphs and on transformations of them.

        Args:
            transform: The transform, such as ``model.permutations()``.
            **options: Arguments of `evaluate_orbits`: ``n_transforms``, ``y``, ``groups`` ...
        """
        given: dict[str, Any] = {"outputs": self.outputs, "backend": "python"} | options
        return evaluate_orbits(self, self.x, transform, **given)

    # ---- what should change nothing, or outputs in a known way ----------------------------------

    def permutations(self) -> Transform:
        """Number nodes in another way, with all that belongs to them, and edges with them."""
        words: dict[Place, str] = {"indices": "indices", "edges": "invariant", "graph": "invariant"}
        acts_on = {n: words.get(p) or self._items(n) for n, p in self.rows.places.items()}
        return transforms.permutations(
            self.x[NODES].shape[1],
            acts_on=acts_on | {NODES: "items", EDGES: "invariant"},
            output_action=self._of_items("nodes"),
        )

    def edge_permutations(self) -> Transform:
        """List edges in another order."""
        n = self.x[EDGES].shape[1]
        moved = [
            name
            for name, place in self.rows.places.items()
            if place == "edges" or (place == "indices" and self.x[name].shape[1] == n)
        ]
        acts_on = {n: self._items(n) if n in moved else "invariant" for n in self.rows.places}
        return transforms.permutations(
            n,
            acts_on=acts_on | {NODES: "invariant", EDGES: "items"},
            output_action=self._of_items("edges"),
        )

    def rotations(
        self,
        *,
        acts_on: Mapping[str, Any] | None = None,
        output_action: Any = "invariant",
        **options: Any,
    ) -> Transform:
        """Turn positions, ``pos``.

        Args:
            acts_on: How other attributes turn that have as many columns as there are dimensions:
                ``{"velocity": "vectors", "x": "invariant"}``.
            output_action: How outputs turn: ``"invariant"``, ``"vectors"``, or a dict by name.
            **options: Others of `rotations3d` (in the plane, of `rotations2d`).
        """
        declared = self._in_space(acts_on)
        turn = transforms.rotations2d if self._dimensions == 2 else transforms.rotations3d
        return turn(acts_on=declared, output_action=output_action, **options)

    def translations(self, max_shift: float, *, output_action: Any = "invariant") -> Transform:
        """Shift positions, ``pos``, by up to `max_shift` along each axis."""
        declared = dict.fromkeys(self.x, "invariant") | {"pos": "points"}
        return transforms.translations(
            max_shift, dimensions=self._dimensions, acts_on=declared, output_action=output_action
        )

    @property
    def _dimensions(self) -> int:
        if self.rows.places.get("pos") != "nodes" or self.x["pos"].shape[-1] not in (2, 3):
            raise ValueError("the graphs have no positions pos (node, 2 or 3) that could move")
        return self.x["pos"].shape[-1]

    def _items(self, name: str) -> str:
        return " ".join(["items", *["_"] * (self.x[name].ndim - 2)])

    def _of_items(self, level: Level) -> Any:
        """Return how outputs move where the items of a level are listed in another order."""
        words = {
            name: " ".join(["items", *["_"] * n_axes]) if own == level else "invariant"
            for name, (own, n_axes) in self.levels.items()
        }
        return words.get("output", words)

    def _in_space(self, acts_on: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return how each leaf turns.

        Raises:
            ValueError: If nobody knows.
        """
        d, said = self._dimensions, dict(acts_on or {})
        declared: dict[str, Any] = {}
        for name, values in self.x.items():
            is_open = values.dtype.kind == "f" and values.ndim > 2 and values.shape[-1] == d
            if name == "pos":
                declared[name] = "points"
            elif name in said or not is_open:
                declared[name] = said.pop(name, "invariant")
            else:
                raise ValueError(
                    f"{name!r} has {d} columns, as vectors have: say whether it turns, "
                    f"acts_on={{{name!r}: 'vectors'}} or {{{name!r}: 'invariant'}}"
                )
        if said:
            raise ValueError(f"acts_on names {sorted(said)}, but the graphs have {sorted(self.x)}")
        return declared


@checked
def from_graphs(
    module: Any,
    graphs: Any,
    *,
    call: Callable[[Any, Any], Any] | None = None,
    levels: Level | Mapping[str, Level] | None = None,
    gradients: bool = False,
) -> GraphModel:
    """Make a model and its rows of a network of PyTorch Geometric and graphs.

    Args:
        module: The network, a ``torch.nn.Module`` in evaluation mode.
        graphs: A list of ``Data``, a dataset, a ``Batch`` or a ``DataLoader`` of PyTorch Geometric.
            All attributes that are tensors reach the network, but for ``y``.
        call: ``call(module, batch) -> output`` with a ``Batch``. When left out, the network is
            called on the batch, or on those of its attributes that ``forward`` names (``x``,
            ``edge_index``, ``batch`` ...). A classifier's output must be probabilities:
            ``lambda module, batch: module(batch.x, batch.edge_index, batch.batch).softmax(-1)``.
        levels: Whether the output belongs to the ``"graph"``, the ``"nodes"`` or the ``"edges"``,
            or a dict of these by output; when left out, its length says so.
        gradients: Whether the network differentiates to answer, as for forces.

    Returns:
        The model: ``model.orbits(model.permutations())`` is its table.

    Raises:
        ImportError: Without the extra ``graphs``.
        TypeError: If `module` is no module, or `graphs` no graphs of one kind of nodes.
        ValueError: If attributes differ, a graph is empty, or it is not known what an output
            belongs to.
    """
    data = require("torch_geometric.data", extra="graphs")
    all_graphs = listed(graphs)
    if len(all_graphs) < 2:
        raise ValueError(f"graphs holds {len(all_graphs)} graph(s); an interval needs at least 2")
    rows = GraphRows.of(all_graphs)
    x = rows.arrays(all_graphs)
    seen: dict[str, tuple[Level, int]] = {}

    def on_graphs(own: Any, leaves: Any) -> Any:
        made = rows.graphs(leaves)
        batch = data.Batch.from_data_list(made)
        output = call(own, batch) if call is not None else _called(own, batch)
        named = output if isinstance(output, Mapping) else {"output": output}
        padded = {
            name: _padded(name, values, leaves, levels, seen) for name, values in named.items()
        }
        return padded if isinstance(output, Mapping) else padded["output"]

    predict = from_torch(module, call=on_graphs, gradients=gradients)
    predict({name: values[:_TRIED] for name, values in x.items()})
    return GraphModel(predict, rows, x, dict(seen), _targets(all_graphs, x))


def _called(module: Any, batch: Any) -> Any:
    """Call a network on a batch, or on what its ``forward`` names."""
    parameters = inspect.signature(module.forward).parameters
    positional = [p for p in parameters.values() if p.kind < p.VAR_POSITIONAL]
    required = [p.name for p in positional if p.default is p.empty]
    optional = [n for n in ("batch", "edge_attr", "edge_weight") if n in parameters]
    if len(required) == 1 and required[0] not in ("x", "z", "pos", "edge_index"):
        return module(batch)
    lacking = [name for name in required if name not in batch]
    if lacking:
        raise ValueError(
            f"forward of {type(module).__name__} takes {required}, and the graphs have no "
            f"{lacking}; pass call=lambda module, batch: module(...)"
        )
    names = [*required, *(n for n in optional if n in batch and n not in required)]
    return module(**{name: batch[name] for name in names})


def _padded(name: str, values: Any, leaves: Any, levels: Any, seen: dict[str, Any]) -> Any:
    """Return an output with rows first, those of padding 0."""
    if not hasattr(values, "detach"):
        return values  # refused by name where outputs are checked
    masks = {"nodes": leaves[NODES].bool(), "edges": leaves[EDGES].bool()}
    lengths = {"graph": len(leaves[NODES]), **{k: int(m.sum()) for k, m in masks.items()}}
    if name not in seen:
        said = levels.get(name) if isinstance(levels, Mapping) else levels
        fits = [k for k, n in lengths.items() if values.ndim and len(values) == n]
        if said is None and len(fits) != 1:
            raise ValueError(
                f"{name!r} has shape {tuple(values.shape)} for {lengths['graph']} graphs with "
                f"{lengths['nodes']} nodes and {lengths['edges']} edges: pass levels='graph', "
                f"'nodes' or 'edges'"
            )
        level = said or fits[0]
        seen[name] = level, values.ndim - 1
    level = seen[name][0]
    if not values.ndim or len(values) != lengths[level]:
        raise ValueError(
            f"{name!r} belongs to the {level} and has shape {tuple(values.shape)} for "
            f"{lengths[level]} of them: pass levels=, or a call= that returns one for each"
        )
    if level == "graph":
        return values
    whole = values.new_zeros((*masks[level].shape, *values.shape[1:]))
    whole[masks[level]] = values
    return whole


def _targets(graphs: list[Any], x: Mapping[str, Array]) -> Any:
    """Return what graphs came with as ``y``, rows first; of nodes, with 0 for padding."""
    each: list[Any] = [getattr(graph, "y", None) for graph in graphs]
    if any(not hasattr(y, "detach") for y in each):
        return None
    arrays = [y.detach().cpu().numpy() for y in each]
    if all(a.shape[:1] == (g.num_nodes,) for a, g in zip(arrays, graphs, strict=True)) and any(
        len(a) > 1 for a in arrays
    ):
        whole = np.zeros((*x[NODES].shape, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, values in zip(whole, arrays, strict=True):
            row[: len(values)] = values
        return whole
    if len({a.shape for a in arrays}) > 1:
        return None
    stacked = np.stack(arrays)
    return stacked[:, 0] if stacked.ndim > 1 and stacked.shape[1] == 1 else stacked
