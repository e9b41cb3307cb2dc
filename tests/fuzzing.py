"""What a fuzz test takes for a clear refusal, and what it throws at a function."""

import contextlib
import os
import signal

import numpy as np
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from equiprob.arguments.refusals import is_refusal
from equiprob.cli import main

LONGEST = 20
"""Seconds of the processor after which an example counts as hanging."""

SOON = 2
"""Seconds of the processor within which a hostile file, name or executor is answered."""

SHARES = {
    "transforms": 1200,
    "files": 500,
    "command line": 300,
    "calls": 1000,
    "hostile files": 5000,
    "results": 1000,
    "names": 500,
    "executors": 500,
}
"""What each part gets of the 10,000 inputs of ``make fuzz``."""


def examples(part, share=1.0):
    """Return Hypothesis settings: a share of ``EQUIPROB_FUZZ`` inputs, the same each time."""
    total = int(os.environ.get("EQUIPROB_FUZZ", "500"))
    n = max(round(share * total * SHARES[part] / sum(SHARES.values())), 1)
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def within_time(seconds=LONGEST):
    """Raise a TimeoutError where something takes longer.

    That is time of the processor, so that what else runs on the machine does not count; what waits
    instead of working may take ten times as long.
    """

    def late(number, frame):
        raise TimeoutError(f"took more than {seconds} s")

    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, seconds),
        signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds),
    }
    before = {number: signal.signal(number, late) for number in timers}
    for timer, after in timers.values():
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def answered(call, /, *arguments, seconds=LONGEST, **named):
    """Return what a call returns, or None where it refuses in our words; else let it raise."""
    try:
        with within_time(seconds):
            return call(*arguments, **named)
    except TimeoutError:
        raise
    except Exception as error:
        if not is_refusal(error):
            raise
        if len(str(error)) < 16:
            raise AssertionError("a message says what was expected, and what came") from error
    return None


def ran(folder, *arguments, written=None, may_write=False):
    """Return what a command of the command line did, and see that it did it cleanly.

    Args:
        folder: Where it works.
        *arguments: The command line.
        written: The file that it may write; it does not survive.
        may_write: Whether it may write files of other names.
    """
    before = {path.name for path in folder.iterdir()}
    with within_time():
        done = CliRunner().invoke(main, [str(a) for a in arguments])
    new = {path.name for path in folder.iterdir()} - before
    if done.exit_code not in (0, 2, 3):
        raise AssertionError(done.output) from done.exception
    assert "Traceback" not in done.output
    if done.exit_code == 2:
        assert len(done.stderr) > 20, "a message says what was expected, and what came"
        assert not new, "nothing is written where something is refused"
    assert may_write or new <= {written and written.name}
    if written is not None:
        written.unlink(missing_ok=True)
    return done


class Odd:
    """An object that nobody expects."""

    def __repr__(self):
        return "<odd>"


def _wrong_predictor(batch):
    raise KeyError("layer")


HOSTILE = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "2**70": 2**70,
    "1.5": 1.5,
    "1e308": 1e308,
    "nan": float("nan"),
    "inf": float("inf"),
    "1j": 1j,
    "empty string": "",
    "word": "word",
    "bytes": b"x",
    "empty list": [],
    "empty dict": {},
    "set": {1},
    "ragged": [[1.0], [1.0, 2.0]],
    "list of None": [None, None],
    "dict": {"a": 1},
    "dict of None": {"x": None, 3: None},
    "odd": Odd(),
    "a type": dict,
    "empty array": np.zeros((0, 2), np.float32),
    "a row": np.ones((1, 2), np.float32),
    "other rows": np.ones((7, 2), np.float32),
    "scalar array": np.float64(2.5),
    "words": np.array(["a", "b"] * 12),
    "objects": np.array([None, {}] * 12),
    "complex": np.ones((24, 2), np.complex64),
    "integers": np.ones((24, 2), np.int64),
    "booleans": np.zeros((24, 2), bool),
    "NaN array": np.full((24, 2), np.nan, np.float32),
    "huge array": np.full((24, 2), 1e30, np.float32),
    "dates": np.zeros(24, "datetime64[s]"),
    "structured": np.zeros(24, [("a", float)]),
    "deep": np.ones((24, 2, 1, 1, 1), np.float32),
    "identity function": lambda batch: batch,
    "raises": _wrong_predictor,
    "returns None": lambda *batch: None,
    "returns a string": lambda *batch: "x",
    "returns NaN": lambda batch: np.full(len(batch), np.nan),
    "takes nothing": lambda: 0.0,
}

hostile = st.sampled_from(sorted(HOSTILE)).map(HOSTILE.__getitem__)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.floats(width=32).map(np.float32),
)
wrong = st.one_of(
    hostile,
    numbers,
    st.text(max_size=5),
    st.lists(numbers, max_size=3),
    st.dictionaries(st.text(max_size=3), numbers, max_size=2),
)

jsons = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.sampled_from([2**40, 10**30, 1e308, float("nan"), "", "error", "audit", "model_error"]),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def changed(draw, value):
    """Return a JSON value of which one entry is another."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        kind = draw(st.sampled_from(["inside", "inside", "inside", "drop", "rename"]))
        rest = {k: v for k, v in value.items() if k != key}
        if kind == "drop":
            return rest
        if kind == "rename":
            return rest | {draw(st.text(max_size=4)): value[key]}
        return rest | {key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(changed(value[place])), *value[place + 1 :]]
    return draw(jsons)
