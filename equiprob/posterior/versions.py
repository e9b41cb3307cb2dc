"""Which versions made these numbers?"""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = ("equiprob", "jax", "numpy", "scipy", "scikit-learn", "numpyro", "arviz")


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
