"""A model's equivariance error on fixed rows, looked at every few epochs of its training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import jax
import numpy as np

from equiprob.adapters.pytorch import TorchPredictor
from equiprob.arguments.array_types import Array
from equiprob.errors.betting import upper_bound
from equiprob.errors.model_error import ModelEquivarianceError, ModelEquivarianceErrorResult
from equiprob.errors.table_findings import rounding_limit
from equiprob.orbits.evaluate import evaluate_orbits

_DOUBLED = 4.0
"""A row has lost the symmetry where its squared error is so many times what it was."""

_WITHOUT_SET_UP = 0.1
"""What a look takes as a share of the first one, where that is not known yet."""

_MOST = 0.5
"""Share of rows of which that must be certain."""


@dataclass(frozen=True)
class Check:
    """What was found after one epoch.

    Args:
        epoch: The epoch.
        result: The posterior of the error.
        squares: The squared error of each row, relative to outputs' size, ``(row,)``.
        floor: That which rounding makes.
    """

    epoch: int
    result: ModelEquivarianceErrorResult
    squares: Array = field(repr=False)
    floor: float

    @property
    def error(self) -> float:
        """The median error of the rows, relative to outputs' size."""
        return float(np.sqrt(np.median(np.maximum(self.squares, self.floor))))


@final
@dataclass
class Watch:
    """Measures a model while it is trained, on rows that it is not trained on.

    A plain function of a training loop: ``watch(predict, epoch)`` after each epoch.

    Args:
        x: Inputs, rows first: an array or a dict of arrays. None that the model is trained on.
        transform: What the model should not mind.
        every: Epochs between two looks.
        n_rows: The first so many rows are looked at.
        n_transforms: Transformations for each row, the same at every look.
        share: Of the time since the first look that later looks may take: one is put off until it
            fits, if it takes as long as the one before (the second: a tenth of the first, which
            imports and compiles, and is not counted).
        delta: Probability of a false warning, in all of the training together.
        options: Further arguments of `evaluate_orbits`, such as ``batch_size``.

    Assumptions:
        Rows are independent draws. The warning holds for any number of looks: every epoch is
        compared with the best before, each comparison with a share of `delta`, and the share of
        rows with twice the error has a lower confidence bound for bounded rows.
    """

    x: Any
    transform: Any
    every: int = 1
    n_rows: int = 256
    n_transforms: int = 8
    share: float = 0.03
    delta: float = 0.01
    options: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list, init=False)
    spent: float = field(default=0.0, init=False)
    _next: float = field(default=0.0, init=False)
    _started: float | None = field(default=None, init=False)
    _warned_at: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        """Keep the rows that are looked at."""
        for name in ("every", "n_rows", "n_transforms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be a positive integer, got {getattr(self, name)!r}")
        if not (self.share > 0 and 0 < self.delta < 1):
            raise ValueError(
                f"share must be positive and delta lie in (0, 1), got {self.share} and {self.delta}"
            )
        self.x = jax.tree.map(lambda leaf: leaf[: self.n_rows], self.x)

    def is_due(self, epoch: int) -> bool:
        """Whether to look after this epoch: it is one of `every`, and there is time."""
        if epoch % self.every:
            return False
        if self._started is None:
            return True
        return self.spent + self._next <= self.share * (time.perf_counter() - self._started)

    def __call__(self, predict: Callable[[Any], Any], epoch: int) -> dict[str, float] | None:
        """Look at the model after an epoch, if it is time to.

        Args:
            predict: The model as it is now, in evaluation mode: arrays in, arrays out.
            epoch: Which epoch ended.

        Returns:
            Numbers for a log, ``equivariance/error`` and the like; None where it was not looked.

        Warns:
            UserWarning: If the model has certainly lost the symmetry that it had: more than half of
                all rows have more than twice the error of the best epoch before.
        """
        if not self.is_due(epoch):
            return None
        start = time.perf_counter()
        check = self._look(predict, epoch)
        self.checks.append(check)
        self._warn_if_lost()
        end = time.perf_counter()
        if self._started is None:
            self._started, self._next = end, _WITHOUT_SET_UP * (end - start)
        else:
            self._next = end - start
            self.spent += self._next
        return check.result.scalars("equivariance/")

    def _look(self, predict: Callable[[Any], Any], epoch: int) -> Check:
        # A model that JAX traces would be compiled anew with its new weights.
        backend = "auto" if isinstance(predict, TorchPredictor) else "python"
        options = {"progress": False, "backend": backend} | self.options
        orbits = evaluate_orbits(
            predict, self.x, self.transform, n_transforms=self.n_transforms, **options
        )
        table = orbits.finite
        size = float((table.only.base**2).sum(axis=1).mean()) or 1.0
        squares = table.only.pair_sq / size
        floor = rounding_limit(table) ** 2 / size
        return Check(epoch, ModelEquivarianceError().fit(orbits), squares, floor)

    def _warn_if_lost(self) -> None:
        *before, now = self.checks
        earlier = [check for check in before if check.epoch > self._warned_at]
        if not earlier:
            return
        best = min(earlier, key=lambda check: check.error)
        if len(best.squares) != len(now.squares):  # rows with outputs that are not finite
            return
        lost = now.squares > _DOUBLED * np.maximum(best.squares, best.floor)
        # Of all pairs of looks: their shares add up to less than delta.
        k = len(self.checks)
        delta = self.delta * 6 / (np.pi * k) ** 2 / (k - 1)
        certain = 1 - upper_bound((~lost).astype(np.float64), delta)
        if certain > _MOST:
            self._warned_at = now.epoch
            warnings.warn(
                f"the model is losing its symmetry: since epoch {best.epoch} the error over "
                f"{self.transform} has grown from {best.error:.2g} to {now.error:.2g} of the "
                f"output's size, and more than doubled on at least {certain:.0%} of rows "
                f"(confidence {1 - self.delta:g} over all looks)",
                stacklevel=3,
            )
