"""Covering numbers and kernels: formulas in plain NumPy, identities, and what they refuse."""

from dataclasses import dataclass

import numpy as np
import pytest

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic

B = ep.bounds
UNIT = B.BoundedLoss(range=1.0, slope=1.0)
LOSS = B.SquaredError(largest_residual=1.0)
FLIPS = ep.transforms.sign_flips(2, acts_on="vectors")


def rows(n, d=2, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, d))


def table(x, transform=FLIPS, y=None, predict=lambda b: 0.0 * b[:, 0], **options):
    """Return a table of rows; the model that is 0 everywhere is in every class."""
    options = {"backend": "python", "n_transforms": 4} | options
    return ep.evaluate_orbits(predict, x, transform, y=y, **options)


def fit(orbits, bound, **options):
    data = {name: options.pop(name) for name in ("train", "geometry") if name in options}
    return ep.GeneralizationGap(bound=bound, **({"n_draws": 100} | options)).fit(orbits, **data)


# ---- covering numbers --------------------------------------------------------------------------


@dataclass
class Covers:
    """A geometry of known covering numbers, ``c r^-d`` with an uncertain constant."""

    n_draws: int
    dimension: float = 2.0
    orbit_dimension: float = 1.0

    @property
    def coords(self):
        return {"radius": np.geomspace(1e-3, 2, 60)}

    @property
    def draws(self):
        radius = self.coords["radius"]
        size = np.linspace(0.8, 1.2, self.n_draws)[:, None]
        covers = {
            name: np.maximum(np.log(size * (2 / radius) ** d), 0.0)
            for name, d in (
                ("log_cover", self.dimension),
                ("orbit_log_cover", self.orbit_dimension),
            )
        }
        dimensions = {
            "dimension": np.full(self.n_draws, self.dimension),
            "orbit_dimension": np.full(self.n_draws, self.orbit_dimension),
            "lipschitz": np.linspace(0.5, 1.5, self.n_draws),
        }
        return covers | dimensions


def dudley(entropy, n, reach=1.0):
    """Evaluate (11) on a grid of a million midpoints."""
    edges = np.linspace(0, reach / 2, 1_000_001)
    middle = (edges[1:] + edges[:-1]) / 2
    above = np.cumsum((np.sqrt(entropy(middle)) * np.diff(edges))[::-1])[::-1]
    return (4 * edges[:-1] + 12 / np.sqrt(n) * above).min()


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("defect", [0.0, 0.1])
def test_covering_is_the_formula(connected, defect):
    geometry, n, lipschitz = Covers(3), 400, 0.05
    bound = B.Covering(
        predictors=B.PredictorClass(lipschitz=lipschitz, defect=defect, output_range=1.0),
        loss=UNIT,
        connected=connected,
    )
    result = fit(table(rows(n)), bound, geometry=geometry, n_draws=3)
    for draw in range(3):
        covers = [geometry.draws[name][draw] for name in ("log_cover", "orbit_log_cover")]

        def entropy(t, covers=covers):
            def of(scale, d):
                radius = np.log(scale / ((2 if connected else 4) * lipschitz))
                known = np.log(geometry.coords["radius"])
                logs = np.interp(radius, known, covers[2 - d])
                logs += np.maximum(known[0] - radius, 0) * d
                number = np.minimum(np.exp(logs), n)
                levels = np.log(2 * np.ceil(1 / scale) + 1)
                return number * np.log(2) + levels if connected else number * levels

            moved = of(np.where(t > defect, t - defect, 1.0), 1)
            return np.minimum(of(t, 2), np.where(t > defect, moved, np.inf))

        plain = 2 * dudley(entropy, n)
        assert result.draws["expected_bound"][draw] == pytest.approx(plain, rel=1e-3)
    penalty = 3 * np.sqrt(np.log(2 / 0.05) / (2 * n))
    added = result.draws["bound"] - result.draws["expected_bound"]
    assert np.allclose(added, penalty)


def test_covering_is_far_above_transport():
    orbits = table(rows(500))
    predictors = B.PredictorClass(lipschitz=0.5, defect=0.0, output_range=1.0)
    classical = fit(orbits, B.Covering(predictors=predictors, loss=UNIT), geometry=Covers(100))
    transport = fit(orbits, B.Transport(predictors=predictors, loss=UNIT, n_splits=4))
    for name in ("bound", "expected_bound"):
        assert (classical.draws[name] > 5 * transport.draws[name]).all()
    assert classical.is_vacuous
    assert np.median(classical.draws["gain"]) < 1


