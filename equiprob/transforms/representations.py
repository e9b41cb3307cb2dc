"""What does one axis of a leaf hold, and how does a transformation move it?

A representation turns the elements of a law into small float64 arrays on the host: an order, a
matrix, an offset, as `kernels.along` takes them. It has no mathematics of its own for devices, so
that a new one works on every engine. Leading axes are batch axes.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, final, override

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Element = Mapping[str, Array]
"""What ``(...)`` transformations are: `matrix`, `scale`, `shift`, `source`, `index`."""

Axis = dict[str, Array]
"""Arrays that act along one axis, as `kernels.along` reads them."""


class Law(Protocol):
    """What an action or a representation may ask of a law (see `law`)."""

    @property
    def products(self) -> NDArray[np.int64] | None:
        """The multiplication table ``(first, second)`` of a finite group, or None."""
        ...

    @property
    def factors(self) -> Sequence[Law]:
        """The laws that it is made of."""
        ...

    def split(self, parameters: Array, /) -> Sequence[Array]:
        """Return the parameters of each factor."""
        ...

    def element(self, parameters: Array, /) -> Element:
        """Return what transformations are."""
        ...

    def inverse(self, parameters: Array, /) -> Array:
        """Return the parameters of their inverses."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Transformations:
    """Some transformations of a law: what they are is computed once, whichever leaves ask.

    Args:
        law: The law.
        parameters: Theirs, ``(..., n_parameters)``.
    """

    law: Law
    parameters: Array

    @cached_property
    def element(self) -> Element:
        """What they are (see `AbstractLaw.element`)."""
        return self.law.element(self.parameters)

    @cached_property
    def inverse(self) -> Transformations:
        """Their inverses.

        Raises:
            ValueError: If they have none.
        """
        return Transformations(self.law, self.law.inverse(self.parameters))

    @cached_property
    def factors(self) -> tuple[Transformations, ...]:
        """Those of each law that this one is made of."""
        each = zip(self.law.factors, self.law.split(self.parameters), strict=True)
        return tuple(Transformations(law, own) for law, own in each)


@dataclass(frozen=True)
class AbstractRepresentation(abc.ABC):
    """What one axis of a leaf holds."""

    reads: ClassVar[tuple[str, ...]]
    """Entries of an element, one of which the law must have."""

    keeps_integers: ClassVar[bool] = False
    """Whether integers and booleans stay what they are."""

    @abc.abstractmethod
    def of(self, element: Element, law: Law) -> Axis:
        """Return the arrays that act along the axis, ``(..., k)`` or ``(..., k, k)``.

        Raises:
            ValueError: If the law's transformations cannot act on such an axis; it says why.
        """

    @abc.abstractmethod
    def __str__(self) -> str:
        """Return the word for it."""

    def length(self, element: Element, law: Law) -> int | None:
        """Return how long the axis must be (None: any length)."""
        for name, values in self.of(element, law).items():
            if name != "sign":
                return values.shape[-1]
        return None

    def weights(self) -> Array | None:
        """Return the weight of each component in a squared norm, or None where all are 1."""
        return None

    def keeps_size(self, element: Element, law: Law) -> bool:
        """Whether the transformations keep the (weighted) Euclidean size of the components."""
        axis, root = self.of(element, law), self.weights()
        factor = axis.get("factor", np.ones(1))
        if "matrix" not in axis:
            return bool(np.allclose(np.abs(factor), 1, atol=1e-8))
        matrix = axis["matrix"] * factor[..., None, :]
        if root is not None:
            root = np.sqrt(root)
            matrix = root[:, None] * matrix / root
        return bool(np.allclose(matrix @ np.swapaxes(matrix, -1, -2), np.eye(matrix.shape[-1])))


# ---- of matrices ---------------------------------------------------------------------------------

GEOMETRIC = ("matrix", "scale", "shift")
"""What makes a transformation of space."""


