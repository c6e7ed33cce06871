"""Whatever members of the consumer protocol can fill has a cap, and one more than that harms no other member."""

from __future__ import annotations

import pytest

from broker.coordinators.groups.consumer import assigning, steps
from broker.coordinators.machine import Promise
from broker.tests.coordinators.groups.consumer.members import ConsumerShard, code
from kproto.errors import ErrorCode


def test_a_group_has_a_size() -> None:
    """group.consumer.max.size; a static member that comes back is none more."""
    shard = ConsumerShard({"a": 2}, consumer_max_size=2)
    shard.subscribe("m1", "a", instance="i")
    shard.subscribe("m2", "a")
    assert code(shard.heartbeat("m3", 0, ["a"])) is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert shard.join(protocols={"range": b"\0\0\0\0\0\0"}, version=3).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    shard.heartbeat("m1", -2, instance="i")
    assert code(shard.heartbeat("m4", 0, ["a"], instance="i")) is ErrorCode.NONE
    assert code(shard.heartbeat("m2", 3)) is ErrorCode.NONE


def test_there_are_so_many_groups() -> None:
    """POLICY_VIOLATION for one more."""
    shard = ConsumerShard({"a": 1}, max_groups=1)
    shard.subscribe("m1", "a")
    assert code(shard.heartbeat("m1", 0, ["a"], group="h")) is ErrorCode.POLICY_VIOLATION


def test_what_a_member_says_has_a_size() -> None:
    """UNKNOWN_SERVER_ERROR, as from Kafka when the record is too large; nothing is written."""
    shard = ConsumerShard({"a": 1}, max_member_metadata=1_000)
    shard.subscribe("m1", "a")
    written = len(shard.log)
    names = [f"topic-{number}" for number in range(100)]
    assert code(shard.heartbeat("m1", 2, names)) is ErrorCode.UNKNOWN_SERVER_ERROR
    assert code(shard.heartbeat("m2", 0, ["a"], client="c" * 1_000)) is ErrorCode.UNKNOWN_SERVER_ERROR
    assert len(shard.log) == written
    assert code(shard.heartbeat("m1", 2)) is ErrorCode.NONE


def test_all_groups_share_one_budget() -> None:
    """A member that there is no room for is GROUP_MAX_SIZE_REACHED; those that are there go on, and may shrink."""
    shard = ConsumerShard({"a": 1}, max_state=9_000)
    shard.subscribe("m1", "a")
    codes = [code(shard.heartbeat(f"n{number}", 0, ["a"])) for number in range(20)]
    assert codes.count(ErrorCode.GROUP_MAX_SIZE_REACHED) == 20 - codes.count(ErrorCode.NONE) > 0
    assert shard.machine.account.bytes <= 9_000
    assert code(shard.heartbeat("m1", 2, owns={"a": [0]})) is ErrorCode.NONE
    assert code(shard.heartbeat("m1", -1)) is ErrorCode.NONE


def test_an_assignment_without_room_is_refused() -> None:
    """Partitions are many where members are few: the group goes on with the assignment that it has."""
    shard = ConsumerShard({"a": 1, "b": 100}, max_state=20_000)
    shard.subscribe("m1", "a")
    assert code(shard.heartbeat("m1", 2, ["a", "b"])) is ErrorCode.UNKNOWN_SERVER_ERROR
    assert shard.shares(shard.heartbeat("m1", 2, ["a"], owns={"a": [0]}, rebalance=5_000)) == {"a": [0]}


def test_expressions_are_counted_and_checked() -> None:
    """INVALID_REGULAR_EXPRESSION for what RE2 does not take; GROUP_MAX_SIZE_REACHED for one more than there may be."""
    shard = ConsumerShard({"a": 1}, max_expressions=2)
    assert code(shard.heartbeat("m1", 0, None, expression="a(")) is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert code(shard.heartbeat("m1", 0, None, expression="(?=a)")) is ErrorCode.INVALID_REGULAR_EXPRESSION
    for number in range(2):
        assert code(shard.heartbeat(f"m{number}", 0, None, expression=f"a{number}")) is ErrorCode.NONE
    assert code(shard.heartbeat("m3", 0, None, expression="b")) is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert code(shard.heartbeat("m3", 0, None, expression="a1")) is ErrorCode.NONE


def test_a_large_assignment_is_computed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """G18: members go on with what they have meanwhile; the result is written in parts, and counts with the last. Who
    has left gets nothing of it, and who has taken a place gets the share of that."""
    shard = ConsumerShard({"a": 4})
    shard.subscribe("m1", "a")
    shard.subscribe("m2", "a", instance="i")
    shard.settle("m1", "m2")
    monkeypatch.setattr(assigning, "AT_ONCE_COST", 0)
    shard.computes = False
    joined = shard.subscribe("m3", "a")
    assert (joined.member_epoch, shard.shares(joined)) == (3, {})
    assert shard.state() == "Assigning"
    [work] = shard.left
    assert shard.heartbeat("m3", 3).member_epoch == 3
    assert shard.left == [work], "it is asked for once"
    shard.heartbeat("m2", -2, instance="i")
    assert code(shard.heartbeat("m9", 0, ["a"], instance="i")) is ErrorCode.NONE
    shard.compute()
    assert shard.state() == "Reconciling"
    shard.settle("m1", "m9", "m3")
    shares = [share for member in ("m1", "m9", "m3") for share in shard.owned(member)["a"]]
    assert sorted(shares) == [0, 1, 2, 3]


def test_a_first_assignment_that_is_large_is_one_epoch_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The member joins a group that has an empty assignment, and has its own when that is known."""
    monkeypatch.setattr(assigning, "AT_ONCE_COST", 0)
    shard = ConsumerShard({"a": 2})
    joined = shard.subscribe("m1", "a")
    assert (joined.member_epoch, shard.shares(joined)) == (1, {})
    answer = shard.heartbeat("m1", 1, owns={})
    assert (answer.member_epoch, shard.shares(answer)) == (2, {"a": [0, 1]})


def test_work_that_is_given_up_is_tried_again_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with each heartbeat."""
    monkeypatch.setattr(assigning, "AT_ONCE_COST", 0)
    shard = ConsumerShard({"a": 2})
    shard.computes = False
    shard.subscribe("m1", "a")
    [work] = shard.left
    shard.left.clear()
    assert isinstance(work, assigning.Assigning)
    shard.machine.decide_give_up(work, shard.clock.now(), Promise())
    shard.heartbeat("m1", 1)
    assert not shard.left
    shard.advance(steps.LEAST_PAUSE_AFTER_FAILURE)
    shard.heartbeat("m1", 1)
    assert len(shard.left) == 1
