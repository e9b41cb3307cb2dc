"""Would the analysis have found the same where there is nothing to find?

Two controls, each the whole analysis run again: with a wrong group of the same size, which the task
has no reason to respect, and with permuted targets, which no longer depend on the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import jax
import numpy as np

from equiprob.arguments.calls import calling
from equiprob.arguments.checked import checked
from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.inputs import check_inputs
from equiprob.orbits.output_arrays import checked_targets
from equiprob.posterior.kinds import Drawn
from equiprob.posterior.results import AbstractResult
from equiprob.transforms.conjugated import conjugated
from equiprob.transforms.transform import Transform

if TYPE_CHECKING:
    import pandas as pd

Analysis = Callable[[Any, Any, Transform], AbstractResult]

AS_GIVEN, WRONG_GROUP, PERMUTED = "as given", "wrong group", "permuted targets"


@final
@dataclass(frozen=True)
class Controls(Drawn):
    """One analysis and its two controls; made by `controls`.

    Args:
        results: By name: ``"as given"``, ``"wrong group"``, ``"permuted targets"``.
    """

    results: Mapping[str, AbstractResult]

    def __str__(self) -> str:
        """Put the three findings one below the other."""
        return "\n".join(f"{name}: {result}" for name, result in self.results.items())

    def summary(self, ci_prob: float | None = None) -> pd.DataFrame:
        """Return estimates and credible intervals of every quantity in the three analyses.

        Args:
            ci_prob: Probability in (0, 1); ArviZ's default when left out.

        Returns:
            A table indexed by analysis and quantity, as `AbstractResult.summary`.

        Raises:
            ValueError: If `ci_prob` is outside (0, 1).
        """
        import pandas as pd

        tables = {name: result.summary(ci_prob) for name, result in self.results.items()}
        return pd.concat(tables, names=["analysis"])


@checked
def controls(
    analysis: Analysis,
    x: Any,
    y: Any,
    transform: Transform,
    *,
    wrong: Transform | None = None,
    seed: int = 0,
) -> Controls:
    """Run an analysis as given, with a wrong group, and with permuted targets.

    What to expect of the data error, if the analysis is sound: permuted targets do not depend on
    the inputs, so that the best prediction is a constant, and its error is zero where outputs are
    invariant. The wrong group should cost more than a symmetry that the task has; where it costs as
    little, the finding says nothing about this symmetry in particular.

    Args:
        analysis: ``analysis(x, y, transform) -> result``, all of it: training, orbits, estimator.
            Do not promise an invariant law in it: what holds for your group does not for the wrong
            one (``law=None`` looks).
        x: The inputs: an array or a dict of arrays, rows first.
        y: The targets, rows first.
        transform: The transform.
        wrong: A group of the same size that the task does not respect; when left out,
            `equiprob.transforms.conjugated`: the same one in other coordinates.
        seed: Seed of the permutation of the rows of `y`, and of the other coordinates.

    Returns:
        The three results.

    Raises:
        TypeError: If the analysis returns something else than a result of this package.
        ValueError: If there are no targets.
    """
    x = all_on_host(x)
    n = check_inputs(x)
    targets = checked_targets(y, n)
    if targets is None:
        raise ValueError("controls permutes the targets: pass y")
    order = np.random.default_rng([check_seed(seed), 13]).permutation(n)
    if wrong is None:
        wrong = conjugated(transform, seed=seed, scale=_scale(x))
    runs = {
        AS_GIVEN: (y, transform),
        WRONG_GROUP: (y, wrong),
        PERMUTED: (jax.tree.map(lambda leaf: np.asarray(leaf)[order], y), transform),
    }
    results: dict[str, AbstractResult] = {}
    for name, (chosen, group) in runs.items():
        with calling("analysis"):
            result = analysis(x, chosen, group)
        if not isinstance(result, AbstractResult):
            raise TypeError(
                f"analysis must return a result of this package, such as "
                f"DataEquivarianceError().fit(orbits), got {type(result).__name__}"
            )
        results[name] = result
    return Controls(results)


def _scale(x: Any) -> float:
    """Return the standard deviation of the inputs' entries about their means over rows."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(x)]
    spread = [leaf.std(axis=0) for leaf in leaves if np.issubdtype(leaf.dtype, np.inexact)]
    squares = np.concatenate([np.ravel(s) ** 2 for s in spread]) if spread else np.ones(1)
    return float(np.sqrt(squares.mean())) or 1.0
