"""Which units of which layers lose a symmetry?

Each unit (a neuron, a channel) of each output of one pass has an error of its own, with a
posterior: of a network whose layers are outputs, it tells where on the way to the answer a symmetry
is lost, and by which units.

References:
    Quiroga et al., "Measuring (in)variances in convolutional networks", 2019, and its package
    tmeasures (variance under transformations over variance between samples).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.errors.table_findings import design_diagnostics, require_deterministic
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans

_CONSTANT = 1e-12
"""Of a unit's mean square: one that varies less is constant, and has no relative error."""

_FEWEST, _SEEN = 5, 1e-3
"""Rows from which a unit's variation is known, of those that vary by this share of the most."""

_MOST_UNITS = 4096


@dataclass(frozen=True, kw_only=True)
class UnitErrorsFacts(RowFacts):
    """What travels with errors of units.

    Args:
        transform: The transform.
        fingerprint: Of it.
        layers: The outputs, and how many units of each have an error here.
        constant: The units left out, as they are the same for all rows but a few, by output.
    """

    transform: str
    fingerprint: Mapping[str, str]
    layers: Mapping[str, int]
    constant: Mapping[str, list[int]]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class UnitErrorsResult(AbstractResult):
    """Posterior of the error of every unit; made by `UnitErrors.fit`."""

    facts: UnitErrorsFacts = field(repr=False)

    def of_layer(self, layer: str) -> Array:
        """Return draws ``(draw, unit)`` of the relative errors of an output's units.

        Raises:
            KeyError: If there is no such output.
        """
        if layer not in self.facts.layers:
            raise KeyError(f"no output {layer!r}; the outputs are {list(self.facts.layers)}")
        names, start = list(self.facts.layers), 0
        for name in names[: names.index(layer)]:
            start += self.facts.layers[name]
        return self.draws["relative_error"][:, start : start + self.facts.layers[layer]]

    def worst_units(self, n: int = 5) -> list[str]:
        """Return the names of the `n` units of the largest relative error, worst first."""
        order = np.argsort(-np.median(self.draws["relative_error"], axis=0), kind="stable")
        return [str(name) for name in self.coords["unit"][order[:n]]]

    def __str__(self) -> str:
        """Say what was found."""
        facts, parts = self.facts, []
        for name, n in facts.layers.items():
            middle = np.median(self.of_layer(name), axis=0)
            parts.append(f"{name} {np.median(middle):.2g} ({n} units, up to {middle.max():.2g})")
        worst = self.worst_units(1)[0]
        place = list(self.coords["unit"]).index(worst)
        low, high = credible_interval(self.draws["relative_error"][:, place], 0.9)
        left = sum(map(len, facts.constant.values()))
        text = (
            f"Under {facts.transform}, units change by these shares of their own variation (median "
            f"unit), on {facts.n_rows} rows: {', '.join(parts)}. The largest is that of {worst} "
            f"(90% credible interval {low:.2g} to {high:.2g}, of this unit alone)."
        )
        if left:
            text += f" {left} units are the same for all rows but fewer than 5, and left out."
        return text + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class UnitErrors(AbstractEstimator):
    """Estimate the error of each unit of each output of one pass, with a posterior.

    Args:
        layers: Outputs, in the order in which they are to be shown; all of them, by name, when left
            out.
        units: Which axis of an output counts its units where it has several: ``"first"`` (channels
            of PyTorch) or ``"last"``. The others, such as places in a feature map, are averaged.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs. Units are judged one by
        one: of many, some intervals miss.

    References:
        Quiroga et al., 2019 (tmeasures); docs/equivariance.md.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> radius = lambda rows: (rows**2).sum(axis=1)
        >>> predict = lambda rows: np.stack([radius(rows), rows[:, 0]], axis=1)
        >>> orbits = ep.evaluate_orbits(predict, x, turns, keep="all", backend="python")
        >>> result = ep.UnitErrors().fit(orbits)
        >>> result.worst_units(1)
        ['output[1]']
    """

    layers: Sequence[str] | None = None
    units: Literal["first", "last"] = "first"

    def fit(self, orbits: OrbitTable) -> UnitErrorsResult:
        """Fit to an orbit table.

        Args:
            orbits: The table of all outputs, evaluated with ``keep="all"``.

        Returns:
            Draws of ``error`` of each unit, a root mean square in output units over rows,
            transformations and places, and of ``relative_error``, over the standard deviation of
            the unit over rows and places: ``(draw, unit)``, the units of one output after those of
            another.

        Raises:
            ValueError: If there is no such output, displacements were not kept, rows share their
                transformations, the model is stochastic, there are more than 4096 units, or all of
                them are constant.
        """
        table = orbits.finite
        require_deterministic(table, "the error of each unit")
        if table.design.kind == "crossed":
            raise ValueError(
                "rows share one list of transformations, which are themselves a sample: pass "
                "design='quasi' to evaluate_orbits"
            )
        chosen = table.outputs if self.layers is None else list(self.layers)
        unknown = [name for name in chosen if name not in table.statistics]
        if unknown or not chosen:
            raise ValueError(
                f"layers asks for {unknown or 'nothing'}; the outputs are {list(table.statistics)}"
            )
        of_layer = {
            name: self._squares(table.statistics[name], table.design.weights)
            for name in dict.fromkeys(chosen)
        }
        varies = {name: variance.any(axis=0) for name, (_, variance) in of_layer.items()}
        known = {name: _is_known(variance) for name, (_, variance) in of_layer.items()}
        if any(each.any() for each in known.values()):  # else rows that carry all are named
            varies = known
        names = [f"{name}[{unit}]" for name in of_layer for unit in np.flatnonzero(varies[name])]
        if not 0 < len(names) <= _MOST_UNITS:
            raise ValueError(
                f"{len(names)} units of {list(of_layer)} vary from row to row; expected 1 to "
                f"{_MOST_UNITS}: pass fewer outputs, or average them over places first"
            )
        squares, variance = (
            np.concatenate([each[part][:, varies[name]] for name, each in of_layer.items()], axis=1)
            for part in (0, 1)
        )
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        draws = {
            "error": np.sqrt(means.means(squares)),
            "relative_error": np.sqrt(means.ratios(squares, variance)),
        }
        columns = {"the error of all units": (squares / variance.mean(axis=0)).mean(axis=1)}
        rows = RowFindings.of(means, columns, orbits.positions, orbits.left_out)
        found = design_diagnostics(orbits) - {Diagnostic.WORST_NEEDS_CROSSED}
        return UnitErrorsResult(
            draws=draws,
            dims=dict.fromkeys(draws, ("unit",)),
            coords={"unit": np.array(names)},
            units={"error": "output units", "relative_error": ""},
            diagnostics=worst_first(found | rows.found),
            facts=UnitErrorsFacts(
                transform=str(table.transform),
                fingerprint=table.fingerprint,
                layers={name: int(some.sum()) for name, some in varies.items()},
                constant={
                    name: np.flatnonzero(~some).tolist()
                    for name, some in varies.items()
                    if not some.all()
                },
                n_rows=len(table),
                **rows.facts,
                weight_seed=self.weight_seed,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
            ),
            rows={"position": orbits.positions, "row_id": table.row_ids},
        )

    def _squares(self, stats: RowStatistics, weights: Array) -> tuple[Array, Array]:
        """Return squared changes and squared distances to the mean ``(row, unit)`` of an output."""
        if stats.raw is None:
            raise ValueError("displacements were not kept: pass keep='all' to evaluate_orbits")
        shape = stats.output_shape or (1,)
        axis = 1 if self.units == "first" else len(shape)
        places = tuple(i for i in range(1, len(shape) + 1) if i != axis)
        # Outputs come times the roots of their weights, which are 0 where there is padding.
        base = stats.base.reshape(-1, *shape)
        root = np.ones_like(base) if stats.weight is None else stats.weight.reshape(base.shape)
        count = (root**2).sum(axis=places)
        if not count.all():
            raise ValueError(
                "some units are padding in some rows; pass units='last', or 'first', for the axis "
                "without padding"
            )
        all_but = (0, *places)
        centre = (root * base).sum(axis=all_but, keepdims=True) / count.sum(axis=0).reshape(
            [-1 if i == axis else 1 for i in range(base.ndim)]
        )
        changes = np.einsum("rmk,m->rk", stats.raw**2, weights).reshape(base.shape)
        spread = (base - root * centre) ** 2
        variance = spread.sum(axis=places) / count
        size = (base**2).sum(axis=places) / count
        variance[:, variance.mean(axis=0) <= _CONSTANT * size.mean(axis=0)] = 0.0
        return changes.sum(axis=places) / count, variance


def _is_known(variance: Array) -> NDArray[np.bool_]:
    """Whether as many rows as are needed show the variation of each unit, ``(row, unit)``."""
    largest = variance.max(axis=0)
    return ((variance > _SEEN * largest).sum(axis=0) >= _FEWEST) & (largest > 0)
