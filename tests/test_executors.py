"""Chunks that others evaluate: the same numbers, in bounded memory, and clear words for losses."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.orbits import workers
from equiprob.orbits.storage.archive import read_arrays

rng = np.random.default_rng(0)
N = 120
X = rng.normal(size=(N, 2))
Y = rng.normal(size=(N, 2))
W = np.array([[1.0, 0.4], [-0.7, 0.5]])
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def linear(x):
    return x @ W


class Dies:
    """A model that takes its process with it on one row, as long as a file is there."""

    def __init__(self, row, while_there):
        self.row, self.while_there = row, while_there

    def __call__(self, x):
        if (x == X[self.row]).all(axis=1).any() and os.path.exists(self.while_there):
            os._exit(1)
        return linear(x)


class Raises:
    def __init__(self, row):
        self.row = row

    def __call__(self, x):
        if (x == X[self.row]).all(axis=1).any():
            raise OverflowError("too large")
        return linear(x)


class Shortens:
    def __call__(self, x):
        return x[:-1]


def evaluate(executor=None, predict=linear, x=X, y=Y, **arguments):
    settings = {"batch_size": 16, "n_transforms": 4, "progress": False} | arguments
    return ep.evaluate_orbits(predict, x, TURN, y=y, executor=executor, **settings)


def assert_same(table, expected, rtol=1e-12):
    np.testing.assert_array_equal(table.row_ids, expected.row_ids)
    assert table.floor_method == expected.floor_method
    for name, value in vars(expected.moments).items():
        found = getattr(table.moments, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(found, value, rtol=rtol, atol=1e-12, err_msg=name)
        else:
            assert found == value


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


# ---- the same numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("keep", ["all", "blocks"])
@pytest.mark.parametrize("backend", ["python", "jax"])
def test_threads_give_the_same_numbers(keep, backend):
    settings = {"keep": keep, "backend": backend, "x": X.astype(np.float32)}
    with ThreadPoolExecutor(3) as pool:
        assert_same(evaluate(pool, **settings), evaluate(**settings))


def test_processes_give_the_same_numbers(processes):
    assert_same(evaluate(processes), evaluate())


def test_jax_models_go_to_processes_too(processes):
    x = X.astype(np.float32)
    here, there = (evaluate(by, x=x, backend="jax") for by in (None, processes))
    assert there.backend == "jax"
    assert_same(there, here, rtol=1e-5)


def test_the_test_of_same_numbers_has_power(processes):
    with pytest.raises(AssertionError):
        assert_same(evaluate(processes, seed=1), evaluate())


def test_streams_and_rules_and_groups(processes):
    def batches():
        for start in range(0, N, 25):
            yield X[start : start + 25], Y[start : start + 25]

    groups = np.arange(N) // 3
    settings = {"y": None, "keep": "blocks", "groups": groups}
    assert_same(evaluate(processes, x=batches(), **settings), evaluate(x=batches(), **settings))
    rule = {"stop_when": lambda table: "enough" if len(table) >= 48 else None}
    table = evaluate(processes, **rule)
    assert (len(table), table.stopped) == (48, "enough")
    assert_same(table, evaluate(**rule))


# ---- a bounded number of chunks under way ---------------------------------------------------


class Lazy(Executor):
    """Evaluates nothing until a result is asked for, and counts what waits."""

    def __init__(self):
        self.waiting, self.most = 0, 0

    def submit(self, function, *arguments):
        executor = self

        class Later(Future):
            def result(self, timeout=None):
                executor.waiting -= 1
                return function(*arguments)

        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Later()


def test_chunks_under_way_are_bounded(monkeypatch):
    monkeypatch.setattr(workers, "IN_FLIGHT", 3)
    taken = []

    def batches():
        for start in range(0, N, 4):
            taken.append(executor.waiting)
            yield X[start : start + 4]

    executor = Lazy()
    table = evaluate(executor, x=batches(), y=None, batch_size=4)
    assert len(table) == N
    assert executor.most == 3
    assert max(taken) < 3
    assert taken[:3] == [0, 0, 1]  # the first by itself: it finds the floor of rounding


# ---- what fails -----------------------------------------------------------------------------


def test_a_model_that_raises_elsewhere_is_named_as_here(processes):
    for executor in (None, processes):
        with refuses("OverflowError on rows 64 to 79: too large", error=RuntimeError):
            evaluate(executor, Raises(70))
    here, there = (evaluate(by, Raises(70), on_error="skip") for by in (None, processes))
    assert here.skipped == there.skipped
    assert_same(here, there)


def test_what_cannot_be_sent_says_so(processes):
    held = threading.Lock()

    def predict(x):
        with held:
            return linear(x)

    with refuses("cannot be sent to other processes", "ThreadPoolExecutor", error=TypeError):
        evaluate(processes, predict)
    with ThreadPoolExecutor(2) as pool:
        assert_same(evaluate(pool, predict), evaluate())


def test_what_does_not_fit_is_refused_as_here(processes):
    with refuses("changed the batch"):
        evaluate(processes, Shortens())


class Exits:
    """A model that ends its process in order."""

    def __call__(self, x):
        if (x == X[70]).all(axis=1).any():
            raise SystemExit(3)
        return linear(x)


def test_an_exit_in_a_worker_does_not_end_this_process():
    with (
        ThreadPoolExecutor(2) as pool,
        refuses("SystemExit on rows 64 to 79: 3", error=RuntimeError),
    ):
        evaluate(pool, Exits())


def test_an_executor_that_was_shut_down_is_no_death():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with refuses("was shut down", "rows 0 to 15", error=RuntimeError) as found:
        evaluate(pool)
    assert "died" not in str(found.value)
    cancelled = Lazy()
    cancelled.submit = lambda *arguments: _cancelled()
    with refuses("CancelledError", "was shut down", error=RuntimeError):
        evaluate(cancelled)


def _cancelled():
    future = Future()
    future.cancel()
    return future


def in_a_fork(call):
    """Return what a call says in a fork of this process, in which JAX has started."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of JAX and of Python: that is what is tried
        child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            said = str(call())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said[:500].encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_calls_in_a_fork_are_refused_before_they_hang():
    """A worker of a data loader is one; what needs no JAX works there."""
    table = evaluate()
    fit = ep.ModelEquivarianceError(n_draws=21).fit
    for call in (
        evaluate,
        lambda: fit(table),
        lambda: ep.compare({"a": table, "b": table}, n_draws=20),
    ):
        said = in_a_fork(call)
        assert said.startswith("RuntimeError: this process was forked"), said
        assert "multiprocessing_context='spawn'" in said
    assert in_a_fork(lambda: len(table.finite)) == str(N)


