"""Links between pages lead somewhere, every page is in the contents, and nothing is fetched."""

import ast
import importlib.util
import inspect
import json
import re
from operator import attrgetter
from pathlib import Path

import pytest

import equiprob

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted(DOCS.glob("*.md")), *ROOT.glob("*.md")]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def heading_ids(text):
    """Return the anchors that MyST makes of headings."""
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


def broken(page, text):
    """Return the links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        path = page.parent / name.replace("_notebooks/", "../notebooks/") if name else page
        there = path.is_file()
        if there and anchor and path.suffix == ".md":
            there = anchor in heading_ids(path.read_text())
        if not there:
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert broken(page, page.read_text()) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_links_of_notebooks_lead_somewhere(notebook):
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert broken(notebook, "\n".join("".join(cell["source"]) for cell in cells)) == []


def test_the_test_of_links_has_power():
    text = "[a](nothing.md) [b](index.md#no-such-heading) [c](index.md) [d](https://x.org)"
    assert broken(DOCS / "index.md", text) == ["nothing.md", "index.md#no-such-heading"]


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"^([\w/]+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= listed


def test_every_figure_is_in_the_gallery():
    page = (DOCS / "gallery.md").read_text("utf-8")
    drawn = re.findall(r"\.plot\(|ep\.plots\.plot_\w+\(", page)
    assert len(drawn) >= len(equiprob.plots.__all__)  # the least: some are drawn twice
    assert {name for name in equiprob.plots.__all__ if f"`{name}`" not in page} == set()


def test_the_way_of_a_row_leads_through_the_house():
    page = (DOCS / "extending.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_/0-9]+\.py)` \| `(\w+)` \|", page, re.MULTILINE)
    assert len(rows) == 20
    house = Path(equiprob.__file__).parent
    for file, name in rows:
        defined = re.search(rf"^(?:def|class) {name}\b", (house / file).read_text(), re.MULTILINE)
        assert defined, f"{file} has no {name}: mend docs/extending.md"


@pytest.fixture(scope="module")
def pages():
    """Return `benchmarks.pages`, which is no part of the package that is installed."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "benchmarks" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_of_figures_tell_where_their_code_has_changed(pages):
    written = {p.stem for p in DOCS.glob("*.md") if "Written by `" in p.read_text("utf-8")}
    assert written == set(pages.DEPENDS)
    for part in {part for parts in pages.DEPENDS.values() for part in parts}:
        assert (pages.ROOT / part).exists(), f"{part} has moved: mend benchmarks/pages.py"
    one = 'import os\n\ndef f():\n    """Say."""\n    return 1  # one\n'
    assert pages.code_of(one) == pages.code_of("from os import path\n\ndef f(): return 1\n")
    assert pages.code_of(one) != pages.code_of(one.replace("return 1", "return 2"))


def test_a_page_is_current_until_its_code_changes(pages, tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text("ANSWER = 1")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(pages, "DEPENDS", {"page": ("model.py",)})
    assert pages.outdated() == ["page"]
    pages.write(tmp_path / "page.md", "# A page\n")
    assert (tmp_path / "page.md").read_text() == "# A page\n"
    assert pages.outdated() == []
    (tmp_path / "model.py").write_text("ANSWER = 2")
    assert pages.outdated() == ["page"]


def test_the_site_is_built_without_a_network():
    settings = (DOCS / "conf.py").read_text()
    assert "intersphinx" not in settings
    assert "http" not in settings
    assert "nb_ipywidgets_js = {}" in settings  # its default is two scripts from elsewhere


# ---- the bibliography ------------------------------------------------------------------------

NAME = r"(?:(?:von|van de) )?[A-ZÀ-Ž][\w'’-]+"


def listed_authors():
    """Return the first author of each entry, and of works that an entry names second."""
    text = (DOCS / "bibliography.md").read_text("utf-8")
    return re.findall(rf"(?:^- |; )({NAME}), [A-Z]\.", text, re.MULTILINE)


def cited_authors(text):
    """Return the first author of each work in the sections on references of a module."""
    cited = []
    for block in re.findall(r"References:\n((?:[ ]+\S.*\n)+)", text):
        joined = " ".join(block.split('"""')[0].split())
        for work in re.split(r"; |: |\. (?=[A-Z])", re.sub(r'"[^"]*"', "", joined)):
            if re.search(r"\b(19|20)\d\d\b|chapter", work) and (name := re.match(NAME, work)):
                cited.append(name.group())
    return cited


def test_every_work_that_is_cited_is_in_the_bibliography():
    cited = {
        name
        for path in (ROOT / "equiprob").rglob("*.py")
        for name in cited_authors(path.read_text("utf-8"))
    }
    assert {"Petrache", "von Luxburg", "Gräf", "Owen", "Flamary"} <= cited  # that any were found
    assert cited - set(listed_authors()) == set()


def test_every_work_in_the_bibliography_is_cited():
    sources = [*(ROOT / "equiprob").rglob("*.py"), *set(DOCS.glob("*.md")), *NOTEBOOKS]
    text = "\n".join(p.read_text("utf-8") for p in sources if p.name != "bibliography.md")
    assert [name for name in listed_authors() if name not in text] == []


# ---- from question to call ---------------------------------------------------------------------


def calls_of(text):
    """Return the calls of the package in a page's inline code: the dotted name, and keywords."""
    found = []
    for code in re.findall(r"(?<!`)`([^`\n]*\bep\.[^`\n]*)`(?!`)", text):
        for node in ast.walk(ast.parse(code)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"ep(\.\w+)+", name):
                found.append((name, [keyword.arg for keyword in node.keywords]))
    return found


def unknown(calls):
    """Return the calls of names that are not there, or with keywords that they do not take."""
    found = []
    for name, keywords in calls:
        try:
            taken = inspect.signature(attrgetter(name.removeprefix("ep."))(equiprob)).parameters
        except AttributeError:
            found.append(name)
        else:
            found += [f"{name}({keyword}=)" for keyword in keywords if keyword not in taken]
    return found


def test_every_question_leads_to_a_call_that_is_there():
    calls = calls_of((DOCS / "questions.md").read_text("utf-8"))
    assert len(calls) > 20
    assert unknown(calls) == []


def test_the_test_of_calls_has_power():
    calls = calls_of("`ep.nothing(1)` `ep.compare(a, ropes=1)` `ep.Geometry().fit(x)`")
    assert unknown(calls) == ["ep.nothing", "ep.compare(ropes=)"]
