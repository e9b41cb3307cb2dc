"""The package is built in one direction: each stage imports only from stages above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from stub import STUB, stub

import equiprob

ROOT = Path(equiprob.__file__).parent
STAGES = [
    *("arguments", "transforms", "orbits", "posterior"),
    *("geometry", "errors", "task", "curves", "bounds", "levels", "decisions"),
]
# Plots and pages consume results; a result finds its own in the table of kinds.
CONSUMERS = ["plots", "report"]
# What puts stages together may import any of them.
TOP = [
    *("__init__", "__main__", "adapters", "auditing", "callbacks", "cli", "demo"),
    *("pytest_plugin", "testing"),
]


def module_name(path):
    parts = ["equiprob", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path.read_text() for path in sorted(ROOT.rglob("*.py"))}


def imports(source):
    """Return every import of the package's own modules: late ones and those for types, too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] == "equiprob"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module is not None and node.module.split(".")[0] == "equiprob":
                found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def stage(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def wrong_way(name, source):
    """Return the imports of a module that go against the direction of the house."""
    here = stage(name)
    wrong = []
    for imported in imports(source):
        there = stage(imported)
        if here in TOP or there == here or imported == "equiprob":
            allowed = here in TOP or there == here
        elif there in CONSUMERS:
            allowed = here in CONSUMERS
        elif here in CONSUMERS:
            allowed = there in STAGES
        else:
            allowed = there in STAGES and STAGES.index(there) < STAGES.index(here)
        if not allowed:
            wrong.append(imported)
    return wrong


def cycles(graph):
    """Return the modules that can reach themselves through imports."""

    def reachable(start):
        seen, left = set(), list(graph[start])
        while left:
            node = left.pop()
            if node not in seen:
                seen.add(node)
                left += graph.get(node, ())
        return seen

    return sorted(name for name in graph if name in reachable(name))


def import_graph(modules):
    return {
        name: {
            imported
            for imported in imports(source)
            # A package's __init__ lists its own modules; its modules do not go through it.
            if imported in modules and not name.startswith(imported + ".")
        }
        for name, source in modules.items()
    }


def test_every_module_belongs_to_a_stage():
    assert {stage(name) for name in MODULES} <= {*STAGES, *CONSUMERS, *TOP}
    assert {"transforms", "orbits"} <= {stage(name) for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name):
    assert wrong_way(name, MODULES[name]) == []


def test_there_are_no_import_cycles():
    assert cycles(import_graph(MODULES)) == []


ACTS = {"actions_on", "ByLeaf", "InTurn", "Elsewhere", "OneEach"}
"""What moves rows and takes outputs back: a transform's own affair."""


def acts(source):
    """Return the names of `ACTS` that a module uses."""
    nodes = list(ast.walk(ast.parse(source)))
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    used |= {a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
    return sorted(ACTS & used)


@pytest.mark.parametrize("name", [name for name in MODULES if stage(name) != "transforms"])
def test_only_transforms_act(name):
    """The others bind a transform to their rows and outputs: ``transform.on(x, output)``."""
    assert acts(MODULES[name]) == []


def test_the_test_of_acting_has_power():
    assert acts("from equiprob.transforms.by_leaf import ByLeaf") == ["ByLeaf"]
    assert acts("declarations.actions_on(law, declared, x, argument)") == ["actions_on"]


def test_there_is_no_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "_utils", "helpers", "_misc", "misc", "common"}
    assert not {name.split(".")[-1] for name in MODULES} & drawers


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("equiprob.transforms.a", "from equiprob.orbits.keys import Ids", True),
        ("equiprob.orbits.a", "def f():\n    import equiprob.levels.paths", True),
        ("equiprob.orbits.a", "import equiprob", True),
        ("equiprob.levels.a", "import equiprob.plots.style", True),
        ("equiprob.plots.a", "from equiprob.cli import main", True),
        ("equiprob.orbits.a", "from equiprob import levels", True),
        ("equiprob.levels.a", "class A:\n  def plot(self):\n    import equiprob.plots.a", True),
        ("equiprob.orbits.a", "from equiprob.transforms.law import Parameters", False),
        ("equiprob.plots.a", "from equiprob.levels.paths import Blend", False),
    ],
)
def test_the_direction_test_has_power(name, source, found):
    assert bool(wrong_way(name, source)) == found


def test_the_cycle_test_has_power():
    ring = {
        "equiprob.a": "import equiprob.b",
        "equiprob.b": "from equiprob.c import d",
        "equiprob.c": "import equiprob.a\nimport numpy",
        "equiprob.e": "def late():\n    import equiprob.f",
        "equiprob.f": "if TYPE_CHECKING:\n    from equiprob.e import late",
        "equiprob.g": "import equiprob.a",
    }
    assert cycles(import_graph(ring)) == [f"equiprob.{name}" for name in "abcef"]


# ---- what `import equiprob` costs and offers ------------------------------------------------

HEAVY = {
    *("numpyro", "arviz", "arviz_base", "arviz_plots", "arviz_stats", "matplotlib", "pandas"),
    *("ot", "scipy.stats", "sklearn", "xarray"),
}


def heavy_after(code):
    """Return which heavy modules a fresh interpreter holds after running `code`."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert heavy_after("import equiprob") == set()


def test_the_import_test_has_power():
    assert heavy_after("import scipy.stats") >= {"scipy.stats"}


def test_type_checkers_know_every_name():
    assert STUB.read_text() == stub(), "run python tests/stub.py"


MOST_NAMES, MOST_BELOW = 40, 90
ROOMS = ["adapters", "bounds", "callbacks", "information", "methods", "paths", "posteriors"]
ROOMS += ["stopping", "testing", "transforms"]


def test_few_names_are_shown_and_they_are_those_to_type():
    assert len(equiprob.__all__) <= MOST_NAMES
    below = [name for room in ROOMS for name in dir(getattr(equiprob, room))]
    assert len(below) <= MOST_BELOW
    for room in [*ROOMS, "plots"]:
        module = getattr(equiprob, room)
        assert dir(module) == sorted(module.__all__)


def test_every_public_name_resolves():
    assert set(equiprob.__all__) < set(equiprob._WHERE)
    for name in equiprob._WHERE:
        assert getattr(equiprob, name) is not None
    assert dir(equiprob) == sorted([*equiprob.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'orbitz'"):
        _ = equiprob.orbitz
