"""Does a value fit a type that a signature declares?

Only what can be told at a glance is told: numbers, words, functions, arrays, and objects of this
package. Whether an integer is positive, or an array has the right shape, the function itself says.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import ArrayLike

_FEW = 1000
"""Elements of a sequence that are looked at."""

_WORDS = {
    "AbstractBound": "one of ep.bounds, such as ep.bounds.Holdout()",
    "AbstractInformation": "one of ep.information, such as ep.information.Rows(100)",
    "AbstractLoss": "one of ep.bounds, such as ep.bounds.SquaredError()",
    "AbstractMethod": "one of ep.methods, such as ep.methods.Symmetrization()",
    "AbstractPath": "one of ep.paths, such as ep.paths.Blend()",
    "Transform": ("made by a function of ep.transforms, such as ep.transforms.rotations2d()"),
    "Comparison": "what ep.compare returns",
    "OrbitTable": "an orbit table, which ep.evaluate_orbits returns",
    "Curve": "the result of ep.LearningCurve().fit(...)",
    "Output": "ep.Output(...)",
    "Path": "a path",
    "bool": "True or False",
    "float": "a number",
    "int": "an integer",
    "str": "a string",
}


_ARRAY_LIKE = typing.get_args(ArrayLike)
"""In older NumPy, ArrayLike is a union, which merges with that it stands in."""


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the arguments of a hint, with ArrayLike as one."""
    arguments = typing.get_args(hint)
    if not _ARRAY_LIKE or any(part not in arguments for part in _ARRAY_LIKE):
        return arguments
    return ArrayLike, *(a for a in arguments if a not in _ARRAY_LIKE)


def fits(hint: Any, value: Any) -> bool:
    """Whether a value fits a type hint, as far as can be told at a glance."""
    if hint is Any:
        return True
    if hint is ArrayLike or typing.get_origin(hint) is np.ndarray:
        return _is_array(value)
    origin, arguments = typing.get_origin(hint), _parts(hint)
    if origin in (Union, types.UnionType):
        return any(fits(h, value) for h in arguments)
    if origin is Literal:
        return any(isinstance(value, type(choice)) for choice in arguments)
    if hint is None or hint is types.NoneType:
        return value is None
    if origin is Callable or hint is Callable:
        return callable(value)
    if origin is tuple:
        return isinstance(value, tuple | list)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and _each(arguments[-1:], value.values())
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _is_sequence(value) and _each(arguments, value)
    return fits_class(hint, value) if isinstance(hint, type) else True


def fits_class(kind: type, value: Any) -> bool:
    """Whether a value is of a class, or can take its place."""
    if kind is int:
        return isinstance(value, int) or _is_number(
            value
        )  # which integers, every function says itself
    if kind is float:
        return _is_number(value)
    if kind is bool:
        return isinstance(value, bool | np.bool_ | int)
    if getattr(kind, "_is_protocol", False):
        names = [name for name in vars(kind) if not name.startswith("_")]
        return all(hasattr(value, name) for name in names)
    return isinstance(value, kind)


def words(hint: Any) -> str:
    """Say what fits a hint, as it follows "must be"."""
    origin, arguments = typing.get_origin(hint), _parts(hint)
    if hint is ArrayLike or origin is np.ndarray:
        return "an array"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(h) for h in arguments))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if hint is None or hint is types.NoneType:
        return "None"
    if origin is Callable or hint is Callable:
        return "a function"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a dict" + _of(arguments[-1:])
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return "a list" + _of(arguments[:1])
    name = getattr(hint, "__name__", str(hint))
    if name.endswith("Result"):
        return f"the result of ep.{name.removesuffix('Result')}().fit(...)"
    return _WORDS.get(name, f"a {name}")


def _of(arguments: Sequence[Any]) -> str:
    """Say what a container holds."""
    plural = {float: "numbers", int: "integers", str: "strings"}
    simple = "".join(f" of {plural[a]}" for a in arguments if a in plural)
    told = [a for a in arguments if a not in plural and a is not Any]
    return simple + "".join(f", each of them {words(a)}" for a in told)


def _each(hints: Sequence[Any], values: Iterable[Any]) -> bool:
    """Whether the first elements of a container fit."""
    if not hints or isinstance(values, np.ndarray):
        return True
    return all(fits(hints[0], v) for _, v in zip(range(_FEW), values, strict=False))


def _is_sequence(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufUS"
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | set | type)


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf"
    # NumPy takes larger integers for objects.
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _is_array(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind not in "OVcmM" or hasattr(value, "dtype")
    except (ValueError, TypeError):  # ragged lists
        return False