def test_covering_takes_slopes_of_the_geometry_and_says_so():
    orbits = table(rows(200), predict=lambda b: 0.2 * b[:, 0] ** 2)
    result = fit(orbits, B.Covering(loss=UNIT), geometry=Covers(100))
    assert Diagnostic.CONSTANT_SEEN in result.diagnostics
    assert result.draws["bound"].std() > 0
    with pytest.raises(ValueError, match="'log_cover' of the geometry"):
        fit(orbits, B.Covering(predictors=B.PredictorClass(lipschitz=1.0, defect=0.0), loss=UNIT))
    with pytest.raises(ValueError, match="same n_draws"):
        fit(orbits, B.Covering(loss=UNIT), geometry=Covers(7))
    with pytest.raises(ValueError, match="no average defect"):
        fit(orbits, B.Covering(predictors=B.PredictorClass(), loss=UNIT), geometry=Covers(100))


def test_geometry_of_the_rows_serves_both_bounds():
    x = rows(120)
    model = lambda b: 0.2 * b[:, 0] ** 2  # noqa: E731
    geometry = ep.Geometry(n_draws=100).fit(x, FLIPS, predict=model)
    orbits = table(x, predict=model, y=model(x) + 0.1)
    results = {
        name: fit(orbits, bound, geometry=geometry)
        for name, bound in (
            ("covering", B.Covering(loss=LOSS)),
            ("transport", B.Transport(loss=LOSS, targets="joint", n_splits=4)),
        )
    }
    assert all(Diagnostic.CONSTANT_SEEN in result.diagnostics for result in results.values())
    medians = {k: np.median(r.draws["expected_bound"]) for k, r in results.items()}
    assert medians["covering"] > 5 * medians["transport"]
    assert results["transport"].draws["bound"].std() > 0


def test_components_add_up():
    vectors = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
    predictors = B.PredictorClass(lipschitz=0.05, defect=0.0, output_range=1.0)
    bound = B.Covering(predictors=predictors, loss=UNIT)
    scalar = fit(table(rows(300)), bound, geometry=Covers(100))
    pair = fit(table(rows(300), vectors, predict=lambda b: 0.0 * b), bound, geometry=Covers(100))
    without = [r.draws["expected_bound"] / r.draws["gain"] for r in (scalar, pair)]
    assert np.allclose(without[1], 2 * np.sqrt(2) * without[0])


# ---- kernels -----------------------------------------------------------------------------------


def gaussian(x, other):
    squares = ((np.asarray(x)[:, None] - np.asarray(other)) ** 2).sum(axis=2)
    return np.exp(-squares / 0.5)


def quadratic_features(x):
    return np.column_stack([np.ones(len(x)), x, x**2, x[:, :1] * x[:, 1:]])


def test_traces_are_those_of_the_symmetrized_gram_matrix():
    x = rows(60)
    result = fit(table(x), B.RKHS(kernel=gaussian, radii=(1.0, 0.0), loss=LOSS))
    signs = FLIPS.enumeration().parameters
    gram = np.mean([gaussian(x, x * s) for s in signs], axis=0)
    mean = np.trace(gram) / 60
    assert result.facts.of_bound["trace_share_sym"] == pytest.approx(mean)
    slope, delta = 2.0, 0.05
    # The median of 200 draws is .7 % above, with a deviation of .25 % (5 of `other_draws`).
    plain = 2 * slope * np.sqrt(mean / 60)  # 2 R_n times the slope
    assert np.median(result.draws["expected_bound"]) == pytest.approx(plain, rel=0.03)
    half = delta / 2  # the other one is for the bound of one radius
    upper = 2 * slope * np.sqrt((mean + np.sqrt(np.log(4 / half) / 120)) / 60)
    above = upper + np.sqrt(np.log(2 / half) / 120)
    assert result.draws["bound"][0] == pytest.approx(above, rel=1e-9)
    assert Diagnostic.CONSTANT_SEEN not in result.diagnostics


def rounded(radius):
    return 1e-3 * 2 ** (np.ceil(8 * np.log2(radius / 1e-3)) / 8) if radius else 0.0


def share(*radii, delta=0.05):
    places = [1 if r == 0 else np.ceil(8 * np.log2(r / 1e-3)) + 2 for r in radii]
    return delta * (6 / np.pi**2) ** len(radii) / np.prod(places) ** 2


