"""Graphs of PyTorch Geometric as arrays with rows first, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.extras import require

Array = NDArray[Any]

Place = Literal["nodes", "edges", "indices", "graph"]
"""What an attribute belongs to; indices are numbers of nodes, edges or faces on the last axis."""

NODES, EDGES = "node_mask", "edge_mask"
"""Leaves that say which nodes and edges are no padding."""

_LEFT_OUT = ("y", "batch", "ptr", "num_nodes")


@final
@dataclass(frozen=True, eq=False)
class GraphRows:
    """How graphs become a dict of arrays, and rows of it graphs again.

    Args:
        places: What each attribute belongs to.
    """

    places: Mapping[str, Place]

    @classmethod
    def of(cls, graphs: Sequence[Any]) -> GraphRows:
        """Return how these graphs become arrays.

        Raises:
            ValueError: If attributes are missing in some, are sparse, or it is not known what they
                belong to.
        """
        names = [n for n in _tensors(graphs[0]) if n not in _LEFT_OUT]
        for i, graph in enumerate(graphs):
            there = {n for n in _tensors(graph) if n not in _LEFT_OUT}
            if there != set(names):
                raise ValueError(
                    f"graph {i} has the attributes {sorted(there)}, and graph 0 {sorted(names)}: "
                    f"give all graphs the same"
                )
        if "edge_index" not in names:
            raise ValueError(
                f"the graphs have no edge_index, but {sorted(names)}; an adj_t is made one by "
                f"edge_index = torch.stack(data.adj_t.coo()[:2])"
            )
        return cls({name: _place(name, graphs) for name in names})

    def arrays(self, graphs: Sequence[Any]) -> dict[str, Array]:
        """Return graphs as arrays, rows first, with padding that the masks tell."""
        n_nodes = np.array([int(graph.num_nodes) for graph in graphs])
        n_edges = np.array([int(graph.num_edges) for graph in graphs])
        x = {
            NODES: np.arange(n_nodes.max()) < n_nodes[:, None],
            EDGES: np.arange(max(n_edges.max(), 1)) < n_edges[:, None],
        }
        for name, place in self.places.items():
            each = [_array(graph[name]) for graph in graphs]
            if place == "graph":
                x[name] = np.stack(each)
                continue
            each = [array.T for array in each] if place == "indices" else each
            longest = max(1, *map(len, each))
            padding = -1 if place == "indices" else 0
            shape = (len(each), longest, *each[0].shape[1:])
            x[name] = np.full(shape, padding, np.result_type(*each))
            for row, values in zip(x[name], each, strict=True):
                row[: len(values)] = values
        return x

    def graphs(self, leaves: Mapping[str, Any]) -> list[Any]:
        """Return rows of tensors as graphs, without what is padding."""
        data = require("torch_geometric.data", extra="graphs")
        made = []
        for row in range(len(leaves[NODES])):
            nodes, edges = leaves[NODES][row].bool(), leaves[EDGES][row].bool()
            number = nodes.cumsum(0) - 1  # of each place among the nodes that there are
            # Said, not counted: the last nodes may have no edge.
            graph = data.Data(num_nodes=int(nodes.sum()))
            for name, place in self.places.items():
                values = leaves[name][row]
                values = values if values.is_floating_point() else _whole(values)
                if place == "nodes":
                    values = values[nodes]
                elif place == "edges":
                    values = values[edges]
                elif place == "indices":
                    there = (values >= 0).all(dim=-1)
                    values = number[values[there]].T.contiguous()
                graph[name] = values
            made.append(graph)
        return made


def listed(graphs: Any) -> list[Any]:
    """Return the graphs of a list, a dataset, a batch or a loader.

    Raises:
        TypeError: If they are none of PyTorch Geometric, or have several kinds of nodes.
    """
    if hasattr(graphs, "to_data_list"):
        return graphs.to_data_list()
    if not isinstance(graphs, Iterable):
        raise TypeError(f"graphs must be a list of Data, a Batch or a loader, got {graphs!r:.80}")
    found: list[Any] = []
    for one in graphs:
        found += one.to_data_list() if hasattr(one, "to_data_list") else [one]
    for i, graph in enumerate(found):
        if hasattr(graph, "node_types"):
            raise TypeError(
                f"graph {i} is a HeteroData; pass homogeneous graphs (data.to_homogeneous()), or a "
                f"dict of arrays to evaluate_orbits, declared as the page on graphs says"
            )
        if not hasattr(graph, "edge_index"):
            raise TypeError(
                f"graphs must be Data of torch_geometric, got a {type(graph).__name__} at {i}"
            )
        if not graph.num_nodes:
            raise ValueError(f"graph {i} has no nodes; leave it out")
    return found


def _tensors(graph: Any) -> list[str]:
    """Return the names of attributes that are tensors; names, SMILES and the like are none."""
    return [name for name, values in graph if hasattr(values, "detach")]


def _array(values: Any) -> Array:
    if values.is_sparse:
        raise ValueError("sparse tensors cannot be moved; pass edge_index")
    return values.detach().cpu().numpy()


def _whole(values: Any) -> Any:
    """Return whole numbers as networks expect them; booleans stay."""
    return values if str(values.dtype) == "torch.bool" else values.long()


def _place(name: str, graphs: Sequence[Any]) -> Place:
    """Return what an attribute belongs to, as its lengths and its name say.

    Raises:
        ValueError: If they do not.
    """
    if any(int(np.max(_array_of(graph.__inc__(name, graph[name])))) > 0 for graph in graphs):
        return "indices"
    lengths = [tuple(graph[name].shape[:1]) for graph in graphs]
    of_nodes = lengths == [(graph.num_nodes,) for graph in graphs]
    of_edges = lengths == [(graph.num_edges,) for graph in graphs]
    if of_nodes and of_edges:
        return "edges" if name.startswith("edge") else "nodes"
    if of_nodes or of_edges:
        return "nodes" if of_nodes else "edges"
    shapes = {tuple(graph[name].shape) for graph in graphs}
    if len(shapes) == 1:
        return "graph"
    raise ValueError(
        f"{name!r} has the shapes {sorted(shapes)[:4]}, which are no numbers of nodes or edges: "
        f"delete it (del data[{name!r}]) if the model does not read it"
    )


def _array_of(values: Any) -> Array:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
