"""How equivariant is a model while it is trained? Every few epochs, in little time."""

from equiprob.callbacks.in_keras import for_keras
from equiprob.callbacks.in_lightning import for_lightning
from equiprob.callbacks.watch import Check, Watch

__all__ = ["Check", "Watch", "for_keras", "for_lightning"]


def __dir__() -> list[str]:
    return list(__all__)
