"""Static members (KIP-345): a consumer that restarts takes its own place, without disturbing the others."""

from __future__ import annotations

from broker.coordinators.groups.records import GroupMetadataRecord
from broker.tests.coordinators.groups.shards import REBALANCE, SESSION, Shard
from kproto.errors import ErrorCode


def test_a_static_member_is_no_stranger() -> None:
    """It joins without the detour of MEMBER_ID_REQUIRED, under an id that starts with its instance id."""
    join = Shard().join(instance="i", version=5)
    assert join.error is ErrorCode.NONE
    assert join.reply.member_id.startswith("i-")
    assert [each.group_instance_id for each in join.reply.members] == ["i"]


def test_a_restarted_follower_gets_its_place_without_a_rebalance() -> None:
    """A new member id, the same generation, the same assignment; and it is written down."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    back = shard.join(instance="j")
    new_id = back.reply.member_id
    assert new_id != group.members[1]
    assert (back.reply.generation_id, back.reply.members, back.reply.skip_assignment) == (group.generation, [], False)
    assert shard.described().group_state == "Stable"
    assert (
        shard.sync(new_id, group.generation, instance="j").reply.assignment == f"share of {group.members[1]}".encode()
    )
    assert shard.beat(group.leader, group.generation, instance="i") is ErrorCode.NONE

    record = shard.records()[-1]
    assert isinstance(record, GroupMetadataRecord) and record.value is not None
    assert [each.member_id for each in record.value.members] == [group.leader, new_id]
    assert (record.value.generation, record.value.leader) == (group.generation, group.leader)
    shard.restart()
    assert shard.beat(new_id, group.generation, instance="j") is ErrorCode.NONE


def test_a_restarted_leader_is_asked_to_skip_the_assignment() -> None:
    """KIP-814, version 9: it leads and gets the members, to watch them, and must not assign."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    back = shard.join(instance="i", version=9)
    assert back.reply.leader == back.reply.member_id
    assert back.reply.skip_assignment
    assert [each.group_instance_id for each in back.reply.members] == ["i", "j"]
    assert back.reply.generation_id == group.generation


def test_the_answer_to_an_older_restarted_leader_names_another_leader() -> None:
    """Before version 9 it would assign if it knew: so it gets the old leader's id, and no member's metadata."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    back = shard.join(instance="i", version=8)
    assert (back.reply.leader, back.reply.members) == (group.leader, [])
    assert not back.reply.skip_assignment
    shard.join(back.reply.member_id, instance="i")
    assert shard.described().group_state == "PreparingRebalance", "it is the leader, though: its next join counts"


def test_the_former_self_is_fenced() -> None:
    """G7: FENCED_INSTANCE_ID for a client that still uses the old id, in every request."""
    shard = Shard()
    group = shard.stable_static("i")
    shard.join(instance="i")
    old, generation = group.leader, group.generation
    assert shard.beat(old, generation, instance="i") is ErrorCode.FENCED_INSTANCE_ID
    assert shard.sync(old, generation, instance="i").error is ErrorCode.FENCED_INSTANCE_ID
    assert shard.join(old, instance="i").error is ErrorCode.FENCED_INSTANCE_ID
    assert shard.commit({("t", 0): 1}, member=old, generation=generation, instance="i") is ErrorCode.FENCED_INSTANCE_ID


def test_without_its_instance_id_an_old_id_is_unknown() -> None:
    """Nothing says that it was anybody's."""
    shard = Shard()
    group = shard.stable_static("i")
    shard.join(instance="i")
    assert shard.beat(group.leader, group.generation) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_new_instance_id_is_an_unknown_member() -> None:
    """UNKNOWN_MEMBER_ID, so that it joins."""
    shard = Shard()
    group = shard.stable_static("i")
    assert shard.beat(group.leader, group.generation, instance="j") is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_parked_request_of_the_former_self_is_fenced_at_once() -> None:
    """Both in the first and in the second phase."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    joining = shard.join(group.members[1], instance="j", protocols={"range": b"other"})
    shard.join(instance="j", protocols={"range": b"other"})
    assert (joining.error, joining.reply.member_id) == (ErrorCode.FENCED_INSTANCE_ID, group.members[1])

    shard = Shard()
    group = shard.stable_static("i", "j")
    other = {"range": b"other"}
    follower = shard.join(group.members[1], instance="j", protocols=other)
    shard.join(group.members[0], instance="i", protocols=other)
    syncing = shard.sync(group.members[1], follower.reply.generation_id, instance="j")
    shard.join(instance="j", protocols=other)
    assert syncing.error is ErrorCode.FENCED_INSTANCE_ID


def test_a_restart_while_the_leader_computes_starts_over() -> None:
    """The leader assigns to the ids that it got: the new one would get nothing."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    shard.join(group.members[1], instance="j", protocols={"range": b"other"})
    shard.join(group.members[0], instance="i", protocols={"range": b"other"})
    assert shard.described().group_state == "CompletingRebalance"
    assert not shard.join(instance="j", protocols={"range": b"other"}).answered
    assert shard.described().group_state == "PreparingRebalance"


