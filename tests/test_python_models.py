"""Models of the command line that are Python, and data of other files."""

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from equiprob.cli import main
from equiprob.cli.files import read_data, read_models
from equiprob.cli.python_models import is_function

MODEL = """
import numpy as np
from sklearn.linear_model import LinearRegression

def predict(x):
    return np.tanh((x**2).sum(axis=1))

def several(x):
    return {"a": x[:, 0], "b": x[:, 1]}

fitted = LinearRegression().fit(np.eye(2), np.ones(2))
number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


X = np.random.default_rng(0).normal(size=(60, 2))


@pytest.mark.parametrize(
    "name", ["my_models.py:predict", "f=my_models:predict", "./my_models.py:predict"]
)
def test_functions_are_imported_by_name(folder, name):
    ((key, model),) = read_models([name], None).items()
    assert key in ("predict", "f")
    np.testing.assert_array_equal(model(X), np.tanh((X**2).sum(axis=1)))


def test_estimators_and_outputs_are_found(folder):
    fitted = read_models(["my_models.py:fitted"], None)["fitted"]
    assert fitted(X).shape == (60,)
    second = read_models(["my_models.py:several"], "b")["several"]
    np.testing.assert_array_equal(second(X), X[:, 1])
    with pytest.raises(ValueError, match=r"'c' is none of the model's: it has \['a', 'b'\]"):
        read_models(["my_models.py:several"], "c")["several"](X)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py:predict", "there is no file none.py"),
        ("my_models.py:nothing", "has no attribute 'nothing'"),
        ("my_models.py:number", "is a int: name a function"),
        ("no_such_package:f", "cannot be imported: ModuleNotFoundError"),
        ("model.pkl", "no .onnx, .pt or .pt2 file, and no name of a function"),
        ("C:\\\\models", "and no name of a function"),
    ],
)
def test_what_cannot_be_found_is_named(folder, name, message):
    with pytest.raises(ValueError, match=message):
        read_models([name], None)
    assert is_function("a.b:c")


def test_hdf5_and_zarr_hold_data(folder):
    with h5py.File("rows.h5", "w") as file:
        file["x"], file["y"] = X, X[:, 0]
        file.create_group("more")
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group("rows.zarr", mode="w")
    for name, values in (("x", X), ("y", X[:, 0])):
        group.create_array(name, data=values)
    for path in (folder / "rows.h5", folder / "rows.zarr"):
        data = read_data(path, (), "y", None)
        np.testing.assert_array_equal(data.x, X)
        np.testing.assert_array_equal(data.y, X[:, 0])
    (folder / "no.h5").write_text("no")
    with pytest.raises(ValueError, match="cannot be read as HDF5"):
        read_data(folder / "no.h5", (), None, None)


def test_an_audit_of_a_function(folder):
    with h5py.File("rows.h5", "w") as file:
        file["x"] = X
    arguments = ["--model", "my_models.py:predict", "--data", "rows.h5", "--draws", "50"]
    turns = ["--transform", "rotations2d(acts_on='vectors')", "--n-transforms", "4", "--json"]
    found = CliRunner().invoke(main, ["audit", *arguments, *turns, "--max-error", "0.001"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["gate"]["passed"]
