"""Rows that are steps of a trajectory or copies of others are told from independent ones."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import equiprob as ep
from equiprob.geometry.alike_rows import are_alike
from equiprob.posterior.diagnostics import Diagnostic

TURNS = ep.transforms.rotations2d(acts_on="vectors")
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")


def table(x, transform=TURNS, **options):
    def first(rows):
        return 0.5 + 0.5 * np.tanh(np.asarray(rows).reshape(len(rows), -1)[:, 0])

    return ep.evaluate_orbits(
        first, x, transform, n_transforms=2, backend="python", keep="all", **options
    )


def walk(g, n):
    return np.cumsum(g.normal(size=(n, 2)), axis=0)


def remembering(g, n, memory=0.8):
    x = g.normal(size=(n, 2))
    for k in range(1, n):
        x[k] = memory * x[k - 1] + np.sqrt(1 - memory**2) * x[k]
    return x


def on_a_ring(g, n):
    angle = g.uniform(-np.pi, np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def in_clusters(g, n):
    return 5 * g.normal(size=(5, 2))[g.integers(5, size=n)] + 0.1 * g.normal(size=(n, 2))


def turned_copies(g, n):
    angle = g.uniform(-np.pi, np.pi, n)
    turned = Rotation.from_rotvec(angle[:, None] * [0, 0, 1]).apply(
        np.column_stack([np.repeat(g.normal(size=(n // 4, 2)), 4, axis=0), np.zeros(n)])
    )
    return g.permutation(turned[:, :2])


INDEPENDENT = {
    "normal": lambda g, n: g.normal(size=(n, 2)),
    "heavy tails": lambda g, n: g.standard_t(1.5, size=(n, 2)),
    "on a ring": on_a_ring,
    "in clusters": in_clusters,
    "whole numbers": lambda g, n: g.poisson(3.0, size=(n, 2)).astype(float),
    "on a grid": lambda g, n: g.normal(size=(n, 2)).round(1),
    "two values": lambda g, n: g.integers(2, size=(n, 2)).astype(float),
    "one point": lambda _, n: np.ones((n, 2)),
    "huge": lambda g, n: 1e150 * g.normal(size=(n, 2)),
}
DEPENDENT = {
    "a random walk": walk,
    "rows with a memory": remembering,
    "copies with noise": lambda g, n: g.permutation(
        np.repeat(g.normal(size=(n // 4, 2)), 4, axis=0) + 1e-3 * g.normal(size=(n, 2))
    ),
    "exact copies": lambda g, n: g.permutation(np.repeat(g.normal(size=(n // 2, 2)), 2, axis=0)),
    "turned copies": turned_copies,
    "sorted rows": lambda g, n: np.sort(g.normal(size=(n, 2)), axis=0),
}


@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_rows_are_not_found_alike(name, n):
    # Mean ranks are five standard deviations away, gaps of half of the rows four.
    assert not are_alike(table(INDEPENDENT[name](np.random.default_rng(n), n)))


@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("name", DEPENDENT)
def test_steps_and_copies_are_found(name, n):
    assert are_alike(table(DEPENDENT[name](np.random.default_rng(n), n)))


def test_groups_of_copies_and_of_trajectories_are_independent():
    g, which = np.random.default_rng(0), np.repeat(np.arange(100), 4)
    copies = np.repeat(g.normal(size=(100, 2)), 4, axis=0) + 1e-3 * g.normal(size=(400, 2))
    assert are_alike(table(copies))
    assert not are_alike(table(copies, groups=which))
    steps = np.cumsum(g.normal(size=(100, 4, 2)), axis=1).reshape(400, 2)
    assert not are_alike(table(steps, groups=which))


def test_certificates_and_maps_say_it():
    g = np.random.default_rng(0)
    for x, said in ((walk(g, 120), True), (g.normal(size=(120, 2)), False)):
        y = (x[:, 0] > 0).astype(float)
        orbits = table(x, QUARTERS, y=y)
        results = (
            ep.certify(orbits, bound=1.0),
            ep.certify_level(orbits, largest_loss=1.0),
            ep.SymmetryMap(n_draws=50).fit(orbits),
        )
        for result in results:
            assert (Diagnostic.ROWS_ALIKE in result.diagnostics) == said
