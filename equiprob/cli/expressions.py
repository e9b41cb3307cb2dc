"""Transform expressions: a small language that is read, never run.

    transform  = name "(" arguments ")"          a function of ep.transforms
    argument   = value | name "=" value
    value      = number | string | True | False | None | list | tuple | dict | transform | law
    number     = digits, "pi", sums and products of numbers, and a unit: 30deg, 0.5rad
    law        = Normal(0, 5deg) and a few other distributions of NumPyro
               | array("name")                     an array of the file of data

Nothing else is known: no attributes, no names, no code.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.transform import Transform

_FACTORIES = (
    "by_element",
    "conjugated",
    "crops",
    "cyclic",
    "dihedral",
    "euclidean3d",
    "finite",
    "irreps",
    "lattice_shifts",
    "lorentz",
    "mirror",
    "mixture",
    "permutations",
    "pixels",
    "product",
    "reflected",
    "rescalings",
    "rotations2d",
    "rotations3d",
    "scalings",
    "sign_flips",
    "supercells",
    "translations",
)

_LAWS = (
    *("Beta", "CategoricalProbs", "Cauchy", "Exponential", "Gamma", "HalfNormal", "Laplace"),
    *("LogNormal", "Logistic", "MixtureSameFamily", "Normal", "StudentT", "TruncatedNormal"),
    *("TwoSidedTruncatedDistribution", "Uniform", "VonMises"),
)

_NUMBERS = {"pi": float(np.pi), "deg": float(np.pi) / 180, "rad": 1.0}

_LONGEST = 20_000
_DEEPEST = 20

_STRINGS = re.compile(r"""('[^'\\]*'|"[^"\\]*")""")
_NUMBER = re.compile(r"((?>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?))(?:\s*+(deg|rad)\b)?")
"""A number and its unit, if it has one: each is read once, however long."""

_LARGEST = 1e300

_OPERATIONS: dict[type, Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def parse_transform(text: str, array: Callable[[str], NDArray[Any]] | None = None) -> Transform:
    """Return the transform that an expression describes.

    Args:
        text: Such as ``"rotations2d(max_angle=30deg)"``.
        array: Returns the array of a name, where ``array("name")`` is written.

    Raises:
        ValueError: If the expression is not in the language, or its arguments do not fit; the
            message says where.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a transform has at most {_LONGEST} characters, got {len(text)}")
    try:
        tree = ast.parse(_with_units(text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"transform {text!r:.200} cannot be read: expected something like "
            f"rotations2d(max_angle=30deg)"
        ) from error
    result = _Reader(array).value(tree.body, depth=0)
    if not isinstance(result, Transform):
        raise ValueError(
            f"{text!r:.200} is no transform: expected a call of one of {', '.join(_FACTORIES)}"
        )
    return result


def _with_units(text: str) -> str:
    """Write ``30deg`` as ``(30*deg)``, outside strings."""
    parts = _STRINGS.split(text)
    parts[::2] = [_NUMBER.sub(_with_unit, part) for part in parts[::2]]
    return "".join(parts)


def _with_unit(found: re.Match[str]) -> str:
    number, unit = found.groups()
    return number if unit is None else f"({number}*{unit})"


def _within_reach(number: float) -> float:
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError(f"a number in the transform must be at most {_LARGEST:g} in size")
    return number


def _shown(node: ast.expr) -> str:
    """Return the text of a node for a message, as far as it is worth reading."""
    try:
        return f"{ast.unparse(node)!r:.200}"
    except RecursionError:
        return "what is nested so deep"


class _Reader:
    """Reads an expression, and gets the arrays that it names."""

    def __init__(self, array: Callable[[str], NDArray[Any]] | None) -> None:
        """Take what returns the array of a name."""
        self._array = array

    def value(self, node: ast.expr, depth: int) -> Any:
        """Return the value of a node of the language."""
        if depth > _DEEPEST:
            raise ValueError(f"the transform is nested more than {_DEEPEST} deep")
        deeper = depth + 1
        match node:
            case ast.Constant(value=bool() | str() | None as value):
                return value
            case ast.Constant(value=int() | float() as number):
                return _within_reach(number)
            case ast.Name(id=name) if name in _NUMBERS:
                return _NUMBERS[name]
            case ast.Name(id=name) if name in _FACTORIES:
                raise ValueError(
                    f"{name!r} is not called: write {name}(), with what it takes inside"
                )
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self.number(operand, deeper)
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _calculated(type(op), self.number(left, deeper), self.number(right, deeper))
            case ast.List(elts=items):
                return [self.value(item, deeper) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self.value(item, deeper) for item in items)
            case ast.Dict(keys=keys, values=values):
                named = [_leaf_name(key) for key in keys]
                return {k: self.value(v, deeper) for k, v in zip(named, values, strict=True)}
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self.called(name, args, keywords, deeper)
        raise ValueError(
            f"{_shown(node)} is not part of a transform: expected numbers (with deg or rad), "
            f"strings, lists, dicts and calls of {', '.join(_FACTORIES)}"
        )

    def number(self, node: ast.expr, depth: int) -> float:
        """Return the number that a node stands for."""
        value = self.value(node, depth)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{_shown(node)} must be a number")
        return value

    def called(
        self, name: str, args: list[ast.expr], keywords: list[ast.keyword], depth: int
    ) -> Any:
        """Return what a call of one of the known functions makes."""
        if name == "array":
            return self.array(args, keywords)
        make = _function(name)
        for argument in args:
            if isinstance(argument, ast.Starred):
                raise ValueError(f"{name} takes no starred arguments here")
        values = [self.value(a, depth) for a in args]
        named: dict[str, Any] = {}
        for keyword in keywords:
            if keyword.arg is None:
                raise ValueError(f"{name} takes no starred arguments here")
            if keyword.arg in named:
                raise ValueError(f"{name} got {keyword.arg} twice")
            named[keyword.arg] = self.value(keyword.value, depth)
        if name in _LAWS:
            named = {k: np.asarray(v) if isinstance(v, list) else v for k, v in named.items()}
        try:
            return make(*values, **named)
        except ImportError:
            raise
        except Exception as error:
            raise ValueError(f"{name}(...): {error}") from error

    def array(self, args: list[ast.expr], keywords: list[ast.keyword]) -> NDArray[Any]:
        """Return the array of the file of data that ``array("name")`` names."""
        match args:
            case [ast.Constant(value=str() as name)] if not keywords and self._array is not None:
                return self._array(name)
        raise ValueError('array takes the name of one array of the file of data: array("name")')


def _leaf_name(key: ast.expr | None) -> str:
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return key.value
    raise ValueError("keys of a dict are names of leaves, as in {'positions': 'points'}")


def _calculated(operation: type, left: float, right: float) -> float:
    try:
        return _within_reach(_OPERATIONS[operation](left, right))
    except (ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"a number in the transform is not finite: {error}") from error


def _function(name: str) -> Callable[..., Any]:
    if name in _FACTORIES:
        from equiprob import transforms

        return getattr(transforms, name)
    if name in _LAWS:
        from numpyro import distributions

        return getattr(distributions, name)
    if name in ("from_functions", "from_augmentation"):
        raise ValueError(
            f"{name} takes functions, which no expression holds: use ep.audit in Python"
        )
    near = difflib.get_close_matches(name, (*_FACTORIES, *_LAWS), n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f"unknown transform {name!r}{meant}: expected one of {', '.join(_FACTORIES)}; "
        f"distributions are {', '.join(_LAWS)}"
    )
