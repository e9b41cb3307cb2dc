"""How tests of error messages are written."""

import pytest


def refuses(*words, error=ValueError):
    """Expect an error whose message has all of the words, in any order."""
    everywhere = "".join(rf"(?=.*{word})" for word in words)
    return pytest.raises(error, match=rf"(?s)^{everywhere}")
