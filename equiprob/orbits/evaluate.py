"""The one pass over the model: every estimator is fitted to what it returns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.orbits.accumulate import ChunkStatistics, MagnitudeBins
from equiprob.orbits.backends import AbstractBackend, JaxBackend, Noise, choose_backend
from equiprob.orbits.designs import Design, make_design
from equiprob.orbits.keys import Ids, content_ids, label_ids
from equiprob.orbits.output import Measure, Output, measures, without_padding
from equiprob.orbits.outputs import (
    are_labels,
    check_probabilities,
    checked_targets,
    encoded,
    is_numeric,
    named_outputs,
    named_targets,
)
from equiprob.orbits.rounding import (
    IN_QUESTION,
    PROBED_ROWS,
    PROBED_TRANSFORMS,
    float64_floors,
    is_low_precision,
)
from equiprob.orbits.table import FloorMethod, OrbitTable, RowStatistics, describe_rows
from equiprob.transforms.base import AbstractTransform, leaf_names

_BATCH = 128
"""Rows in a chunk by default: larger chunks are slower on CPU and need more memory."""

_MOST_KEPT = 2**23
"""Numbers up to which keep="auto" keeps all displacements (64 MiB)."""

_SLOW_SECONDS = 4.0
"""A pass expected to take longer shows a progress bar."""


def evaluate_orbits(
    predict: Callable[..., Any],
    x: Any,
    transform: AbstractTransform,
    *,
    y: Any = None,
    n_transforms: int = 16,
    design: str = "quasi",
    seed: int = 0,
    batch_size: int | None = None,
    groups: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    keep: str | Sequence[float] = "auto",
    noise_repeats: int = 1,
    outputs: Output | Mapping[str, Output] | None = None,
    backend: str = "auto",
    progress: bool | None = None,
    executor: Any = None,
    checkpoint: Any = None,
    on_error: str = "raise",
    stop_when: Callable[[OrbitTable], str | None] | None = None,
) -> OrbitTable:
    """Evaluate a model on its inputs and on random transformations of them, once.

    Args:
        predict: ``predict(batch) -> output``, rows first: an array ``(row, ...)`` or a dict of
            such. It must be deterministic, or `noise_repeats` given. Class probabilities, not
            logits, where `y` holds labels.
        x: The inputs: an array or a dict (pytree) of arrays, rows first. Not rows that the model
            was trained on.
        transform: The distribution over transformations and how they act.
        y: The targets, shaped like the output (a dict of some of its names for several outputs), or
            integer class labels ``(row,)``.
        n_transforms: Transformations for each row.
        design: ``"quasi"`` (two independently shifted lattices for each row; a finite set with no
            more than `n_transforms` elements is evaluated in full), ``"random"``, ``"crossed"``
            (one list shared by all rows, for profiles over transformations) or ``"full"``.
        seed: Seed of the transformations, which depend on it and on row ids alone.
        batch_size: Rows in each call of `predict`; at most 128 when left out.
        groups: A label for each row; rows of a group are one independent unit (frames of a
            trajectory, crops of an image).
        row_ids: A unique label for each row (integers or strings). When left out, a hash of its
            content in `x` and `y`: give labels where tables with and without `y` must be paired.
        keep: ``"all"`` keeps every displacement, ``"rows"`` only row statistics, ``"auto"`` all
            below 64 MiB; a sequence of magnitudes keeps sums up to each (for ``paths.Range``).
        noise_repeats: Calls on each input of a model that is random (dropout left on, a sampler),
            at least 2: the noise between calls is taken off the error. The model may take keys,
            ``predict(batch, keys)`` with a JAX key for each row, and then does not depend on the
            batch size; otherwise its randomness is its own. Without `y`.
        outputs: Units, padding and counts of the output, ``ep.Output(unit="eV")``, or a dict of
            such for some of several outputs.
        backend: ``"auto"``, ``"jax"`` (one compiled pass) or ``"python"`` (any callable).
        progress: Show a progress bar; when left out, where the pass takes more than a few seconds.
        executor: Reserved.
        checkpoint: Reserved.
        on_error: ``"raise"``.
        stop_when: Reserved.

    Returns:
        The orbit table.

    Raises:
        ValueError: If inputs, targets, ids, counts or declared actions do not fit (the message says
            what was expected and what to pass), if `x` is not finite, or if `predict` is not
            repeatable or changes the number of rows.
        TypeError: If `predict` does not return arrays of floats, or `transform` is no transform.
        RuntimeError: If `predict` raises; the message names the rows.
        NotImplementedError: For the reserved arguments.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs.

    References:
        The design and its variance reduction: Owen, "Monte Carlo theory, methods and examples",
        chapter 17 (randomly shifted lattices).
    """
    _refuse_reserved(executor, checkpoint, on_error, stop_when)
    if not isinstance(transform, AbstractTransform):
        raise TypeError(
            f"transform must be made by a function of ep.transforms, such as "
            f"ep.transforms.rotations2d(), got {transform!r}"
        )
    n = check_inputs(x)
    size = check_batch_size(batch_size, n)
    plan = make_design(transform, design, n_transforms, check_seed(seed))
    noise = Noise.of(predict, noise_repeats, seed)
    if noise is not None and y is not None:
        raise ValueError(
            "risks of a stochastic model are not separated from its noise: leave y out, or pass "
            "the mean of several calls as predict"
        )
    x_host = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), x)
    y = checked_targets(without_padding(y, outputs), n)
    ids = ids_of_rows(row_ids, x_host, y, n)
    units = ids if groups is None else units_of_rows(groups, n)
    table = evaluate_rows(
        predict,
        x_host,
        transform,
        y=y,
        ids=ids,
        units=units,
        plan=plan,
        size=size,
        noise=noise,
        keep=keep,
        declared=outputs,
        backend=backend,
        progress=progress,
    )
    return replace(table, x=x, grouped=groups is not None)


def evaluate_rows(
    predict: Callable[..., Any],
    x_host: Any,
    transform: AbstractTransform,
    *,
    y: Any,
    ids: Ids,
    units: Ids,
    plan: Design,
    size: int,
    noise: Noise | None,
    keep: str | Sequence[float],
    backend: str,
    progress: bool | None,
    declared: Output | Mapping[str, Output] | None = None,
) -> OrbitTable:
    """Make the pass over rows whose ids are known (see `evaluate_orbits`, which checks inputs)."""
    n = len(ids)
    first = take_rows(x_host, slice(0, size))
    with naming_rows(0, size):
        engine = choose_backend(predict, transform, first, backend, noise)
    outputs = named_outputs(engine.output, size)
    given = named_targets(y, outputs)
    kept = measures(declared, {name: (n, *s.shape[1:]) for name, s in outputs.items()})
    targets = {name: encoded(given[name], shape) for name, shape in outputs.items()}
    bins = MagnitudeBins.of(*transform.magnitude_law())
    ranges, keep_raw = _check_keep(keep, n * plan.n_transforms, outputs)

    parts: dict[str, list[RowStatistics]] = {name: [] for name in outputs}
    for start, stop in _chunks(n, size, progress):
        chunk = _chunk(
            engine,
            x_host,
            ids,
            plan,
            transform,
            list(kept.values()),
            slice(start, stop),
            size if engine.pads else None,
            probe=start == 0 and noise is None,
        )
        calls, blocks, parameters, floors = chunk
        magnitudes, part = transform.magnitude(parameters), transform.part(parameters)
        for (name, shape), values in zip(outputs.items(), calls, strict=True):
            if are_labels(given[name]):
                check_probabilities(name, values[0], shape.dtype, start)
        accumulators = [
            ChunkStatistics(c, plan, magnitudes, bins, part, len(transform.parts), ranges, keep_raw)
            for c in calls
        ]
        with naming_rows(start, stop):
            for block in blocks:
                each = zip(accumulators, block, kept.values(), strict=True)
                for accumulator, leaf, measure in each:
                    flat = _flat(leaf, rows=stop - start, leading=2)
                    accumulator.add(measure.kept(flat, slice(start, stop)))
        for (name, shape), accumulator, floor in zip(
            outputs.items(), accumulators, floors, strict=True
        ):
            target, measure, rows = targets[name], kept[name], slice(start, stop)
            y_kept = None if target is None else measure.kept(target[rows], rows)
            found = accumulator.finish(y_kept, tuple(shape.shape[1:]), floor)
            weight = None if measure.weight is None else measure.weight[rows]
            parts[name].append(
                replace(found, weight=weight, unit=measure.unit, n_components=measure.n_components)
            )

    statistics = {name: RowStatistics.concatenate(chunks) for name, chunks in parts.items()}
    statistics, floor_method = _with_floors(
        statistics, engine, predict, transform, x_host, ids, plan, list(kept.values())
    )
    return OrbitTable(
        statistics=statistics,
        floor_method=floor_method,
        row_ids=ids,
        unit_ids=units,
        grouped=not np.array_equal(ids, units),
        design=plan,
        transform=transform,
        x=x_host,
        count=np.full(n, plan.n_transforms, dtype=np.int64),
        bin_magnitude=bins.magnitude,
        range_magnitudes=ranges,
        backend=engine.name,
        noise_repeats=1 if noise is None else noise.repeats,
    )


def _chunk(
    engine: AbstractBackend,
    x: Any,
    ids: Ids,
    plan: Design,
    transform: AbstractTransform,
    kept: list[Measure],
    rows: slice,
    pad_to: int | None,
    *,
    probe: bool,
) -> tuple[list[Any], Iterator[list[Any]], NDArray[np.float64], list[float]]:
    """Evaluate one chunk: calls on the rows, blocks of outputs, parameters, rounding floors.

    The floors are those of the first chunk; a stochastic model has none.

    A short chunk is padded with copies of its first row, whose outputs are dropped.
    """
    index = np.arange(rows.start, rows.stop)
    n = len(index)
    if pad_to is not None and n < pad_to:
        index = np.concatenate([index, np.full(pad_to - n, rows.start)])
    part = take_rows(x, slice(rows.start, rows.stop) if len(index) == n else index)
    parameters = plan.parameters(transform, ids[index])
    with naming_rows(rows.start, rows.stop):
        raw, blocks = engine.evaluate(part, parameters, probe=probe, ids=ids[index])
    pairs = zip(raw, kept, strict=True)
    passes = [measure.kept(_flat(leaf, rows=n, leading=2), rows) for leaf, measure in pairs]
    floors = [_floor(p, leaf.dtype) if probe else 0.0 for p, leaf in zip(passes, raw, strict=True)]
    calls = [p[:1] if probe else p for p in passes]
    return calls, blocks, parameters[:n], floors


def _with_floors(
    statistics: dict[str, RowStatistics],
    engine: AbstractBackend,
    predict: Callable[..., Any],
    transform: AbstractTransform,
    x: Any,
    ids: Ids,
    plan: Design,
    kept: list[Measure],
) -> tuple[dict[str, RowStatistics], FloorMethod]:
    """Replace the rounding floors by those of a float64 pass, where that is possible and needed."""
    probed = np.argsort(ids)[:PROBED_ROWS]
    rows = take_rows(x, probed)
    floors = [s.float_floor for s in statistics.values()]
    in_question = any(
        (s.n_nonfinite == 0).any()
        and np.sqrt(s.pair_sq[s.n_nonfinite == 0].mean()) <= IN_QUESTION * s.float_floor
        for s in statistics.values()
    )
    if not (isinstance(engine, JaxBackend) and in_question and is_low_precision(x)):
        return statistics, "perturbation"
    parameters = plan.parameters(transform, ids[probed])[:, :PROBED_TRANSFORMS]
    factors = [None if m.factor is None else m.factor[probed] for m in kept]
    measured = float64_floors(predict, transform, rows, parameters, floors, factors)
    if measured is None:
        return statistics, "perturbation"
    named = zip(statistics.items(), measured, strict=True)
    return {name: replace(s, float_floor=floor) for (name, s), floor in named}, "float64 pass"


def _floor(passes: NDArray[np.float64], dtype: Any) -> float:
    """Return the rms change of an output under one rounding of the input and of itself."""
    base, probed = passes
    finite = np.isfinite(base).all(axis=1) & np.isfinite(probed).all(axis=1)
    if not finite.any():
        return 0.0
    eps = float(jnp.finfo(dtype).eps)
    changed = ((probed[finite] - base[finite]) ** 2).sum(axis=1).mean()
    size = (base[finite] ** 2).sum(axis=1).mean()
    return float(np.sqrt(changed + eps**2 * size))


def _flat(leaf: Any, *, rows: int, leading: int) -> NDArray[np.float64]:
    """Return ``(..., row, k)`` in float64, padding rows dropped."""
    array = np.asarray(leaf)
    return array.reshape(*array.shape[:leading], -1)[:, :rows].astype(np.float64)


def take_rows(x: Any, rows: Any) -> Any:
    """Return rows of every leaf."""
    return jax.tree.map(lambda leaf: leaf[rows], x)


class naming_rows:
    """Says which rows a failing prediction was given."""

    def __init__(self, start: int, stop: int) -> None:
        """Name the rows from `start` up to, and without, `stop`."""
        self._rows = f"rows {start} to {stop - 1}"

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Raise what the model raised, with the rows' names."""
        # What fails inside a compiled program surfaces in the frame that runs or fetches it.
        compiled = isinstance(error, jax.errors.JaxRuntimeError)
        ours = not compiled and traceback is not None and _raised_by_us(traceback)
        if isinstance(error, Exception) and not ours:
            raise RuntimeError(
                f"predict raised {type(error).__name__} on {self._rows}: {error}"
            ) from error


