"""The assignor "uniform": every member gets as many partitions as every other, and keeps what it has as far as it can.

Two algorithms, as in Kafka. If all members read the same topics, one pass over the members is enough, and is here. If
they do not, balance takes more; that is in `balancing.py`.

**All alike.** P partitions and M members: everyone's quota is P // M, and P % M members get one more.

1. In Kafka's order of members (`hash_order.py`), each keeps what it has of the topics still read, up to its quota, plus
   one as long as there are extra partitions to give. What it has too much is taken from the topics, and within them
   from the partitions, that come last in Kafka's order, and is free.
2. A member that has fewer than its quota is noted, with how many it lacks. The extra partition is not promised to a
   member that would have to be given it, if enough members come after it: one of these may have it already. (Without
   this, of two members with 2 and 1 partitions the second could come first and rob the other.)
3. Free partitions, first those that no member had, topic after topic, then what was taken, go to those who lack, in the
   order noted.

Linear in members and partitions.

Sources: Kafka's UniformAssignor, UniformHomogeneousAssignmentBuilder, AssignorHelpers.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.coordinators.groups.assignors.balancing import balanced
from broker.coordinators.groups.assignors.hash_order import (
    buckets,
    buckets_of_copy,
    member_order,
    partition_order,
    topic_order,
)
from broker.coordinators.groups.assignors.spec import Assignment, GroupSpec, Partitions, unchanged
from kproto.ids import Uuid


class UniformAssignor:
    """See the module's page."""

    name = "uniform"

    def assign(self, spec: GroupSpec) -> dict[str, Assignment]:
        """The targets of all members."""
        if not spec.members:
            return {}
        order = member_order(spec.members, spec.joining, spec.peak)
        if spec.is_homogeneous():
            return _homogeneous(spec, order)
        return balanced(spec, order)


def _homogeneous(spec: GroupSpec, order: Sequence[str]) -> dict[str, Assignment]:
    first = spec.members[order[0]]
    topics = topic_order(first.topics, buckets_of_copy(max(first.names, len(first.topics))))
    if not topics:
        return {member_id: {} for member_id in spec.members}
    free = _unassigned(spec, topics)
    total = sum(spec.partitions_of(topic) for topic in topics)
    quota, extra = divmod(total, len(order))
    read = frozenset(topics)

    targets: dict[str, Assignment] = {}
    lacking: list[tuple[str, int]] = []
    for index, member_id in enumerate(order):
        has_extra = extra > 0
        kept, lacks = _keep(spec.members[member_id].assigned, read, quota + has_extra, free)
        targets[member_id] = kept
        if lacks and has_extra and len(order) - index > extra:
            lacks -= 1
            has_extra = False
        if lacks:
            lacking.append((member_id, lacks))
        extra -= has_extra

    place = 0
    for member_id, lacks in lacking:
        given = free[place : place + lacks]
        place += len(given)
        if given:
            targets[member_id] = _with(targets[member_id], given, len(spec.members[member_id].assigned))
    assert place == len(free), "the quotas are all partitions"
    for member_id, member in spec.members.items():
        if unchanged(member.assigned, targets[member_id]):
            targets[member_id] = member.assigned
    return targets


def _unassigned(spec: GroupSpec, topics: Sequence[Uuid]) -> list[tuple[Uuid, int]]:
    """The partitions that no member has, topic after topic."""
    held: dict[Uuid, set[int]] = {topic: set() for topic in topics}
    for member in spec.members.values():
        for topic, partitions in member.assigned.items():
            if topic in held:
                held[topic].update(partitions)
    free = []
    for topic in topics:
        count = spec.partitions_of(topic)
        taken = held[topic]
        if len(taken) < count:
            free.extend([(topic, partition) for partition in range(count) if partition not in taken])
    return free


def _keep(
    assigned: Assignment, read: frozenset[Uuid], quota: int, free: list[tuple[Uuid, int]]
) -> tuple[Assignment, int]:
    """What a member keeps, and how many partitions it then lacks. What it has too much is added to `free`."""
    if not assigned:
        return assigned, quota
    kept: dict[Uuid, Partitions] = {}
    cut = False
    for topic in topic_order(assigned, buckets(len(assigned))):
        partitions = assigned[topic]
        if topic not in read:
            cut = True
        elif len(partitions) <= quota:
            quota -= len(partitions)
            kept[topic] = partitions
        else:
            cut = True
            ordered = tuple(partition_order(partitions, buckets_of_copy(len(partitions))))
            free.extend([(topic, partition) for partition in ordered[quota:]])
            if quota:
                kept[topic] = ordered[:quota]
                quota = 0
    # Kafka leaves an assignment of which nothing is taken as it is, so its order counts as it is in the record.
    return (kept if cut else assigned), quota


def _with(kept: Assignment, given: Sequence[tuple[Uuid, int]], topics_before: int) -> Assignment:
    """A target with more partitions, in the order in which Kafka then writes it.

    Kafka adds them to a copy of what the member had, whose tables are as large as that asked for: `topics_before`.
    """
    added: dict[Uuid, list[int]] = {}
    for topic, partition in given:
        added.setdefault(topic, []).append(partition)
    # Kafka asks `computeIfAbsent` for the topic of each partition. It puts a new one in front of its bucket, and what
    # counts for the table is how many topics there were when it was asked last.
    new_topics = [topic for topic in added if topic not in kept]
    topics = [*reversed(new_topics), *kept]
    last = given[-1][0]
    asked_last = len(topics) - (last not in kept and len(added[last]) == 1)
    count = max(buckets(topics_before, topics_before), buckets(asked_last, topics_before))
    merged: dict[Uuid, Partitions] = {}
    for topic in topic_order(topics, count):
        before = kept.get(topic, ())
        new = added.get(topic)
        if new is None:
            merged[topic] = before
            continue
        held = len(before) + len(new)
        merged[topic] = tuple(partition_order([*before, *new], buckets(held, buckets_of_copy(len(before)))))
    return merged
