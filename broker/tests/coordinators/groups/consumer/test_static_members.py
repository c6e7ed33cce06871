"""Static members of consumer groups: leaving for a while, coming back, and fencing (KIP-345, KIP-848)."""

from __future__ import annotations

from broker.tests.coordinators.groups.consumer.members import SESSION, ConsumerShard, code
from kproto.errors import ErrorCode


def two(shard: ConsumerShard) -> None:
    """Instances i1 and i2, members m1 and m2, with half of `a` each, at epoch 3."""
    shard.subscribe("m1", "a", instance="i1")
    shard.subscribe("m2", "a", instance="i2")
    shard.settle("m1", "m2")


def test_an_instance_that_has_left_for_a_while_keeps_its_place() -> None:
    """Nothing moves while it is away, and it comes back under another id to what it had."""
    shard = ConsumerShard({"a": 4})
    two(shard)
    left = shard.heartbeat("m1", -2, instance="i1")
    assert (code(left), left.member_epoch) == (ErrorCode.NONE, -2)
    assert shard.heartbeat("m2", 3, instance="i2").assignment is None
    back = shard.heartbeat("m9", 0, ["a"], instance="i1")
    assert (code(back), back.member_epoch, shard.shares(back)) == (ErrorCode.NONE, 3, {"a": [0, 1]})
    assert shard.describe().group_epoch == 3, "no other epoch, no other target"
    assert code(shard.heartbeat("m1", 3, instance="i1")) is ErrorCode.FENCED_INSTANCE_ID
    assert code(shard.heartbeat("m1", 3)) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_instance_that_does_not_come_back_is_removed() -> None:
    """After a session, which began with its last heartbeat."""
    shard = ConsumerShard({"a": 4})
    two(shard)
    shard.heartbeat("m1", -2, instance="i1")
    shard.advance(SESSION - 1)
    shard.heartbeat("m2", 3, instance="i2")
    assert "m1" in shard.consumer_group().members
    shard.advance(1)
    assert list(shard.consumer_group().members) == ["m2"]


def test_an_instance_that_is_there_is_not_given_away() -> None:
    """UNRELEASED_INSTANCE_ID, even to the member that has it; FENCED_INSTANCE_ID to others that claim it."""
    shard = ConsumerShard({"a": 4})
    two(shard)
    assert code(shard.heartbeat("m9", 0, ["a"], instance="i1")) is ErrorCode.UNRELEASED_INSTANCE_ID
    assert code(shard.heartbeat("m1", 0, ["a"], instance="i1")) is ErrorCode.UNRELEASED_INSTANCE_ID
    assert code(shard.heartbeat("m9", 3, instance="i1")) is ErrorCode.FENCED_INSTANCE_ID
    assert code(shard.heartbeat("m1", 3, instance="i2")) is ErrorCode.FENCED_INSTANCE_ID
    assert code(shard.heartbeat("m1", 3, instance="none")) is ErrorCode.UNKNOWN_MEMBER_ID
    assert code(shard.heartbeat("m9", -2, instance="i1")) is ErrorCode.FENCED_INSTANCE_ID
    assert code(shard.heartbeat("m9", -1, instance="i1")) is ErrorCode.FENCED_INSTANCE_ID
    assert code(shard.heartbeat("m1", -2, instance="none")) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_instance_that_leaves_for_good_is_gone() -> None:
    """Epoch -1 removes it at once."""
    shard = ConsumerShard({"a": 4})
    two(shard)
    assert code(shard.heartbeat("m1", -1, instance="i1")) is ErrorCode.NONE
    assert list(shard.consumer_group().members) == ["m2"]
    shard.settle("m2")
    assert shard.owned("m2") == {"a": [0, 1, 2, 3]}


def test_what_an_instance_had_yet_to_give_up_is_free_when_it_leaves() -> None:
    """It is not reading any more, so that others need not wait; and it is not removed for being late."""
    shard = ConsumerShard({"a": 4})
    shard.subscribe("m1", "a", instance="i1")
    shard.subscribe("m2", "a")
    shard.heartbeat("m1", 2)
    shard.heartbeat("m1", -2, instance="i1")
    assert shard.shares(shard.heartbeat("m2", 3)) == {"a": [2, 3]}
    shard.advance(6_000)
    assert "m1" in shard.consumer_group().members
    shard.restart()
    back = shard.heartbeat("m3", 0, ["a"], instance="i1")
    assert (back.member_epoch, shard.shares(back)) == (3, {"a": [0, 1]})
    assert shard.state() == "Stable"


def test_an_instance_may_come_back_with_other_wishes() -> None:
    """Then there is another epoch, for all."""
    shard = ConsumerShard({"a": 4, "b": 2})
    two(shard)
    shard.heartbeat("m1", -2, instance="i1")
    back = shard.heartbeat("m3", 0, ["a", "b"], instance="i1", rack="r1")
    assert back.member_epoch == 4
    assert shard.member("m3").rack_id == "r1"
    shard.settle("m3", "m2")


def test_a_dynamic_member_may_become_an_instance() -> None:
    """By joining again under its id."""
    shard = ConsumerShard({"a": 1})
    shard.subscribe("m1", "a")
    assert code(shard.heartbeat("m1", 2, instance="i1")) is ErrorCode.UNKNOWN_MEMBER_ID
    answer = shard.heartbeat("m1", 0, ["a"], instance="i1")
    assert (code(answer), answer.member_epoch) == (ErrorCode.NONE, 2)
    assert shard.member("m1").instance_id == "i1"
