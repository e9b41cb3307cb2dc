"""Which leaves can be moved on the device of a PyTorch model?

Those of the package's own actions, and those whose function, written for JAX or NumPy, runs under
``torch.func.vmap`` and returns the same there: a ``std`` of a row is another number in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.precision import rounding_of
from equiprob.orbits.torch_device import TorchDevice
from equiprob.transforms.acting import Moves

_ROUNDINGS = 64.0
"""Roundings by which a function may differ between libraries, root mean square."""

Sides = tuple[tuple[bool, ...], tuple[bool, ...]]
"""Of each leaf of the rows, and of the outputs."""


def moved_alike(moves: Moves, x: Any, output: Any, users: Sides, device: TorchDevice) -> Sides:
    """Return which leaves can be moved on a device as on the host.

    Args:
        moves: Transformations, on the first axis of their arrays.
        x: Rows, a pytree of NumPy arrays.
        output: Outputs of them.
        users: Whether a user's function moves each leaf.
        device: The device.
    """
    inward, outward = users
    n = len(next(v for e in (*moves.there, *moves.home) for v in e.values())) if _any(moves) else 0
    stacked = jax.tree.map(lambda v: np.repeat(v[None], n, axis=0), output)

    def there(one: Moves, x: Any) -> list[Any]:
        each = [jax.tree.leaves(rows) for rows in one.each(x, n)]
        return [list(leaves) for leaves in zip(*each, strict=True)]

    def home(one: Moves, x: Any, output: Any) -> list[Any]:
        return [list(leaf) for leaf in jax.tree.leaves(one.each_back(output, x))]

    none_in, none_out = (False,) * len(inward), (False,) * len(outward)
    alike_in = tuple(
        _alike(there, moves.only(chosen, none_out), (x,), place, inward[place], device)
        for place, chosen in enumerate(_each(len(inward)))
    )
    alike_out = tuple(
        _alike(home, moves.only(none_in, chosen), (x, stacked), place, outward[place], device)
        for place, chosen in enumerate(_each(len(outward)))
    )
    return alike_in, alike_out


def _any(moves: Moves) -> bool:
    return any(e for e in (*moves.there, *moves.home))


def _each(n: int) -> Iterator[list[bool]]:
    yield from np.eye(n, dtype=bool).tolist()


def _alike(
    act: Callable[..., list[Any]],
    moves: Moves,
    arguments: tuple[Any, ...],
    place: int,
    is_users: bool,
    device: TorchDevice,
) -> bool:
    """Whether one leaf comes out on the device as on the host."""
    if not _any(moves):
        return True
    try:
        here = act(*jax.tree.map(device.put_rows, (moves, *arguments)))[place]
        found = [values.cpu().numpy() for values in here]
    except Exception:
        return False
    if not is_users:
        return True
    try:
        expected = act(moves, *arguments)[place]
    except Exception:  # it is written for PyTorch
        return True
    return all(_equal(a, np.asarray(b)) for a, b in zip(found, expected, strict=True))


def _equal(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if not np.issubdtype(expected.dtype, np.floating):
        return np.array_equal(found, expected)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return False
    one, other = found[finite].astype(np.float64), expected[finite].astype(np.float64)
    apart, size = (np.sqrt((v**2).mean()) if v.size else 0.0 for v in (one - other, other))
    return bool(apart <= _ROUNDINGS * rounding_of(expected.dtype) * size)
