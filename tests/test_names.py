"""Names that no file, figure or terminal shows are refused where they come in."""

import io
from xml.dom import minidom

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.arguments.names import check_names
from equiprob.curves.runs import read_runs
from equiprob.report.audit_page import result_page

mpl.use("Agg")

X = np.random.default_rng(0).normal(size=(24, 2))
TURN = ep.transforms.rotations2d(acts_on="vectors")
NAMES = [
    "a\0b",
    "\ud800",
    "abc\u202egpj.exe",
    "x" * 10_000,
    "",
    "  ",
    "a\nb",
    "\x1b[31mred",
    "\uffff",
    "$\\frac$",
]


def evaluate(predict=lambda x: x[:, 0], **options):
    return ep.evaluate_orbits(
        predict, X, TURN, y=X[:, 0], n_transforms=2, backend="python", **options
    )


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_of_models_outputs_units_and_candidates(name):
    words = "name|unit", "(?:character|mathematics)"
    with refuses(*words):
        check_names("a model's name", [name])
    with refuses(*words):
        ep.Output(unit=name)
    with refuses(*words):
        read_runs(pd.DataFrame({"candidate": name, "n": [1, 2], "seed": 0, "risk": 1.0}))


@pytest.mark.parametrize("name", NAMES[:3], ids=ascii)
def test_they_are_refused_wherever_they_come_in(name):
    with refuses("a model's name", "another name"):
        ep.audit({name: lambda x: x[:, 0]}, X, X[:, 0], TURN, n_draws=50)
    with refuses("an output's name", "another name"):
        evaluate(lambda x: {name: x[:, 0], "b": x[:, 0]})
    table = evaluate()
    with refuses("a candidate's name", "another name"):
        ep.compare({name: table, "b": table}, n_draws=50)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_that_people_have_are_taken():
    """The twin: letters of any language, signs, and what XML would take for tags."""
    good = ["Größe", "模型", "نموذج", "<b>&\"'", "a/b", "US$", "C₄ × T²", "x" * 60, "a b"]
    check_names("a model's name", good)
    table = evaluate(lambda x: 0.5 * x[:, 0] + x[:, 1])
    found = ep.compare(dict.fromkeys(good, table), n_draws=50)
    assert list(found.table.index) == good
    found = ep.compare({"<b>&\"'": table, "US$": table}, n_draws=50)
    figure, drawn = found.plot(), io.StringIO()
    figure.savefig(drawn, format="svg")
    minidom.parseString(drawn.getvalue())
    page = result_page(found).html()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
