"""Making the runs of a learning curve: nested rows, resuming, failures."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from refusals import refuses
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

import equiprob as ep
from equiprob.curves.runs import read_runs
from equiprob.testing import disc_task

TASK = disc_task(300, amplitude=0.5, noise=0.2)
CANDIDATES = {"linear": Ridge(1.0), "nearest": KNeighborsRegressor(3)}


def run(train=CANDIDATES, **options):
    given = {"sizes": (20, 60), "seeds": (0, 1), "n_transforms": 4, "backend": "python"} | options
    return ep.run_learning_curve(train, TASK.x, TASK.y, TASK.transform, **given)


def test_each_run_is_a_row_that_a_learning_curve_takes():
    runs = run()
    assert len(runs) == 8
    assert set(runs["candidate"]) == {"linear", "nearest"}
    assert (runs[["risk", "risk_se", "error"]] > 0).all(axis=None)
    checked = read_runs(runs)
    assert checked.candidates == ("linear", "nearest")
    assert checked.has_levels


def test_candidates_see_the_same_nested_rows():
    seen = {}

    def train(x, y, seed, candidate):
        seen[candidate, len(x), seed] = x
        return lambda batch: np.zeros(len(batch))

    run(train, candidates=["a", "b"])
    assert np.array_equal(seen["a", 60, 1], seen["b", 60, 1])
    assert np.array_equal(seen["a", 60, 1][:20], seen["a", 20, 1])
    assert not np.array_equal(seen["a", 20, 0], seen["a", 20, 1])


def test_a_stopped_call_goes_on_where_it_was(tmp_path):
    file, calls = tmp_path / "runs.csv", []

    def train(x, y, seed):
        calls.append((len(x), seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return lambda batch: np.full(len(batch), y.mean())

    with pytest.raises(KeyboardInterrupt):
        run({"mean": train}, checkpoint=file)
    with file.open("a") as stream:
        stream.write("mean,60,1,0.3")  # cut short by a kill
    resumed = run({"mean": train}, checkpoint=file)
    assert len(calls) == 5  # the third, interrupted, twice
    again = run({"mean": train}, checkpoint=file)
    assert len(calls) == 5
    whole = run({"mean": lambda x, y, seed: lambda batch: np.full(len(batch), y.mean())})
    for frame in (resumed, again):
        pd.testing.assert_frame_equal(frame.drop(columns="failure"), whole.drop(columns="failure"))


def test_workers_give_the_same_numbers():
    with ThreadPoolExecutor(2) as executor:
        pd.testing.assert_frame_equal(run(executor=executor), run())


def test_a_training_that_fails_is_recorded_where_asked():
    def train(x, y, seed):
        if seed == 1:
            raise RuntimeError("loss is\nNaN")
        return lambda batch: np.zeros(len(batch))

    with pytest.raises(RuntimeError, match="NaN"):
        run({"fragile": train})
    runs = run({"fragile": train}, on_error="record")
    assert runs["risk"].isna().sum() == 2
    assert set(runs["failure"]) == {"", "RuntimeError: loss is NaN"}


def test_what_cannot_be_run_is_refused(tmp_path):
    with refuses("sizes", "225"):
        run(sizes=(20, 500))
    with refuses("cubic", "linear"):
        run(candidates=["cubic"])
    with refuses("names", "candidates="):
        run(lambda x, y, seed, candidate: None)
    with refuses("dict", error=TypeError):
        run(3)
    with refuses("test_size"):
        run(test_size=300)
    with refuses("on_error"):
        run(on_error="ignore")
    run(checkpoint=tmp_path / "runs.csv")
    with refuses("other data"):
        run(checkpoint=tmp_path / "runs.csv", n_transforms=8)
    for content in (b"a,b\n1,2\n", b"\x89HDF", b"\x89HDF\r\n\n"):
        (tmp_path / "notes.csv").write_bytes(content)
        with refuses("no checkpoint"):
            run(checkpoint=tmp_path / "notes.csv")
        assert (tmp_path / "notes.csv").read_bytes() == content
