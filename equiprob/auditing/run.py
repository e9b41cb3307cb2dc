"""Run every step of an audit, and keep what fails as a status.

One orbit pass for each model, then arithmetic. A step that the data cannot answer is withheld with
its reason; a step that breaks is recorded, and nothing that was computed is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.checked import checked
from equiprob.arguments.models import adapter_for
from equiprob.arguments.names import check_names
from equiprob.arguments.refusals import is_refusal
from equiprob.auditing.findings import Audit, AuditFacts
from equiprob.bounds.generalization_gap import GeneralizationGap
from equiprob.bounds.holdout import Holdout
from equiprob.decisions.compare import compare
from equiprob.errors.model_error import ModelEquivarianceError
from equiprob.errors.stabilizer import Stabilizer, StabilizerResult
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.levels.paths import AbstractPath, Blend, Range
from equiprob.levels.symmetry_level import SymmetryLevel
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.output import Output
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.results import AbstractResult, check_draws
from equiprob.posterior.versions import installed_versions
from equiprob.task.approximation_gap import ApproximationGap
from equiprob.task.data_error import DataEquivarianceError
from equiprob.task.invariance_check import (
    InvarianceCheck,
    InvarianceCheckResult,
    InvariantLaw,
)
from equiprob.task.methods import AbstractMethod, Neighbours, Symmetrization
from equiprob.task.symmetry_map import SymmetryMap
from equiprob.transforms.transform import Transform

_CHECKED_ROWS = 2000
"""Rows on which the law of the inputs is checked at most: its classifier is what takes time."""

_COST_ROWS = 500
"""Rows among which neighbours are sought at most: images take milliseconds a row."""

_TOLERATED = 0.1
"""Share of the output's own variation that the stabilizer tolerates where no tolerance is given."""


@dataclass
class _Record:
    """Results so far, and what there is none of."""

    parts: dict[str, AbstractResult] = field(default_factory=dict)
    missing: list[dict[str, str]] = field(default_factory=list)

    def take(self, key: str, model: str, compute: Callable[[], Any]) -> Any:
        """Return what `compute` returns, and None where it raises; either is recorded."""
        step = key.partition("/")[0]
        try:
            result = compute()
        except Exception as error:  # a later step must not lose what this one computed
            if isinstance(error, ValueError | NotImplementedError) and is_refusal(error):
                self.lacks(step, model, "withheld", str(error))
            else:
                self.lacks(step, model, "failed", f"{type(error).__name__}: {error}")
        else:
            if isinstance(result, AbstractResult):
                self.parts[key] = result
            return result
        return None

    def lacks(self, step: str, model: str, status: str, reason: str) -> None:
        self.missing.append({"model": model, "step": step, "status": status, "reason": reason})


