"""How do rows of unequal sizes, such as molecules, become arrays?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_array
from equiprob.arguments.checked import checked


@checked
def padded(
    rows: Sequence[Mapping[str, Any]], *, fill: Mapping[str, Any] | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
    """Stack rows whose leaves have lengths of their own, and say which items are data.

    Args:
        rows: A dict of arrays for each row (a molecule, a graph), all with the same keys. Arrays of
            a key may differ in the length of their first axis alone.
        fill: What to put into the padding, by key; 0 where not said. Neighbour lists are best
            filled with an atom that exists, and told apart by their mask.

    Returns:
        ``x``, a dict of arrays ``(row, item, ...)`` that are as long as the longest row, and a mask
        ``(row, item)`` for each key whose lengths differ: for the model, as a leaf of `x` (declared
        ``"invariant"``), and for ``ep.Output(mask=...)``.

    Raises:
        ValueError: If there are no rows, keys differ, or arrays differ in more than the first axis.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> molecules = [{"positions": np.ones((2, 3))}, {"positions": np.ones((5, 3))}]
        >>> x, mask = ep.padded(molecules)
        >>> x["positions"].shape, mask["positions"].sum(axis=1).tolist()
        ((2, 5, 3), [2, 5])
    """
    if not len(rows) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(
            "rows is empty, or holds something else than a dict of arrays for each row"
        )
    keys = list(rows[0])
    for i, row in enumerate(rows):
        if set(row) != set(keys):
            raise ValueError(f"row {i} has the keys {sorted(row)}, but row 0 has {sorted(keys)}")
    x, masks = {}, {}
    for key in keys:
        leaves = [as_array(f"{key!r}", row[key]) for row in rows]
        if len({leaf.shape[1:] for leaf in leaves}) > 1 or len({leaf.ndim for leaf in leaves}) > 1:
            shapes = sorted({leaf.shape for leaf in leaves})
            raise ValueError(f"{key!r} differs in more than its first axis: shapes {shapes}")
        lengths = {leaf.shape[:1] for leaf in leaves}
        if len(lengths) == 1:
            x[key] = np.stack(leaves)
            continue
        longest = max(length for (length,) in lengths)
        shape = (len(leaves), longest, *leaves[0].shape[1:])
        x[key] = np.full(shape, (fill or {}).get(key, 0), dtype=np.result_type(*leaves))
        masks[key] = np.zeros(shape[:2], dtype=bool)
        for i, leaf in enumerate(leaves):
            x[key][i, : len(leaf)] = leaf
            masks[key][i, : len(leaf)] = True
    return x, masks
