"""How is a transform written, so that it can be read again?

``repr(transform)`` is an expression in the language of the command line. What makes a transform of
built-in parts is read back to an equal one; a user's function is only told by its fingerprint.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from equiprob.transforms.actions import AbstractLeafAction
from equiprob.transforms.fingerprint import in_words
from equiprob.transforms.foreign import foreign_declaration
from equiprob.transforms.representations import AbstractRepresentation


@dataclass(frozen=True, eq=False, repr=False)
class Call:
    """A call of a public function.

    Args:
        function: Its name.
        positional: Arguments without a name.
        named: The others.
    """

    function: str
    positional: Sequence[Any] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Write it in the language of the command line."""
        named = [f"{name}={expression(value)}" for name, value in self.named.items()]
        return f"{self.function}({', '.join([*map(expression, self.positional), *named])})"


def expression(value: Any) -> str:
    """Write a transform, a law, a declaration or a number as it is read by the command line."""
    value = foreign_declaration(value)
    if hasattr(value, "sample_many") or isinstance(value, Call):
        return repr(value)
    if isinstance(value, np.ndarray | np.generic):
        return repr(value.tolist())
    if isinstance(value, AbstractRepresentation):
        return str(value) if str(value).endswith(")") else repr(str(value))
    if isinstance(value, Mapping):
        items = [f"{name!r}: {expression(own)}" for name, own in value.items()]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, tuple):
        inside = ", ".join(map(expression, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list):
        return f"[{', '.join(map(expression, value))}]"
    if hasattr(value, "log_prob") and hasattr(value, "sample"):
        return str(_law(value))
    if (words := getattr(getattr(value, "function", None), "declared", None)) is not None:
        return expression(words)  # an action that words were made into
    if callable(value) or isinstance(value, AbstractLeafAction):
        return in_words(value)
    return repr(value)


def _law(law: Any) -> Call:
    """Return the call that makes a NumPyro distribution."""
    names = [n for n in inspect.signature(type(law)).parameters if n != "validate_args"]
    given = {name: getattr(law, name) for name in names if hasattr(law, name)}
    numbers = {
        name: v if hasattr(v, "log_prob") or v is None else np.asarray(v)
        for name, v in given.items()
    }
    return Call(type(law).__name__, (), numbers)
