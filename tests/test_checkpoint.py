"""Nothing that was computed is lost, and nothing else is taken for it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields

import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.orbits.storage import checkpoint as module
from equiprob.orbits.storage.archive import read_arrays, write_arrays
from equiprob.orbits.storage.blocks import BlockState
from equiprob.orbits.storage.store import Store

resource = pytest.importorskip("resource")

rng = np.random.default_rng(0)
N = 150
X, Y = rng.normal(size=(N, 2)), rng.normal(size=(N, 2))
W = np.array([[1.0, 0.4], [-0.7, 0.5]])
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


BOTH = ep.transforms.rotations2d(
    acts_on="vectors", output_action={"near": "vectors", "far": "vectors"}
)


class Killed(BaseException):
    """Ends a pass as a signal would."""


def linear(x):
    return x @ W


def two_outputs(x):
    return {"near": np.where(x > 2, np.nan, x @ W), "far": 10 * x}


def ends_after(calls, error=Killed, predict=linear):
    left = [calls]

    def model(x):
        left[0] -= 1
        if left[0] < 0:
            raise error("out of time")
        return predict(x)

    return model


def evaluate(path=None, predict=linear, x=X, y=Y, transform=TURN, **arguments):
    settings = {"batch_size": 16, "n_transforms": 4, "backend": "python", "checkpoint_every": 0}
    settings |= {"progress": False} | arguments
    return ep.evaluate_orbits(predict, x, transform, y=y, checkpoint=path, **settings)


def contents(table):
    """All numbers of a table, bit by bit."""
    found = {"ids": table.row_ids.tobytes(), "units": table.unit_ids.tobytes()}
    for name, statistics in table.statistics.items():
        for key, value in vars(statistics).items():
            is_array = isinstance(value, np.ndarray)
            found[f"{name}/{key}"] = value.tobytes() if is_array else repr(value)
    found |= {"said": str(table), "floor": table.floor_method, "mass": repr(table.mass)}
    return found


@pytest.fixture
def _written_after_every_chunk(monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "orbits.nc"


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    path = tmp_path_factory.mktemp("early") / "orbits.nc"
    with pytest.raises(Killed):
        evaluate(path, ends_after(40))
    return path.read_bytes()


@pytest.fixture
def begun(path, early):
    """A checkpoint of a pass that ended early."""
    path.write_bytes(early)
    return path


# ---- the same numbers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"keep": "rows"},
        {"keep": "all"},
        {"keep": "blocks"},
        {"keep": "blocks", "groups": np.arange(N) // 3},
        {"keep": "auto", "y": None, "groups": np.arange(N) // 3, "row_ids": np.arange(N)},
        {"predict": two_outputs, "y": {"far": Y}, "keep": "blocks", "transform": BOTH},
        {"predict": two_outputs, "y": None, "keep": [0.5, 1.5], "transform": BOTH},
        {"design": "crossed"},
        {"outputs": ep.Output(scale=2.0, per=np.arange(1, N + 1))},
    ],
    ids=lambda a: "-".join(map(str, [a.get("keep", next(iter(a))), len(a)])),
)
def test_a_pass_that_ended_early_goes_on_to_the_same_numbers(arguments, path):
    expected = evaluate(**arguments)
    predict = arguments.get("predict", linear)
    with pytest.raises(Killed):
        evaluate(path, **arguments | {"predict": ends_after(23, predict=predict)})
    model = ends_after(1000, predict=predict)
    assert contents(evaluate(path, **arguments | {"predict": model})) == contents(expected)
    assert os.listdir(path.parent) == [path.name]


def test_only_what_is_missing_is_evaluated(begun):
    calls = []

    def counts(x):
        calls.append(len(x))
        return linear(x)

    evaluate(begun, counts)
    fresh = len(calls)
    evaluate(begun, counts)
    assert len(calls) - fresh == 2 + 2 + 1 + 4  # twice, few rows and others; perturbed, turned
    assert fresh < 2 + 10 * 5 - 25


def test_streams_go_on_too(path):
    def batches(size):
        for start in range(0, N, size):
            yield X[start : start + size], Y[start : start + size]

    with pytest.raises(Killed):
        evaluate(path, ends_after(40), x=batches(40), y=None, keep="blocks")
    table = evaluate(path, x=batches(7), y=None, keep="blocks")
    assert contents(table) == contents(evaluate(x=batches(N), y=None, keep="blocks"))


def test_jax_models_go_on_to_the_same_bits(path):
    x = X.astype(np.float32)

    def rule(table):
        if len(table) >= 96:
            raise Killed

    settings = {"backend": "jax", "keep": "blocks", "x": x}
    with pytest.raises(Killed):
        evaluate(path, stop_when=rule, **settings)
    assert contents(evaluate(path, **settings)) == contents(evaluate(**settings))


def test_rows_that_were_passed_over_and_why_a_pass_stopped_are_remembered(path):
    def fails(x):
        if (x[:, None] == X[[3, 70]]).all(axis=2).any():
            raise OverflowError("too large")
        return linear(x)

    settings = {"on_error": "skip", "stop_when": lambda t: "enough" if len(t) >= 96 else None}
    expected = evaluate(predict=fails, **settings)
    assert [(s.start, s.stop) for s in expected.skipped] == [(3, 4), (70, 71)]
    with pytest.raises(Killed):
        evaluate(path, ends_after(20, predict=fails), **settings)
    assert contents(evaluate(path, fails, **settings)) == contents(expected)
    seen = []
    again = evaluate(path, fails, on_error="skip", stop_when=seen.append)
    assert (again.stopped, seen) == ("enough", [])


def test_a_chunk_that_raises_keeps_those_before_it(path):
    with refuses("rows 112 to 127", error=RuntimeError):
        evaluate(path, ends_after(40, OverflowError))
    assert read_arrays(path)[1]["store"]["done"] == 112


# ---- killed at any moment -------------------------------------------------------------------

SLOW = """
import sys, time
import numpy as np
import test_checkpoint as t

