"""What docstrings show is what happens."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import equiprob as ep

MODULES = (ep, ep.adapters, ep.bounds, ep.methods, ep.paths, ep.stopping, ep.transforms)
LAYOUT = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def shows(value):
    """Whether something is ours and its docstring has examples."""
    ours = getattr(value, "__module__", "").startswith("equiprob")
    return ours and ">>>" in (inspect.getdoc(value) or "")


def names_of(module):
    """Return all names of a module, those that are seldom shown, too."""
    return sorted({*dir(module), *getattr(module, "_WHERE", ())})


# doctest's own search passes over functions that are wrapped, as `checked` ones are.
PUBLIC = [getattr(module, name) for module in MODULES for name in names_of(module)]
SHOWN = {value.__name__: value for value in PUBLIC if shows(value)}


def failures(docstring, name="example"):
    """Return what the examples of a docstring print that it does not say."""
    example = doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)
    found = []
    doctest.DocTestRunner(optionflags=LAYOUT).run(example, out=found.append)
    return "".join(found)


@pytest.mark.parametrize("name", SHOWN)
def test_examples(name):
    assert failures(inspect.getdoc(SHOWN[name]), name) == ""


def test_every_example_is_found():
    sources = "".join(path.read_text() for path in Path(ep.__file__).parent.rglob("*.py"))
    assert len(re.findall(r"Examples:\s+>>>", sources)) == len(SHOWN) >= 15


def test_the_test_has_power():
    assert failures(">>> 1 + 1\n2\n") == ""
    assert "Expected:" in failures(">>> 1 + 1\n3\n")
    assert "AssertionError" in failures(">>> assert False\n")
