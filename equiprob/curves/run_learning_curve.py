"""The training runs that a learning curve is fitted to, made a row at a time."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.checked import checked
from equiprob.arguments.refusals import is_refusal
from equiprob.arguments.seeds import check_seed
from equiprob.curves.split import RunData, shuffled, split_rows
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keys import Ids
from equiprob.task.cross_fit import trainer
from equiprob.transforms.transform import Transform

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("candidate", "n", "seed", "risk", "risk_se", "error", "error_se", "failure", "data")


@dataclass(frozen=True)
class _Run:
    """One training: what a worker needs besides the data."""

    candidate: str
    n: int
    seed: int
    train: Any
    by_name: bool


@checked
def run_learning_curve(
    train: Any,
    x: Any,
    y: Any,
    transform: Transform,
    *,
    sizes: Sequence[int],
    seeds: Sequence[int] = (0, 1, 2),
    candidates: Sequence[str] | None = None,
    test_size: float | int = 0.25,
    n_transforms: int = 16,
    seed: int = 0,
    groups: ArrayLike | None = None,
    backend: str = "auto",
    checkpoint: str | Path | None = None,
    executor: Executor | None = None,
    on_error: Literal["raise", "record"] = "raise",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Train every candidate at every sample size with every seed, and judge it on the same rows.

    Args:
        train: A dict from candidate to a scikit-learn estimator, or to a function ``train(x, y,
            seed) -> predict``; or one function ``train(x, y, seed, candidate) -> predict``, with
            `candidates` named.
        x: The inputs: an array or a dict of arrays, rows first.
        y: The targets, rows first, or integer class labels.
        transform: The transform that errors are about.
        sizes: Rows of a training set. Those of one seed are nested, and the same for all
            candidates.
        seeds: Seeds of the training sets and of training.
        candidates: Which candidates to run; all of a dict when left out.
        test_size: Rows held out to judge all runs: their share, or how many.
        n_transforms: Transformations for each held-out row.
        seed: Seed of the held-out rows and of their transformations.
        groups: A label for each row; rows of a group are held out together, enter training sets one
            group after the other, and are one independent unit of the standard errors.
        backend: As in `evaluate_orbits`.
        checkpoint: A CSV file that each run is added to as soon as it is done. Runs that it holds
            are not made again, so that a call that was stopped goes on where it was.
        executor: Any ``concurrent.futures.Executor``. With processes, `train` must be importable.
        on_error: Whether a training that raises stops everything (``"raise"``; what was done is in
            the checkpoint), or is recorded as a run without a risk (``"record"``).
        progress: Whether to show a progress bar; only on a terminal when left out.

    Returns:
        A row a run: ``candidate``, ``n``, ``seed``, ``risk`` (mean squared error on the held-out
        rows, the Brier score for labels), ``risk_se``, ``error`` (equivariance error, in output
        units), ``error_se``, ``failure`` in words, and ``data``, a digest of the data and settings.

    Raises:
        ValueError: If there are too few rows or groups for the largest size, names are unknown, or
            the checkpoint belongs to other data.
        TypeError: If `train` is neither a dict nor a function.

    Examples:
        >>> import numpy as np
        >>> from sklearn.linear_model import LinearRegression, Ridge
        >>> import equiprob as ep
        >>> generator = np.random.default_rng(0)
        >>> x = generator.normal(size=(120, 2))
        >>> y = x[:, 0] + 0.1 * generator.normal(size=120)
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> models = {"ridge": Ridge(), "least squares": LinearRegression()}
        >>> runs = ep.run_learning_curve(models, x, y, turns, sizes=[20, 80], seeds=[0, 1])
        >>> len(runs)
        8
        >>> bool((runs["error"] > 0).all())
        True
    """
    import pandas as pd

    data = split_rows(x, y, transform, test_size, n_transforms, seed, groups, backend)
    planned = _plan(train, candidates, sizes, seeds, len(jax.tree.leaves(data.x)[0]))
    if on_error not in ("raise", "record"):
        raise ValueError(f"on_error must be 'raise' or 'record', got {on_error!r}")
    file = None if checkpoint is None else Path(checkpoint)
    done = [] if file is None else _read(file, data.digest)
    known = {(row["candidate"], int(row["n"]), int(row["seed"])) for row in done}
    missing = [r for r in planned if (r.candidate, r.n, r.seed) not in known]
    rows = list(done)
    for row in _progress(_results(missing, data, executor, on_error), len(missing), progress):
        rows.append(row)
        if file is not None:
            _append(file, row)
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    numbers = ["n", "seed", "risk", "risk_se", "error", "error_se"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    place = {(r.candidate, r.n, r.seed): i for i, r in enumerate(planned)}
    keys = zip(frame["candidate"], frame["n"], frame["seed"], strict=True)
    order = np.array([place.get((c, int(n), int(s)), -1) for c, n, s in keys], dtype=np.int64)
    chosen = np.flatnonzero(order >= 0)
    return frame.iloc[chosen[np.argsort(order[chosen])]].reset_index(drop=True)


def _plan(
    train: Any,
    candidates: Sequence[str] | None,
    sizes: Sequence[int],
    seeds: Sequence[int],
    available: int,
) -> list[_Run]:
    """Return the runs, small sizes first."""
    if isinstance(train, Mapping):
        names = list(train) if candidates is None else list(candidates)
        unknown = [name for name in names if name not in train]
        if unknown:
            raise ValueError(f"no candidate is called {unknown}: train has {list(train)}")
    elif callable(train):
        if candidates is None or not len(candidates):
            raise ValueError(
                "one train function for all candidates needs their names: candidates=[...]"
            )
        names = list(candidates)
    else:
        raise TypeError(
            f"train must be a dict of estimators or functions by candidate, or a function (x, y, "
            f"seed, candidate) -> predict, got {type(train).__name__}"
        )
    for name, numbers in {"sizes": sizes, "seeds": seeds}.items():
        if not all(isinstance(number, int | np.integer) for number in numbers):
            raise ValueError(f"{name} must be a list of integers, got {list(numbers)}")
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"candidates must be names, got {names}")
    if not len(sizes) or min(sizes) < 1 or max(sizes) > available:
        raise ValueError(
            f"sizes must lie between 1 and the {available} rows that are not held out, got "
            f"{list(sizes)}"
        )
    for seed in seeds:
        check_seed(seed)
    if isinstance(train, Mapping):
        makers = {name: (train[name], False) for name in names}
        for name, (maker, _) in makers.items():
            if not callable(maker) and not hasattr(maker, "get_params"):
                raise TypeError(
                    f"train[{name!r}] must be a scikit-learn estimator or a function (x, y, seed) "
                    f"-> predict, got {maker!r:.80}"
                )
    else:
        makers = {name: (train, True) for name in names}
    return [
        _Run(name, int(n), int(s), *makers[name])
        for n in sorted(set(sizes))
        for s in dict.fromkeys(seeds)
        for name in dict.fromkeys(names)
    ]


