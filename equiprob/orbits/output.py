"""What is known of an output: its unit, which entries are padding, what it is divided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers, mask_of
from equiprob.arguments.checked import check_fields
from equiprob.arguments.names import check_names
from equiprob.arguments.tensors import is_torch

OUTPUT_UNITS = "output units"

DEFAULT_OUTPUT = "output"
"""The name of the output of a model that returns one array."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """Declares the unit of an output, its padding, and whether it is counted per atom.

    Args:
        unit: The unit of the numbers that are reported, such as ``"meV/atom"``.
        scale: What the model's numbers (and targets) are multiplied by to be in that unit.
        mask: Which items of an output ``(row, item, ...)`` are data, ``(row, item)``; the others
            are padding, and enter nothing.
        per: ``"item"``: errors are root mean squares over the items of a row (the force error of an
            atom). Or counts ``(row,)`` that the output of each row is divided by (an energy by its
            number of atoms). When left out, squares are summed over items.
        dtype: The precision that the model computes this output in, such as ``"float32"`` behind
            float64 arrays. When left out it is seen: that of the array, or a narrower one that
            holds all its numbers.

    Raises:
        ValueError: If the scale or the counts are not positive, the mask is not of booleans, a row
            has no item, or the dtype is none of floating-point numbers.
    """

    unit: str = OUTPUT_UNITS
    scale: float = 1.0
    mask: ArrayLike | None = None
    per: Any = None
    dtype: Any = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fields(self)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number, got {self.scale!r}")
        if self.mask is not None:
            mask = np.asarray(self.mask)
            if mask.dtype != bool or mask.ndim != 2:
                raise ValueError(
                    f"mask must be booleans (row, item), got {mask.dtype} of shape {mask.shape}"
                )
            if not mask.any(axis=1).all():
                raise ValueError(f"row {int(np.argmin(mask.any(axis=1)))} of mask has no item")
        if isinstance(self.per, str) and self.per != "item":
            raise ValueError(f"per must be 'item' or counts (row,), got {self.per!r}")
        if self.per is not None and not isinstance(self.per, str):
            counts = as_numbers("per", self.per)
            if counts.ndim != 1 or not (np.isfinite(counts) & (counts > 0)).all():
                raise ValueError(f"per must be positive counts (row,), got {self.per!r}")
        check_names("unit", [self.unit])
        if self.dtype is not None and not _is_float(self.dtype):
            raise ValueError(
                f"dtype must be the floating-point precision of the model, such as 'float32' or "
                f"'bfloat16', got {self.dtype!r}"
            )


def _is_float(dtype: Any) -> bool:
    try:
        return bool(jnp.issubdtype(jnp.dtype(dtype), jnp.floating))
    except TypeError:
        return False


@dataclass(frozen=True, eq=False)
class Measure:
    """How the numbers of an output are turned into those that are kept, flattened ``(row, k)``.

    Args:
        unit: The unit of what is kept.
        factor: What the model's numbers are multiplied by, or None; 0 is padding.
        weight: The root of each component's weight in a squared norm, or None for 1 everywhere.
        n_components: How many components of weight 1 an output has.
        dtype: The precision that it is computed in, where that was declared.
    """

    unit: str
    factor: Any
    weight: Array | None
    n_components: float
    dtype: Any = None

    @classmethod
    def of(
        cls, output: Output, shape: tuple[int, ...], name: str, weights: Array | None = None
    ) -> Measure:
        """Return the measure of an output of the given shape, rows first.

        `weights` are those of the components of a row in a squared norm, where not all are 1.

        Raises:
            ValueError: If the mask or the counts do not fit the shape.
        """
        n, items = shape[0], shape[1:]
        plain = output.mask is None and output.per is None and output.scale == 1.0
        if plain and weights is None:
            return cls(output.unit, None, None, float(np.prod(items)), output.dtype)
        factor = np.full((n, *items), output.scale)
        weight = None if output.mask is None and not isinstance(output.per, str) else np.ones(shape)
        if output.mask is not None:
            mask = np.asarray(output.mask)
            if shape[:2] != mask.shape:
                raise ValueError(
                    f"the mask of {name!r} has shape {mask.shape}, but the output has {shape}; "
                    f"it must hold a boolean for each row and item"
                )
            weight = np.broadcast_to(mask.reshape(n, -1, *[1] * (len(items) - 1)), shape) * 1.0
        if isinstance(output.per, str):
            if not items:
                raise ValueError(f"{name!r} has no items: pass per= counts (row,) instead")
            assert weight is not None
            count = weight.reshape(*shape[:2], -1)[..., 0].sum(axis=1)
            weight = weight / np.sqrt(count).reshape(n, *[1] * len(items))
        elif output.per is not None:
            counts = np.asarray(output.per, dtype=np.float64)
            if counts.shape != (n,):
                raise ValueError(f"per of {name!r} must hold {n} counts, got shape {counts.shape}")
            factor = factor / counts.reshape(n, *[1] * len(items))
        if weights is not None:
            weight = np.sqrt(weights) * (np.ones(shape) if weight is None else weight)
        if weight is not None:
            weight = weight.reshape(n, -1)
        flat = factor.reshape(n, -1)
        components = flat.shape[1] if weight is None else float((weight**2).sum(axis=1).mean())
        factor = flat if weight is None else flat * weight
        return cls(output.unit, factor, weight, components, output.dtype)

    def at(self, rows: NDArray[np.int64]) -> Measure:
        """Return the measure of some of the rows."""
        return self if self.factor is None else replace(self, factor=self.factor[rows])

    def put(self, put: Callable[[Any], Any]) -> Measure:
        """Return the measure of outputs that are elsewhere, given what brings arrays there."""
        return self if self.factor is None else replace(self, factor=put(self.factor))

    def kept(self, values: Any) -> Any:
        """Return values ``(..., row, k)`` as they are kept, padding as 0."""
        if self.factor is None:
            return values
        if is_torch(values):
            return (values * self.factor).where(self.factor != 0, 0.0)
        return np.multiply(values, self.factor, where=self.factor != 0, out=np.zeros(values.shape))


def measures(
    declared: Any,
    shapes: Mapping[Any, tuple[int, ...]],
    weights: Mapping[Any, Array | None] | None = None,
) -> dict[Any, Measure]:
    """Return the measure of each output, given its shape ``(row, ...)``.

    `weights` are those of its components in a squared norm, where not all are 1.

    Raises:
        ValueError: If outputs are declared that are not there, or do not fit.
        TypeError: If the declaration is neither an `Output` nor a dict of them.
    """
    if isinstance(declared, Output):
        if len(shapes) > 1:
            raise ValueError(f"pass outputs as a dict: the model has the outputs {list(shapes)}")
        declared = {name: declared for name in shapes}
    declared = declared or {}
    if not isinstance(declared, Mapping) or any(
        not isinstance(o, Output) for o in declared.values()
    ):
        raise TypeError(f"outputs must be ep.Output or a dict of such, got {declared!r}")
    unknown = [name for name in declared if name not in shapes]
    if unknown:
        raise ValueError(f"outputs names {unknown}, but the model has {list(shapes)}")
    of = (weights or {}).get
    return {
        n: Measure.of(declared.get(n, Output()), shape, str(n), of(n))
        for n, shape in shapes.items()
    }


def declared_dtypes(declared: Any) -> dict[Any, Any]:
    """Return the precision that outputs were declared to be computed in, by name."""
    named = {DEFAULT_OUTPUT: declared} if isinstance(declared, Output) else declared or {}
    return {name: output.dtype for name, output in named.items()}


def check_declared(declared: Any, n: int) -> None:
    """Check what can be checked of declared outputs before there are any.

    Raises:
        ValueError: If masks or counts are not of `n` rows.
        TypeError: If the declaration is neither an `Output` nor a dict of them.
    """
    each = declared if isinstance(declared, Mapping) else {"the output": declared}
    for name, output in each.items():
        if output is None:
            continue
        if not isinstance(output, Output):
            raise TypeError(f"outputs must be ep.Output or a dict of such, got {declared!r}")
        if output.mask is not None and len(np.asarray(output.mask)) != n:
            raise ValueError(
                f"the mask of {name!r} has shape {np.shape(output.mask)}, but x has {n} rows; it "
                f"must hold a boolean for each row and item"
            )
        counts = None if isinstance(output.per, str) else output.per
        if counts is not None and len(np.asarray(counts)) != n:
            raise ValueError(f"per of {name!r} must hold {n} counts, got shape {np.shape(counts)}")


def has_masks(declared: Any) -> bool:
    """Whether components of some output weigh differently from row to row."""
    each = declared.values() if isinstance(declared, Mapping) else [declared]
    return any(o is not None and (o.mask is not None or isinstance(o.per, str)) for o in each)


def rows_of(declared: Any, rows: Any) -> Any:
    """Return declared outputs for some of the rows they were declared for."""

    def one(output: Output) -> Output:
        if output.mask is None and (output.per is None or isinstance(output.per, str)):
            return output
        mask = None if output.mask is None else np.asarray(output.mask)[rows]
        per = output.per
        return replace(
            output, mask=mask, per=per if isinstance(per, str | None) else np.asarray(per)[rows]
        )

    if isinstance(declared, Mapping):
        return {name: one(output) for name, output in declared.items()}
    return None if declared is None else one(declared)


def joined(parts: list[Any]) -> Any:
    """Return what was declared for some rows after another (see `rows_of`)."""
    if isinstance(parts[0], Mapping):
        return {name: joined([part[name] for part in parts]) for name in parts[0]}
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    first: Output = parts[0]
    masks, counts = [part.mask for part in parts], [part.per for part in parts]
    return replace(
        first,
        mask=None if first.mask is None else np.concatenate(masks),
        per=first.per if isinstance(first.per, str | None) else np.concatenate(counts),
    )


def without_padding(y: Any, declared: Any) -> Any:
    """Return targets with 0 in place of padding, which need not be finite."""

    def one(values: Any, output: Any) -> Any:
        if not isinstance(output, Output) or output.mask is None:
            return values
        array, mask = np.asarray(values), np.asarray(output.mask)
        if array.shape[:2] != mask.shape:
            return values  # refused where the shapes are compared
        data = mask.reshape(*mask.shape, *[1] * (array.ndim - 2))
        kept, hidden = np.where(data, array, 0.0), mask_of(values)
        # What is masked beyond the padding is refused where targets are read.
        return kept if hidden is None else np.ma.masked_array(kept, hidden & data)

    if isinstance(y, Mapping) and isinstance(declared, Mapping):
        return {name: one(values, declared.get(name)) for name, values in y.items()}
    return y if y is None or isinstance(y, Mapping) else one(y, declared)
