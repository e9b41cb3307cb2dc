"""Seeded problems with known truth, for tests, notebooks and benchmarks."""

from equiprob.testing.digits import DigitsTask, digits_task
from equiprob.testing.flow import FlowTask, flow_task
from equiprob.testing.plane import (
    DiscTask,
    FieldTask,
    LabelTask,
    LinearTask,
    commuting_part,
    disc_task,
    field_task,
    label_task,
    linear_task,
)

__all__ = [
    "DigitsTask",
    "DiscTask",
    "FieldTask",
    "FlowTask",
    "LabelTask",
    "LinearTask",
    "commuting_part",
    "digits_task",
    "disc_task",
    "field_task",
    "flow_task",
    "label_task",
    "linear_task",
]
