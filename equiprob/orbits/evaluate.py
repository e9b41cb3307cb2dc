"""The one pass over the model: every estimator is fitted to what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.checked import checked
from equiprob.arguments.forks import unforked
from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.designs import make_design
from equiprob.orbits.foreign_rows import require_arrays
from equiprob.orbits.inputs import (
    check_batch_size,
    check_inputs,
    ids_of_rows,
    units_of_rows,
)
from equiprob.orbits.keep import Keep
from equiprob.orbits.keys import are_heavy
from equiprob.orbits.loop import Course, run_pass
from equiprob.orbits.noise import Noise
from equiprob.orbits.orbit_pass import LARGER, OrbitPass
from equiprob.orbits.output import Output, check_declared, has_masks, without_padding
from equiprob.orbits.output_arrays import checked_targets
from equiprob.orbits.sources import (
    ArrayRows,
    StreamedRows,
    as_arrays,
    as_sliceable,
    is_read_by_slices,
    is_stream,
)
from equiprob.orbits.table import OrbitTable
from equiprob.orbits.workers import check_executor
from equiprob.transforms.transform import Transform, leaf_names


@checked
@unforked
def evaluate_orbits(
    predict: Callable[..., Any],
    x: Any,
    transform: Transform,
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
    batch_dependent: bool = False,
    outputs: Output | Mapping[str, Output] | None = None,
    backend: str = "auto",
    progress: bool | None = None,
    executor: Any = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 5.0,
    on_error: str = "raise",
    stop_when: Callable[[OrbitTable], str | None] | None = None,
) -> OrbitTable:
    """Evaluate a model on its inputs and on random transformations of them, once.

    Args:
        predict: ``predict(batch) -> output``, rows first: an array ``(row, ...)`` or a dict of
            such. It must be deterministic, or `noise_repeats` given, and a function of each row
            alone, or `batch_dependent`. Class probabilities, not logits, where `y` holds labels.
        x: The inputs: an array or a dict (pytree) of arrays, rows first. Not rows that the model
            was trained on. Arrays that are not in memory (``np.memmap``, zarr, h5py, an xarray
            DataArray or Dataset) are read slice by slice; an iterator of batches of any size, each
            the inputs or ``(inputs, targets)``, is read once.
        transform: The distribution over transformations and how they act.
        y: The targets, shaped like the output (a dict of some of its names for several outputs), or
            integer class labels ``(row,)``. Leave out where the batches of `x` hold them.
        n_transforms: Transformations for each row.
        design: ``"quasi"`` (two independently shifted lattices for each row; a finite set with no
            more than `n_transforms` elements is evaluated in full), ``"random"``, ``"crossed"``
            (one list shared by all rows, for profiles over transformations) or ``"full"``.
        seed: Seed of the transformations, which depend on it and on row ids alone.
        batch_size: Rows in each call of `predict`; when left out at most 128; up to 1024 where a
            model in Python turns out to take less than 30 microseconds a row, of 2048 rows or more.
        groups: A label for each row; rows of a group are one independent unit (frames of a
            trajectory, crops of an image).
        row_ids: A unique label for each row (integers or strings). When left out, a hash of its
            content in `x` and `y`: give labels where tables with and without `y` must be paired.
        keep: ``"all"`` keeps every displacement, ``"rows"`` only row statistics, ``"blocks"`` sums
            over 1024 blocks of rows and the rows of most extreme error, in memory that does not
            grow. ``"auto"``: all below 64 MiB, and blocks above a million rows (without
            `stop_when`: rules may need the rows). A sequence of magnitudes keeps sums up to each
            (for ``paths.Range``).
        noise_repeats: Calls on each input of a model that is random (dropout left on, a sampler),
            at least 2: the noise between calls is taken off the error. The model may take keys,
            ``predict(batch, keys)`` with a JAX key for each row, and then does not depend on the
            batch size; otherwise its randomness is its own. Risks are those of the mean over many
            calls: what noise leaves in the mean of these few is taken off.
        batch_dependent: Accept a model whose output for a row depends on the other rows of the
            batch (batch statistics in use). What is measured is then the model within batches of
            `batch_size` rows in the order of `x`, and every result says so.
        outputs: Units, padding and counts of the output, ``ep.Output(unit="eV")``, or a dict of
            such for some of several outputs.
        backend: ``"auto"``, ``"jax"`` (one compiled pass), ``"python"`` (any callable) or
            ``"torch"``, which moves inputs and sums outputs on the device of a model of
            `adapters.from_torch`: by itself where that is not the CPU.
        progress: Show a progress bar; when left out, where the pass takes more than a few seconds.
        executor: A ``concurrent.futures.Executor`` whose workers evaluate the chunks: a
            ``ProcessPoolExecutor`` (with ``mp_context=multiprocessing.get_context("spawn")``: one
            that forks is refused), Dask's ``Client.get_executor()``, ``mpi4py.futures``. Any number
            of workers gives the same numbers, to rounding.
        checkpoint: A netCDF file that what is known is written to. If the pass ends early, however
            that may be, the same call goes on from there, and ends with the same numbers.
        checkpoint_every: Seconds between two writes, at least. Writing takes at most a twentieth
            of the time.
        on_error: Whether rows on which `predict` raises stop everything (``"raise"``), or are
            passed over (``"skip"``): a batch that fails is cut into halves until the rows that fail
            are told from the others. They are named by ``table.skipped``, count as rows without
            finite outputs, and every status says how many they are.
        stop_when: Called with the table of the rows so far after each chunk: the reason to stop
            there, which ``table.stopped`` records, or None to go on. Rows come in the order of `x`;
            shuffle them before, where that order means something.

    Returns:
        The orbit table.

    Raises:
        ValueError: If inputs, targets, ids, counts or declared actions do not fit (the message says
            what was expected and what to pass), if `x` is not finite, if `predict` is not
            repeatable, changes during the pass, depends on the batch or changes the number of rows,
            or if the checkpoint is damaged or of another call.
        TypeError: If `predict` does not return arrays of floats, `transform` is no transform, or
            `predict` cannot be sent to the executor's workers.
        RuntimeError: If `predict` raises, or a worker dies; the message names the rows.
        KeyboardInterrupt: On Ctrl-C and on SIGTERM; a note says where what was done is.

    Warns:
        RuntimeWarning: If the checkpoint cannot be written (a full disk); the pass goes on.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs.

    References:
        The design and its variance reduction: Owen, "Monte Carlo theory, methods and examples",
        chapter 17 (randomly shifted lattices).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: rows[:, 0], x, turns, n_transforms=8)
        >>> print(orbits)
        orbit table: 500 rows x 8 transformations of rotations2d(up to 180 degrees), quasi
        design, outputs ['output'], python backend
    """
    check_executor(executor)
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    if stop_when is not None and not callable(stop_when):
        raise TypeError(
            f"stop_when must be a function of the table so far, table -> reason or None, got "
            f"{stop_when!r}"
        )
    if not isinstance(transform, Transform):
        raise TypeError(
            f"transform must be made by a function of ep.transforms, such as "
            f"ep.transforms.rotations2d(), got {transform!r}"
        )
    plan = make_design(transform, design, n_transforms, check_seed(seed))
    noise = Noise.of(predict, noise_repeats, seed)
    # Of pooled rows it is not known what noise leaves in products with the targets.
    may_pool = plan.kind != "crossed" and not has_masks(outputs) and (noise is None or y is None)
    kept = Keep.of(keep, None, may_pool=may_pool)
    if stop_when is not None:
        kept = kept.for_rules()
    require_arrays(x)
    x = all_on_host(as_arrays(x))
    if is_stream(x) or is_read_by_slices(x):
        rows = _streamed_rows(x, y, row_ids, groups, outputs, kept.counted)
    else:
        rows = _rows_in_memory(x, y, row_ids, groups, outputs)
    if rows.n is not None:
        kept = replace(kept, entries=rows.n * plan.n_transforms)
    size = check_batch_size(batch_size, rows.n)
    # What others share or go on with is cut as it was; rules look after each chunk.
    alone = executor is None and checkpoint is None and stop_when is None
    may_grow = alone and batch_size is None and noise is None and not batch_dependent
    orbit_pass = OrbitPass(
        predict,
        transform,
        plan,
        size,
        noise,
        backend,
        kept,
        batch_dependent=batch_dependent,
        may_grow=may_grow and (rows.n or 0) >= 2 * LARGER[-1],
    )
    course = Course(
        progress=progress,
        skip_errors=on_error == "skip",
        stop_when=stop_when,
        executor=executor,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        checkpoint_every=checkpoint_every,
    )
    return run_pass(orbit_pass, rows, course)


def _rows_in_memory(
    x: Any, y: Any, row_ids: ArrayLike | None, groups: ArrayLike | None, outputs: Any
) -> ArrayRows:
    """Return checked rows with their ids."""
    n = check_inputs(x)
    check_declared(outputs, n)
    host = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), x)
    y = checked_targets(without_padding(y, outputs), n)
    # Large rows are hashed while a device works.
    later = row_ids is None and are_heavy(jax.tree.leaves(host))
    ids = None if later else ids_of_rows(row_ids, host, y, n)
    units = None if groups is None else units_of_rows(groups, n)
    return ArrayRows(host, y, ids, units, outputs)


def _streamed_rows(
    x: Any, y: Any, row_ids: Any, groups: Any, outputs: Any, counted: float
) -> StreamedRows:
    """Return rows that will be checked as they come."""
    y, row_ids, groups = (as_sliceable(values) for values in (y, row_ids, groups))
    n = _length(x, y, row_ids, groups)
    if n is not None:
        check_declared(outputs, n)
    return StreamedRows(x, y, row_ids, groups, n, counted, outputs)


def _length(x: Any, y: Any, row_ids: Any, groups: Any) -> int | None:
    """Return how many rows there will be, as far as that is known beforehand."""
    given = {"x": None if is_stream(x) else x, "y": y, "row_ids": row_ids, "groups": groups}
    shapes = {
        f"{key}{name}": np.shape(leaf)
        for key, values in given.items()
        for name, leaf in zip(leaf_names(values), jax.tree.leaves(values), strict=True)
    }
    if len({shape[:1] for shape in shapes.values()} | {()}) > 2 or () in shapes.values():
        raise ValueError(
            f"x, y, row_ids and groups must be arrays of the same length, rows first; got the "
            f"shapes {shapes}"
        )
    return next((shape[0] for shape in shapes.values()), None)
