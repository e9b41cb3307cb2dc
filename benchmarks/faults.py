"""Does a pass that is killed at any moment end with the same numbers? Writes the page.

    python -m benchmarks.faults --kills 50 --workers 20 --peers 10 --disks 3 --log kills.jsonl

What was found is kept in the log, and a run with the same log goes on from there.

Each kill is of a process of its own (SIGKILL, at a moment drawn uniformly from the time that the
pass takes undisturbed); a second process makes the same call, and its table is compared bit by bit
with that of a pass that nobody disturbed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - here, so that not every child takes a second for it
import numpy as np
import scipy.stats  # noqa: F401

import equiprob as ep
from benchmarks.disk_faults import harm_disks, rows_of_disks
from benchmarks.pages import write
from benchmarks.worker_faults import Log, rows_of_page
from equiprob.orbits.storage import checkpoint
from equiprob.orbits.storage.archive import read_arrays

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
ROWS, BATCH, TRANSFORMS = 1600, 32, 8
SECONDS_A_CHUNK = 0.02
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(ROWS, 2)).astype(np.float32)
Y = GENERATOR.normal(size=(ROWS, 2))
MATRIX = GENERATOR.normal(size=(2, 2)).astype(np.float32)
CASES = [(keep, backend) for keep in ("rows", "blocks", "all") for backend in ("python", "jax")]


def numpy_model(x: Any) -> Any:
    time.sleep(SECONDS_A_CHUNK / TRANSFORMS)
    return np.asarray(x) @ MATRIX


def jax_model(x: Any) -> Any:
    return x @ MATRIX


def slow_batches() -> Any:
    """The rows, at the pace of a slow model: a compiled one cannot wait."""
    for start in range(0, ROWS, BATCH):
        time.sleep(SECONDS_A_CHUNK)
        yield X[start : start + BATCH], Y[start : start + BATCH]


def evaluate(keep: str, backend: str, path: Path | None) -> ep.OrbitTable:
    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    x, y, model = (slow_batches(), None, jax_model) if backend == "jax" else (X, Y, numpy_model)
    return ep.evaluate_orbits(
        model,
        x,
        turn,
        y=y,
        n_transforms=TRANSFORMS,
        batch_size=BATCH,
        keep=keep,
        backend=backend,
        progress=False,
        checkpoint=path,
        checkpoint_every=0.0,
    )


def digest(table: ep.OrbitTable) -> str:
    """A hash of all numbers of a table, bit by bit."""
    found = hashlib.blake2b(str(table).encode(), digest_size=16)
    arrays = [table.row_ids, table.unit_ids, table.count]
    for name, statistics in table.statistics.items():
        found.update(name.encode())
        for key, value in vars(statistics).items():
            if isinstance(value, np.ndarray):
                arrays.append(value)
            else:
                found.update(f"{key} {value!r}".encode())
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def in_child(work: Callable[[], None]) -> int:
    """Start a process that works and ends; return its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def finished(child: int) -> float:
    """Wait for a process; return how long that took."""
    began = time.monotonic()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a pass failed (status {status})")
    return time.monotonic() - began


def result_of(keep: str, backend: str, path: Path | None, folder: str) -> tuple[str, float]:
    """Return the digest of a pass in a process of its own, and the seconds it took."""
    result = Path(folder) / "result"
    child = in_child(lambda: result.write_text(digest(evaluate(keep, backend, path))) and None)
    seconds = finished(child)
    return result.read_text(), seconds


