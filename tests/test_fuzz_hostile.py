"""Files, names and executors that somebody made to harm: an answer, or a message, and soon."""

import io
import json
import os
import resource
import threading
from concurrent.futures import CancelledError, Executor, Future

import h5py
import pytest
from every_estimator import audit_facts
from fuzz_calls import ERROR, TURN, X, Y, evaluated, linear, other
from fuzzing import SOON, answered, changed, examples, jsons
from hypothesis import given
from hypothesis import strategies as st

import equiprob as ep
from equiprob.orbits.storage.archive import read_arrays, write_arrays
from equiprob.posterior import files
from equiprob.posterior.stored import Stored

pytestmark = pytest.mark.filterwarnings("ignore")

COMPARISON = ep.compare({"a": evaluated(linear), "b": evaluated(other)}, n_draws=50)
AUDIT = ep.Audit(
    parts={"model_error/0": ERROR, "comparison": COMPARISON},
    facts=audit_facts(["a"]),
)


@pytest.fixture(autouse=True, scope="module")
def _in_little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**20, f"{grown} KiB more than before"


def test_what_works_too_long_and_what_waits_too_long_are_told():
    def works():
        while True:
            pass

    for forever in (works, threading.Event().wait):
        with pytest.raises(TimeoutError, match=r"took more than 0.02 s"):
            answered(forever, seconds=0.02)


# ---- mutations -----------------------------------------------------------------------------------

DTYPES = ("f8", "f4", "i8", "u1", "c16", "S3", ">f8", "?", "V4", "O")
shapes = st.lists(st.sampled_from([0, 1, 2, 24, 50]), max_size=4)


def names_in(file):
    found = []
    file.visit(found.append)
    return sorted(found)


class Content:
    """Bytes of a file, which print as what was done to them."""

    def __init__(self, content, how):
        self.content, self.how = content, how

    def __repr__(self):
        return f"Content({self.how})"


@st.composite
def edited(draw, whole):
    """Return the bytes of an HDF5 file in which a part is another, or leads elsewhere."""
    content, done = io.BytesIO(whole), []
    with h5py.File(content, "r+") as file:
        for i in range(draw(st.integers(1, 2))):
            there = names_in(file)
            name, second = (draw(st.sampled_from(there)) for _ in range(2))
            how = draw(
                st.sampled_from(
                    ["link", "outside", "again", "nest", "rename", "retype", "head", "cut"]
                )
            )
            done.append((how, name, second))
            if how == "head":
                group = draw(st.sampled_from(["/", *there]))
                known = file[group].attrs.get("equiprob")
                readable = isinstance(known, str) and known.startswith("{")
                value = draw(changed(json.loads(known))) if readable else draw(jsons)
                file[group].attrs["equiprob"] = draw(
                    st.sampled_from([json.dumps(value), "[" * 5000, b"\xff", 3.5])
                )
                continue
            if how in ("link", "outside", "retype", "cut"):
                del file[name]
            if how == "link":
                file[name] = h5py.SoftLink(f"/{second}")
            elif how == "outside":
                file[name] = h5py.ExternalLink("/dev/zero", "/")
            elif how == "again":
                file[f"{name}-again{i}"] = file[draw(st.sampled_from(["/", second]))]
            elif how == "nest":
                file.move(name, f"nested{i}/deep/{name}")
            elif how == "rename":
                file.move(name, f"{name}x{i}")
            elif how == "retype":
                shape = tuple(draw(shapes))
                dtype = draw(st.sampled_from(DTYPES))
                dtype = h5py.string_dtype() if dtype == "O" else dtype
                huge = draw(st.booleans()) and shape and shape[-1]
                if huge:
                    shape = (*shape[:-1], 10**11)
                file.create_dataset(name, shape, dtype, chunks=True if huge else None)
        if draw(st.booleans()):
            _sign(file)
    return Content(content.getvalue(), done)


def _sign(file):
    """Write the digest that belongs to what there is, as far as there is one."""
    try:
        plain = files.PlainFile(file, 10**7)
        file.attrs["equiprob_digest"] = Stored.of(plain, file).digest
    except Exception:
        return


