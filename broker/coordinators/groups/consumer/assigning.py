"""Who of a group shall own what: the question for an assignor, and where it is answered.

The target assignment is computed for an epoch of the group, by the assignor that most members would like
(`broker/coordinators/groups/assignors`), when a heartbeat finds the group ahead of its assignment and the last one is
long enough ago (`group.consumer.assignment.interval.ms`). Assignors are pure, so where they run is a question of time
only: a small group's assignor runs within the decision on the heartbeat, and a large one's in a thread. While that one
runs, the group is Assigning and its members go on as they are; the result is written down in parts, and counts from the
record of its epoch on, which is the last. Parts of it that a crash has left are overwritten by the next.

What has happened meanwhile does not make the result wrong, only old: a member that has left gets nothing, a static
member that was replaced leaves its share to its successor, and a group that has moved on has a higher epoch, for which
it is assigned again.

Source: Kafka's TargetAssignmentBuilder and KIP-1263.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final

from broker.coordinators.groups.assignors import ASSIGNORS, Assignment, GroupSpec, MemberSpec, TopicSpec, subscribed
from broker.coordinators.groups.consumer.group import ConsumerGroup
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.consumer.topics import Topics
from kproto.ids import Uuid

AT_ONCE_COST: Final = 1_500
"""Members and partitions of a group that is assigned within one decision: that takes a few milliseconds."""


@dataclass(eq=False, slots=True)
class Assigning:
    """An assignment that is computed beside the event loop, and written when it is known."""

    group_id: str
    epoch: int
    assignor: str
    spec: GroupSpec
    instance_ids: Mapping[str, str | None]
    """Of the members, as they were when this was asked."""
    untargeted: Set[str]
    """Members that have no target yet, so that even an empty one is written down."""

    @property
    def is_small(self) -> bool:
        """Whether it can be computed at once."""
        return len(self.spec.members) + sum(each.partitions for each in self.spec.topics.values()) <= AT_ONCE_COST

    def changed(self, result: Mapping[str, Assignment]) -> list[tuple[str, Assignment]]:
        """What is to be written down of a result: the targets that are other ones than before."""
        members = self.spec.members
        return [
            (member_id, shares)
            for member_id, shares in result.items()
            if shares is not members[member_id].assigned or member_id in self.untargeted
        ]

    def run(self) -> dict[str, Assignment]:
        """The target of each member. Pure, for any thread. Raises CannotAssign."""
        return ASSIGNORS[self.assignor].assign(self.spec)


def assigning(
    group: ConsumerGroup, epoch: int, assignor: str, topics: Topics, member: ConsumerMember, old: ConsumerMember | None
) -> Assigning:
    """The assignment of a group with `member` in the place of `old`, or as a new one if that is None."""
    members = dict(group.members)
    if member.instance_id is not None:
        former = group.static.get(member.instance_id, member.member_id)
        if former != member.member_id:
            del members[former]
    joining = None if member.member_id in group.members else member.member_id
    members[member.member_id] = member
    specs = _member_specs(group, members, topics)
    question = GroupSpec(
        specs,
        _topic_specs(specs.values(), topics),
        homogeneous=_is_homogeneous(group, member, old),
        joining=joining,
        peak=group.peak,
    )
    instance_ids = {each.member_id: each.instance_id for each in members.values()}
    return Assigning(group.group_id, epoch, assignor, question, instance_ids, members.keys() - group.targets.keys())


def _member_specs(group: ConsumerGroup, members: Mapping[str, ConsumerMember], topics: Topics) -> dict[str, MemberSpec]:
    """Members with the same subscription share one tuple of topics."""
    known: dict[tuple[frozenset[str], str], tuple[Uuid, ...]] = {}
    found: dict[str, MemberSpec] = {}
    for member in members.values():
        subscription = (member.topics, member.expression)
        ids = known.get(subscription)
        resolved = group.resolved.get(member.expression)
        matched = frozenset() if resolved is None else resolved.topics
        if ids is None:
            existing = {name: topic.topic_id for name in member.topics | matched if (topic := topics.get(name))}
            ids = known[subscription] = subscribed(sorted(member.topics), matched, existing)
        found[member.member_id] = MemberSpec(
            ids,
            member.rack_id,
            member.instance_id,
            group.target_of(member),
            len(member.topics | matched) if matched else len(member.topics),
        )
    return found


def _topic_specs(members: Iterable[MemberSpec], topics: Topics) -> dict[Uuid, TopicSpec]:
    found: dict[Uuid, TopicSpec] = {}
    seen: set[int] = set()
    for member in members:
        if id(member.topics) in seen:
            continue
        seen.add(id(member.topics))
        for topic_id in member.topics:
            topic = topics.by_id(topic_id)
            if topic is not None and topic_id not in found:
                racks = () if topics.rack is None else (frozenset((topics.rack,)),) * topic.partition_count
                found[topic_id] = TopicSpec(topic.partition_count, racks)
    return found


def _is_homogeneous(group: ConsumerGroup, member: ConsumerMember, old: ConsumerMember | None) -> bool:
    """Whether all members will have the same subscription, judged as Kafka does: by names and by expressions."""
    others = [each for each in group.members.values() if old is None or each.member_id != old.member_id]
    if not any(each.expression for each in others) and not member.expression:
        return all(each.topics == member.topics for each in others)
    if member.topics or any(each.topics for each in others):
        return False
    return all(each.expression == member.expression for each in others) and len(group.resolved) <= 1