def test_a_restart_that_changes_the_groups_protocol_rebalances() -> None:
    """The group would choose another protocol now, so the assignment is worth nothing."""
    shard = Shard()
    shard.stable_static("i", protocols=["range", "sticky"])
    back = shard.join(instance="i", protocols=["sticky", "range"])
    assert back.reply.generation_id == 2
    assert back.reply.protocol_name == "sticky"


def test_a_restart_with_another_subscription_is_written_down() -> None:
    """The new wishes show, and count in the next rebalance."""
    shard = Shard()
    shard.stable_static("i")
    shard.join(instance="i", protocols={"range": b"new wishes"})
    [member] = shard.described().members
    assert member.member_metadata == b"new wishes"
    shard.restart()
    [member] = shard.described().members
    assert member.member_metadata == b"new wishes"


def test_an_absent_static_member_keeps_its_place_in_a_rebalance() -> None:
    """The others go on without its JoinGroup when the rebalance timeout has passed, and its session still counts."""
    shard = Shard()
    away = 4 * REBALANCE
    for instance in ("i", "j"):
        first = shard.join(instance=instance, session=away)
    [leader, _] = [each.member_id for each in shard.described().members]
    shard.join(leader, instance="i", session=away)
    absent = first.reply.member_id
    shard.sync(absent, 2, instance="j")
    shard.sync(leader, 2, instance="i")

    again = shard.join(leader, instance="i", session=away)
    shard.advance(REBALANCE)
    assert [each.member_id for each in again.reply.members] == [leader, absent]


def test_when_no_member_comes_back_a_rebalance_waits_on() -> None:
    """Only absent static members are left: nothing to do but to wait for them, or for their sessions' ends."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    shard.join(group.members[0], instance="i", session=4 * REBALANCE)
    shard.leave(group.members[0])
    shard.advance(SESSION - 1)
    assert shard.described().group_state == "PreparingRebalance"
    shard.advance(1)
    assert shard.described().group_state == "Empty"


def test_members_without_patience_do_not_keep_the_broker_busy() -> None:
    """Left alone with a rebalance timeout of 0, a static member that does not come back was asked for forever, with no
    time for anything else. Its session's end is what there is to wait for."""
    shard = Shard()
    shard.join(instance="j", rebalance=REBALANCE)
    impatient = shard.join(instance="i", rebalance=0)
    back = shard.join(shard.described().members[0].member_id, instance="j", rebalance=REBALANCE)
    [leader, other] = [back.reply.member_id, impatient.reply.member_id]
    shard.sync(other, 2, instance="i")
    shard.sync(leader, 2, instance="j")
    decisions: list[object] = []
    shard.on_decision = decisions.append
    shard.leave(leader)
    shard.advance(SESSION - 1)
    assert shard.described().group_state == "PreparingRebalance"
    assert len(decisions) < 15
    shard.advance(1)
    assert shard.described().group_state == "Empty"


def test_a_static_member_that_leaves_for_good_is_gone() -> None:
    """Its instance id is free again: the next one joins as a newcomer."""
    shard = Shard()
    group = shard.stable_static("i")
    assert shard.leave(group.leader) == [ErrorCode.NONE]
    assert shard.join(instance="i").reply.generation_id == group.generation + 2


def test_an_id_that_was_given_to_a_dynamic_member_is_no_static_members() -> None:
    """A pending id together with an instance id, known or not, is refused like any id that does not fit."""
    shard = Shard()
    shard.stable_static("i")
    pending = shard.new_id()
    assert shard.join(pending, instance="i").error is ErrorCode.FENCED_INSTANCE_ID
    assert shard.join(pending, instance="j").error is ErrorCode.UNKNOWN_MEMBER_ID
