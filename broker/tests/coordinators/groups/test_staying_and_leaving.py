"""Heartbeat, LeaveGroup and silence: how members stay, and how a group notices that they have gone."""

from __future__ import annotations

from broker.coordinators.groups.records import GroupMetadataRecord
from broker.tests.coordinators.groups.shards import REBALANCE, SESSION, Shard
from kproto.errors import ErrorCode
from kproto.messages.leave_group import MemberIdentity

FIVE_MINUTES = 300_000


def test_a_silent_member_is_removed_at_its_sessions_end() -> None:
    """G2: not a millisecond before; the others are then asked to rebalance."""
    shard = Shard()
    group = shard.stable(2)
    quiet, loud = group.members
    shard.advance(SESSION // 2)
    assert shard.beat(loud, group.generation) is ErrorCode.NONE
    shard.advance(SESSION // 2 - 1)
    assert shard.described().group_state == "Stable"
    shard.advance(1)
    assert shard.described().group_state == "PreparingRebalance"
    assert shard.beat(loud, group.generation) is ErrorCode.REBALANCE_IN_PROGRESS
    assert shard.beat(quiet, group.generation) is ErrorCode.UNKNOWN_MEMBER_ID
    again = shard.join(loud)
    assert [each.member_id for each in again.reply.members] == [loud], "no other member is waited for"


def test_each_beat_begins_a_new_session() -> None:
    """A member may live forever."""
    shard = Shard()
    group = shard.stable(1)
    for _ in range(10):
        shard.advance(SESSION - 1)
        assert shard.beat(group.leader, group.generation) is ErrorCode.NONE


def test_a_beat_that_says_rebalance_keeps_the_session_too() -> None:
    """A member that is slow to join again is alive all the same."""
    shard = Shard()
    group = shard.stable(2)
    shard.join(group.members[0])
    for _ in range(4):
        shard.advance(SESSION - 1)
        assert shard.beat(group.members[1], group.generation) is ErrorCode.REBALANCE_IN_PROGRESS


def test_committing_keeps_the_session() -> None:
    """An OffsetCommit is a sign of life."""
    shard = Shard()
    group = shard.stable(1)
    for _ in range(3):
        shard.advance(SESSION - 1)
        assert shard.commit({("t", 0): 1}, member=group.leader, generation=group.generation) is ErrorCode.NONE
    assert shard.described().group_state == "Stable"


def test_who_waits_in_a_rebalance_need_not_beat() -> None:
    """The request itself is parked here; a long rebalance does not cost members their sessions."""
    shard = Shard()
    group = shard.stable(2)
    patient = shard.join(group.members[0])
    for _ in range(5):
        shard.advance(SESSION - 1)
        shard.beat(group.members[1], group.generation)
    assert not patient.answered
    shard.join(group.members[1])
    assert patient.error is ErrorCode.NONE


def test_a_member_that_waits_for_its_assignment_need_not_beat() -> None:
    """The same in the second phase."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    shard.join(a)
    follower = shard.sync(b, 2)
    for _ in range(3):
        shard.advance(SESSION - 1)
        assert shard.beat(a, 2) is ErrorCode.NONE, "a beat in the second phase is a plain beat"
    shard.sync(a, 2, {b: b"share"})
    assert follower.reply.assignment == b"share"


def test_an_id_that_is_not_used_is_forgotten() -> None:
    """A client that asked for an id and vanished; a rebalance does not wait for it longer than a session."""
    shard = Shard()
    group = shard.stable(1)
    shard.new_id()
    waiting = shard.join(group.leader, protocols={"range": b"other"})
    assert not waiting.answered, "the id that was given out is waited for"
    shard.advance(SESSION)
    assert waiting.error is ErrorCode.NONE


def test_an_id_comes_too_late_after_its_session() -> None:
    """It must ask for another."""
    shard = Shard()
    member = shard.new_id()
    shard.advance(SESSION)
    assert shard.join(member).error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_that_never_had_an_answer_is_dropped_after_five_minutes() -> None:
    """Its client may have gone unnoticed: it cannot beat, and it may have joined again under another id."""
    shard = Shard()
    group = shard.stable(1)
    lost = shard.join(version=3, rebalance=2 * FIVE_MINUTES)
    for _ in range(FIVE_MINUTES // 5_000):
        shard.advance(5_000)
        shard.beat(group.leader, group.generation)
    assert (lost.error, lost.reply.member_id) == (ErrorCode.UNKNOWN_MEMBER_ID, "")


def test_who_does_not_sync_in_time_is_removed() -> None:
    """The second phase lasts as long as the rebalance timeout; then a new rebalance begins without the absent."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    shard.join(a)
    follower = shard.sync(b, 2)
    for _ in range(REBALANCE // 5_000):
        shard.advance(5_000)
        shard.beat(a, 2)
    assert follower.error is ErrorCode.REBALANCE_IN_PROGRESS
    again = shard.join(b)
    assert (again.reply.leader, again.reply.generation_id) == (b, 3)
    assert shard.beat(a, 2) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_leader_that_dies_while_it_computes_is_replaced() -> None:
    """Its session ends, its followers are asked to join again."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    shard.join(a)
    follower = shard.sync(b, 2)
    shard.advance(SESSION)
    assert follower.error is ErrorCode.REBALANCE_IN_PROGRESS
    assert shard.join(b).reply.leader == b


def test_a_beat_is_refused_to_whom_it_does_not_concern() -> None:
    """Unknown group, unknown member, another generation, an empty group."""
    shard = Shard()
    assert shard.beat("m", 1) is ErrorCode.UNKNOWN_MEMBER_ID
    group = shard.stable(1)
    assert shard.beat("m", group.generation) is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.beat(group.leader, group.generation + 1) is ErrorCode.ILLEGAL_GENERATION
    shard.leave(group.leader)
    assert shard.beat(group.leader, group.generation + 1) is ErrorCode.UNKNOWN_MEMBER_ID


def test_who_leaves_is_not_waited_for() -> None:
    """The others rebalance at once."""
    shard = Shard()
    group = shard.stable(3)
    a, b, c = group.members
    assert shard.leave(b) == [ErrorCode.NONE]
    assert shard.beat(a, group.generation) is ErrorCode.REBALANCE_IN_PROGRESS
    first, second = shard.join(a), shard.join(c)
    assert [each.member_id for each in first.reply.members] == [a, c]
    assert second.reply.generation_id == group.generation + 1


def test_when_the_last_member_leaves_the_group_is_empty() -> None:
    """A generation without members, without leader and protocol; its kind stays."""
    shard = Shard()
    group = shard.stable(1)
    shard.leave(group.leader)
    record = shard.records()[-1]
    assert isinstance(record, GroupMetadataRecord) and record.value is not None
    assert (record.value.generation, record.value.members) == (group.generation + 1, [])
    assert (record.value.protocol_type, record.value.protocol, record.value.leader) == ("consumer", None, None)
    described = shard.described()
    assert (described.group_state, described.protocol_type, described.protocol_data) == ("Empty", "consumer", "")


def test_several_leave_at_once_each_with_its_answer() -> None:
    """From version 3 on; one that is not there does not keep the others."""
    shard = Shard()
    group = shard.stable(2)
    assert shard.leave(group.members[0], "stranger", group.members[1]) == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.NONE,
    ]
    assert shard.described().group_state == "Empty"


def test_leaving_an_unknown_group() -> None:
    """UNKNOWN_MEMBER_ID for each."""
    assert Shard().leave("a", "b") == [ErrorCode.UNKNOWN_MEMBER_ID] * 2


def test_an_id_that_was_given_out_can_leave() -> None:
    """The group does not wait for it any more."""
    shard = Shard()
    group = shard.stable(2)
    pending = shard.new_id()
    shard.join(group.members[0])
    last = shard.join(group.members[1])
    assert not last.answered
    assert shard.leave(pending) == [ErrorCode.NONE]
    assert last.error is ErrorCode.NONE


def test_who_leaves_while_it_waits_is_answered() -> None:
    """By another connection, or an administrator: the parked request comes back with UNKNOWN_MEMBER_ID."""
    shard = Shard()
    group = shard.stable(2)
    waiting = shard.join(group.members[0])
    shard.leave(group.members[0])
    assert waiting.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_administrators_remove_static_members_by_instance() -> None:
    """With an empty member id; a dynamic member cannot be named like that."""
    shard = Shard()
    group = shard.stable_static("i", "j")
    by_instance = MemberIdentity(group_instance_id="i")
    assert shard.leave(by_instance, MemberIdentity(group_instance_id="nope"), "") == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert [each.member_id for each in shard.described().members] == group.members[1:]


def test_after_a_restart_members_go_on_as_if_nothing_had_happened() -> None:
    """G9: the log knows them; each has a whole session to be heard of again."""
    shard = Shard()
    group = shard.stable(2)
    before = shard.described()
    shard.advance(SESSION - 1)
    shard.restart()
    assert shard.described() == before
    shard.advance(SESSION - 1)
    assert shard.beat(group.members[0], group.generation) is ErrorCode.NONE
    again = shard.sync(group.members[1], group.generation)
    assert again.reply.assignment == f"share of {group.members[1]}".encode()
    shard.advance(1)
    assert shard.described().group_state == "PreparingRebalance", "the second member was silent"


def test_a_restart_forgets_a_rebalance_that_was_under_way() -> None:
    """The last settled generation counts again, and the first JoinGroup starts the next."""
    shard = Shard()
    group = shard.stable(1)
    shard.join(group.leader, protocols={"range": b"other"})
    assert shard.described().group_state == "CompletingRebalance"
    shard.restart()
    assert shard.described().group_state == "Stable"
    assert shard.beat(group.leader, group.generation + 1) is ErrorCode.ILLEGAL_GENERATION
    assert shard.join(group.leader).reply.generation_id == group.generation + 1
