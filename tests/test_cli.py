"""The command line: expressions, files, answers and exit codes."""

import json
import tempfile
import time

import click
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from onnx_files import linear_file
from refusals import refuses

import equiprob as ep
from equiprob.cli import expressions, main
from equiprob.cli.expressions import parse_transform
from equiprob.cli.files import read_data

mpl.use("Agg")

VECTORS = 'rotations2d(max_angle=30deg, acts_on="vectors", output_action="vectors")'


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


# ---- expressions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("rotations2d(max_angle=30deg)", "rotations2d(up to 30 degrees)"),
        ("rotations2d(30 deg)", "rotations2d(up to 30 degrees)"),
        ("rotations2d(pi/6)", "rotations2d(up to 30 degrees)"),
        ("rotations2d(5.235987755982988e-1rad)", "rotations2d(up to 30 degrees)"),
    ],
)
def test_angles_have_units(text, same):
    assert str(parse_transform(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "cyclic(4)",
        "dihedral(order=4, acts_on='points')",
        "euclidean3d(1.5, 90deg, acts_on={'positions': 'points', 'charges': 'invariant'})",
        "finite([[[1, 0], [0, 1]], [[-1, 0], [0, -1]]])",
        "finite([(0, 1, 2), (2, 1, 0)], weights=[.5, .5], acts_on='permuted')",
        "lattice_shifts(4, max_cells=2)",
        "lorentz(max_rapidity=.5)",
        "mirror('y')",
        "permutations(5)",
        "product(rotations3d(), permutations(4, acts_on='permuted'), commute=True)",
        "mixture([rotations2d(10deg), translations(2, acts_on='image')], weights=(1, 3))",
        "conjugated(rotations2d(acts_on='vectors'), seed=-1 + 2)",
        "cyclic(2, output_action=by_element([[0, 1], [1, 0]]))",
        "dihedral(4, output_action=(reflected([0, 2, 1], signs=[1, 1, 1]), pixels(480, 640)))",
        "rotations3d(acts_on=irreps('2x0e + 1x1o'), parity='both')",
        "rotations2d(law=Normal(0, 10deg))",
        "scalings(max_factor=1.5)",
        "sign_flips(3)",
        "supercells([[1, 1, 1], [2, 1, 1]], output_action='invariant')",
        "translations(max_shift=3, whole=True, acts_on='image', wrap=True)",
    ],
)
def test_every_factory_can_be_written(text):
    assert isinstance(parse_transform(text), ep.transforms.Transform)


def test_no_factory_is_left_out():
    from equiprob.cli.expressions import _FACTORIES

    no_factories = {
        "AbstractLaw",
        "AbstractTransform",
        "Transform",
        "Action",
        "ActionCheck",
        "check_action",
    } | {
        "from_augmentation",
        "from_functions",
    }
    assert set(_FACTORIES) == set(ep.transforms.__all__) - no_factories


def test_units_in_strings_stay_words():
    assert parse_transform("rotations2d(acts_on={'30deg': 'image'})") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["cannot be read"]),
        ("rotations2d(", ["cannot be read", "something like"]),
        ("(" * 3000, ["cannot be read"]),
        ("__import__('os').system('true')", ["not part of a transform"]),
        ("eval('1')", ["unknown transform 'eval'"]),
        ("rotations2d.__class__", ["not part of a transform"]),
        ("rotations2d(max_angle=10**9)", ["not part of a transform"]),
        ("rotations2d(lambda: 0)", ["not part of a transform"]),
        ("rotations2d(*[1])", ["starred"]),
        ("rotations2d(**{'max_angle': 1})", ["starred"]),
        ("rotations2d(max_angle=1/0)", ["not finite"]),
        ("rotations2d(max_angle='a' * 3)", ["must be a number"]),
        ("rotations2d(angle=1)", ["rotations2d", "angle"]),
        ("rotations2d", ["is not called", "rotations2d()"]),
        ("rotation2d(30deg)", ["did you mean rotations2d?"]),
        ("rotations2d(30)", [r"for degrees .* write 30deg"]),
        ("rotations2d(max_angle=-1)", ["max_angle"]),
        ("30deg", ["is no transform"]),
        ("from_functions(1, 2)", ["use ep.audit in Python"]),
        ("cyclic(100000000)", ["at most 360"]),
        ("rotations2d(" + "[" * 40 + "]" * 40 + ")", ["nested"]),
        ("1+" * 12_500 + "1", ["at most 20000"]),
    ],
)
def test_what_is_no_transform_is_refused(text, words):
    with refuses(*words):
        parse_transform(text)


