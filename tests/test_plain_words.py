"""What is printed says "distribution" and names its cases: letters are for background pages."""

import ast
import re
from pathlib import Path

import equiprob as ep
from equiprob.task.methods import Case

ROOT = Path(ep.__file__).parent
UNWANTED = re.compile(
    r"\bcase '?[HIN]\b|\b(the|a|an|own|this|its|any) laws?\b(?! =)|\blaws? of the\b"
)
# The glossary says what code calls it.
MEANT = ("called its law in code",)


def printed(source):
    """Return the texts in a module that are no docstrings, what is put into them left out."""
    tree = ast.parse(source)
    bare = {
        id(each.value)
        for each in ast.walk(tree)
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    }
    parts = {
        id(v) for each in ast.walk(tree) if isinstance(each, ast.JoinedStr) for v in each.values
    }
    for each in ast.walk(tree):
        if isinstance(each, ast.JoinedStr):
            yield "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in each.values)
        elif isinstance(each, ast.Constant) and id(each) not in bare | parts:
            yield str(each.value)


def unwanted(source):
    texts = (text for text in printed(source) if not any(each in text for each in MEANT))
    return [text for text in texts if UNWANTED.search(text)]


def test_letters_and_laws_are_not_printed():
    found = {str(path): unwanted(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_the_look_has_power():
    assert unwanted('raise ValueError(f"under {name}, the law " "of x is not invariant (case N)")')
    assert unwanted('"the law of the inputs"\nx = "any law of the rows"') == ["any law of the rows"]


def test_every_case_has_a_name():
    assert [str(case) for case in Case] == ["uniform and invariant", "invariant", "unknown"]
