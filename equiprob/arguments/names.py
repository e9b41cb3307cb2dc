"""What may something be called, so that files, figures, pages and terminals show its name?"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

_LONGEST = 200

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction of the text after them, of other names, too."""


def check_names(what: str, names: Iterable[Any]) -> None:
    """Raise for a name that cannot be shown.

    Args:
        what: What has these names, for the message.
        names: The names; what is no string is left to others.

    Raises:
        ValueError: If one is empty, too long, or has characters that no file or figure shows.
    """
    for name in names:
        if not isinstance(name, str):
            continue
        if not name.strip() or len(name) > _LONGEST:
            raise ValueError(
                f"{what} must have from 1 to {_LONGEST} characters, got {len(name)}: {name!a:.60}"
            )
        if name.count("$") > 1:
            raise ValueError(
                f"{what} {name!a:.80} has two '$', between which figures look for mathematics; "
                f"give it another name"
            )
        odd = [c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Cn") or c in _TURNING]
        if odd:
            raise ValueError(
                f"{what} {name!a:.80} has the character {odd[0]!a}, which files and figures do not "
                f"show; give it another name"
            )
