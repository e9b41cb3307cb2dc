"""What does a pass cost, against the bare passes and against loops?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

import equiprob as ep
from benchmarks.performance import torch_models
from benchmarks.performance.models import Timed
from equiprob.orbits.backend_choice import choose_backend

Work = Callable[[], Any]


def seconds(work: Work) -> float:
    """Return the processor time of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


@dataclass(frozen=True)
class Ratios:
    """Processor times over those of the bare passes, of interleaved repetitions.

    Args:
        name: The model.
        each: Ratios by the kind of work.
        bare: Microseconds of one bare pass of one row, the median.
    """

    name: str
    each: dict[str, np.ndarray]
    bare: float

    def median(self, kind: str) -> float:
        return float(np.median(self.each[kind]))

    def words(self, kind: str) -> str:
        if kind not in self.each:
            return "-"
        low, middle, high = np.quantile(self.each[kind], [0.25, 0.5, 0.75])
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def chunks(model: Timed) -> list[np.ndarray]:
    return [model.x[i : i + model.batch] for i in range(0, len(model.x), model.batch)]


def our_pass(model: Timed, m: int, *, chosen: bool = False) -> Work:
    """Return the whole call; where `chosen`, it chooses the rows of each call of the model."""
    return lambda: ep.evaluate_orbits(
        model.predict,
        model.x,
        model.transform,
        n_transforms=m,
        batch_size=None if chosen else model.batch,
        backend=model.backend,
        keep="rows",
        progress=False,
    )


def bare_passes(model: Timed, m: int) -> Work:
    predict = jax.jit(model.predict) if model.backend == "jax" else model.predict

    def work() -> None:
        for chunk in chunks(model):
            for output in [predict(chunk) for _ in range(m + 1)]:
                np.asarray(output)

    return work


def shared_step(model: Timed) -> Callable[..., Any]:
    """Return what a loop computes for one transformation: the output, taken back."""
    if model.moved is not None:
        there, home = model.moved
        return lambda chunk, angle: home(model.predict(there(chunk, angle)), angle)
    transform, batch = model.transform, model.x[: model.batch]
    acting = transform.on(batch, jax.eval_shape(model.predict, batch))
    run = jax.jit(lambda moves, chunk: moves.around(model.predict, chunk))
    return lambda chunk, parameter: run(acting.at(parameter), chunk)


def loop(model: Timed, m: int, *, cached: bool) -> Work:
    """The usual loop: one list of transformations, shared by all rows."""
    predict = jax.jit(model.predict) if model.backend == "jax" else model.predict
    step = shared_step(model)
    uniforms = np.random.default_rng(0).random((m, model.transform.n_uniforms))
    parameters = model.transform.parameters(uniforms)
    if model.moved is not None:
        parameters = parameters[:, 0]

    def work() -> np.ndarray:
        total = np.zeros(m)
        for chunk in chunks(model):
            base = np.asarray(predict(chunk))
            for j, parameter in enumerate(parameters):
                if not cached:
                    base = np.asarray(predict(chunk))
                total[j] += float(((np.asarray(step(chunk, parameter)) - base) ** 2).sum())
        return total / len(model.x)

    return work


def e3nn_test(model: Timed, m: int) -> Work:
    """e3nn-jax's own function: one rotation of the whole batch, and f(x) anew, in each call."""
    import e3nn_jax as e3nn

    def of_arrays(points: Any) -> Any:
        return e3nn.IrrepsArray("4x0e", model.predict(points.array))

    @jax.jit
    def run(key: Any, chunk: Any) -> Any:
        one, other = e3nn.utils.equivariance_test(of_arrays, key, e3nn.IrrepsArray("1o", chunk))
        return abs(one.array - other.array).max()

    keys = jax.random.split(jax.random.key(0), m)
    return lambda: [float(run(key, chunk)) for chunk in chunks(model) for key in keys]


def measured(model: Timed, m: int, repeats: int) -> Ratios:
    """Time everything that the model can be put to, in turn."""
    works = {
        "ours": our_pass(model, m),
        "cached": loop(model, m, cached=True),
        "recomputed": loop(model, m, cached=False),
    }
    if "e3nn" in model.name:
        works["peer"] = e3nn_test(model, m)
    if model.name == torch_models.NAME and find_spec("equivariance_regularizer"):
        works["peer"] = torch_models.regularizer(model, m)
    bare = bare_passes(model, m)
    for work in (*works.values(), bare):
        work()
    times: dict[str, list[float]] = {kind: [] for kind in works}
    floors = [seconds(bare)]
    for _ in range(repeats):
        for kind, work in works.items():
            own = seconds(work)
            floors.append(seconds(bare))
            # The floor on both sides of it: the machine is shared and drifts.
            times[kind].append(own / np.mean(floors[-2:]))
    each = {kind: np.array(values) for kind, values in times.items()}
    return Ratios(model.name, each, 1e6 * float(np.median(floors)) / ((m + 1) * len(model.x)))


def temporary_memory(model: Timed, m: int) -> tuple[float, float]:
    """Return the temporary MiB of our program for one chunk, and of the bare pass."""
    chunk = model.x[: model.batch]
    engine: Any = choose_backend(model.predict, model.transform, chunk, "jax")
    run, calls = engine._run, []
    engine._run = lambda *arguments: calls.append(arguments) or run(*arguments)
    uniforms = np.random.default_rng(0).random((len(chunk), m, model.transform.n_uniforms))
    ids = np.arange(len(chunk), dtype=np.uint64)
    engine.evaluate(chunk, model.transform.parameters(uniforms), ids)
    lowered = run.lower(*calls[0]), jax.jit(model.predict).lower(chunk)
    ours, plain = (low.compile().memory_analysis().temp_size_in_bytes / 2**20 for low in lowered)
    return ours, plain
