"""How large can the error be at most, with no assumption beyond the range of the outputs?

A credible interval is as good as its model of the rows; a certificate holds for every law of
bounded rows, at every number of them, and however one decided to stop. It costs width: confidence,
not credibility, and never mixed with a posterior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.errors.betting import upper_bound
from equiprob.errors.claims import (
    AbstractClaim,
    check_delta,
    check_independent_rows,
    claims_of,
    closed_units,
    unit_means,
)
from equiprob.geometry.alike_rows import are_alike
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.certificates import AbstractCertificate
from equiprob.posterior.diagnostics import Diagnostic, worst_first

_N_LOOKS = 40


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class CertifiedMean:
    """An upper confidence bound on the mean over units of one number.

    Args:
        values: The number of each unit in the order they came, as shares of the largest possible,
            ``(unit,)``.
        largest: The largest possible.
        delta: Probability that the bound is ever below the mean.
        upper: The bound.
        unit: The unit of `largest` and `upper`.
    """

    values: Array = field(repr=False)
    largest: float
    delta: float
    upper: float
    unit: str

    @property
    def estimate(self) -> float:
        """The mean of the units."""
        return float(self.values.mean() * self.largest)

    def path(self, n_looks: int = _N_LOOKS) -> tuple[NDArray[np.int64], Array]:
        """Return the bound at some numbers of units, evenly spaced in their logarithm."""
        n = len(self.values)
        looks = np.unique(np.geomspace(1, n, min(n_looks, n)).round().astype(np.int64))
        bounds = [upper_bound(self.values[:look], self.delta) for look in looks[:-1]]
        return looks, np.r_[np.array(bounds) * self.largest, self.upper]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Certificate(AbstractCertificate):
    """Upper confidence bounds that hold together; made by `certify`.

    Args:
        means: What is certified: ``"squared_error"``, ``"share"`` (of pairs above the tolerance).
        delta: Probability that any of the bounds is ever too small.
        tolerance: The tolerance of the share, in output units.
        n_rows: Rows used.
        n_units: Independent units: groups, else rows.
        unit: The unit of the output.
        transform: The law of the transformations.
        diagnostics: Messages, the worst first.
    """

    means: Mapping[str, CertifiedMean]
    delta: float
    tolerance: float | None
    n_rows: int
    n_units: int
    unit: str
    transform: str
    diagnostics: tuple[Diagnostic, ...] = ()
    of_what = "quantity"

    @property
    @override
    def upper(self) -> dict[str, float]:
        """Each quantity's bound; ``"error"`` is the root of that of the squared error."""
        bounds = {name: mean.upper for name, mean in self.means.items()}
        if "squared_error" in bounds:
            bounds = {"error": float(np.sqrt(bounds["squared_error"])), **bounds}
        return bounds

    @property
    @override
    def estimates(self) -> dict[str, float]:
        """The means of these rows, by quantity."""
        found = {name: mean.estimate for name, mean in self.means.items()}
        if "squared_error" in found:
            found = {"error": float(np.sqrt(found["squared_error"])), **found}
        return found

    @override
    def _told(self) -> Mapping[str, list[Any]]:
        units = {"error": self.unit} | {name: mean.unit for name, mean in self.means.items()}
        return {"unit": [units[name] for name in self.upper]}

    def __str__(self) -> str:
        """Say what is certified."""
        statements = []
        if "squared_error" in self.means:
            squared = self.means["squared_error"]
            statements.append(
                f"the squared error is at most {_rounded_up(squared.upper)} "
                f"({squared.estimate:.3g} in the sample; {squared.largest:g} at worst), the error "
                f"at most {_rounded_up(self.upper['error'])} {self.unit}"
            )
        if "share" in self.means:
            share = self.means["share"]
            statements.append(
                f"at most {_rounded_up(100 * share.upper)} % of pairs of a row and a "
                f"transformation change the output by more than {self.tolerance:g} "
                f"({100 * share.estimate:.3g} % in the sample)"
            )
        return (
            f"With confidence {100 * (1 - self.delta):.3g} %, whenever one stops, over "
            f"{self.transform}: {'; '.join(statements)}. {self._units}{self._cautions}"
        )


