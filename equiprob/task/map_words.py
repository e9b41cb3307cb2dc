"""A map of where the symmetry holds, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.facts import OrbitFacts
from equiprob.posterior.results import credible_interval
from equiprob.task.map_shares import KINDS

Draws = Mapping[str, NDArray[np.float64]]

_WORTH_SAYING, _BEYOND_DOUBT = 0.05, 0.99
"""A contradiction is said where its share is larger than the one with more than the other
probability: many sizes and groups are looked at."""

_SURE = 0.9
"""Probability that a kind is the most frequent one of a group."""


@dataclass(frozen=True, kw_only=True)
class MapFacts(OrbitFacts):
    """What travels with a map of where a symmetry holds.

    Args:
        unit: Of targets.
        labelled: Whether targets are labels.
        tolerance: Difference of targets that is no disagreement; None for labels.
        disagreement_at_rows: Share of rows that disagree with their neighbours as they are.
        n_neighbours: That were looked at.
        n_used: Rows that were moved.
        grouped_by: What made the groups: ``"by"``, ``"label"``, or None.
    """

    unit: str
    labelled: bool
    tolerance: float | None
    disagreement_at_rows: float
    n_neighbours: int
    n_used: int
    grouped_by: str | None


def map_sentences(draws: Draws, coords: Mapping[str, Any], facts: MapFacts) -> str:
    """Return what a map says, in a few sentences."""
    what = "labels" if facts.labelled else "targets"
    beyond = "" if facts.labelled else f" (by more than {facts.tolerance:.3g}{_unit(facts.unit)})"
    text = (
        f"Rows moved by {facts.transform} leave the data with probability "
        f"{_share(draws['extrinsic'])}, land among data with other {what}{beyond} with probability "
        f"{_share(draws['incorrect'])}, and agree with the data there with probability "
        f"{_share(draws['correct'])}; {facts.n_used} rows."
    )
    start = _from_where(draws)
    magnitude = coords["magnitude"]
    if start is None:
        text += f" At no size is it beyond doubt that {what} contradict the symmetry."
    elif start > 0:
        at = f"{magnitude[start]:.3g} {facts.magnitude_unit}".rstrip()
        text += f" {what.capitalize()} contradict it from about {at} on."
    if "group" in coords:
        text += _groups(draws, coords, start or 0, what)
    return text


def _from_where(draws: Draws) -> int | None:
    """Return the first bin in which a contradiction is beyond doubt, of all or of a group."""
    some = draws["incorrect_by_magnitude"][:, None]
    if "incorrect_by_group_and_magnitude" in draws:
        some = np.concatenate([some, draws["incorrect_by_group_and_magnitude"]], axis=1)
    clear = np.flatnonzero(((some > _WORTH_SAYING).mean(axis=0) > _BEYOND_DOUBT).any(axis=0))
    return int(clear[0]) if len(clear) else None


def _groups(draws: Draws, coords: Mapping[str, Any], start: int, what: str) -> str:
    """Return which groups are contradicted, agree, or leave the data, from a bin on."""
    each = {
        kind: draws[f"{kind}_by_group_and_magnitude"][:, :, start:].mean(axis=2) for kind in KINDS
    }
    most = np.stack([each[kind] for kind in KINDS]).argmax(axis=0)
    contradicted = (each["incorrect"] > _WORTH_SAYING).mean(axis=0) > _BEYOND_DOUBT
    told = {
        "incorrect": (f"{what} contradict it for", contradicted),
        "correct": ("it is mostly harmless for", _sure(most == KINDS.index("correct"))),
        "extrinsic": ("images mostly leave the data for", _sure(most == KINDS.index("extrinsic"))),
    }
    phrases = []
    for kind, (words, of) in told.items():
        places = np.flatnonzero(of if kind == "incorrect" else of & ~contradicted)
        if len(places):
            names = ", ".join(str(name) for name in coords["group"][places])
            share = _share(each[kind][:, places].mean(axis=1))
            phrases.append(f"{words} {names} ({share})")
    if not phrases:
        return " Of no group is it clear what happens most."
    where = "From there on " if start > 0 else "By group, "
    return f" {where}{'; '.join(phrases)}."


def _sure(true: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return true.mean(axis=0) >= _SURE


def _share(draws: NDArray[np.float64]) -> str:
    low, high = credible_interval(draws, 0.9)
    return f"{np.median(draws):.2f} (90% credible interval {low:.2f} to {high:.2f})"


def _unit(unit: str) -> str:
    return "" if unit in ("", "output units") else f" {unit}"
