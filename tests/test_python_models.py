"""Models of the command line that are Python, and data of other files."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from refusals import refuses

import equiprob as ep
from equiprob.cli import main
from equiprob.cli.expressions import parse_transform
from equiprob.cli.files import NamedArrays, read_data, read_models
from equiprob.cli.python_models import is_function
from equiprob.transforms.fingerprint import difference

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


def test_a_transform_names_arrays_of_the_file(folder):
    """Matrices of outputs, which are then no rows."""
    rng = np.random.default_rng(0)
    swap = np.stack([np.eye(2), [[0.0, 1.0], [1.0, 0.0]]])
    np.savez("swap.npz", a=rng.normal(size=(30, 3)), b=rng.normal(size=30), swap=swap)
    named = NamedArrays(Path("swap.npz"))
    text = "cyclic(2, acts_on='vectors', output_action=by_element(array('swap')))"
    transform = parse_transform(text, named)
    again = ep.transforms.cyclic(2, acts_on="vectors", output_action=ep.transforms.by_element(swap))
    assert difference(transform.fingerprint, again.fingerprint) is None
    wrong = ep.transforms.by_element(swap[::-1])
    other = ep.transforms.cyclic(2, acts_on="vectors", output_action=wrong)
    assert difference(transform.fingerprint, other.fingerprint) is not None
    assert read_data(Path("swap.npz"), [], "b", None, named.used).x.shape == (30, 3)
    with refuses("which has .*'a', 'b', 'swap'"):
        parse_transform("cyclic(2, output_action=by_element(array('no')))", named)
    for text in ("by_element(array(3))", "by_element(array('a', 'b'))", "cyclic(array('a', k=1))"):
        with refuses("the name of one array"):
            parse_transform(text, named)
    with refuses("the name of one array"):
        parse_transform("by_element(array('swap'))")


# ASE itself, under NumPy 2.5.
@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array")
def test_structures_are_rows_of_arrays(folder):
    atoms = pytest.importorskip("ase").Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    rng = np.random.default_rng(0)
    frames = [atoms("OH2", rng.normal(size=(3, 3)), cell=np.eye(3) * 9) for _ in range(5)]
    for i, one in enumerate(frames):
        one.calc = SinglePointCalculator(one, energy=float(i), forces=rng.normal(size=(3, 3)))
    write("water.extxyz", frames)
    rows = read_data(Path("water.extxyz"), [], "energy", None)
    assert {name: values.shape for name, values in rows.x.items()} == {
        "positions": (5, 3, 3), "numbers": (5, 3), "cell": (5, 3, 3),
    }  # fmt: skip
    np.testing.assert_array_equal(rows.y, np.arange(5))
    np.testing.assert_allclose(rows.x["positions"][2], frames[2].positions, atol=1e-7)
    forces = read_data(Path("water.extxyz"), ["positions"], "forces", None)
    assert forces.x.shape == forces.y.shape == (5, 3, 3)
    write("sizes.xyz", [*frames, atoms("H")])
    with refuses(r"ep\.adapters\.from_ase"):
        read_data(Path("sizes.xyz"), [], None, None)
    Path("no.xyz").write_text("no")
    with refuses("cannot be read as XYZ"):
        read_data(Path("no.xyz"), [], None, None)
