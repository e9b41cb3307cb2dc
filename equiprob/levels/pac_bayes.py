"""How large is the risk of a predictor that is drawn, at most, whatever the law of the rows?

The losses of n independent rows lie in [0, 1]; a position k is drawn with probability q_k, and p
was fixed before the rows were seen. With probability 1 - delta over rows, for all q at once,

    kl( sum_k q_k r_k , sum_k q_k R_k )  <=  ( KL(q, p) + log(xi(n) / delta) ) / n,
    xi(n) = sum_j C(n, j) (j / n)^j (1 - j / n)^(n - j)

where r_k is the mean loss of the rows at position k, R_k its expectation, and kl the relative
entropy of two coins. Nothing is asked of the law of the rows or of the loss within its range; q may
depend on the rows in any way. Where rows are independent but not of one law, R_k is the mean of
their expectations.

References:
    Seeger, JMLR 2002; Maurer, "A note on the PAC-Bayesian theorem", 2004 (bounded losses).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from equiprob.arguments.array_types import Array

_STRENGTHS = np.concatenate([[0.0], np.geomspace(1e-3, 1e1, 60)])
"""How strongly positions of less loss are preferred; the least bound is found among these."""

_HALVINGS = 40


class DrawnBound(NamedTuple):
    """An upper confidence bound on the risk of a predictor that is drawn.

    Args:
        upper: The bound, as a share of the largest loss.
        estimate: The mean loss of the rows, likewise.
        divergence: KL(q, p), in nats.
    """

    upper: float
    estimate: float
    divergence: float


def bound_of(q: Array, risks: Array, prior: Array, *, n: int, delta: float) -> DrawnBound:
    """Bound the risk of the predictor that draws positions with probabilities q.

    Args:
        q: ``(position,)``.
        risks: Mean losses of the rows at the positions, as shares of the largest, ``(position,)``.
        prior: Probabilities that were fixed before the rows were seen, ``(position,)``.
        n: Independent rows.
        delta: Probability that the bound is too small for any q.
    """
    estimate, divergence = q @ risks, _divergence(q, prior)
    upper = inverted(estimate, (divergence + log_xi(n) - np.log(delta)) / n)
    return DrawnBound(float(upper), float(estimate), float(divergence))


def least_bound(risks: Array, prior: Array, *, n: int, delta: float) -> Array:
    """Return the probabilities of the positions, among Gibbs posteriors, of the least bound.

    Args:
        risks: As in `bound_of`.
        prior: As in `bound_of`.
        n: Independent rows.
        delta: The probability.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(prior) - n * _STRENGTHS[:, None] * (risks - risks.min())
    posteriors = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    budgets = (_divergence(posteriors, prior) + log_xi(n) - np.log(delta)) / n
    return posteriors[int(np.argmin(inverted(posteriors @ risks, budgets)))]


def inverted(estimate: Array | float, budget: Array | float) -> Array:
    """Return the largest mean of a coin whose relative entropy from an estimate is in budget.

    Args:
        estimate: ``(...)``, in [0, 1].
        budget: ``(...)``, in nats.
    """
    estimate, budget = np.broadcast_arrays(np.clip(estimate, 0.0, 1.0), budget)
    low, high = estimate, np.ones(estimate.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = _kl(estimate, middle) <= budget
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high


def log_xi(n: int) -> float:
    """Return the logarithm of xi(n), about that of ``sqrt(pi n / 2)``.

    Ramanujan's sum of falling powers, whose terms beyond 40 sqrt(n) are below rounding.
    """
    terms = np.arange(min(n, 40 * int(np.ceil(np.sqrt(n)))))
    return float(np.log1p(np.cumprod(1 - terms / n).sum()))


def _divergence(q: Array, prior: Array) -> Array:
    """Return KL(q, p) ``(...)`` of ``(..., position)``; infinite where only q has probability."""
    from scipy.special import rel_entr

    return np.maximum(rel_entr(q, prior).sum(axis=-1), 0.0)


def _kl(p: Array, q: Array) -> Array:
    """Return the relative entropy of coins."""
    from scipy.special import rel_entr

    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)
