"""Sphinx settings. The build reads nothing from the network."""

import ast
import hashlib
import os
import shutil
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE.parent))
from benchmarks import pages  # noqa: E402

# Sphinx only reads pages below docs/, so the notebooks are copied there; their
# links to pages are those of the repository, where they can be followed, too.
NOTEBOOKS = HERE / "_notebooks"
shutil.rmtree(NOTEBOOKS, ignore_errors=True)
NOTEBOOKS.mkdir()
for _source in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
    _copy = NOTEBOOKS / _source.name
    _copy.write_text(_source.read_text("utf-8").replace("](../docs/", "](../"), "utf-8")
    _time = _source.stat().st_mtime_ns
    os.utime(_copy, ns=(_time, _time))  # so that unchanged pages are not rebuilt


def _code_of(source: str) -> str:
    """Return a module without comments and docstrings, which no page shows the work of."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _hash_of_the_package() -> str:
    """Return a hash of the package's code, and of the versions of what it needs."""
    seen = hashlib.sha256((HERE.parent / "constraints.txt").read_bytes())
    for path in sorted((HERE.parent / "equiprob").rglob("*.[pj]*")):
        if path.suffix in (".py", ".j2"):
            text = path.read_text("utf-8")
            seen.update(
                path.name.encode() + (_code_of(text) if path.suffix == ".py" else text).encode()
            )
    return seen.hexdigest()[:16]


# Pages are executed where their cells, or the package, are not those of the last build; what a
# newcomer reads first always is, as it says itself.
CACHE = HERE / "_build" / "executed" / _hash_of_the_package()
for _old in CACHE.parent.glob("*"):
    if _old != CACHE:
        shutil.rmtree(_old)

project = "equiprob"
author = "the equiprob authors"
release = version = installed_version("equiprob")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wrap.css"]
html_title = f"equiprob {release}"
html_show_copyright = False  # the licence is in the repository

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# -n asks that every reference resolve. With no inventories fetched, only our
# own names can; all others are let be.
nitpick_ignore_regex = [("py:.*", r"(?!equiprob\b).*")]
# Types of attributes that nobody makes or calls: not in the reference.
nitpick_ignore = [
    ("py:class", f"equiprob.{name}")
    for name in (
        "adapters.atoms_rows.AtomsRows",
        "adapters.data_frame.TableRows",
        "adapters.graph_rows.GraphRows",
        "bounds.base.Given",
        "curves.priors.GridPriors",
        "decisions.prospects.NoisePart",
        "decisions.shrinkage.Shrinkage",
        "decisions.winner.Winner",
        "task.methods.two_part_posterior.PartDraws",
        "task.methods.two_part_posterior.TwoPartPosterior",
        "levels.path_risk.EvaluatedPathRisk",
        "orbits.storage.blocks.BlockState",
        "orbits.forms.RowForm",
        "posterior.row_means.RowMeans",
        "transforms.acting.Actor",
        "transforms.actions.Given",
        "transforms.candidates.Choice",
        "transforms.constants.Constant",
        "transforms.expression.Call",
    )
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_merge_streams = True
nb_render_image_options = {"alt": "A figure, drawn by the code above."}  # not its file's name
nb_ipywidgets_js = {}  # a page asks for nothing, not even when it is read
nb_execution_mode = "cache"
nb_execution_cache_path = str(CACHE)
nb_execution_in_temp = True  # an empty folder, as in run_notebooks.py
nb_execution_raise_on_error = True
nb_execution_timeout = 600

ALWAYS = {"index", "_notebooks/quickstart"}


OUTDATED = set(pages.outdated())


def _say_what_is_outdated(app, docname, source):
    """Say at the top of a page of figures that what they are of has changed."""
    if docname in OUTDATED:
        title, newline, rest = source[0].partition("\n")
        source[0] = f"{title}{newline}\n{pages.NOTE}\n{rest}"


def setup(app):
    """Read anew the pages that are always executed, and those that may have become outdated."""
    often = ALWAYS | set(pages.DEPENDS)
    app.connect("env-get-outdated", lambda app, env, *_: sorted(often & env.found_docs))
    app.connect("source-read", _say_what_is_outdated)