# ---- audits ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, y=x @ np.eye(2) + 0.1 * rng.normal(size=(40, 2)))
    np.savez(folder / "objects.npz", x=np.array([{}], dtype=object))
    (folder / "text.npz").write_text("no archive")
    linear_file(folder / "straight.onnx", np.eye(2))
    linear_file(folder / "bent.onnx", np.array([[1.0, 0.3], [0.1, 0.7]]))
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def audit(folder, *more, models=("straight.onnx",), data="d.npz", transform=VECTORS):
    chosen = [part for m in models for part in ("--model", m.replace("@", str(folder) + "/"))]
    if "@" not in "".join(models):
        chosen = [part for m in models for part in ("--model", folder / m)]
    base = ("--data", folder / data, "--transform", transform, "--draws", 100)
    return run("audit", *chosen, *base, "--n-transforms", 2, *more)


def test_an_audit_of_two_models_writes_its_report_and_its_results(folder, tmp_path):
    page, saved = tmp_path / "out.html", tmp_path / "out.nc"
    models = ("a=@straight.onnx", "b=@bent.onnx")
    done = audit(folder, "--target", "y", "--report", page, "--save", saved, models=models)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Ship 'a'")
    assert "a: how equivariant is it?" in page.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.html", "out.nc"]
    again = run("report", saved, "--output", tmp_path / "again.html")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.html").read_text() == page.read_text()


def test_json_is_one_object_with_numbers_and_reasons(folder):
    done = audit(folder, "--json", models=("bent.onnx",))
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    errors = {r["quantity"]: r["estimate"] for r in found["summary"]}
    assert errors["error"] > 0
    assert {m["status"] for m in found["missing"]} == {"withheld"}
    assert found["gate"] is None


def test_a_limit_that_is_not_met_exits_with_3_and_says_why(folder):
    done = audit(folder, "--max-error", 0.02, models=("bent.onnx",))
    assert done.exit_code == 3
    assert "P(equivariance error <= 0.02) is 0.000" in done.stderr
    assert audit(folder, "--max-error", 0.02, "--credibility", 0.95).exit_code == 0


def test_logits_of_a_file_become_probabilities(folder, tmp_path):
    """A network that was exported for its loss returns logits, and labels need probabilities."""
    stored = np.load(folder / "d.npz")
    labels = (stored["y"][:, 0] > 0).astype(int)
    np.savez(tmp_path / "labels.npz", x=stored["x"], y=labels)
    turns = 'rotations2d(max_angle=30deg, acts_on="vectors")'
    asked = {"models": ("bent.onnx",), "data": tmp_path / "labels.npz", "transform": turns}
    refused = audit(folder, "--target", "y", **asked)
    assert refused.exit_code == 2
    assert "--softmax" in refused.stderr
    done = audit(folder, "--target", "y", "--softmax", "--json", **asked)
    assert done.exit_code == 0, done.output
    errors = {r["quantity"]: r["estimate"] for r in json.loads(done.stdout)["summary"]}
    assert 0 < errors["error"] < np.sqrt(2)  # probabilities differ by no more


@pytest.mark.parametrize("command", sorted(main.commands))
def test_the_help_of_every_command_shows_an_example_and_describes_every_option(command):
    shown = run(command, "--help").output
    assert "Example" in shown
    assert f"equiprob {command} " in shown.split("Example")[1]
    assert "\\b" not in shown  # click's mark for a paragraph, if it is not taken for one
    options = [p for p in main.commands[command].params if isinstance(p, click.Option)]
    assert all(option.help for option in options)


