"""Which pages do commands write, and is what they measured still the code?

    python -m benchmarks.pages

prints the pages that measured other code than that of now. A page is written by `write`, which
keeps a hash of the code that it depends on, without imports, comments and docstrings, in
``docs/measured.json``. Where that is no longer the hash of the code, the site says so at the top of
the page: its figures may be those of an earlier method.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MEASURED = DOCS / "measured.json"

_CERTIFICATES = ("equiprob/errors/certificate.py", "equiprob/errors/betting.py")
_PASS = ("equiprob/orbits", "equiprob/transforms")

DEPENDS: Mapping[str, tuple[str, ...]] = {
    "calibration": ("equiprob/errors", "equiprob/posterior", "benchmarks/calibration/problems.py"),
    "calibration_certificates": (*_CERTIFICATES, "benchmarks/certificates.py"),
    "calibration_curves": ("equiprob/curves", "benchmarks/curves"),
    "calibration_data": (
        *("equiprob/task", "equiprob/posterior", "equiprob/levels/budget.py"),
        *("benchmarks/calibration/neighbour_problems.py", "benchmarks/calibration/map_problems.py"),
    ),
    "calibration_decisions": ("equiprob/decisions", "equiprob/posterior"),
    "calibration_few": ("equiprob/posterior", "benchmarks/calibration/few_rows_problems.py"),
    "calibration_geometry": ("equiprob/geometry", "benchmarks/calibration/geometry_problems.py"),
    "calibration_laws": (
        *("equiprob/levels/held_out_harm.py", "equiprob/levels/joint_ridge_curve.py"),
        *("equiprob/task", "benchmarks/calibration/harm_problems.py"),
    ),
    "calibration_level_certificates": (
        *("equiprob/levels/level_certificate.py", "equiprob/levels/pac_bayes.py"),
        "benchmarks/level_certificates.py",
    ),
    "calibration_levels": ("equiprob/levels", "equiprob/posterior"),
    "calibration_more": ("equiprob/posterior", "benchmarks/calibration/many_rows_problems.py"),
    "calibration_screens": ("equiprob/errors/screen.py", "equiprob/posterior"),
    "calibration_task": ("equiprob/task", "benchmarks/calibration/task_problems.py"),
    "faults": ("equiprob/orbits", "equiprob/posterior/saving.py", "benchmarks/faults.py"),
    "generalization_measured": ("equiprob/bounds", "benchmarks/generalization"),
    "growth": ("equiprob/errors", "equiprob/task", "equiprob/posterior", "benchmarks/growth.py"),
    "loads": ("equiprob/orbits", "equiprob/posterior", "equiprob/curves", "benchmarks/loads.py"),
    "memory": (*_PASS, "benchmarks/memory.py"),
    "peers": ("benchmarks/performance/peers.py",),
    "performance": (*_PASS, "benchmarks/performance"),
    "scale": (*_PASS, "benchmarks/performance"),
    "trials": ("docs/trials", "benchmarks/trials.py"),
    "wall_time": (*_PASS, "benchmarks/performance/wall.py"),
}
"""What each page measures: modules, or folders of them."""

NOTE = """\
```{note}
Code that this page measured has changed since it was written, which need not change its figures.
```
"""


def write(page: Path, text: str) -> None:
    """Write a page, and keep which code it measured."""
    page.write_text(text, "utf-8")
    kept = _kept() | {page.stem: digest(DEPENDS[page.stem])}
    MEASURED.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def outdated() -> list[str]:
    """Return the pages that measured other code than that of now, or of which it is not known."""
    kept = _kept()
    return [name for name, parts in DEPENDS.items() if kept.get(name) != digest(parts)]


def digest(parts: Iterable[str]) -> str:
    """Return a hash of what modules, or those in folders, do."""
    paths = [ROOT / part for part in parts]
    every = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
    seen = hashlib.sha256()
    for each in sorted(code_of(path.read_text("utf-8")) for path in every):
        seen.update(each.encode())
    return seen.hexdigest()[:16]


class _WithoutImports(ast.NodeTransformer):
    def visit_Import(self, node: ast.Import) -> None:
        """Leave it out: modules move."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Leave it out."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Leave words out."""
        return None if isinstance(node.value, ast.Constant) else node


def code_of(source: str) -> str:
    """Return a module without imports, comments and docstrings."""
    return ast.dump(_WithoutImports().visit(ast.parse(source)))


def _kept() -> dict[str, str]:
    return json.loads(MEASURED.read_text("utf-8")) if MEASURED.is_file() else {}


if __name__ == "__main__":
    for name in outdated():
        print(name)
