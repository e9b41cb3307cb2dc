"""Which transformations of the catalogue does a model respect?

One pass for each way in which transformations could act on the inputs; how outputs may move along
costs nothing more. Looking at many, some look small by chance: every error gets an upper bound, and
these hold together, so that all that are named symmetries are so with the stated probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, final

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.errors.error_draws import error_draws
from equiprob.errors.every_way import named_outputs, tables_of_every_way
from equiprob.errors.table_findings import design_diagnostics
from equiprob.orbits.inputs import check_inputs
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractResult, check_draws
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.transform import Transform

if TYPE_CHECKING:
    import pandas as pd


_CALLED_WITH = 128
"""Rows in the first call of the model, as in a pass."""

MOST_HIDDEN = 0.03
"""Share of rows that may fail unseen, above which that is a caution: that of 100 rows and one way.
"""

_NAMED = 8
"""Symmetries named in a sentence."""


@dataclass(frozen=True, kw_only=True)
class ScreenFacts(RowFacts):
    """What travels with a screen.

    Args:
        tolerance: Share of the output's spread that is small.
        probability: With which all bounds hold together.
        n_transforms: Transformations of each row.
        up_to_rounding: Whether each transform changes the output by no more than rounding.
    """

    tolerance: float
    probability: float
    n_transforms: int
    up_to_rounding: Sequence[bool]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ScreenResult(AbstractResult):
    """Relative errors under every way to act, the least first; made by `screen`.

    Args:
        transforms: The transforms by the names of the ways (not saved with the result).
    """

    facts: ScreenFacts = field(repr=False)

    transforms: Mapping[str, Transform] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> list[str]:
        """The ways to act, the least error first: transformations, inputs -> output."""
        return [str(name) for name in self.coords["way"]]

    @property
    def upper(self) -> Array:
        """Upper bounds on the relative errors, ``(way,)``, which hold together."""
        return simultaneous_upper(self.draws["relative_error"], self.facts.probability)

    @property
    def symmetries(self) -> list[str]:
        """The ways in which the error is below the tolerance, all of them together."""
        below = self.upper <= self.facts.tolerance
        return [name for name, small in zip(self.names, below, strict=True) if small]

    @property
    def worth_averaging(self) -> list[str]:
        """The ways in which averaging lowers the risk, all of them together; () without targets."""
        if "risk_saved" not in self.draws:
            return []
        saved = self.draws["risk_saved"]
        lower = -simultaneous_upper(-saved, self.facts.probability)
        order = np.argsort(-saved.mean(axis=0), kind="stable")
        return [self.names[k] for k in order if lower[k] > 0]

    @property
    def ranking(self) -> pd.DataFrame:
        """The table of all ways, the least error first.

        Indexed by name: ``relative_error`` (median), ``upper`` (bounds that hold together),
        ``p_symmetric`` (probability of an error below the tolerance, of this way alone),
        ``is_symmetry``, ``up_to_rounding``, and with targets ``risk_saved`` by averaging.
        """
        import pandas as pd

        errors = self.draws["relative_error"]
        table = pd.DataFrame(
            {
                "relative_error": np.median(errors, axis=0),
                "upper": self.upper,
                "p_symmetric": (errors <= self.facts.tolerance).mean(axis=0),
                "is_symmetry": self.upper <= self.facts.tolerance,
                "up_to_rounding": np.array(self.facts.up_to_rounding),
            },
            index=pd.Index(self.names, name="way"),
        )
        if "risk_saved" in self.draws:
            table["risk_saved"] = np.median(self.draws["risk_saved"], axis=0)
        return table

    def __str__(self) -> str:
        """Say what was found."""
        facts, found = self.facts, self.symmetries
        text = (
            f"Of {len(self.names)} ways in which transformations of the catalogue could act, "
            f"{len(found)} change the output by at most {facts.tolerance:.3g} of its spread"
        )
        if found:
            more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            text += (
                f" (all of them with probability {facts.probability:.3g}): "
                f"{'; '.join(found[:_NAMED])}{more}"
            )
        text += "."
        if len(found) < len(self.names):
            next_ = next(k for k, name in enumerate(self.names) if name not in found)
            error = np.median(self.draws["relative_error"][:, next_])
            text += f" The least of the others: {self.names[next_]}, by {error:.3g}."
        if "risk_saved" in self.draws:
            best = self.worth_averaging
            text += (
                f" Averaging lowers the risk over {best[0]} most."
                if best
                else " Averaging over none of them is sure to lower the risk."
            )
        return text + self.cautions


@checked
def screen(
    predict: Callable[[Any], Any],
    x: Any,
    y: Any = None,
    *,
    tolerance: float = 0.05,
    probability: float = 0.95,
    transforms: Mapping[str, Transform] | None = None,
    n_transforms: int = 8,
    batch_size: int | None = None,
    groups: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    backend: str = "python",
    seed: int = 0,
    n_draws: int = 4000,
    weight_seed: int = 0,
) -> ScreenResult:
    """Look at all transformations of the catalogue that can act on these inputs.

    Shapes and dtypes say what can act, not what numbers mean: three columns of a table can be
    turned like a vector. Read the ranking with that in mind, and declare what you take from it.

    Args:
        predict: The model, as in `evaluate_orbits`.
        x: The inputs: an array or a flat dict of arrays, rows first.
        y: The targets, as in `evaluate_orbits`, for what averaging saves; a dict by output where
            the model has several.
        tolerance: Change of the output, relative to its spread over rows, up to which a way to act
            counts as a symmetry.
        probability: That all that are named symmetries are so.
        transforms: Further transforms by name, declared in full.
        n_transforms: Transformations for each row, in each pass.
        batch_size: Rows in each call of `predict`.
        groups: A label for each row; rows of a group are one independent unit.
        row_ids: A unique label for each row.
        backend: As in `evaluate_orbits`. ``"python"`` compiles nothing, where a model under JAX
            would be compiled for each of a dozen passes.
        seed: Seed of the transformations.
        n_draws: Posterior draws.
        weight_seed: Seed of the rows' weights.

    Returns:
        Draws of ``relative_error`` ``(draw, way)`` and, with targets, of ``risk_saved``, what
        averaging saves of the squared error; `ranking` is the table, `symmetries` are the names.

    Raises:
        ValueError: If nothing of the catalogue can act, the output does not vary, or as
            `evaluate_orbits`.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs. Nothing about that law.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> found = ep.screen(lambda rows: np.linalg.norm(rows, axis=1), x)
        >>> sorted(name for name in found.symmetries if name.startswith("rotations"))
        ['rotations of space up to 30 degrees, vectors', 'rotations of space, vectors']
    """
    check_draws(n_draws, weight_seed)
    for name, value in {"tolerance": tolerance, "probability": probability}.items():
        if not 0 < value < (np.inf if name == "tolerance" else 1):
            raise ValueError(f"{name} must be a positive share, got {value!r}")
    n = check_inputs(x)
    base = named_outputs(
        predict, jax.tree.map(lambda v: v[: min(n, batch_size or _CALLED_WITH)], x)
    )
    options = {
        "n_transforms": n_transforms,
        "batch_size": batch_size,
        "groups": groups,
        "row_ids": row_ids,
        "backend": backend,
        "seed": seed,
        "keep": "rows",
        "progress": False,
    }
    found: list[_Way] = []
    for name, transform, table in tables_of_every_way(
        predict, x, y, base, transforms or {}, options
    ):
        # Thin products of matrices: a second thread costs as much time again, and saves none.
        with threadpool_limits(1, user_api="blas"):
            found.append(_Way.of(name, transform, table, n_draws, weight_seed, tolerance))
    if not found:
        raise ValueError(
            "no transformation of the catalogue can act on inputs of these shapes and dtypes; pass "
            "transforms={'mine': ...}"
        )
    found.sort(key=lambda way: float(np.median(way.error)))
    draws = {"relative_error": np.stack([way.error for way in found], axis=1)}
    saved = [way.saved for way in found if way.saved is not None]
    if len(saved) == len(found):
        draws["risk_saved"] = np.stack(saved, axis=1)
    of_rows: dict[str, Any] = {}
    for way in reversed(found):
        of_rows |= way.rows.facts
    said = set[Diagnostic]().union(*(way.found | way.rows.found for way in found))
    of_rows["invisible_rate"] = hidden_rate(of_rows["n_units"], len(found), probability)
    named = simultaneous_upper(draws["relative_error"], probability) <= tolerance
    if named.any() and of_rows["invisible_rate"] > MOST_HIDDEN:
        said.add(Diagnostic.RARE_AMONG_MANY)
        of_rows["details"][Diagnostic.RARE_AMONG_MANY.name] = (
            f"up to {100 * of_rows['invisible_rate']:.2g} % of rows, among {len(found)} ways"
        )
    return ScreenResult(
        draws=draws,
        dims=dict.fromkeys(draws, ("way",)),
        coords={"way": np.array([way.name for way in found])},
        units={"relative_error": "share", "risk_saved": "risk"},
        diagnostics=worst_first(said),
        facts=ScreenFacts(
            **of_rows,
            tolerance=float(tolerance),
            probability=float(probability),
            n_rows=n,
            n_transforms=n_transforms,
            up_to_rounding=[way.is_exact for way in found],
            nonfinite_rows=sorted({int(r) for way in found for r in way.nonfinite}),
            weight_seed=weight_seed,
        ),
        transforms={way.name: way.transform for way in found},
    )


def hidden_rate(n_units: int, n_ways: int, probability: float) -> float:
    """Return the largest share of rows that may fail in one of several ways, and none of these.

    A failure that ``n_units`` rows show with probability 1 - q each is seen in each of the ways,
    all of them together, with at least the stated probability.

    Args:
        n_units: Independent rows.
        n_ways: Ways to act that were looked at.
        probability: That all that are named symmetries are so.
    """
    return float(-np.expm1(np.log((1 - probability) / n_ways) / n_units))


def simultaneous_upper(draws: Array, probability: float) -> Array:
    """Return upper bounds ``(k,)`` that joint draws ``(draw, k)`` are below, all at once.

    Each is the same quantile of its own draws: the least at which so many draws have none above.
    """
    places = draws.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").max(axis=1)
    needed = np.sort(places)[int(np.ceil(probability * len(draws))) - 1]
    return np.sort(draws, axis=0)[needed]


class _Way(NamedTuple):
    """One way to act, and what was found of it.

    Args:
        name: Its name.
        transform: The transform.
        error: Draws of the relative error, ``(draw,)``.
        saved: Draws of the risk that averaging saves; None without targets.
        is_exact: Whether the model is equivariant up to rounding.
        found: What is to be said.
        rows: What the rows say.
        nonfinite: Numbers of the rows that were left out.
    """

    name: str
    transform: Transform
    error: Array
    saved: Array | None
    is_exact: bool
    found: set[Diagnostic]
    rows: RowFindings
    nonfinite: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        name: str,
        transform: Transform,
        orbits: OrbitTable,
        n_draws: int,
        weight_seed: int,
        tolerance: float,
    ) -> _Way:
        table = orbits.finite
        means = RowMeans.of(table, n_draws, weight_seed, from_above=True)
        errors = error_draws(table, means, whole_only=True)
        if "relative_error" not in errors.draws:
            raise ValueError(
                "the output of predict hardly varies over the rows: there is nothing that a "
                "transformation could change; pass other rows, or what the output is made of"
            )
        relative, stats = errors.draws["relative_error"], table.only
        # Names of rows are asked for where much rests on them: an error that counts as small.
        small = not errors.unchanged and float(np.median(relative)) <= 2 * tolerance
        columns = {f"the squared error under {name}": stats.pair_sq} if small else {}
        saved = None
        if stats.y is not None and table.mean_displacement_sq is not None:
            saved = means.difference(2 * table.gain - table.mean_displacement_sq)
        return cls(
            name,
            transform,
            relative,
            saved,
            Diagnostic.UP_TO_ROUNDING in errors.found,
            design_diagnostics(orbits) | (errors.found & {Diagnostic.NO_STEP_SEEN}),
            RowFindings.of(means, columns, orbits.positions, orbits.left_out),
            orbits.nonfinite_rows,
        )
