"""A network of e3nn for PyTorch, whose outputs are irreps."""

import numpy as np
import torch
from e3nn import o3

torch.manual_seed(0)
irreps_in, irreps_out = o3.Irreps("2x0e + 2x1o"), o3.Irreps("1x0e + 1x1o + 1x2e")
layer = o3.FullyConnectedTensorProduct(irreps_in, irreps_in, irreps_out).eval()
x = np.random.default_rng(0).normal(size=(200, irreps_in.dim)).astype(np.float32)

# ---- equiprob ----
import equiprob as ep

predict = ep.adapters.from_torch(layer, call=lambda module, rows: module(rows, rows))
turns = ep.transforms.rotations3d(acts_on=irreps_in, output_action=irreps_out)
result = ep.ModelEquivarianceError().fit(ep.evaluate_orbits(predict, x, turns))
result.plot().savefig("figure.png")
