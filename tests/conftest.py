"""The processes of one run of the tests share compiled programs, and the cores."""

import os
import tempfile

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Set what JAX and BLAS read when they are first imported, and draw otherwise where asked."""
    # What another process is just writing cannot be read whole: JAX warns and compiles it anew.
    config.addinivalue_line(
        "filterwarnings", "ignore:Error reading persistent compilation cache entry:UserWarning"
    )
    if not hasattr(config, "workerinput"):
        _share(config)
    if "EQUIPROB_DRAWS" in os.environ:
        config.pluginmanager.import_plugin("other_draws")


def _share(config):
    """Set what workers of pytest-xdist and processes that tests start inherit."""
    workers = getattr(config.option, "numprocesses", None)
    if workers:  # threads of BLAS wait for work in a loop, on cores that other workers could use
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="equiprob-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ |= {
            "JAX_COMPILATION_CACHE_DIR": folder.name,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
