"""Does a transform act on these inputs and outputs as a transformation should?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_array, refuse_masks
from equiprob.arguments.checked import checked
from equiprob.arguments.forks import unforked
from equiprob.transforms.acting import Acting
from equiprob.transforms.actions import AbstractLeafAction, Invariant
from equiprob.transforms.by_leaf import ByLeaf
from equiprob.transforms.fitting import ModelFit, suggestions
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform, leaf_names

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 256
"""Rows beyond these are not looked at: an action is the same on every row."""

_FOR_MODEL = 4
"""Transformations for which a model is called."""

_ROUNDINGS = 1e3
"""Multiples of the float precision up to which two results are equal up to rounding."""


@dataclass(frozen=True, eq=False)
class ActionCheck:
    """What `check_action` found.

    Args:
        table: One row for each leaf of `x` and `y`, indexed by its name: its `action`, `row_shape`
            and `dtype`; the relative errors `identity_error` (of ``e x = x``), `round_trip_error`
            (of ``g^-1 g x = x``, the interpolation floor) and `composition_error` (of
            ``(g h) x = g (h x)``), each a root mean square over rows and transformations in units
            of the leaf's spread, NaN where there is no inverse or composition; the `finding` in
            words, and whether it is `ok`. With a model there is a row for each output, with its
            `model_error` (the change of the output relative to its spread), and `fits` names
            declarations that fit a leaf better.
        transform: The transform, in words.
        n_rows: Rows looked at.
        n_transforms: Transformations drawn.
    """

    table: pd.DataFrame
    transform: str
    n_rows: int
    n_transforms: int

    @property
    def status(self) -> str:
        """``"ok"``, or what is wrong with which leaf."""
        wrong = self.table.loc[~self.table["ok"].astype(bool), "finding"]
        return "; ".join(f"{leaf}: {finding}" for leaf, finding in wrong.items()) or "ok"

    def __str__(self) -> str:
        """Say what was found, a line for each leaf."""
        verdict = "ok" if self.status == "ok" else "something is wrong"
        head = f"{self.transform}, {self.n_transforms} draws on {self.n_rows} rows: {verdict}"
        lines = [
            f"  {leaf} ({row['action']}, {row['dtype']}): {row['finding']}"
            for leaf, row in self.table.iterrows()
        ]
        return "\n".join([head, *lines])


_MOST_TRANSFORMS = 10_000


@checked
@unforked
def check_action(
    transform: Transform,
    x: Any,
    y: Any = None,
    *,
    predict: Callable[[Any], Any] | None = None,
    seed: int = 0,
    n_transforms: int = 8,
) -> ActionCheck:
    """Check how a transform acts on inputs and targets, and what interpolation costs.

    With `predict`, check the declarations against a model that is meant to be equivariant, too: a
    leaf under another declaration of which the model changes ten times less is declared wrongly.

    Args:
        transform: The transform.
        x: The inputs: an array or pytree of arrays, rows first. The first 256 rows are used.
        y: Targets shaped like the output of the model, likewise. Class labels (an array of
            integers) are not transformed and left out.
        predict: A model that is meant to be equivariant, such as one that is so by construction.
            It is called on the first 64 rows, and once for each transformation and each other
            declaration of an input leaf.
        seed: Seed of the transformations.
        n_transforms: How many transformations to draw (4 of them for the model).

    Returns:
        The check: a `table` with a row for each leaf, `status` (``"ok"`` or what is wrong), and a
        summary in words as its string. That images interpolate is reported and not wrong; a shape
        or dtype that changes, an identity that moves something, and an inverse or a composition
        that does not fit are.

    Raises:
        ValueError: If an action is undeclared, does not fit its leaf or lacks the inverse that an
            output needs, as in `evaluate_orbits`; if `x` or `y` is not finite; or if
            `n_transforms` is not a positive integer.
        RuntimeError: If a user's action raises.

    Assumptions:
        None on the law of `x`: whether transformed inputs are as likely as the originals is
        another question.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
        >>> print(ep.check_action(turns, x, y=x))
        rotations2d(up to 180 degrees), 8 draws on 100 rows: ok
          x (vectors, float64): g^-1 g x = x up to rounding, (g h) x = g (h x) up to rounding
          y (vectors, float64): g^-1 g x = x up to rounding, (g h) x = g (h x) up to rounding
    """
    import pandas as pd

    if not isinstance(n_transforms, int | np.integer) or not 1 <= n_transforms <= _MOST_TRANSFORMS:
        raise ValueError(
            f"n_transforms must be a positive integer, at most {_MOST_TRANSFORMS:,}, got "
            f"{n_transforms!r}"
        )
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
    draws = transform.sample_many(np.random.default_rng(seed), 2 * n_transforms)
    check = partial(_check_leaf, transform, draws[:n_transforms], draws[n_transforms:])

    x = _first_rows("x", x)
    rows = _by_leaf(check, "x", transform.on(x).inward, x)
    model = {} if predict is None else _by_model(transform, predict, x, draws[:_FOR_MODEL], rows)
    if not isinstance(y, Mapping | None):
        y = as_array("y", y)
    y = _first_rows("y", y)
    if y is not None and not (isinstance(y, np.ndarray) and y.dtype.kind in "iub"):
        rows |= _by_leaf(check, "y", transform.on(output=y).outward, y, x)
    rows |= model
    table = pd.DataFrame.from_dict(rows, orient="index")
    return ActionCheck(table, str(transform), len(jax.tree.leaves(x)[0]), int(n_transforms))


def _by_model(
    transform: Transform,
    predict: Callable[[Any], Any],
    x: Any,
    parameters: Parameters,
    rows: dict[str, dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return a row of the table for each output, and mark leaves declared wrongly in `rows`."""
    fit = ModelFit.of(transform, predict, x, parameters)
    best, found = suggestions(fit)
    outputs = {}
    named = zip(leaf_names(fit.base), jax.tree.leaves(fit.base), strict=True)
    for k, (name, leaf) in enumerate(named):
        outputs["predict" + name] = {
            "action": str(fit.outputs[k].action),
            "row_shape": leaf.shape[1:],
            "dtype": str(leaf.dtype),
            **dict.fromkeys(("identity_error", "round_trip_error", "composition_error"), np.nan),
            "model_error": float(fit.errors[k]),
            "finding": _model_finding(fit.errors[k], best.errors[k], fit.rounding),
            "ok": True,
        }
    for (side, place), suggestion in found.items():
        row = list((rows if side == "inputs" else outputs).values())[place]
        row |= {"finding": str(suggestion), "fits": " or ".join(suggestion.labels), "ok": False}
    return outputs