t.module._SHARE = 0

def slow(x):
    time.sleep(0.01)
    return t.linear(x)

table = t.evaluate(sys.argv[1], slow, keep=sys.argv[2])
np.save(sys.argv[3], np.frombuffer(repr(t.contents(table)).encode(), np.uint8))
"""


def run_slow(path, keep, result):
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    return subprocess.Popen([sys.executable, "-c", SLOW, path, keep, result], env=environment)


def test_a_process_that_is_killed_is_taken_up_by_the_next(path, tmp_path):
    keep, result = "blocks", tmp_path / "result.npy"
    process = run_slow(path, keep, result)
    while not path.exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < read_arrays(path)[1]["store"]["done"] < N
    table = evaluate(path, keep=keep)
    assert contents(table) == contents(evaluate(keep=keep))


@pytest.mark.usefixtures("_written_after_every_chunk")
def test_a_store_that_a_signal_left_half_filled_is_not_written(path, monkeypatch):
    add, added = Store.add, []

    def interrupted(self, chunk, found):
        add(self, chunk, found)
        added.append(chunk)
        if len(added) == 4:
            self.done -= len(chunk)  # as if it had not come to that
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(path, keep="blocks")
    monkeypatch.undo()
    assert read_arrays(path)[1]["store"]["done"] == 48
    assert contents(evaluate(path, keep="blocks")) == contents(evaluate(keep="blocks"))


# ---- other calls, damage, full disks --------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 1}, ["seed was 0 there and is 1 here"]),
        ({"n_transforms": 5}, ["n_transforms was 4 there and is 5 here"]),
        ({"design": "random"}, ["design was 'quasi' there and is 'random' here"]),
        ({"batch_size": 8}, ["batch_size was 16"]),
        ({"keep": "blocks"}, ["keep was 'auto'"]),
        ({"x": X[:-1], "y": Y[:-1]}, ["number of rows was 150 there and is 149"]),
        ({"x": X[::-1]}, ["x, y, row_ids, groups or outputs hold other values"]),
        ({"x": np.concatenate([X[:90], X[90:] + 1])}, ["hold other values"]),
        ({"y": Y + 1}, ["hold other values"]),
        ({"y": None}, ["hold other values"]),
        ({"row_ids": np.arange(N)}, ["hold other values"]),
        ({"groups": np.arange(N) // 2}, ["groups was False there and is True"]),
        ({"outputs": ep.Output(unit="eV")}, ["hold other values"]),
        ({"predict": lambda x: x @ (W * (1 + 1e-12))}, ["predict has other outputs on rows 0"]),
        (
            {"predict": two_outputs, "transform": BOTH, "y": {"far": Y}},
            [r"output_action\['near'\] is absent in the file and 'vectors' in this call"],
        ),
        (
            {"transform": ep.transforms.rotations2d(acts_on="vectors")},
            ["output_action is 'vectors' in the file and 'invariant' in this call"],
        ),
        (
            {"transform": ep.transforms.rotations2d(acts_on="vectors", max_angle=1.0)},
            ["max_angle is 3.14159265359 in the file and 1 in this call"],
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_call_is_refused_and_named(arguments, words, begun):
    before = begun.read_bytes()
    with refuses(begun.name, "of another call", "delete the file", *words):
        evaluate(begun, **arguments)
    assert begun.read_bytes() == before


def test_a_state_that_does_not_fit_its_rows_is_refused(begun, monkeypatch):
    """The twin of the tests of same numbers: a chunk that is lost or counted twice is noticed."""
    arrays, header = read_arrays(begun)
    for done in (header["store"]["done"] - 16, header["store"]["done"] + 16):
        shorter = header | {"store": header["store"] | {"done": done}}
        rows = {k: np.resize(v, (done, *v.shape[1:])) for k, v in arrays.items() if "rows" in k}
        write_arrays(begun, arrays | rows, shorter)
        with refuses("hold other values"):
            evaluate(begun)


def test_damaged_files_are_named(begun, tmp_path):
    whole = begun.read_bytes()
    middle = whole.index(np.load(_saved_base(begun, tmp_path))[0].tobytes())
    flipped = bytearray(whole)
    flipped[middle] ^= 1
    for damaged in (b"", whole[: len(whole) // 2], b"no netCDF", bytes(flipped)):
        begun.write_bytes(damaged)
        with refuses(begun.name, "damaged", "delete it"):
            evaluate(begun)
        assert begun.read_bytes() == damaged
    write_arrays(begun, {}, {})
    with refuses("is no checkpoint"):
        evaluate(begun)


def _saved_base(path, folder):
    arrays, _ = read_arrays(path)
    np.save(folder / "base.npy", arrays["templates/0/base"])
    return folder / "base.npy"


@pytest.mark.filterwarnings("ignore:Error writing persistent compilation cache:UserWarning")
@pytest.mark.parametrize("left", [0, 10_000])
def test_a_full_disk_loses_nothing(begun, left):
    before = begun.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
        words = r"could not be written.*File too large; what was there before.*first 112 rows"
        with pytest.warns(RuntimeWarning, match=words):
            table = evaluate(begun)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(table) == contents(evaluate())
    assert begun.read_bytes() == before
    assert os.listdir(begun.parent) == [begun.name]
    assert contents(evaluate(begun)) == contents(evaluate())
    assert begun.read_bytes() != before


@pytest.mark.usefixtures("_written_after_every_chunk")
def test_a_folder_that_goes_away_loses_no_pass(tmp_path):
    """A scratch disk may be taken away, or be cleaned."""
    folder = tmp_path / "scratch"
    folder.mkdir()

    def taken_away(x):
        shutil.rmtree(folder, ignore_errors=True)
        return linear(x)

    with pytest.warns(RuntimeWarning, match=r"could not be written.*a folder that exists"):
        table = evaluate(folder / "orbits.nc", predict=taken_away)
    assert contents(table) == contents(evaluate())


@pytest.mark.usefixtures("_written_after_every_chunk")
@pytest.mark.parametrize("name", ["a b", "a\nb", "ü", "x" * 201, "x" * 255, "ü" * 127])
def test_files_may_have_any_name_that_files_have(tmp_path, name):
    """What is beside a file while it is written has a name, too."""
    evaluate(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert contents(evaluate(tmp_path / name)) == contents(evaluate())


def test_what_a_killed_process_left_half_written_is_removed(begun):
    begun.with_name(f"{begun.name}.partial-123").write_bytes(b"half")
    evaluate(begun)
    assert os.listdir(begun.parent) == [begun.name]


# ---- how often ------------------------------------------------------------------------------


@pytest.mark.usefixtures("_written_after_every_chunk")
def test_it_is_written_seldom_and_at_the_end(path, monkeypatch):
    written, now = [], [0.0]
    monkeypatch.setattr(module, "write_arrays", lambda *a: written.append(a[2]["store"]["done"]))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def ticks(x):
        now[0] += 1.0
        return linear(x)

    evaluate(path, ticks, checkpoint_every=12)
    # Two calls to begin with, one to probe, then five a chunk: 8, 13, 18, ...
    assert written == [32, 80, 128, 150]


def test_writing_takes_a_twentieth_of_the_time(path, monkeypatch):
    written, now = [], [0.0]

    def slow(*arguments):
        written.append(now[0])
        now[0] += 2.0

    def ticks(x):
        now[0] += 1.0
        return linear(x)

    monkeypatch.setattr(module, "_SHARE", 20)
    monkeypatch.setattr(module, "write_arrays", slow)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    evaluate(path, ticks)
    assert all(np.diff(written)[1:-1] >= 40)


def test_all_that_a_store_holds_is_written():
    """A field that is added to the store has to be added to what is written of it."""
    assert {f.name for f in fields(Store)} == {
        *("orbit_pass", "n", "grouped"),  # of the call
        *(
            "done",
            "skipped",
            "outputs",
            "backend",
            "templates",
            "evaluated",
            "first",
            "blocks",
            "arrays",
        ),
    }
    assert {f.name for f in fields(BlockState)} == {
        *("n", "mixed", "sums", "top", "nonfinite", "n_nonfinite")
    }


# ---- where it is written, and by whom -------------------------------------------------------


def test_a_link_to_another_disk_is_written_through(path, tmp_path):
    (tmp_path / "scratch").mkdir()
    path.symlink_to(tmp_path / "scratch" / "there.nc")
    with pytest.raises(Killed):
        evaluate(path, ends_after(40))
    assert path.is_symlink()
    assert os.listdir(tmp_path / "scratch") == ["there.nc"]
    assert contents(evaluate(path)) == contents(evaluate())
    assert path.is_symlink()


def test_only_what_is_left_of_this_file_is_removed(begun):
    pattern, other = (begun.with_name(name) for name in ("[o]rbits.nc", "orbits.nc.partial-123"))
    other.write_bytes(b"half of another job's")
    evaluate(pattern)
    assert other.exists()


def test_two_calls_on_one_path_are_refused_by_the_second(path):
    def rule(table):
        if len(table) < 33:
            with refuses("orbits.nc is being written by another call", "this process", "its own"):
                evaluate(path, seed=1)
            code = f"import test_checkpoint as t; t.evaluate({str(path)!r}, seed=1)"
            environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert f"another call (process {os.getpid()} on" in done.stderr

    evaluate(path, stop_when=rule, batch_size=32)
    assert os.listdir(path.parent) == [path.name]
    with refuses("of another call"):  # the first has ended: its file is there, and tells them apart
        evaluate(path, seed=1)


@pytest.mark.parametrize(
    "entries",
    [
        {"store": {}},
        {"store": None},
        {"call": {}},
        {"call": {"the transform": 3}},
        {"call": None},
        {"more": 1},
    ],
    ids=str,
)
def test_forged_headers_are_refused_in_our_words(begun, entries):
    arrays, header = read_arrays(begun)
    write_arrays(begun, arrays, header | entries)
    with refuses(begun.name, "no checkpoint|of another call"):
        evaluate(begun)
    write_arrays(begun, arrays, header | {"format": 7} | entries)
    with refuses("of format 7", "reads format"):
        evaluate(begun)


@pytest.mark.parametrize("done", [10**12, 5, -1, "a", None, [1]], ids=str)
def test_rows_that_were_not_done_are_not_believed(begun, done):
    arrays, header = read_arrays(begun)
    write_arrays(begun, arrays, header | {"store": header["store"] | {"done": done}})
    with refuses("is no checkpoint"):
        evaluate(begun)
