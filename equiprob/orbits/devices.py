"""How are the rows of a chunk spread over all local devices?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_AXIS = "rows"


@dataclass(frozen=True)
class RowSharding:
    """Spreads rows over devices, equally many on each.

    Args:
        mesh: The devices; None where there is one, and nothing to do.
    """

    mesh: Mesh | None

    @classmethod
    def of(cls, n_rows: int, captured: Sequence[Any]) -> RowSharding:
        """Return how chunks of so many rows are spread.

        Args:
            n_rows: Rows in a chunk.
            captured: Arrays that the model holds. Where it has put them on devices of its own
                choice, it stays there.
        """
        devices = jax.local_devices()
        placed = any(isinstance(array, jax.Array) and array.committed for array in captured)
        if not 1 < len(devices) <= n_rows or placed:
            return cls(None)
        return cls(Mesh(np.array(devices), (_AXIS,), axis_types=(AxisType.Auto,)))

    def spread(self, tree: Any, axis: int) -> Any:
        """Return a tree of arrays with rows along `axis`, on all devices.

        The last row is repeated until each has equally many.
        """
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, _AXIS))
        n_devices = self.mesh.size

        def leaf(values: Any) -> Any:
            n = values.shape[axis]
            if n % n_devices:
                index = np.minimum(np.arange(-(-n // n_devices) * n_devices), n - 1)
                values = values.take(index, axis=axis)
            return jax.device_put(values, sharding)

        return jax.tree.map(leaf, tree)
