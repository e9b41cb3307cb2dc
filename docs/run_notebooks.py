"""Run every notebook in notebooks/ and fail on an error or a warning.

Warnings are looked for in what the cells print: turning them into errors inside
the kernel would also trip on those of other libraries that Python hides.
"""

import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent.parent / "notebooks"
WARNING = re.compile(r"\b\w*Warning: .*")


def run(path: Path) -> list[str]:
    """Run one notebook, in an empty folder; return what went wrong."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
        )
        try:
            client.execute()
        except CellExecutionError as error:
            return [str(error)]
    return [
        warning
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
        for warning in WARNING.findall(output.text)
    ]


def main() -> int:
    """Run them all; return how many failed, or 1 if there is none."""
    paths = sorted(FOLDER.glob("*.ipynb"))
    if not paths:
        print(f"no notebook in {FOLDER.name}/", file=sys.stderr)
        return 1
    failed = 0
    for path in paths:
        start = time.perf_counter()
        problems = run(path)
        print(f"{path.name}: {'FAILED' if problems else 'ok'}, {time.perf_counter() - start:.1f} s")
        for problem in problems:
            print(problem, file=sys.stderr)
        failed += bool(problems)
    return failed


if __name__ == "__main__":
    sys.exit(main())
