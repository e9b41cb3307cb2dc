"""Files of results: no file chooses code, leads elsewhere, hangs, or claims more than it holds."""

import inspect
import json
import os
import pkgutil
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
from every_estimator import audit_facts
from refusals import refuses

import equiprob as ep
from equiprob.orbits.storage.archive import read_arrays, write_arrays
from equiprob.posterior import files
from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.kinds import KINDS, saved_class, saved_name_of
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.stored import Stored
from equiprob.testing import linear_task

TASK = linear_task(40, optimum=0.4, seed=0)


@pytest.fixture(scope="module")
def result():
    orbits = ep.evaluate_orbits(TASK.predict, TASK.x, TASK.transform, y=TASK.y, backend="python")
    return ep.ModelEquivarianceError(n_draws=50).fit(orbits)


@pytest.fixture(scope="module")
def audit(result):
    parts = {"model_error/0": result}
    return ep.Audit(parts=parts, facts=audit_facts(["a"]))


@pytest.fixture
def path(result, tmp_path):
    result.save(tmp_path / "result.nc")
    return tmp_path / "result.nc"


def signed(path, digest=True):
    """Write the digest of what a file holds, as a forger can."""
    with h5py.File(path, "r+") as file:
        if digest:
            plain = files.PlainFile(file, 10**9)
            file.attrs["equiprob_digest"] = Stored.of(plain, file).digest


def change_header(path, **entries):
    with h5py.File(path, "r+") as file:
        header = json.loads(file.attrs["equiprob"]) | entries
        file.attrs["equiprob"] = json.dumps(header)
    signed(path, digest=entries.get("format", files.FORMAT) == files.FORMAT)


# ---- one table of kinds --------------------------------------------------------------------------


def final_classes():
    for module in pkgutil.walk_packages(ep.__path__, "equiprob."):
        of_torch = module.name.endswith("torch_predictor") and find_spec("torch") is None
        if not module.name.endswith("__main__") and not of_torch:
            import_module(module.name)

    def below(kind):
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    found = {*below(AbstractResult), *below(AbstractBundle)}
    return {c for c in found if c.__module__.startswith("equiprob.") and not inspect.isabstract(c)}


def test_every_class_of_results_has_a_kind_and_every_kind_a_class():
    saved = [name for name, kind in KINDS.items() if kind.is_saved]
    named = {saved_class(name) for name in saved}
    missing = {c.__name__ for c in final_classes() - named}
    assert not missing, "give each a line in equiprob/posterior/kinds.py, or load refuses it"
    assert named == final_classes()
    assert len(named) == len(saved)


def test_files_hold_names_of_kinds_not_of_modules(path, result):
    with h5py.File(path) as file:
        header = json.loads(file.attrs["equiprob"])
    assert header["kind"] == saved_name_of(result) == "model_error"
    assert "equiprob." not in json.dumps(header)


@pytest.mark.parametrize(
    "kind", ["equiprob.__main__", "os", "__main__", 3, None, ["audit"], "tree"]
)
def test_a_file_cannot_choose_the_code_that_runs(path, kind, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["equiprob", "demo"])
    change_header(path, kind=kind, module=kind, result="main")
    with refuses("result.nc", "unknown kind"):
        ep.load(path)


# ---- what is not followed ------------------------------------------------------------------------


def external_link(file, folder):
    with h5py.File(folder / "other.nc", "w") as other:
        other["error"] = np.zeros((1, 50))
    del file["posterior/error"]
    file["posterior/error"] = h5py.ExternalLink("other.nc", "/error")


def soft_link(file, folder):
    del file["posterior/error"]
    file["posterior/error"] = h5py.SoftLink("/posterior/relative_error")


def external_storage(file, folder):
    (folder / "raw").write_bytes(np.zeros(50).tobytes())
    del file["posterior/error"]
    file["posterior"].create_dataset(
        "error", (1, 50), "f8", external=[(str(folder / "raw"), 0, h5py.h5f.UNLIMITED)]
    )


def virtual(file, folder):
    del file["posterior/error"]
    layout = h5py.VirtualLayout((1, 50), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "result.nc"), "posterior/draw", (1, 50))
    file["posterior"].create_virtual_dataset("error", layout)


def circle(file, folder):
    file["posterior/again"] = file["/"]


def second_name(file, folder):
    file["posterior/again"] = file["posterior/error"]


