"""The package is built in one direction: each stage imports only from stages above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import equiprob

ROOT = Path(equiprob.__file__).parent
STAGES = [
    *("arguments", "transforms", "orbits", "posterior"),
    *("equivariance", "curves", "bounds", "levels", "decisions"),
]
# Plots and pages consume results; a result finds its own when it is asked to show itself.
CONSUMERS = ["plots", "report"]
SHOWS_ITSELF = {"plot", "report"}
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
    """Yield (imported module, enclosing functions) of every import of the package's own modules."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == "equiprob":
                        yield alias.name, inside
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "imports are absolute"
                if child.module is not None and child.module.split(".")[0] == "equiprob":
                    yield child.module, inside
                    for alias in child.names:
                        yield f"{child.module}.{alias.name}", inside
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from walk(child, [*inside, child.name] if named else inside)

    return list(walk(ast.parse(source), []))


def stage(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def wrong_way(name, source):
    """Return the imports of a module that go against the direction of the house."""
    here = stage(name)
    wrong = []
    for imported, inside in imports(source):
        there = stage(imported)
        if here in TOP or there == here or imported == "equiprob":
            allowed = here in TOP or there == here
        elif there in CONSUMERS:
            allowed = here in CONSUMERS or bool(SHOWS_ITSELF & set(inside))
        elif here in CONSUMERS:
            allowed = there in STAGES
        else:
            allowed = there in STAGES and STAGES.index(there) < STAGES.index(here)
        if not allowed:
            wrong.append(imported)
    return wrong


def cycles(graph):
    """Return the modules that can reach themselves through imports at their top level."""

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
            for imported, inside in imports(source)
            # A package's __init__ lists its own modules; its modules do not go through it.
            if not inside and imported in modules and not name.startswith(imported + ".")
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
        ("equiprob.levels.a", "class A:\n  def plot(self):\n    import equiprob.plots.a", False),
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
        "equiprob.e": "def late():\n    import equiprob.e",
    }
    assert cycles(import_graph(ring)) == ["equiprob.a", "equiprob.b", "equiprob.c"]


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


def public(source):
    """Return the names a stub re-exports (``import a as a``), and its ``__all__``."""
    names, listed = set(), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.Assign):
            listed = ast.literal_eval(node.value)
    return names, listed


def test_every_public_name_resolves_and_is_known_to_type_checkers():
    names, listed = public((ROOT / "__init__.pyi").read_text())
    assert listed == equiprob.__all__
    assert names == set(equiprob.__all__)
    for name in equiprob.__all__:
        assert getattr(equiprob, name) is not None
        assert name in dir(equiprob)
    with pytest.raises(AttributeError, match="no attribute 'orbitz'"):
        _ = equiprob.orbitz
