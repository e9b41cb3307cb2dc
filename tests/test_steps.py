"""That no label changed on some rows is no exactness: other rows may lie nearer to a step."""

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.errors.steps import largest_step

N, N_DRAWS = 30, 2000
NARROW = ep.transforms.rotations2d(max_angle=0.2, acts_on="vectors")
FEW = ep.ModelEquivarianceError(n_draws=N_DRAWS)


def rows(n=N):
    """Vectors that no turn of up to 0.2 takes across the line that tells two classes apart."""
    x = np.random.default_rng(0).normal(size=(n, 2))
    x[:, 0] += np.sign(x[:, 0])
    return x[np.abs(x[:, 1]) < 2]


def one_hot(x):
    return np.eye(2)[(np.asarray(x)[:, 0] > 0).astype(int)]


MODELS = {
    "labels": (lambda x: (np.asarray(x)[:, 0] > 0).astype(float), 1.0),
    "one-hot labels": (one_hot, 2.0),
    "one label": (lambda x: np.tile([1.0, 0.0], (len(x), 1)), 2.0),
    "values of a tree": (lambda x: np.where(np.asarray(x)[:, 0] > 0, 0.9, 0.2), 0.49),
    "votes of three": (lambda x: np.where(np.asarray(x)[:, 0] > 0, 1 / 3, 2 / 3), 1 / 9),
}


def table(predict, **options):
    options = {"n_transforms": 4, "backend": "python"} | options
    return ep.evaluate_orbits(predict, rows(), NARROW, **options)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("design", ["quasi", "crossed"])
def test_labels_that_do_not_change_are_not_called_exact(name, design):
    predict, step = MODELS[name]
    orbits = table(predict, design=design)
    result = FEW.fit(orbits)
    assert not result.is_exact
    assert ep.Diagnostic.NO_STEP_SEEN in result.diagnostics
    assert "No output changed on" in str(result)
    assert "exactly" not in str(result)
    assert largest_step(orbits) == pytest.approx(step, rel=1e-12)
    # No failure among n trials: Jeffreys' posterior. The 0.95 quantile of 2000 draws has a standard
    # error of .0049 in probability; 5 of them are passed once in 2 million.
    found = np.quantile(result.draws["error"], 0.95) ** 2 / step
    assert abs(stats.beta(0.5, len(rows()) + 0.5).cdf(found) - 0.95) < 5 * 0.0049
    # No draw is sure that nothing changes, at any size of the transformation.
    assert (result.draws["profile"] > 0).all()
    assert "asymmetry_share" not in result.draws


def test_continuous_outputs_that_do_not_change_are_exact():
    result = FEW.fit(table(lambda x: (np.asarray(x) ** 2).sum(axis=1)))
    assert result.is_exact
    assert largest_step(table(lambda x: np.asarray(x)[:, 1])) is None


def test_a_label_that_changes_is_measured_as_before():
    result = FEW.fit(table(lambda x: (np.asarray(x)[:, 1] > 0).astype(float)))
    assert ep.Diagnostic.NO_STEP_SEEN not in result.diagnostics
    assert not result.is_exact


def test_every_result_says_that_no_label_changed():
    y = one_hot(rows()).argmax(axis=1)
    orbits = table(one_hot, y=y)
    level = ep.SymmetryLevel(n_draws=200).fit(orbits)
    assert "No output changed on" in str(level)
    assert "up to rounding" not in str(level)
    assert ep.Diagnostic.UP_TO_ROUNDING not in level.diagnostics
    # An error that two standard errors of 30 rows do not tell from .1 is not known to be below it.
    stabilizer = ep.Stabilizer(tolerance=0.1, n_draws=200).fit(orbits)
    assert stabilizer.draws["membership"].mean() < 0.9
    audit = ep.audit(
        {"labels": one_hot}, rows(), y, NARROW, n_transforms=4, n_draws=200, backend="python"
    )
    assert "No output changed on" in str(audit)
    assert "equivariant up to rounding" not in str(audit)
    # No error on these rows: their risk is no more known than how many labels change.
    assert audit["labels"]["model_error"].draws["risk"].max() > 0


def test_the_identity_has_no_steps():
    quarter = ep.transforms.finite(
        np.stack([np.eye(2), np.diag([1.0, -1.0])]), acts_on="vectors", output_action="invariant"
    )
    orbits = ep.evaluate_orbits(MODELS["labels"][0], rows(), quarter, backend="python")
    result = FEW.fit(orbits)
    profile = dict(zip(result.coords["magnitude"], result.draws["profile"].T, strict=True))
    assert not profile[0.0].any()
    assert all((draws > 0).all() for size, draws in profile.items() if size > 0)


def test_labels_of_pooled_rows_are_not_called_exact():
    result = FEW.fit(table(one_hot, keep="blocks"))
    assert not result.is_exact


@pytest.mark.parametrize(("dtype", "unit"), [(np.float32, 1e8), (np.float64, 1e17)])
def test_outputs_in_small_units_are_no_labels(dtype, unit):
    """Floats have no digits after the point there: all are whole numbers, and mean no labels."""

    def predict(x):
        return (unit * (1 + (np.asarray(x) ** 2).sum(axis=1))).astype(dtype)

    outputs = predict(rows())
    assert (outputs == np.rint(outputs)).all()
    orbits = table(predict)
    assert largest_step(orbits) is None
    assert FEW.fit(orbits).is_exact
    counts = lambda x: 1e3 * np.rint(np.asarray(x)[:, 0]).astype(dtype)  # noqa: E731
    assert largest_step(table(counts)) is not None  # the twin
