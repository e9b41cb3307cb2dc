"""Which of several uncertain losses to take?

The one that is least in expectation. How sure that is: the probability of being best, the expected
regret (what is lost, in expectation, against knowing the best), and the probabilities of being
worse than, practically equal to, or better than a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.words import listed

Draws = NDArray[np.float64]

DECIDED = 0.9
"""Probability from which a verdict names a winner, or calls two equal, without "undecided"."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A choice among candidates, given joint draws of their losses.

    Draws whose tails are wide enough for intervals and probabilities to come true overstate what is
    at stake: simulated, the expected regret of such draws is two to three times the regret. So
    expectations may have draws of their own.

    Args:
        candidates: Their names.
        loss: Draws ``(draw, candidate)``, for probabilities.
        rope: Difference in loss that makes no practical difference.
        expected: Draws ``(draw, candidate)`` for expectations; the same when left out.
        twins: For candidates that others are the same as on every row, the names of those.
    """

    candidates: Sequence[str]
    loss: Draws
    rope: float
    expected: Draws | None = None
    twins: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def at_stake(self) -> Draws:
        """The draws that expectations are taken of."""
        return self.loss if self.expected is None else self.expected

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Candidates by expected loss, the least first."""
        expected = self.at_stake.mean(axis=0)
        # Sums of draws that differ by rounding alone are ties.
        size = np.abs(expected).max() or 1.0
        return np.argsort(np.round(expected / size, 12), kind="stable")

    @cached_property
    def regret(self) -> Draws:
        """Draws ``(draw, candidate)`` of the loss above the least of the draw."""
        return self.at_stake - self.at_stake.min(axis=1, keepdims=True)

    @property
    def expected_regret(self) -> Draws:
        """What taking each candidate loses, in expectation, ``(candidate,)``."""
        return self.regret.mean(axis=0)

    @cached_property
    def p_best(self) -> Draws:
        """Probability of the least loss, ``(candidate,)``; ties are shared."""
        least = self.loss == self.loss.min(axis=1, keepdims=True)
        return (least / least.sum(axis=1, keepdims=True)).mean(axis=0)

    @property
    def value_of_perfect_information(self) -> float:
        """What knowing all losses would win, in expectation: the regret of the best candidate."""
        return float(self.expected_regret[self.order[0]])

    def value_of(self, learned: Draws) -> float:
        """Return what learning would win before the choice, in expectation.

        Args:
            learned: Draws ``(draw, candidate)`` of the losses that will be expected once it is
                learned; their means are today's expectations.

        Returns:
            Between 0 and the value of perfect information.
        """
        today = self.at_stake.mean(axis=0)
        centred = learned - learned.mean(axis=0) + today
        won = float(today.min() - centred.min(axis=1).mean())
        return min(max(won, 0.0), self.value_of_perfect_information)

    def against(self, reference: int) -> Draws:
        """Return the probabilities of being worse, practically equal and better.

        Args:
            reference: Index of the candidate that the others are compared with.

        Returns:
            ``(candidate, 3)``; rows add up to 1.
        """
        above = self.loss - self.loss[:, [reference]]
        worse, better = above > self.rope, above < -self.rope
        return np.stack([worse, ~(worse | better), better], axis=2).mean(axis=0)

    def verdict(self, words: str, where: str, advice: str = "", stated: str = "") -> str:
        """Say which candidate to take, how sure that is, and which loss that minimizes.

        Args:
            words: What the loss is, such as "expected squared error".
            where: What it rests on, such as "500 held-out rows".
            advice: What to add where it is undecided.
            stated: What the candidate loses, in words; its expectation when left out.

        Returns:
            Two sentences.
        """
        first, *others = self.order
        name, p_best = self.candidates[first], self.p_best
        p_equal = self.against(int(first))[:, 1]
        equal = [self.candidates[int(k)] for k in others if p_equal[k] >= DECIDED]
        near = float((self.loss[:, first] <= self.loss.min(axis=1) + self.rope).mean())
        same = f"practically equal (within {self.rope:g})" if self.rope > 0 else "equal"
        undecided = False
        twins = list(self.twins.get(str(name), ()))
        alike = [list(self.candidates).index(twin) for twin in (str(name), *twins)]
        if twins and p_best[alike].sum() >= DECIDED:
            head = (
                f"Ship {name!r} or {listed(twins)}: they are the same on every row, "
                f"and nothing here tells them apart"
            )
        elif equal and p_best[first] < DECIDED:
            head = (
                f"Ship {name!r} or {listed(equal)}: they are {same} with probability above "
                f"{DECIDED}"
            )
        elif p_best[first] >= DECIDED:
            head = f"Ship {name!r}: it has the least loss with probability {p_best[first]:.2f}"
            if equal:
                head += f", though {listed(equal)} {'are' if equal[1:] else 'is'} {same}"
        elif near >= DECIDED:
            head = (
                f"Ship {name!r}: it is within {self.rope:g} of the best with probability {near:.2f}"
            )
        else:
            undecided = True
            rival = max(others, key=lambda k: p_best[k])
            head = (
                f"Undecided: {name!r} has the least expected loss, but is best only with "
                f"probability {p_best[first]:.2f} ({self.candidates[rival]!r}: "
                f"{p_best[rival]:.2f})"
            )
        regret = self.value_of_perfect_information
        stated = stated or f"{self.at_stake[:, first].mean():.3g} for {name!r}"
        return (
            f"{head}. The loss minimized is the {words} ({where}): {stated}, {regret:.2g} more in "
            f"expectation than if the best were known{advice if undecided else ''}."
        )
