"""Networks of PyTorch Geometric on graphs; `make test-ecosystem` installs it."""

import numpy as np
import pytest

import equiprob as ep

torch = pytest.importorskip("torch")
data = pytest.importorskip("torch_geometric.data")
DataLoader = pytest.importorskip("torch_geometric.loader").DataLoader
networks = pytest.importorskip("torch_geometric.nn")

Data, GCN = data.Data, networks.GCN

# PyTorch Geometric itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

N = 40


def graphs():
    """Graphs of unequal sizes: without edges, with loops, one-way, with nodes that have none."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(N):
        n, e = rng.integers(2, 8), 0 if i == 3 else rng.integers(9, 20)
        edges = torch.tensor(rng.integers(0, n, (2, e)))
        made.append(
            Data(
                x=torch.tensor(rng.normal(size=(n, 4)), dtype=torch.float32),
                z=torch.tensor(rng.integers(1, 9, n)),
                flag=torch.tensor(rng.random(n) < 0.5),
                pos=torch.tensor(rng.normal(size=(n, 3)), dtype=torch.float32),
                edge_index=edges,
                edge_attr=torch.tensor(rng.normal(size=(e, 2)), dtype=torch.float32),
                total=torch.tensor([[float(n), float(e)]]),
                y=torch.tensor([float(rng.normal())]),
                name=f"graph {i}",
            )
        )
    return made


class Messages(torch.nn.Module):
    """Messages along edges, by all attributes; a fault in the number of a node, or in space."""

    def __init__(self, by_number=0.0, in_space=0.0, by_edge=0.0):
        super().__init__()
        self.faults = by_number, in_space, by_edge
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen = []

    def nodes(self, batch):
        self.seen += batch.to_data_list()
        by_number, in_space, by_edge = self.faults
        source, target = batch.edge_index
        apart = (batch.pos[source] - batch.pos[target]).square().sum(1, keepdim=True)
        sent = torch.tanh(batch.x[source]) * batch.edge_attr[:, :1] / (1 + apart)
        edges = batch.total[:, 1]
        first = (edges.cumsum(0) - edges)[batch.batch[target]]
        sent = sent * (1 + by_edge * (torch.arange(len(target)) - first))[:, None]
        h = torch.zeros_like(batch.x).index_add(0, target, sent)
        h = h + batch.x * batch.z[:, None] * batch.flag[:, None] * batch.total[batch.batch, :1]
        place = torch.arange(len(h)) - batch.ptr[batch.batch]
        return h * (1 + by_number * place[:, None]) + in_space * batch.pos[:, :1]

    def forward(self, batch):
        return networks.global_add_pool(self.nodes(batch) * self.weight, batch.batch)


class OfNodes(Messages):
    def forward(self, batch):
        return self.nodes(batch)


def result(model, transform):
    return ep.ModelEquivarianceError().fit(model.orbits(transform, n_transforms=4))


@pytest.mark.parametrize("network", [Messages, OfNodes])
def test_networks_on_graphs_have_their_symmetries_and_faults_are_seen(network):
    cases = {
        "permutations": {"by_number": 0.1},
        "edge_permutations": {"by_edge": 0.1},
        "rotations": {"in_space": 0.1},
    }
    for name, fault in cases.items():
        model = ep.adapters.from_graphs(network().eval(), graphs())
        transform = getattr(model, name)()
        assert result(model, transform).is_exact
        faulty = ep.adapters.from_graphs(network(**fault).eval(), graphs())
        assert np.quantile(result(faulty, transform).draws["error"], 0.05) > 0.05


def test_the_network_gets_the_graphs_as_they_were():
    network = Messages().eval()
    given = graphs()
    model = ep.adapters.from_graphs(network, given)
    network.seen.clear()
    model(model.x)
    for before, after in zip(given, network.seen, strict=True):
        assert after.num_nodes == before.num_nodes
        for name in ("x", "z", "flag", "pos", "edge_index", "edge_attr", "total"):
            assert torch.equal(after[name], before[name])
            assert after[name].dtype == before[name].dtype
    assert np.array_equal(model.targets, [float(g.y) for g in given])


def test_nodes_without_edges_are_not_lost():
    """Of a graph that only its edges describe, the last nodes may have none."""
    bare = [Data(edge_index=torch.tensor([[0], [1]]), num_nodes=n) for n in (2, 5, 3)]
    count = ep.adapters.from_graphs(
        Messages().eval(),
        bare,
        call=lambda module, batch: torch.bincount(batch.batch)[:, None] * 1.0,
        levels="graph",
    )
    assert count(count.x)[:, 0].tolist() == [2, 5, 3]
    assert (count.orbits(count.permutations(), n_transforms=4).only.pair_sq == 0).all()


@pytest.mark.parametrize("form", [list, data.Batch.from_data_list, lambda g: DataLoader(g, 7)])
def test_lists_batches_and_loaders_are_the_same(form):
    given = [Data(x=g.x, edge_index=g.edge_index) for g in graphs()]
    torch.manual_seed(0)
    network = GCN(4, 8, 2, 3).eval()
    model = ep.adapters.from_graphs(network, form(given))
    assert model.levels == {"output": ("nodes", 1)}
    assert np.array_equal(model.x["x"], ep.adapters.from_graphs(network, given).x["x"])
    with torch.no_grad():
        alone = network(given[0].x, given[0].edge_index)
    # Sums of a few terms in another order: a few roundings of float32.
    np.testing.assert_allclose(model(model.x)[0, : len(alone)], alone, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="not all graphs have a y"):
        _ = model.targets


def test_what_may_turn_is_asked():
    given = graphs()
    for graph in given:
        graph.velocity = torch.ones(graph.num_nodes, 3)
    model = ep.adapters.from_graphs(Messages().eval(), given)
    with pytest.raises(ValueError, match="'velocity' has 3 columns, as vectors have"):
        model.rotations()
    assert result(model, model.rotations(acts_on={"velocity": "vectors"})).is_exact
    with pytest.raises(ValueError, match=r"acts_on names \['speed'\]"):
        model.rotations(acts_on={"velocity": "vectors", "speed": "vectors"})


def test_what_does_not_fit_is_refused():
    network, given = Messages().eval(), graphs()
    with pytest.raises(TypeError, match="graph 0 is a HeteroData"):
        ep.adapters.from_graphs(network, [data.HeteroData(), data.HeteroData()])
    empty = Data(x=torch.zeros(0, 4), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(ValueError, match="graph 1 has no nodes"):
        ep.adapters.from_graphs(network, [given[0], empty])
    with pytest.raises(ValueError, match="graph 1 has the attributes"):
        ep.adapters.from_graphs(network, [given[0], Data(x=given[1].x)])
    with pytest.raises(ValueError, match="training mode"):
        ep.adapters.from_graphs(Messages().train(), given)
    rings = [Data(x=torch.ones(n, 4), edge_index=torch.arange(n).repeat(2, 1)) for n in (3, 4)]
    with pytest.raises(ValueError, match="7 nodes and 7 edges: pass levels="):
        ep.adapters.from_graphs(GCN(4, 8, 2, 3).eval(), rings)
    assert ep.adapters.from_graphs(GCN(4, 8, 2, 3).eval(), rings, levels="nodes").levels
    with pytest.raises(ValueError, match=r"takes \['x', 'edge_index'\], and the graphs have no"):
        ep.adapters.from_graphs(GCN(4, 8, 2).eval(), [Data(edge_index=r.edge_index) for r in rings])
