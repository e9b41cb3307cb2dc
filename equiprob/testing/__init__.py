"""Seeded problems with known truth, for tests, notebooks and benchmarks."""

from equiprob.testing.clusters import cluster_task
from equiprob.testing.convolutions import quarter_turn_network
from equiprob.testing.digits import digits_task
from equiprob.testing.flow import flow_task
from equiprob.testing.force_fields import force_field
from equiprob.testing.plane import (
    commuting_part,
    disc_task,
    field_task,
    label_task,
    linear_task,
)
from equiprob.testing.ridge import ridge_task

__all__ = [
    "cluster_task",
    "commuting_part",
    "digits_task",
    "disc_task",
    "field_task",
    "flow_task",
    "force_field",
    "label_task",
    "linear_task",
    "quarter_turn_network",
    "ridge_task",
]


def __dir__() -> list[str]:
    return list(__all__)
