"""Force fields for clusters of atoms: one that is equivariant by construction, and a plain one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.arguments.seeds import check_seed
from equiprob.testing.adam import adam
from equiprob.testing.clusters import ClusterTask, energy_and_forces, pair_distances
from equiprob.transforms.extras import require

_CHANNELS = 8
_CENTRES = np.linspace(2.5, 7.5, 8)
_SCALE = 3.8
"""A typical distance, in Å."""

_FORCE_WEIGHT = 10.0
_BATCH = 64

Energy = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""``energy(parameters, positions, charges)`` of one cluster."""


@final
@dataclass(frozen=True, eq=False)
class ForceField:
    """Energies and forces of clusters, ``{"positions", "charges"} -> {"energy", "forces"}``.

    Args:
        energy: The energy of one cluster, of mean 0 and in units of `scale`.
        parameters: Its parameters.
        mean: Mean energy, in meV.
        scale: In meV.
    """

    energy: Energy
    parameters: Any
    mean: float
    scale: float

    def __call__(self, x: Any) -> dict[str, jax.Array]:
        """Return energies (meV) and forces (meV/Å) of rows (traceable)."""
        predicted = energy_and_forces(partial(self.energy, self.parameters), x)
        return {
            "energy": self.mean + self.scale * predicted["energy"],
            "forces": self.scale * predicted["forces"],
        }


def _layers(key: jax.Array, widths: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    shapes = list(pairwise(widths))
    keys = jax.random.split(key, len(shapes))
    return [
        (jax.random.normal(k, s) / jnp.sqrt(s[0]), jnp.zeros(s[1]))
        for k, s in zip(keys, shapes, strict=True)
    ]


def _dense(layers: Any, values: jax.Array) -> jax.Array:
    for weight, bias in layers[:-1]:
        values = jax.nn.silu(values @ weight + bias)
    return values @ layers[-1][0] + layers[-1][1]


def plain_energy(parameters: Any, positions: jax.Array, charges: jax.Array) -> jax.Array:
    """A network of each pair of atoms, which takes the direction of one to the other as it is."""
    vectors, distance = pair_distances(positions)
    others = 1.0 - jnp.eye(len(positions), dtype=positions.dtype)
    each = jnp.broadcast_to(charges[:, None], distance.shape)
    pair = jnp.stack([_SCALE / distance, each, each.T], axis=-1)
    pair = jnp.concatenate([vectors / _SCALE, pair, pair[..., :1] ** 6], axis=-1)
    return (_dense(parameters, pair)[..., 0] * others).sum()


def equivariant_energy(parameters: Any, positions: jax.Array, charges: jax.Array) -> jax.Array:
    """Spherical harmonics of neighbours, their invariant products, and a network of these."""
    e3nn = require("e3nn_jax", extra="e3nn")
    vectors, distance = pair_distances(positions)
    others = 1.0 - jnp.eye(len(positions), dtype=positions.dtype)
    near = jnp.exp(-((distance[..., None] - _CENTRES.astype(np.float32)) ** 2)) * others[..., None]
    pair = jnp.concatenate([near, near * (charges[:, None] * charges)[..., None]], axis=-1)
    weights = (pair @ parameters["radial"]).reshape(*distance.shape, _CHANNELS, 3)
    scalars = []
    for degree, parity in enumerate("eoe"):
        # Of an atom and itself the direction is none, and the weight 0.
        directions = vectors + jnp.eye(len(positions), dtype=positions.dtype)[..., None]
        harmonic = e3nn.spherical_harmonics(f"1x{degree}{parity}", directions, normalize=True)
        summed = jnp.einsum("ijc,ijm->icm", weights[..., degree], harmonic.array)
        feature = e3nn.IrrepsArray(f"{_CHANNELS}x{degree}{parity}", summed.reshape(len(summed), -1))
        scalars.append(e3nn.tensor_product(feature, feature, filter_ir_out=["0e"]).array)
    return _dense(parameters["readout"], jnp.concatenate(scalars, axis=-1)).sum()


def _started(kind: str, key: jax.Array) -> tuple[Energy, Any]:
    if kind == "plain":
        return plain_energy, _layers(key, (7, 64, 64, 1))
    radial, readout = jax.random.split(key)
    size = 2 * len(_CENTRES)
    return equivariant_energy, {
        "radial": jax.random.normal(radial, (size, 3 * _CHANNELS)) / np.sqrt(size),
        "readout": _layers(readout, (3 * _CHANNELS**2, 32, 1)),
    }


def force_field(
    task: ClusterTask,
    *,
    kind: str = "equivariant",
    n_steps: int = 1000,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> ForceField:
    """Train a force field on the rows of a task.

    Args:
        task: The training rows.
        kind: ``"equivariant"`` (needs the extra ``e3nn``) or ``"plain"``.
        n_steps: Steps of Adam, of 64 rows each; 0 leaves it as it is initialized.
        learning_rate: The largest rate.
        seed: Seed of the initialization and of the batches.

    Returns:
        The force field.

    Raises:
        ValueError: If `kind` is not known.
        ImportError: Without the extra, where it is needed.
    """
    if kind not in ("equivariant", "plain"):
        raise ValueError(f"kind must be 'equivariant' or 'plain', got {kind!r}")
    n, atoms = task.x["charges"].shape
    key = jax.random.key(check_seed(seed))
    energy, start = _started(kind, jax.random.fold_in(key, n_steps))
    scale = float(task.y["forces"].std())
    mean = float(task.y["energy"].mean())
    x, y = jax.tree.map(jnp.asarray, (task.x, task.y))

    def loss(parameters: Any, rows: jax.Array) -> jax.Array:
        batch, energies, forces = (
            {name: leaf[rows] for name, leaf in x.items()},
            (y["energy"][rows] - mean) / scale,
            y["forces"][rows] / scale,
        )
        predicted = energy_and_forces(partial(energy, parameters), batch)
        energy_loss = ((predicted["energy"] - energies) ** 2).mean() / atoms
        return energy_loss + _FORCE_WEIGHT * ((predicted["forces"] - forces) ** 2).mean()

    def gradient(parameters: Any, t: jax.Array) -> Any:
        rows = jax.random.randint(jax.random.fold_in(key, t), (_BATCH,), 0, n)
        return jax.grad(loss)(parameters, rows)

    if n_steps:
        train = partial(adam, gradient, n_steps=n_steps, learning_rate=learning_rate)
        start = jax.jit(train)(start)
    return ForceField(energy, start, mean, scale)
