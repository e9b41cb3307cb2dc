"""What pyproject.toml promises: versions, bounds, pins, and one list of what an extra needs."""

import re
import tomllib
from importlib.metadata import version as installed_version
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import equiprob as ep

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
GROUPS = {
    name: [Requirement(entry) for entry in entries if isinstance(entry, str)]
    for name, entries in SETTINGS["dependency-groups"].items()
}
EXTRAS = [Requirement(r) for r in chain(*PROJECT["optional-dependencies"].values())]
DECLARED = [*map(Requirement, PROJECT["dependencies"]), *EXTRAS, *chain(*GROUPS.values())]
UNPINNED = {r.name for r in [*GROUPS["torch"], *GROUPS["ecosystem"]]}
"""Too large for `make test`, which the constraints serve."""


def pins(text):
    """Return the pinned versions by name; a name may have one for each platform."""
    found = {}
    for name, version in re.findall(r"^([\w.-]+)==([^ \\;]+)", text, re.MULTILINE):
        found.setdefault(name, []).append(Version(version))
    return found


PINS = pins((ROOT / "constraints.txt").read_text())


def problems(requirement, pinned):
    """Return what a requirement lacks: a lower bound and nothing else, and pins that meet it."""
    found = []
    if [clause.operator for clause in requirement.specifier] != [">="]:
        found.append("bound")
    if requirement.name not in UNPINNED and requirement.name not in pinned:
        found.append("pin")
    if not all(v in requirement.specifier for v in pinned.get(requirement.name, [])):
        found.append("pin below the bound")
    return found


@pytest.mark.parametrize("requirement", sorted({str(r) for r in DECLARED}))
def test_every_dependency_has_a_lower_bound_and_a_pin(requirement):
    assert problems(Requirement(requirement), PINS) == []


def test_a_package_has_one_bound_wherever_it_is_declared():
    assert len({r.name for r in DECLARED}) == len({str(r) for r in DECLARED})


def test_every_extra_is_tested():
    tested = {r.name for r in [*GROUPS["test"], *GROUPS["ecosystem"]]}
    assert {r.name for r in EXTRAS} <= tested


@pytest.mark.parametrize(
    ("requirement", "found"),
    [
        ("a>=1", []),
        ("a", ["bound"]),
        ("a==2", ["bound"]),
        ("a>=1,<3", ["bound"]),
        ("b>=1", ["pin"]),
        ("a>=3", ["pin below the bound"]),
    ],
)
def test_the_test_of_bounds_has_power(requirement, found):
    assert problems(Requirement(requirement), pins("a==2 \\\n    --hash=sha256:0")) == found


def test_the_version_is_stated_once():
    stated = PROJECT["version"]
    assert ep.__version__ == installed_version("equiprob") == stated
    assert f"## {stated}" in (ROOT / "CHANGELOG.md").read_text()
    sources = [*(ROOT / "equiprob").rglob("*.py"), ROOT / "CITATION.cff", ROOT / "docs" / "conf.py"]
    assert not [path.name for path in sources if stated in path.read_text()]