def test_shares_of_delta_add_up():
    """Half of delta for the pairs of radii, half for the one radius."""
    grid = [0.0] + [1e-3 * 2 ** (j / 8) for j in range(300)]
    assert sum(share(a, b) for a in grid for b in grid) < 0.05
    assert sum(share(a) for a in grid) < 0.05


def test_radii_of_a_kernel_model_are_those_of_its_parts():
    x = rows(40)
    a = np.random.default_rng(1).standard_normal(40)
    signs = FLIPS.enumeration().parameters
    gram = gaussian(x, x)
    symmetric = np.mean([gaussian(x, x * s) for s in signs], axis=0)
    bound = B.RKHS(kernel=gaussian, coefficients=a, loss=LOSS)
    facts = fit(table(x, predict=lambda b: gaussian(b, x) @ a), bound).facts
    assert facts.of_bound["radius_sym"] == pytest.approx(rounded(np.sqrt(a @ symmetric @ a)))
    assert facts.of_bound["radius_perp"] == pytest.approx(
        rounded(np.sqrt(a @ (gram - symmetric) @ a))
    )
    # An invariant model has no other part.
    invariant = np.concatenate([x * s for s in signs])
    even = fit(
        table(invariant, predict=lambda b: gaussian(b, invariant).sum(axis=1)),
        B.RKHS(kernel=gaussian, coefficients=np.ones(160), loss=LOSS),
    )
    assert even.facts.of_bound["radius_perp"] == 0.0


def test_features_agree_with_their_kernel():
    """Features that flips only multiply by signs: their product is an invariant kernel."""
    x = rows(80)
    w = np.array([0.1, 0.5, -0.3, 1.0, 0.2, 0.7])
    model = lambda b: quadratic_features(b) @ w  # noqa: E731
    by_features = fit(
        table(x, predict=model), B.RKHS(features=quadratic_features, coefficients=w, loss=LOSS)
    )
    radii = np.sqrt([0.1**2 + 1.0 + 0.2**2, 0.5**2 + 0.3**2 + 0.7**2])
    assert by_features.facts.of_bound["radius_sym"] == pytest.approx(rounded(radii[0]))
    assert by_features.facts.of_bound["radius_perp"] == pytest.approx(rounded(radii[1]))
    product = lambda a, b: quadratic_features(a) @ quadratic_features(b).T  # noqa: E731
    of_rows = np.linalg.pinv(quadratic_features(x).T) @ w  # the same predictor
    bound = B.RKHS(kernel=product, coefficients=of_rows, loss=LOSS)
    by_kernel = fit(table(x, predict=model), bound)
    assert np.allclose(by_features.draws["bound"], by_kernel.draws["bound"])


def test_vector_outputs_trace_the_representation():
    turns = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
    x = rows(50)
    result = fit(
        table(x, turns, predict=lambda b: 0.5 * b),
        B.RKHS(kernel=gaussian, radii=(1.0, 0.0), loss=LOSS),
    )
    elements = [turns.element(np.array([float(g)]))["matrix"] for g in range(4)]
    sym = np.mean([np.trace(g) * np.diag(gaussian(x, x @ g.T)) for g in elements], axis=0)
    assert result.facts.of_bound["trace_share_sym"] == pytest.approx(sym.sum() / (2 * 50))
    linear = fit(
        table(x, turns, predict=lambda b: b),
        B.RKHS(features=lambda b: b, coefficients=np.array([[1.0, 2.0], [-2.0, 1.0]]), loss=LOSS),
    )
    assert linear.facts.of_bound["radius_perp"] == 0.0  # it commutes with turns
    assert linear.facts.of_bound["radius_sym"] == pytest.approx(rounded(np.sqrt(10)))


def test_kernel_bound_holds_over_its_class():
    """The largest gap of a ball of linear functions is a norm; 400 samples of 50 rows."""
    generator = np.random.default_rng(0)
    n, worst, bounds = 50, [], []
    for _ in range(400):
        x = generator.uniform(-1, 1, (n, 2))
        worst.append(np.linalg.norm(x.mean(axis=0)))  # loss f, slope 1, radius 1, E x = 0
    bound = B.RKHS(features=lambda b: b, radii=(0.0, 1.0), loss=B.BoundedLoss(range=2.0, slope=1.0))
    for seed in range(5):
        bounds.append(fit(table(rows(n, seed=seed), y=np.zeros(n)), bound).draws["expected_bound"])
    low = np.mean(worst) + 5 * np.std(worst) / 20
    assert low < np.min(bounds)
    assert np.max(bounds) < 4 * np.mean(worst)  # 2 R_n, not many times more


