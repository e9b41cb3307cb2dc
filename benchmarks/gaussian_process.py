"""Would a Gaussian process library do the grid of `methods.GaussianProcess`?

    python -m benchmarks.gaussian_process --rows 100 400 1000

Prints, for one pair of kernels and the sixteen noises of the grid, the time of our one
eigendecomposition, of tinygp given the kernel matrix (a Cholesky factor for each noise), and of
tinygp building the matrix, too; and the time and peak memory of whole fits.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tinygp

import equiprob as ep
from equiprob.task.methods.two_part_kernels import TwoPartKernels
from equiprob.task.methods.two_part_posterior import _NOISES, _evidence, _threads
from equiprob.testing import disc_task

REPEATS = 5


def seconds(call: Callable[[], Any]) -> float:
    """Return the shortest CPU time of a call, compiled beforehand."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def compared(n: int) -> str:
    task = disc_task(n, amplitude=0.3, noise=0.3)
    table = ep.evaluate_orbits(task.f_star, task.x, task.transform, y=task.y, n_transforms=2)
    kernels, y, length = TwoPartKernels.of(table), task.y - task.y.mean(), 0.5
    matrix = kernels.symmetric(length) + kernels.asymmetric(length)
    angle = 2 * np.pi * np.arange(24) / 24
    turns = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turns = np.moveaxis(turns, -1, 0)

    def average(a: Any, b: Any) -> Any:
        return jnp.exp(-((a - turns @ b) ** 2).sum(axis=-1) / (2 * length**2)).mean()

    def whole(a: Any, b: Any) -> Any:
        return jnp.exp(-((a - b) ** 2).sum() / (2 * length**2)) - average(a, b)

    kernel = tinygp.kernels.Custom(average) + tinygp.kernels.Custom(whole)

    @jax.jit
    def given(matrix: Any, noises: Any) -> Any:
        def one(noise: Any) -> Any:
            noisy = matrix + noise * jnp.eye(n)
            process = tinygp.GaussianProcess(kernel, task.x, diag=noise, covariance_value=noisy)
            return process.log_probability(y)

        return jax.lax.map(one, noises)

    @jax.jit
    def built(noises: Any) -> Any:
        return jax.lax.map(
            lambda v: tinygp.GaussianProcess(kernel, task.x, diag=v).log_probability(y), noises
        )

    with _threads(n), jax.enable_x64(True):
        ours = seconds(lambda: _evidence(matrix, y))
        theirs = seconds(lambda: given(matrix, _NOISES).block_until_ready())
        alone = seconds(lambda: built(_NOISES).block_until_ready())
    return (
        f"{n} rows, CPU seconds: ours {ours:.4f}, tinygp given the matrix {theirs:.4f} "
        f"({theirs / ours:.1f} times), building it {alone:.4f} ({alone / ours:.0f} times)"
    )


def fitted(n: int) -> str:
    task = disc_task(n, amplitude=0.3, noise=0.3)
    table = ep.evaluate_orbits(task.f_star, task.x, task.transform, y=task.y, n_transforms=2)
    start, used = time.perf_counter(), time.process_time()
    method = ep.methods.GaussianProcess()
    ep.DataEquivarianceError(method=method).fit(table, law=ep.InvariantLaw())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{n} rows, a whole fit: {time.perf_counter() - start:.1f} s "
        f"({time.process_time() - used:.1f} s of CPU), {memory:.2f} GiB at most so far"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaussian_process")
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 400, 1000])
    for n in parser.parse_args().rows:
        print(fitted(n), flush=True)
        print(compared(n), flush=True)


if __name__ == "__main__":
    main()
