"""When are draws of two results joint?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.model_error import ModelEquivarianceErrorResult
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.task.data_error import DataEquivarianceErrorResult


def joined(
    one: ModelEquivarianceErrorResult,
    other: DataEquivarianceErrorResult,
    found: set[Diagnostic],
) -> NDArray[np.int64]:
    """Return which draw of `other` goes with each draw of `one`.

    Results on the same rows with the same weight seed are joint as they are; others are independent
    and joined in a random order, which `found` then says.

    Raises:
        ValueError: If they have different numbers of draws.
    """
    if one.n_draws != other.n_draws:
        raise ValueError(
            f"the results have {one.n_draws} and {other.n_draws} draws; fit both with the same "
            f"n_draws"
        )
    same_rows = np.array_equal(np.sort(one.rows["row_id"]), np.sort(other.rows["row_id"]))
    if same_rows and one.facts.weight_seed == other.facts.weight_seed:
        return np.arange(one.n_draws)
    found.add(Diagnostic.JOINED_AS_INDEPENDENT)
    return np.random.default_rng([one.n_draws, 7]).permutation(one.n_draws)