# Features of the plane under quarter turns, and what W they are given. Exact means over rows.
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")


def linear(x):
    return np.asarray(x)


def square_and_first(x):
    return ((x**2).sum(axis=1) + x[:, 0])[:, None]


def oblique(x):
    return np.column_stack([(x**2).sum(axis=1) + x[:, 0], 2 * (x**2).sum(axis=1)])


@pytest.mark.parametrize(
    ("features", "w", "radii"),
    [
        (linear, [1.0, 0.0], (0.0, 1.0)),  # averages vanish
        (square_and_first, [1.0], (1.0, 1.0)),  # average and rest span one line
        (oblique, [1.0, 0.5], (2 / np.sqrt(5), 1.0)),  # the spans meet at an angle
        (quadratic_features, [1, 0.2, 0.3, 0.4, 0.5, 0.6], None),
        (lambda x: np.asarray(x, np.float32), [1.0, 0.0], (0.0, 1.0)),  # of another precision
    ],
)
def test_the_split_is_never_above_one_radius(features, w, radii):
    x, w = rows(200), np.array(w)
    phi = features(x)
    result = fit(table(x, QUARTERS), B.RKHS(features=features, coefficients=w, loss=UNIT))
    one = rounded(np.linalg.norm(w))
    plain = 2 * one * np.sqrt((phi**2).sum(axis=1).mean() / len(x))
    # The posterior of the mean of 200 rows is within a few hundredths of it.
    assert np.median(result.draws["expected_bound"]) < 1.03 * plain
    assert (result.draws["gain"] <= 1).all()
    alone = share(np.linalg.norm(w)) / 2
    largest = (phi**2).sum(axis=1).max()
    upper = np.minimum(
        (phi**2).sum(axis=1).mean() + largest * np.sqrt(np.log(2 / alone) / 400), largest
    )
    above = 2 * one * np.sqrt(upper / len(x)) + np.sqrt(np.log(2 / alone) / 400)
    assert (result.draws["bound"] <= above * (1 + 1e-6)).all()
    if radii is not None:
        found = [result.facts.of_bound[f"radius_{part}"] for part in ("sym", "perp")]
        assert found == pytest.approx([rounded(r) for r in radii])


def test_averages_that_vanish_gain_nothing():
    """Enumerated: of phi = x under quarter turns no part is symmetric: nothing is gained."""
    w = np.array([1.0, 0.0])
    result = fit(table(rows(200), QUARTERS), B.RKHS(features=linear, coefficients=w, loss=UNIT))
    assert np.allclose(result.draws["gain"], 1.0)
    # The parts of an invariant kernel are orthogonal: there the symmetric one alone gains.
    part = fit(
        table(rows(200), QUARTERS),
        B.RKHS(features=quadratic_features, coefficients=np.array([1.0, 0, 0, 1, 1, 0]), loss=UNIT),
    )
    assert part.facts.of_bound["radius_perp"] == 0.0
    assert (part.draws["gain"] < 0.95).all()


def test_one_radius_of_what_two_norms_allow():
    """The largest |W| whose projections on the spans have given norms, by enumeration."""
    turn = np.linspace(0, 2 * np.pi, 20_001)
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    spans = np.array([1.0, 2.0]) / np.sqrt(5), np.array([1.0, 0.0])
    for b in ((1.0, 1.0), (0.3, 1.0), (2.0, 0.5)):
        shares = [np.abs(around @ span) for span in spans]
        with np.errstate(divide="ignore"):
            largest = np.min([r / s for r, s in zip(b, shares, strict=True)], axis=0).max()
        result = fit(table(rows(100), QUARTERS), B.RKHS(features=oblique, radii=b, loss=UNIT))
        assert result.facts.of_bound["radius"] == pytest.approx(largest, rel=1e-3)
    line = fit(
        table(rows(100), QUARTERS), B.RKHS(features=square_and_first, radii=(2.0, 1.0), loss=UNIT)
    )
    assert line.facts.of_bound["radius"] == pytest.approx(1.0)


def test_what_no_row_shows_may_be_in_either_part():
    """A feature that is zero in all rows: its coefficient counts in both parts."""
    rare = lambda x: np.column_stack([x, x[:, 0] > 10.0])  # noqa: E731
    w = np.array([1.0, 0.0, 2.0])
    facts = fit(table(rows(100), QUARTERS), B.RKHS(features=rare, coefficients=w, loss=UNIT)).facts
    assert facts.of_bound["radius_sym"] == pytest.approx(rounded(2.0))
    assert facts.of_bound["radius_perp"] == pytest.approx(rounded(np.sqrt(5.0)))


