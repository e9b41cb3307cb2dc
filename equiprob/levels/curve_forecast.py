"""What do the fitted curves say at other sample sizes?

Within the data, what more data would remove is a power law between neighbouring sizes. Beyond, it
goes on with the candidate's exponent and with bends drawn step by step, the same draws whatever n
is asked for; risks never rise with n. Slopes there vary as much as within the data or as the priors
of turns say, whichever is more: curves that were smooth so far have turned before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.levels.curve_data import FADING

Array = NDArray[np.float64]

_STEP = 0.1
"""Step in log n, short beside the distance over which bends fade."""

FARTHEST = np.log(1e4)
"""How far beyond the largest sample size anything is said, in log n."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Curves as functions of the sample size.

    Args:
        draws: The draws of a `LearningCurveResult`.
        sizes: The sample sizes of ``draws["risk"]``.
        seed: Seed of what is drawn beyond the data.
    """

    draws: Mapping[str, Array]
    sizes: Array
    seed: int

    def log_removable(self, n: float) -> Array:
        """Return the logarithm of the risk that more data would remove, ``(draw, candidate)``."""
        floor, risk = self.draws["floor"], self.draws["risk"]
        at, u = np.log(n), np.log(self.sizes)
        if at >= u[-1]:
            return np.log(risk[:, :, -1] - floor) - self._beyond(at - u[-1], self._own_path)
        j = min(int(np.searchsorted(u, at, side="right")) - 1, len(u) - 2)
        w = (at - u[j]) / (u[j + 1] - u[j])
        left, right = (np.log(risk[:, :, i] - floor) for i in (j, j + 1))
        return (1 - w) * left + w * right

    def risk(self, n: float) -> Array:
        """Return draws ``(draw, candidate)`` of the expected risk at n."""
        return self.draws["floor"] + np.exp(self.log_removable(n))

    def run(self, n: float, n_seeds: int) -> Array:
        """Return draws ``(draw, candidate)`` of the mean risk of fresh runs at n."""
        removable = np.exp(self.log_removable(n))
        risk = self.draws["floor"] + removable
        generator = np.random.default_rng([self.seed, 31, round(n)])
        share = removable / risk
        scale = np.hypot(self.draws["seed_sd"] * share, self.draws["least_seed_sd"][:, None])
        freedom = self.draws["seed_freedom"][:, None]
        total = np.zeros(risk.shape)
        for _ in range(n_seeds):
            together = self.draws["shared_seed_sd"][:, None] * generator.normal(size=(len(risk), 1))
            alone = scale * generator.standard_t(freedom, size=risk.shape)
            total += risk * np.exp(share * together + alone)
        return total / n_seeds

    def log_decay(self, n: float) -> Array:
        """Return the logarithm ``(draw,)`` by which the theory's costs decay from the end to n.

        That is the common exponent with the bends that all candidates share.
        """
        at, u = np.log(n), np.log(self.sizes)
        exponent = self.draws["common_exponent"]
        if at >= u[-1]:
            return -self._beyond(at - u[-1], self._common_path)[:, 0]
        shared = np.array([np.interp(at, u, row) for row in self.draws["shared_bend"]])
        return exponent * (u[-1] - at) + shared

    def _beyond(self, distance: float, path: Array) -> Array:
        """Return by how much log removable risk has fallen at a distance in log n from the end."""
        step = min(int(distance / _STEP), len(path) - 2)
        share = distance / _STEP - step
        return (1 - share) * path[step] + share * path[step + 1]

    @cached_property
    def _own_path(self) -> Array:
        """How far each candidate's curve has fallen, ``(step, draw, candidate)``: never up."""
        turns = [("shared_slope", "shared_turn_sd"), ("own_slope", "own_turn_sd")]
        return self._path(self.draws["exponent"], turns, least=0.0)

    @cached_property
    def _common_path(self) -> Array:
        """How far the theory's costs have fallen, ``(step, draw, 1)``."""
        turns = [("shared_slope", "shared_bend_sd")]
        return self._path(self.draws["common_exponent"][:, None], turns, least=-np.inf)

    def _path(self, exponent: Array, turns: list[tuple[str, str]], *, least: float) -> Array:
        """Integrate an exponent and slopes that fade and turn, step by step."""
        slopes = [self._columns(start) for start, _ in turns]
        scales = [self._columns(scale) for _, scale in turns]
        keep = np.exp(-_STEP / FADING)
        fallen = [np.zeros(exponent.shape)]
        for step in range(int(np.ceil(FARTHEST / _STEP))):
            generator = np.random.default_rng([self.seed, 21, step])
            fresh = [
                keep * slope + np.sqrt(1 - keep**2) * scale * generator.normal(size=slope.shape)
                for slope, scale in zip(slopes, scales, strict=True)
            ]
            fall = _STEP * (exponent + (sum(slopes) + sum(fresh)) / 2)
            fallen.append(fallen[-1] + np.maximum(fall, least))
            slopes = fresh
        return np.stack(fallen)

    def _columns(self, name: str) -> Array:
        values = self.draws[name]
        return values if values.ndim == 2 else values[:, None]
