"""Models that take rows as their users have them, a dict each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.forms import THERE, RowForm
from equiprob.orbits.output import Output
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.transform import Transform

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class RowModel:
    """A model and rows as arrays; made by `from_rows`.

    Args:
        predict: The model: a function of a list of dicts.
        form: How dicts become arrays.
        x: The rows as a dict of arrays, rows first, padded to the longest.
        of_items: The key whose items each output is of, where it has one for each.
    """

    predict: Callable[[Any], Any]
    form: RowForm
    x: Mapping[str, Array]
    of_items: Mapping[str, str]

    def __call__(self, x: Mapping[str, Array]) -> Any:
        """Return outputs for a batch of arrays: those of padding are 0."""
        output = self.predict(self.form.restored(x))
        if not isinstance(output, Mapping):
            return self._filled("output", output, x)
        return {name: self._filled(name, values, x) for name, values in output.items()}

    def _filled(self, name: str, values: Any, x: Mapping[str, Array]) -> Array:
        if name not in self.of_items:
            return np.asarray(values)
        there = np.asarray(x[self.of_items[name] + THERE])
        each = [np.asarray(own) for own in values]
        filled = np.zeros((*there.shape, *each[0].shape[1:]), np.result_type(*each))
        for row, (own, mask) in enumerate(zip(each, there, strict=True)):
            filled[row, mask] = own
        return filled

    @property
    def outputs(self) -> dict[str, Output]:
        """Padding of what the model returns: ``outputs`` of `evaluate_orbits`."""
        return {
            name: Output(mask=self.x[key + THERE], per="item")
            for name, key in self.of_items.items()
        }

    def orbits(self, transform: Transform, **options: Any) -> OrbitTable:
        """Evaluate the model on the rows and on transformations of them.

        Args:
            transform: The transform, ``acts_on`` declared by the keys of a row.
            **options: Arguments of `evaluate_orbits`: ``n_transforms``, ``y``, ``groups`` ...
        """
        moved = replace(transform, acts_on=self.form.declared(transform.acts_on))
        given = {"outputs": self.outputs or None, "backend": "python"} | options
        return evaluate_orbits(self, self.x, moved, **given)


@checked
def from_rows(predict: Callable[[Any], Any], rows: Any) -> RowModel:
    """Take a model of lists of dicts, and its rows, as they are.

    Args:
        predict: ``predict(rows) -> output``, a list of dicts as they were given: arrays of their
            own lengths, strings, plain numbers. An output is an array ``(row, ...)``, a list with
            an array for each row, as long as one of its arrays, or a dict of these.
        rows: A list of dicts, or a data set with a length whose items are dicts. All have the same
            keys; arrays of a key may differ in the length of their first axis.

    Returns:
        The model and its rows: ``model.orbits(transform)`` evaluates them.

    Raises:
        ValueError: If rows differ in their keys or in more than that length, or hold something else
            than numbers, booleans and strings; if an output is of no items of the rows.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> rng = np.random.default_rng(0)
        >>> rows = [{"r": rng.normal(size=(n, 3)), "kind": "salt"} for n in [3, 5] * 20]
        >>> size = lambda rows: np.array([row["r"].std() for row in rows])
        >>> turns = ep.transforms.rotations3d(acts_on={"r": "vectors", "kind": "invariant"})
        >>> len(ep.adapters.from_rows(size, rows).orbits(turns, n_transforms=4))
        40
    """
    each = [rows[place] for place in range(len(rows))]
    form, x = RowForm.of(each)
    output = predict(form.restored(x))
    named = output if isinstance(output, Mapping) else {"output": output}
    of_items = {
        name: _items_of(name, values, x) for name, values in named.items() if _is_ragged(values)
    }
    return RowModel(predict, form, x, of_items)


def _is_ragged(values: Any) -> bool:
    """Whether an output is a list of arrays of several lengths."""
    return isinstance(values, list | tuple) and len({np.shape(own)[:1] for own in values}) > 1


def _items_of(name: str, values: Any, x: Mapping[str, Array]) -> str:
    """Return the key whose items an output is of."""
    lengths = [len(own) for own in values]
    for key, mask in x.items():
        if key.endswith(THERE) and mask.sum(axis=1).tolist() == lengths:
            return key.removesuffix(THERE)
    raise ValueError(
        f"the output {name!r} has arrays of the lengths {sorted(set(lengths))}, which are those of "
        f"no key of the rows: return an array for each row that is as long as one of its own"
    )
