"""The gap of predictors from a reproducing kernel Hilbert space, split by the symmetry.

With ``f = f_sym + f_perp``, f_sym the average of f over the transformations, and radii of the two
parts, the Rademacher complexity is at most

    R_n  <=  ( b_sym sqrt(tr K_sym) + b_perp sqrt(tr K_perp) ) / n
    tr K_sym  =  sum_i E_g k(x_i, g.x_i) tr rho(g)

the second for a kernel that is invariant under the group. Twice that, times the loss's slope,
bounds the expected gap; with means over rows in place of expectations (Hoeffding's inequality, the
diagonal being at most D) and McDiarmid's inequality for the gap, with probability 1 - delta

    gap  <=  2 slope (1 / sqrt n) sum_parts b sqrt( min(D, tr K / n + D sqrt(log(4/delta) / (2n))) )
             + M sqrt(log(2/delta) / (2n))

(the rest of features that are not orthogonal to their averages has a diagonal up to 4 D). Beside it
stands the bound of one radius for the whole, ``b sqrt(tr K) / n``, which is the smaller one where
averages and rest are not orthogonal; each takes half of delta, and the smaller one counts.

It bounds predictors, not the algorithm: radii that are read off a trained model are paid for by a
union bound over a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final, override

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import check_fields
from equiprob.bounds.assumptions import Assumption, seen
from equiprob.bounds.base import AbstractBound, GapCurve, GapEvidence, GapProblem
from equiprob.bounds.kernel_spaces import FeatureSpace, KernelSpace, Radii, output_matrices
from equiprob.bounds.losses import AbstractLoss, SquaredError, check_positive, check_whole
from equiprob.bounds.promises import Seen, constants_of, displacements, held, norms
from equiprob.geometry.all_pairs import in_float64, law_nodes
from equiprob.orbits.table import OrbitTable

_GRID = 2 ** (1 / 8)
_CONSTANT = 1e-6
_HORIZON = (-3, 6)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class RKHS(AbstractBound):
    """Bound the gap by the radii of a model in the space of a kernel, in two parts.

    Args:
        kernel: ``kernel(x, other) -> (row, row of other)``, invariant under the transformations of
            both arguments, which must be the Haar law of a group.
        features: ``features(x) -> (row, p)`` in its place, for the kernel of their products; any
            law of transformations. Features must not be learned from these rows.
        radii: ``(b_sym, b_perp)``, a promise: the largest norms in the class of the symmetric part
            and of the rest.
        coefficients: The trained model itself, from which the radii are read: ``(train row, k)``
            for a kernel, ``f(x) = sum_j k(x, x_j) a_j``, or ``(p, k)`` for features, ``f = phi W``.
            They are rounded up to a grid of ratio 2^(1/8), whose j-th value takes the share
            ``6 / (pi j)^2`` of the half of delta that its bound has, for each of its radii.
        loss: The loss whose gap is bounded; its range is a promise about the class.
        smallest_radius: Where the grid begins, after zero.
        largest_diagonal: The largest ``k(x, x)`` (or ``|phi(x)|^2``) times the number of outputs.
            When left out, the largest seen: as good as stated where all are equal.
        n_elements: Transformations that stand for a law that is not finite.

    Assumptions:
        Rows (or groups) are independent draws from one law; kernel and loss are fixed before the
        sample is seen.

    References:
        docs/generalization.md; Bartlett & Mendelson, JMLR 2002; Elesedy, NeurIPS 2021; Mroueh et
        al., NeurIPS 2015; Maurer, ALT 2016 (vector outputs).
    """

    kernel: Callable[[Any, Any], Any] | None = field(default=None, repr=False)
    features: Callable[[Any], Any] | None = field(default=None, repr=False)
    radii: tuple[float, float] | None = None
    coefficients: Any = field(default=None, repr=False)
    loss: AbstractLoss = field(default_factory=SquaredError)
    smallest_radius: float = 1e-3
    largest_diagonal: float | None = None
    n_elements: int = 64

    def __post_init__(self) -> None:
        """Check that there is one space and one way to the radii."""
        check_fields(self)
        if (self.kernel is None) == (self.features is None):
            raise ValueError("pass kernel= or features=, one of the two")
        if (self.radii is None) == (self.coefficients is None):
            raise ValueError("pass radii= or coefficients=, one of the two")
        if self.radii is not None:
            radii = as_numbers("radii", self.radii)
            if radii.shape != (2,) or not (np.isfinite(radii) & (radii >= 0)).all():
                raise ValueError(f"radii must be two numbers of at least 0, got {self.radii}")
        if self.largest_diagonal is not None:
            check_positive("largest_diagonal", self.largest_diagonal)
        check_whole("n_elements", self.n_elements, 1, 100_000)

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        table = problem.sample
        constants = constants_of(problem, self.loss)
        space = self._space(table)
        traces = space.traces()
        radii, shares = self._radii(space)
        diagonal, bounded = self._largest_diagonal(problem, traces.whole)
        self._compare(problem, radii, traces.whole / table.only.base.shape[1])
        components = table.only.base.shape[1]
        factor = 2 * constants.slope * (1.0 if components == 1 else np.sqrt(2))
        # What averaging leaves of features may be twice as large as they are.
        largest = Radii(diagonal, diagonal if space.is_orthogonal else 4 * diagonal, diagonal)
        sym, perp, whole = (
            _Part(
                radius,
                float(problem.units.means(diagonals).mean()),
                np.maximum(problem.mean(table, diagonals), 0.0),
                most,
            )
            for radius, diagonals, most in zip(radii, traces, largest, strict=True)
        )
        split, one = (
            _Complexity(factor, parts, constants.range, problem.delta / 2 * share)
            for parts, share in zip(((sym, perp), (whole,)), shares, strict=True)
        )
        in_parts, without = split.expected(problem.n), one.expected(problem.n)
        if np.isinf(radii.whole):  # nothing is known of the whole but its parts
            least = factor * np.hypot(radii.sym, radii.perp) * np.sqrt(whole.draws / problem.n)
            without = np.maximum(in_parts, least)
        expected = np.minimum(in_parts, without)
        n = problem.n * np.exp2(np.arange(*_HORIZON, dtype=np.float64))
        falls = np.sqrt(problem.n / n)
        here = min(split.of_sample(problem.n), one.of_sample(problem.n))
        bound = min(split.bound(problem.n), one.bound(problem.n))
        return GapEvidence(
            draws={"bound": np.full(problem.n_draws, bound), "expected_bound": expected},
            without=without,
            rate=np.full(problem.n_draws, 0.5),
            curve=GapCurve(
                n=n,
                expected=expected[:, None] * falls,
                without=without[:, None] * falls,
                penalty=np.minimum(split.bound(n), one.bound(n)) - here * falls,
            ),
            loss_range=constants.range,
            assumptions=(
                constants.assumption,
                bounded,
                Assumption(
                    f"norms are at most {radii.sym:.3g} in the symmetric part and "
                    f"{radii.perp:.3g} in the rest",
                    "stated" if self.coefficients is None else "of this model, on a grid",
                ),
            ),
            facts={
                "radius_sym": radii.sym,
                "radius_perp": radii.perp,
                "radius": None if np.isinf(radii.whole) else radii.whole,
                "trace_share_sym": sym.mean / whole.mean,
            },
            columns={"the kernel's diagonal": traces.whole},
            of_train=problem.train is not None,
        )

    def _radii(self, space: KernelSpace | FeatureSpace) -> tuple[Radii, tuple[float, float]]:
        """Return the radii, and which share of their half of delta the two bounds may use."""
        if self.radii is not None:
            sym, perp = map(float, self.radii)
            return Radii(sym, perp, space.one_radius(sym, perp)), (1.0, 1.0)
        rounded = [self._rounded_up(radius) for radius in space.radii(self.coefficients)]
        sym, perp, whole = (6 / (np.pi * place) ** 2 for _, place in rounded)
        return Radii(*(radius for radius, _ in rounded)), (sym * perp, whole)

    def _compare(self, problem: GapProblem, radii: Radii, diagonal: Array) -> None:
        """Raise where the model at hand is larger than its norms allow, or moves without a rest."""
        if np.isfinite(radii.whole) and problem.tables:
            stated = f"radii={self.radii}" if self.coefficients is None else "coefficients="
            promise = f"the norm of the model ({stated})"
            held(np.array([radii.whole]), norms(problem, radii.whole, diagonal), promise)
        if radii.perp == 0 and problem.sample.transform.is_haar:
            held(np.zeros(1), displacements(problem), "the norm of the rest, 0,")

    def _largest_diagonal(self, problem: GapProblem, whole: Array) -> tuple[float, Assumption]:
        """Return the largest diagonal of the kernel times outputs, and where it comes from."""
        stated = self.largest_diagonal
        if stated is not None and problem.tables:
            row = int(whole.argmax())
            words = f"that of row {row} of the sample is {whole[row]:.4g}"
            here = Seen(float(whole[row]) * (1 - 1e-9), words)
            held(np.array([float(stated)]), [here], f"largest_diagonal={stated}")
        largest = float(whole.max()) if stated is None else stated
        statement = f"the kernel's diagonal is at most {largest:.3g}"
        if stated is None and np.ptp(whole) <= _CONSTANT * largest:
            return largest, Assumption(statement, "equal in all rows")
        return largest, seen(statement) if stated is None else Assumption(statement)

    def _space(self, table: OrbitTable) -> KernelSpace | FeatureSpace:
        parameters, weights = law_nodes(table.transform, self.n_elements)
        x = in_float64(table.x)
        outputs = output_matrices(table, parameters)
        if self.features is not None:
            return FeatureSpace(self.features, x, table.transform, parameters, weights, outputs)
        assert self.kernel is not None, "there is a kernel or there are features"
        space = KernelSpace(self.kernel, x, table.transform, parameters, weights, outputs)
        space.check()
        return space

    def _rounded_up(self, radius: float) -> tuple[float, int]:
        """Return the next radius of the grid and its place: 0, then a geometric sequence."""
        if radius == 0:
            return 0.0, 1
        steps = max(int(np.ceil(np.log(radius / self.smallest_radius) / np.log(_GRID))), 0)
        return self.smallest_radius * _GRID**steps, steps + 2


class _Part(NamedTuple):
    """Radius of the class in a part of the kernel, and the diagonal of that part.

    Its mean over the sample, draws of its mean over the law, and the largest that it may be.
    """

    radius: float
    mean: float
    draws: Array
    largest: float


@dataclass(frozen=True, eq=False)
class _Complexity:
    """A bound on the gap from the mean diagonal of one part of a kernel, or of several.

    Args:
        factor: Twice the loss's slope (and sqrt(2) for vector outputs).
        parts: The parts.
        loss_range: The largest loss.
        delta: What may fail.
    """

    factor: float
    parts: Sequence[_Part]
    loss_range: float
    delta: float

    def expected(self, n: float) -> Array:
        """Return draws of the bound on the expected gap at `n` rows."""
        return self._of([part.draws for part in self.parts], n)

    def of_sample(self, n: float) -> float:
        """Return it at the means of the sample."""
        return float(self._of([part.mean for part in self.parts], n))

    def bound(self, n: Any) -> Any:
        """Return the bound of high probability: half of delta for the means, half for the gap."""
        slack = np.sqrt(np.log(2 * len(self.parts) / self.delta) / (2 * n))
        upper = [np.minimum(p.mean + p.largest * slack, p.largest) for p in self.parts]
        return self._of(upper, n) + self.loss_range * np.sqrt(np.log(2 / self.delta) / (2 * n))

    def _of(self, means: Sequence[Any], n: Any) -> Any:
        radii = (part.radius for part in self.parts)
        # An infinite radius is one that nothing is known of, whatever it multiplies.
        roots = [b * np.sqrt(m) if np.isfinite(b) else b for b, m in zip(radii, means, strict=True)]
        return self.factor * sum(roots) / np.sqrt(n)
