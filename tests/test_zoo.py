"""The zoo: exact networks read "up to rounding", and each planted bug is found, with its size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.testing import cluster_task, force_field, quarter_turn_network
from equiprob.testing.clusters import energy_and_forces
from equiprob.testing.force_fields import plain_energy

pytest.importorskip("e3nn_jax")
TASK = cluster_task(24, field=2.0)
EVEN = ep.transforms.rotations3d(
    parity="both", acts_on=TASK.transform.acts_on, output_action=TASK.transform.output_action
)


def results(predict, x=TASK.x, transform=EVEN, n_transforms=6):
    table = ep.evaluate_orbits(
        predict, x, transform, n_transforms=n_transforms, outputs=TASK.outputs
    )
    return {n: ep.ModelEquivarianceError(n_draws=200).fit(table[n]) for n in table.outputs}


@pytest.fixture(scope="module")
def equivariant():
    return force_field(TASK, n_steps=0)


# ---- clusters in a field ------------------------------------------------------------------------


def test_the_error_of_the_task_is_that_of_its_truth():
    """24 rows at 24 rotations each; with half the field the same comparison fails.

    Medians are 2 % above, with a standard deviation of 1 % (3 of `other_draws`).
    """
    found = results(TASK.f_star, transform=TASK.transform, n_transforms=24)
    for name, error in TASK.error.items():
        assert np.median(found[name].draws["error"]) == pytest.approx(error, rel=0.25)
        assert np.median(found[name].draws["error"]) != pytest.approx(error / 2, rel=0.25)
    assert [found[n].units["error"] for n in ("energy", "forces")] == ["meV/atom", "meV/Å"]


def test_without_a_field_the_task_is_symmetric():
    found = results(cluster_task(24, field=0.0).f_star)
    assert all(result.is_exact for result in found.values())


def test_forces_are_minus_the_slope_of_the_energy():
    with jax.enable_x64(True):
        x = {name: leaf[:2].astype(np.float64) for name, leaf in TASK.x.items()}
        step = np.zeros_like(x["positions"])
        step[0, 1, 2] = 1e-5
        up, down = (
            TASK.f_star({**x, "positions": x["positions"] + s})["energy"][0] for s in (step, -step)
        )
        force = TASK.f_star(x)["forces"][0, 1, 2]
        np.testing.assert_allclose(-(up - down) / 2e-5, force, rtol=1e-6)


# ---- force fields -------------------------------------------------------------------------------


def test_an_equivariant_force_field_is_so_up_to_rounding(equivariant):
    assert all(result.is_exact for result in results(equivariant).values())
    with jax.enable_x64(True):
        wide = {name: leaf.astype(np.float64) for name, leaf in TASK.x.items()}
        found = results(equivariant, wide)
    for result in found.values():
        assert result.is_exact
        assert np.median(result.draws["error"]) < 1e-9


def test_a_broken_parity_is_told_apart_from_rotations(equivariant):
    """The energy gets a part that changes its sign in a mirror."""

    def handed(parameters, positions, charges):
        arms = positions[:3] - positions[3:]
        energy = equivariant.energy(parameters, positions, charges)
        return energy + 0.01 * jnp.linalg.det(arms)

    def predict(x):
        return energy_and_forces(lambda r, q: handed(equivariant.parameters, r, q), x)

    for result in results(predict).values():
        proper, improper = np.median(result.draws["error_by_part"], axis=0)
        assert not result.is_exact
        assert proper < 16 * result.float_floor < improper / 10


def test_short_training_learns():
    task = cluster_task(64, field=2.0, seed=1)
    trained = force_field(task, kind="plain", n_steps=150)
    still = force_field(task, kind="plain", n_steps=0)
    assert trained.energy is plain_energy
    errors = [
        np.sqrt(((np.asarray(f(TASK.x)["forces"]) - TASK.y["forces"]) ** 2).sum(-1).mean())
        for f in (trained, still)
    ]
    assert errors[0] < errors[1] / 3
    with pytest.raises(ValueError, match="kind must be"):
        force_field(task, kind="quantum")


# ---- quarter turns ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quarter_turns_are_kept_or_broken_by_the_padding(dtype):
    images = np.random.default_rng(0).random((30, 9, 9)).astype(dtype)
    turns = ep.transforms.cyclic(4)
    with jax.enable_x64(dtype == np.float64):
        kept, broken = (
            ep.ModelEquivarianceError(n_draws=200).fit(
                ep.evaluate_orbits(quarter_turn_network(broken=b), images, turns)
            )
            for b in (False, True)
        )
    assert kept.is_exact
    assert not broken.is_exact
    assert np.median(broken.draws["error"]) > 100 * broken.float_floor
    # Which angle to look at: none of the turns is kept.
    np.testing.assert_array_equal(broken.coords["magnitude"], [0, 90, 180])
    assert (np.median(broken.draws["profile"], axis=0)[1:] > 100 * broken.float_floor).all()
    assert len(broken.worst_rows(3)) == 3