def test_executors_that_fork_are_refused_before_they_hang():
    """On Linux with Python 3.12 and 3.13 it is what ProcessPoolExecutor() does by default."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        with refuses("forks this process", "never return", "'spawn'"):
            evaluate(pool)
        assert not pool._processes, "no worker was started"
    with ProcessPoolExecutor(1) as pool:
        default = multiprocessing.get_start_method()
        if default == "fork":
            with refuses("forks this process"):
                evaluate(pool)


# ---- the end of a pass ----------------------------------------------------------------------


class Counts:
    """A model that keeps state: each process adds a little with each call."""

    def __init__(self, step):
        self.calls, self.step = 0, step

    def __call__(self, x):
        self.calls += 1
        return linear(x) + self.step * max(self.calls - 12, 0)


def test_a_model_that_changes_in_its_processes_is_noticed_at_the_end(processes, tmp_path):
    path = tmp_path / "orbits.nc"
    with refuses("predict changed during the pass", "state", "ProcessPoolExecutor"):
        evaluate(processes, Counts(1.0), backend="python", checkpoint=path)
    assert not path.exists(), "what it holds is of a model that changed"
    assert_same(evaluate(processes, Counts(0.0), backend="python"), evaluate())  # the twin


def test_a_worker_that_dies_loses_nothing_that_was_done(processes, tmp_path):
    """The last of the tests with these processes, which it ends."""
    lock, path = tmp_path / "deadly", tmp_path / "orbits.nc"
    lock.touch()
    predict = Dies(40, lock)
    words = "the executor lost rows", "BrokenProcessPool", "a worker died", "checkpoint="
    with refuses(*words, error=RuntimeError):
        evaluate(processes, predict, checkpoint=path)
    lock.unlink()
    assert read_arrays(path)[1]["store"]["done"] in (16, 32)
    assert_same(evaluate(None, predict, checkpoint=path), evaluate())


# ---- Dask -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask's own, about ports and clocks
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


def test_two_workers_of_dask_give_the_same_numbers(cluster):
    by = cluster.get_executor()
    assert_same(evaluate(by), evaluate())
    assert_same(evaluate(by, lambda x: x @ W), evaluate())
    with refuses("OverflowError on rows 64 to 79", error=RuntimeError):
        evaluate(by, Raises(70))


# ---- MPI ------------------------------------------------------------------------------------


MPI_SCRIPT = """
import numpy as np
from mpi4py.futures import MPIPoolExecutor

import test_executors as shared

if __name__ == "__main__":
    alone = shared.evaluate(backend="python")
    with MPIPoolExecutor() as pool:
        assert pool.num_workers == 2
        table = shared.evaluate(pool, backend="python")
    np.testing.assert_array_equal(table.only.pair_sq, alone.only.pair_sq)
    print("the same numbers")
"""


def test_two_workers_of_mpi_give_the_same_numbers(tmp_path):
    pytest.importorskip("mpi4py", reason="MPI is not installed")
    launcher = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if launcher is None:
        pytest.skip("there is no mpiexec")
    script = tmp_path / "evaluate.py"
    script.write_text(MPI_SCRIPT)
    command = [launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, env=here, capture_output=True, text=True, timeout=300)
    assert "the same numbers" in done.stdout, done.stderr
