"""What a law of transformations can change at most, against functions that it does change."""

import numpy as np
import pytest

import equiprob as ep
from equiprob.equivariance.spectral_constants import largest_eigenvalue
from equiprob.testing import disc_task

POINTS = 5000


def changed(frequency, largest):
    """Return ``e_h^2 / |h|^2`` of ``h = cos(k angle)`` under angles up to the largest one."""
    turn = largest * (2 * (np.arange(POINTS) + 0.5) / POINTS - 1)
    angle = 2 * np.pi * np.arange(64) / 64
    h = np.cos(frequency * angle)
    moved = np.cos(frequency * (angle + turn[:, None]))
    return ((moved - h) ** 2).mean() / (h**2).mean()


@pytest.mark.parametrize("degrees", [10, 30, 90, 150])
def test_no_mode_changes_more_and_one_changes_as_much(degrees):
    largest = np.deg2rad(degrees)
    bound = 2 * largest_eigenvalue(ep.transforms.rotations2d(largest))
    modes = [changed(k, largest) for k in range(1, 31)]
    assert max(modes) <= bound + 1e-6
    assert max(modes) > 0.97 * bound  # a smaller constant would be none


def test_known_values():
    assert largest_eigenvalue(ep.transforms.rotations2d()) == 1.0
    assert largest_eigenvalue(ep.transforms.rotations3d()) == 1.0
    small = largest_eigenvalue(ep.transforms.rotations2d(0.01))
    assert small == largest_eigenvalue(ep.transforms.translations(3.0))
    t = np.linspace(4, 5, 100001)
    assert 0 < small - (1 - (np.sin(t) / t).min()) < 1e-6
    whole = largest_eigenvalue(ep.transforms.translations(1, whole=True))
    assert whole == pytest.approx(4 / 3, abs=1e-5)  # 1 - (1 + 2 cos pi) / 3
    assert largest_eigenvalue(ep.transforms.sign_flips(2)) == 1.0
    finite = ep.transforms.finite([np.eye(2), -np.eye(2)], weights=[0.1, 0.9], acts_on="vectors")
    assert largest_eigenvalue(finite) == 2.0


def test_no_rotation_of_space_changes_more():
    """Of spherical harmonics of m = 0 at the pole: Legendre polynomials, by quadrature."""
    from scipy.special import eval_legendre

    largest = np.deg2rad(60)
    bound = largest_eigenvalue(ep.transforms.rotations3d(largest))
    angle = np.linspace(1e-6, largest, POINTS)
    density = (1 - np.cos(angle)) / np.trapezoid(1 - np.cos(angle), angle)
    # A rotation by an angle about an axis that is anywhere: the mean of P_l over that axis is the
    # character over 2 l + 1.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    found = []
    for order in range(1, 16):
        turned = nodes**2 + (1 - nodes**2) * np.cos(angle[:, None])
        mean = (eval_legendre(order, turned) * weights).sum(axis=1) / 2
        found.append(1 - np.trapezoid(mean * density, angle))
    assert max(found) <= bound + 1e-4
    assert max(found) > bound - 1e-3


def test_upper_bounds_of_ranges_are_smaller_and_hold():
    """The truth of a linear part r cos(phi) under angles up to t: see `disc_task`."""
    task = disc_task(400, amplitude=0.8, noise=0.2)
    largest = np.deg2rad(30)
    turns = ep.transforms.rotations2d(largest, acts_on="vectors")
    table = ep.evaluate_orbits(
        lambda x: 2 * (x**2).sum(axis=1) - 1,  # the truth's symmetric part
        task.x,
        turns,
        y=task.y,
        n_transforms=4,
        backend="python",
    )
    method = ep.methods.Symmetrization(noise_variance=task.noise**2)
    result = ep.DataEquivarianceError(method=method, n_draws=400).fit(table, law=ep.InvariantLaw())
    truth = 0.8 / np.sqrt(2) * np.sqrt(1 - np.sin(largest) / largest)
    upper = np.median(result.draws["upper"])
    excess = 0.8**2 / 4  # the mean of (0.8 r cos phi)^2 on the disc
    assert truth < upper
    # 400 rows know the excess to 8 %: five standard deviations of its root are 20 %.
    assert upper == pytest.approx(np.sqrt(2 * 1.2172 * excess), rel=0.2)
    assert result.facts["largest_eigenvalue"] == pytest.approx(1.2172, abs=1e-2)