def test_the_help_of_the_program_names_every_command_in_a_whole_sentence():
    lines = run("--help").output.splitlines()
    for command in main.commands:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert line.endswith(".")
        assert not line.endswith("...")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": ("nothing.onnx",)}, "there is no ONNX file"),
        ({"models": ("broken.onnx",)}, "cannot be read as an ONNX model"),
        ({"models": ("d.npz",)}, "no .onnx, .pt or .pt2 file"),
        ({"models": ("straight.onnx", "straight.onnx")}, "two models are called 'straight'"),
        ({"data": "nothing.npz"}, "there is no file"),
        ({"data": "text.npz"}, "cannot be read"),
        ({"data": "objects.npz"}, "Python objects, which are not loaded"),
        ({"transform": "rotations2d("}, "cannot be read"),
        ({"transform": "rotations3d(acts_on='vectors')"}, "axis of length 3"),
        ({"more": ("--target", "z")}, "'z' is not in"),
        ({"more": ("--input", "z")}, "'z' is not in"),
        ({"more": ("--report", "/no/such/folder/out.html")}, "does not exist"),
        ({"more": ("--max-error", "-1")}, "max_error must be a positive number"),
        ({"more": ("--train", "x.npz")}, "--train needs --target"),
    ],
)
def test_bad_input_exits_with_2_and_one_clear_message(folder, arguments, words):
    done = audit(folder, *arguments.pop("more", ()), **arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_check_speaks_of_actions_and_of_the_law(folder):
    done = run("check", "--data", folder / "d.npz", "--input", "x", "--target", "y", "--transform",
               VECTORS, "--draws", 100)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "x (vectors, float32)" in done.stdout
    assert "A classifier tells inputs from inputs moved" in done.stdout


def test_learning_curves_from_a_csv_file(tmp_path, monkeypatch):
    from equiprob.curves import learning_curve
    from equiprob.testing import ridge_task

    ridge_task(2).runs([100, 1000]).to_csv(tmp_path / "runs.csv", index=False)
    done = run("curve", tmp_path / "nothing.csv")
    assert done.exit_code == 2
    assert "there is no file" in done.stderr
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert "runs need the columns" in run("curve", tmp_path / "other.csv").stderr

    class Result(str):
        def p_best(self, n):
            return learning_curve_series

        def summary(self):
            return learning_curve_series.rename("p").to_frame()

    import pandas as pd

    learning_curve_series = pd.Series({"a": 0.25, "b": 0.75})
    fit = lambda self, runs: Result(f"{len(runs)} runs")  # noqa: E731 - fits have their own tests
    monkeypatch.setattr(learning_curve.LearningCurve, "fit", fit)
    done = run("curve", tmp_path / "runs.csv", "--at", 5000)
    assert done.exit_code == 0, done.output
    assert "P(best) 0.75 'b', 0.25 'a'" in done.stdout


def test_saved_results_that_are_none_are_refused(tmp_path):
    (tmp_path / "x.nc").write_text("no netCDF")
    done = run("report", tmp_path / "x.nc")
    assert done.exit_code == 2
    assert "cannot be read as netCDF" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["x.nc"]


# ---- numbers, files and faults -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"rotations2d({'9' * 4000})",
        f"rotations2d({'9' * 4000}deg)",
        "rotations2d(" + "1 " * 9000 + ")",
        "rotations2d(" + "1." * 9000 + ")",
        "rotations2d(" + "1e1" * 6000 + ")",
        "rotations2d(1e300*1e300)",
        "rotations2d(1e400)",
        "rotations2d(x" + ".y" * 9000 + ")",
        "-" * 15000 + "1",
        "(" * 5000,
        "'" * 9001,
    ],
    ids=lambda text: f"{text[12:16]}-{len(text)}",
)
def test_long_numbers_and_deep_nests_are_refused_at_once(text):
    """It had taken minutes: every part of a long number was tried as one with a unit."""
    began = time.process_time()
    with pytest.raises(ValueError, match=r"transform|number") as refused:
        parse_transform(text)
    assert time.process_time() - began < 2
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lorentz(800)", "max_rapidity"),
        ("euclidean3d(1e208)", "max_shift"),
        ("translations(1e208)", "max_shift"),
        ("scalings(1e250)", "max_factor"),
        ("scalings(1)", "max_factor"),
    ],
)
def test_sizes_beyond_numbers_name_their_argument(text, word):
    with pytest.raises(ValueError, match=f"{word} must be .* at most"):
        parse_transform(text)