@checked
def audit(
    models: Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]],
    x: Any,
    y: Any,
    transform: Transform,
    *,
    train: tuple[Any, Any] | None = None,
    law: InvariantLaw | InvarianceCheckResult | None = None,
    method: AbstractMethod | None = None,
    path: AbstractPath | None = None,
    tolerance: float | None = None,
    rope: float = 0.0,
    output: str | None = None,
    outputs: Output | Mapping[str, Output] | None = None,
    n_transforms: int = 16,
    design: str = "quasi",
    groups: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    batch_size: int | None = None,
    batch_dependent: bool = False,
    backend: str = "auto",
    seed: int = 0,
    n_draws: int = 4000,
    weight_seed: int = 0,
    progress: bool | None = None,
) -> Audit:
    """Answer every question about one or several models in a row.

    For each model: its equivariance error, that of the task, what the mismatch costs, which
    transformations it respects, how far averaging pays, and its generalization gap where training
    rows are given. For all together: a check of the law of the inputs, a comparison, and, where
    that law is not known to be invariant, what exact symmetry would cost any model, and for which
    rows and transformations the data contradict it, from the data alone.

    Args:
        models: One ``predict``, or several by name.
        x: Inputs that no model was trained on: an array or a dict of arrays, rows first.
        y: Their targets, as in `evaluate_orbits`; None for the model errors alone.
        transform: The distribution over transformations.
        train: ``(x, y)`` of the rows that the models were trained on, all of them.
        law: What is known of the law of the inputs; checked by a classifier when left out.
        method: How the data error is estimated; ``ep.methods.Symmetrization()`` when left out.
        path: Along which the symmetry level is looked for. When left out: ``Range()`` where
            transformations come in a range and displacements were kept, else ``Blend()``.
        tolerance: Change of the output, in its units, that the stabilizer takes for none; a tenth
            of the output's own variation when left out.
        rope: Difference in risk that makes no practical difference, between models and between a
            model and its average.
        output: Which output to audit, of models with several.
        outputs: Units, padding and counts of outputs, as in `evaluate_orbits`.
        n_transforms: Transformations for each row.
        design: As in `evaluate_orbits`.
        groups: A label for each row; rows of a group are one independent unit.
        row_ids: A unique label for each row, as in `evaluate_orbits`.
        batch_size: Rows in each call of a model.
        batch_dependent: Accept models that depend on the batch, as in `evaluate_orbits`.
        backend: As in `evaluate_orbits`.
        seed: Seed of the transformations and of the check of the law.
        n_draws: Posterior draws.
        weight_seed: Seed of the rows' weights.
        progress: Whether to show progress bars, as in `evaluate_orbits`.

    Returns:
        All results. What could not be computed is in `Audit.missing` with its reason.

    Raises:
        ValueError: If `models` is empty or its inputs do not fit; where every model fails, the
            error of the first.
        TypeError: If models cannot be called, or `transform` is no transform.
        RuntimeError: If every model raises.

    Assumptions:
        Rows (or groups) are independent draws from the law that matters to you, and no model was
        trained on them. Each result's own are on its page.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = np.sum(x**2, axis=1)
        >>> models = {"all": lambda rows: (rows**2).sum(axis=1), "first": lambda rows: rows[:, 0]}
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> found = ep.audit(models, x, y, turns, law=ep.InvariantLaw(), n_draws=500)
        >>> print(found.verdict[0])
        Ship 'all': it has the least loss with probability 1.00. The loss minimized is the
        expected squared error (200 held-out rows): 0 (0 to 2.17) for 'all', 0 more in expectation
        than if the best were known.
    """
    check_draws(n_draws, weight_seed)
    named = _named(models)
    record = _Record()
    pass_options = {
        "n_transforms": n_transforms,
        "design": design,
        "groups": groups,
        "row_ids": row_ids,
        "seed": seed,
    }
    calls: dict[str, Any] = {
        "outputs": outputs,
        "batch_size": batch_size,
        "batch_dependent": batch_dependent,
        "backend": backend,
        "progress": progress,
    }
    shared: dict[str, Any] = {"n_draws": n_draws, "weight_seed": weight_seed}
    tables = _tables(named, x, y, transform, output, pass_options | calls, record)
    look = _law(law, x, y, transform, groups, seed, shared, record, method or Symmetrization())
    questions = _Questions(
        record=record,
        law=look,
        method=method,
        path=path,
        rope=rope,
        tolerance=tolerance,
        shared=shared,
    )

    def trained(predict: Callable[[Any], Any], rows: tuple[Any, Any]) -> OrbitTable:
        # The risk needs the model's own outputs only: one transformation will do.
        options = {**calls, "n_transforms": 1, "seed": seed}
        return _one_output(
            evaluate_orbits(predict, rows[0], transform, y=rows[1], **options), output
        )

    for k, (name, predict) in enumerate(named.items()):
        if name in tables:
            make = None if train is None else partial(trained, predict, train)
            questions.ask(k, name, tables[name], make)
    first = next(iter(tables.values()))
    if y is not None and method is None and not _is_invariant(look):
        cost = DataEquivarianceError(method=Neighbours(most_rows=_COST_ROWS), **shared)
        record.take("symmetry_cost", "", lambda: cost.fit(first))
        where = SymmetryMap(most_rows=_COST_ROWS, **shared)
        record.take("symmetry_map", "", lambda: where.fit(first))
    if y is not None and len(tables) > 1:
        record.take("comparison", "", lambda: compare(tables, rope=rope, **shared))
    return Audit(
        parts=record.parts,
        facts=AuditFacts(
            models=list(named),
            missing=record.missing,
            transform=str(transform),
            n_rows=len(first),
            rows=hashlib.sha256(np.sort(first.row_ids).tobytes()).hexdigest()[:16],
            design=first.design.kind,
            n_transforms=first.design.n_transforms,
            seed=int(seed),
            **shared,
            rope=float(rope),
            output=first.outputs[0],
            with_targets=y is not None,
            given=_given(
                train=train,
                law=law,
                method=method,
                path=path,
                tolerance=tolerance,
                output=output,
                outputs=outputs,
                groups=groups,
                row_ids=row_ids,
                batch_size=batch_size,
                batch_dependent=batch_dependent or None,
                design=None if design == "quasi" else design,
                backend=None if backend == "auto" else backend,
            ),
            versions=installed_versions(),
        ),
        tables=tables,
    )


def _given(**options: Any) -> dict[str, str]:
    """Return the options that were passed, as they would be written where that is short."""
    return {
        name: repr(value) if isinstance(value, str | int | float) else "..."
        for name, value in options.items()
        if value is not None
    }


def _named(
    models: Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]],
) -> dict[str, Callable[[Any], Any]]:
    """Return models by name."""
    named = dict(models) if isinstance(models, Mapping) else {"model": models}
    if not named:
        raise ValueError("models is empty: pass a predict function, or a dict of them by name")
    check_names("a model's name", named)
    for name, predict in named.items():
        adapter = adapter_for(predict)
        if adapter or not (isinstance(name, str) and name and callable(predict)):
            raise TypeError(
                f"models must be a function predict(batch), or a dict of such by name; got "
                f"{name!r}: {predict!r:.80}" + (f"; pass {adapter}" if adapter else "")
            )
    return named