def claims(file, folder):
    """A few bytes that say they are 8 GB of zeros."""
    del file["posterior/error"]
    file["posterior"].create_dataset("error", (1, 10**9), "f8", chunks=(1, 10**6))


def compressed(file, folder):
    del file["posterior/error"]
    zeros = np.zeros((1, 10**6))
    file["posterior"].create_dataset("error", data=zeros, chunks=True, compression="gzip")


def other_numbers(file, folder):
    del file["posterior/error"]
    file["posterior/error"] = np.zeros((1, 50), np.complex128)


HOSTILE = [external_link, soft_link, external_storage, virtual, circle, second_name, claims]


@pytest.mark.parametrize("make", [*HOSTILE, compressed, other_numbers], ids=lambda m: m.__name__)
def test_nothing_elsewhere_in_circles_or_claimed_is_read(path, make):
    with h5py.File(path, "r+") as file:
        make(file, path.parent)
    with refuses("result.nc cannot be read"):
        ep.load(path)


def test_strings_that_are_more_than_the_file_are_not_read(path):
    """Many elements may be one long string; what was read is counted."""
    size = path.stat().st_size
    with h5py.File(path) as file:
        plain = files.PlainFile(file, size)
        plain._take(size)
        with refuses("claim to be more than the file"):
            plain.text(file, "equiprob")


@pytest.mark.parametrize("make", HOSTILE, ids=lambda m: m.__name__)
def test_the_same_holds_of_checkpoints(tmp_path, make):
    path = tmp_path / "result.nc"
    write_arrays(path, {"a": np.arange(3.0)}, {"b": 1})
    with h5py.File(path, "r+") as file:
        file.create_group("posterior")
        file["posterior"].move("/a0", "/posterior/error")
        file["posterior/relative_error"] = np.arange(3.0)
        file["posterior/draw"] = np.zeros((1, 50))
        make(file, tmp_path)
        if "again" not in file["posterior"]:
            file.move("posterior/error", "a0")
    with refuses("result.nc cannot be read", "damaged"):
        read_arrays(path)


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")  # to open it would wait for ever
    for path in (tmp_path / "pipe.nc", tmp_path, "a\0b", "/dev/zero"):
        with refuses("there is no file", error=FileNotFoundError):
            ep.load(path)


# ---- other versions, damage, and what does not fit its class -------------------------------------


def test_a_file_of_another_version_says_so(path):
    change_header(path, format=4, kind="of later", layout=[])
    with refuses("format 4", "reads format 3", "update equiprob"):
        ep.load(path)
    change_header(path, format=1)
    with refuses("format 1", "fit the result again"):
        ep.load(path)
    change_header(path, format="2")
    with refuses("names no format"):
        ep.load(path)


def test_one_changed_number_is_damage(path):
    with h5py.File(path, "r+") as file:
        file["posterior/error"][0, 3] += 1e-9
    with refuses("result.nc is damaged"):
        ep.load(path)
    signed(path)
    ep.load(path)  # the twin: it is the digest that told


def deep(n):
    return json.loads("[" * n + "]" * n)


@pytest.mark.parametrize(
    "entries",
    [
        {"facts": None},
        {"facts": []},
        {"facts": {}},
        {"units": {"error": 3}},
        {"units": []},
        {"dims": {"error": ["magnitude"]}},
        {"dims": {"profile": []}},
        {"dims": {"profile": ["nothing"]}},
        {"dims": {"profile": "magnitude"}},
        {"diagnostics": ["SOMETHING"]},
        {"diagnostics": {"a": 1}},
        {"diagnostics": [3]},
        {"kind": "comparison"},
        {"kind": "learning_curve"},
        {"kind": "audit"},
        {"more": 1},
    ],
    ids=lambda e: "-".join(f"{k} {v}" for k, v in e.items()),
)
def test_what_does_not_fit_the_class_is_refused(path, entries):
    change_header(path, **entries)
    with refuses("result.nc is not as .save wrote it"):
        ep.load(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"nonfinite_rows": 3}, "nonfinite_rows must be a list of integers, got 3"),
        ({"details": {"HEAVY_TAIL": 3}}, "details must be a dict of strings"),
        ({"n_chains": 7}, "with 7 chains"),
        ({"float_floor": "small"}, "float_floor must be a number, got 'small'"),
        ({"transform": None}, "transform must be a string, got None"),
        ({"more": 1}, "its facts are"),
    ],
)
def test_facts_are_those_that_the_class_declares(path, result, entry, words):
    change_header(path, facts=result.facts.as_dict() | entry)
    with refuses("result.nc is not as .save wrote it", words):
        ep.load(path)
    change_header(path, facts={k: v for k, v in result.facts.as_dict().items() if k != "noise"})
    with refuses("result.nc is not as .save wrote it", "its facts are"):
        ep.load(path)
    change_header(path, facts=result.facts.as_dict())
    ep.load(path)


