"""What did an audit find, and what could it not?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from equiprob.auditing.verdict import verdict_lines
from equiprob.decisions.compare import Comparison
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.words import MANY, listed
from equiprob.task.data_error import DataEquivarianceErrorResult
from equiprob.task.invariance_check import InvarianceCheckResult
from equiprob.task.symmetry_map import SymmetryMapResult

if TYPE_CHECKING:
    import pandas as pd

STEPS = (
    "model_error",
    "data_error",
    "approximation_gap",
    "stabilizer",
    "level",
    "generalization_gap",
)
"""What is asked of each model, in order; ``law``, ``symmetry_cost``, ``symmetry_map`` and
``comparison`` are of all together."""


@dataclass(frozen=True, kw_only=True)
class AuditFacts(Facts):
    """What travels with an audit.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        models: Their names.
        missing: What could not be computed: model, step, status and reason.
        n_rows: Rows used.
        rows: A hash of their ids.
        design: How transformations were chosen.
        n_transforms: Transformations of each row.
        seed: Of the transformations.
        n_draws: Posterior draws.
        rope: Difference in risk that makes no practical difference.
        output: The output that was audited.
        with_targets: Whether there are targets.
        given: Other arguments of the call, as they would be written.
        versions: Of the packages.
    """

    transform: str
    weight_seed: int
    models: Sequence[str]
    missing: Sequence[Mapping[str, str]]
    n_rows: int
    rows: str
    design: str
    n_transforms: int
    seed: int
    n_draws: int
    rope: float
    output: str
    with_targets: bool
    given: Mapping[str, str]
    versions: Mapping[str, str]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Audit(AbstractBundle):
    """All results of one audit; made by `audit`.

    Args:
        tables: The orbit table of each model (not saved).
    """

    facts: AuditFacts = field(repr=False)

    tables: Mapping[str, OrbitTable] = field(default_factory=dict, repr=False)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self.facts.models)

    def __getitem__(self, model: str) -> dict[str, AbstractResult]:
        """Return the results of one model, by step: ``audit["cnn"]["model_error"]``.

        Raises:
            KeyError: If there is no such model; the message names those there are.
        """
        if model not in self.models:
            raise KeyError(f"no model {model!r}; the models are {listed(self.models)}")
        k = self.models.index(model)
        return {step: self.parts[f"{step}/{k}"] for step in STEPS if f"{step}/{k}" in self.parts}

    @property
    def law(self) -> InvarianceCheckResult | None:
        """What a classifier found of the law of the inputs; None where it did not look."""
        found = self.parts.get("law")
        return found if isinstance(found, InvarianceCheckResult) else None

    @property
    def symmetry_cost(self) -> DataEquivarianceErrorResult | None:
        """What exact symmetry costs any model, from neighbours in the data.

        None where the law of the inputs is invariant, where a method was chosen, or where it is in
        `missing`.
        """
        found = self.parts.get("symmetry_cost")
        return found if isinstance(found, DataEquivarianceErrorResult) else None

    @property
    def symmetry_map(self) -> SymmetryMapResult | None:
        """For which rows and transformations the data contradict the symmetry.

        None where `symmetry_cost` is not asked for, or where it is in `missing`.
        """
        found = self.parts.get("symmetry_map")
        return found if isinstance(found, SymmetryMapResult) else None

    @property
    def comparison(self) -> Comparison | None:
        """The comparison of the models; None for a single one, or without targets."""
        found = self.parts.get("comparison")
        return found if isinstance(found, Comparison) else None

    @property
    def missing(self) -> pd.DataFrame:
        """What there is no result of: columns ``model``, ``step``, ``status`` and ``reason``.

        The status is ``"withheld"`` where the data do not identify an answer or an argument is
        missing, ``"failed"`` where something went wrong.
        """
        import pandas as pd

        columns = ["model", "step", "status", "reason"]
        return pd.DataFrame(self.facts.missing, columns=columns)

    @property
    def verdict(self) -> list[str]:
        """The answers in plain words, the most important first; intervals hold 90 %."""
        results = {name: self[name] for name in self.models}
        return verdict_lines(results, self.comparison, self.facts.missing, self.foremost)

    @property
    def foremost(self) -> tuple[str, ...]:
        """The models that are told of one by one: all, or of many the best."""
        if len(self.models) <= MANY:
            return self.models
        compared = () if self.comparison is None else self.comparison.candidates
        best = [*compared, *(name for name in self.models if name not in compared)][:MANY]
        return tuple(name for name in self.models if name in best)

    def __str__(self) -> str:
        """Say what was found, the verdict first."""
        return "\n".join(self.verdict)

    def _repr_html_(self) -> str:
        """Show the verdict and the numbers in a notebook."""
        said = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdict)
        return said + self.summary().to_html(float_format="{:.4g}".format, border=0)

    def summary(
        self, ci_prob: float | None = None, ci_kind: Literal["eti", "hdi"] | None = None
    ) -> pd.DataFrame:
        """Return the scalar quantities of all results in one table.

        Args:
            ci_prob: As in `AbstractResult.interval`.
            ci_kind: As in `AbstractResult.interval`.

        Returns:
            `AbstractResult.summary` of every result, indexed by model, step and quantity; curves
            and profiles are left to the results.

        Raises:
            ValueError: If `ci_prob` is outside (0, 1) or `ci_kind` is unknown.
        """
        import pandas as pd

        tables = {}
        for name, result in self.parts.items():
            step, _, k = name.partition("/")
            whole = result.summary(ci_prob, ci_kind)
            model = self.models[int(k)] if k else ""
            tables[model, step] = whole[[_is_scalar(result, label) for label in whole.index]]
        return pd.concat(tables, names=["model", "step"])

    def report(self, path: str | Path, *, models: Sequence[str] | None = None) -> Path:
        """Write one self-contained HTML page.

        Args:
            path: The file. It is replaced whole or not at all.
            models: Which models have sections with figures of their own; all, or of many the eight
                of least expected loss, when left out. The others have a line in a table.

        Returns:
            The path.

        Raises:
            KeyError: If there is no such model; the message names those there are.
        """
        from equiprob.report.audit_page import audit_page

        chosen = self.foremost if models is None else tuple(models)
        for name in chosen:
            _ = self[name]
        return audit_page(self.parts, self.facts, self.verdict, chosen).write(path)


def _is_scalar(result: AbstractResult, label: Any) -> bool:
    """Whether a row of a summary is one number, or one for each candidate."""
    dims = result.dims.get(str(label).split("[")[0], ())
    return set(dims) <= {"candidate", "part"}
