"""Are two transforms the same?

Not if they are only called the same. A fingerprint holds, in words, everything that makes a
transform: its kind, the parameters of its law and some numbers drawn from it, its elements, and how
it acts on inputs and on outputs. It is the same in every process, so that it can be written to a
file, and a difference can be named.

A user's function is told by its code and by what it reads: its defaults, the variables that it
captures, the globals of its own module that it names. What is inside compiled code cannot be seen:
two functions that differ only there, or in the state of a random generator, count as the same. The
same function counts as another one where another version of Python compiles it differently.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Complex, Integral
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

Fingerprint = Mapping[str, str]
"""What makes a transform, by the names of its arguments."""

OF_OUTPUT = ("output_action",)
"""What tells how outputs transform: results on inputs alone do not depend on it."""

OF_INPUT = ("acts_on", "fill", "wrap")
"""What tells how inputs transform, which may come in another form to each model."""

_DRAWS = "numbers drawn with one seed"
_N_DRAWS = 8

_DIGITS = 6
"""Significant digits of arrays: quantile functions differ in the last ones between machines."""

_FEW = 4
"""Numbers up to which an array is written out."""

_TITLES = ("name",)
"""Fields that only say what people call it."""

_ARGUMENTS = {"draw": "law", "unit": "identity", "invert": "inverse", "size": "magnitude"}
"""Fields by the name of the argument that they are made of."""

_LONGEST = 90


def fingerprint_of(transform: Any) -> dict[str, str]:
    """Return what makes a transform, in words by the names of its arguments."""
    found = _parts(transform)
    drawn = transform.sample_many(np.random.default_rng(0), _N_DRAWS)
    return found | {_DRAWS: _numbers(np.asarray(drawn))}


def in_words(value: Any) -> str:
    """Return what a user passed in words that do not depend on the process."""
    return _Reader().words(value)


def difference(
    one: Fingerprint,
    other: Fingerprint,
    *,
    named: tuple[str, str] = ("the first", "the second"),
    besides: Collection[str] = (),
) -> str | None:
    """Say what tells two transforms apart, or return None.

    Args:
        one: A fingerprint.
        other: Another one.
        named: What to call the two.
        besides: Arguments that do not matter.
    """
    keys = [key for key in dict.fromkeys([*one, *other]) if _argument(key) not in besides]
    apart = [key for key in keys if one.get(key) != other.get(key)]
    told = [key for key in apart if key != _DRAWS] or apart
    words = [
        f"{key} is {_short(one.get(key))} in {named[0]} and {_short(other.get(key))} in {named[1]}"
        for key in told
    ]
    return "; ".join(words) or None


def check_same_transform(
    one: Fingerprint,
    other: Fingerprint,
    *,
    named: tuple[str, str],
    besides: Collection[str] = (),
) -> None:
    """Raise unless two transforms are the same; arguments as in `difference`.

    Raises:
        ValueError: If they differ, with what does.
    """
    apart = difference(one, other, named=named, besides=besides)
    if apart is not None:
        raise ValueError(
            f"{named[0]} and {named[1]} are over different transforms: {apart}; use one transform "
            f"for both"
        )


def _argument(key: str) -> str:
    """Return the last argument in a path such as ``factors[0].acts_on['r']``."""
    return key.rpartition(".")[2].partition("[")[0]


def _short(text: str | None) -> str:
    if text is None:
        return "absent"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({_digest(text.encode())})"


def _parts(transform: Any) -> dict[str, str]:
    """Return the words of a transform or a law; those of a transform's law are its own."""
    found: dict[str, str] = {"kind": type(transform).__name__}
    for each in fields(transform):
        value = getattr(transform, each.name)
        if each.name == "law" and hasattr(value, "sample_many"):
            found |= _parts(value)
        elif each.name not in _TITLES:
            found |= _flat(_ARGUMENTS.get(each.name, each.name), value)
    return found


def _flat(key: str, value: Any) -> dict[str, str]:
    """Return the words of one argument, apart where it holds transforms or a dict by leaf."""
    if hasattr(value, "sample_many"):
        return {f"{key}.{name}": words for name, words in _parts(value).items()}
    if isinstance(value, Mapping):
        items = [(f"{key}[{name!r}]", item) for name, item in value.items()]
    elif hasattr(value, "parts_of"):
        head, dot, argument = key.rpartition(".")
        items = [(f"{head}{dot}{name}", own) for name, own in value.parts_of(argument).items()]
    elif isinstance(value, tuple) and any(hasattr(item, "sample_many") for item in value):
        items = [(f"{key}[{i}]", item) for i, item in enumerate(value)]
    else:
        return {key: _Reader().words(value)}
    return functools.reduce(lambda found, item: found | _flat(*item), items, {})


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _numbers(array: NDArray[Any]) -> str:
    """Return the content of an array in words, the same up to rounding on every machine."""
    if array.dtype == object:
        return _Reader().words(array.tolist())
    if array.dtype.kind in "fc":
        sizes = np.abs(array[np.isfinite(array)])
        largest = float(sizes.max()) if sizes.size else 0.0
        place = round(np.log10(largest)) if largest > 0 else 0
        array = np.round(array.astype(np.result_type(array, np.float64)) / 10.0**place, _DIGITS)
        array = array + 0.0  # no minus zero
        shown = array * 10.0**place
    else:
        place, shown = 0, array
    if array.size <= _FEW:
        few = (f"{v:.6g}" if array.dtype.kind in "fc" else str(v) for v in shown.ravel())
        return f"[{', '.join(few)}]"
    head = f"{array.dtype.kind} {array.shape} {place}".encode()
    shape = " x ".join(map(str, array.shape))
    return f"{shape} numbers ({_digest(head + np.ascontiguousarray(array).tobytes())})"