def _tables(
    named: Mapping[str, Callable[[Any], Any]],
    x: Any,
    y: Any,
    transform: Transform,
    output: str | None,
    options: Mapping[str, Any],
    record: _Record,
) -> dict[str, OrbitTable]:
    """Return the orbit tables of the models that have one; raises where none has."""
    tables: dict[str, OrbitTable] = {}
    errors: list[Exception] = []
    for name, predict in named.items():
        try:
            table = evaluate_orbits(predict, x, transform, y=y, **options)
            tables[name] = _one_output(table, output)
        except Exception as error:  # of one model: the others still have an audit
            errors.append(error)
            record.lacks("orbits", name, "failed", f"{type(error).__name__}: {error}")
    if not tables:
        raise errors[0]
    return tables


def _one_output(table: OrbitTable, output: str | None) -> OrbitTable:
    """Return the table of the output to audit."""
    if output is None and len(table.outputs) == 1:
        return table
    if output not in table.outputs:
        raise ValueError(f"the model has the outputs {list(table.outputs)}: pass one as output=")
    return table[output]


def _law(
    law: InvariantLaw | InvarianceCheckResult | None,
    x: Any,
    y: Any,
    transform: Transform,
    groups: ArrayLike | None,
    seed: int,
    shared: Mapping[str, Any],
    record: _Record,
    method: AbstractMethod,
) -> InvariantLaw | InvarianceCheckResult | None:
    """Return what is known of the law of the inputs, looked for where it matters."""
    if isinstance(law, InvarianceCheckResult):
        record.parts["law"] = law
    if law is not None or y is None or not method.depends_on_law:
        return law
    chosen = _subset(len(jax.tree.leaves(x)[0]), seed)
    rows = jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], x)
    of_rows = None if groups is None else np.asarray(groups)[chosen]
    check = InvarianceCheck(seed=seed, **shared)
    return record.take("law", "", lambda: check.fit(rows, transform, groups=of_rows))


def _is_invariant(law: InvariantLaw | InvarianceCheckResult | None) -> bool:
    return isinstance(law, InvariantLaw) or (law is not None and law.is_invariant)


def _subset(n: int, seed: int) -> Any:
    """Return the rows of the check: all, or as many as it takes."""
    if n <= _CHECKED_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, 9]).permutation(n)[:_CHECKED_ROWS])


@dataclass(frozen=True, kw_only=True)
class _Questions:
    """What is asked of each model's table."""

    record: _Record
    law: InvariantLaw | InvarianceCheckResult | None
    method: AbstractMethod | None
    path: AbstractPath | None
    rope: float
    tolerance: float | None
    shared: Mapping[str, Any]

    def ask(
        self, k: int, name: str, table: OrbitTable, train: Callable[[], OrbitTable] | None
    ) -> None:
        """Take every step for the model of place `k`; `train` makes its table of training rows."""
        take, shared = self.record.take, self.shared
        error = take(f"model_error/{k}", name, lambda: ModelEquivarianceError(**shared).fit(table))
        if error is not None:
            take(f"stabilizer/{k}", name, lambda: self._stabilizer(table, error))
        if table.only.y is None:
            for step in ("data_error", "approximation_gap", "level"):
                self.record.lacks(step, name, "withheld", "it needs targets: pass y")
            return
        estimator = DataEquivarianceError(method=self.method or Symmetrization(), **shared)
        data_error = take(f"data_error/{k}", name, lambda: estimator.fit(table, law=self.law))
        if error is not None and data_error is not None:
            gap = ApproximationGap(**shared)
            take(f"approximation_gap/{k}", name, lambda: gap.fit(error, data_error))
        take(f"level/{k}", name, lambda: self._level(table))
        if train is not None:
            held_out = GeneralizationGap(bound=Holdout(), **shared)
            take(f"generalization_gap/{k}", name, lambda: held_out.fit(table, train=train()))

    def _stabilizer(self, table: OrbitTable, error: Any) -> StabilizerResult:
        return Stabilizer(tolerance=_tolerance(self.tolerance, error), **self.shared).fit(table)

    def _level(self, table: OrbitTable) -> SymmetryLevelResult:
        def along(path: AbstractPath) -> SymmetryLevelResult:
            return SymmetryLevel(path=path, rope=self.rope, **self.shared).fit(table)

        if self.path is not None:
            return along(self.path)
        # Not every law can be restricted to a range, and not every table kept displacements.
        if table.transform.enumeration() is None and table.only.raw is not None:
            with contextlib.suppress(ValueError, NotImplementedError):
                return along(Range())
        return along(Blend())


def _tolerance(tolerance: float | None, error: Any) -> float:
    """Return the change of the output that counts as none."""
    if tolerance is not None:
        return tolerance
    if "relative_error" not in error.draws or error.is_exact:
        raise ValueError(
            "the output has no variation of its own to judge changes by, or the model is exactly "
            "equivariant: pass tolerance="
        )
    spread = np.median(error.draws["error"] / error.draws["relative_error"])
    return _TOLERATED * float(spread)
