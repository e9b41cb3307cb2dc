"""How do processes that each evaluated some of the rows get the table of them all?"""

from __future__ import annotations

from functools import reduce

import jax
import numpy as np

from equiprob.arguments.checked import checked
from equiprob.orbits.storage.archive import from_bytes, to_bytes
from equiprob.orbits.storage.merge import merge
from equiprob.orbits.storage.saved_state import packed_table, unpacked_table
from equiprob.orbits.table import OrbitTable


@checked
def gather(table: OrbitTable) -> OrbitTable:
    """Return the table of the rows of all processes of ``jax.distributed``, in every process.

    Each process evaluates rows of its own, in the same way; all of them call this at the same time.

    Args:
        table: The table of this process's rows.

    Returns:
        The tables of all processes, merged in their order (see `merge`). Without
        ``jax.distributed``, the table itself.

    Raises:
        ValueError: If the tables were evaluated in different ways, or share rows.
        RuntimeError: If another process has ended; where JAX notices first, it ends this one, too.
    """
    if jax.process_count() == 1:
        return table
    from jax.experimental.multihost_utils import process_allgather

    content = np.frombuffer(to_bytes(*packed_table(table)), dtype=np.uint8)
    try:
        sizes = np.ravel(process_allgather(np.array([len(content)], dtype=np.int32)))
        padded = np.zeros(int(sizes.max()), dtype=np.uint8)
        padded[: len(content)] = content
        everyones = np.asarray(process_allgather(padded))
    except jax.errors.JaxRuntimeError as error:
        raise RuntimeError(
            f"the tables of the {jax.process_count()} processes could not be exchanged: one of "
            f"them has ended, or never came to gather; start all of them again, with checkpoint=, "
            f"so that each goes on from its own file ({str(error)[:300]})"
        ) from error
    tables = [
        unpacked_table(*from_bytes(one[:size].tobytes(), f"the table of process {i}"), table)
        for i, (one, size) in enumerate(zip(everyones, sizes, strict=True))
    ]
    return reduce(merge, tables)