def test_deep_headers_and_long_ones(path):
    with h5py.File(path, "r+") as file:
        file.attrs["equiprob"] = "[" * 100_000
    with refuses("result.nc cannot be read"):
        ep.load(path)


@pytest.mark.parametrize("shape", [(50,), (2, 25), (1, 49), (1, 0), (0, 0), (1, 50, 1)], ids=str)
def test_draws_of_other_shapes_are_refused(path, shape):
    with h5py.File(path, "r+") as file:
        del file["posterior/error"]
        file["posterior/error"] = np.ones(shape)
    signed(path)
    with refuses("result.nc is not as .save wrote it"):
        ep.load(path)


@pytest.mark.parametrize(
    "names", [["/"], [".."], ["law/../law"], [3], "law", [""], ["law\n"]], ids=str
)
def test_parts_have_names_of_parts(audit, tmp_path, names):
    path = tmp_path / "audit.nc"
    audit.save(path)
    assert str(ep.load(path)) == str(audit)
    with h5py.File(path, "r+") as file:
        header = json.loads(file.attrs["equiprob"]) | {"parts": names}
        file.attrs["equiprob"] = json.dumps(header)
    with refuses("audit.nc cannot be read"):
        ep.load(path)


def test_units_that_look_like_times_stay_words(tmp_path):
    orbits = ep.evaluate_orbits(
        TASK.predict,
        TASK.x,
        TASK.transform,
        backend="python",
        outputs=ep.Output(unit="days since 2000-01-01"),
    )
    result = ep.ModelEquivarianceError(n_draws=50).fit(orbits)
    result.save(tmp_path / "result.nc")
    assert ep.load(tmp_path / "result.nc").summary().equals(result.summary())


# ---- where it is written -------------------------------------------------------------------------


def test_a_link_is_written_through(result, tmp_path):
    (tmp_path / "scratch").mkdir()
    link = tmp_path / "result.nc"
    link.symlink_to(tmp_path / "scratch" / "there.nc")
    for _ in range(2):
        result.save(link)
        assert link.is_symlink()
        assert os.listdir(tmp_path / "scratch") == ["there.nc"]
    assert str(ep.load(link)) == str(result)
    link.unlink()
    link.symlink_to(link)
    with refuses("must be a file in a folder that exists"):
        result.save(link)


@pytest.mark.parametrize("left", [0, 4096, 20_000])
def test_a_full_disk_leaves_the_file_that_was_there(path, result, left):
    """HDF5 may end the process where a disk fills while it writes: it writes to memory."""
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        with pytest.raises(OSError, match=r"File too large; what was there before is as it was"):
            result.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_disks_that_cannot_sync_folders_keep_files_all_the_same(result, tmp_path, monkeypatch):
    sync = os.fsync

    def of_files_only(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", of_files_only)
    result.save(tmp_path / "result.nc")
    assert str(ep.load(tmp_path / "result.nc")) == str(result)


def test_threads_that_save_to_one_path_leave_a_whole_file(result, tmp_path):
    path = tmp_path / "result.nc"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: result.save(path), range(8)))
    assert str(ep.load(path)) == str(result)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("axis", "values"),
    [("magnitude", ["a", "b", "c"]), ("magnitude", [np.nan] * 3), ("candidate", [1.0, 2.0, 3.0])],
    ids=str,
)
def test_words_and_numbers_stand_along_their_axes(axis, values):
    assert not files._fits_axis(axis, np.array(values))
    assert files._fits_axis("group", np.array(["a", "b"]))  # groups are called what users call them
    assert files._fits_axis("asymmetric_ridge", np.array([0.0, np.inf]))


def test_a_class_of_a_users_own_is_not_saved(result, tmp_path):
    class Own(type(result)):
        pass

    own = Own(draws=result.draws, facts=result.facts)
    with refuses("Own is no result of equiprob", "tree"):
        own.save(tmp_path / "own.nc")
