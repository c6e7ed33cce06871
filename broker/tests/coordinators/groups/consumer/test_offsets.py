"""Offsets of groups whose members have epochs: who may commit, and who may learn what was committed (KIP-848,
KIP-1251)."""

from __future__ import annotations

from broker.tests.coordinators.groups.consumer.members import ConsumerShard
from kproto.errors import ErrorCode


def shard_with_two() -> ConsumerShard:
    """m1 is at epoch 2 and has to give up 2 and 3, which m2 waits for at epoch 3."""
    shard = ConsumerShard({"a": 4})
    shard.subscribe("m1", "a")
    shard.subscribe("m2", "a")
    shard.heartbeat("m1", 2)
    return shard


def commit(shard: ConsumerShard, partition: int, member: str, epoch: int, version: int = 9) -> object:
    """Of one partition."""
    topic = shard.image.topics["a"]
    return shard.commit(
        {("a", partition): 1}, member=member, generation=epoch, version=version, topic_id=topic.topic_id
    )


def test_a_member_commits_at_its_epoch() -> None:
    """At no later one, and in no version without epochs; what it has to give up it may commit until it has."""
    shard = shard_with_two()
    assert commit(shard, 0, "m1", 2) is ErrorCode.NONE
    assert commit(shard, 3, "m1", 2) is ErrorCode.NONE
    assert commit(shard, 0, "m1", 3) is ErrorCode.STALE_MEMBER_EPOCH
    assert commit(shard, 0, "m1", 2, version=8) is ErrorCode.UNSUPPORTED_VERSION
    assert commit(shard, 0, "unknown", 2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert commit(shard, 0, "", -1) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_epoch_is_stale_for_partitions_that_the_member_got_later() -> None:
    """G16: a commit that was under way when the epoch moved counts for what the member has had all the time."""
    shard = shard_with_two()
    shard.heartbeat("m1", 2, owns={"a": [0, 1]})
    shard.heartbeat("m2", 3)
    assert commit(shard, 0, "m1", 2) is ErrorCode.NONE
    assert commit(shard, 2, "m1", 2) is ErrorCode.STALE_MEMBER_EPOCH
    assert commit(shard, 2, "m2", 3) is ErrorCode.NONE
    assert commit(shard, 2, "m2", 2) is ErrorCode.STALE_MEMBER_EPOCH
    shard.restart()
    assert commit(shard, 0, "m1", 2) is ErrorCode.NONE
    assert commit(shard, 2, "m2", 2) is ErrorCode.STALE_MEMBER_EPOCH


def test_any_client_commits_to_a_group_without_members() -> None:
    """If it claims no epoch."""
    shard = shard_with_two()
    shard.heartbeat("m1", -1)
    shard.heartbeat("m2", -1)
    assert commit(shard, 0, "", -1) is ErrorCode.NONE
    assert commit(shard, 0, "m1", 2) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_learns_what_was_committed_at_its_epoch_only() -> None:
    """A client that claims to be no member learns it in any case, and of an unknown group there is nothing to learn."""
    machine = shard_with_two().machine
    assert machine.fetch_error("g", None, -1) is ErrorCode.NONE
    assert machine.fetch_error("g", "m1", 2) is ErrorCode.NONE
    assert machine.fetch_error("g", "m1", 1) is ErrorCode.STALE_MEMBER_EPOCH
    assert machine.fetch_error("g", "m1", 3) is ErrorCode.STALE_MEMBER_EPOCH
    assert machine.fetch_error("g", "unknown", 2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert machine.fetch_error("unknown", "m1", 2) is ErrorCode.NONE
