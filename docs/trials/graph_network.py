"""A network of PyTorch Geometric."""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN

torch.manual_seed(0)
graphs = []
for n in (3, 5, 8, 4, 6, 7) * 10:
    graphs.append(Data(x=torch.randn(n, 4), edge_index=torch.randint(0, n, (2, 3 * n))))
network = GCN(4, hidden_channels=16, num_layers=2, out_channels=1).eval()

# ---- equiprob ----
import equiprob as ep

model = ep.adapters.from_graphs(network, graphs)
orbits = model.orbits(model.permutations(), n_transforms=8)
result = ep.ModelEquivarianceError().fit(orbits)
result.plot().savefig("figure.png")
