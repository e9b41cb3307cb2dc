"""The README's example runs as it stands."""

import re
from pathlib import Path

import pytest

import equiprob

README = Path(__file__).parent.parent / "README.md"


def test_the_example_runs_and_prints_both_answers(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(example.strip().splitlines()) <= 14
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "the model's output changes by" in printed
    assert "risk is least at" in printed
    assert (tmp_path / "level.png").stat().st_size > 0


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)h][^)]*)\)", README.read_text()))
def test_links_lead_somewhere(target):
    assert (README.parent / target).exists()


@pytest.mark.parametrize("name", equiprob._WHERE)
def test_every_public_name_is_in_the_reference(name):
    reference = (README.parent / "docs" / "api.md").read_text()
    assert re.search(rf"`ep\.{name}`", reference)
