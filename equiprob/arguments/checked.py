"""Refuse arguments of a wrong kind by name, before they are used."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from equiprob.arguments.hints import fits, words
from equiprob.arguments.models import adapter_for

_LONGEST = 80

_MODELS = ("predict", "models")
"""Arguments that are models, which have adapters."""


def checked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments that do not fit its signature.

    Raises:
        TypeError: By the function, if an argument does not fit, or its name is unknown.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = _signature(function).bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{function.__qualname__}: {error}; {_order(function)}") from None
        for name, value in given.items():
            _check(name, _hints(function).get(name, Any), value)
        return function(*args, **kwargs)

    return call


def check_fields(made: Any) -> None:
    """Check the fields of a dataclass that has just been made.

    Raises:
        TypeError: If one does not fit its declaration.
    """
    for field in dataclasses.fields(made):
        if field.init:
            hint = field_types(type(made)).get(field.name, Any)
            _check(field.name, hint, getattr(made, field.name))


def _check(name: str, hint: Any, value: Any) -> None:
    adapter = adapter_for(value) if name in _MODELS else None
    if adapter:
        kind = type(value).__name__
        raise TypeError(f"{name} must be a function of arrays, got a {kind}: pass {adapter}")
    if fits(hint, value):
        return
    shown = repr(value)
    if len(shown) > _LONGEST:
        shown = (
            f"a {type(value).__name__} of shape {value.shape}"
            if hasattr(value, "shape")
            else (f"{shown[:_LONGEST]}...")
        )
    instead = f"the class {value.__name__}: call it" if isinstance(value, type) else shown
    raise TypeError(f"{name} must be {words(hint)}, got {instead}")


def _order(function: Callable[..., Any]) -> str:
    """Say in which order a function takes its arguments."""
    each = _signature(function).parameters.values()
    in_order = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in each if p.kind in in_order and p.name != "self"]
    return f"its arguments are ({', '.join(names)}) in this order, and others by name"


_signature = functools.lru_cache(maxsize=None)(inspect.signature)


@functools.cache
def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the types of a function's parameters."""
    unlisted = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    plain = {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in unlisted and parameter.annotation is not parameter.empty
    }
    return _evaluated(plain, inspect.unwrap(function).__globals__)


@functools.cache
def field_types(kind: type) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields, each read where it was declared."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        found |= _evaluated(inspect.get_annotations(base), vars(sys.modules[base.__module__]))
    return found


def _evaluated(annotations: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return annotations as types; those that only type checkers can read are let be."""
    found: dict[str, Any] = {}
    for name, annotation in annotations.items():
        try:
            found[name] = (
                eval(annotation, dict(names)) if isinstance(annotation, str) else annotation
            )
        except (NameError, AttributeError, TypeError):
            found[name] = Any
    return found