def _results(
    runs: Sequence[_Run], data: RunData, executor: Executor | None, on_error: str
) -> Iterable[dict[str, Any]]:
    if executor is None:
        for run in runs:
            yield _made(run, data, on_error)
        return
    waiting = [executor.submit(_made, run, data, on_error) for run in runs]
    try:
        for future in as_completed(waiting):
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def _made(run: _Run, data: RunData, on_error: str) -> dict[str, Any]:
    """Train and judge one run."""
    row: dict[str, Any] = dict.fromkeys(_COLUMNS, np.nan) | {
        "candidate": run.candidate,
        "n": run.n,
        "seed": run.seed,
        "failure": "",
        "data": data.digest,
    }
    try:
        return row | _judged(_trained(run, data), data)
    except Exception as error:
        if on_error == "raise" and is_refusal(error):
            raise
        if on_error == "raise":
            raise RuntimeError(
                f"training {run.candidate!r} on {run.n} rows with seed {run.seed} raised "
                f"{type(error).__name__}: {error}"
            ) from error
        # One line, since a checkpoint has a line for each run.
        return row | {"failure": " ".join(f"{type(error).__name__}: {error}".split())}


def _trained(run: _Run, data: RunData) -> Callable[[Any], Any]:
    available = len(jax.tree.leaves(data.x)[0])
    chosen = shuffled(data.units, available, run.seed, 19)[: run.n]
    x, y = take_rows(data.x, chosen), take_rows(data.y, chosen)
    if run.by_name:
        return _called(run.train, x, y, run.seed, run.candidate)
    if hasattr(run.train, "get_params"):
        from sklearn.base import clone

        model: Any = clone(run.train)
        if "random_state" in model.get_params():
            model.set_params(random_state=run.seed)
        return trainer(model, data.y)(x, y)
    return _called(run.train, x, y, run.seed)


