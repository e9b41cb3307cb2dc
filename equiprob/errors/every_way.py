"""One pass over a model for each way in which transformations of the catalogue could act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from equiprob.arguments.calls import calling
from equiprob.errors.catalogue import Candidate, catalogue, shapes_of
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.transform import Transform


@dataclass(frozen=True, eq=False)
class _InEveryWay:
    """A model that returns each output once for every way in which it may move along.

    Args:
        predict: The model.
        ways: Name of an output, by the name of the way.
    """

    predict: Callable[[Any], Any]
    ways: Mapping[str, str]

    def __call__(self, batch: Any) -> Any:
        returned = self.predict(batch)
        outputs = returned if isinstance(returned, Mapping) else {"": returned}
        return {way: outputs[name] for way, name in self.ways.items()}


def named_outputs(predict: Callable[[Any], Any], rows: Any) -> dict[str, Any]:
    """Return the outputs by name of some rows; "" where there is one."""
    with calling("predict"):
        returned = predict(rows)
    return dict(returned) if isinstance(returned, Mapping) else {"": returned}


def tables_of_every_way(
    predict: Callable[[Any], Any],
    x: Any,
    y: Any,
    base: Mapping[str, Any],
    further: Mapping[str, Transform],
    options: Mapping[str, Any],
) -> Iterator[tuple[str, Transform, OrbitTable]]:
    """Yield a name, a transform and the table of one output, for every way."""
    targets = y if isinstance(y, Mapping) else dict.fromkeys(base, y)
    for candidate in catalogue(x, shapes_of(base)):
        ways = {
            (f"{phrase} {name}".strip()): (name, phrase)
            for name, phrases in candidate.outputs.items()
            for phrase in phrases
        }
        yield from _of_candidate(predict, x, targets, candidate, ways, options)
    for name, transform in further.items():
        table = evaluate_orbits(predict, x, transform, y=y, **options)
        for output in table.outputs:
            yield (
                (f"{name} -> {output}" if len(table.outputs) > 1 else name),
                transform,
                table[output],
            )


def _of_candidate(
    predict: Callable[[Any], Any],
    x: Any,
    targets: Mapping[str, Any],
    candidate: Candidate,
    ways: Mapping[str, tuple[str, str]],
    options: Mapping[str, Any],
) -> Iterator[tuple[str, Transform, OrbitTable]]:
    transform = candidate.make(candidate.acts_on, {w: phrase for w, (_, phrase) in ways.items()})
    known = {w: targets[name] for w, (name, _) in ways.items() if targets.get(name) is not None}
    model = _InEveryWay(predict, {w: name for w, (name, _) in ways.items()})
    try:
        orbits = evaluate_orbits(model, x, transform, y=known or None, **options)
    except Exception as error:
        error.add_note(f"while screening {candidate.name}")
        raise
    for way, (name, phrase) in ways.items():
        own = candidate.make(candidate.acts_on, {name: phrase} if name else phrase)
        moving = "" if phrase == "invariant" and not name else f" -> {way}"
        yield candidate.name + moving, own, orbits[way]
