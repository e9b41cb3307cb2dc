"""Certificates of levels: bounds on the risk of a drawn predictor, for any law of the rows."""

import math

import matplotlib as mpl
import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.levels.pac_bayes import bound_of, inverted, least_bound, log_xi
from equiprob.levels.predictor import AveragedPredictor
from equiprob.testing import linear_task

mpl.use("Agg")

QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")
DELTA, RUNS = 0.05, 1000


def skewed(x):
    """Class probabilities that depend on the direction where the labels do not."""
    one = 1 / (1 + np.exp(6 - 4 * (x**2).sum(axis=1) - 4 * x[:, 0]))
    return np.stack([1 - one, one], axis=1)


def population(n, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    wrong = generator.random(n) < 0.1
    return x, ((np.linalg.norm(x, axis=1) > 1.2) ^ wrong).astype(int)


def evaluated(n=300, seed=0, transform=QUARTERS, **options):
    x, y = population(n, seed)
    options = {"n_transforms": 4, "backend": "python", "keep": "all"} | options
    return ep.evaluate_orbits(skewed, x, transform, y=y, **options)


@pytest.fixture(scope="module")
def orbits():
    return evaluated()


# ---- the bound ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 9, 60])
def test_xi_is_the_sum_that_it_is(n):
    terms = [math.comb(n, j) * (j / n) ** j * (1 - j / n) ** (n - j) for j in range(n + 1)]
    assert log_xi(n) == pytest.approx(np.log(sum(terms)))


def test_xi_of_many_rows_grows_as_their_root():
    assert log_xi(10**8) == pytest.approx(np.log(np.sqrt(np.pi * 10**8 / 2)), rel=1e-4)


def test_relative_entropy_is_inverted():
    upper = float(inverted(0.1, 0.02))
    entropy = 0.1 * np.log(0.1 / upper) + 0.9 * np.log(0.9 / (1 - upper))
    assert entropy == pytest.approx(0.02)
    assert float(inverted(0.0, 0.02)) == pytest.approx(1 - np.exp(-0.02))
    assert float(inverted(1.0, 0.02)) == 1.0
    assert float(inverted(0.3, np.inf)) == 1.0


def violations(bound):
    """How often a bound is below the risk, whose expectation is enumerated.

    Rows are drawn from a population of 500, on which losses at the positions are coins: of twenty
    positions all alike, the least looks best, which is the hardest that choosing can be.
    """
    losses = (np.random.default_rng(3).random((500, 20)) < 0.3).astype(np.float64)
    truth, prior, count = losses.mean(axis=0), np.full(20, 1 / 20), 0
    for seed in range(RUNS):
        rows = np.random.default_rng(seed).integers(0, len(losses), 50)
        count += bound(losses[rows].mean(axis=0), prior, truth)
    return count


def certified(risks, prior, truth):
    """Whether the bound fails for the Gibbs posterior or for the position that looks best."""
    chosen = least_bound(risks, prior, n=50, delta=DELTA)
    best = np.eye(len(risks))[risks.argmin()]
    bounds = [bound_of(q, risks, prior, n=50, delta=DELTA).upper for q in (chosen, best)]
    return chosen @ truth > bounds[0] or best @ truth > bounds[1]


def without_divergence(risks, prior, truth):
    """The same bound as if the position had been fixed beforehand."""
    return truth[risks.argmin()] > inverted(risks.min(), np.log(1 / DELTA) / 50)


def assert_hardly_ever(count):
    # A bound that fails just as often as stated, 50 times, passes with probability 1e-8.
    assert count <= 17


def test_bound_hardly_ever_fails_for_any_choice():
    assert_hardly_ever(violations(certified))


def test_the_test_of_the_bound_has_power():
    with pytest.raises(AssertionError):
        assert_hardly_ever(violations(without_divergence))


def test_least_bound_is_below_that_of_prior_and_of_points():
    risks, prior = np.linspace(0.1, 0.5, 30), np.full(30, 1 / 30)
    chosen = least_bound(risks, prior, n=200, delta=DELTA)
    ours = bound_of(chosen, risks, prior, n=200, delta=DELTA).upper
    for q in (prior, np.eye(30)[0]):
        assert ours <= bound_of(q, risks, prior, n=200, delta=DELTA).upper


# ---- certificates ---------------------------------------------------------------------------


def test_certificate_is_of_the_losses_of_the_table(orbits):
    certificate = ep.certify_level(orbits, path=ep.paths.Subgroups(), loss="zero_one", delta=0.1)
    outputs = orbits.only.base[:, None] + orbits.only.raw
    wrong = [
        (outputs[:, group].mean(axis=1).argmax(axis=1) != orbits.only.y.argmax(axis=1)).mean()
        for group in ([0], [0, 2], [0, 1, 2, 3])
    ]
    assert sorted(certificate.risk) == pytest.approx(sorted(wrong))
    prior = np.full(3, 1 / 3)
    expected = bound_of(certificate.probability, certificate.risk, prior, n=300, delta=0.1)
    assert certificate.upper["drawn"] == pytest.approx(expected.upper)
    table = certificate.summary()
    assert table.loc["as_it_is", "divergence"] == pytest.approx(np.log(3))
    assert (table["estimate"] < table["ci_high"]).all()
    assert certificate.status == "no problem found"
    assert "With confidence 90 %" in str(certificate)


def test_bound_covers_fresh_rows(orbits):
    fresh = evaluated(4000, seed=1)
    certificate = ep.certify_level(orbits, path=ep.paths.Blend(n_positions=21))
    again = ep.certify_level(fresh, path=ep.paths.Blend(n_positions=21))
    # Closed-form arithmetic of seeded rows: the margin is eight standard errors of their mean.
    assert certificate.probability @ again.risk < certificate.upper["drawn"]
    assert certificate.largest == 2.0
    assert 0 < certificate.upper["drawn"] < certificate.upper["as_it_is"] < 2


@pytest.mark.parametrize(
    "path", [ep.paths.Blend(n_positions=5), ep.paths.Range(positions=(60, 180))]
)
def test_predictions_are_those_whose_losses_are_certified(path):
    turns = ep.transforms.rotations2d(acts_on="vectors")
    table = evaluated(20, transform=turns, n_transforms=5)
    grid = path.grid(turns)
    for position, moved in zip(grid, path.displacements(table, grid), strict=True):
        for i in range(20):
            row = path.shipment_of(turns, table.design, float(position), table.row_ids[[i]])
            predict = AveragedPredictor(skewed, turns, row.parameters, row.weights, row.keep)
            found = predict(table.x[[i]])[0]
            np.testing.assert_allclose(found, (table.only.base + moved)[i], atol=1e-6)


def test_positions_are_drawn_with_their_probabilities(orbits):
    path = ep.paths.Blend(n_positions=3)
    certificate = ep.certify_level(orbits, path=path, posterior=[1, 2, 1])
    generator = np.random.default_rng(0)
    kept = np.array([certificate.predictor(skewed, generator).keep for _ in range(400)])
    # 400 coins: five standard deviations are 50.
    assert abs((kept == 0.5).sum() - 200) <= 50
    assert set(kept) == {0.0, 0.5, 1.0}
    assert certificate.predictor(skewed, generator)(orbits.x[:7]).shape == (7, 2)


def test_rows_without_finite_outputs_count_as_the_largest_loss():
    def broken(x):
        return np.where(x[:, :1] > 1.5, np.nan, skewed(x))

    x, y = population(300)
    table = ep.evaluate_orbits(broken, x, QUARTERS, y=y, keep="all", backend="python")
    certificate = ep.certify_level(table, loss="zero_one")
    share = 1 - table.valid.mean()
    assert 0 < share < certificate.risk.min()
    assert ep.Diagnostic.NONFINITE_AS_WORST in certificate.diagnostics


def test_groups_count_once():
    groups = np.repeat(np.arange(75), 4)
    together = ep.certify_level(evaluated(groups=groups), loss="zero_one")
    apart = ep.certify_level(evaluated(), loss="zero_one")
    assert together.n_units == 75
    assert together.upper["drawn"] > apart.upper["drawn"]
    uneven = np.where(np.arange(300) < 100, 0, np.arange(300))
    found = ep.certify_level(evaluated(groups=uneven), loss="zero_one")
    assert ep.Diagnostic.GROUPS_COUNT_ONCE in found.diagnostics
    wrong = skewed(population(300)[0]).argmax(axis=1) != population(300)[1]
    means = np.r_[wrong[:100].mean(), wrong[100:]]
    assert found.risk[-1] == pytest.approx(means.mean())


def test_levels_are_priors_of_other_rows_and_posteriors_of_these(orbits):
    level = ep.SymmetryLevel(n_draws=500).fit(orbits)
    other = ep.SymmetryLevel(n_draws=500).fit(evaluated(300, seed=2))
    certificate = ep.certify_level(orbits, prior=other, posterior=level)
    plain = ep.certify_level(orbits, posterior=level)
    assert certificate.prior.min() > 0
    assert certificate.upper["drawn"] < plain.upper["drawn"]
    mean = certificate.probability @ certificate.positions
    assert mean == pytest.approx(level.draws["position"].mean(), abs=0.01)
    with refuses("prior= is a level that was fitted to 300 of these 300 rows"):
        ep.certify_level(orbits, prior=level)
    with refuses("fit it along the same path"):
        ep.certify_level(orbits, path=ep.paths.Blend(n_positions=11), posterior=level)
    half = evaluated(transform=ep.transforms.cyclic(2, acts_on="vectors"))
    with refuses("over the same transformations"):
        ep.certify_level(half, prior=other)


def test_what_would_make_it_silently_invalid_is_refused(orbits):
    task = linear_task(100, seed=0)
    table = ep.evaluate_orbits(task.predict, task.x, task.transform, y=task.y)
    with refuses("needs the largest possible loss of a row"):
        ep.certify_level(table)
    with refuses("losses are to lie between 0 and largest_loss=0.01"):
        ep.certify_level(table, largest_loss=0.01)
    with refuses("losses are to lie between 0 and largest_loss=1"):
        ep.certify_level(orbits, loss=lambda y, p: -((y - p) ** 2).sum(axis=1), largest_loss=1.0)
    with refuses("largest_loss must be a positive number"):
        ep.certify_level(table, largest_loss=math.inf)
    with refuses("pass y= to evaluate_orbits"):
        ep.certify_level(ep.evaluate_orbits(task.predict, task.x, task.transform))
    with refuses("prior must be 201 weights"):
        ep.certify_level(orbits, prior=[1.0, 2.0])
    with refuses("delta must lie strictly between 0 and 1"):
        ep.certify_level(orbits, delta=1.0)
    with refuses("crossed design"):
        turns = ep.transforms.rotations2d(acts_on="vectors")
        ep.certify_level(evaluated(100, transform=turns, design="crossed"))
    with refuses("stopped by a rule"):
        rule = {"stop_when": lambda table: "enough", "batch_size": 50}
        ep.certify_level(evaluated(200, **rule))


def test_a_bound_that_says_nothing_is_named():
    certificate = ep.certify_level(
        evaluated(3), loss=lambda y, p: np.ones(len(y)), largest_loss=1.0
    )
    assert certificate.upper["drawn"] == 1.0
    assert ep.Diagnostic.VACUOUS in certificate.diagnostics


@pytest.mark.parametrize("path", [ep.paths.Blend(), ep.paths.Subgroups()])
def test_figure_has_both_panels(orbits, path):
    figure = ep.certify_level(orbits, path=path).plot()
    assert len(figure.axes) == 2