@st.composite
def damaged(draw, whole):
    """Return bytes that were cut, flipped, or added to."""
    place = draw(st.integers(0, len(whole) - 1))
    bit = 1 << draw(st.integers(0, 7))
    flipped = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
    how = draw(st.sampled_from(["flip", "flip", "flip", "cut", "twice"]))
    content = {"flip": flipped, "cut": whole[:place], "twice": whole[:place] * 2}[how]
    return Content(content, (how, place, bit))


# ---- results, checkpoints ------------------------------------------------------------------------


def saved(result, folder):
    result.save(folder / "whole.nc")
    return (folder / "whole.nc").read_bytes()


@pytest.mark.parametrize("result", [ERROR, COMPARISON, AUDIT], ids=lambda r: type(r).__name__)
def test_results(tmp_path, result):
    whole, path = saved(result, tmp_path), tmp_path / "hostile.nc"

    @examples("hostile files", 0.28)
    @given(st.one_of(edited(whole), edited(whole), damaged(whole)))
    def read(content):
        path.write_bytes(content.content)
        found = answered(ep.load, path, seconds=SOON)
        if found is not None:  # what is loaded does not fail later
            assert str(found)
            assert len(found.summary())

    read()


def test_checkpoints(tmp_path):
    path, hostile = tmp_path / "whole.nc", tmp_path / "hostile.nc"

    def resumed(path):
        return ep.evaluate_orbits(
            linear, X, TURN, y=Y, n_transforms=2, batch_size=8, backend="python", checkpoint=path
        )

    resumed(path)
    whole, (arrays, header) = path.read_bytes(), read_arrays(path)
    heads = changed(header).map(lambda changed_header: (arrays, changed_header))

    @examples("hostile files", 0.16)
    @given(st.one_of(heads, edited(whole), damaged(whole)))
    def read(content):
        hostile.unlink(missing_ok=True)
        if isinstance(content, tuple):
            write_arrays(hostile, *content)
        else:
            hostile.write_bytes(content.content)
        table = answered(resumed, hostile, seconds=SOON)
        if table is not None:
            assert len(table) == len(X)
        assert sorted(os.listdir(tmp_path))[0] == "hostile.nc", "no lock and no part is left"
        assert len(os.listdir(tmp_path)) == 2

    read()


# ---- names ---------------------------------------------------------------------------------------

names = st.one_of(
    st.text(st.characters(), min_size=0, max_size=8),
    st.text(st.characters(categories=("Cc", "Cs", "Cf", "Co", "Zs", "So")), max_size=4),
    st.sampled_from(["x" * 10_000, "<script>", "]]>", "a/b", "..", "/", "chain", "draw", "0", "-"]),
)


def test_names(tmp_path):
    path, tables = tmp_path / "named.nc", [evaluated(linear), evaluated(other)]

    @examples("names")
    @given(names)
    def use(name):
        found = answered(ep.compare, {name: tables[0], "b": tables[1]}, n_draws=20, seconds=SOON)
        if found is None:
            return
        found.save(path)
        again = ep.load(path)
        assert list(again.table.index) == list(found.table.index)
        assert str(again) == str(found)

    use()


# ---- executors -----------------------------------------------------------------------------------


class Faulty(Executor):
    """Does its work, until it does something else."""

    def __init__(self, after, fault):
        self.left, self.fault = after, fault

    def submit(self, function, *arguments):
        self.left -= 1
        future = Future()
        if self.left >= 0:
            future.set_result(function(*arguments))
        elif self.fault == "cancel":
            future.cancel()
        elif self.fault == "raise":
            raise RuntimeError("cannot schedule new futures after shutdown")
        elif isinstance(self.fault, BaseException):
            future.set_exception(self.fault)
        else:
            return self.fault
        return future


FAULTS = [
    *("cancel", "raise", None, 3, object()),
    *(OSError("pipe"), CancelledError(), EOFError(), MemoryError(), KeyError("x")),
]


def test_executors():
    @examples("executors")
    @given(st.integers(0, 4), st.sampled_from(FAULTS), st.sampled_from(["raise", "skip"]))
    def use(after, fault, on_error):
        table = answered(
            ep.evaluate_orbits,
            linear,
            X,
            TURN,
            n_transforms=2,
            batch_size=6,
            backend="python",
            executor=Faulty(after, fault),
            on_error=on_error,
            seconds=SOON,
        )
        assert table is None or len(table) == len(X)

    use()
