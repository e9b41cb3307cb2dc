"""The data error where targets were measured at moved inputs, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np

from equiprob.arguments.arrays import as_numbers
from equiprob.orbits.table import OrbitTable, describe_rows
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.row_means import RowMeans
from equiprob.task.methods.base import AbstractMethod, Case, Evidence
from equiprob.task.methods.symmetrization import check_noise
from equiprob.task.spectral_constants import eigenvalues


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredPairs(AbstractMethod):
    """The error from pairs: the table's targets at x, and others measured at g.x.

    Args:
        parameters: The transformation of each row, ``(row, n_parameters)``, drawn from the
            transform's law.
        y_moved: What was measured at the moved inputs, ``(row, ...)`` like the targets.
        noise_variance: Variance of one measurement, summed over components; both carry it. None
            where it is not known: the result then is an upper bound.

    Assumptions:
        The noise of the two measurements is independent given the inputs.
    """

    parameters: Any = field(repr=False)
    y_moved: Any = field(repr=False)
    noise_variance: float | None = None

    @override
    def __post_init__(self) -> None:
        """Check the variance."""
        super().__post_init__()
        check_noise(self.noise_variance, None)

    @property
    @override
    def depends_on_law(self) -> bool:
        return False

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        stats, transform, n = orbits.only, orbits.transform, len(orbits)
        if stats.y is None:
            raise ValueError("pairs need the targets at x: pass y= to evaluate_orbits")
        parameters = as_numbers("parameters", self.parameters)
        moved = as_numbers("y_moved", self.y_moved)
        size = transform.identity.size
        if parameters.size != n * size or moved.size != stats.y.size:
            raise ValueError(
                f"parameters must be ({n}, {size}) and y_moved {n} rows like the targets, got "
                f"shapes {parameters.shape} and {moved.shape}"
            )
        parameters, moved = parameters.reshape(n, -1), moved.reshape(n, -1)
        bad = ~(np.isfinite(parameters).all(axis=1) & np.isfinite(moved).all(axis=1))
        if bad.any():
            raise ValueError(
                f"parameters or y_moved are not finite in rows {describe_rows(np.flatnonzero(bad))}"
                f"; drop these rows, here and in the table"
            )
        shaped = stats.y.reshape(n, *stats.output_shape)
        moves = transform.on(output=shaped).at(parameters, outputs="forth")
        expected = moves.forth(shaped).reshape(n, -1)
        squares = ((moved - expected) ** 2).sum(axis=1)
        keep = orbits.valid
        noise = 2 * (self.noise_variance or 0.0)
        means = RowMeans(orbits.unit_ids[keep], n_draws, seed)
        error = np.sqrt(np.maximum(means.mean(squares[keep]) - noise, 0.0))
        columns = {"the pairs' squared change": squares[keep]}
        if self.noise_variance is None:
            return Evidence(
                draws={"lower": np.zeros(n_draws), "upper": error},
                columns=columns,
                found={Diagnostic.NOISE_UNKNOWN},
            )
        draws = {"error": error}
        if case is Case.HAAR:
            draws["symmetry_cost"] = error**2 / 2
        elif case is Case.INVARIANT:
            draws |= eigenvalues(transform).costs(error)
        return Evidence(
            draws=draws, columns=columns, facts={"noise_variance": float(self.noise_variance)}
        )
