"""Several transforms as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from equiprob.transforms.combined_law import AbstractCombinedLaw, ranges_of
from equiprob.transforms.declarations import OneEach
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.transform import Transform

_Combine = Callable[[tuple[AbstractLaw, ...], tuple[float, ...]], AbstractCombinedLaw]


def combined(
    transforms: Sequence[Transform], combine: _Combine, *, acts_on: Any, output_action: Any
) -> Transform:
    """Return transforms as one.

    Args:
        transforms: The transforms, the last one acting first.
        combine: Makes one law of theirs, and of their largest magnitudes.
        acts_on: How inputs transform under all of them; None: as each declares it.
        output_action: The same for outputs.

    Raises:
        ValueError: If there are fewer than two, or images that all of them move have several kinds
            of frames.
    """
    if len(transforms) < 2 or not all(isinstance(each, Transform) for each in transforms):
        raise ValueError(
            f"pass two or more transforms made by functions of ep.transforms, got "
            f"{list(transforms)}"
        )
    laws = tuple(each.law for each in transforms)
    law = combine(laws, ranges_of(laws))
    whole = acts_on is not None or output_action is not None
    frame, *others = ((each.fill, each.wrap) for each in transforms)
    if whole and any(other != frame for other in others):
        raise ValueError(
            f"what is declared once for all needs one frame, and the transforms have (fill, wrap) "
            f"{[frame, *others]}: give all of them the same fill and wrap, or leave acts_on and "
            f"output_action out here and declare them of each transform"
        )
    return Transform(
        law=law,
        acts_on=OneEach.of("acts_on", transforms) if acts_on is None else acts_on,
        output_action=(
            OneEach.of("output_action", transforms) if output_action is None else output_action
        ),
        fill=frame[0],
        wrap=frame[1],
    )
