"""Whatever is passed to a public function, it answers or refuses in words of its own."""

import os

import numpy as np
import pytest
from fuzz_adapters import ADAPTER_CALLS
from fuzz_calls import CALLS, not_finite
from fuzzing import HOSTILE, answered, examples, wrong
from hypothesis import given
from hypothesis import strategies as st

from equiprob.arguments.refusals import is_refusal

ALL_CALLS = CALLS | ADAPTER_CALLS


@st.composite
def calls(draw):
    """Return a function and its arguments, one or two of them replaced."""
    name = draw(st.sampled_from(sorted(ALL_CALLS)))
    function, valid = ALL_CALLS[name]
    replaced = draw(st.lists(st.sampled_from(sorted(valid)), min_size=1, max_size=2, unique=True))
    return name, function, valid | {argument: draw(wrong) for argument in replaced}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder: a word may be taken for a path."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_public_functions_answer_or_refuse():
    @examples("calls")
    @given(calls())
    def call(made):
        name, function, arguments = made
        result = answered(function, **arguments)
        assert not_finite(result) is None, f"{name} returned {not_finite(result)} that is NaN"

    call()
    assert not [name for name in os.listdir() if "partial" in name]


FOUND = [
    ("StructuralLevel", "n", "empty list"),
    ("StructuralLevel", "n", "words"),
    ("sufficient_n", "level", "words"),
    ("p_exact", "n", "structured"),
    ("MeasuredPairs", "parameters", "None"),
    ("MeasuredPairs", "y_moved", "empty string"),
    ("MeasuredPairs", "y_moved", "NaN array"),
    ("MeasuredPairs", "noise_variance", "nan"),
    ("Calibrated", "departure", "odd"),
    ("Calibrated", "level", "-1"),
    ("Hierarchical", "num_chains", "-1"),
    ("LearningCurve", "risk_max", "-1"),
    ("LearningCurve", "seed", "-1"),
    ("LearningCurve", "seed", "1.5"),
    ("conjugated", "seed", "-1"),
    ("conjugated", "scale", "nan"),
    ("from_onnx on rows", "outputs", "a row"),
    ("from_sklearn on rows", "x", "dict of None"),
]
"""What a fuzz test once found."""


@pytest.mark.parametrize(("name", "argument", "value"), FOUND)
def test_what_was_found_is_refused(name, argument, value):
    function, valid = ALL_CALLS[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        function(**(valid | {argument: HOSTILE[value]}))
    assert is_refusal(caught.value)


@pytest.mark.parametrize(
    "careless",
    [
        lambda: np.zeros(3) + np.zeros(4),
        lambda: len(3),
        lambda: {}["key"],
        lambda: 1 / 0,
    ],
)
def test_the_fuzz_test_has_power(careless):
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a dependency raises
        answered(careless)
