"""What the assignors promise whatever the group: every partition has one owner, and as little moves as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.coordinators.groups.assignors import ASSIGNORS, Assignment, CannotAssign, GroupSpec, MemberSpec, TopicSpec
from broker.tests.coordinators.groups.assignors.builders import A, B, C, group, having, owners

UNIFORM, RANGE = ASSIGNORS["uniform"], ASSIGNORS["range"]


def test_they_are_called_and_ordered_as_kafkas() -> None:
    """The first is the default."""
    assert list(ASSIGNORS) == ["uniform", "range"]
    assert [assignor.name for assignor in ASSIGNORS.values()] == ["uniform", "range"]


def test_a_group_without_members_or_topics() -> None:
    """No members: no targets. No topics: empty ones."""
    assert UNIFORM.assign(group({}, {})) == RANGE.assign(group({}, {})) == {}
    nothing = {"a": (), "b": ()}
    assert UNIFORM.assign(group({}, nothing)) == RANGE.assign(group({}, nothing)) == {"a": {}, "b": {}}


@pytest.mark.parametrize("read", [{"a": (A,), "b": (A,)}, {"a": (A,), "b": (A, B)}])
def test_a_topic_that_does_not_exist(read: dict[str, tuple[bytes, ...]]) -> None:
    """Kafka's PartitionAssignorException."""
    for each in ASSIGNORS.values():
        with pytest.raises(CannotAssign):
            each.assign(group({}, read))


def test_uniform_keeps_what_a_member_has() -> None:
    """A second member gets half, and the first one keeps the rest; when one leaves, the other one keeps its own."""
    spec = group({A: 4}, {"first": (A,)})
    alone = UNIFORM.assign(spec)
    assert alone == {"first": {A: (0, 1, 2, 3)}}
    both = having(group({A: 4}, {"first": (A,), "second": (A,)}), alone)
    shared = UNIFORM.assign(both)
    assert set(shared["first"][A]) < {0, 1, 2, 3}
    assert len(shared["second"][A]) == 2
    left = UNIFORM.assign(having(both, shared, "first"))
    assert set(left["second"][A]) == {0, 1, 2, 3}


def test_the_extra_partition_stays_with_the_member_that_has_it() -> None:
    """3 partitions, 2 members: the one that has two of them keeps both, first in Kafka's order or not."""
    for rich in ("a", "b"):
        poor = "b" if rich == "a" else "a"
        held: dict[str, Assignment] = {rich: {A: (0, 1)}, poor: {A: (2,)}}
        targets = UNIFORM.assign(having(group({A: 3}, {"a": (A,), "b": (A,)}), held))
        assert targets == held


def test_uniform_spreads_over_different_subscriptions() -> None:
    """The member that alone reads a topic gets less of the shared one."""
    spec = group({A: 4, B: 4}, {"both": (A, B), "one": (B,)})
    targets = UNIFORM.assign(spec)
    assert Counter(owners(spec, targets).values()) == {"both": 4, "one": 4}


def test_range_gives_the_same_numbers_of_all_topics() -> None:
    """Static members come first, by instance id, whatever they are called and had."""
    members = {
        "a": MemberSpec((A, B), assigned={A: (4,)}),
        "z": MemberSpec((A, B), instance_id="1"),
        "y": MemberSpec((A, B), instance_id="2"),
    }
    targets = RANGE.assign(GroupSpec(members, {A: TopicSpec(5), B: TopicSpec(5)}))
    assert targets["z"] == {A: (0, 1), B: (0, 1)}
    assert targets["y"] == {A: (2, 3), B: (2, 3)}
    assert targets["a"] == {A: (4,), B: (4,)}


def test_a_target_that_does_not_change_is_the_same_object() -> None:
    """So the group sees at once that there is nothing to write."""
    for each in ASSIGNORS.values():
        for spec in (
            group({A: 7, B: 20}, {"a": (A, B), "b": (A, B), "c": (A, B)}),
            group({A: 7, B: 20}, {"a": (A, B), "b": (A,), "c": (B,)}),
        ):
            targets = each.assign(spec)
            again = each.assign(having(spec, targets))
            assert all(again[member] is targets[member] for member in targets)


@given(
    counts=st.dictionaries(st.sampled_from([A, B, C]), st.integers(1, 40), min_size=1),
    steps=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sets(st.sampled_from([A, B, C])), st.booleans()), max_size=12
    ),
    name=st.sampled_from(list(ASSIGNORS)),
)
@settings(deadline=None, max_examples=60)
def test_every_partition_has_exactly_one_owner(
    counts: dict[bytes, int], steps: list[tuple[str, set[bytes], bool]], name: str
) -> None:
    """Through any history; and in a group that reads the same topics, no member has two more than another."""
    members: dict[str, MemberSpec] = {}
    for member_id, read, leaves in steps:
        if leaves:
            members.pop(member_id, None)
        else:
            had = members[member_id].assigned if member_id in members else {}
            members[member_id] = MemberSpec(tuple(topic for topic in counts if topic in read), assigned=had)
        spec = GroupSpec(dict(members), {topic: TopicSpec(count) for topic, count in counts.items()})
        targets = ASSIGNORS[name].assign(spec)
        found = owners(spec, targets)
        wanted = {topic for member in members.values() for topic in member.topics}
        assert len(found) == sum(counts[topic] for topic in wanted)
        if name == "uniform" and members and spec.is_homogeneous():
            sizes = [sum(map(len, assigned.values())) for assigned in targets.values()]
            assert max(sizes) - min(sizes) <= 1
        members = {each: MemberSpec(member.topics, assigned=targets[each]) for each, member in members.items()}