def table_files(folder):
    x = np.random.default_rng(1).normal(size=(60, 2))
    frame = pd.DataFrame(x, columns=["a", "b"])
    frame["y"], frame["who"] = x[:, 0], [f"g{i // 2}" for i in range(len(x))]
    frame.to_csv(folder / "t.csv", index=False)
    np.save(folder / "t.npy", x)


def test_check_takes_arrays_and_tables(tmp_path):
    table_files(tmp_path)
    few = ("--transform", 'rotations2d(acts_on="vectors")', "--draws", 50, "--json")
    one = run("check", "--data", tmp_path / "t.npy", *few)
    assert one.exit_code == 0, one.output
    columns = ("--target", "y", "--groups", "who")
    csv = run("check", "--data", tmp_path / "t.csv", *columns, *few)
    assert csv.exit_code == 0, csv.output
    # The same rows: what is said of their action is the same, up to rounding.
    leaves = [json.loads(done.stdout)["action"]["leaves"][0] for done in (one, csv)]
    errors = [
        [leaf.pop(f"{name}_error") for name in ("composition", "round_trip")] for leaf in leaves
    ]
    np.testing.assert_allclose(*errors, atol=1e-14)
    assert leaves[0] == leaves[1]


def test_parquet_files_hold_what_csv_files_do(tmp_path):
    pytest.importorskip("pyarrow")
    table_files(tmp_path)
    frame = pd.read_csv(tmp_path / "t.csv")
    # Types that CSV files do not have: numbers that may be missing, and categories.
    frame.astype({"a": "Float64", "who": "category"}).to_parquet(tmp_path / "t.parquet")
    names = (["a", "b"], "y", "who")
    csv, parquet = (read_data(tmp_path / f"t.{kind}", *names) for kind in ("csv", "parquet"))
    for one, other in zip(csv, parquet, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    frame.loc[3, "a"] = np.nan
    frame.astype({"a": "Float64"}).to_parquet(tmp_path / "t.parquet")
    assert np.isnan(read_data(tmp_path / "t.parquet", *names).x[3, 0])


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ("t.csv", (), "columns ['who']"),
        ("t.csv", ("--target", "z"), "'z' is not in"),
        ("t.npy", ("--target", "y"), "'y' is not in"),
        ("t.txt", (), "takes .npz (numpy.savez), .npy"),
        ("t.parquet", (), "t.parquet"),
    ],
)
def test_what_data_are_taken_is_said(tmp_path, data, more, words):
    table_files(tmp_path)
    for name in ("t.txt", "t.parquet"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    done = run("check", "--data", tmp_path / data, "--transform", "rotations2d()", *more)
    assert done.exit_code == 2, done.output
    assert words in done.stderr


def test_numbers_that_jax_does_not_have_are_refused(tmp_path):
    wide = np.random.default_rng(0).normal(size=(24, 2)).astype(np.longdouble)
    if wide.dtype.itemsize <= 8:
        pytest.skip("long doubles are doubles here")
    np.savez(tmp_path / "d.npz", x=wide)
    done = run("check", "--data", tmp_path / "d.npz", "--transform", VECTORS)
    assert done.exit_code == 2
    assert "JAX does not have it; pass it as float64" in done.stderr


def test_a_fault_of_ours_writes_what_to_send(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(expressions, "parse_transform", lambda *_: [][0])
    np.savez(tmp_path / "d.npz", x=np.zeros((24, 2)))
    done = run("check", "--data", tmp_path / "d.npz", "--transform", "rotations2d()")
    assert done.exit_code == 70
    (written,) = tmp_path.glob("equiprob-error-*.txt")
    assert str(written) in done.stderr
    text = written.read_text()
    assert "IndexError" in text
    assert "jax " in text
    assert "command:" in text
