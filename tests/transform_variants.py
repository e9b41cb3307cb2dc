"""One table of all transforms: what holds for transformations is tested over every entry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import equiprob as ep
from equiprob.transforms import Transform

_rng = np.random.default_rng(0)
VECTORS = _rng.normal(size=(6, 2))
POINTS = _rng.normal(size=(6, 4, 2))
SPATIAL = _rng.normal(size=(6, 3))
ITEMS = _rng.normal(size=(6, 4, 2))
IMAGES = _rng.random((6, 5, 5))
CLOUDS = _rng.normal(size=(6, 4, 3))
MOMENTA = _rng.normal(size=(6, 3, 4))
SIGNALS = _rng.normal(size=(6, 7))  # an even length has no shift by half a sample


@dataclass(frozen=True)
class Variant:
    """A transform, inputs (rows first, float64) it acts on, and what the table knows of it."""

    transform: Transform
    x: Any
    has_product: bool = True
    has_inverse: bool = True
    is_haar: bool = False
    restricted: bool = True
    """Whether its law can be restricted to a range of magnitudes."""
    cdf: Callable[[Any], Any] | None = None
    """The distribution function of the parameter, where it is a number with a density."""
    angle_cdf: Callable[[Any], Any] | None = None
    """That of the angle, in radians, where the parameter begins with a rotation vector."""


def haar_angle_cdf(angle: Any) -> Any:
    """The angle of a Haar rotation of space has the density ``(1 - cos) / pi``."""
    return (angle - np.sin(angle)) / np.pi


def mixture_cdf(angle: Any) -> Any:
    return 0.3 * stats.norm(-1, 0.2).cdf(angle) + 0.7 * stats.norm(0.5, 0.2).cdf(angle)


def _klein_four() -> np.ndarray:
    """The rotations of a brick: diagonal 3 x 3 matrices of determinant 1."""
    return np.stack([np.diag(d) for d in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])]) * 1.0


def _scale_in_numpy(parameter: Any, row: Any) -> Any:
    return np.asarray(row) * float(parameter[0])  # float() refuses a tracer


def _roll(parameter: Any, row: Any) -> Any:
    """Shift a periodic signal by any amount, in Fourier space."""
    size = row.shape[-1]
    phase = jnp.exp(-2j * jnp.pi * jnp.fft.rfftfreq(size) * parameter[0])
    return jnp.fft.irfft(jnp.fft.rfft(row) * phase, size).astype(row.dtype)


def _blur(parameter: Any, row: Any) -> Any:
    frequency = 2 * jnp.pi * jnp.fft.rfftfreq(row.shape[-1])
    damped = jnp.fft.rfft(row) * jnp.exp(-parameter[0] * frequency**2)
    return jnp.fft.irfft(damped, row.shape[-1]).astype(row.dtype)


# A law with neither a quantile function of its own nor one in SciPy.
_mixture = dist.MixtureSameFamily(
    dist.Categorical(jnp.array([0.3, 0.7])), dist.Normal(jnp.array([-1.0, 0.5]), 0.2)
)
_T = ep.transforms
_turn_and_shuffle = (
    _T.rotations2d(acts_on="points"),
    _T.permutations(4, acts_on="permuted"),
)
_planar = {"acts_on": "vectors", "output_action": "vectors"}
_quarter = np.stack([np.linalg.matrix_power(np.array([[0.0, -1], [1, 0]]), k) for k in range(4)])

VARIANTS: dict[str, Variant] = {
    "rotations2d": Variant(
        _T.rotations2d(**_planar), VECTORS, is_haar=True, cdf=stats.uniform(-np.pi, 2 * np.pi).cdf
    ),
    "rotations2d limited": Variant(
        _T.rotations2d(0.5, acts_on="points"), POINTS, cdf=stats.uniform(-0.5, 1.0).cdf
    ),
    "rotations2d normal law": Variant(
        _T.rotations2d(law=dist.Normal(0, 0.3), **_planar),
        VECTORS,
        restricted=False,
        cdf=stats.norm(0, 0.3).cdf,
    ),
    "rotations2d gamma law": Variant(
        _T.rotations2d(law=dist.Gamma(2.0, 4.0), **_planar),
        VECTORS,
        restricted=False,
        cdf=stats.gamma(2, scale=1 / 4).cdf,
    ),
    "rotations2d mixture law": Variant(
        _T.rotations2d(law=_mixture, **_planar), VECTORS, restricted=False, cdf=mixture_cdf
    ),
    "cyclic 4": Variant(_T.cyclic(4), IMAGES, is_haar=True),
    "cyclic 5": Variant(_T.cyclic(5, acts_on="points"), POINTS, is_haar=True),
    "dihedral 4": Variant(_T.dihedral(4), IMAGES, is_haar=True),
    "finite matrices": Variant(
        _T.finite(_klein_four(), output_action="vectors"), SPATIAL, is_haar=True
    ),
    "finite permutations": Variant(
        _T.finite([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]], acts_on="permuted"),
        ITEMS,
        is_haar=True,
    ),
    "finite weighted": Variant(_T.finite(_quarter, weights=[4, 1, 2, 1]), VECTORS),
    "finite, not a group": Variant(
        _T.finite(_quarter[:2]), VECTORS, has_product=False, has_inverse=False
    ),
    "translations of points": Variant(
        _T.translations(1.5), POINTS, cdf=stats.uniform(-1.5, 3.0).cdf
    ),
    "translations of images": Variant(
        _T.translations(2, whole=True, wrap=True, acts_on="image"), IMAGES
    ),
    "sign flips": Variant(
        _T.sign_flips(3, output_action="vectors"), SPATIAL, is_haar=True, restricted=False
    ),
    "permutations": Variant(
        _T.permutations(4, output_action="permuted"), ITEMS, is_haar=True, restricted=False
    ),
    "wrong rotations": Variant(
        _T.conjugated(_T.rotations2d(**_planar), seed=1),
        VECTORS,
        is_haar=True,
        cdf=stats.uniform(-np.pi, 2 * np.pi).cdf,
    ),
    "wrong quarter turns": Variant(_T.conjugated(_T.cyclic(4)), IMAGES, is_haar=True),
    "wrong scaling in NumPy": Variant(
        _T.conjugated(
            _T.from_functions(
                lambda generator: np.exp(generator.normal()), _scale_in_numpy, identity=1.0
            )
        ),
        SPATIAL,
        has_product=False,
        has_inverse=False,
        restricted=False,
        cdf=stats.lognorm(1).cdf,
    ),
    "functions in NumPy": Variant(
        _T.from_functions(
            lambda generator: np.exp(generator.normal()),
            _scale_in_numpy,
            identity=1.0,
            inverse=lambda p: 1 / p,
            magnitude=lambda p: abs(np.log(p)),
            name="scaling",
        ),
        SPATIAL,
        has_product=False,
        restricted=False,
        cdf=stats.lognorm(1).cdf,
    ),
    "functions in JAX": Variant(
        _T.from_functions(
            dist.Uniform(-4.0, 4.0), _roll, inverse=lambda p: -p, magnitude=np.abs, name="roll"
        ),
        SIGNALS,
        has_product=False,
        restricted=False,
        cdf=stats.uniform(-4, 8).cdf,
    ),
    "blur semigroup": Variant(
        _T.from_functions(lambda generator: generator.exponential(), _blur, name="blur"),
        SIGNALS,
        has_product=False,
        restricted=False,
        cdf=stats.expon.cdf,
        has_inverse=False,
    ),
    "rotations3d": Variant(
        _T.rotations3d(output_action="tensors2"), CLOUDS, is_haar=True, angle_cdf=haar_angle_cdf
    ),
    "rotations3d limited": Variant(
        _T.rotations3d(0.5), CLOUDS, angle_cdf=lambda a: haar_angle_cdf(a) / haar_angle_cdf(0.5)
    ),
    "rotations3d gamma law": Variant(
        _T.rotations3d(law=dist.Gamma(2.0, 4.0), output_action="vectors"),
        CLOUDS,
        restricted=False,
        angle_cdf=stats.gamma(2, scale=1 / 4).cdf,
    ),
    "rotations3d proper and improper": Variant(
        _T.rotations3d(parity="both", output_action="vectors"),
        CLOUDS,
        is_haar=True,
        angle_cdf=haar_angle_cdf,
    ),
    "rotations3d improper": Variant(
        _T.rotations3d(parity="improper"), CLOUDS, angle_cdf=haar_angle_cdf
    ),
    "euclidean3d": Variant(_T.euclidean3d(2.0, parity="both", output_action="points"), CLOUDS),
    "scalings": Variant(
        _T.scalings(3.0, dimensions=3, acts_on="points"),
        CLOUDS,
        cdf=stats.uniform(-np.log(3), 2 * np.log(3)).cdf,
    ),
    "scalings of a law": Variant(
        _T.scalings(law=dist.LogNormal(0.1, 0.5), acts_on="points"),
        POINTS,
        restricted=False,
        cdf=stats.norm(0.1, 0.5).cdf,
    ),
    "lorentz": Variant(_T.lorentz(1.5), MOMENTA),
    "product": Variant(
        _T.product(*_turn_and_shuffle, commute=True), POINTS, is_haar=True, restricted=False
    ),
    "product in order": Variant(
        _T.product(_T.translations(1.0, dimensions=3), _T.rotations3d(1.0)),
        CLOUDS,
        has_product=False,
        has_inverse=False,
    ),
    "product of finite groups": Variant(
        _T.product(
            _T.cyclic(4, acts_on="points"), _T.permutations(4, acts_on="permuted"), commute=True
        ),
        POINTS,
        is_haar=True,
        restricted=False,
    ),
    "mixture": Variant(
        _T.mixture(
            [_T.translations(1.0, dimensions=3), _T.rotations3d(parity="both")], weights=[1, 3]
        ),
        CLOUDS,
        has_product=False,
    ),
    "mixture of finite sets": Variant(
        _T.mixture([_T.dihedral(3, acts_on="points"), _T.cyclic(4, acts_on="points")]),
        POINTS,
        has_product=False,
    ),
}
