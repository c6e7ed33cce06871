"""The assignor "range": of every topic, each of its subscribers gets one contiguous range of partitions.

The members are sorted, static ones first, by instance id, then the others, by member id. So the same members get the
same numbers of all topics that have equally many partitions and the same subscribers (they are *co-partitioned*, and
may be joined), and a static member that restarts keeps its ranges. P partitions and M subscribers: everyone gets
P // M, and the first P % M get one more.

What members have so far plays no part.

Source: Kafka's RangeAssignor (since KAFKA-16944).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from broker.coordinators.groups.assignors.hash_order import buckets, text_order, topic_order
from broker.coordinators.groups.assignors.spec import Assignment, GroupSpec, Partitions, unchanged
from kproto.ids import Uuid


class RangeAssignor:
    """See the module's page."""

    name = "range"

    def assign(self, spec: GroupSpec) -> dict[str, Assignment]:
        """The targets of all members."""
        if not spec.members:
            return {}
        order = sorted(spec.members, key=lambda member_id: _rank(member_id, spec.members[member_id].instance_id))
        subscribers: Counter[Uuid] = Counter()
        if spec.is_homogeneous():
            # Kafka then reads the subscription of the first member only.
            subscribed = dict.fromkeys(order, spec.members[order[0]].topics)
            subscribers.update(dict.fromkeys(spec.members[order[0]].topics, len(order)))
        else:
            subscribed = {member_id: member.topics for member_id, member in spec.members.items()}
            for topics in subscribed.values():
                subscribers.update(topics)
        remaining = {topic: _Ranges(spec.partitions_of(topic), count) for topic, count in subscribers.items()}

        ordered: dict[int, Sequence[Uuid]] = {}  # by the id of a subscription, which members share
        targets: dict[str, Assignment] = {}
        for member_id in order:
            after: dict[Uuid, Partitions] = {}
            topics = subscribed[member_id]
            if id(topics) not in ordered:
                ordered[id(topics)] = topic_order(topics, buckets(0, len(topics) * 4 // 3 + 1))
            for topic in ordered[id(topics)]:
                partitions = remaining[topic].next()
                if partitions:
                    after[topic] = partitions
            before = spec.members[member_id].assigned
            targets[member_id] = before if unchanged(before, after) else after
        return targets


def _rank(member_id: str, instance_id: str | None) -> tuple[bool, bytes]:
    return (True, text_order(member_id)) if instance_id is None else (False, text_order(instance_id))


class _Ranges:
    """The ranges of one topic, one after the other."""

    __slots__ = ("_each", "_extra", "_start")

    def __init__(self, partitions: int, subscribers: int) -> None:
        self._each, self._extra = divmod(partitions, subscribers)
        self._start = 0

    def next(self) -> Partitions:
        start = self._start
        self._start += self._each + (self._extra > 0)
        self._extra -= self._extra > 0
        return tuple(range(start, self._start))
