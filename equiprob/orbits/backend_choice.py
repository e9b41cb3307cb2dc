"""Which way is a model called on the transformed inputs of one chunk of rows?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from equiprob.arguments.lending import Lent
from equiprob.orbits.backend import AbstractBackend, n_rows
from equiprob.orbits.jax_backend import JaxBackend
from equiprob.orbits.noise import Noise
from equiprob.orbits.programs import trace
from equiprob.orbits.python_backend import PythonBackend
from equiprob.orbits.torch_backend import TorchBackend
from equiprob.orbits.torch_memory import TorchModel
from equiprob.transforms.acting import Moves
from equiprob.transforms.transform import Transform

_moved = jax.jit(Moves.move)
"""Compiled, so that what has been traced once is known."""


class Untraceable(ValueError):
    """JAX was asked for, and cannot trace the model or the action: its cause says why."""


def choose_backend(
    predict: Callable[..., Any],
    transform: Transform,
    x: Any,
    backend: str,
    noise: Noise | None = None,
    computed_in: Mapping[Any, Any] | None = None,
    *,
    batch_dependent: bool = False,
    looked_at: int | None = None,
) -> AbstractBackend:
    """Return the backend for a model, given one chunk `x`. Stochastic models stay in Python.

    "auto" leaves PyTorch models that are not on the CPU where they are.
    "auto" takes JAX if the model and the action can be traced. A model that is given float64 NumPy
    rows while JAX computes in float32, and returns NumPy arrays, is NumPy code that happens to
    trace: it stays in NumPy, in float64.

    Args:
        predict: The model.
        transform: The transform.
        x: One chunk.
        backend: As the user asked for it.
        noise: Of a stochastic model.
        computed_in: The precision that outputs were declared to be computed in, by name.
        batch_dependent: Whether outputs may depend on the batch that rows come in.
        looked_at: How many rows a look at the model may evaluate; None: all of `x`.

    Raises:
        ValueError: If `backend` is unknown; if the model is not repeatable, or depends on the
            batch.
        Untraceable: If "jax" was asked for and tracing fails.
    """
    if backend not in ("auto", "jax", "python", "torch"):
        raise ValueError(f"backend must be 'auto', 'jax', 'python' or 'torch', got {backend!r}")
    is_torch = isinstance(predict, TorchModel)
    if backend == "torch" and not is_torch:
        raise ValueError(
            "backend='torch' was asked for, but predict is no PyTorch module: pass what "
            "ep.adapters.from_torch(module.eval()) returns, or leave backend out"
        )
    if noise is not None and backend == "jax":
        raise ValueError(
            "a stochastic model is called from Python: leave backend out (predict may be jitted)"
        )
    options: dict[str, Any] = {
        "computed_in": computed_in,
        "batch_dependent": batch_dependent,
        "looked_at": looked_at,
    }
    python = partial(PythonBackend, predict, transform, x, **options)
    acting = transform.on(x)
    resizes = acting.changes_shape or acting.makes_rows
    if resizes and backend in ("jax", "torch"):
        raise ValueError(
            f"{transform} changes the shape of rows: leave backend out (predict may be jitted)"
        )
    on_device = is_torch and predict.place.type != "cpu" and not resizes
    if is_torch and (backend == "torch" or (backend == "auto" and on_device)):
        return TorchBackend(predict, transform, x, noise, **options)
    if backend == "python" or noise is not None or resizes:
        return python(noise=noise)
    identity = np.broadcast_to(transform.identity, (n_rows(x), *transform.identity.shape))
    moves = acting.at(identity)
    try:
        jax.eval_shape(_moved, moves, x)
        traced = trace(predict, x)
    except Exception as error:
        if backend == "jax":
            raise Untraceable(
                f"backend='jax' was asked for, but JAX cannot trace predict or the action: {error}"
            ) from error
        return python()
    narrowed = any(
        isinstance(leaf, np.ndarray) and jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype
        for leaf in jax.tree.leaves(x)
        if np.issubdtype(leaf.dtype, np.floating)
    )
    if backend == "auto" and narrowed:
        returned = jax.tree.leaves(predict(Lent.of(x).x))
        if all(isinstance(leaf, np.ndarray) for leaf in returned):
            return python()
    return JaxBackend(predict, transform, x, traced, **options)
