"""An averaged ONNX model as one ONNX graph: move the rows, run the model, move back, and average.

For each transformation, moving a row is a linear map and a shift of its numbers. Both are read off
by moving unit vectors, and become nodes that gather numbers and add them up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import NDArray
from onnx import (  # pyright: ignore[reportMissingImports] - an optional extra
    TensorProto,
    compose,
    helper,
    numpy_helper,
)

if TYPE_CHECKING:
    from equiprob.levels.predictor import AveragedPredictor

_MOST = 16_384
"""Numbers of a leaf or of an output that are moved one by one at most."""

_AT_ONCE = 2**24
"""Numbers that are moved in one call."""

_TOLERANCE = 1e-4
"""Difference between the graph and the average, relative to the largest output, at most."""


@dataclass(frozen=True)
class _Maps:
    """Linear maps of rows of `size` numbers, one for each transformation.

    Args:
        places: Which numbers are added up, ``(transformation, number, term)``.
        factors: What each is multiplied by, of the same shape.
        shifts: What is added, ``(transformation, number)``.
    """

    places: NDArray[np.int64]
    factors: NDArray[np.float32]
    shifts: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return self.places.shape[1]


def _maps(
    name: str, moves: list[Callable[[Any], Any]], shape: tuple[int, ...], dtype: Any
) -> _Maps:
    """Return the maps of functions of arrays ``(row, *shape)``."""
    size = int(np.prod(shape, dtype=np.int64))
    if size > _MOST:
        raise ValueError(
            f"{name} has {size} numbers a row, and at most {_MOST} can be averaged within a graph; "
            f"average a PyTorch module, and export that by torch.onnx.export"
        )
    block = max(1, _AT_ONCE // max(size, 1))
    parts, shifts = [], []
    for move in moves:
        shift = np.asarray(move(np.zeros((1, *shape), dtype))).reshape(size)
        terms = []
        for start in range(0, size, block):
            units = np.eye(min(block, size - start), size, start, dtype=dtype)
            moved = np.asarray(move(units.reshape(-1, *shape))).reshape(len(units), size) - shift
            source, target = np.nonzero(moved)
            terms.append((source + start, target, moved[source, target]))
        parts.append([np.concatenate(each) for each in zip(*terms, strict=True)])
        shifts.append(shift)
    most = max((int(np.bincount(t, minlength=1).max()) for _, t, _ in parts if len(t)), default=1)
    places = np.zeros((len(moves), size, most), np.int64)
    factors = np.zeros((len(moves), size, most), np.float32)
    for k, (source, target, factor) in enumerate(parts):
        order = np.argsort(target, kind="stable")
        source, target, factor = source[order], target[order], factor[order]
        term = np.arange(len(target)) - np.searchsorted(target, target)
        places[k, target, term], factors[k, target, term] = source, factor
    return _Maps(places, factors, np.stack(shifts).astype(np.float32))


class _Nodes:
    """Nodes and constants of a graph in the making."""

    def __init__(self, prefix: str, opset: int) -> None:
        """Begin; all names start with the prefix."""
        self.prefix, self.opset = prefix, opset
        self.nodes, self.constants = list[Any](), list[Any]()

    def constant(self, value: Any, dtype: Any) -> str:
        """Add a constant, and return its name."""
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        output = output or f"{self.prefix}n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def reshaped(self, name: str, *shape: int, output: str = "") -> str:
        """Add a change of shape."""
        return self.add("Reshape", name, self.constant(shape, np.int64), output=output)

    def summed(self, name: str, *axes: int) -> str:
        """Add a sum over axes, which vanish."""
        if self.opset < 13:
            return self.add("ReduceSum", name, axes=list(axes), keepdims=0)
        return self.add("ReduceSum", name, self.constant(axes, np.int64), keepdims=0)


def averaged_graph(
    average: AveragedPredictor, model: Any, names: list[str], outputs: list[str], x: Any
) -> Any:
    """Return the graph of an average, with the inputs and outputs of the model's own.

    Args:
        average: The average.
        model: The ``onnx.ModelProto`` of the model that it is of.
        names: Names of the model's inputs, in the order of the leaves.
        outputs: Names of its outputs that are averaged.
        x: A few rows.

    Raises:
        ValueError: If the graph does not say what the average says, on these rows.
    """
    keep, shares = average.keep, (1 - average.keep) * average.weights
    if keep != 0:
        shares = np.append(shares, keep)
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    inner = compose.add_prefix(model, "model/")
    before, after = _Nodes("before/", opset), _Nodes("after/", opset)
    leaves, treedef = jax.tree.flatten(x)
    entries = {each.name: each for each in model.graph.input}
    for place, (name, leaf) in enumerate(zip(names, leaves, strict=True)):
        moved = _moved_rows(average, treedef, leaves, place)
        _copies(before, name, np.asarray(leaf), moved, entries[name])
    predicted = average.predict(x)
    arrays = predicted if isinstance(predicted, dict) else {outputs[0]: predicted}
    for name in outputs:
        _mean(after, name, np.asarray(arrays[name]), _moved_back(average, x, arrays, name), shares)
    ends = {each.name: each for each in model.graph.output}
    graph = helper.make_graph(
        [*before.nodes, *inner.graph.node, *after.nodes],
        "average",
        [each for each in model.graph.input if each.name in names],
        [_of_rows(ends[name], np.asarray(arrays[name])) for name in outputs],
        [*before.constants, *inner.graph.initializer, *after.constants],
    )
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    made.functions.extend(inner.functions)
    return made


def _moved_rows(
    average: AveragedPredictor, treedef: Any, leaves: list[Any], place: int
) -> list[Callable[[Any], Any]]:
    """Return what each transformation does to a leaf, beside the other leaves of the first row."""

    def of(parameter: Any) -> Callable[[Any], Any]:
        def move(rows: Any) -> Any:
            beside = [np.repeat(np.asarray(leaf)[:1], len(rows), axis=0) for leaf in leaves]
            beside[place] = rows
            x = treedef.unflatten(beside)
            return jax.tree.leaves(average.transform.on(x).at(parameter).move(x))[place]

        return move

    return [of(each) for each in average.parameters] + [lambda rows: rows] * (average.keep != 0)


def _moved_back(
    average: AveragedPredictor, x: Any, outputs: dict[str, Any], name: str
) -> list[Callable[[Any], Any]]:
    """Return how each transformation takes an output back, beside the others of the first row."""

    def of(parameter: Any) -> Callable[[Any], Any]:
        def back(values: Any) -> Any:
            n = len(values)
            beside = {k: np.repeat(np.asarray(v)[:1], n, axis=0) for k, v in outputs.items()}
            beside[name] = values
            whole = beside if isinstance(average.predict(x), dict) else values
            rows = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[:1], n, axis=0), x)
            returned = average.transform.on(output=whole).at(parameter).back(whole, rows)
            return returned[name] if isinstance(returned, dict) else returned

        return back

    return [of(each) for each in average.parameters] + [lambda rows: rows] * (average.keep != 0)


def _copies(
    nodes: _Nodes, name: str, leaf: NDArray[Any], moves: list[Callable[[Any], Any]], entry: Any
) -> None:
    """Add the nodes that make of a batch all its transformed copies, row by row."""
    shape = leaf.shape[1:]
    kind = entry.type.tensor_type
    size = int(np.prod(shape, dtype=np.int64))
    taken = [d.dim_value for d in kind.shape.dim][1:]
    inner = tuple(taken) if all(taken) and len(taken) else shape
    flat = nodes.reshaped(name, -1, size)
    if not np.issubdtype(leaf.dtype, np.floating):
        if any(not np.array_equal(move(leaf), leaf) for move in moves):
            raise ValueError(f"{name} holds whole numbers that move, which no graph of ours does")
        wide = nodes.add("Tile", flat, nodes.constant([1, len(moves)], np.int64))
        nodes.reshaped(wide, -1, *inner, output=f"model/{name}")
        return
    maps = _maps(name, moves, shape, leaf.dtype)
    copies, terms = len(moves), maps.places.shape[-1]
    single = nodes.add("Cast", flat, to=1)
    gathered = nodes.add(
        "Gather", single, nodes.constant(maps.places.reshape(-1), np.int64), axis=1
    )
    apart = nodes.reshaped(gathered, -1, copies, size, terms)
    weighed = nodes.add("Mul", apart, nodes.constant(maps.factors, np.float32))
    moved = nodes.add("Add", nodes.summed(weighed, 3), nodes.constant(maps.shifts, np.float32))
    rows = nodes.reshaped(moved, -1, *inner)
    nodes.add("Cast", rows, output=f"model/{name}", to=kind.elem_type)


def _mean(
    nodes: _Nodes,
    name: str,
    output: NDArray[Any],
    moves: list[Callable[[Any], Any]],
    shares: NDArray[np.float64],
) -> None:
    """Add the nodes that take all outputs back and average them."""
    if not np.issubdtype(output.dtype, np.floating):
        raise ValueError(f"{name} holds whole numbers, which have no average: choose other outputs")
    shape = output.shape[1:]
    maps = _maps(name, moves, shape, output.dtype)
    copies, size, terms = maps.places.shape
    whole = nodes.reshaped(nodes.add("Cast", f"model/{name}", to=1), -1, copies * size)
    places = maps.places + size * np.arange(copies)[:, None, None]
    gathered = nodes.add("Gather", whole, nodes.constant(places.reshape(-1), np.int64), axis=1)
    apart = nodes.reshaped(gathered, -1, copies, size, terms)
    factors = maps.factors * shares[:, None, None]
    weighed = nodes.add("Mul", apart, nodes.constant(factors, np.float32))
    shift = (shares[:, None] * maps.shifts).sum(axis=0)
    mean = nodes.add("Add", nodes.summed(weighed, 1, 3), nodes.constant(shift, np.float32))
    nodes.reshaped(mean, -1, *shape, output=name)


def _of_rows(described: Any, output: NDArray[Any]) -> Any:
    """Return the description of an output that has single precision."""
    shape = ["row", *output.shape[1:]]
    return helper.make_tensor_value_info(described.name, TensorProto.FLOAT, shape)


def check_agreement(average: AveragedPredictor, graph: Callable[[Any], Any], x: Any) -> None:
    """Raise a ValueError unless a graph says what an average says on a few rows."""
    wanted, found = (jax.tree.leaves(each(x)) for each in (average, graph))
    for one, other in zip(wanted, found, strict=True):
        apart = float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max())
        size = float(np.abs(one).max())
        if not apart <= _TOLERANCE * max(size, 1e-30):
            raise ValueError(
                f"the graph differs from the average by {apart:.3g}, of outputs up to {size:.3g}: "
                f"rows move in a way that depends on them, or outputs depend on the batch; average "
                f"a PyTorch module, and export that by torch.onnx.export"
            )
