"""What outputs does a chunk of rows have, in which shapes, and what is kept of them?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.accumulate import Sizes, row_statistics
from equiprob.orbits.designs import Design
from equiprob.orbits.output import Measure, measures
from equiprob.orbits.output_arrays import (
    are_labels,
    check_probabilities,
    check_sizes,
    encoded,
    named_targets,
)
from equiprob.orbits.precision import in_float64, root_mean_square, rounding_of_output
from equiprob.orbits.probe import response
from equiprob.orbits.statistics import Rows, RowStatistics
from equiprob.orbits.sums import Found


@dataclass(frozen=True, eq=False)
class ExpectedOutputs:
    """The outputs of a chunk of rows.

    Args:
        shapes: Their shapes by name, rows first, padding included.
        n: Rows without padding.
        measures: What is kept of each.
        targets: What each is compared with, ``(row, k)``.
        labelled: Whether these are labels.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    n: int
    measures: list[Measure]
    targets: list[Rows | None]
    labelled: list[bool]

    @classmethod
    def of(
        cls,
        outputs: Mapping[str, Any],
        n: int,
        start: int,
        y: Any,
        declared: Any,
        *,
        weights: Mapping[str, Any] | None = None,
    ) -> ExpectedOutputs:
        """Return those of some rows.

        Args:
            outputs: What the model returned, by name, for these rows and padding.
            n: How many rows there are.
            start: The number of the first.
            y: Their targets: an array, a dict of such, or None.
            declared: What is declared of their outputs.
            weights: Of their components in a squared norm, where not all are 1.

        Raises:
            ValueError: If targets or declarations do not fit.
        """
        shapes = {k: jax.ShapeDtypeStruct(s.shape, s.dtype) for k, s in outputs.items()}
        given = named_targets(y, shapes)
        rows = {name: (n, *s.shape[1:]) for name, s in shapes.items()}
        kept = measures(declared, rows, weights)
        targets = []
        for name, shape in shapes.items():
            target = encoded(given[name], shape)
            targets.append(None if target is None else kept[name].kept(target))
            check_sizes(name, targets[-1], start)
        labelled = [are_labels(given[name]) for name in shapes]
        return cls(shapes, n, list(kept.values()), targets, labelled)

    def put(self, put: Callable[[Any], Any]) -> ExpectedOutputs:
        """Return what is kept of outputs that are elsewhere; see `AbstractBackend.put`."""
        return replace(self, measures=[measure.put(put) for measure in self.measures])

    def kept(self, leaves: list[Any]) -> list[Any]:
        """Return ``(call or transformation, row, k)`` in float64, padding dropped."""
        flat = [in_float64(leaf.reshape(*leaf.shape[:2], -1)[:, : self.n]) for leaf in leaves]
        return [m.kept(values) for m, values in zip(self.measures, flat, strict=True)]

    def roundings(self, raw: list[Any], computed_in: Mapping[Any, Any]) -> list[float]:
        """Return one rounding of each output, relative to its size.

        Args:
            raw: The outputs at the rows, ``(call, row, ...)``.
            computed_in: Their precision by name, where the engine knows it.
        """
        return [
            rounding_of_output(np.asarray(leaf)[0, : self.n], m.dtype or computed_in.get(name))
            for name, leaf, m in zip(self.shapes, raw, self.measures, strict=True)
        ]

    def check_probabilities(self, passes: list[Rows], start: int) -> None:
        """Raise where labels are compared with outputs that are no probabilities."""
        each = zip(self.shapes.items(), self.labelled, passes, strict=True)
        for (name, shape), labelled, values in each:
            if labelled:
                check_probabilities(name, values[0], shape.dtype, start)

    def floors(
        self, calls: list[Rows], moved: list[Any], rows: NDArray[Any], roundings: list[float]
    ) -> list[float]:
        """Return the float floor of each output, given its outputs at changed rows."""
        found = []
        for base, leaf, measure, rounding in zip(
            calls, moved, self.measures, roundings, strict=True
        ):
            flat = leaf.reshape(*leaf.shape[:2], -1).astype(np.float64)
            found.append(response(base[0][rows], measure.at(rows).kept(flat), rounding))
        return found

    def apart(
        self, differing: Mapping[Any, NDArray[Any]], repeated: NDArray[np.int64]
    ) -> list[float]:
        """Return the rms difference of each output between equal calls on some rows."""
        own = repeated < self.n
        at = repeated[own]
        return [
            root_mean_square(measure.at(at).kept(differing[name][own].reshape(len(at), -1)))
            if name in differing
            else 0.0
            for name, measure in zip(self.shapes, self.measures, strict=True)
        ]

    def finish(
        self,
        calls: list[Rows],
        sums: list[Found],
        design: Design,
        sizes: Sizes,
        floors: list[float],
    ) -> dict[str, RowStatistics]:
        """Return the row statistics of each output, given its floor."""
        found = {}
        for (name, shape), own, own_sums, floor, measure, y in zip(
            self.shapes.items(), calls, sums, floors, self.measures, self.targets, strict=True
        ):
            row_shape = tuple(shape.shape[1:])
            found[name] = replace(
                row_statistics(own, own_sums, design, sizes, y, row_shape, floor),
                weight=measure.weight,
                unit=measure.unit,
                n_components=measure.n_components,
            )
        return found
