"""Figures, the page and the command line: units, labels, and nothing fetched from elsewhere."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import equiprob as ep
from equiprob.cli import main
from equiprob.report.audit_page import result_page
from equiprob.report.page import FigureBlock, Page, Section
from equiprob.testing import linear_task

mpl.use("Agg")


@pytest.fixture(scope="module")
def orbits():
    task = linear_task(60, optimum=0.4, seed=0)
    return ep.evaluate_orbits(task.predict, task.x, task.transform, y=task.y, backend="python")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def labels(figure):
    return [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes]


def test_profile_is_drawn_against_degrees_with_units(orbits):
    figure = ep.ModelEquivarianceError(n_draws=200).fit(orbits).plot()
    assert labels(figure) == [("angle (deg)", "equivariance error (output units, rms)")]
    ticks = figure.axes[0].get_xticks()
    assert set(np.diff(ticks)) == {30}


def test_profile_over_few_sizes_is_drawn_as_bars(orbits):
    c4 = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
    task = linear_task(40)
    table = ep.evaluate_orbits(task.predict, task.x, c4, backend="python")
    figure = ep.ModelEquivarianceError(n_draws=200).fit(table).plot()
    assert labels(figure)[0][0] == "largest turn of a vector (deg)"


def test_posterior_is_drawn_by_arviz_with_units(orbits):
    figure = ep.ModelEquivarianceError(n_draws=200).fit(orbits).plot(kind="posterior")
    assert {x for x, _ in labels(figure)} >= {"error (output units)", "relative error (share)"}


def test_plots_refuse_unknown_kinds(orbits):
    result = ep.ModelEquivarianceError(n_draws=200).fit(orbits)
    with pytest.raises(ValueError, match="'profile' or 'posterior'"):
        result.plot(kind="violin")


@pytest.mark.parametrize("path", [ep.paths.Blend(), ep.paths.Range()])
def test_risk_along_a_path_has_its_unit(orbits, path):
    figure = ep.SymmetryLevel(n_draws=200, path=path).fit(orbits).plot()
    x, y = labels(figure)[0]
    assert x == ("averaged up to (deg)" if isinstance(path, ep.paths.Range) else path.label)
    assert y == "change of the risk (expected squared error)"


def test_figures_can_be_drawn_on_given_axes(orbits):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    assert ep.ModelEquivarianceError(n_draws=200).fit(orbits).plot(ax=axes[0]) is figure
    assert ep.SymmetryLevel(n_draws=200).fit(orbits).plot(ax=axes[1]) is figure
    assert all(ax.get_xlabel() for ax in axes)


def test_comparison_names_every_candidate(orbits):
    other = ep.evaluate_orbits(
        lambda b: 0.5 * b, orbits.x, orbits.transform, y=orbits.only.y, backend="python"
    )
    comparison = ep.compare({"first": orbits, "second": other}, n_draws=200)
    figure = comparison.plot()
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "first" in words
    assert "second" in words
    with pytest.raises(ValueError, match="one of"):
        comparison.plot(quantity="accuracy")


@pytest.fixture(scope="module")
def page(orbits):
    figure = ep.ModelEquivarianceError(n_draws=200).fit(orbits).plot()
    return Page(
        title="How <equivariant>?",
        verdict=["Ship it."],
        sections=[
            Section(
                "Part",
                ["Words & words."],
                [FigureBlock(figure, "Caption.", "Description.")],
                pd.DataFrame({"risk": [0.12345]}, index=pd.Index(["<b>"], name="candidate")),
                cautions=["Few rows."],
            ),
            Section("Other part"),
        ],
        reproduction=[("seed", "0")],
    )


def test_page_is_self_contained_escaped_and_described(page, tmp_path):
    html = page.write(tmp_path / "page.html").read_text()
    assert "How &lt;equivariant&gt;?" in html
    assert "<b>" not in html
    assert "0.123" in html
    assert 'alt="Description."' in html
    assert 'src="data:image/svg+xml;base64,' in html
    assert not re.search(r'(src|href|srcset)="(?!data:|#)', html)
    assert html == page.html()  # the same figure gives the same page


class Elements(HTMLParser):
    """The elements of a page in order, with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def faults_for_readers(html):
    """Return what a keyboard or a screen reader would stumble over."""
    elements = Elements(html).found
    ids = [a["id"] for _, a in elements if "id" in a]
    levels = [int(tag[1]) for tag, _ in elements if tag in ("h1", "h2", "h3", "h4")]
    reached = [(t, a) for t, a in elements if t == "a" or a.get("tabindex") == "0"]
    named = {value for _, a in elements for k, value in a.items() if k == "aria-labelledby"}
    named |= {a["href"][1:] for t, a in elements if t == "a" and a["href"].startswith("#")}
    return {
        "language": [t for t, a in elements if t == "html" and not a.get("lang")],
        "ids": [i for i in ids if ids.count(i) > 1],
        "links": sorted(named - set(ids)),
        "headings": [b for a, b in pairwise([0, *levels]) if b > a + 1] + levels[1:].count(1) * [1],
        "pictures": [a for t, a in elements if t == "img" and not a.get("alt")],
        "tables": [a for t, a in elements if t == "th" and a.get("scope") not in ("col", "row")],
        "skip": [] if "skip" in reached[0][1].get("class", "") else [reached[0]],
        "regions": [t for t, a in reached if t == "div" and not a.get("aria-label")],
    }


def test_a_keyboard_and_a_screen_reader_find_their_way(page):
    assert {kind for kind, faults in faults_for_readers(page.html()).items() if faults} == set()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ((' lang="en"', ""), "language"),
        (('id="heading-2"', 'id="heading-1"'), "ids"),
        (('href="#part-2"', 'href="#part-3"'), "links"),
        (("<h2", "<h3"), "headings"),
        (('alt="Description."', 'alt=""'), "pictures"),
        (('scope="row"', ""), "tables"),
        (('class="skip"', ""), "skip"),
        (('aria-label="Table: Part"', ""), "regions"),
    ],
)
def test_the_look_for_readers_has_power(page, change, kind):
    assert faults_for_readers(page.html().replace(*change))[kind]


def test_figures_keep_the_size_of_their_words(page):
    """A figure of 7 inches is as wide as the text; a smaller one is not blown up."""
    (figure,) = page.sections[0].figures
    assert figure.width_rem == 46
    small = FigureBlock(plt.figure(figsize=(3.5, 2)), "", "")
    assert small.narrow_data_uri  # no wider than a phone already
    assert small.width_rem == 23


def test_command_line_helps_and_refuses():
    runner = CliRunner()
    assert "demo" in runner.invoke(main, ["--help"]).output
    assert runner.invoke(main, ["--version"]).output.strip().endswith(ep.__version__)
    assert runner.invoke(main, ["demo", "--seed", "-1"]).exit_code == 2


def test_the_page_of_a_result_asks_its_question_and_no_other(orbits, monkeypatch):
    error = ep.ModelEquivarianceError(n_draws=50).fit(orbits)
    assert result_page(error).title == "How equivariant is it?"
    units = ep.UnitErrors(n_draws=50).fit(
        ep.evaluate_orbits(lambda x: x, orbits.x, orbits.transform, keep="all", backend="python")
    )
    assert result_page(units).title == "UnitErrors"
    monkeypatch.setattr("equiprob.report.audit_page.name_of", lambda result: None)  # a user's class
    assert result_page(error).title == "ModelEquivarianceError"
