"""Seeded problems with known truth, for tests, notebooks and benchmarks."""

from equiprob.testing.clusters import ClusterTask, cluster_task
from equiprob.testing.convolutions import quarter_turn_network
from equiprob.testing.digits import DigitsTask, digits_task
from equiprob.testing.flow import FlowTask, flow_task
from equiprob.testing.force_fields import ForceField, force_field
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
from equiprob.testing.ridge import RidgeTask, ridge_task

__all__ = [
    "ClusterTask",
    "DigitsTask",
    "DiscTask",
    "FieldTask",
    "FlowTask",
    "ForceField",
    "LabelTask",
    "LinearTask",
    "RidgeTask",
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
