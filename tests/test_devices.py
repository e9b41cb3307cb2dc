"""JAX models over all local devices, and over processes that each evaluate some of the rows."""

import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils
from refusals import refuses

import equiprob as ep
from equiprob.orbits import jax_backend

rng = np.random.default_rng(0)
N = 101
X = rng.normal(size=(N, 2)).astype(np.float32)
Y = rng.normal(size=(N, 2))
W = rng.normal(size=(2, 2)).astype(np.float32)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def predict(x):
    return jnp.tanh(x @ W)


def evaluate(rows, keep, predict=predict):
    return ep.evaluate_orbits(
        predict,
        X[rows],
        TURN,
        y=Y[rows],
        row_ids=rows,
        n_transforms=5,
        batch_size=16,  # no multiple of the devices
        keep=keep,
        backend="jax",
        progress=False,
    )


def numbers(table):
    statistics = vars(table.moments)
    found = {k: v for k, v in statistics.items() if isinstance(v, np.ndarray)}
    return found | {"row_ids": table.row_ids, "float_floor": np.array(statistics["float_floor"])}


def devices_used(run):
    """Wrap a compiled pass such that it notes where its results are."""
    used = set()

    def noting(*arguments):
        results = run(*arguments)
        used.update(d.id for leaf in jax.tree.leaves(results) for d in leaf.sharding.device_set)
        return results

    return noting, used


def main(process, n_processes, port, result):
    """Evaluate the rows of one process, and write the table of all."""
    if n_processes > 1:
        jax.distributed.initialize(f"localhost:{port}", n_processes, process)
    rows = np.array_split(np.arange(N), n_processes)[process]
    made, used = jax_backend.compiled, set()

    def compiled(*arguments):
        run, used_here = devices_used(made(*arguments))
        used_by.append(used_here)
        return run

    used_by = []
    jax_backend.compiled = compiled
    tables = {keep: ep.gather(evaluate(rows, keep)) for keep in ("rows", "blocks")}
    fixed = jax.device_put(W, jax.local_devices()[-1])  # a model that chose its device
    evaluate(rows, "rows", lambda x: jnp.tanh(x @ fixed))
    used = [len(used_here) for used_here in used_by]
    found = {f"{keep}/{k}": v for keep, table in tables.items() for k, v in numbers(table).items()}
    np.savez(result, used=used, **found)


def run(n_processes, n_devices, folder):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={n_devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    paths = [folder / f"{i}.npz" for i in range(n_processes)]
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(i), str(n_processes), str(port), str(path)],
            env=environment,
        )
        for i, path in enumerate(paths)
    ]
    assert [process.wait(timeout=600) for process in started] == [0] * n_processes
    return [np.load(path) for path in paths]


def assert_same(found, keep, expected):
    for name, values in numbers(expected).items():
        other = found[f"{keep}/{name}"]
        if name == "float_floor":  # found on each process's own rows
            assert 0.3 < other / values < 3
        elif keep == "rows" or name in ("row_ids", "n_nonfinite"):
            np.testing.assert_allclose(other, values, rtol=1e-5, atol=1e-6, err_msg=name)
        else:  # components of blocks beyond the output's are spread, whose signs mean nothing
            total = (values**2).reshape(len(values), -1).sum(axis=1)
            squares = (other**2).reshape(len(other), -1).sum(axis=1)
            np.testing.assert_allclose(squares, total, rtol=1e-4, atol=1e-6, err_msg=name)


def test_devices_and_processes_give_the_same_numbers(tmp_path):
    for found in run(2, 3, tmp_path):
        assert list(found["used"]) == [3, 3, 1]
        for keep in ("rows", "blocks"):
            assert_same(found, keep, evaluate(np.arange(N), keep))
            with pytest.raises(AssertionError):  # a twin: one row short
                assert_same(found, keep, evaluate(np.arange(N - 1), keep))


def test_one_process_gathers_its_own_table():
    table = evaluate(np.arange(20), "rows")
    assert ep.gather(table) is table


def test_a_process_that_is_gone_is_said_with_what_to_do(monkeypatch):
    def lost(values):
        raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: GetKeyValue() timed out")

    table = evaluate(np.arange(N), "rows")
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", lost)
    with refuses("2 processes", "one of them has ended", "checkpoint=", error=RuntimeError):
        ep.gather(table)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
