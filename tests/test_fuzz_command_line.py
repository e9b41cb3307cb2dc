"""Whatever is written on the command line, it is done or refused, cleanly."""

import matplotlib as mpl
import numpy as np
import pytest
from fuzz_calls import ERROR
from fuzzing import examples, ran
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import linear_file

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore")

DATA = ("--data", "data.npz", "--transform", 'rotations2d(acts_on="vectors")', "--draws", "50")
COMMANDS = {
    "audit": ("audit", "--model", "m.onnx", *DATA, "--n-transforms", "2", "--target", "y"),
    "gate": ("audit", "--model", "a=m.onnx", *DATA, "--max-error", "9", "--credibility", ".9"),
    "check": ("check", *DATA, "--groups", "g", "--seed", "3", "--json"),
    "curve": ("curve", "few.csv", "--at", "100", "--samples", "50", "--save", "out.nc"),
    "report": ("report", "saved.nc", "--output", "out.html"),
    "demo": ("demo", "--seed", "-1"),
}
VALUES = (
    *("", "-", "-1", "0", "2", "nan", "inf", "1e999", "99999999999999999999", "x", "y", "z", "é"),
    *("m.onnx", "data.npz", "few.csv", "saved.nc", "nothing.npz", ".", "/", "no/such/out.html"),
    *("=m.onnx", "a=", "a=b=c", "eval('1')", "cyclic(4)", "rotations2d()", "permutations(2)"),
    *("scalings(2, acts_on='vectors')", "rotations2d(0, acts_on='vectors')", "(" * 500),
)
OPTIONS = (
    *("--target", "--train", "--input", "--report", "--save", "--rope", "--output", "--groups"),
    *("--relative", "--json", "--help", "--version", "--no-such", "--", "audit"),
)
words = st.one_of(*[st.sampled_from(VALUES)] * 4, st.text(st.characters(codec="utf-8")))


@st.composite
def lines(draw):
    """Return a command line with some words left out, repeated or replaced."""
    line = list(COMMANDS[draw(st.sampled_from(sorted(COMMANDS)))])
    values = [i for i, word in enumerate(line) if i and not word.startswith("--")]
    for _ in range(draw(st.integers(1, 2))):
        change = draw(st.sampled_from(["replace", "replace", "insert", "remove", "repeat"]))
        place = draw(st.sampled_from(values) if change == "replace" else st.integers(1, len(line)))
        new_word = draw(words if change == "replace" else st.sampled_from(OPTIONS))
        there = line[place : place + 1]
        new = {
            "replace": [new_word],
            "insert": [new_word, draw(words), *there],
            "remove": [],
            "repeat": 2 * there,
        }
        line[place : place + 1] = new[change]
    return [word.replace("\0", "") for word in line]


def trains(words):
    """Whether the demo would train its networks, which takes half a minute."""
    return words[0] == "demo" and not {"-1", "--help"} & set(words)


def test_command_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(24, 2))
    np.savez("data.npz", x=x, y=x, g=np.arange(24), z=x[:3])
    linear_file(tmp_path / "m.onnx", np.eye(2))
    ERROR.save("saved.nc")
    (tmp_path / "few.csv").write_text("candidate,n,seed,risk\na,10,0,1\na,10,1,2\n")

    @examples("command line")
    @given(lines().filter(lambda words: not trains(words)))
    def run(words):
        kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
        ran(tmp_path, *words, may_write=True)
        for path in set(tmp_path.iterdir()) - set(kept):
            assert "partial" not in path.name
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)  # the command line may have named one as its output

    run()
