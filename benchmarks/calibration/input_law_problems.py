"""Does the check of the inputs' law find what differs, and only that?

An invariant law has an AUC of one half. Where the law is not invariant, the truth is the AUC that
the same classifier, trained on the same rows, has on many fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem, Score
from equiprob.testing.digits import digits_task

T = ep.transforms
Sampler = Callable[[np.random.Generator, int], Array]

SIZES = (100, 400)
_N_FRESH = 4000
_N_COLUMNS = 30


def columns(shift: float, g: np.random.Generator, n: int) -> Array:
    """Thirty normal columns, of which the mean of one is shifted."""
    x = g.normal(size=(n, _N_COLUMNS))
    x[:, 0] += shift
    return x


def moved(x: Array, transform: T.Transform, g: np.random.Generator) -> Array:
    """Return a transformed copy of each row."""
    return transform.on(x).at(transform.sample_many(g, len(x))).move(x)


def digits(turned: bool, g: np.random.Generator, n: int) -> Array:
    """Handwritten digits, as they stand or each turned by a random angle."""
    images = digits_task().x
    images = images[g.permutation(len(images))[:n]]
    turns = T.rotations2d(acts_on="image")
    return moved(images, turns, g) if turned else images


def checked(
    sample: Sampler,
    transform: T.Transform,
    invariant: bool,
    n: int,
    seed: int,
    *,
    has_fresh: bool = True,
) -> Iterator[Outcome | Score]:
    """Fit the check to a sample, and where the law is not invariant judge fresh rows as well."""
    g = np.random.default_rng([seed, n, 29])
    x = sample(g, n)
    result = ep.InvarianceCheck(n_draws=N_DRAWS, weight_seed=seed).fit(x, transform)
    if invariant:
        yield Outcome("auc", result.draws["auc"], 0.5)
    elif has_fresh:
        yield Outcome("auc", result.draws["auc"], _auc_on_fresh_rows(sample, transform, x, g))
    found = float(np.quantile(result.draws["auc"], 0.05) > 0.5)
    yield Score("difference found", found, float(not invariant))
    yield Score("called compatible", float(result.is_invariant), float(invariant))


def _auc_on_fresh_rows(
    sample: Sampler, transform: T.Transform, x: Array, g: np.random.Generator
) -> float:
    classifier = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=0)
    for rows in (x, sample(g, _N_FRESH)):
        both = np.concatenate([rows, moved(rows, transform, g)]).reshape(2 * len(rows), -1)
        labels = np.repeat([0, 1], len(rows))
        if rows is x:
            classifier.fit(both, labels)
    return float(roc_auc_score(labels, classifier.predict_proba(both)[:, 1]))


_FLIPS = T.sign_flips(_N_COLUMNS, acts_on="vectors")
_TURNS = T.rotations2d(acts_on="image")

INPUT_LAW_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "30 columns, invariant": (partial(checked, partial(columns, 0.0), _FLIPS, True), SIZES),
    "30 columns, one shifted by 0.5": (
        partial(checked, partial(columns, 0.5), _FLIPS, False),
        SIZES,
    ),
    "30 columns, one shifted by 2": (partial(checked, partial(columns, 2.0), _FLIPS, False), SIZES),
    "images turned at random": (partial(checked, partial(digits, True), _TURNS, True), SIZES),
    "images that stand upright": (
        partial(checked, partial(digits, False), _TURNS, False, has_fresh=False),
        SIZES,
    ),
}
"""Problems by name, and the numbers of rows each is simulated at."""
