"""Audits: every question in a row, and what fails is a status that loses nothing."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.auditing.assertion import Gate
from equiprob.testing import disc_task

mpl.use("Agg")


@pytest.fixture(scope="module")
def task():
    return disc_task(60)


def skewed(b):
    return (b**2).sum(-1) + 0.2 * b[:, 0]


def symmetric(b):
    return (b**2).sum(-1)


@pytest.fixture(scope="module")
def found(task):
    return ep.audit(
        {"skewed": skewed, "symmetric": symmetric},
        task.x,
        task.y,
        task.transform,
        law=ep.InvariantLaw(),
        train=(task.x[:20] + 0.01, task.y[:20]),
        n_transforms=4,
        n_draws=200,
        backend="python",
    )


def test_every_question_is_answered_or_says_why_not(found):
    everything = {
        *("model_error", "data_error", "approximation_gap", "stabilizer", "level"),
        "generalization_gap",
    }
    assert set(found["skewed"]) == everything
    missing = found.missing.set_index(["model", "step"])["status"].to_dict()
    assert set(found["symmetric"]) == everything - {"stabilizer"}
    assert missing == {("symmetric", "stabilizer"): "withheld"}
    assert found.comparison is not None
    with pytest.raises(KeyError, match="no model 'nobody'; the models are"):
        found["nobody"]


def test_the_verdict_says_each_caution_once_and_of_which_models(found):
    lines = str(found).splitlines()
    cautioned: dict[str, set[str]] = {}
    for name in found.models:
        for result in (found[name]["model_error"], found[name]["level"]):
            for each in filter(lambda d: d.is_caution, result.diagnostics):
                cautioned.setdefault(result.in_words(each), set()).add(name)
    assert set(found.models) in cautioned.values(), "so few rows are cautioned in both"
    for caution, names in cautioned.items():
        (line,) = [line for line in lines if line.startswith(f"Caution: {caution}")]
        assert {name for name in found.models if repr(name) in line} == names


def test_the_verdict_comes_first_and_names_every_model(found):
    lines = str(found).splitlines()
    assert lines[0].startswith("Ship")
    assert any("'symmetric' is equivariant up to rounding" in line for line in lines)
    assert any("output of 'skewed' changes by" in line for line in lines)


def test_results_are_those_of_the_estimators(found, task):
    orbits = ep.evaluate_orbits(
        skewed, task.x, task.transform, y=task.y, n_transforms=4, backend="python"
    )
    alone = ep.ModelEquivarianceError(n_draws=200).fit(orbits)
    assert np.array_equal(found["skewed"]["model_error"].draws["error"], alone.draws["error"])


def test_summary_has_single_numbers_of_every_step(found):
    summary = found.summary(0.9)
    assert summary.index.names == ["model", "step", "quantity"]
    assert not any("profile" in label for label in summary.index.get_level_values(2))
    assert ("", "comparison", "risk[symmetric]") in summary.index


def test_audits_come_back_whole_from_a_file(found, tmp_path):
    found.save(tmp_path / "audit.nc")
    again = ep.load(tmp_path / "audit.nc")
    assert str(again) == str(found)
    assert again.summary().equals(found.summary())
    assert again.missing.equals(found.missing)
    assert [p.name for p in tmp_path.iterdir()] == ["audit.nc"]


def test_a_model_that_fails_does_not_take_the_others_along(task):
    def broken(b):
        raise RuntimeError("out of memory")

    found = ep.audit(
        {"broken": broken, "fine": skewed}, task.x, None, task.transform, n_transforms=2,
        n_draws=50, backend="python",
    )  # fmt: skip
    assert "model_error" in found["fine"]
    reasons = found.missing.set_index(["model", "step"])
    assert "out of memory" in reasons.loc[("broken", "orbits"), "reason"]
    assert reasons.loc[("fine", "level"), "status"] == "withheld"
    assert "Failed, see below: orbits of 'broken'" in str(found)
    with pytest.raises(RuntimeError, match="out of memory"):
        ep.audit(broken, task.x, None, task.transform, backend="python")


def test_audits_refuse_what_is_no_model(task):
    with refuses("models is empty", "pass a predict function"):
        ep.audit({}, task.x, task.y, task.transform)
    with refuses("models must be a function", error=TypeError):
        ep.audit({"a": 3}, task.x, task.y, task.transform)


# ---- the page -------------------------------------------------------------------------------


def test_the_report_is_one_file_with_landmarks_headings_and_descriptions(found, tmp_path):
    html = found.report(tmp_path / "audit.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["audit.html"]
    assert not re.search(r'(src|href|srcset)="(?!data:|#)', html)
    assert "<script" not in html
    assert html.count("<main>") == html.count("<h1>") == html.count("<header>") == 1
    assert html.count("<figure>") == len(re.findall(r'<img [^>]*alt="[^"]{20}', html))
    assert html.count("<th ") == html.count('scope="')
    for given in ("train=...", "law=...", "backend=&#39;python&#39;", "n_transforms=4"):
        assert given in html
    assert "path=" not in html
    for target in re.findall(r'href="#([^"]+)"', html):
        assert f'id="{target}"' in html
    assert html.index("Ship") < html.index("<figure>")
    for words in ("skewed: how equivariant is it?", "What is not here, and why", "seed=0"):
        assert words in html


def test_an_audit_of_many_models_has_a_page_of_bounded_size(task, tmp_path, monkeypatch):
    """Twelve models: the eight best have sections, the others a line, and lists of names end."""
    drawn = []
    monkeypatch.setattr("equiprob.report.audit_page._figures", lambda r, *_: drawn.append(r) or [])
    models = {f"m{k}": lambda b, a=0.05 * k: (b**2).sum(-1) + a * b[:, 0] for k in range(12)}
    found = ep.audit(
        models, task.x, task.y, task.transform, law=ep.InvariantLaw(), n_transforms=4, n_draws=50,
        backend="python",
    )  # fmt: skip
    best = set(found.comparison.candidates[:8])
    assert set(found.foremost) == best
    html = found.report(tmp_path / "audit.html").read_text()
    sections = set(re.findall("(m[0-9]+): how equivariant", html))
    assert sections == best
    assert len(drawn) < 5 * len(best) + 5, "what has no section is not drawn"
    table = html[html.index("first number of each step") :].partition("</table>")[0]
    assert all(f">{name}<" in table for name in models)
    assert len(re.findall(r"error [0-9.e-]+ \(", table)) >= 11
    assert "(4 more)" in re.findall("<h1>.*</h1>", html)[0]
    assert "The numbers of 4 more models, those of the highest expected loss" in str(found)
    assert all(line.count("'m") <= 8 for line in str(found).splitlines() if "Caution" in line)
    chosen = found.report(tmp_path / "audit.html", models=["m9"]).read_text()
    assert set(re.findall("(m[0-9]+): how equivariant", chosen)) == {"m9"}
    with pytest.raises(KeyError, match=r"no model 'm12'; the models are .*4 more"):
        found.report(tmp_path / "audit.html", models=["m12"])


JARGON = ("kappa", "rope", "Haar", "orbit", "leaf", "stabilizer", "position", "case", "level")


def unexplained(html):
    """Return names with underscores, and words of the trade, that a page does not explain."""
    page = re.sub(r"<style.*?</style>|<pre.*?</pre>|<section id=.reproduction.*?</section>", "",
                  html, flags=re.DOTALL)  # fmt: skip
    text = re.sub(r"<[^>]+>", " ", page)
    explained = ", ".join(re.findall(r"<dt>(.*?)</dt>", page))
    used = set(re.findall(r"(?<![\w.=])[a-z]+(?:_[a-z]+)+(?![\w=(])", text))
    used |= {word for word in JARGON if re.search(rf"\b{word}s?\b", text, re.IGNORECASE)}
    arguments = {"noise_variance"}  # "pass noise_variance"
    return {word for word in used - arguments if word not in explained}


def test_a_report_explains_its_words_and_says_which_pass_its_numbers_are_of(found, tmp_path):
    html = found.report(tmp_path / "audit.html").read_text()
    assert unexplained(html) == set()
    assert unexplained(re.sub(r"<dt>.*?</dt>", "", html)) > {"p_best", "risk_saved"}  # the twin
    assert "facts." not in re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)
    captions = re.findall(r"<caption>(Estimates.*?)</caption>", html)
    assert len(captions) >= 5
    of_a_pass = [each for each in captions if "From the pass" in each or "no model was" in each]
    assert of_a_pass == captions
    assert any("60 rows, each as it is and under 4 transformations" in each for each in captions)


def test_no_empty_axes_are_drawn(found):
    import matplotlib.pyplot as plt

    for step, result in found.parts.items():
        try:
            figure = result.plot()
        except ValueError:  # all of it is withheld: no figure
            continue
        assert all(ax.has_data() for ax in figure.axes), step
        plt.close(figure)


# ---- as an assertion ------------------------------------------------------------------------


def test_an_equivariant_model_passes_the_assertion(task):
    result = ep.assert_equivariant(
        symmetric, task.x, task.transform, max_error=1e-3, n_transforms=2, backend="python"
    )
    assert result.is_exact


def test_a_failed_assertion_says_what_where_and_how_much(task):
    with refuses(
        r"P\(equivariance error <= 0.01\) is 0.000",
        "rotations2d",
        "credible interval",
        "largest errors at rows",
        "by angle",
        error=AssertionError,
    ):
        ep.assert_equivariant(
            skewed, task.x, task.transform, max_error=0.01, n_transforms=4, backend="python"
        )


def test_a_limit_inside_the_interval_asks_for_more_rows(task):
    options = {"n_transforms": 4, "backend": "python"}
    result = ep.assert_equivariant(skewed, task.x, task.transform, max_error=10, **options)
    middle = float(np.median(result.draws["error"]))
    with pytest.raises(AssertionError, match="more rows would decide"):
        ep.assert_equivariant(skewed, task.x, task.transform, max_error=middle, **options)


ONES = np.ones((100, 1))
MIRRORED = ep.transforms.finite(
    np.array([[[1.0]], [[-1.0]]]), acts_on="vectors", output_action="invariant"
)


def first(rows):
    return rows[:, 0]


def test_a_known_range_is_held_against_a_certificate():
    """Rows of error 0.14 of which none fails: 3 in 100 of others may, each by 2."""
    options = {"max_error": 0.2, "backend": "python", "row_ids": np.arange(100)}
    ep.assert_equivariant(first, 0.1 * ONES, MIRRORED, **options)
    with refuses("certified to be at most", "confidence 0.95", error=AssertionError):
        ep.assert_equivariant(first, 0.1 * ONES, MIRRORED, bound=4.0, **options)
    # 3 in 100 of rows at the bound, and some more that betting costs: well below .5.
    options["max_error"] = 0.5
    ep.assert_equivariant(first, 0.1 * ONES, MIRRORED, bound=4.0, **options)
    with refuses("none of the relative error"):
        ep.assert_equivariant(first, ONES, MIRRORED, bound=4.0, relative=True, **options)


def test_limits_are_held_against_heavier_tails_where_few_rows_carry_the_error():
    heavy = np.sqrt(np.random.default_rng(11).pareto(1.3, size=(300, 1)))
    light = np.random.default_rng(2).normal(size=(300, 1))
    found = {}
    for name, x in {"heavy": heavy, "light": light}.items():
        orbits = ep.evaluate_orbits(first, x, MIRRORED, backend="python", row_ids=np.arange(300))
        result = ep.ModelEquivarianceError(n_draws=1000).fit(orbits)
        most = float(np.quantile(result.draws["error"], 0.95))
        found[name] = Gate(max_error=most).judge(orbits, result).probability
    # The same draws, of which those of the heavy rows are larger from above: no Monte Carlo error.
    assert found["heavy"] < 0.9
    assert 0.93 < found["light"] <= 0.95


def test_limits_that_are_none_are_refused(task):
    with refuses("max_error must be a positive number"):
        ep.assert_equivariant(skewed, task.x, task.transform, max_error=-1)
    with refuses("credibility must lie between 0 and 1"):
        ep.assert_equivariant(skewed, task.x, task.transform, max_error=1, credibility=95)
