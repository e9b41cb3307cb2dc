"""A fixture for test suites: ``pytest_plugins = ["equiprob.pytest_plugin"]`` in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from equiprob.auditing.assertion import assert_equivariant


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "equivariance(max_error, credibility=0.95, ...): what the fixture `equivariance` passes to "
        "ep.assert_equivariant",
    )


@pytest.fixture
def equivariance(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return `equiprob.assert_equivariant` with the arguments that the marker states.

    Markers of a test add to those of its class and module, and arguments of the call to both.
    """
    stated: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("equivariance"))):
        if marker.args:
            raise TypeError("the marker equivariance takes arguments by name: max_error=0.01")
        stated |= marker.kwargs

    def check(predict: Any, x: Any, transform: Any, **arguments: Any) -> Any:
        return assert_equivariant(predict, x, transform, **(stated | arguments))

    return check
