"""Clusters of atoms in an external field that breaks their symmetry by a known amount.

Six argon atoms that attract each other (Lennard-Jones), each with a charge that feels nothing but a
uniform field along z: ``E = sum_ij 4 eps ((s/r)^12 - (s/r)^6) - field sum_i q_i z_i``. Without the
field energy and forces transform as they should; with it, their equivariance errors are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.seeds import check_seed
from equiprob.orbits.output import Output
from equiprob.transforms.rotation_group import rotation_matrices
from equiprob.transforms.rotations3d import rotations3d
from equiprob.transforms.transform import Transform

Array = NDArray[Any]

_WELL, _SIZE = 10.3, 3.4
"""Argon: depth of the well in meV, and sigma in Å."""

_TEMPERATURE = 3.0
"""In meV (35 K): the clusters shake, and seldom come apart."""

_SWEEPS, _STEP = 400, 0.35
_CHARGES = np.array([1, -1, 1, -1, 1, -1], dtype=np.float32)


@dataclass(frozen=True)
class ClusterTask:
    """Predict the energy and the forces of a cluster.

    Args:
        field: The field, in meV/Å for each unit of charge.
        x: ``positions`` (row, atom, 3) in Å and ``charges`` (row, atom). Their law is invariant.
        y: ``energy`` (row,) in meV and ``forces`` (row, atom, 3) in meV/Å.
    """

    field: float
    x: dict[str, Array]
    y: dict[str, Array]

    @property
    def transform(self) -> Transform:
        """All rotations, acting on positions and forces."""
        return rotations3d(
            acts_on={"positions": "points", "charges": "invariant"},
            output_action={"energy": "invariant", "forces": "vectors"},
        )

    @property
    def outputs(self) -> dict[str, Output]:
        """The units of the outputs, each counted by the atom."""
        n, atoms = self.x["charges"].shape
        return {
            "energy": Output(unit="meV/atom", per=np.full(n, atoms)),
            "forces": Output(unit="meV/Å", per="item"),
        }

    @property
    def error(self) -> dict[str, float]:
        """The data equivariance error of each output, in the units of `outputs`."""
        dipole = np.einsum("na,nai->ni", self.x["charges"], self.x["positions"])
        # Turning a dipole of length d at random changes its z by d sqrt(2/3), root mean square.
        size = np.sqrt(2 / 3 * (dipole.astype(np.float64) ** 2).sum(axis=1).mean())
        atoms = self.x["charges"].shape[1]
        charge = np.sqrt((self.x["charges"] ** 2).mean())
        return {
            "energy": float(self.field * size / atoms),
            "forces": float(self.field * np.sqrt(2) * charge),
        }

    def f_star(self, x: Any) -> dict[str, jax.Array]:
        """The truth (traceable)."""
        return energy_and_forces(partial(true_energy, field=self.field), x)

    def rows(self, chosen: slice) -> ClusterTask:
        """Return the task of some rows."""
        take = lambda tree: {name: leaf[chosen] for name, leaf in tree.items()}  # noqa: E731
        return ClusterTask(self.field, take(self.x), take(self.y))


def energy_and_forces(energy: Any, x: Any) -> dict[str, jax.Array]:
    """Return energies and forces of rows, given ``energy(positions, charges)`` of one."""
    values, slopes = jax.vmap(jax.value_and_grad(energy))(x["positions"], x["charges"])
    return {"energy": values, "forces": -slopes}


def pair_distances(positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return vectors to all other atoms ``(atom, atom, 3)`` and their lengths, 1 for itself."""
    vectors = positions[None] - positions[:, None]
    itself = jnp.eye(len(positions), dtype=bool)
    return vectors, jnp.sqrt(jnp.where(itself, 1.0, (vectors**2).sum(-1)))


def true_energy(positions: jax.Array, charges: jax.Array, *, field: Any = 0.0) -> jax.Array:
    """Return the energy of one cluster, in meV."""
    _, distance = pair_distances(positions)
    attraction = (_SIZE / distance) ** 6
    pairs = jnp.where(jnp.eye(len(positions), dtype=bool), 0.0, attraction**2 - attraction)
    return 2 * _WELL * pairs.sum() - field * (charges @ positions[:, 2])


@jax.jit
def _shaken(key: jax.Array, start: jax.Array) -> jax.Array:
    """Return clusters ``(row, atom, 3)`` from the Boltzmann law without field, by Metropolis."""
    energy = jax.vmap(partial(true_energy, charges=jnp.asarray(_CHARGES)))
    n, atoms = start.shape[:2]

    def step(state: Any, t: jax.Array) -> tuple[Any, None]:
        positions, now = state
        move, accept = jax.random.split(jax.random.fold_in(key, t))
        shift = _STEP * jax.random.normal(move, (n, 3))
        proposed = positions.at[:, t % atoms].add(shift)
        then = energy(proposed)
        kept = jnp.log(jax.random.uniform(accept, (n,))) < (now - then) / _TEMPERATURE
        positions = jnp.where(kept[:, None, None], proposed, positions)
        return (positions, jnp.where(kept, then, now)), None

    return jax.lax.scan(step, (start, energy(start)), jnp.arange(_SWEEPS * atoms))[0][0]


def cluster_task(n: int, *, field: float = 1.0, seed: int = 0) -> ClusterTask:
    """Return a task of `n` independent clusters.

    Args:
        n: Rows.
        field: The field, in meV/Å for each unit of charge; 0 makes the task exactly symmetric.
        seed: Seed of the clusters.

    Returns:
        The task. Every cluster starts as an octahedron, is shaken at 35 K without the field, and is
        turned at random, so that the law of the inputs is invariant.
    """
    axes = np.concatenate([np.eye(3), -np.eye(3)]) * _SIZE * 2 ** (1 / 6) / np.sqrt(2)
    start = np.broadcast_to(axes, (n, 6, 3)).astype(np.float32)
    key = jax.random.key(check_seed(seed))
    shaken = np.asarray(_shaken(key, jnp.asarray(start)), dtype=np.float64)
    centred = shaken - shaken.mean(axis=1, keepdims=True)
    turns = rotations3d().sample_many(np.random.default_rng(seed), n)
    turned = centred @ np.swapaxes(rotation_matrices(turns), 1, 2)
    x = {
        "positions": turned.astype(np.float32),
        "charges": np.broadcast_to(_CHARGES, (n, 6)).copy(),
    }
    truth = energy_and_forces(partial(true_energy, field=field), jax.tree.map(jnp.asarray, x))
    return ClusterTask(field, x, {name: np.asarray(values) for name, values in truth.items()})
