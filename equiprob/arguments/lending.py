"""How are rows lent to a user's function, which must not write into them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

_ADVICE = (
    "arrays are passed read-only, because others use them, too: let the function work on a copy "
    "(x = np.array(x)), without operations in place"
)


@dataclass(frozen=True, eq=False)
class Lent:
    """A batch of rows that is lent to a user's function.

    Args:
        x: What the function is given: NumPy arrays as read-only copies, so that whatever it does
            (through PyTorch or C, which see no such flag) the caller's stay as they are.
        before: What they held, out of the function's reach.
    """

    x: Any
    before: Any

    @classmethod
    def of(cls, x: Any) -> Lent:
        """Return a pytree of NumPy and JAX arrays as what is lent."""
        before = jax.tree.map(lambda v: v if isinstance(v, np.ndarray) else np.array(v), x)
        return cls(jax.tree.map(_read_only_copy, x), before)

    def require_unchanged(self, name: str = "predict") -> None:
        """Raise where the function wrote into what it was lent all the same.

        Raises:
            ValueError: If it did.
        """
        for now, before in zip(jax.tree.leaves(self.x), jax.tree.leaves(self.before), strict=True):
            if not np.array_equal(now, before):
                raise ValueError(
                    f"{name} writes into its input, and so changes the rows it is asked about; "
                    f"{_ADVICE} (torch.from_numpy shares memory: torch.tensor copies)"
                )


def _read_only_copy(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray):
        return leaf  # JAX's cannot be written to, short of tricks
    copy = np.array(leaf)
    copy.flags.writeable = False
    return copy


def read_only(x: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array that cannot be written into."""
    view = x.view()
    view.flags.writeable = False
    return view


def advised(error: BaseException) -> str:
    """Return what an error says, and what to do where it is one of writing into what was lent."""
    writes = isinstance(error, ValueError) and "read-only" in str(error)
    return f"{error}; {_ADVICE}" if writes else str(error)