def _model_finding(error: float, best: float, rounding: float) -> str:
    """Say how far an output is from the declared symmetry, and from the best that was found."""
    if error <= rounding:
        return "the model is equivariant up to rounding"
    if best <= rounding:
        return f"the model changes by {error:.2g} of its spread, due to another leaf"
    return f"the model changes by {error:.2g} of its spread; no other declaration explains it"


def _first_rows(what: str, tree: Any) -> Any:
    leaf_names(tree)  # raises where there are none

    def leaf(values: Any) -> NDArray[Any]:
        refuse_masks(what, values)
        array = np.asarray(values)
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{what} must hold arrays with rows first, got shape {array.shape}")
        part = array[:_MOST_ROWS]
        if jnp.issubdtype(part.dtype, jnp.inexact) and not np.isfinite(part).all():
            raise ValueError(f"{what} is not finite (NaN or infinity); drop or mend such rows")
        return part

    return jax.tree.map(leaf, tree)


def _by_leaf(check: Any, what: str, actions: ByLeaf, tree: Any, rows: Any = None) -> dict[str, Any]:
    names = enumerate(actions.names)
    return {what + name: check(place, actions, tree, rows) for place, name in names}


def _check_leaf(
    transform: Transform,
    first: Parameters,
    second: Parameters,
    place: int,
    actions: ByLeaf,
    tree: Any,
    others: Any,
) -> dict[str, Any]:
    """Return the row of the table for one leaf."""
    name, action = actions.names[place], actions.actions[place]
    leaf = jax.tree.leaves(tree)[place]
    errors = {"identity_error": 0.0, "round_trip_error": 0.0, "composition_error": 0.0}
    wrong, finding = "", "does not change"
    if action.changes_shape or action.makes_rows:
        errors = dict.fromkeys(errors, float("nan"))
        made = "is made of raw rows" if action.makes_rows else "changes the shape of rows"
        finding = f"{made}: not checked here"
    elif not isinstance(action, Invariant):
        if action.given:
            moves = _Moves(transform, actions, tree, place, others)
        else:
            moves = _Moves(transform, ByLeaf((name,), (action,)), leaf)
        wrong = moves.misfit(first)
        errors = dict.fromkeys(errors, float("nan")) if wrong else moves.errors(first, second)
        rounding = _ROUNDINGS * _rounding_of(leaf)
        wrong = wrong or _wrong(action, rounding, **errors)
        finding = wrong or _finding(rounding, **errors)
    return {
        "action": str(action),
        "row_shape": leaf.shape[1:],
        "dtype": str(leaf.dtype),
        **errors,
        "finding": finding,
        "ok": not wrong,
    }