def _raised_by_us(traceback: Any) -> bool:
    """Whether the innermost frame is the package's own code."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return str(traceback.tb_frame.f_globals.get("__name__", "")).startswith("equiprob.")


def _chunks(n: int, size: int, progress: bool | None) -> Iterator[tuple[int, int]]:
    """Yield the bounds of each chunk, with a progress bar where the work is long."""
    starts = list(range(0, n, size))
    bar = None
    began = time.monotonic()
    for done, start in enumerate(starts):
        if bar is None and progress is not False:
            if done == 1:
                began = time.monotonic()  # the first chunk compiles: it says nothing of the rest
            each = (time.monotonic() - began) / max(done - 1, 1)
            slow = done >= 2 and each * (len(starts) - done) > _SLOW_SECONDS
            if progress or slow:
                from tqdm import tqdm

                bar = tqdm(total=n, initial=start, unit="row", desc="orbits", file=sys.stderr)
        yield start, min(start + size, n)
        if bar is not None:
            bar.update(min(size, n - start))
    if bar is not None:
        bar.close()


def _refuse_reserved(executor: Any, checkpoint: Any, on_error: str, stop_when: Any) -> None:
    for name, value in {
        "executor": executor,
        "checkpoint": checkpoint,
        "stop_when": stop_when,
    }.items():
        if value is not None:
            raise NotImplementedError(f"{name}= is not available yet; leave it out")
    if on_error == "skip":
        raise NotImplementedError("on_error='skip' is not available yet; leave it out")
    if on_error != "raise":
        raise ValueError(f"on_error must be 'raise', got {on_error!r}")


def check_inputs(x: Any) -> int:
    """Return the number of rows of finite numeric arrays, rows first; raise where they are not."""
    leaves, names = jax.tree.leaves(x), leaf_names(x)
    if not leaves:
        raise ValueError("x holds no arrays; pass an array or a dict of arrays, rows first")
    lengths: dict[str, int] = {}
    for name, leaf in zip(names, leaves, strict=True):
        array = np.asarray(leaf)
        if array.ndim == 0 or not is_numeric(array.dtype):
            raise ValueError(
                f"x{name} must be an array of numbers with rows first, got "
                f"{type(leaf).__name__} of dtype {array.dtype} and shape {array.shape}"
            )
        lengths[f"x{name}"] = len(array)
        if len(array) and jnp.issubdtype(array.dtype, jnp.inexact):
            bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if bad.any():
                raise ValueError(
                    f"x{name} is not finite (NaN or infinity) in rows "
                    f"{describe_rows(np.flatnonzero(bad))}; drop or mend these rows"
                )
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the leaves of x have different numbers of rows: {lengths}")
    n = next(iter(lengths.values()))
    if n < 2:
        raise ValueError(f"x has {n} row(s); an interval needs at least 2")
    return n


def check_batch_size(batch_size: int | None, n: int) -> int:
    """Return the rows in a chunk, at most 128 where none is given."""
    if batch_size is None:
        return -(-n // -(-n // _BATCH))  # equal chunks, so that little is padded
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
    return min(int(batch_size), n)


def check_seed(seed: int) -> int:
    """Return a 32-bit seed; raise where it is none."""
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}")
    return int(seed)


def _check_labels(labels: ArrayLike, name: str, n: int) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of the {n} rows, got {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} holds NaN; pass integers or strings")
    return array


def ids_of_rows(row_ids: ArrayLike | None, x: Any, y: Any, n: int) -> Ids:
    """Return the id of each row: its label, else a hash of its content."""
    if row_ids is None:
        return content_ids(jax.tree.leaves(x) + jax.tree.leaves(y))
    ids = label_ids(_check_labels(row_ids, "row_ids", n))
    if len(np.unique(ids)) < n:
        raise ValueError("row_ids must be unique; pass groups= for rows that belong together")
    return ids


def units_of_rows(groups: ArrayLike, n: int) -> Ids:
    """Return the id of each row's group."""
    ids = label_ids(_check_labels(groups, "groups", n))
    if len(np.unique(ids)) < 2:
        raise ValueError("groups holds a single group; an interval needs at least 2")
    return ids


def _check_keep(
    keep: str | Sequence[float], entries: int, outputs: dict[str, Any]
) -> tuple[NDArray[np.float64] | None, bool]:
    if not isinstance(keep, str):
        magnitudes = np.unique(np.asarray(keep, dtype=np.float64))
        if magnitudes.size == 0 or not np.isfinite(magnitudes).all() or (magnitudes <= 0).any():
            raise ValueError(f"keep must list positive magnitudes, got {keep}")
        return magnitudes, False
    if keep not in ("auto", "all", "rows"):
        raise ValueError(f"keep must be 'auto', 'all', 'rows' or magnitudes, got {keep!r}")
    numbers = entries * sum(int(np.prod(s.shape[1:])) for s in outputs.values())
    return None, keep == "all" or (keep == "auto" and numbers <= _MOST_KEPT)
