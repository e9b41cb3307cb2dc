"""Valid calls of adapters and of the callables they make, an argument of which a test replaces."""

import importlib.util
import tempfile
from pathlib import Path

import jax
from flax import nnx
from fuzz_calls import PASS, TURN, W, X, Y
from onnx_files import linear_file
from sklearn.linear_model import Ridge

import equiprob as ep


def evaluated(adapter, *rows):
    """Return a function that makes a callable and evaluates it on rows."""

    def evaluate(x, y, **named):
        return ep.evaluate_orbits(adapter(**named), x, TURN, y=y, **PASS)

    return evaluate


with tempfile.TemporaryDirectory() as folder:
    MODEL = linear_file(Path(folder) / "m.onnx", W).read_bytes()

ROWS = {"x": X, "y": Y}
ADAPTERS = {
    "from_sklearn": ({"estimator": Ridge().fit(X, Y), "method": None}),
    "from_onnx": ({"model": MODEL, "outputs": None}),
    "from_equinox": ({"module": lambda row: jax.numpy.asarray(row) @ W, "takes_batches": False}),
    "from_flax": ({"module": nnx.Linear(2, 2, rngs=nnx.Rngs(0))}),
}
if importlib.util.find_spec("torch"):
    import torch

    ADAPTERS["from_torch"] = {
        "module": torch.nn.Linear(2, 2).eval(),
        "call": None,
        "device": None,
        "dtype": None,
    } | {"gradients": False}
ADAPTER_CALLS = {
    f"{name} on rows": (evaluated(getattr(ep.adapters, name)), ROWS | settings)
    for name, settings in ADAPTERS.items()
}
