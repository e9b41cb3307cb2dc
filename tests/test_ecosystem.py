"""Models and data of other packages, as users have them; `make test-ecosystem` installs these."""

import re
from pathlib import Path

import numpy as np
import pytest

import equiprob as ep

torch = pytest.importorskip("torch")

DOCS = Path(__file__).parents[1] / "docs"

# Those packages themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("page", "package"),
    [("from_graphs", "torch_geometric")],
)
def test_pages_that_need_other_packages_run(page, package, tmp_path, monkeypatch):
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    text, names = (DOCS / f"{page}.md").read_text("utf-8"), {}
    for code in re.findall(r"```\{code-block\} python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
    assert names


def test_a_pretrained_potential_is_equivariant_up_to_rounding():
    """CHGNet computes in float32 behind float64 arrays, and cancels large forces."""
    pytest.importorskip("chgnet")
    from ase.build import bulk
    from chgnet.model.dynamics import CHGNetCalculator

    crystals = [bulk("NaCl", "rocksalt", a=5.6), bulk("Si", a=5.4), bulk("Fe", a=2.9), bulk("Cu")]
    for i, one in enumerate(crystals):
        one.rattle(0.05, seed=i)
    model = ep.adapters.from_ase(CHGNetCalculator(use_device="cpu"), crystals)
    orbits = model.orbits(model.rotations(), n_transforms=4)
    for name in ("energy", "forces", "stress"):
        assert orbits[name].only.rounding == np.finfo(np.float32).eps
        assert ep.ModelEquivarianceError().fit(orbits[name]).is_exact
