"""Figures, the page and the command line: units, labels, and nothing fetched from elsewhere."""

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import equiprob as ep
from equiprob.cli import main
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
    import matplotlib.pyplot as plt

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


def test_page_is_self_contained_escaped_and_described(orbits, tmp_path):
    figure = ep.ModelEquivarianceError(n_draws=200).fit(orbits).plot()
    page = Page(
        title="How <equivariant>?",
        verdict=["Ship it."],
        sections=[
            Section(
                "Part",
                ["Words & words."],
                [FigureBlock(figure, "Caption.", "Description.")],
                pd.DataFrame({"risk": [0.12345]}, index=pd.Index(["<b>"], name="candidate")),
            )
        ],
        reproduction=[("seed", "0")],
    )
    html = page.write(tmp_path / "page.html").read_text()
    assert "How &lt;equivariant&gt;?" in html
    assert "<b>" not in html
    assert "0.123" in html
    assert 'alt="Description."' in html
    assert 'src="data:image/svg+xml;base64,' in html
    assert not re.search(r'(src|href|srcset)="(?!data:|#)', html)
    assert html == page.html()  # the same figure gives the same page


def test_command_line_helps_and_refuses():
    runner = CliRunner()
    assert "demo" in runner.invoke(main, ["--help"]).output
    assert runner.invoke(main, ["--version"]).output.strip().endswith(ep.__version__)
    assert runner.invoke(main, ["demo", "--seed", "-1"]).exit_code == 2