@dataclass
class _Reader:
    """Puts what a user passed into words that do not depend on the process.

    Args:
        known: What was read already, by `id`.
        kept: The objects themselves: an `id` means nothing once its object is gone.
    """

    known: dict[int, str] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)

    def words(self, value: Any) -> str:
        """Return the words of anything."""
        if value is None or isinstance(value, str | bytes | bool):
            return repr(value)
        if isinstance(value, np.generic):
            return self.words(value.item())
        if isinstance(value, Integral):
            return str(int(value))
        if isinstance(value, Complex):
            return f"{value:.12g}"
        key = id(value)
        if key not in self.known:
            self.kept.append(value)
            self.known[key] = "itself"
            self.known[key] = self._of_object(value)
        return self.known[key]

    def _of_object(self, value: Any) -> str:
        if isinstance(value, np.ndarray | jax.Array) or hasattr(value, "__array__"):
            return self._array(value)
        if isinstance(value, Mapping):
            items = sorted((self.words(k), self.words(v)) for k, v in value.items())
            return f"{{{', '.join(f'{k}: {v}' for k, v in items)}}}"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.words, value)))}}}"
        if isinstance(value, Sequence):
            return f"[{', '.join(map(self.words, value))}]"
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, types.CodeType):
            return self._code(value)
        if hasattr(value, "arg_constraints") and hasattr(value, "sample"):
            own = sorted(name for name in value.arg_constraints if name in vars(value))
            return self._called(value, {name: vars(value)[name] for name in own})
        if callable(value) and not is_dataclass(value):
            return self._callable(value)
        return self._called(value, _content(value))

    def _array(self, value: Any) -> str:
        try:
            return _numbers(np.asarray(value))
        except (TypeError, ValueError, RuntimeError):  # keys, tensors that track gradients
            return type(value).__qualname__

    def _called(self, value: Any, content: Mapping[str, Any]) -> str:
        inside = ", ".join(f"{name}={self.words(own)}" for name, own in content.items())
        return f"{type(value).__name__}({inside})"

    def _callable(self, value: Any) -> str:
        if isinstance(value, types.FunctionType):
            return f"a function ({_digest(self._function(value).encode())})"
        if isinstance(value, types.MethodType):
            content = f"{self.words(value.__self__)} {self.words(value.__func__)}"
            return f"a method ({_digest(content.encode())})"
        if isinstance(value, functools.partial):
            content = self.words([value.func, value.args, value.keywords])
            return f"a partial function ({_digest(content.encode())})"
        if isinstance(inner := getattr(value, "__wrapped__", None), types.FunctionType):
            return self.words(inner)
        if isinstance(value, type) or not hasattr(value, "__dict__"):
            name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
            return f"{getattr(value, '__module__', '')}.{name or type(value).__qualname__}"
        content = self._called(value, _content(value)) + self.words(type(value).__call__)
        return f"a callable {type(value).__name__} ({_digest(content.encode())})"

    def _function(self, function: types.FunctionType) -> str:
        captured = {}
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                captured[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                captured[name] = None
        read = {
            name: self._global(function.__globals__[name], function)
            for name in sorted(_globals(function.__code__))
            if name in function.__globals__
        }
        own = [function.__code__, captured, function.__defaults__, function.__kwdefaults__]
        return self.words(own) + repr(read)

    def _global(self, value: Any, function: types.FunctionType) -> str:
        """Return the words of a global: what other modules define is known by its name."""
        module = getattr(value, "__module__", None)
        is_named = callable(value) and hasattr(value, "__qualname__")
        if is_named and module not in (function.__module__, "__main__"):
            return f"{module}.{value.__qualname__}"
        return self.words(value)

    def _code(self, code: types.CodeType) -> str:
        constants = [self.words(constant) for constant in code.co_consts]
        names = (code.co_names, code.co_argcount, code.co_kwonlyargcount, code.co_flags)
        return _digest(code.co_code + repr((constants, names)).encode())


def _content(value: Any) -> dict[str, Any]:
    """Return what an object holds, without what it computed and kept."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    kept = [
        name
        for name in getattr(value, "__dict__", {})
        if not isinstance(getattr(type(value), name, None), functools.cached_property)
    ]
    return {name: value.__dict__[name] for name in sorted(kept)}


def _globals(code: types.CodeType) -> set[str]:
    """Return the names of the globals that a function and those inside it read."""
    found = {str(i.argval) for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return found.union(*(_globals(c) for c in inner))
