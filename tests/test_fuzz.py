"""Whatever is written as a transform, it is one or is refused as bad input."""

import contextlib

import pytest
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st

import equiprob as ep
from equiprob.cli.expressions import _FACTORIES, parse_transform

PIECES = [
    *("30deg", "-1", "0", "1e400", "nan", "pi/0", "None", "True", "'image'", "'points'", "'\\x00'"),
    *("[]", "()", "{}", "{'a': 'points'}", "[[1,0],[0,1]]", "irreps('1x1o')", "cyclic(4)", "x.y"),
    *("9" * 400, "9" * 4000 + "deg", "1e300", "1e308*1e308", "800", "'" + "x" * 3000 + "'"),
    *("max_angle=1", "acts_on='vectors'", "law=Normal(0,1)", "order=3", "*a", "**a", "10**9", "é"),
]
calls = st.builds(
    lambda name, parts: f"{name}({', '.join(parts)})",
    st.sampled_from([*_FACTORIES, "eval", ""]),
    st.lists(st.sampled_from(PIECES), max_size=3),
)


@pytest.mark.parametrize("texts", [calls, st.text(max_size=30)], ids=["calls", "text"])
def test_transforms_are_read_or_refused(texts):
    @examples("transforms", 0.5)
    @given(texts)
    def read(text):
        # Any other exception than a ValueError fails the test.
        with contextlib.suppress(ValueError):
            assert isinstance(parse_transform(text), ep.transforms.Transform)

    read()
