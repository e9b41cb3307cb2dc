"""Paths: one's own, any loss by direct evaluation, and what is shipped."""

from dataclasses import dataclass
from typing import ClassVar, override

import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.levels import path_risk
from equiprob.levels.row_losses import LOSSES
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import label_task, linear_task

TURNS = ep.transforms.rotations2d(acts_on="vectors")


@dataclass(frozen=True, kw_only=True)
class SoftRange(ep.AbstractPath):
    """Small turns weigh more: a bell curve in the angle."""

    label = "width of the bell"

    @override
    def grid(self, transform):
        return np.linspace(0, 90, 10)

    @override
    def weight(self, transform, parameters, position):
        angle = transform.magnitude(parameters)
        return np.exp(-((angle / position) ** 2) / 2) if position > 0 else 0 * angle

    @override
    def unit(self, transform):
        return transform.magnitude_unit


@dataclass(frozen=True, kw_only=True)
class Window(ep.AbstractPath):
    """What `paths.Range` does, written as a path of one's own."""

    positions: tuple[float, ...]
    full: ClassVar[int | None] = -1

    @override
    def grid(self, transform):
        return np.array([0.0, *self.positions])

    @override
    def weight(self, transform, parameters, position):
        return (transform.magnitude(parameters) <= position).astype(float)


@dataclass(frozen=True, kw_only=True)
class HalfBlend(ep.AbstractPath):
    """What `paths.Blend` does, written as a path of one's own."""

    @override
    def grid(self, transform):
        return np.linspace(0, 1, 21)

    @override
    def weight(self, transform, parameters, position):
        return np.ones(parameters.shape[:-1])

    @override
    def kept(self, position):
        return position


