"""A promise that the table at hand contradicts is refused, by row, value and promise."""

import re

import numpy as np
import numpyro.distributions as dist
import pytest

import equiprob as ep
from equiprob.bounds.base import GapProblem, Given
from equiprob.bounds.losses import holds_labels
from equiprob.bounds.predictor_class import defect_of, lipschitz_of, range_of
from equiprob.bounds.promises import constants_of, displacements, ranges, slopes

B = ep.bounds
TURNS = ep.transforms.rotations2d(acts_on="vectors")
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")
N = 60
X = np.random.default_rng(0).normal(size=(N, 2))
Y = 3 * np.random.default_rng(1).normal(size=N)
HUGE = {"lipschitz": 100.0, "defect": 100.0, "output_range": 100.0}


def steep(b):
    return 5 * b[:, 0] + b[:, 1] ** 2


def table(predict=steep, x=X, transform=TURNS, **options):
    options = {"y": Y, "n_transforms": 4, "backend": "python", "keep": "all"} | options
    return ep.evaluate_orbits(predict, x, transform, **options)


ORBITS = table()
OUTPUT = steep(X)


def fit(bound, orbits=ORBITS, **options):
    return ep.GeneralizationGap(bound=bound, n_draws=50).fit(orbits, **options)


def bounds_of(promises, **loss):
    predictors = B.PredictorClass(**(HUGE | promises))
    of = B.SquaredError(**({"largest_residual": 100.0} | loss))
    return {
        "Transport": B.Transport(predictors=predictors, loss=of, n_splits=1),
        "Covering": B.Covering(predictors=predictors, loss=of),
    }


def steepest():
    apart = np.linalg.norm(X[:, None] - X, axis=2) + np.eye(N)
    return np.max(np.abs(OUTPUT[:, None] - OUTPUT) / apart)


SEEN = {
    "lipschitz": steepest(),
    "defect": np.abs(ORBITS.only.raw).max(),
    "output_range": np.ptp(OUTPUT),
    "largest_residual": np.abs(Y - OUTPUT).max(),
}
"""What the table shows, in plain NumPy."""

WORDS = {
    "lipschitz": r"rows? \d+ of orbits and row \d+ of orbits differ by .* a slope of",
    "defect": r"output of row \d+ of orbits moves by",
    "output_range": r"outputs reach from .* \(row \d+ of orbits\) to .* \(row \d+ of orbits\)",
    "largest_residual": r"row \d+ of orbits has one of .* residual is",
}


def with_promise(name, value):
    loss = {name: value} if name == "largest_residual" else {}
    return bounds_of({} if loss else {name: value}, **loss)


@pytest.fixture(scope="module")
def geometry():
    return ep.Geometry(n_draws=50).fit(X, TURNS)


@pytest.mark.parametrize("kind", ["Transport", "Covering"])
@pytest.mark.parametrize("name", SEEN)
def test_promises_below_what_is_seen_are_refused(name, kind, geometry):
    bound = with_promise(name, 0.99 * SEEN[name])[kind]
    with pytest.raises(ValueError, match=rf"{name}=.*promise.*{WORDS[name]}"):
        fit(bound, geometry=geometry)
    fit(with_promise(name, 1.01 * SEEN[name])[kind], geometry=geometry)


def test_the_issues_promises_give_no_bound():
    """A bound of .0046 came of these, on residuals of up to 20 and slopes above 5."""
    promise = B.PredictorClass(lipschitz=0.01, defect=0, output_range=0.1)
    with pytest.raises(ValueError, match=r"largest_residual=0\.1"):
        fit(B.Transport(predictors=promise, loss=B.SquaredError(largest_residual=0.1)))


def test_the_row_is_that_of_the_table_as_it_was_given():
    left_out = np.arange(N) % 20 == 3

    def broken(b):
        return np.where(np.isin(b[:, 0], X[left_out, 0]), np.nan, steep(b))

    some = table(broken)
    worst = int(np.argmax(np.where(left_out, 0.0, np.abs(Y - OUTPUT))))
    with pytest.raises(ValueError, match=f"row {worst} of orbits has one of"):
        fit(with_promise("largest_residual", 0.1)["Transport"], some)


