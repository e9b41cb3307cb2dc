"""Which symmetries does a model have, of all those that there could be?

A generator A moves a row of points in R^d by ``x -> exp(tA) x``, and the model's output by ``J(x) A
x`` per unit of t, which is linear in A. Of all generators (affine ones, too) those that change the
output least per unit of motion are the first eigenvectors of ``M v = mu N v``, with M the mean
square of what changes and N that of what moves. Where outputs move along in a way that is not
known, ``J(x) A x - B f(x)`` takes its place, and B is the best for each A.

The least of many is small by chance on the rows that chose it, and too large by as much on others.
So eigenvectors of each half of the rows are judged on both halves, and the mean of their squares
is taken: simulated, intervals from one half alone covered .64 to .76 of the truths at 128 rows,
those of the mean .86 to .91. A generator that changes the output as much as a random one has the
relative error 1, a symmetry 0.

References:
    Moskalev, Sepliarskaia, Sosnovik & Smeulders, "LieGG: Studying learned Lie group generators",
    NeurIPS 2022; Gruver et al., ICLR 2023 (the local error).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final, get_args

import jax
import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.array_types import Array
from equiprob.arguments.tensors import all_on_host
from equiprob.errors.generator_names import closure, named_shares
from equiprob.errors.responses import Responses
from equiprob.orbits.inputs import check_inputs, ids_of_rows, units_of_rows
from equiprob.orbits.row_wise import require_function_of_rows
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.weights import folds
from equiprob.transforms.transform import Transform

OutputMotion = Literal["invariant", "linear"]

_SURELY_IN = 0.9
"""Share of a named generator inside what was found from which it is named."""

_CLOSED = 0.9
_ROWS_FOR_EACH = 10
"""Numbers of output for each coefficient of a generator, so that none is free."""


@dataclass(frozen=True, kw_only=True)
class GeneratorsFacts(RowFacts):
    """What travels with generators that were found.

    Args:
        tolerance: Share of what a random generator changes that is small.
        translations: Whether generators move the origin.
        output: How outputs are transformed.
        leaf: The input that is moved; None for the only one.
        other_leaves: Those that are not.
        matrices: ``(generator, d + 1, d + 1)``, the least change first.
        output_matrices: What each does to outputs.
        names: Well-known generators that are among the symmetries, and the share of each that is.
        closure: How far the symmetries are from an algebra, as a share.
    """

    tolerance: float
    translations: bool
    output: str
    leaf: str | None
    other_leaves: Sequence[str]
    matrices: Sequence[Any]
    output_matrices: Sequence[Any]
    names: Mapping[str, float]
    closure: float


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratorsResult(AbstractResult):
    """The generators along which a model changes least; made by `Generators.fit`."""

    facts: GeneratorsFacts = field(repr=False)

    @property
    def n_symmetries(self) -> int:
        """How many generators are symmetries at the tolerance: the median."""
        return int(np.median(self.draws["n_symmetries"]))

    @property
    def matrices(self) -> Array:
        """All generators, best first, ``(generator, d, d)``, or ``(generator, d, d + 1)``.

        Those with translations have the shift in the last column. Of generators that are equally
        good only the space that they span is determined.
        """
        return np.array(self.facts.matrices)

    @property
    def names(self) -> dict[str, float]:
        """Which well-known generators lie in the space of the symmetries, and by what share."""
        return dict(self.facts.names)

    def __str__(self) -> str:
        """Say what was found."""
        counts, facts = self.draws["n_symmetries"], self.facts
        low, high = np.quantile(counts, [0.05, 0.95]).astype(int)
        total = self.draws["relative_error"].shape[1]
        text = (
            f"Of {total} independent generators, {self.n_symmetries} change the output by less "
            f"than {facts.tolerance:.3g} of what a random one changes (90% credible interval "
            f"{low} to {high})"
        )
        if self.names:
            text += f": among them {', '.join(self.names)}"
        text += "."
        if self.n_symmetries < total:
            after = self.draws["relative_error"][:, self.n_symmetries]
            start, end = credible_interval(after, 0.9)
            text += (
                f" The next one changes it by {np.median(after):.3g} ({start:.3g} to {end:.3g})."
            )
        return text + self.cautions

    def transform(self, max_magnitude: float = 1.0) -> Transform:
        """Return the transformations that the symmetries generate, up to a magnitude.

        Args:
            max_magnitude: The largest length of the coefficients; of rotations the angle in
                radians.

        Returns:
            Random members ``exp(sum c_i A_i)``, with c uniform in a ball.

        Raises:
            ValueError: If no symmetry was found, or the magnitude is not positive.
        """
        from equiprob.errors.found_transform import transform_of

        if not self.n_symmetries:
            raise ValueError(
                f"no generator changes the output by less than {self.facts.tolerance:.3g} of "
                f"what a random one does; raise the tolerance"
            )
        return transform_of(
            self.matrices[: self.n_symmetries],
            np.array(self.facts.output_matrices)[: self.n_symmetries],
            max_magnitude,
            leaf=self.facts.leaf,
            other_leaves=self.facts.other_leaves,
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Generators(AbstractEstimator):
    """Find the generators along which a model changes least, with a posterior of each one's error.

    Args:
        tolerance: Change of the output per unit of motion, relative to that along a random
            generator, up to which a generator counts as a symmetry.
        translations: Whether to look for shifts, too: for coordinates of points, not of vectors.
        output: ``"invariant"``, or ``"linear"``: the output's last axis may be moved along by a
            matrix of its own, whichever fits best.

    Assumptions:
        JAX can differentiate the model. Rows (or groups) are independent. One matrix acts on the
        last axis of the inputs, all items of a row alike. Only what is connected to the identity
        has generators: no reflection, no permutation.

    References:
        Moskalev et al., NeurIPS 2022 (LieGG); docs/generators.md.

    Examples:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
        >>> found = ep.Generators().fit(lambda rows: jnp.sum(rows**2, axis=1), x)
        >>> found.n_symmetries
        3
        >>> sorted(found.names)
        ['rotation about x', 'rotation about y', 'rotation about z']
    """

    tolerance: float = 0.05
    translations: bool = False
    output: OutputMotion = "invariant"

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not (np.isfinite(self.tolerance) and self.tolerance > 0):
            raise ValueError(f"tolerance must be a positive share, got {self.tolerance!r}")
        if self.output not in get_args(OutputMotion):
            raise ValueError(
                f"output must be one of {list(get_args(OutputMotion))}, got {self.output!r}"
            )

    def fit(
        self,
        predict: Callable[[Any], Any],
        x: Any,
        *,
        leaf: str | None = None,
        groups: ArrayLike | None = None,
        row_ids: ArrayLike | None = None,
        batch_size: int = 128,
    ) -> GeneratorsResult:
        """Differentiate the model on every row along all generators.

        Args:
            predict: The model, ``predict(batch) -> (row, ...)``, in JAX.
            x: An array ``(row, d)`` or ``(row, item, d)``, or a dict of arrays of which one moves.
            leaf: The name of that one.
            groups: A label for each row; rows of a group are one independent unit.
            row_ids: A unique label for each row; a hash of its content when left out.
            batch_size: Rows in each call of the model.

        Returns:
            Draws of ``relative_error`` of each generator, the best first, net of the luck of the
            rows that chose it, and of ``n_symmetries``, how many are within the tolerance.

        Raises:
            ValueError: If inputs do not fit, JAX cannot differentiate the model, it depends on the
                batch, or rows are too few for so many generators.
        """
        x = all_on_host(x)
        n = check_inputs(x)
        ids = ids_of_rows(row_ids, x, None, n)
        units = ids if groups is None else units_of_rows(groups, n)
        found = Responses.of(
            predict,
            x,
            leaf,
            translations=self.translations,
            output_moves=self.output == "linear",
            batch_size=batch_size,
        )
        moving = [name == leaf for name in sorted(x)] if isinstance(x, dict) else [True]
        require_function_of_rows(jax.jit(predict), x, moving)
        finite = np.flatnonzero(found.finite)
        if len(finite) * found.n_outputs < _ROWS_FOR_EACH * found.n_generators:
            raise ValueError(
                f"{found.n_generators} generators need at least "
                f"{_ROWS_FOR_EACH * found.n_generators} numbers of output, got {len(finite)} "
                f"finite rows of {found.n_outputs}; give more rows"
            )
        responses, units = found.take(finite), units[finite]
        squared = self._squared(responses, units)
        errors = np.sqrt(np.maximum(squared, 0.0))
        best = responses.ordered()
        counts = (errors <= self.tolerance).sum(axis=1).astype(np.float64)
        few = int(np.median(counts))
        names = named_shares(best.matrices[:few], responses.moved, self.translations)
        closed = closure(best.matrices[:few], responses.moved)
        diagnostics: set[Diagnostic] = set()
        if len(finite) < n:
            diagnostics.add(Diagnostic.NONFINITE_OUTPUTS)
        if few and closed < _CLOSED:
            diagnostics.add(Diagnostic.NOT_CLOSED)
        means = RowMeans(units, self.n_draws, self.weight_seed)
        along = responses.squares(best)[0]
        columns = {f"the change along generator {k + 1}": along[:, k] for k in range(few)}
        rows = RowFindings.of(
            means, columns if errors[:, :few].max(initial=0) > 1e-3 else {}, finite
        )
        return GeneratorsResult(
            draws={"relative_error": errors, "n_symmetries": counts},
            dims={"relative_error": ("generator",)},
            coords={"generator": np.arange(1, errors.shape[1] + 1)},
            units={"relative_error": "share", "n_symmetries": "generators"},
            diagnostics=worst_first(diagnostics | rows.found),
            facts=GeneratorsFacts(
                tolerance=self.tolerance,
                translations=self.translations,
                output=self.output,
                leaf=leaf,
                other_leaves=[name for name in x if name != leaf] if leaf is not None else [],
                n_rows=len(finite),
                **rows.facts,
                weight_seed=self.weight_seed,
                matrices=best.matrices.tolist(),
                output_matrices=best.output_matrices.tolist(),
                names={name: share for name, share in names.items() if share >= _SURELY_IN},
                closure=closed,
                nonfinite_rows=[int(r) for r in np.setdiff1d(np.arange(n), finite)],
            ),
            rows={"position": finite, "row_id": ids[finite]},
        )

    def _squared(self, responses: Responses, units: Any) -> Array:
        """Return draws ``(draw, generator)`` of squared relative errors, by halves of the rows."""
        fold = folds(units, 2)
        if len(np.unique(units)) < 4:
            raise ValueError(
                f"halves need at least 4 independent rows, got {len(np.unique(units))}"
            )
        total = np.zeros(())
        for judged in (0, 1):
            judges = np.flatnonzero(fold == judged)
            means = RowMeans(units[judges], self.n_draws, self.weight_seed)
            own = responses.take(judges)
            for choosers in (np.flatnonzero(fold != judged), judges):
                chosen = responses.take(choosers).ordered()
                changed, moved = own.squares(chosen)
                random = own.squares(chosen, follow=False)[0].sum(axis=1)
                total = total + _relative(means, changed, moved, random) / 4
        return np.asarray(total)


def _relative(means: RowMeans, changed: Array, moved: Array, random: Array) -> Array:
    """Return draws ``(draw, generator)`` of changes per motion, over those of a random generator.

    A product of four means: to first order its logarithm is a mean over rows.
    """
    centre = changed.mean(axis=0) / moved.mean(axis=0)
    reference = random.mean() / moved.sum(axis=1).mean()
    if reference == 0:
        raise ValueError(
            "no generator changes the output of any row: the model is constant, or its outputs "
            "change in steps (labels, rounded numbers); pass what they are made of, such as logits"
        )
    of_rows = changed / np.maximum(changed.mean(axis=0), np.finfo(float).tiny)
    of_rows = of_rows - moved / moved.mean(axis=0)
    common = random / random.mean() - moved.sum(axis=1) / moved.sum(axis=1).mean()
    return centre / reference * np.exp(means.means(of_rows - common[:, None]))
