"""The grid of shapes: evidence by Laplace's method, joint draws, what a change of the runs does."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

from equiprob.curves.ahead import Ahead
from equiprob.curves.bends import bend_covariance, from_the_end
from equiprob.curves.cells import cells_of
from equiprob.curves.free import nodes_of
from equiprob.curves.grid import INDEX, NOISES
from equiprob.curves.importance import importance_draws
from equiprob.curves.paths import drawn_curves, shared_evidence
from equiprob.curves.runs import read_runs
from equiprob.curves.shapes import log_risk, position
from equiprob.curves.smoothing import LEVEL_SD, smooth

SIZES = (30, 100, 300, 1000, 3000)


def runs(noise=0.05, floor=0.02):
    """Two candidates, of which one falls steeply to a floor, measured well."""
    g = np.random.default_rng(0)
    rows = [
        (k, n, s, (floor + scale * n**-slope) * np.exp(noise * g.normal()))
        for k, scale, slope in (("steep", 200, 1.6), ("flat", 1, 0.3))
        for n in SIZES
        for s in range(3)
    ]
    return read_runs(pd.DataFrame(rows, columns=["candidate", "n", "seed", "risk"]))


def prior_of(cells, smoothed, i):
    bends = from_the_end(bend_covariance(cells.u), len(cells.u) - 1)
    mean = smoothed.level - smoothed.slope[i] * (cells.u - cells.u[-1])
    return mean, smoothed.scale[i] ** 2 * bends + LEVEL_SD**2 + 1e-10 * np.eye(len(cells.u))


def test_the_evidence_is_that_of_importance_sampling_also_where_curves_are_steep():
    """Differences between points matter alone; 20000 draws know each to .01."""
    cells, _ = cells_of(runs(), same_test=True)
    found = smooth(cells, None)
    assert found.unconverged == 0
    weight = np.exp(found.evidence - logsumexp(found.evidence))
    g = np.random.default_rng(0)
    points = g.choice(len(weight), 10, p=weight)
    away, twin = [], []
    for i in points:
        mean, prior = prior_of(cells, found, i)
        covariance = np.linalg.inv(np.linalg.inv(prior) + np.diag(found.weight[i]))
        proposal = multivariate_t(found.mode[i], 1.2 * (covariance + covariance.T) / 2, df=6)
        h = proposal.rvs(20_000, random_state=g)
        variance = NOISES[INDEX[2][i]] ** 2 * cells.seed_variance + cells.other_variance
        logs = log_risk(h, found.floor[i], found.plateau[i])[0]
        fit = -0.5 * ((cells.log_mean - logs) ** 2 / variance + np.log(2 * np.pi * variance))
        ratio = fit.sum(axis=1) + multivariate_normal(mean, prior).logpdf(h) - proposal.logpdf(h)
        assert np.exp(2 * logsumexp(ratio) - logsumexp(2 * ratio)) > 2000  # effective draws
        exact = logsumexp(ratio) - np.log(len(h))
        away.append(found.evidence[i] - exact)
        # The twin: the height of the mode, without how wide it is.
        twin.append(found.evidence[i] - 0.5 * np.linalg.slogdet(covariance)[1] - exact)
    assert np.ptp(away) < 0.4
    assert np.ptp(twin) > 0.4


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_draws_are_those_of_the_joint_law(shared):
    """Without floor and plateau all is Gaussian, and known exactly."""
    cells = cells_of(runs(floor=0.0), same_test=True)
    smoothed = [smooth(c, None) for c in cells]
    plain = np.flatnonzero((INDEX[3] == 0) & (INDEX[4] == 0))
    i = int(plain[np.argmax(smoothed[0].evidence[plain])])
    nodes, n = np.log([100, 3000, 30_000]), 20_000
    drawn = drawn_curves(
        cells, smoothed, np.full((n, 2), i), nodes, shares=np.full(n, shared),
        level_sd=LEVEL_SD, generator=np.random.default_rng(1),
    )  # fmt: skip
    u = np.concatenate([c.u for c in cells] + [nodes, nodes])
    who = np.repeat([0, 1, 0, 1], [len(c.u) for c in cells] + [len(nodes)] * 2)
    bends = from_the_end(bend_covariance(u), len(SIZES) - 1)
    scale = smoothed[0].scale[i]
    same = who[:, None] == who
    prior = scale**2 * bends * np.where(same, 1.0, shared) + LEVEL_SD**2 * same
    level = np.array([s.level for s in smoothed])[who]
    mean = level - smoothed[0].slope[i] * (u - np.log(SIZES[-1]))
    seen = sum(len(c.u) for c in cells)
    noise = [NOISES[INDEX[2][i]] ** 2 * c.seed_variance + c.other_variance for c in cells]
    whole = prior[:seen, :seen] + np.diag(np.concatenate(noise))
    gain = np.linalg.solve(whole, prior[:seen, seen:]).T
    told = np.concatenate([c.log_mean for c in cells]) - mean[:seen]
    exact = mean[seen:] + gain @ told
    spread = prior[seen:, seen:] - gain @ prior[:seen, seen:]
    flat, sd = drawn.reshape(n, -1), np.sqrt(np.diag(spread))
    # Five standard errors of means, and of standard deviations (1 / sqrt(2 n)): 6e-7 each.
    assert (np.abs(flat.mean(axis=0) - exact) < 5 * sd / np.sqrt(n)).all()
    np.testing.assert_allclose(flat.std(axis=0), sd, rtol=5 / np.sqrt(2 * n))
    correlation = spread / sd[:, None] / sd
    np.testing.assert_allclose(np.corrcoef(flat.T), correlation, atol=5 / np.sqrt(n))
    # The twin: the other share of common slopes gives other correlations.
    other = np.corrcoef(flat.T)[:3, 3:]
    assert (np.abs(other).max() > 0.05) == (shared > 0)

    # What bends in common make of the evidence: that of all runs together over each one's.
    def log_evidence(part):
        return multivariate_normal(cov=whole[np.ix_(part, part)]).logpdf(told[part])

    here, every = who[:seen], np.arange(seen)
    apart = sum(log_evidence(np.flatnonzero(here == k)) for k in (0, 1))
    found = shared_evidence(cells, smoothed, np.full((3, 2), i), shared=shared, level_sd=LEVEL_SD)
    np.testing.assert_allclose(found, log_evidence(every) - apart, atol=1e-3)
    assert (abs(log_evidence(every) - apart) > 0.01) == (shared > 0)


def test_beyond_the_data_slopes_fade_floors_are_met_and_rises_are_rare():
    """What sets in beyond the data, on straight lines that fall and rise by 0.4."""
    nodes = np.log([100.0, 300, 1000, 2000, 4000, 8000])
    x = np.maximum(nodes - nodes[2], 0)
    straight = np.repeat(-0.4 * (nodes - nodes[2])[None], 4, axis=0)
    rates = np.array([0.0, 0.5, 3.0, 0.0])
    free, none = np.zeros((4, 1)), np.full((4, 1), np.inf)

    def risks(h, rises, turns=0.0, highest=9.0):
        ahead = Ahead(np.full(4, turns), rates, np.full(4, rises), highest)
        return ahead.risks(h, nodes, nodes[2], free, none, np.random.default_rng(0))

    falling = risks(straight, False)
    np.testing.assert_allclose(falling[:, :3], straight[:, :3])
    for row, rate in zip(falling, rates, strict=True):
        slope = x if rate == 0 else -np.expm1(-rate * x) / rate
        np.testing.assert_allclose(row[2:], -0.4 * slope[2:], atol=1e-4)
    np.testing.assert_allclose(risks(-straight, False)[:, 2:], 0.0, atol=1e-12)
    np.testing.assert_allclose(risks(-straight, True)[:, 2:], -falling[:, 2:], atol=1e-12)
    assert risks(-straight, True, highest=1.2).max() == pytest.approx(np.log(1.2))
    assert np.ptp(risks(straight, False, turns=2.0)[[0, 3], -1]) > 0.01  # turns differ by draw


def test_positions_and_risks_are_inverse_to_each_other():
    h = np.linspace(-3, 3, 13)
    for floor, plateau in ((0.0, np.inf), (0.02, np.inf), (0.0, 1.0), (0.02, 1.0)):
        logs, rise = log_risk(h, np.array(floor), np.array(plateau))
        inside = (np.exp(logs) - floor > 0.03 * np.exp(logs)) & (np.exp(logs) < 0.97 * plateau)
        back = position(np.exp(logs), np.array(floor), np.array(plateau))
        np.testing.assert_allclose(back[inside], h[inside])
        assert (rise > 0).all()
        step = 1e-5
        up, down = (log_risk(h + d, np.array(floor), np.array(plateau))[0] for d in (step, -step))
        np.testing.assert_allclose(rise, (up - down) / (2 * step), rtol=1e-6)


def test_curves_are_drawn_where_runs_are_and_in_doublings_beyond():
    nodes = nodes_of(np.array([1.0, 10.0, 1000.0]))
    assert {1.0, 10.0, 1000.0} <= set(nodes)
    assert nodes[-1] == pytest.approx(1e7)
    assert np.diff(np.log(nodes)).max() < 0.81
    assert len(nodes_of(np.geomspace(10, 1000, 300))) < 40


def test_importance_sampling_follows_a_bent_and_a_divided_density():
    """A banana, and two humps of weight .3 and .7, six standard deviations apart.

    Effective draws are 1800 at least; means and shares are within five standard errors of them.
    """

    def banana(x):
        return -0.5 * x[:, 0] ** 2 - 0.5 * ((x[:, 1] - x[:, 0] ** 2) / 0.6) ** 2

    found = importance_draws(banana, np.zeros(2), np.ones(2), 4000, np.random.default_rng(3))
    assert found.pareto_k < 0.7
    error = 1 / np.sqrt(min(found.effective, 1800))
    assert abs(found.points[:, 0].mean()) < 5 * error
    assert abs(found.points[:, 1].mean() - 1) < 5 * 1.5 * error
    # The twin: of a normal law of the same means and spreads .06 would lie below -1, here .01 does.
    assert (found.points[:, 1] < -1).mean() < 0.02

    def humps(x):
        return np.logaddexp(
            np.log(0.3) - 0.5 * (x[:, 0] + 3) ** 2, np.log(0.7) - 0.5 * (x[:, 0] - 3) ** 2
        )

    found = importance_draws(humps, np.zeros(1), np.full(1, 2.0), 4000, np.random.default_rng(0))
    share = (found.points[:, 0] > 0).mean()
    assert abs(share - 0.7) < 5 * np.sqrt(0.21) / np.sqrt(min(found.effective, 1800))
