"""Whatever a peer can fill has a cap, and one more than that is refused without harm to those within."""

from __future__ import annotations

import pytest

from broker.tests.coordinators.groups.shards import REBALANCE, SESSION, Shard, settled
from kproto.errors import ErrorCode
from kproto.messages.join_group import JoinGroupResponse
from kproto.schema.compile import encode


def test_a_group_has_a_size() -> None:
    """group.max.size: one member more is GROUP_MAX_SIZE_REACHED, whatever the state."""
    shard = Shard(max_size=2)
    group = shard.stable(2)
    assert shard.join(version=3).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    first = shard.join(group.leader)
    second = shard.join(version=3)
    assert not second.answered, "while members gather, those count that have come"
    refused = shard.join(group.members[1])
    assert (refused.error, refused.reply.member_id) == (ErrorCode.GROUP_MAX_SIZE_REACHED, "")
    assert first.error is second.error is ErrorCode.NONE, "with the last one refused no member is missing"


def test_a_member_that_waits_already_is_not_one_more() -> None:
    """Its retry takes its own place."""
    shard = Shard(max_size=2)
    group = shard.stable(2)
    shard.join(group.members[0])
    assert not shard.join(group.members[0]).answered


def test_a_group_above_its_size_is_cut_by_who_comes_first() -> None:
    """The key was lowered, the broker restarted: all members may commit once more, then the first ones stay."""
    shard = Shard()
    group = shard.stable(3)
    shard.restart(max_size=2)
    assert shard.described().group_state == "PreparingRebalance"
    assert shard.beat(group.members[0], group.generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert shard.commit({("t", 0): 1}, member=group.leader, generation=group.generation) is ErrorCode.NONE
    first, second = shard.join(group.members[2]), shard.join(group.members[1])
    assert shard.join(group.members[0]).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert first.error is second.error is ErrorCode.NONE
    assert len(shard.described().members) == 2


def test_absent_static_members_do_not_make_a_group_larger_than_its_size() -> None:
    """A stable group of three with room for two was broken up by the next start of its broker: what is settled has to
    fit. Static members that have not come lose their places to those that have, the newest first."""
    shard = Shard(max_size=2)
    first = shard.join(instance="i", rebalance=50)
    shard.sync(first.reply.member_id, 1, instance="i")
    others = [shard.join(instance=name, rebalance=50) for name in ("j", "k")]
    assert not any(other.answered for other in others)
    shard.advance(50)
    assert [other.error for other in others] == [ErrorCode.NONE] * 2
    leader = next(other.reply.member_id for other in others if other.reply.members)
    for other in others:
        if other.reply.member_id != leader:
            shard.sync(other.reply.member_id, 2)
    assert shard.sync(leader, 2).error is ErrorCode.NONE
    assert [each.group_instance_id for each in shard.described().members] == ["j", "k"]
    shard.restart()
    assert shard.described().group_state == "Stable"


def test_ids_that_are_given_out_are_counted() -> None:
    """A peer that asks for ids without end gets so many; as sessions end there is room again."""
    shard = Shard(max_pending_members=3)
    for _ in range(3):
        shard.new_id()
    assert shard.join().error is ErrorCode.GROUP_MAX_SIZE_REACHED
    shard.advance(SESSION)
    shard.new_id()


def test_groups_are_counted() -> None:
    """G10: a shard holds so many; existing ones are served on."""
    shard = Shard(max_groups=2)
    shard.new_id(group="a")
    shard.commit({("t", 0): 1}, group="b")
    assert shard.join(group="c").error is ErrorCode.POLICY_VIOLATION
    assert shard.commit({("t", 0): 1}, group="c") is ErrorCode.POLICY_VIOLATION
    assert shard.commit({("t", 0): 2}, group="b") is ErrorCode.NONE
    shard.new_id(group="a")
    shard.delete("b")
    shard.new_id(group="c")


def test_the_metadata_of_a_group_are_counted() -> None:
    """They are kept in memory for every member; one that would burst the group is refused like one too many."""
    shard = Shard(max_group_metadata=1_000)
    small, large = {"range": b"x" * 100}, {"range": b"x" * 900}
    group = [shard.new_id(), shard.new_id()]
    shard.join(group[0], protocols=small)
    assert shard.join(group[1], protocols=large).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert shard.join(group[0], protocols=large).error is ErrorCode.NONE, "in its own place there is room"


def test_ids_are_counted_with_the_metadata() -> None:
    """346 static members with ids of 32 KB made a generation that every member was answered and that could not be
    written. Every alphabet counts as it will be written."""
    shard = Shard(max_group_metadata=1_000)
    for instance in ("i" * 300, "\N{GREEK SMALL LETTER IOTA}" * 150):
        member = shard.join(instance=instance, group=instance)
        assert member.error is ErrorCode.NONE
        shard.sync(member.reply.member_id, 1, instance=instance, group=instance)
        assert shard.join(instance="j" * 300, group=instance).error is ErrorCode.GROUP_MAX_SIZE_REACHED
        assert shard.described(instance).group_state == "Stable"


@pytest.mark.parametrize("version", [3, 5, 9])
@pytest.mark.parametrize("name", ["x" * 32_731, "\N{GREEK SMALL LETTER CHI}" * 16_366])
def test_a_member_gets_no_id_that_fits_into_no_answer(name: str, version: int) -> None:
    """A client id of 32,730 bytes and the 37 that make it unique are all that a string may have. Kafka answers
    UNKNOWN_SERVER_ERROR from there on as well, but keeps the member, and every later one waits for it."""
    shard = Shard()
    assert shard.join(client=name, version=version).error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert shard.join(instance=name).error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert not shard.log and shard.machine.described("g") is None, "no group comes into being for it"
    longest = shard.join(client="x" * 32_730, version=3)
    for oldest in range(JoinGroupResponse.min_version, JoinGroupResponse.max_version + 1):
        assert encode(longest.reply, oldest)
    shard.sync(longest.reply.member_id, 1)


def test_a_static_member_comes_back_only_with_what_can_be_written() -> None:
    """It takes its place in a stable group by a record, which must not be too large: nothing changes then."""
    shard = Shard(max_record=2_000)
    group = shard.stable_static("i", "j")
    before = settled(shard.machine)
    too_much = {"range": b"x" * 2_000}
    refused = shard.join(instance="j", protocols=too_much)
    assert (refused.error, refused.reply.member_id) == (ErrorCode.UNKNOWN_SERVER_ERROR, "")
    assert settled(shard.machine) == before
    assert shard.beat(group.members[1], group.generation, instance="j") is ErrorCode.NONE


def test_refusing_a_member_of_a_stable_group_does_not_disturb_it() -> None:
    """Its wishes are too long; the group goes on with the old ones."""
    shard = Shard(max_group_metadata=1_000)
    group = shard.stable(2)
    assert shard.join(group.members[1], protocols={"range": b"x" * 2_000}).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert shard.described().group_state == "Stable"


def test_a_generation_must_fit_into_a_record() -> None:
    """Kafka answers UNKNOWN_SERVER_ERROR and starts over; so do we, with a larger limit."""
    shard = Shard(max_record=2_000)
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    shard.join(a)
    follower = shard.sync(b, 2)
    before = len(shard.log)
    assert shard.sync(a, 2, {b: b"x" * 2_000}).error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert follower.error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert len(shard.log) == before
    assert shard.described().group_state == "PreparingRebalance"
    shard.join(a)
    assert shard.join(b).reply.generation_id == 3


def test_no_client_waits_forever() -> None:
    """G1: whatever is parked is answered within the timeouts that its sender named, if all others fall silent."""
    shard = Shard()
    group = shard.stable(3)
    waiting = [shard.join(group.members[0]), shard.join(version=3)]
    shard.advance(REBALANCE + SESSION)
    assert all(each.answered for each in waiting)
    shard.advance(10 * REBALANCE)
    assert not shard.waiting
    assert list(shard.machine.listed()) == [], "and a group without members and offsets is nothing to keep"


def test_groups_are_listed_step_by_step() -> None:
    """A shard of 100,000 groups was listed in one turn of the event loop. Decisions come in between: a group that has
    gone is not listed, and one that is new may be missing."""
    shard = Shard()
    for name in ("a", "b", "c"):
        shard.commit({("t", 0): 1}, group=name)
    steps = iter(shard.machine.listed({"empty"}, {"classic"}))
    assert next(steps).group_id == "a"
    shard.delete("b")
    shard.commit({("t", 0): 1}, group="d")
    assert [each.group_id for each in steps] == ["c"]
    assert list(shard.machine.listed({"stable"})) == list(shard.machine.listed(kinds={"consumer"})) == []