def _rounding_of(leaf: NDArray[Any]) -> float:
    """Return the relative precision of a leaf; whole numbers are exact."""
    return float(jnp.finfo(leaf.dtype).eps) if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0.0


@dataclass(frozen=True, eq=False)
class _Moves:
    """One leaf, moved there and back, with the others where its action reads them.

    Args:
        transform: The transform.
        actions: How the leaves move.
        tree: The leaves.
        place: Which leaf is looked at.
        rows: The rows that an output belongs to; None for rows themselves.
    """

    transform: Transform
    actions: ByLeaf
    tree: Any
    place: int = 0
    rows: Any = None

    @property
    def leaf(self) -> NDArray[Any]:
        """The leaf itself."""
        return self.of(self.tree)

    def of(self, tree: Any) -> NDArray[Any]:
        """Return the leaf of a tree."""
        return jax.tree.leaves(tree)[self.place]

    def there(self, parameter: Parameters, tree: Any) -> Any:
        """Return what a transformation makes of the leaves."""
        moves = self._acting.at(parameter, outputs="forth")
        return moves.forth(tree, tree if self.rows is None else self.rows)

    def back(self, parameter: Parameters, tree: Any) -> Any:
        """Return what undoes it."""
        if any(action.undo is None for action in self.actions.actions):
            return self.there(self.transform.inverse(parameter), tree)
        return self._acting.at(parameter).back(tree, tree if self.rows is None else self.rows)

    @property
    def _acting(self) -> Acting:
        dtypes = tuple(leaf.dtype for leaf in jax.tree.leaves(self.tree))
        return Acting(self.transform.law, outward=self.actions, y_dtypes=dtypes)

    def misfit(self, parameters: Parameters) -> str:
        """Say how the action changes shape or dtype, if it does."""
        try:
            dtypes = {self.of(self.there(g, self.tree)).dtype for g in parameters}
        except ValueError as error:
            return str(error)
        changed = sorted(str(d) for d in dtypes - {self.leaf.dtype})
        return f"the action returns {', '.join(changed)}; cast its result" if changed else ""

    def errors(self, first: Parameters, second: Parameters) -> dict[str, float]:
        """Return the relative errors of the identity, of round trips and of compositions."""
        x, there = self.tree, self.there
        identity = self._relative([(there(self.transform.identity, x), x)])
        try:
            round_trip = self._relative((self.back(g, there(g, x)), x) for g in first)
        except ValueError:  # no inverse
            round_trip = float("nan")
        products = [self.transform.compose(g, h) for g, h in zip(first, second, strict=True)]
        composition = self._relative(
            (there(product, x), there(g, there(h, x)))
            for g, h, product in zip(first, second, products, strict=True)
            if product is not None
        )
        return {
            "identity_error": identity,
            "round_trip_error": round_trip,
            "composition_error": composition,
        }

    def _relative(self, pairs: Iterable[tuple[Any, Any]]) -> float:
        """Return the rms difference of pairs over the spread of the leaf; NaN without pairs."""
        leaves = ((self.of(a), self.of(b)) for a, b in pairs)
        squares = [np.mean(np.abs(a.astype(complex) - b) ** 2) for a, b in leaves]
        spread = self.leaf.astype(complex).std() or np.abs(self.leaf).max() or 1.0
        return float(np.sqrt(np.mean(squares)) / spread) if squares else float("nan")


def _wrong(
    action: AbstractLeafAction,
    rounding: float,
    *,
    identity_error: float,
    round_trip_error: float,
    composition_error: float,
) -> str:
    """Say what a transformation should not do, or nothing."""
    limit = max(action.tolerance, rounding)
    if identity_error > rounding:
        return f"the identity moves it by {identity_error:.2g} of its spread; is identity= right?"
    if round_trip_error > limit:
        return (
            f"g^-1 g x differs from x by {round_trip_error:.2g} of its spread; is the inverse that "
            f"of the action?"
        )
    if composition_error > limit:
        return f"(g h) x differs from g (h x) by {composition_error:.2g} of its spread"
    return ""


def _finding(
    rounding: float, *, identity_error: float, round_trip_error: float, composition_error: float
) -> str:
    """Say how exact an action is."""
    del identity_error  # zero up to rounding, or it would be wrong
    if np.isnan(round_trip_error):
        trip = "no inverse"
    elif round_trip_error <= rounding:
        trip = "g^-1 g x = x up to rounding"
    else:
        trip = f"g^-1 g x differs from x by {round_trip_error:.2g} of its spread (interpolation)"
    if np.isnan(composition_error):
        return trip
    if composition_error <= rounding:
        return f"{trip}, (g h) x = g (h x) up to rounding"
    return f"{trip}, (g h) x from g (h x) by {composition_error:.2g}"