def matrices(element: Element) -> Array:
    """Return the matrices ``(..., d, d)`` of elements, 1 for those that only shift."""
    if "matrix" in element:
        return element["matrix"]
    if "scale" in element:
        return element["scale"][..., None] * np.eye(element["scale"].shape[-1])
    shift = element["shift"]
    return np.broadcast_to(np.eye(shift.shape[-1]), (*shift.shape, shift.shape[-1]))


def handedness(element: Element) -> Array:
    """Return the sign ``(...)`` of the determinant: -1 for what reflects."""
    return np.sign(np.linalg.det(matrices(element)))


@final
@dataclass(frozen=True)
class Vectors(AbstractRepresentation):
    """A vector: it turns and reflects, and does not translate."""

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        if "scale" in element:
            return {"factor": element["scale"]}
        return {"matrix": element["matrix"]} if "matrix" in element else {}

    @override
    def length(self, element: Element, law: Law) -> int:
        return next(element[name].shape[-1] for name in GEOMETRIC if name in element)

    @override
    def __str__(self) -> str:
        return "vectors"


@final
@dataclass(frozen=True)
class Points(AbstractRepresentation):
    """A position: it turns, reflects and translates."""

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        shift = {"offset": element["shift"]} if "shift" in element else {}
        return Vectors().of(element, law) | shift

    @override
    def length(self, element: Element, law: Law) -> int:
        return Vectors().length(element, law)

    @override
    def __str__(self) -> str:
        return "points"


@final
@dataclass(frozen=True)
class Axial(AbstractRepresentation):
    """An axial vector, such as a magnetic moment or a torque: it turns, and no inversion moves it.

    A reflection turns it and changes its sign.
    """

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        return Vectors().of(element, law) | {"sign": handedness(element)}

    @override
    def length(self, element: Element, law: Law) -> int:
        return Vectors().length(element, law)

    @override
    def __str__(self) -> str:
        return "axial"


@final
@dataclass(frozen=True)
class Pseudoscalar(AbstractRepresentation):
    """Numbers that change their sign where a transformation reflects, such as a chirality."""

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        return {"sign": handedness(element)}

    @override
    def __str__(self) -> str:
        return "pseudoscalar"


_VOIGT = "xx,yy,zz,yz,xz,xy"


@final
@dataclass(frozen=True)
class Voigt(AbstractRepresentation):
    """A symmetric tensor of space as six numbers, xx, yy, zz, yz, xz, xy where not said otherwise.

    These are a stress's: shear components are those of the tensor (a strain in engineers' notation
    holds them twice). They weigh twice in a norm, which is then that of the 3 x 3 tensor.

    Args:
        order: Which components stand where, such as ``"xx,yy,zz,xy,yz,zx"``.
    """

    order: str = _VOIGT

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @cached_property
    def _places(self) -> tuple[Array, Array]:
        """The row and the column of each component."""
        names = self.order.split(",")
        if sorted("".join(sorted(name)) for name in names) != sorted(_VOIGT.split(",")):
            raise ValueError(
                f"{str(self)!r} must name each of {', '.join(_VOIGT.split(','))} once, separated "
                f"by commas"
            )
        rows, columns = zip(*(map("xyz".index, name) for name in names), strict=True)
        return np.array(rows), np.array(columns)

    @override
    def of(self, element: Element, law: Law) -> Axis:
        matrix = matrices(element)
        require_space(matrix, str(self))
        i, j = self._places
        one = matrix[..., i[:, None], i] * matrix[..., j[:, None], j]
        other = matrix[..., i[:, None], j] * matrix[..., j[:, None], i]
        return {"matrix": np.where(i == j, one, one + other)}

    @override
    def weights(self) -> Array:
        rows, columns = self._places
        return np.where(rows == columns, 1.0, 2.0)

    @override
    def __str__(self) -> str:
        return "voigt" if self.order == _VOIGT else f"voigt[{self.order}]"


def require_space(matrix: Array, what: str) -> None:
    """Refuse transformations that are not of three dimensions."""
    if matrix.shape[-1] != 3:
        raise ValueError(
            f"{what!r} is of three dimensions, and the transformations are of {matrix.shape[-1]}"
        )
