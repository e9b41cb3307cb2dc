"""The error of each unit of each layer."""

import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))
FLIP = T.finite([np.eye(2), -np.eye(2)], acts_on="vectors")


def table(predict, x=X, transform=FLIP, **kwargs):
    return ep.evaluate_orbits(predict, x, transform, keep="all", backend="python", **kwargs)


def layers(x):
    """Even and odd units; one that is the same for all rows."""
    odd, even = x[:, 0], x[:, 1] ** 2
    return {
        "1 hidden": np.stack([odd, even, np.full(len(x), 3.0)], axis=1),
        "2 map": np.stack([odd, even], axis=1)[:, :, None] * np.array([1.0, 2.0]),
        "3 answer": odd + even,
    }


def test_units_have_the_errors_that_formulas_give():
    result = ep.UnitErrors(n_draws=300).fit(table(layers))
    assert result.facts.layers == {"1 hidden": 2, "2 map": 2, "3 answer": 1}
    assert result.facts.constant == {"1 hidden": [2]}
    names = ["1 hidden[0]", "1 hidden[1]", "2 map[0]", "2 map[1]", "3 answer[0]"]
    assert result.coords["unit"].tolist() == names
    error, relative = (np.median(result.draws[n], axis=0) for n in ("error", "relative_error"))
    # Half of the transformations turn x into -x, and move the odd unit by 2 x.
    odd = np.sqrt(2 * np.mean(X[:, 0] ** 2))
    assert error[[0, 4]] == pytest.approx(odd, rel=0.1)  # the posterior's median of 60 rows
    assert error[2] == pytest.approx(odd * np.sqrt(2.5), rel=0.1)  # places of 1 and 2 times
    assert error[[1, 3]].max() == relative[[1, 3]].max() == 0.0
    assert relative[0] == pytest.approx(odd / X[:, 0].std(), rel=0.1)
    np.testing.assert_array_equal(result.of_layer("2 map"), result.draws["relative_error"][:, 2:4])
    assert result.worst_units(1) == ["1 hidden[0]"]
    assert "1 units are the same for all rows but fewer than 5" in str(result)
    # What one row alone makes vary has no variation that is known.
    spike = lambda x: np.stack([x[:, 0], 1.0 * (np.arange(len(x)) == 3)], axis=1)  # noqa: E731
    result = ep.UnitErrors(n_draws=50).fit(table(spike, batch_dependent=True))
    assert result.facts.constant == {"output": [1]}


def test_a_layer_of_one_unit_has_the_error_of_the_model(tmp_path):
    orbits = table(layers)
    whole = ep.ModelEquivarianceError(n_draws=300).fit(orbits["3 answer"])
    unit = ep.UnitErrors(n_draws=300).fit(orbits["3 answer"])
    np.testing.assert_allclose(unit.draws["error"][:, 0], whole.draws["error"], rtol=0.15)
    unit.save(tmp_path / "units.nc")
    again = ep.load(tmp_path / "units.nc")
    assert str(again) == str(unit)
    assert len(again.plot().axes) == 3


def test_channels_may_stand_last():
    last = lambda x: np.stack([x[:, 0], x[:, 1] ** 2], axis=1)[:, None, :] * np.ones((1, 5, 1))  # noqa: E731
    first = ep.UnitErrors(n_draws=50).fit(table(last))
    assert first.facts.layers == {"output": 5}
    result = ep.UnitErrors(n_draws=50, units="last").fit(table(last))
    assert result.facts.layers == {"output": 2}
    assert result.draws["error"][:, 1].max() == 0.0 < result.draws["error"][:, 0].min()


def test_padding_is_left_out():
    """Features of items, half of the rows with one item less, whose numbers are nonsense."""
    mask = np.ones((len(X), 3), bool)
    mask[::2, 2] = False
    items = np.stack([X, 2 * X, np.where(mask[:, 2:], 3 * X, 1e3)], axis=1)
    features = lambda x: np.stack([x[..., 0], x[..., 1] ** 2], axis=-1)  # noqa: E731
    padded = table(features, x=items, outputs=ep.Output(mask=mask))
    with pytest.raises(ValueError, match="units='last'"):
        ep.UnitErrors().fit(padded)
    result = ep.UnitErrors(units="last", n_draws=300).fit(padded)
    odd = [each[kept, 0] for each, kept in zip(items, mask, strict=True)]
    expected = np.sqrt(2 * np.mean([np.mean(each**2) for each in odd]))
    error = np.median(result.draws["error"], axis=0)
    assert error[0] == pytest.approx(expected, rel=0.1)  # the posterior's median of 60 rows
    assert error[1] == 0.0
    assert np.median(result.draws["relative_error"][:, 0]) == pytest.approx(
        expected / np.concatenate(odd).std(), rel=0.15
    )


def test_layers_come_in_the_order_asked_for():
    result = ep.UnitErrors(layers=["3 answer", "1 hidden"], n_draws=50).fit(table(layers))
    assert list(result.facts.layers) == ["3 answer", "1 hidden"]
    assert result.coords["unit"][0] == "3 answer[0]"
    labels = [text.get_text() for text in result.plot().axes[0].get_yticklabels()]
    assert labels == ["3 answer (1)", "1 hidden (2)"]


def test_what_has_no_error_is_refused():
    with pytest.raises(ValueError, match="'4 more'"):
        ep.UnitErrors(layers=["1 hidden", "4 more"]).fit(table(layers))
    with pytest.raises(ValueError, match="keep='all'"):
        ep.UnitErrors().fit(ep.evaluate_orbits(layers, X, FLIP, keep="rows", backend="python"))
    with pytest.raises(ValueError, match="0 units"):
        ep.UnitErrors().fit(table(lambda x: np.ones((len(x), 3))))
    turns = T.rotations2d(acts_on="vectors")
    crossed = table(layers, transform=turns, design="crossed", n_transforms=4)
    with pytest.raises(ValueError, match="design='quasi'"):
        ep.UnitErrors().fit(crossed)
    with pytest.raises(KeyError, match="the outputs are"):
        ep.UnitErrors(n_draws=20).fit(table(layers)).of_layer("hidden")


@pytest.mark.simulation
def test_intervals_of_units_hold_the_truth():
    """Of x^3 and of |x|^3 sign(y): E d^2 = 2 E x^6 = 30, over variances of 15: 1.414 exactly.

    And of x + 2 |y|: E d^2 = 2 over 1 + 4 (1 - 2 / pi). 300 samples: a coverage of .86 or more
    where it is .90 has probability .99, and intervals half as wide cover .6.
    """
    truth = np.sqrt(2 / (1 + 4 * (1 - 2 / np.pi)))
    held = narrow = 0
    for seed in range(300):
        x = np.random.default_rng([seed, 5]).normal(size=(150, 2))
        predict = lambda x: np.stack([x[:, 0] ** 3, x[:, 0] + 2 * np.abs(x[:, 1])], axis=1)  # noqa: E731
        result = ep.UnitErrors(n_draws=500).fit(table(predict, x))
        low, high = np.quantile(result.draws["relative_error"][:, 1], [0.05, 0.95])
        held += low < truth < high
        middle, half = (low + high) / 2, (high - low) / 4
        narrow += abs(truth - middle) < half
    assert 0.86 < held / 300 < 0.96
    assert narrow / 300 < 0.75
