"""OffsetCommit, OffsetFetch, OffsetDelete and age: who may write, what is kept, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from broker.coordinators.groups.classic import group as classic_group
from broker.coordinators.groups.records import OffsetCommitRecord
from broker.tests.coordinators.groups.shards import SESSION, Shard, subscription
from kproto.errors import ErrorCode

DAY = 24 * 3_600_000
RETENTION = 7 * DAY
CHECK = 600_000
OLD_TOPIC, NEW_TOPIC = b"old topic's id..", b"new topic's id.."


def test_any_client_may_commit_while_the_group_has_no_members() -> None:
    """A group that only stores offsets comes into being with its first one."""
    shard = Shard()
    assert shard.commit({("t", 0): 5, ("t", 1): 6}) is ErrorCode.NONE
    assert shard.committed() == {("t", 0): 5, ("t", 1): 6}
    described = shard.described()
    assert (described.group_state, described.protocol_type) == ("Empty", "")


def test_an_outsider_may_not_commit_into_a_live_group() -> None:
    """UNKNOWN_MEMBER_ID: a tool would otherwise overwrite what members are committing."""
    shard = Shard()
    shard.stable(1)
    assert shard.commit({("t", 0): 5}) is ErrorCode.UNKNOWN_MEMBER_ID


def test_members_commit_in_their_generation() -> None:
    """G5: with another one ILLEGAL_GENERATION, under another name UNKNOWN_MEMBER_ID."""
    shard = Shard()
    group = shard.stable(1)
    member, generation = group.leader, group.generation
    assert shard.commit({("t", 0): 5}, member=member, generation=generation) is ErrorCode.NONE
    assert shard.commit({("t", 0): 6}, member=member, generation=generation - 1) is ErrorCode.ILLEGAL_GENERATION
    assert shard.commit({("t", 0): 7}, member="stranger", generation=generation) is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.committed() == {("t", 0): 5}


def test_members_commit_before_they_join_again() -> None:
    """While a rebalance gathers them, what they have done still counts; once it has, it is too late."""
    shard = Shard()
    group = shard.stable(1)
    shard.new_id()
    shard.join(group.leader, protocols={"range": b"other"})
    assert shard.described().group_state == "PreparingRebalance"
    assert shard.commit({("t", 0): 5}, member=group.leader, generation=group.generation) is ErrorCode.NONE
    shard.advance(SESSION)
    assert shard.described().group_state == "CompletingRebalance"
    late = shard.commit({("t", 0): 6}, member=group.leader, generation=group.generation + 1)
    assert late is ErrorCode.REBALANCE_IN_PROGRESS


@pytest.mark.parametrize(("version", "error"), [(8, ErrorCode.ILLEGAL_GENERATION), (9, ErrorCode.GROUP_ID_NOT_FOUND)])
def test_a_generation_of_an_unknown_group(version: int, error: ErrorCode) -> None:
    """Its error code changed with version 9."""
    assert Shard().commit({("t", 0): 5}, member="m", generation=3, version=version) is error


def test_a_member_of_an_emptied_group_is_unknown() -> None:
    """Unless it claims no generation: then it is anybody."""
    shard = Shard()
    group = shard.stable(1)
    shard.leave(group.leader)
    assert shard.commit({("t", 0): 5}, member=group.leader, generation=2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.commit({("t", 0): 5}, member=group.leader, generation=-1) is ErrorCode.NONE


def test_metadata_have_a_size() -> None:
    """offset.metadata.max.bytes, in Java's characters; the other partitions are committed."""
    shard = Shard(offset_metadata_max=4)
    assert shard.commit({("t", 0): 1}, metadata="1234") is ErrorCode.NONE
    assert shard.commit({("t", 0): 2}, metadata="12345") == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert shard.commit({("t", 0): 3}, metadata="\N{GRINNING FACE}" * 2) is ErrorCode.NONE
    assert shard.commit({("t", 0): 4}, metadata="\N{GRINNING FACE}" * 3) == [ErrorCode.OFFSET_METADATA_TOO_LARGE]
    assert shard.committed() == {("t", 0): 3}


def test_a_commit_is_written_as_kafka_writes_it() -> None:
    """Offset, leader epoch, metadata, when, and the topic's id."""
    shard = Shard()
    shard.commit({("t", 3): 5}, metadata="note", topic_id=NEW_TOPIC)
    [record] = shard.records()
    assert isinstance(record, OffsetCommitRecord) and record.value is not None
    assert (record.group_id, record.topic, record.partition) == ("g", "t", 3)
    value = record.value
    assert (value.offset, value.leader_epoch, value.metadata, value.topic_id) == (5, 0, "note", NEW_TOPIC)
    assert value.commit_timestamp == shard.clock.wall_millis()
    assert (shard.log[0].key or b"")[:2] == b"\0\1" and (shard.log[0].value or b"")[:2] == b"\0\4"


