"""What becomes of a pass whose workers are killed? Rows of the page of `benchmarks.faults`.

Workers of a process pool and of Dask, and peers of ``jax.distributed``, are killed (SIGKILL) at a
random moment; the same call is then made again with its checkpoint, and every number compared.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep

ROWS, BATCH, TRANSFORMS = 640, 32, 4
X = np.random.default_rng(0).normal(size=(ROWS, 2))
MATRIX = np.array([[1.0, 0.4], [-0.7, 0.5]])
SLOWEST, SOON = 600, 60


def model(x: Any) -> Any:
    time.sleep(0.01)
    return np.asarray(x) @ MATRIX


def evaluate(
    executor: Any = None,
    path: Path | None = None,
    rows: Any = slice(None),
    *,
    predict: Callable[[Any], Any] = model,
) -> Any:
    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    return ep.evaluate_orbits(
        predict,
        X[rows],
        turn,
        row_ids=np.arange(ROWS)[rows],
        n_transforms=TRANSFORMS,
        batch_size=BATCH,
        keep="rows",
        backend="python",
        progress=False,
        executor=executor,
        checkpoint=path,
        checkpoint_every=0.0,
    )


def same(one: Any, other: Any) -> bool:
    """Whether two tables hold the same numbers, bit by bit."""
    names = ("base", "displacement", "pair_sq")
    return np.array_equal(one.row_ids, other.row_ids) and all(
        np.array_equal(getattr(one.only, name), getattr(other.only, name)) for name in names
    )


@contextmanager
def process_pool() -> Iterator[tuple[Any, Callable[[], list[int]]]]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(abs, range(8)))
        yield pool, lambda: list(pool._processes)


@contextmanager
def dask() -> Iterator[tuple[Any, Callable[[], list[int]]]]:
    from distributed import Client, LocalCluster

    settings: Any = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        warnings.catch_warnings(),
        LocalCluster(**settings, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        warnings.simplefilter("ignore")
        yield client.get_executor(), lambda: list(dict(client.run(os.getpid)).values())


def kill_one(pids: list[int], moment: float) -> threading.Timer:
    """Kill the first of some processes after so many seconds."""

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[0], signal.SIGKILL)

    timer = threading.Timer(moment, kill)
    timer.start()
    return timer


def one_death(pool: Any, expected: Any, moment: float) -> tuple[str, bool]:
    """Kill a worker in a pass; return how the pass ended, and whether the numbers are the same."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "orbits.nc"
        executor, pids = stack.enter_context(pool())
        timer = kill_one(pids(), moment)
        try:
            table, ended = evaluate(executor, path), "went on by itself"
        except RuntimeError as error:
            if "a worker died" not in str(error):
                raise
            ended = "ended with the rows that were lost"
            table = evaluate(None, path)
        timer.cancel()
        return ended, same(table, expected)


PEER = """
import pathlib
import sys
import jax
rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_platforms", "cpu")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)
pathlib.Path(f"{folder}/started-{rank}").touch()
import numpy as np
import equiprob as ep
from benchmarks import worker_faults as w
rows = np.array_split(np.arange(w.ROWS), 2)[rank]
table = ep.gather(w.evaluate(None, w.Path(folder) / f"part-{rank}.nc", rows))
np.save(f"{folder}/found-{rank}.npy", table.only.pair_sq)
"""


def start_peers(folder: str) -> list[subprocess.Popen[Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [
        subprocess.Popen([sys.executable, "-c", PEER, str(rank), port, folder], **quiet)
        for rank in range(2)
    ]


def one_peer(expected: Any, moment: float, rank: int) -> tuple[str, bool]:
    """Kill a peer; return how the other ended, and whether a new start is whole."""
    with tempfile.TemporaryDirectory() as folder:
        peers = start_peers(folder)
        # Before that, they wait for each other as long as JAX does at a start: five minutes.
        while len(list(Path(folder).glob("started-*"))) < 2:
            time.sleep(0.1)
        time.sleep(moment)
        peers[rank].kill()
        began = time.monotonic()
        other = peers[1 - rank]
        other.wait(SLOWEST)  # it must not hang
        peers[rank].wait()
        soon = time.monotonic() - began < SOON
        for peer in start_peers(folder):
            if peer.wait(SLOWEST):
                return "a new start failed", False
        found = [np.load(f"{folder}/found-{r}.npy") for r in range(2)]
        whole = all(np.array_equal(one, expected.only.pair_sq) for one in found)
        return f"the other ended {'within' if soon else 'after more than'} {SOON} s", whole


class Log:
    """What was found, kept in a file line by line: these runs are long, and are killed, too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, what: str) -> list[list[Any]]:
        """Return what was found of one kind of deaths."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [found for name, *found in map(json.loads, lines) if name == what]

    def add(self, what: str, *found: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([what, *found]) + "\n")


POOLS = {"a process of a pool": process_pool, "a process of Dask": dask}
PEERS = {f"process {rank} of 2 of `jax.distributed`": rank for rank in range(2)}


def kill_workers(log: Log, deaths: int, peers: int) -> None:
    """Kill workers and peers until there are as many of each in the log."""
    expected = evaluate()
    for name, pool in POOLS.items():
        for k in range(len(log.of(name)), deaths):
            moment = np.random.default_rng([2, k]).uniform(0.2, 3)
            log.add(name, *one_death(pool, expected, moment))
    for name, rank in PEERS.items():
        for k in range(len(log.of(name)), peers):
            moment = np.random.default_rng([3, k]).uniform(0, 6)
            log.add(name, *one_peer(expected, moment, rank))


def rows_of_page(log: Log) -> list[str]:
    """Return lines of a table: what was killed, how often, how passes ended, identical results."""
    return [_line(name, found) for name in (*POOLS, *PEERS) if (found := log.of(name))]


def _line(name: str, found: list[list[Any]]) -> str:
    ended = [words for words, _ in found]
    counted = "; ".join(f"{ended.count(words)} {words}" for words in dict.fromkeys(ended))
    return f"| {name} | {len(found)} | {counted} | {sum(whole for _, whole in found)} |"


if __name__ == "__main__":
    kill_workers(Log(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
