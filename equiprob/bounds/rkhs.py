"""The gap of predictors from a reproducing kernel Hilbert space, split by the symmetry.

With ``f = f_sym + f_perp``, f_sym the average of f over the transformations, and radii of the two
parts, the Rademacher complexity is at most

    R_n  <=  ( b_sym sqrt(tr K_sym) + b_perp sqrt(tr K_perp) ) / n
    tr K_sym  =  sum_i E_g k(x_i, g.x_i) tr rho(g)

the second for a kernel that is invariant under the group. It bounds predictors, not the algorithm:
radii that are read off a trained model are paid for by a union bound over a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.bounds.all_pairs import in_float64, law_nodes
from equiprob.bounds.base import AbstractBound, GapCurve, GapEvidence, GapProblem
from equiprob.bounds.kernel_spaces import FeatureSpace, KernelSpace, Radii, output_matrices
from equiprob.bounds.losses import AbstractLoss, SquaredError
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic

Array = NDArray[np.float64]

_GRID = 2 ** (1 / 8)
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
        radii: ``(b_sym, b_perp)``, the norms of the model's symmetric part and of the rest.
        coefficients: The model itself, from which the radii follow: ``(train row, k)`` for a
            kernel, ``f(x) = sum_j k(x, x_j) a_j``, or ``(p, k)`` for features, ``f = phi W``.
        loss: The loss whose gap is bounded; its range is a promise about the class.
        smallest_radius: Where the grid of radii begins, in output units over those of the kernel's
            root. Radii are rounded up to a grid of ratio 2^(1/8), whose j-th value takes the share
            ``6 / (pi j)^2`` of delta.
        n_elements: Transformations that stand for a law that is not finite.

    Assumptions:
        Rows (or groups) are independent draws from one law; kernel and loss are fixed before the
        sample is seen.

    References:
        MATH 6; Bartlett & Mendelson, JMLR 2002; Elesedy, NeurIPS 2021; Mroueh et al., NeurIPS 2015;
        Maurer, ALT 2016 (vector outputs).
    """

    kernel: Callable[[Any, Any], Any] | None = field(default=None, repr=False)
    features: Callable[[Any], Any] | None = field(default=None, repr=False)
    radii: tuple[float, float] | None = None
    coefficients: Any = field(default=None, repr=False)
    loss: AbstractLoss = field(default_factory=SquaredError)
    smallest_radius: float = 1e-3
    n_elements: int = 64

    def __post_init__(self) -> None:
        """Check that there is one space and one way to the radii."""
        if (self.kernel is None) == (self.features is None):
            raise ValueError("pass kernel= or features=, one of the two")
        if (self.radii is None) == (self.coefficients is None):
            raise ValueError("pass radii= or coefficients=, one of the two")
        if self.radii is not None and not (np.isfinite(self.radii).all() and min(self.radii) >= 0):
            raise ValueError(f"radii must be two numbers of at least 0, got {self.radii}")

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        table, found = problem.sample, set[Diagnostic]()
        constants = self.loss.constants(table)
        if not constants.is_promised:
            found.add(Diagnostic.CONSTANT_SEEN)
        space = self._space(table)
        traces = space.traces()
        own = Radii(*self.radii) if self.radii is not None else space.radii(self.coefficients)
        (sym, j_sym), (perp, j_perp) = (self._rounded_up(radius) for radius in own)
        share = problem.delta * (6 / np.pi**2) ** 2 / (j_sym * j_perp) ** 2
        k = table.only.base.shape[1]
        factor = 2 * constants.slope * (1.0 if k == 1 else np.sqrt(2))

        def complexity(mean: Callable[[Array], Any]) -> Any:
            roots = (np.sqrt(np.maximum(mean(part), 0.0)) for part in (traces.sym, traces.perp))
            of_sym, of_perp = roots
            return factor * (sym * of_sym + perp * of_perp) / np.sqrt(problem.n)

        here = complexity(lambda values: problem.units.means(values).mean())
        expected = complexity(lambda values: problem.mean(table, values))
        whole = np.sqrt(problem.mean(table, traces.whole) / problem.n)
        without = factor * np.hypot(sym, perp) * whole

        spread = 3 * constants.range * np.sqrt(np.log(2 / share) / 2)
        n = problem.n * np.exp2(np.arange(*_HORIZON, dtype=np.float64))
        falls = np.sqrt(problem.n / n)
        return GapEvidence(
            draws={
                "bound": np.full(problem.n_draws, here + spread / np.sqrt(problem.n)),
                "expected_bound": expected,
            },
            without=without,
            rate=np.full(problem.n_draws, 0.5),
            curve=GapCurve(
                n=n,
                expected=expected[:, None] * falls,
                without=without[:, None] * falls,
                penalty=spread / np.sqrt(n),
            ),
            loss_range=constants.range,
            assumptions=(
                constants.words,
                f"the symmetric part has norm at most {sym:.3g} and the rest at most {perp:.3g} "
                f"(of a grid)",
            ),
            facts={
                "radius_sym": own.sym,
                "radius_perp": own.perp,
                "trace_share_sym": float(traces.sym.sum() / traces.whole.sum()),
            },
            found=found,
        )

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