def killed(keep: str, backend: str, path: Path, moment: float) -> bool:
    """Whether a pass was killed before its end."""
    child = in_child(lambda: evaluate(keep, backend, path) and None)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def one_kill(
    keep: str, backend: str, seconds: float, moments: np.random.Generator
) -> tuple[str, int, bool]:
    """Kill a pass and make the same call; return the result, the rows kept, and when it died."""
    while True:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "orbits.nc"
            if not killed(keep, backend, path, moments.uniform(0, seconds)):
                continue
            kept = read_arrays(path)[1]["store"]["done"] if path.exists() else 0
            writing = bool(list(path.parent.glob("*.partial-*")))
            found, _ = result_of(keep, backend, path, folder)
            return found, kept, writing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of passes")
    parser.add_argument("--workers", type=int, default=20, help="killed, of pools and of Dask each")
    parser.add_argument("--peers", type=int, default=10, help="killed, of each of two processes")
    parser.add_argument("--disks", type=int, default=3, help="times of each fault of a disk")
    parser.add_argument("--log", type=Path, required=True)
    asked = parser.parse_args()
    kills, log = asked.kills, Log(asked.log)
    # Most of a pass is waiting: both kinds of kills have time beside each other.
    workers = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.worker_faults"),
            *(str(asked.log), str(asked.workers), str(asked.peers)),
        ]
    )
    share, checkpoint._SHARE = (
        checkpoint._SHARE,
        0,
    )  # written after every chunk, so that many kills hit a write
    expected = {}
    for i in range(len(log.of("a pass")), kills):
        case, moments = CASES[i % len(CASES)], np.random.default_rng([1, i])
        if case not in expected:
            with tempfile.TemporaryDirectory() as folder:
                undisturbed, _ = result_of(*case, None, folder)
                written, seconds = result_of(*case, Path(folder) / "orbits.nc", folder)
            assert written == undisturbed, "a checkpoint changes nothing"
            expected[case] = undisturbed, seconds
        found, kept, writing = one_kill(*case, expected[case][1], moments)
        log.add("a pass", *case, found == expected[case][0], kept, writing)
    checkpoint._SHARE = share
    harm_disks(log, asked.disks)
    done = log.of("a pass")
    rows = {case: [found[2:] for found in done if tuple(found[:2]) == case] for case in CASES}
    lines = [
        f"| `{keep!r}` | {backend} | {len(found)} | {sum(kept == 0 for _, kept, _ in found)} | "
        f"{sum(w for *_, w in found)} | {np.mean([kept for _, kept, _ in found]):.0f} | "
        f"{sum(same for same, *_ in found)} |"
        for (keep, backend), found in rows.items()
        if found
    ]
    same = sum(same for found in rows.values() for same, *_ in found)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy", "h5py"))
    table = "\n".join(lines)
    if workers.wait():
        raise SystemExit("the kills of workers did not end")
    disk_table = "\n".join(rows_of_disks(log))
    worker_table = "\n".join(rows_of_page(log))
    write(
        PAGE,
        "# Kills\n\n"
        f"Written by `python -m benchmarks.faults --kills {kills} --workers {asked.workers} "
        f"--peers {asked.peers} --disks {asked.disks} --log kills.jsonl` ({versions}, "
        f"Python {platform.python_version()}, {platform.system()}).\n\n"
        f"Passes over {ROWS} rows in chunks of {BATCH}, {TRANSFORMS} rotations of each row, with a "
        "[checkpoint](streams.md#checkpoints) written after every chunk. Each is killed (SIGKILL) "
        "at a moment drawn uniformly from the time that it takes undisturbed, start and "
        "compilation included; a second process makes the same call, and every number of its table "
        "is compared bit by bit with those of a pass that was not disturbed.\n\n"
        "| `keep` | backend | kills | before the first write | in the middle of a write "
        "| rows kept, mean | identical results |\n|---|---|---|---|---|---|---|\n"
        f"{table}\n\n"
        f"{same} of {kills} results are identical.\n\n"
        "## Workers and peers\n\n"
        "One of two workers, or one of two processes of `jax.distributed`, is killed at a random "
        "moment of a pass with a checkpoint. Where the pass ends, the same call is made again; "
        "peers are both started again. What to do then: [what can go wrong](reliability.md).\n\n"
        "| killed | kills | how the pass ended | identical results |\n|---|---|---|---|\n"
        f"{worker_table}\n\n"
        "## Disks\n\n"
        "The disk of the checkpoint, and of a result that was saved before, is full or can only be "
        "read, at a random call of the model where it is in the middle of a pass. The pass ends "
        "nevertheless, saving the result again is refused, room is made, and the same call is made "
        "again. Identical are the numbers of both calls, and no other file is left.\n\n"
        "| the disk is | from when | times | one warning | identical results "
        "| the saved result is as it was |\n|---|---|---|---|---|---|\n"
        f"{disk_table}\n",
    )
    print(PAGE.read_text())
    if same < kills:
        raise SystemExit("some results differ")


if __name__ == "__main__":
    main()
