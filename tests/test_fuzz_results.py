"""A result that was read is refused at once, or all that it offers is an answer or a message."""

import functools
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from every_estimator import EVERY, Data
from fuzzing import SOON, answered, changed, examples
from hypothesis import given
from hypothesis import strategies as st

import equiprob as ep
from equiprob.arguments.plain_hdf5 import opened
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.files import _checked_result
from equiprob.posterior.stored import Stored

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore")

W = np.array([[1.0, 0.4], [-0.7, 0.5]])
X = np.random.default_rng(0).normal(size=(60, 2))
DATA = Data(predict=lambda batch: np.tanh(batch @ W), x=X, y=np.tanh(X), n_draws=50)
KINDS = (
    *("model error", "task's error", "mismatch", "changed decisions", "where it holds"),
    *("stabilizer", "gap, held out", "level, share", "comparison", "decision"),
)
QUICK = {name: functools.partial(EVERY[name], DATA) for name in KINDS}
QUICK["alignment"] = lambda: ep.align(made("model error"), made("task's error"))


@functools.cache
def made(name):
    return QUICK[name]()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a function that gives what is in the file of a result."""

    @functools.cache
    def of(name):
        path = tmp_path_factory.mktemp("results") / "whole.nc"
        made(name).save(path)
        with opened(path, path.stat().st_size) as plain:
            return path, Stored.of(plain, plain.file)

    return of


def drawn(result):
    """Return all that a figure shows."""
    figure = result.plot()
    lines = [line.get_xydata().tolist() for ax in figure.axes for line in ax.lines]
    words = [text.get_text() for ax in figure.axes for text in ax.findobj(mpl.text.Text)]
    plt.close("all")
    return repr((lines, words))


def test_what_is_read_says_and_shows_the_same(stored):
    for name in KINDS[::2]:
        there, again = made(name), ep.load(stored(name)[0])
        assert str(again) == str(there)
        assert again.status == there.status
        assert again.facts == there.facts
        assert again.summary().equals(there.summary())
        assert again._repr_html_() == there._repr_html_()
        assert drawn(again) == drawn(there)


def without(table, name):
    return {k: v for k, v in table.items() if k != name}


@st.composite
def mutated(draw, stored):
    """Return a kind of results and what is in its file, of which one part is another."""
    name = draw(st.sampled_from(sorted(QUICK)))
    whole = stored(name)[1]
    header = whole.header
    how = draw(
        st.sampled_from(["drop", "drop", "fact", "fact", "array", "row", "axis", "unit", "said"])
    )
    if how == "drop":
        part = draw(st.sampled_from(["facts", "units", "dims", "posterior", "rows"]))
        table = header[part] if part in header else getattr(whole, part)
        gone = draw(st.sampled_from(sorted(table) or [""]))
        if part in header:
            return (
                name,
                (how, part, gone),
                replace(whole, header=header | {part: without(table, gone)}),
            )
        return name, (how, part, gone), replace(whole, **{part: without(table, gone)})
    if how == "fact":
        facts = draw(changed(header["facts"]))
        return name, (how, facts), replace(whole, header=header | {"facts": facts})
    if how in ("array", "row"):
        part = "posterior" if how == "array" else "rows"
        table = getattr(whole, part)
        key = draw(st.sampled_from(sorted(table) or [""]))
        shape = np.shape(table.get(key, ()))
        other = draw(
            st.sampled_from(
                [
                    *(np.full(shape, value) for value in (np.nan, np.inf, 0.0, -1.0, "word", 7)),
                    np.zeros((2, 3)),
                ]
            )
        )
        return name, (how, key, other.flat[:1]), replace(whole, **{part: table | {key: other}})
    if how == "axis":
        axis = draw(st.sampled_from(sorted(header["dims"]) or [""]))
        names = draw(st.lists(st.sampled_from(["zz", "n", "candidate", "draw"]), max_size=2))
        return (
            name,
            (how, axis),
            replace(whole, header=header | {"dims": header["dims"] | {axis: names}}),
        )
    if how == "unit":
        unit = draw(st.sampled_from(["", "$\\frac{", "risk", "\x00", "a" * 3000]))
        units = dict.fromkeys(header["units"], unit)
        return name, (how, unit), replace(whole, header=header | {"units": units})
    said = draw(st.lists(st.sampled_from(sorted(Diagnostic.__members__)), max_size=2))
    return name, (how, said), replace(whole, header=header | {"diagnostics": said})


def test_one_other_part_is_refused_or_harmless(stored):
    loaded = 0

    @examples("results")
    @given(mutated(stored))
    def use(case):
        nonlocal loaded
        _, _, content = case
        try:
            result = _checked_result(content)
        except Exception:
            return  # load says that the file is not as .save wrote it
        loaded += 1
        for offered in ("summary", "scalars", "_repr_html_", "plot"):
            answered(getattr(result, offered), seconds=SOON)
        plt.close("all")

    use()
    assert loaded, "some changes do no harm"
