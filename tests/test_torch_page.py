"""The page about GPUs runs, on whatever device there is."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

PAGE = (Path(__file__).parents[1] / "docs" / "gpu.md").read_text()


@pytest.mark.filterwarnings("ignore")  # of PyTorch's export
def test_the_page_about_gpus_runs(capsys):
    snippets = re.findall(r"```\{code-block\} python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(snippets) == 6
    names = {}
    for snippet in snippets:
        exec(compile(snippet, "gpu.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "torch (x moved by the host)" in printed
    assert names["here"].backend == "torch"
