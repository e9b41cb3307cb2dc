"""How are rows and images of them compared where moving interpolates?

An image that was turned has lost detail which the row still has. Both are therefore made of the row
turned away: one turned back, the other elsewhere, so that they are resampled as often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, eq=False)
class TurnedAway:
    """Rows turned by random transformations.

    Args:
        x: The turned rows; the rows themselves where moving does not interpolate.
        back: What turns each back, ``(row, n_parameters)``; None where they were not turned.
        transform: The transform.
    """

    x: Any
    back: Parameters | None
    transform: Transform

    @classmethod
    def of(
        cls, x: Any, transform: Transform, n_rows: int, n_turns: int, seed: list[int]
    ) -> TurnedAway:
        """Turn rows away where moving interpolates and transformations compose.

        Args:
            x: A pytree of arrays, rows first.
            transform: The transform.
            n_rows: How many rows.
            n_turns: How many turns away.
            seed: Of the turns.
        """
        acting = transform.on(x)
        if not acting.interpolates:
            return cls(x, None, transform)
        generator = np.random.default_rng(seed)
        turned, total = x, np.broadcast_to(transform.identity, (n_rows, len(transform.identity)))
        for _ in range(n_turns):
            turn = transform.sample_many(generator, n_rows)
            composed = transform.compose(turn, total)
            if composed is None:
                return cls(x, None, transform)
            turned, total = acting.at(turn).move(turned), composed
        return cls(turned, transform.inverse(total), transform)

    @property
    def still(self) -> Any:
        """The rows as they were, resampled."""
        return self.x if self.back is None else self.transform.on(self.x).at(self.back).move(self.x)

    def moved(self, parameters: Parameters) -> Any:
        """Return the rows moved, ``(row, n_parameters)``, resampled as often."""
        there = parameters
        if self.back is not None:
            composed = self.transform.compose(parameters, self.back)
            assert composed is not None, "the transform composes"
            there = composed
        return self.transform.on(self.x).at(there).move(self.x)