@checked
def certify(
    orbits: OrbitTable,
    *,
    bound: float | None = None,
    tolerance: float | None = None,
    delta: float = 0.05,
) -> Certificate:
    """Bound the error of a model from above, for any law of its rows and any rule of stopping.

    Args:
        orbits: The table of one output. Each row (or group) has transformations of its own: not a
            crossed design.
        bound: The largest possible squared error of a single pair, in squared output units, known
            beforehand: 2 for class probabilities, ``(b - a)^2`` for one output in [a, b]. Needed
            for the squared error.
        tolerance: Norm of the change of the output that still counts as none, in output units, for
            the share of pairs of a row and a transformation above it. It needs no bound.
        delta: Probability that any of the bounds is ever too small; shared equally among them.

    Returns:
        The certificate. Every group counts once, with the mean of its rows; rows whose outputs are
        not finite count as the largest possible error.

    Raises:
        ValueError: If neither `bound` nor `tolerance` is given, a row exceeds the bound, rows of a
            group are apart, displacements that the share needs were not kept, or the rows are not
            independent.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs and come in an order that
        has nothing to do with their errors: shuffle them where `x` is sorted. `bound`, `tolerance`
        and `delta` were fixed before the rows were seen. Then, whatever made one stop and however
        often one looks, the bounds hold with probability ``1 - delta``, at any number of rows.

    References:
        Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS-B
        2024; Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 2021 (confidence sequences).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: np.sin(rows[:, 0]), x, turns, backend="python")
        >>> print(ep.certify(orbits, bound=4.0))  # outputs lie in [-1, 1]
        With confidence 95 %, whenever one stops, over rotations2d(up to 180 degrees): the
        squared error is at most 0.914 (0.852 in the sample; 4 at worst), the error at most
        0.956 output units. On 500 rows.
    """
    claims = claims_of(bound, tolerance)
    check_delta(delta)
    check_independent_rows(orbits)
    sizes = closed_units(orbits, complete=orbits.stopped is None)
    if not len(sizes):
        raise ValueError("the pass was stopped in its first group, of which rows may be missing")
    means = {c.quantity: _certified(c, orbits, sizes, delta / len(claims)) for c in claims}
    found = set[Diagnostic]()
    if (~orbits.valid[: sizes.sum()]).any():
        found.add(Diagnostic.NONFINITE_AS_WORST)
    if len(set(sizes)) > 1:
        found.add(Diagnostic.GROUPS_COUNT_ONCE)
    if are_alike(orbits):
        found.add(Diagnostic.ROWS_ALIKE)
    if all(mean.upper >= mean.largest for mean in means.values()):
        found.add(Diagnostic.VACUOUS)
    return Certificate(
        means=means,
        delta=float(delta),
        tolerance=tolerance,
        n_rows=int(sizes.sum()),
        n_units=len(sizes),
        unit=orbits.only.unit,
        transform=str(orbits.transform),
        diagnostics=worst_first(found),
    )


def _rounded_up(value: float) -> str:
    """Return a bound with three digits that is no smaller."""
    step = 10.0 ** (np.floor(np.log10(value)) - 2)
    return f"{np.ceil(value / step) * step:.3g}"


def _certified(
    claim: AbstractClaim, orbits: OrbitTable, sizes: NDArray[np.int64], delta: float
) -> CertifiedMean:
    stats = orbits.only.take(slice(0, sizes.sum()))
    values = unit_means(claim.of_rows(stats, orbits.design), sizes)
    return CertifiedMean(
        values=values,
        largest=claim.largest,
        delta=delta,
        upper=upper_bound(values, delta) * claim.largest,
        unit=claim.unit_of(stats.unit),
    )
