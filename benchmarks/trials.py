"""How long from an empty environment to a first figure? Writes docs/trials.md.

    python -m benchmarks.trials [--only NAME ...] [--log FILE]

Each script of docs/trials has a user's model and data, and below them the lines of this package.
For each, an environment is made, this package and what the model needs are installed into it by uv,
and the script is run: that is timed, and the figure looked for. Packages that were downloaded
before come from uv's cache. With a log, trials that are in it are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.pages import write

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "docs" / "trials"
MARK = "# ---- equiprob ----\n"

NEEDS = {
    "chgnet_crystals": (".[ase]", "chgnet"),
    "graph_network": (".[graphs]",),
    "irreps_network": (".[torch]", "e3nn"),
    "images_and_loader": (".[torch]", "torchvision"),
    "lightning_run": (".[torch]", "lightning"),
    "table_pipeline": (".",),
    "onnx_angles": (".[onnx]", "rapidocr-onnxruntime"),
}


@dataclass(frozen=True)
class Trial:
    """What one trial took: seconds to install and to run, at which load; lines of this package."""

    name: str
    install: float
    run: float
    lines: int
    load: float


def lines_of(script: Path) -> int:
    """Return how many lines a script has below the mark, the import left out."""
    _, mark, below = script.read_text("utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{script} has no line {MARK.strip()!r}")
    lines = [line for line in below.splitlines() if line.strip()]
    return len(lines) - lines.count("import equiprob as ep")


def tried(name: str, uv: str) -> Trial:
    """Make an environment, install into it, run the script, and look for its figure."""
    with tempfile.TemporaryDirectory() as folder:
        start, python = time.perf_counter(), f"{folder}/environment/bin/python"
        made = [uv, "venv", "-q", "--no-project", "-p", sys.executable, f"{folder}/environment"]
        subprocess.run(made, check=True)
        install = [uv, "pip", "install", "-q", "--python", python, *NEEDS[name]]
        subprocess.run(install, check=True, cwd=ROOT)
        installed = time.perf_counter()
        script = SCRIPTS / f"{name}.py"
        environment = os.environ | {"MPLBACKEND": "Agg"}
        subprocess.run([python, str(script)], check=True, cwd=folder, env=environment)
        end = time.perf_counter()
        if not (Path(folder) / "figure.png").is_file():
            raise RuntimeError(f"{script} drew no figure")
    return Trial(name, installed - start, end - installed, lines_of(script), os.getloadavg()[1])


def page(trials: list[Trial]) -> str:
    """Return the page."""
    rows = [
        f"| [{summary_of(each.name)}](#{each.name.replace('_', '-')}) | {each.lines} | "
        f"{each.install:.0f} s | {each.run:.0f} s | {each.load:.0f} |"
        for each in trials
    ]
    parts = [
        "# Trials: from an empty environment to a first figure\n",
        "Written by `python -m benchmarks.trials`, which makes a new environment for each, "
        "installs this package and what the model needs, and runs the script. "
        "`make test-ecosystem` runs the same scripts. "
        f"Times are of one run, {os.cpu_count()} processors ({platform.machine()}), with packages "
        "from the cache of uv; downloads come on top (PyTorch: up to 5 GB). The load is how many "
        "processes wanted these processors: at 10, all takes five times as long as on a machine "
        "of one's own.\n",
        "| model and data | lines besides them | to install | to the figure | load |",
        "|---|---|---|---|---|",
        *rows,
    ]
    for each in trials:
        parts.append(f"\n## {each.name.replace('_', ' ')}\n")
        parts.append(f"Needs `pip install {' '.join(map(quoted, NEEDS[each.name]))}`.\n")
        parts.append(f"```{{literalinclude}} trials/{each.name}.py\n:language: python\n```")
    return "\n".join(parts) + "\n"


def quoted(requirement: str) -> str:
    """Return a requirement as one installs it from the index."""
    name = requirement.replace(".", "equiprob", 1) if requirement.startswith(".") else requirement
    return f"'{name}'" if "[" in name else name


def summary_of(name: str) -> str:
    """Return the first line of a script, which says what it is about."""
    first = (SCRIPTS / f"{name}.py").read_text("utf-8").splitlines()[0]
    return first.strip('"').rstrip(".")


def main() -> None:
    """Run trials, print what each took, and write the page if all were run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=NEEDS, default=list(NEEDS))
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--log", type=Path, help="Where trials are kept, one a line.")
    given = parser.parse_args()
    log = given.log
    lines = log.read_text("utf-8").splitlines() if log is not None and log.is_file() else []
    trials = {each["name"]: Trial(**each) for each in map(json.loads, lines)}
    for name in given.only:
        if name in trials:
            continue
        trials[name] = tried(name, given.uv)
        print(trials[name], flush=True)
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(trials[name])) + "\n")
    if trials.keys() == NEEDS.keys():
        made = [trials[name] for name in NEEDS]
        write(ROOT / "docs" / "trials.md", page(made))


if __name__ == "__main__":
    main()
