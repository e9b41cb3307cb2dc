"""What could be learned before deciding: one kind of information a file."""

from equiprob.decisions.information.base import AbstractInformation
from equiprob.decisions.information.more import Rows, Seeds, Transformations
from equiprob.decisions.information.run import Run

__all__ = [
    "AbstractInformation",
    "Rows",
    "Run",
    "Seeds",
    "Transformations",
]


def __dir__() -> list[str]:
    return list(__all__)
