"""What does fitting return?

An estimator is a frozen configuration; ``fit`` returns a new frozen result. A result is draws, what
they mean (dimensions, coordinates, units), facts that travel with them, and diagnostics. Subclasses
add words and figures, no fields, so that saving, loading and labelling are written once.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import check_fields, checked
from equiprob.arguments.forks import unforked
from equiprob.posterior.kinds import Drawn
from equiprob.posterior.labelled_draws import LabelledDraws
from equiprob.posterior.saving import check_saved, write
from equiprob.posterior.tree import to_datatree

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_RESULT_NAMES = (
    "draws",
    "tree",
    "interval",
    "summary",
    "diagnostics",
    "status",
    "plot",
    "save",
    "predictor",
)


_MOST_DRAWS = 1_000_000
"""More take more memory than they are worth: 4000 give a quantile to two digits."""


def check_draws(n_draws: int, weight_seed: int) -> None:
    """Check the two numbers that every posterior takes.

    Raises:
        ValueError: If `n_draws` is not positive or `weight_seed` not a 32-bit seed.
    """
    whole = isinstance(n_draws, int | np.integer) and not isinstance(n_draws, bool)
    if not whole or not 1 <= n_draws <= _MOST_DRAWS:
        raise ValueError(
            f"n_draws must be a positive integer, at most {_MOST_DRAWS:,}, got {n_draws!r}"
        )
    if not isinstance(weight_seed, int | np.integer) or not 0 <= weight_seed < 2**32:
        raise ValueError(f"weight_seed must be an integer in [0, 2**32), got {weight_seed!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractEstimator(abc.ABC):  # noqa: B024 - what fit takes differs between estimators
    """A configuration that can be fitted.

    Args:
        n_draws: Posterior draws.
        weight_seed: Seed of the rows' weights. Results are joint where it is the same.
    """

    n_draws: int = 4000
    weight_seed: int = 0

    def __init_subclass__(cls) -> None:
        """Let ``fit`` refuse what does not fit its signature, and where it would never return."""
        super().__init_subclass__()
        for name in {"fit"} & vars(cls).keys():
            setattr(cls, name, checked(unforked(vars(cls)[name])))

    def __post_init__(self) -> None:
        """Check the counts."""
        check_fields(self)
        check_draws(self.n_draws, self.weight_seed)

    def __getattr__(self, name: str) -> Any:
        """Say where results are when they are asked of a configuration."""
        if name in _RESULT_NAMES:
            raise AttributeError(
                f"{type(self).__name__} is a configuration: fit returns the result, as in "
                f"result = {type(self).__name__}().fit(...); result.{name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def credible_interval(
    draws: NDArray[np.float64],
    ci_prob: float | None = None,
    ci_kind: Literal["eti", "hdi"] | None = None,
) -> NDArray[np.float64]:
    """Return credible intervals ``(..., 2)`` over axis 0 of draws, by ArviZ.

    Args:
        draws: Draws ``(draw, ...)``.
        ci_prob: Probability in (0, 1); ArviZ's rcParams["stats.ci_prob"] when left out.
        ci_kind: ``"eti"`` (equal tails) or ``"hdi"`` (highest density); ArviZ's default when left
            out.

    Raises:
        ValueError: If `ci_prob` is outside (0, 1) or `ci_kind` is unknown.
    """
    from arviz_base import rcParams
    from arviz_stats.base.array import array_stats

    prob = rcParams["stats.ci_prob"] if ci_prob is None else ci_prob
    kind = rcParams["stats.ci_kind"] if ci_kind is None else ci_kind
    if isinstance(prob, bool) or not isinstance(prob, int | float) or not 0 < prob < 1:
        raise ValueError(f"ci_prob must lie strictly between 0 and 1, got {prob!r}")
    if not isinstance(kind, str) or kind not in ("eti", "hdi"):
        raise ValueError(f"ci_kind must be 'eti' or 'hdi', got {kind!r}")
    compute = array_stats.eti if kind == "eti" else array_stats.hdi
    return np.asarray(compute(np.asarray(draws, dtype=np.float64), prob=float(prob), axis=0))


def details_of(*results: AbstractResult) -> dict[str, str]:
    """Return what details the diagnostics of results have together, by their names."""
    found: dict[str, list[str]] = {}
    for result in results:
        for name, text in result.facts.details.items():
            if text not in found.setdefault(name, []):
                found[name].append(text)
    return {name: "; ".join(texts) for name, texts in found.items()}


def monte_carlo_error(columns: NDArray[np.float64], n_chains: int) -> NDArray[np.float64]:
    """Return the standard error ``(column,)`` that the number of draws leaves in their means.

    Args:
        columns: ``(draw, column)``, of Markov chains one after another or independent.
        n_chains: How many chains they are of; 1 for independent draws.
    """
    spread = columns.std(axis=0, ddof=1)
    if n_chains == 1:
        return spread / np.sqrt(len(columns))
    from arviz_stats.base.array import array_stats

    error, moving = np.zeros(len(spread)), spread > 0
    chains = columns[:, moving].T.reshape(moving.sum(), n_chains, -1)
    error[moving] = array_stats.mcse(chains)
    return error


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractResult(Drawn, LabelledDraws, abc.ABC):
    """What fitting returns: draws with their meaning, words and figures."""

    @abc.abstractmethod
    def __str__(self) -> str:
        """Say in one paragraph of plain words what was found."""

    def _labelled(self) -> tuple[list[str], NDArray[np.float64], list[str]]:
        """Return a label, the draws and the unit of every scalar quantity."""
        labels: list[str] = []
        columns: list[NDArray[np.float64]] = []
        units: list[str] = []
        for name, values in self.draws.items():
            flat = values.reshape(len(values), -1)
            for j, index in enumerate(np.ndindex(values.shape[1:])):
                where = [
                    str(self.coords[dim][i])
                    if self.coords[dim].dtype.kind in "US"
                    else f"{self.coords[dim][i]:.4g}"
                    for dim, i in zip(self.dims.get(name, ()), index, strict=True)
                ]
                labels.append(name + (f"[{', '.join(where)}]" if where else ""))
                columns.append(flat[:, j])
                units.append(self.units.get(name, ""))
        return labels, np.column_stack(columns), units

    def interval(
        self,
        ci_prob: float | None = None,
        ci_kind: Literal["eti", "hdi"] | None = None,
    ) -> pd.DataFrame:
        """Return the credible interval of every quantity.

        Args:
            ci_prob: Probability in (0, 1); ArviZ's default (0.89 unless you set it) when left out.
            ci_kind: ``"eti"`` or ``"hdi"``; ArviZ's default when left out.

        Returns:
            A table indexed by quantity with columns ``ci_low`` and ``ci_high``.

        Raises:
            ValueError: If `ci_prob` is outside (0, 1) or `ci_kind` is unknown.
        """
        import pandas as pd

        labels, columns, _ = self._labelled()
        limits = credible_interval(columns, ci_prob, ci_kind)
        index = pd.Index(labels, name="quantity")
        return pd.DataFrame({"ci_low": limits[:, 0], "ci_high": limits[:, 1]}, index=index)

    def summary(
        self,
        ci_prob: float | None = None,
        ci_kind: Literal["eti", "hdi"] | None = None,
    ) -> pd.DataFrame:
        """Return estimates, credible intervals and diagnostics.

        Args:
            ci_prob: As in `interval`.
            ci_kind: As in `interval`.

        Returns:
            A table indexed by quantity: ``estimate`` (posterior median), ``ci_low``, ``ci_high``,
            ``mc_error`` (Monte Carlo standard error of the posterior mean, from the effective
            sample size where draws are of Markov chains), ``unit``,
            ``diagnostics`` in words.

        Raises:
            ValueError: If `ci_prob` is outside (0, 1) or `ci_kind` is unknown.
        """
        _, columns, units = self._labelled()
        table = self.interval(ci_prob, ci_kind)
        table.insert(0, "estimate", np.median(columns, axis=0))
        table["mc_error"] = monte_carlo_error(columns, self.n_chains)
        table["unit"] = units
        table["diagnostics"] = self.cautions.removeprefix(" Caution: ") or "no problem found"
        return table

    def scalars(self, prefix: str = "") -> dict[str, float]:
        """Return every single number with its interval, as logs of experiments take them.

        Args:
            prefix: Of each name, such as ``"equivariance/"``.

        Returns:
            ``{"error": estimate, "error_low": ..., "error_high": ...}``, the posterior median and
            ArviZ's default interval of each quantity that has no further axes. For
            ``wandb.log``, ``mlflow.log_metrics``, TensorBoard's ``add_scalar``.
        """
        found: dict[str, float] = {}
        for name, values in self.draws.items():
            if values.ndim == 1:
                low, high = credible_interval(values).tolist()
                each = {"": float(np.median(values)), "_low": low, "_high": high}
                found |= {f"{prefix}{name}{end}": number for end, number in each.items()}
        return found

    def _repr_html_(self) -> str:
        """Show what was found, and its numbers, in a notebook."""
        table = (
            self.summary()
            .drop(columns="diagnostics")
            .to_html(float_format="{:.4g}".format, border=0)
        )
        return f"<p>{escape(str(self))}</p>{table}"

    @property
    def tree(self) -> xr.DataTree:
        """The result as an ArviZ DataTree: groups posterior, rows and diagnostics."""
        return to_datatree(self)

    @checked
    def save(self, path: str | Path) -> None:
        """Write the result as netCDF; `equiprob.load` reads it back.

        Args:
            path: The file. It is replaced whole or not at all.

        Raises:
            ValueError: If there can be no file of that name, the result is of a class of a user's
                own, or a name in it is no text that a file can hold.
        """
        check_saved([self])
        write(self.tree, Path(path))
