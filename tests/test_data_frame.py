"""Pipelines of tables with columns of many kinds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import equiprob as ep

N = 200
COLUMNS = {"xy": ["px", "py"]}


def table(seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "kind": rng.choice(["car", "bus", "tram"], N),
            "px": rng.normal(size=N),
            "seats": rng.integers(1, 60, N).astype(np.int16),
            "py": rng.integers(-3, 4, N),
            "on": rng.random(N) < 0.5,
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 99, N), "D"),
            "grade": pd.Categorical(
                rng.choice(["b", "a"], N), categories=["b", "a", "c"], ordered=True
            ),
            "rain": np.where(rng.random(N) < 0.2, np.nan, rng.random(N)),
            "stop": rng.choice(np.array(["x", None], dtype=object), N),
            "lines": pd.array(rng.choice([1, 2, None], N), dtype="Int64"),
            7: rng.normal(size=N).astype(np.float32),
        }
    )
    return frame


def test_an_estimator_gets_the_table_as_it_was():
    frame, seen = table(), []

    def estimator(given):
        seen.append(given)
        return given["px"]

    model = ep.adapters.from_dataframe(estimator, frame, columns=COLUMNS)
    model({name: values[20:60] for name, values in model.x.items()})
    expected = frame[20:60].reset_index(drop=True)
    pd.testing.assert_frame_equal(seen[0], expected.astype({"py": float}))


def test_the_error_of_a_pipeline():
    frame = table().drop(columns=7)  # scikit-learn takes names that are strings
    y = np.where(np.hypot(frame["px"], frame["py"]) > 2, "far", "near")
    encode = make_column_transformer(
        (OneHotEncoder(), ["kind", "grade"]), (StandardScaler(), ["px", "py", "seats"])
    )
    pipeline = make_pipeline(encode, LogisticRegression()).fit(frame[:100], y[:100])
    model = ep.adapters.from_dataframe(pipeline, frame[100:], columns=COLUMNS)
    turns = ep.transforms.rotations2d(acts_on=model.acts_on(xy="vectors"))
    orbits = model.orbits(turns, n_transforms=4, y=model.labels(y[100:]))
    assert ep.ModelEquivarianceError().fit(orbits).draws["error"].min() > 0.01
    # A pipeline of the radius and of all the rest is exact: what moves is the columns alone.
    radius = lambda t: np.hypot(t["px"], t["py"]) + (t["kind"] == "car") * t["rain"].fillna(0)  # noqa: E731
    exact = ep.adapters.from_dataframe(radius, frame, columns=COLUMNS)
    assert ep.ModelEquivarianceError().fit(exact.orbits(turns, n_transforms=4)).is_exact
    # The average is an estimator of tables again.
    level = ep.SymmetryLevel().fit(orbits)
    averaged = model.estimator_of(level.predictor(model))
    labels = averaged.predict(frame[100:])
    assert set(labels) <= {"far", "near"}
    assert averaged.score(frame[100:], y[100:]) == (labels == y[100:]).mean()
    np.testing.assert_allclose(
        model.estimator_of().predict_proba(frame[100:]), pipeline.predict_proba(frame[100:])
    )
    with pytest.raises(TypeError, match="average of a fitted one"):
        averaged.fit(frame, y)


def test_averages_of_flattened_images_are_estimators():
    images = np.random.default_rng(0).random((120, 4, 4))
    forest = RandomForestRegressor(5, random_state=0).fit(images.reshape(120, -1), images[:, 0, 0])
    predict = ep.adapters.from_sklearn(forest)
    orbits = ep.evaluate_orbits(
        predict, images, ep.transforms.cyclic(4), y=np.zeros(120), n_transforms=4
    )
    average = ep.SymmetryLevel().fit(orbits).predictor(predict)
    estimator = predict.estimator_of(average, (4, 4))
    flat = images.reshape(120, -1)
    np.testing.assert_allclose(estimator.predict(flat), average(images))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"xy": ["px", "pz"]}, r"\['pz'\], which are no columns"),
        ({"xy": ["px", "px"]}, "more than once"),
        ({"xy": ["px", "kind"]}, "'kind' shall move, so it must hold numbers"),
        ({"xy": ["px", "rain"]}, "none missing"),
        ({"on": ["px", "py"]}, r"gives \['on'\] as a name, which is a column"),
    ],
)
def test_columns_that_cannot_move_are_named(columns, message):
    with pytest.raises(ValueError, match=message):
        ep.adapters.from_dataframe(lambda t: t["px"], table(), columns=columns)


def test_what_does_not_fit_is_refused():
    model = ep.adapters.from_dataframe(lambda t: t["px"], table(), columns=COLUMNS)
    with pytest.raises(ValueError, match=r"nothing called \['yx'\]"):
        model.acts_on(yx="points")
    with pytest.raises(ValueError, match="no classes_"):
        model.labels(["far"])
    with pytest.raises(TypeError, match="must be a pandas DataFrame"):
        ep.adapters.from_dataframe(lambda t: t, np.zeros((3, 2)), columns=COLUMNS)
    with pytest.raises(ValueError, match="'kind' holds 'plane', which no row did"):
        model.rows.arrays(table().assign(kind="plane"))