def test_offsets_survive_a_restart() -> None:
    """With everything that belongs to them."""
    shard = Shard()
    shard.commit({("t", 0): 5}, metadata="note", topic_id=NEW_TOPIC)
    before = shard.machine.committed("g")
    shard.restart()
    assert shard.machine.committed("g") == before


def test_nothing_is_known_of_an_unknown_group() -> None:
    """No offsets, no error."""
    assert Shard().committed("unknown") == {}


# --- deleting


def test_single_offsets_can_be_deleted() -> None:
    """One that was never committed, too."""
    shard = Shard()
    shard.commit({("t", 0): 5, ("u", 0): 6})
    assert shard.delete_offsets(("t", 0), ("t", 1), ("t", 0)) == [ErrorCode.NONE] * 3
    assert shard.committed() == {("u", 0): 6}


def test_what_members_subscribe_to_cannot_be_deleted() -> None:
    """GROUP_SUBSCRIBED_TO_TOPIC, topic by topic."""
    shard = Shard()
    shard.commit({("t", 0): 5, ("u", 0): 6})
    shard.stable(1, topics=["t"])
    assert shard.delete_offsets(("t", 0), ("u", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]
    assert shard.committed() == {("t", 0): 5}


def test_what_members_subscribe_to_alike_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question read the subscriptions of all members: thousands, for every step of a search."""
    read: list[bytes] = []
    read_topics = classic_group._subscribed_topics

    def noted(metadata: bytes, most: int) -> tuple[Sequence[str], int]:
        read.append(metadata)
        return read_topics(metadata, most)

    monkeypatch.setattr(classic_group, "_subscribed_topics", noted)
    shard = Shard()
    shard.commit({("t", 0): 5, ("u", 0): 6})
    shard.stable(4, topics=["t"])
    read.clear()
    assert shard.delete_offsets(("t", 0), ("u", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]
    assert len(read) == 1


@pytest.mark.parametrize(("names", "code"), [(10, ErrorCode.NONE), (30, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC)])
def test_subscriptions_of_very_many_names_protect_everything(
    names: int, code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C4: 32 MB of them, which a group may have, took seconds of one turn, for each few partitions of one request."""
    monkeypatch.setattr(classic_group, "NAMES_LOOKED_AT", 20)
    shard = Shard()
    member = shard.new_id()
    shard.join(member, protocols={"range": subscription(*(f"t{number}" for number in range(names)))})
    shard.sync(member, 1)
    assert shard.delete_offsets(("t1", 0), ("u", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, code]


def test_a_subscription_that_cannot_be_read_protects_everything() -> None:
    """Never delete what a member may be reading."""
    shard = Shard()
    member = shard.new_id()
    shard.join(member, protocols={"range": b"\0"})
    shard.sync(member, 1)
    assert shard.delete_offsets(("t", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]


def test_a_subscription_of_a_newer_version_is_read_as_far_as_it_is_known() -> None:
    """All versions begin like the first."""
    shard = Shard()
    member = shard.new_id()
    newer = b"\0\x63" + subscription("t")[2:] + b"more"
    shard.join(member, protocols={"range": newer})
    shard.sync(member, 1)
    assert shard.delete_offsets(("t", 0), ("u", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]


def test_offsets_of_a_live_group_of_another_kind_cannot_be_deleted() -> None:
    """Only its members know what they read."""
    shard = Shard()
    member = shard.new_id(kind="connect")
    shard.join(member, kind="connect")
    assert shard.delete_offsets(("t", 0)) is ErrorCode.NON_EMPTY_GROUP


def test_offsets_of_an_unknown_group() -> None:
    """GROUP_ID_NOT_FOUND, and INVALID_GROUP_ID without a name."""
    assert Shard().delete_offsets(("t", 0)) is ErrorCode.GROUP_ID_NOT_FOUND
    assert Shard().delete_offsets(("t", 0), group="") is ErrorCode.INVALID_GROUP_ID


def test_deleted_topics_take_their_offsets_along() -> None:
    """In all groups, in pieces, and never those of a new topic of the same name."""
    shard = Shard(expiry_batch=2)
    for group in ("a", "b"):
        shard.commit({("t", number): 1 for number in range(3)}, group=group, topic_id=OLD_TOPIC)
        shard.commit({("u", 0): 1}, group=group, topic_id=OLD_TOPIC)
    shard.commit({("t", 1): 7}, group="a", topic_id=NEW_TOPIC)
    shard.machine.forget_topics([("t", OLD_TOPIC)], shard.clock.now())
    shard.advance(0)
    assert shard.committed("a") == {("t", 1): 7, ("u", 0): 1}
    assert shard.committed("b") == {("u", 0): 1}


# --- age


def test_a_simple_groups_offsets_age_from_their_commit() -> None:
    """Each on its own; with the last one the group goes."""
    shard = Shard()
    shard.commit({("t", 0): 5})
    shard.advance(DAY)
    shard.commit({("t", 1): 6})
    shard.advance(RETENTION - DAY - 1)
    assert len(shard.committed()) == 2
    shard.advance(1 + CHECK)
    assert shard.committed() == {("t", 1): 6}
    shard.advance(DAY)
    assert shard.machine.described("g") is None


def test_an_empty_groups_offsets_age_from_its_last_member() -> None:
    """KIP-211: what a group committed long ago stays as long as it lives, and a whole retention longer."""
    shard = Shard()
    group = shard.stable(1)
    shard.commit({("t", 0): 5}, member=group.leader, generation=group.generation)
    _live(shard, group.leader, group.generation, 2 * RETENTION)
    assert shard.committed() == {("t", 0): 5}
    shard.leave(group.leader)
    shard.advance(RETENTION - 1)
    assert shard.committed() == {("t", 0): 5}
    shard.advance(1 + CHECK)
    assert shard.committed() == {}
    assert shard.machine.described("g") is None


def test_a_live_group_forgets_topics_that_it_no_longer_reads() -> None:
    """But never one that it subscribes to."""
    shard = Shard()
    shard.commit({("t", 0): 5, ("u", 0): 6})
    group = shard.stable(1, topics=["t"])
    _live(shard, group.leader, group.generation, RETENTION + CHECK)
    assert shard.committed() == {("t", 0): 5}


def test_a_live_group_of_another_kind_forgets_nothing() -> None:
    """What it reads is unknown."""
    shard = Shard()
    shard.commit({("t", 0): 5})
    member = shard.new_id(kind="connect")
    shard.join(member, kind="connect")
    shard.sync(member, 1)
    _live(shard, member, 1, RETENTION + CHECK)
    assert shard.committed() == {("t", 0): 5}


def test_an_offset_may_bring_its_own_retention() -> None:
    """OffsetCommit v2-4: it counts, be it shorter or longer than the broker's; and survives a restart."""
    shard = Shard()
    shard.commit({("t", 0): 5}, version=2, retention=DAY)
    shard.commit({("t", 1): 6}, version=2, retention=2 * RETENTION)
    assert (shard.log[0].value or b"")[:2] == b"\0\1", "the only version with a place for it"
    shard.restart()
    shard.advance(DAY + CHECK)
    assert shard.committed() == {("t", 1): 6}
    shard.advance(RETENTION)
    assert shard.committed() == {("t", 1): 6}
    shard.advance(RETENTION)
    assert shard.committed() == {}


@pytest.mark.parametrize("retention", [2**63 - 1, 2**62, -(2**63), -2, 0])
def test_any_retention_can_be_written_down(retention: int) -> None:
    """One that ends behind the last of all times is kept until then: 2**63 - 1 was UNKNOWN_SERVER_ERROR."""
    shard = Shard()
    assert shard.commit({("t", 0): 5}, version=2, retention=retention) is ErrorCode.NONE
    shard.advance(2 * RETENTION)
    assert shard.committed() == ({("t", 0): 5} if retention > 0 else {})


def test_groups_that_never_had_anything_go_with_the_next_check() -> None:
    """A client asked for an id and never came back."""
    shard = Shard()
    shard.new_id()
    shard.advance(CHECK)
    assert shard.machine.described("g") is None


def test_old_offsets_go_in_pieces() -> None:
    """No decision writes more tombstones than the cap, however many a group has; the rest follows at once."""
    shard = Shard(expiry_batch=3)
    for number in range(1, 9):
        shard.commit({("t", partition): 1 for partition in range(number)}, group=f"g{number}")
    shard.advance(RETENTION - CHECK)
    sizes: list[int] = []
    shard.on_decision = lambda decision: sizes.append(len(decision.records))
    shard.advance(CHECK)
    assert sum(sizes) == sum(range(1, 9)) + 8
    assert max(sizes) <= 3
    assert list(shard.machine.listed()) == []


def test_a_shard_without_groups_wants_nothing() -> None:
    """No deadline while there is nothing to forget."""
    shard = Shard()
    assert shard.machine.next_deadline() is None
    shard.commit({("t", 0): 1})
    assert shard.machine.next_deadline() is not None


def _live(shard: Shard, member: str, generation: int, millis: int) -> None:
    """Beat for that long. Sessions are not what is tested: the beats come with the checks."""
    end = shard.clock.monotonic_millis() + millis
    while shard.clock.monotonic_millis() < end:
        for kind in list(shard.machine._deadlines.names()):
            if kind.member_id:
                shard.machine._deadlines.set(kind, shard.clock.monotonic_millis() + CHECK + SESSION)
        shard.advance(min(CHECK, end - shard.clock.monotonic_millis()))
        assert shard.beat(member, generation) is ErrorCode.NONE
