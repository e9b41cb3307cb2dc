"""How do targets enter the transport bound?

Jointly: two rows are as far apart as their inputs and their targets, and the transport is of the
losses themselves. Or by contraction: with random signs s, twice the Rademacher complexity of the
losses is at most the loss's slope times that of scalar predictors, and

    2 E sup_f mean_i s_i f(x_i)  <=  E W + R E |sum_i s_i| / n  <=  E W + R sqrt(2 (n + 1) / pi) / n

with W the transport of predictors of range R. The last term, which is no larger than R / sqrt(n),
is that the signs of n rows do not balance: targets cannot be matched, so a constant can follow
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.bounds.assumptions import Assumption
from equiprob.bounds.base import GapCurve, GapProblem
from equiprob.bounds.cost_surface import CostSurface
from equiprob.bounds.losses import AbstractLoss, LossConstants, holds_labels
from equiprob.bounds.power_law import FEWEST_SIZES, fit_power_law
from equiprob.bounds.predictor_class import PredictorClass, range_of
from equiprob.geometry.all_pairs import Targets
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.row_means import RowMeans

TargetForm = Literal["smaller", "joint", "contraction"]

_HORIZON = 6


@dataclass(frozen=True, eq=False)
class Form:
    """A way for targets to enter.

    Args:
        name: For the facts.
        targets: What is matched beside the inputs.
        slope: Of the loss.
        cap: The largest cost of moving a row onto another.
        unbalanced: What signs that do not balance add, times ``n / sqrt(2 (n + 1) / pi)``.
        defect_of: A bound on how much each row's loss changes when the model is averaged over its
            orbit, ``(row,)``.
        assumptions: What it takes beyond the class and the loss.
    """

    name: str
    targets: Targets
    slope: float
    cap: float
    unbalanced: float
    defect_of: Callable[[OrbitTable], Array]
    assumptions: tuple[Assumption, ...] = ()

    def signs(self, n: Array | float) -> Array:
        """Return what signs of `n` units add that do not balance."""
        count = np.asarray(n, dtype=np.float64)
        return self.unbalanced * np.sqrt(2 * (count + 1) / np.pi) / count


def forms_of(
    problem: GapProblem,
    loss: AbstractLoss,
    constants: LossConstants,
    predictors: PredictorClass,
    asked: TargetForm,
    tables: Sequence[OrbitTable],
) -> Sequence[Form]:
    """Return the forms in which the targets of the sample can enter, the joint one first.

    Args:
        problem: The rows.
        loss: The loss.
        constants: Its range and slope.
        predictors: The class.
        asked: Which forms.
        tables: Those between whose rows the joint form moves: the sample's alone, or the training
            rows' and the held-out rows'.

    Raises:
        ValueError: If contraction is asked for and outputs are not scalars that stay as they are.
    """
    table = problem.sample
    invariant = table.transform.of_output(table.outputs[0]).keeps_output
    stats = table.only
    joint = Form(
        "joint",
        _targets(tables, invariant=invariant),
        constants.slope,
        constants.range,
        0.0,
        lambda rows: np.abs(loss.defect(rows)),
    )
    can_contract = invariant and stats.base.shape[1] == 1 and stats.y is not None
    if asked == "contraction" and not can_contract:
        raise ValueError(
            f"contraction needs targets, and scalar outputs that transformations leave as they "
            f"are, got rows of shape {stats.output_shape} under output_action="
            f"{table.transform.output_action!r}; pass targets='joint'"
        )
    if asked == "joint" or not can_contract:
        return [joint]
    reach, span = range_of(predictors, problem)
    contraction = Form(
        "contraction",
        Targets(),
        constants.slope,
        constants.slope * reach,
        constants.slope * reach,
        lambda rows: constants.slope * np.linalg.norm(rows.mean_displacement, axis=1),
        (span,),
    )
    return [contraction] if asked == "contraction" else [joint, contraction]


def _targets(tables: Sequence[OrbitTable], *, invariant: bool) -> Targets:
    """Return the targets of all rows of tables of one output, in one list."""
    parts = [table.only.y for table in tables]
    if any(part is None for part in parts):
        return Targets()
    y = np.concatenate([part for part in parts if part is not None])
    alone = tables[0].transform.of_output(tables[0].outputs[0])
    shape = tables[0].only.output_shape

    def moved(parameter: Array) -> Array:
        turned = alone.apply_to_output(parameter, y.reshape(-1, *shape))
        return np.asarray(turned).reshape(len(y), -1)

    return Targets(y, all(map(holds_labels, tables)), None if invariant else moved)


def deviation(
    n: Array | float, n_splits: int, loss_range: float, cap: float, delta: float
) -> Array:
    """Return by how much the largest gap exceeds the cost, with probability delta at most.

    McDiarmid's inequality: one of n units changes the gap by ``loss_range / n`` and the cost of
    moving one of ``m = n // 2`` onto another by ``cap / m``, one flip of a pair by ``2 cap / m`` in
    its split. With ``cap = loss_range = M`` and n even, ``M sqrt((9 + 8 / n_splits) log(1 / delta)
    / (2 n))``.
    """
    count = np.asarray(n, dtype=np.float64)
    pairs = np.floor(count / 2)
    paired = 2 * pairs * (loss_range / count + cap / pairs) ** 2
    alone = (count - 2 * pairs) * (loss_range / count) ** 2
    flips = 4 * cap**2 / (pairs * n_splits)
    return np.sqrt((paired + alone + flips) * np.log(1 / delta) / 2)


@dataclass(frozen=True, eq=False)
class FormValue:
    """The bound in one form; draws as in `GapEvidence`."""

    name: str
    bound: Array
    expected: Array
    without: Array
    rate: Array | None
    curve: GapCurve | None


def evaluate_form(
    form: Form,
    surface: CostSurface,
    problem: GapProblem,
    lipschitz: Array,
    defect: Array,
    added: Array,
    penalty: Callable[[Array | float], Array],
    ids: Ids,
) -> FormValue:
    """Return the bound in one form.

    Args:
        form: The form.
        surface: The solved transport problems.
        problem: The rows.
        lipschitz: Draws of the Lipschitz constant, ``(draw,)``.
        defect: Draws of the defect, ``(draw,)``.
        added: What the model's own average defect adds, ``(draw,)``.
        penalty: What the bound of high probability adds at n units.
        ids: Of the units between which rows are moved.
    """
    sampled = surface.sampled(RowMeans(ids, problem.n_draws, problem.weight_seed))
    rows = np.arange(problem.n_draws)

    def cost(size: int, moves: Array | None) -> tuple[Array, Array]:
        """Return the cost on the sample, and draws of its expectation."""
        lowest, node = surface.lowest(size, lipschitz, moves)
        return lowest, lowest * sampled[size][rows, node]

    here, expected = cost(0, defect)
    _, without = cost(0, None)
    signs = form.signs(problem.n)
    value = FormValue(
        form.name,
        here + signs + added + penalty(problem.n),
        expected + signs + added,
        without + signs,
        None,
        None,
    )
    if len(surface.sizes) < FEWEST_SIZES:
        return value
    free = np.zeros_like(defect)
    exact, none = (
        np.column_stack([cost(size, moves)[1] for size in range(len(surface.sizes))])
        for moves in (free, None)
    )
    if min(exact.min(), none.min()) <= 0:  # rows coincide: there is no power law
        return value
    generator = np.random.default_rng([problem.weight_seed, 19])
    laws = [fit_power_law(surface.sizes, draws, generator) for draws in (exact, none)]
    ahead = surface.sizes[0] * 2.0 ** np.arange(1, _HORIZON + 1)
    n = np.concatenate([surface.sizes[::-1], ahead])
    free_cost, plain_cost = (np.minimum(law.at(n), form.cap) for law in laws)
    with_defect = np.minimum(plain_cost, free_cost + form.slope * defect[:, None])
    curve = GapCurve(
        n=n,
        expected=with_defect + form.signs(n) + added[:, None],
        without=plain_cost + form.signs(n),
        penalty=penalty(n),
    )
    return replace(value, rate=laws[1].rate, curve=curve)


def smallest(values: Sequence[FormValue]) -> FormValue:
    """Return the smallest bound in every draw, named after the one that mostly is."""
    if len(values) == 1:
        return values[0]
    best = min(values, key=lambda value: float(np.median(value.expected)))
    curves = [value.curve for value in values if value.curve is not None]
    curve = None
    if len(curves) == len(values):
        curve = GapCurve(
            n=curves[0].n,
            expected=np.min([c.expected for c in curves], axis=0),
            without=np.min([c.without for c in curves], axis=0),
            penalty=curves[values.index(best)].penalty,
        )
    return FormValue(
        best.name,
        np.min([value.bound for value in values], axis=0),
        np.min([value.expected for value in values], axis=0),
        np.min([value.without for value in values], axis=0),
        best.rate,
        curve,
    )
