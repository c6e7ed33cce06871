"""Assignors: who of a consumer group is to own which partition, decided on the server (KIP-848).

Both are Kafka's own, to the partition: the same subscriptions with the same history have the same owners. A Java
program that runs Kafka's classes beside these shows it (`tools/trials/assignors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from broker.coordinators.groups.assignors.hash_order import subscribed
from broker.coordinators.groups.assignors.range import RangeAssignor
from broker.coordinators.groups.assignors.spec import (
    Assignment,
    Assignor,
    CannotAssign,
    GroupSpec,
    MemberSpec,
    Partitions,
    TopicSpec,
)
from broker.coordinators.groups.assignors.uniform import UniformAssignor

__all__ = [
    "ASSIGNORS",
    "Assignment",
    "Assignor",
    "CannotAssign",
    "GroupSpec",
    "MemberSpec",
    "Partitions",
    "TopicSpec",
    "subscribed",
]

ASSIGNORS: Final[Mapping[str, Assignor]] = MappingProxyType(
    {assignor.name: assignor for assignor in (UniformAssignor(), RangeAssignor())}
)
"""By name, in the order of Kafka's `group.consumer.assignors`, whose first is the default."""