def test_train_is_compared_too():
    calm = table(lambda b: 0.1 * b[:, 0], y=0.1 * X[:, 0])
    promise = with_promise("largest_residual", 1.0)["Transport"]
    fit(promise, calm)
    with pytest.raises(ValueError, match="of train has one of"):
        fit(promise, calm, train=table(x=X + 5.0))


def problem(*tables):
    names = ("orbits", "train")
    given = [Given(n, t.finite, t.positions) for n, t in zip(names, tables, strict=False)]
    options = {"geometry": None, "n_draws": 500, "weight_seed": 0, "delta": 0.05}
    return GapProblem(orbits=given[0].table, train=None, tables=given, **options)


def test_beliefs_are_cut_where_the_table_rules_them_out():
    largest = SEEN["defect"]
    wide = B.PredictorClass(defect=dist.LogNormal(np.log(1.2 * largest), 0.5))
    draws = defect_of(wide, problem(ORBITS))
    assert draws.min() == pytest.approx(largest)
    assert (draws == draws.min()).mean() < 0.5
    narrow = B.PredictorClass(defect=dist.HalfNormal(0.1))
    with pytest.raises(ValueError, match=r"defect=.*moves by"):
        defect_of(narrow, problem(ORBITS))


def test_displacements_that_were_not_kept_are_compared_on_average():
    bare = table(keep="rows")
    average = np.sqrt(bare.only.pair_sq.max())
    with pytest.raises(ValueError, match="on average over its transformations"):
        defect_of(B.PredictorClass(defect=0.99 * average), problem(bare))
    defect_of(B.PredictorClass(defect=1.01 * average), problem(bare))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_exact_promises_are_not_contradicted_by_rounding(dtype, seed):
    """Linear and invariant models, rows nearly equal, promises equal to the truth."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(150, 2))
    x[75:] = x[:75] * (1 + 10.0 ** generator.uniform(-12, -2, (75, 1)))
    x = (x + 10 * seed).astype(dtype)
    w = generator.normal(size=2).astype(dtype)
    linear = table(lambda b: b @ w, x=x, y=np.zeros(150))
    at = linear.only.base
    exact = B.PredictorClass(
        lipschitz=float(np.linalg.norm(w.astype(float))), output_range=float(np.ptp(at))
    )
    given = problem(linear)
    flat = lambda rows: np.asarray(rows, np.float64)  # noqa: E731
    lipschitz_of(exact, given, False, flat)
    range_of(exact, given)
    constants_of(given, B.SquaredError(largest_residual=float(np.abs(at).max())))
    turned = table(lambda b: (b**2).sum(axis=1), x=x, y=np.zeros(150))
    assert (defect_of(B.PredictorClass(defect=0), problem(turned)) == 0).all()
    less = B.PredictorClass(lipschitz=0.97 * float(np.linalg.norm(w.astype(float))))
    with pytest.raises(ValueError, match="lipschitz"):  # a few hundredths less are seen
        lipschitz_of(less, given, False, flat)


def test_many_rows_are_compared_in_blocks():
    x = np.random.default_rng(0).normal(size=(9000, 2))
    many = table(lambda b: b[:, 0], x=x, y=x[:, 0], n_transforms=2, keep="rows")
    [seen] = slopes(problem(many), [x])
    assert 0.99 < seen.value <= 1


def test_seen_slopes_are_at_least_the_tables(geometry):
    """A geometry of another model is flatter than this one: its slopes stand for nothing here."""
    flat = ep.Geometry(n_draws=50).fit(X, TURNS, predict=lambda b: 0.01 * b[:, 0])
    given = problem(ORBITS)
    other = GapProblem(**{**vars(given), "geometry": flat, "n_draws": 50})
    draws, assumption = lipschitz_of(B.PredictorClass(), other, False, lambda x: x)
    assert draws.min() == pytest.approx(SEEN["lipschitz"], rel=1e-6)
    assert not assumption.is_promised


# ---- losses ---------------------------------------------------------------------------------


def absolute(prediction, target):
    return np.abs(prediction - target).sum(axis=-1)


def test_bounded_losses_are_compared_with_their_function():
    given = problem(ORBITS)
    fine = B.BoundedLoss(range=100.0, slope=1.0, function=absolute)
    assert constants_of(given, fine).range == 100.0
    with pytest.raises(ValueError, match=r"losses of at most 1, and row \d+ of orbits"):
        constants_of(given, B.BoundedLoss(range=1.0, slope=1.0, function=absolute))
    with pytest.raises(ValueError, match=r"slope of 0\.9, and the loss of row \d+ of orbits"):
        constants_of(given, B.BoundedLoss(range=100.0, slope=0.9, function=absolute))
    constants_of(given, B.BoundedLoss(range=1.0, slope=1.0))  # no function: nothing to compare


def test_what_is_not_stated_is_the_largest_in_either_table():
    calm = table(lambda b: 0.1 * b[:, 0], y=0.1 * X[:, 0] + 0.01)
    two = GapProblem(**{**vars(problem(ORBITS, calm)), "train": calm})
    assert constants_of(two, B.SquaredError()).range == pytest.approx(SEEN["largest_residual"] ** 2)


ONE_HOT = np.eye(2)[(X[:, 0] > 0).astype(int)]


def probabilities(b):
    p = 1 / (1 + np.exp(-3 * b[:, 0]))
    return np.stack([1 - p, p], axis=1)


def test_brier_scores_are_of_probabilities_alone():
    scores = table(probabilities, y=ONE_HOT)
    logits = table(lambda b: np.stack([-b[:, 0], 3 * b[:, 0]], axis=1), y=ONE_HOT)
    assert holds_labels(scores)
    assert not holds_labels(logits)
    brier = constants_of(problem(scores), B.SquaredError())
    assert brier.range == pytest.approx(2)
    assert brier.assumption.source == "Brier scores"
    seen = constants_of(problem(logits), B.SquaredError())
    residuals = ((ONE_HOT - logits.only.base) ** 2).sum(axis=1)
    assert seen.range == pytest.approx(residuals.max())
    assert seen.range > 2
    assert not seen.assumption.is_promised
    reach, span = range_of(B.PredictorClass(), problem(logits))
    assert reach > 1
    assert not span.is_promised
    assert range_of(B.PredictorClass(), problem(scores))[0] == 1.0


# ---- norms ----------------------------------------------------------------------------------


def test_norms_are_compared_with_outputs():
    linear = table(lambda b: b @ np.array([3.0, 4.0]), transform=QUARTERS, design="full")
    loss = B.SquaredError(largest_residual=100.0)
    fit(B.RKHS(features=lambda b: b, radii=(0.0, 5.001), loss=loss), linear)
    with pytest.raises(
        ValueError, match=r"norm of the model \(radii=.*output of row \d+ of orbits"
    ):
        fit(B.RKHS(features=lambda b: b, radii=(0.0, 4.5), loss=loss), linear)
    with pytest.raises(ValueError, match=r"coefficients=.*output of row \d+ of orbits"):
        fit(B.RKHS(features=lambda b: b, coefficients=np.array([0.3, 0.4]), loss=loss), linear)
    square = lambda b: np.column_stack([b, (b**2).sum(axis=1)])  # noqa: E731
    with pytest.raises(ValueError, match="norm of the rest, 0, promises"):
        fit(B.RKHS(features=square, radii=(20.0, 0.0), loss=loss), linear)
    with pytest.raises(ValueError, match=r"largest_diagonal=0\.5.*row \d+"):
        fit(B.RKHS(features=lambda b: b, radii=(0.0, 6.0), loss=loss, largest_diagonal=0.5), linear)


def test_stochastic_models_move_by_their_noise():
    generator = np.random.default_rng(0)
    noisy = table(lambda b: generator.normal(size=len(b)), noise_repeats=2, y=None)
    assert displacements(problem(noisy)) == []


def test_ranges_span_both_tables():
    low, high = (table(lambda b, c=c: c + 0 * b[:, 0]) for c in (0.0, 7.0))
    [seen] = ranges(problem(low, high))
    assert seen.value == pytest.approx(7.0)
    assert re.search(r"\(row \d+ of orbits\) to 7 \(row \d+ of train\)", seen.words)