def _called(train: Any, *arguments: Any) -> Callable[[Any], Any]:
    """Return what a user's train function returns, a function."""
    predict = train(*arguments)
    if not callable(predict):
        raise TypeError(f"train must return a function predict(batch), got {predict!r:.80}")
    return predict


def _judged(predict: Callable[[Any], Any], data: RunData) -> dict[str, float]:
    table = evaluate_orbits(
        predict,
        data.x_test,
        data.transform,
        y=data.y_test,
        n_transforms=data.n_transforms,
        groups=data.units_test,
        backend=data.backend,
        progress=False,
    )
    if len(table.nonfinite_rows):
        raise ValueError(f"outputs are not finite in {len(table.nonfinite_rows)} held-out rows")
    stats = table.only
    assert stats.y is not None, "runs have targets"
    loss, squares = ((stats.y - stats.base) ** 2).sum(axis=1), stats.pair_sq
    error = float(np.sqrt(squares.mean()))
    return {
        "risk": float(loss.mean()),
        "risk_se": _standard_error(loss, table.unit_ids),
        "error": error,
        "error_se": _standard_error(squares, table.unit_ids) / (2 * error) if error > 0 else 0.0,
    }


def _standard_error(values: NDArray[np.float64], units: Ids) -> float:
    """Return the standard error of the mean of row values, of independent units of rows."""
    place = np.unique(units, return_inverse=True)[1]
    n = int(place.max()) + 1
    sums = np.bincount(place, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(values))


def _read(file: Path, digest: str) -> list[dict[str, Any]]:
    """Return the runs of a checkpoint; a line that a kill cut short does not count."""
    if not file.exists():
        return []
    if file.is_dir():
        raise ValueError(f"checkpoint must be a file, and {str(file)!r} is a folder")
    whole = file.read_bytes().decode(errors="replace")
    lines = whole[: whole.rfind("\n") + 1].splitlines()
    header = ",".join(_COLUMNS)
    # A kill may have cut the header short.
    if lines[:1] != [header] and not f"{header}\n".startswith(whole):
        raise ValueError(f"{file} is no checkpoint of run_learning_curve; choose another file")
    rows = list(csv.DictReader(lines))
    if any(row["data"] != digest for row in rows):
        raise ValueError(
            f"{file} belongs to runs on other data, another transform or other settings; choose "
            f"another file"
        )
    return rows


def _append(file: Path, row: Mapping[str, Any]) -> None:
    """Add a run to the checkpoint, after the last whole line."""
    whole = file.read_bytes() if file.exists() else b""
    with file.open("r+b" if whole else "wb") as stream:
        stream.truncate(whole.rfind(b"\n") + 1)
        stream.seek(0, os.SEEK_END)
        lines = [] if b"\n" in whole else [_COLUMNS]
        lines.append(tuple(row[name] for name in _COLUMNS))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        stream.write(text.getvalue().encode())
        stream.flush()
        os.fsync(stream.fileno())


def _progress(rows: Iterable[Any], total: int, progress: bool | None) -> Iterable[Any]:
    from tqdm.auto import tqdm

    disable = None if progress is None else not progress
    return tqdm(rows, total=total, desc="runs", unit="run", disable=disable)
