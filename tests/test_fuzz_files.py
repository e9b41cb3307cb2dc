"""Whatever a file holds, a command answers or refuses it, and leaves no part of a file behind."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from fuzz_calls import ERROR
from fuzzing import examples, ran
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx_files import linear_file

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore")

VECTORS = 'rotations2d(acts_on="vectors", output_action="vectors")'
FEW = ("--draws", 50)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the bytes of a valid file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    ERROR.save(folder / "saved.nc")
    linear_file(folder / "model.onnx", np.eye(2))
    return {p.suffix: p.read_bytes() for p in folder.iterdir()}


@st.composite
def damaged(draw, whole):
    """Return bytes that were cut short, overwritten or added to."""
    place = draw(st.integers(0, len(whole) - 1))
    junk = draw(st.binary(min_size=1, max_size=40))
    return draw(
        st.sampled_from(
            [
                whole[:place],
                whole[:place] + junk + whole[place + len(junk) :],
                whole[:place] + junk + whole[place:],
                junk,
                b"",
            ]
        )
    )


KINDS = ("f4", "f8", "f2", "i8", "u1", "?", "c8", "U3", "S2", "M8[s]", "O")
kinds = st.sampled_from(KINDS).map(np.dtype)
shapes = st.sampled_from([(24, 2), (24,), (7, 2), (1, 2), (0, 2), (24, 2, 2), (24, 4, 4), ()])


@st.composite
def tables(draw):
    """Return the bytes of an archive of arrays of any kind, some of them damaged."""
    names = draw(st.lists(st.sampled_from(["x", "y", "g", "", "a/b", "é"]), max_size=3))
    arrays = {}
    for name in names:
        kind = draw(kinds)
        if kind.kind == "O":
            arrays[name] = np.array([None, {}], dtype=object)
        else:
            arrays[name] = draw(hnp.arrays(kind, draw(shapes), fill=st.nothing()))
    file = io.BytesIO()
    np.savez(file, **arrays)
    return draw(st.one_of(st.just(file.getvalue()), damaged(file.getvalue())))


def test_arrays(tmp_path, whole):
    (tmp_path / "model.onnx").write_bytes(whole[".onnx"])
    data, page = tmp_path / "data.npz", tmp_path / "page.html"

    @examples("files", 0.4)
    @given(tables(), st.sampled_from(["check", "audit"]))
    def read(content, command):
        data.write_bytes(content)
        more = ("--model", tmp_path / "model.onnx", "--report", page, "--n-transforms", 2)
        ran(
            tmp_path,
            *(command, "--data", data, "--target", "y", "--transform", VECTORS, *FEW),
            *(more if command == "audit" else ()),
            written=page,
        )

    read()


def test_models(tmp_path, whole):
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(24, 2)))
    model = tmp_path / "model.onnx"

    @examples("files", 0.2)
    @given(damaged(whole[".onnx"]))
    def read(content):
        model.write_bytes(content)
        ran(
            tmp_path,
            *("audit", "--model", model, "--data", tmp_path / "data.npz", "--transform", VECTORS),
            *(*FEW, "--n-transforms", 2),
        )

    read()


cells = st.sampled_from(
    ["a", "b", "", "0", "1", "100", "1e3", "nan", "inf", "-1", "1e400", "0.5", '"', "é", "1,2", "x"]
)


def test_tables_of_runs(tmp_path):
    names = ["candidate", "n", "seed", "risk", "risk_se", "error"]
    runs, page = tmp_path / "runs.csv", tmp_path / "page.html"

    @examples("files", 0.2)
    @given(st.lists(st.sampled_from([*names, "other"]), max_size=7), st.lists(st.lists(cells)))
    def read(columns, rows):
        lines = [",".join(row) for row in [columns or names, *rows]]
        runs.write_text("\n".join(lines))
        ran(tmp_path, "curve", runs, "--samples", 50, "--report", page, written=page)

    read()


def test_saved_results(tmp_path, whole):
    saved, page = tmp_path / "saved.nc", tmp_path / "page.html"

    @examples("files", 0.2)
    @given(damaged(whole[".nc"]))
    def read(content):
        saved.write_bytes(content)
        ran(tmp_path, "report", saved, "--output", page, written=page)

    read()
