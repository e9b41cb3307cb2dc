"""What there is of a result by name, and what is said where there is no such name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final


@final
class Absent(KeyError):
    """Nothing of that name. What a file left out is told by it from what else goes wrong."""

    def __str__(self) -> str:
        """Return the message as it is; a KeyError puts it in quotes."""
        return str(self.args[0])


@final
class Named[V](dict[str, V]):
    """A dict that says what there is, where something else is asked for.

    Args:
        found: What there is.
        what: What these are, in words: "draws".
        owner: What they are of.
    """

    what: str = "names"
    owner: str = "this"

    @classmethod
    def of(cls, found: Mapping[str, V], what: str, owner: str) -> Named[V]:
        """Return what was found, with words for what is not there."""
        made = cls(found)
        made.what, made.owner = what, owner
        return made

    def __missing__(self, name: object) -> V:
        """Raise for a name that is not there.

        Raises:
            Absent: Always; the message names what there is.
        """
        there = ", ".join(map(repr, self)) if self else "none"
        raise Absent(
            f"there is no {name!r} among the {self.what} of {self.owner}, which are: {there}. "
            f"What is withheld has its reason in .diagnostics"
        )