def test_too_few_rows_do_not_tell_the_spans():
    w = np.array([1, 0.2, 0.3, 0.4, 0.5, 0.6])
    few = table(rows(8), QUARTERS)
    read = fit(few, B.RKHS(features=quadratic_features, coefficients=w, loss=UNIT))
    assert (
        read.facts.of_bound["radius_sym"]
        == read.facts.of_bound["radius"]
        == pytest.approx(rounded(np.linalg.norm(w)))
    )
    stated = fit(few, B.RKHS(features=quadratic_features, radii=(1.0, 1.0), loss=UNIT))
    assert stated.facts.of_bound["radius"] is None
    assert np.isfinite(stated.draws["bound"]).all()
    assert (stated.draws["gain"] <= 1).all()


@pytest.mark.parametrize("features", [linear, square_and_first, oblique])
def test_no_predictor_of_the_class_is_worse_than_the_bound(features):
    """The largest gap of the class, |E phi - mean phi| for one radius 1, in 300 samples.

    The bound of high probability fails in no more than 5 % of samples; a bound that is
    a third as large fails in many.
    """
    population = features(rows(100_000, seed=1)).mean(axis=0)
    n, gaps, bounds = 60, [], []
    for seed in range(300):
        gaps.append(np.linalg.norm(population - features(rows(n, seed=seed + 2)).mean(axis=0)))
    loss = B.BoundedLoss(range=8.0, slope=1.0)
    for seed in range(3):
        sample = table(rows(n, seed=seed + 2), QUARTERS)
        w = np.eye(len(population))[0]
        found = fit(sample, B.RKHS(features=features, coefficients=w, loss=loss))
        bounds.append((np.median(found.draws["expected_bound"]), found.draws["bound"][0]))
    expected, high = np.min(bounds, axis=0)
    assert np.mean(gaps) + 5 * np.std(gaps) / np.sqrt(300) < expected
    assert max(gaps) < high
    assert np.mean(gaps) > expected / 6  # a bound six times smaller would be found out


def test_gain_of_the_symmetric_part():
    result = fit(table(rows(100)), B.RKHS(kernel=gaussian, radii=(1.0, 0.0), loss=LOSS))
    gain = np.sqrt(result.facts.of_bound["trace_share_sym"])
    # As above: .5 %, and .1 %.
    assert np.median(result.draws["gain"]) == pytest.approx(gain, rel=0.05)
    assert np.allclose(result.draws["equivalent_samples"], result.draws["gain"] ** -2)
    ahead = result.forecast(400).draws["expected_bound"][:, 0]
    assert np.allclose(ahead, result.draws["expected_bound"] / 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "kernel= or features="),
        ({"kernel": gaussian}, "radii= or coefficients="),
        ({"kernel": gaussian, "radii": (-1.0, 0.0)}, "at least 0"),
    ],
)
def test_bad_configurations_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        B.RKHS(**options)


def test_what_kernels_refuse():
    lopsided = lambda a, b: np.asarray(a) @ np.diag([1.0, 3.0]) @ np.asarray(b).T  # noqa: E731
    turns = ep.transforms.cyclic(4, acts_on="vectors")
    with pytest.raises(ValueError, match="kernel changes"):
        fit(table(rows(30), turns), B.RKHS(kernel=lopsided, radii=(1.0, 1.0), loss=LOSS))
    some = ep.transforms.rotations2d(0.3, acts_on="vectors")
    with pytest.raises(ValueError, match="not drawn uniformly from a group"):
        fit(table(rows(30), some), B.RKHS(kernel=gaussian, radii=(1.0, 1.0), loss=LOSS))
    with pytest.raises(ValueError, match="coefficients must have shape"):
        fit(table(rows(30)), B.RKHS(kernel=gaussian, coefficients=np.ones(7), loss=LOSS))
    with pytest.raises(ValueError, match="kernel must return"):
        fit(table(rows(30)), B.RKHS(kernel=lambda a, b: 1.0, radii=(1.0, 1.0), loss=LOSS))
    with pytest.raises(ValueError, match="features must return"):
        fit(table(rows(30)), B.RKHS(features=lambda a: a[:, 0], radii=(1.0, 1.0), loss=LOSS))
    # Any law does for features.
    fit(table(rows(30), some), B.RKHS(features=lambda a: a, radii=(1.0, 1.0), loss=LOSS))
