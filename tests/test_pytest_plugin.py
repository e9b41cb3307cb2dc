"""The fixture for other test suites: run on one of them."""

import pytest

SUITE = """
import numpy as np
import pytest
import equiprob as ep

pytestmark = pytest.mark.equivariance(max_error=1e-3, n_transforms=4)
X = np.random.default_rng(0).normal(size=(60, 2))
TURNS = ep.transforms.rotations2d(acts_on="vectors")
first, radius = lambda x: x[:, 0], lambda x: (x**2).sum(axis=1)

def test_passes(equivariance):
    assert equivariance(radius, X, TURNS).facts.n_transforms == 4

def test_fails(equivariance):
    equivariance(first, X, TURNS)

@pytest.mark.equivariance(max_error=10.0)
def test_of_a_nearer_marker(equivariance):
    equivariance(first, X, TURNS)

@pytest.mark.equivariance(max_error=10.0)
def test_fails_of_an_argument(equivariance):
    equivariance(first, X, TURNS, max_error=0.1)
"""


class Outcomes:
    """Remembers what became of each test, and why."""

    def __init__(self):
        self.found = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.found[report.nodeid.rpartition(":")[2]] = report.outcome, report.longreprtext


def test_a_suite_with_the_fixture(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["equiprob.pytest_plugin"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_suite_of_a_user.py").write_text(SUITE)
    seen = Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    pytest.main([*options, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)], plugins=[seen])
    outcomes = {name: outcome for name, (outcome, _) in seen.found.items()}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_of_a_nearer_marker": "passed",
        "test_fails_of_an_argument": "failed",
    }
    assert "P(equivariance error <= 0.001) is 0.000" in seen.found["test_fails"][1]
