"""Groups to assign to, in few words."""

from __future__ import annotations

from collections.abc import Mapping

from broker.coordinators.groups.assignors import Assignment, GroupSpec, MemberSpec, TopicSpec
from kproto.ids import Uuid

A, B, C = (bytes((0,) * 15 + (last,)) for last in (1, 2, 3))


def group(
    topics: Mapping[Uuid, int], members: Mapping[str, tuple[Uuid, ...]], **assigned: Mapping[Uuid, tuple[int, ...]]
) -> GroupSpec:
    """Topics with so many partitions, who reads which of them, and what members have so far."""
    return GroupSpec(
        {member: MemberSpec(read, assigned=assigned.get(member, {})) for member, read in members.items()},
        {topic: TopicSpec(partitions) for topic, partitions in topics.items()},
    )


def having(spec: GroupSpec, targets: Mapping[str, Assignment], *gone: str) -> GroupSpec:
    """The same group some time later: with these targets, and without some members."""
    members = {
        member_id: MemberSpec(member.topics, member.rack, member.instance_id, targets.get(member_id, {}))
        for member_id, member in spec.members.items()
        if member_id not in gone
    }
    return GroupSpec(members, spec.topics)


def owners(spec: GroupSpec, targets: Mapping[str, Assignment]) -> dict[tuple[Uuid, int], str]:
    """Who has each partition. Asserts that all members have a target, and that none has a partition of another one or
    of a topic that it does not read."""
    assert targets.keys() == spec.members.keys()
    found: dict[tuple[Uuid, int], str] = {}
    for member_id, assigned in targets.items():
        for topic, partitions in assigned.items():
            assert partitions, "topics without partitions are left out"
            assert topic in spec.members[member_id].topics
            for partition in partitions:
                assert 0 <= partition < spec.topics[topic].partitions
                assert (topic, partition) not in found
                found[topic, partition] = member_id
    return found
