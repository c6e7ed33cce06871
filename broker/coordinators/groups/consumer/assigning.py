"""Who of a group shall own what: the question for an assignor, and where it is answered.

The target assignment is computed for an epoch of the group, by the assignor that most members would like
(`broker/coordinators/groups/assignors`), when a heartbeat finds the group ahead of its assignment and the last one is
long enough ago (`group.consumer.assignment.interval.ms`). Assignors are pure, so where they run is a question of time
only: a small group's assignor runs within the decision on the heartbeat, and a large one's in a thread, which gets
copies of all that it looks at. While that one runs, the group is Assigning and its members go on as they are; the
result is written down in parts, and counts from the record of its epoch on, which is the last. Parts of it that a crash
has left are overwritten by the next.

What has happened meanwhile does not make the result wrong, only old: a member that has left gets nothing, a static
member that was replaced leaves its share to its successor, and a group that has moved on has a higher epoch, for which
it is assigned again.

Source: Kafka's TargetAssignmentBuilder and KIP-1263.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from broker.coordinators.groups.assignors import ASSIGNORS, Assignment, GroupSpec, MemberSpec, TopicSpec, subscribed
from broker.coordinators.groups.consumer.group import NO_SHARES, ConsumerGroup
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.consumer.topics import Topics
from kproto.ids import Uuid

AT_ONCE_COST: Final = 1_500
"""Members and partitions of a group that is assigned within one decision: that takes a few milliseconds."""


class Assigning:
    """An assignment to be computed: of a group as it is, with one member as it will be."""

    def __init__(self, group: ConsumerGroup, epoch: int, assignor: str, topics: Topics, member: ConsumerMember) -> None:
        """`member` is new, or takes the place of the one with its id, or of the one with its instance id."""
        self.group_id = group.group_id
        self.epoch = epoch
        self.is_first = bool(group.resolved) and not group.assignment_timestamp
        """The group subscribes by expressions, and has not been assigned anything yet."""
        self._assignor = assignor
        self._topics = topics.as_they_are()
        self._resolved = {expression: resolved.topics for expression, resolved in group.resolved.items()}
        self._joining = None if member.member_id in group.members else member.member_id
        self._peak = group.peak
        self._targets = dict(group.targets)
        self.members = dict(group.members)
        """Member id -> member, as they were when this was asked."""
        if member.instance_id is not None:
            former = group.static.get(member.instance_id, member.member_id)
            if former != member.member_id:
                del self.members[former]
                self._targets[member.member_id] = self._targets.pop(former, NO_SHARES)
        self.members[member.member_id] = member
        self._untargeted = self.members.keys() - group.targets.keys()
        names = group.subscribed_names() | member.topics
        partitions = sum(topic.partition_count for name in names if (topic := topics.get(name)) is not None)
        self.is_small = len(self.members) + partitions <= AT_ONCE_COST
        """Whether it can be computed at once."""

    def run(self) -> dict[str, Assignment]:
        """The target of each member. For any thread. Raises CannotAssign."""
        members = self._member_specs()
        spec = GroupSpec(
            members,
            self._topic_specs(members.values()),
            homogeneous=self._is_homogeneous(),
            joining=self._joining,
            peak=self._peak,
        )
        return ASSIGNORS[self._assignor].assign(spec)

    def changed(self, result: Mapping[str, Assignment]) -> list[tuple[str, Assignment]]:
        """What is to be written down of a result: the targets that are other ones than before. A member that has none
        yet gets one in any case, be it empty."""
        return [
            (member_id, shares)
            for member_id, shares in result.items()
            if shares is not self.former(member_id) or member_id in self._untargeted
        ]

    def former(self, member_id: str) -> Assignment:
        """The target that a member has had."""
        return self._targets.get(member_id, NO_SHARES)

    def _member_specs(self) -> dict[str, MemberSpec]:
        """Members with the same subscription share one tuple of topics."""
        known: dict[tuple[frozenset[str], str], tuple[Uuid, ...]] = {}
        found: dict[str, MemberSpec] = {}
        for member in self.members.values():
            subscription = (member.topics, member.expression)
            matched = self._resolved.get(member.expression, frozenset())
            names = member.topics | matched if matched else member.topics
            ids = known.get(subscription)
            if ids is None:
                existing = {name: topic.topic_id for name in names if (topic := self._topics.get(name)) is not None}
                ids = known[subscription] = subscribed(sorted(member.topics), matched, existing)
            target = self.former(member.member_id)
            found[member.member_id] = MemberSpec(ids, member.rack_id, member.instance_id, target, len(names))
        return found

    def _topic_specs(self, members: Iterable[MemberSpec]) -> dict[Uuid, TopicSpec]:
        found: dict[Uuid, TopicSpec] = {}
        rack = self._topics.rack
        for topics in {id(member.topics): member.topics for member in members}.values():
            for topic_id in topics:
                topic = self._topics.by_id(topic_id)
                if topic is not None and topic_id not in found:
                    racks = () if rack is None else (frozenset((rack,)),) * topic.partition_count
                    found[topic_id] = TopicSpec(topic.partition_count, racks)
        return found

    def _is_homogeneous(self) -> bool:
        """Whether all members have the same subscription, judged as Kafka does: by names and by expressions."""
        subscriptions = {(member.topics, member.expression) for member in self.members.values()}
        if not any(expression for _, expression in subscriptions):
            return len(subscriptions) == 1
        return len(subscriptions) == 1 and not any(names for names, _ in subscriptions) and len(self._resolved) <= 1
