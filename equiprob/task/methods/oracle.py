"""The data error where the truth can be asked: simulators, known functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final, override

import numpy as np

from equiprob.errors.model_error import ModelEquivarianceError
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.table import OrbitTable
from equiprob.task.methods.base import AbstractMethod, Case, Evidence
from equiprob.task.spectral_constants import eigenvalues


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Oracle(AbstractMethod):
    """The error of the truth itself, evaluated like a model.

    Args:
        f_star: The truth, ``f_star(batch) -> output``, as `evaluate_orbits` takes a model.
        backend: As in `evaluate_orbits`.

    Assumptions:
        `f_star` is without noise; at moved inputs it is the truth there, too.
    """

    f_star: Callable[[Any], Any]
    backend: str = "auto"

    @property
    @override
    def depends_on_law(self) -> bool:
        return False

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        table = orbits.finite
        truth = evaluate_orbits(
            self.f_star,
            table.x,
            table.transform,
            n_transforms=table.design.n_transforms,
            design=table.design.kind,
            seed=table.design.seed,
            backend=self.backend,
        )
        if len(truth.statistics) > 1:
            truth = truth[table.outputs[0]]
        if truth.only.output_shape != table.only.output_shape:
            raise ValueError(
                f"f_star must return what the model returns, rows of shape "
                f"{table.only.output_shape}, got {truth.only.output_shape}"
            )
        weighed = replace(truth, unit_ids=table.unit_ids)  # as the model's rows weigh
        result = ModelEquivarianceError(n_draws=n_draws, weight_seed=seed).fit(weighed)
        draws = {name: result.draws[name] for name in ("error", "profile")}
        if result.is_exact:  # what is left is rounding, and the task has none
            draws = {name: np.zeros_like(values) for name, values in draws.items()}
        if case is Case.HAAR:
            draws["symmetry_cost"] = draws["error"] ** 2 / 2
        elif case is Case.INVARIANT:
            draws |= eigenvalues(table.transform).costs(draws["error"])
        return Evidence(
            draws=draws,
            dims=dict(result.dims),
            coords=dict(result.coords),
            facts={"is_exact": result.is_exact},
            columns={} if result.is_exact else {"the truth's squared change": truth.only.pair_sq},
        )
