"""What an assignor is given and what it returns: plain values, so that assigning is a pure function.

An assignor decides which member of a consumer group shall own which partition (its *target*), from the members'
subscriptions and from the targets that they have so far. It is stateless; all history that it knows is `assigned`.

**Order is part of the value.** Kafka keeps targets in hash maps and hash sets, and where a member has more partitions
than it may keep, the order of iteration says which ones it keeps. That order follows from the keys, from the order in
which they were inserted, and from the size of the table (`hash_order.py`). So an `Assignment` here is in the order in
which Kafka writes it into the log, topics and partitions: written as it is returned and given back as it was read, the
same history leads to the same owners as on Kafka. An order that has been lost costs no more than a different choice
among partitions that are equally good.

Sources: Kafka's GroupSpec, MemberSubscription, MemberAssignment, SubscribedTopicDescriber (KIP-848).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from kproto.ids import Uuid

Partitions: TypeAlias = tuple[int, ...]
"""Partitions of one topic, each once, in the order of the group's record."""

Assignment: TypeAlias = Mapping[Uuid, Partitions]
"""What one member is to own: topic id to partitions. Topics without partitions are left out."""


class CannotAssign(ValueError):
    """There is no assignment for what was asked; Kafka's PartitionAssignorException."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One member: what it reads, and its target so far."""

    topics: Collection[Uuid]
    """The topics it subscribes to, by name or by expression, that exist. Members with the same subscription share one
    object, which makes them quick to compare. In the order of `subscribed` (`hash_order.py`), ties among topics are
    broken as Kafka breaks them."""
    rack: str | None = None
    instance_id: str | None = None
    assigned: Assignment = field(default_factory=dict)
    """Empty for a new member; a static member that has come back has that of its predecessor."""
    names: int = 0
    """How many names it subscribes to, of existing topics or not, where that is more than `topics` has."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic that a member reads."""

    partitions: int
    racks: Sequence[frozenset[str]] = ()
    """Of each partition. Kafka's own two assignors have not looked at racks since they were rewritten for speed
    (KAFKA-17306), and these do not either; an assignor that does finds them here."""


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group and the topics of all its members."""

    members: Mapping[str, MemberSpec]
    """By member id, in the order in which the group got them."""
    topics: Mapping[Uuid, TopicSpec]
    homogeneous: bool | None = None
    """Whether all members have the same subscription. Kafka compares names and expressions, which only the group
    knows; None: it is found out from `MemberSpec.topics`."""
    joining: str | None = None
    """The member on whose request this is assigned, if the group did not have it before."""
    peak: int = 0
    """The most members that the group has had at a time, if more than now."""

    def is_homogeneous(self) -> bool:
        """Whether every member reads the same topics."""
        if self.homogeneous is not None:
            return self.homogeneous
        members = iter(self.members.values())
        first = next(members).topics
        known = {id(first)}
        wanted = frozenset(first)
        for member in members:
            if id(member.topics) not in known:
                if frozenset(member.topics) != wanted:
                    return False
                known.add(id(member.topics))
        return True

    def partitions_of(self, topic: Uuid) -> int:
        """How many partitions the topic has. Raises CannotAssign if it does not exist."""
        found = self.topics.get(topic)
        if found is None:
            raise CannotAssign("a member subscribes to a topic that does not exist")
        return found.partitions


class Assignor(Protocol):
    """A way to assign."""

    @property
    def name(self) -> str:
        """As clients ask for it, and as `group.consumer.assignors` lists it."""
        ...

    def assign(self, spec: GroupSpec) -> dict[str, Assignment]:
        """The targets of all members of the group. A target that has not changed is the same object as before.

        It reads nothing but `spec` and may run in any thread. Raises CannotAssign.
        """
        ...


def unchanged(before: Assignment, after: Assignment) -> bool:
    """Whether two targets hold the same partitions, in whatever order."""
    if before is after:
        return True
    if len(before) != len(after):
        return False
    for topic, partitions in after.items():
        held = before.get(topic)
        if held is None or (held != partitions and set(held) != set(partitions)):
            return False
    return True