def wiggle(n=300, seed=0):
    """A model that is right on average over small turns, with a fast wrong wiggle."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(-np.pi, np.pi, n)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def predict(rows):
        turn = np.arctan2(rows[:, 1], rows[:, 0])
        return np.cos(turn) + 0.5 * np.sin(12 * turn)

    return predict, x, np.cos(angle) + 0.05 * generator.normal(size=n)


def orbits_of(task, **options):
    return ep.evaluate_orbits(
        task.predict, task.x, task.transform, y=task.y, backend="python", **options
    )


@pytest.mark.parametrize("design", ["quasi", "random"])
def test_one_s_own_path_has_the_risk_and_the_predictor_of_the_built_in_one(design):
    task = linear_task(300, optimum=0.4, seed=2)
    table = orbits_of(task, n_transforms=8, design=design)
    ours = ep.paths.Blend(n_positions=21).risk(table)
    own = HalfBlend().risk(table)
    for mine, theirs in ((own.limit, ours.limit), (own.shipped, ours.shipped)):
        np.testing.assert_allclose(own.columns @ mine, ours.columns @ theirs, atol=1e-10)
    assert own.unchanged == ours.unchanged == 20
    predict, x, y = wiggle()
    table = ep.evaluate_orbits(
        predict, x, TURNS, y=y, n_transforms=32, design=design, backend="python"
    )
    sizes = (15.0, 45.0, 180.0)
    ours, own = ep.paths.Range(positions=sizes).risk(table), Window(positions=sizes).risk(table)
    # The law of a magnitude is represented by 4096 angles: probabilities of ranges to 1e-3.
    excess = [r.columns.mean(axis=0) @ r.limit for r in (own, ours)]
    np.testing.assert_allclose(*excess, rtol=5e-3)
    assert own.full == -1


def test_a_bell_over_angles_finds_its_width_and_ships_it():
    predict, x, y = wiggle()
    table = ep.evaluate_orbits(predict, x, TURNS, y=y, n_transforms=48, backend="python")
    level = ep.SymmetryLevel(path=SoftRange(), n_draws=500).fit(table)
    # The wiggle of 12 periods dies at a width of some 15 degrees, the signal at some 60.
    assert 10 <= np.median(level.draws["position"]) <= 30
    assert "width of the bell" in str(level)
    assert level.facts.p_full is None  # a bell has no most symmetric width
    better = level.predictor(predict)
    saved = ((y - predict(x)) ** 2 - (y - better(x)) ** 2).mean()
    low, high = level.interval(0.9).loc["risk_saved_shipped"]
    assert low - 0.02 <= saved <= high + 0.02
    assert level.plot().axes[0].get_xlabel() == "width of the bell (deg)"


def test_a_path_of_one_s_own_that_cannot_be_is_refused():
    table = orbits_of(linear_task(50), n_transforms=4)

    @dataclass(frozen=True, kw_only=True)
    class Endless(HalfBlend):
        @override
        def grid(self, transform):
            return np.linspace(0, 0.5, 3)

    @dataclass(frozen=True, kw_only=True)
    class Negative(HalfBlend):
        @override
        def weight(self, transform, parameters, position):
            return -np.ones(parameters.shape[:-1])

    @dataclass(frozen=True, kw_only=True)
    class Misshapen(HalfBlend):
        @override
        def weight(self, transform, parameters, position):
            return np.ones(3)

    with refuses("Endless", "model as it is"):
        ep.SymmetryLevel(path=Endless()).fit(table)
    with refuses("Negative.weight", "negative or not finite"):
        ep.SymmetryLevel(path=Negative()).fit(table)
    with refuses("Misshapen.weight", "one weight for each"):
        ep.SymmetryLevel(path=Misshapen()).fit(table)
    with refuses("keep='all'"):
        ep.SymmetryLevel(path=HalfBlend()).fit(orbits_of(linear_task(50), keep="rows"))


# ---- other losses -------------------------------------------------------------------------------


def classifier(sharpness):
    def predict(rows):
        one = 1 / (1 + np.exp(-2 * (rows**2).sum(axis=1) + 1 - sharpness * rows[:, 0]))
        return np.stack([1 - one, one], axis=1)

    return predict


def labelled(n=400, sharpness=2.0, seed=0, **options):
    task = label_task(n, amplitude=0.1, seed=seed)
    return ep.evaluate_orbits(
        classifier(sharpness), task.x, TURNS, y=task.y, backend="python", **options
    )


def test_a_loss_along_the_path_is_that_of_the_blended_predictions():
    table = labelled(n_transforms=8)
    stats, average = table.only, table.mean_displacement
    for name, loss in LOSSES.items():
        path = ep.paths.Blend(n_positions=5)
        level = ep.SymmetryLevel(path=path, loss=name if name != "squared" else loss).fit(table)
        direct = [loss(stats.y, stats.base + (1 - s) * average).mean() for s in (0, 0.25, 0.5)]
        # Mean of 4000 draws: five Monte Carlo errors.
        drawn = level.draws["risk"][:, :3]
        assert (np.abs(drawn.mean(axis=0) - direct) <= 5 * drawn.std(axis=0) / np.sqrt(4000)).all()


def test_the_squared_error_by_evaluation_is_the_shipped_form():
    table = labelled(n_transforms=4)
    path = ep.paths.Blend()
    form = path.risk(table)
    evaluated = path.evaluated(table, LOSSES["squared"])
    for index in (0, 40, 200):
        np.testing.assert_allclose(
            evaluated.saved(index), form.saved_shipped(index), rtol=0, atol=1e-12
        )
    # Power: the form for all transformations is another number at four of them.
    assert np.abs(form.saved(0) - form.saved_shipped(0)).mean() > 1e-4


def test_positions_are_evaluated_in_blocks_with_the_same_result(monkeypatch):
    table = labelled(200, n_transforms=4)
    estimator = ep.SymmetryLevel(loss="log", n_draws=200)
    whole = estimator.fit(table)
    monkeypatch.setattr(path_risk, "_MOST_LOSSES", 1000)  # five positions at a time
    parts = estimator.fit(table)
    for name, draws in whole.draws.items():
        np.testing.assert_allclose(parts.draws[name], draws, atol=1e-12)


@pytest.mark.parametrize("path", [ep.paths.Range(positions=[30, 90, 180]), ep.paths.Blend()])
def test_the_predictor_has_the_log_loss_it_was_judged_by_on_fresh_rows(path):
    table = labelled(800, n_transforms=12)
    level = ep.SymmetryLevel(path=path, loss="log", n_draws=500).fit(table)
    fresh = label_task(20_000, amplitude=0.1, seed=9)
    y = np.eye(2)[fresh.y]
    before, after = (
        LOSSES["log"](y, predict(fresh.x))
        for predict in (classifier(2.0), level.predictor(classifier(2.0)))
    )
    low, high = np.quantile(level.draws["risk_saved_shipped"], [1e-4, 1 - 1e-4])
    error = (before - after).std() / np.sqrt(len(y))
    assert low - 4 * error <= (before - after).mean() <= high + 4 * error
    assert level.facts.loss == "expected log loss"
    assert "log loss" in level.plot().axes[0].get_ylabel()


def test_a_loss_in_steps_says_so_and_is_judged_on_other_rows():
    level = ep.SymmetryLevel(loss="zero_one", n_draws=500).fit(labelled(n_transforms=8))
    assert Diagnostic.STEP_LOSS in level.diagnostics
    # The saving that is stated is the one that other rows' choice makes, or none is recommended.
    stated, judged = level.draws["risk_saved"], level.draws["risk_saved_cross_fitted"]
    assert np.array_equal(stated, judged if level.recommended else np.zeros_like(judged))
    assert level.recommended == (level.facts.risk_saved_cross_fitted > 0)
    smooth = ep.SymmetryLevel(loss="log", n_draws=500).fit(labelled(n_transforms=8))
    assert Diagnostic.STEP_LOSS not in smooth.diagnostics


def test_losses_that_do_not_fit_are_refused():
    numbers = orbits_of(linear_task(50), n_transforms=4)
    for loss in ("log", "zero_one"):
        with refuses(loss, "class labels"):
            ep.SymmetryLevel(loss=loss).fit(numbers)
    with refuses("loss must be one of", "'logg'"):
        ep.SymmetryLevel(loss="logg")
    with refuses("loss must be a string or a function", "got 3", error=TypeError):
        ep.SymmetryLevel(loss=3)
    with refuses("one value for each"):
        ep.SymmetryLevel(loss=lambda y, p: p).fit(numbers)
    with refuses("not finite in rows"):
        ep.SymmetryLevel(loss=lambda y, p: np.log(p[:, 0] * 0)).fit(numbers)
    task = label_task(40)
    certain = ep.evaluate_orbits(
        lambda b: np.stack([b[:, 0] < 0, b[:, 0] >= 0], axis=1).astype(float),
        task.x,
        TURNS,
        y=task.y,
        backend="python",
    )
    with refuses("infinite in rows", "no probability"):
        ep.SymmetryLevel(loss="log").fit(certain)


def test_a_model_that_is_kept_is_called_once():
    task = linear_task(400, optimum=1.0, noise=0.01, seed=1)
    level = ep.SymmetryLevel(n_draws=200).fit(orbits_of(task, n_transforms=8))
    assert level.shipped_position == 1
    shipped = level.predictor(task.predict)
    assert shipped.n_evaluations == 1
    np.testing.assert_array_equal(shipped(task.x), task.predict(task.x))
