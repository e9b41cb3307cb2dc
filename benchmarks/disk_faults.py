"""What becomes of a pass and of a saved result whose disk is full, or can only be read?

Rows of the page of `benchmarks.faults`. The disks are small ones in memory; to mount them takes the
rights of root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks import worker_faults as passes
from benchmarks.worker_faults import Log, evaluate, same

NAME = "a disk"
SIZE, LEFT = 1 << 20, 6000
CALLS = passes.ROWS // passes.BATCH * passes.TRANSFORMS


@contextmanager
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def fill(disk: Path, left: int = 0) -> None:
    """Fill a disk but for so many bytes."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - left))


def fill_nearly(disk: Path) -> None:
    fill(disk, LEFT)


def empty(disk: Path) -> None:
    (disk / "ballast").unlink()


def forbid(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def allow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


FAULTS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "full": (fill, empty),
    f"full but for {LEFT} bytes": (fill_nearly, empty),
    "can only be read": (forbid, allow),
}
NEW, IN_IT, RESUMED = "before a pass", "in the middle of a pass", "before a pass goes on"
CASES = [
    *((fault, moment) for moment in (NEW, IN_IT, RESUMED) for fault in list(FAULTS)[:2]),
    *((list(FAULTS)[2], moment) for moment in (NEW, RESUMED)),  # no disk with open files is one
]


def at_a_call(number: int, do: Callable[[], None]) -> Callable[[Any], Any]:
    """Return the model that does something else, too, at one of its calls."""
    calls = iter(range(10**6))

    def model(x: Any) -> Any:
        if next(calls) == number:
            do()
        return passes.model(x)

    return model


def interrupt() -> None:
    raise KeyboardInterrupt


def one_fault(fault: str, moment: str, number: int, expected: Any) -> tuple[int, bool, bool]:
    """Return how many warnings a pass gave, whether its numbers, and a saved result, are whole."""
    harm, mend = FAULTS[fault]
    result = ep.ModelEquivarianceError(n_draws=2000).fit(expected)
    with small_disk() as disk, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path, saved = disk / "orbits.nc", disk / "result.nc"
        result.save(saved)
        before, predict = saved.read_bytes(), passes.model
        if moment == RESUMED:
            with suppress(KeyboardInterrupt):
                evaluate(None, path, predict=at_a_call(number, interrupt))
        if moment == IN_IT:
            predict = at_a_call(number, lambda: harm(disk))
        else:
            harm(disk)
        tables = [evaluate(None, path, predict=predict)]
        try:
            result.save(saved)
            refused = False
        except OSError:
            refused = True
        kept = refused and saved.read_bytes() == before and str(ep.load(saved)) == str(result)
        mend(disk)
        tables.append(evaluate(None, path))
        clean = {p.name for p in disk.iterdir()} == {path.name, saved.name}
    warned = sum("could not be written" in str(warning.message) for warning in said)
    return warned, clean and all(same(table, expected) for table in tables), kept


def harm_disks(log: Log, times: int) -> None:
    """Try every case until there are as many of each in the log."""
    expected = evaluate()
    for fault, moment in CASES:
        found = [f for f in log.of(NAME) if f[:2] == [fault, moment]]
        for k in range(len(found), times):
            number = int(np.random.default_rng([4, k]).integers(8, CALLS - 8))
            log.add(NAME, fault, moment, *one_fault(fault, moment, number, expected))


def rows_of_disks(log: Log) -> list[str]:
    """Return lines of a table: what happened to the disk, when, how often, and what then."""
    rows = []
    for fault, moment in CASES:
        found = [f[2:] for f in log.of(NAME) if f[:2] == [fault, moment]]
        if found:
            once, whole, kept = (
                sum(warned == 1 for warned, *_ in found),
                sum(right for _, right, _ in found),
                sum(old for *_, old in found),
            )
            rows.append(f"| {fault} | {moment} | {len(found)} | {once} | {whole} | {kept} |")
    return rows


if __name__ == "__main__":
    harm_disks(Log(Path(sys.argv[1])), int(sys.argv[2]))
