"""ConsumerGroupHeartbeat: joining, staying, reconciling and leaving. Numbers are those that Kafka answered."""

from __future__ import annotations

import pytest

from broker.coordinators.groups.records import ConsumerRecord
from broker.tests.coordinators.groups.consumer.members import REBALANCE, SESSION, ConsumerShard, code
from kproto.errors import ErrorCode


def test_the_first_answer_of_the_first_member_has_its_assignment() -> None:
    """One decision finds the member, another epoch, a target, and what the member owns. A group's first epoch is 2."""
    shard = ConsumerShard({"a": 3})
    answer = shard.subscribe("m1", "a")
    assert (answer.member_id, answer.member_epoch, answer.heartbeat_interval_ms) == ("m1", 2, 5_000)
    assert shard.shares(answer) == {"a": [0, 1, 2]}
    assert [type(record.key).__name__ for record in shard.records() if isinstance(record, ConsumerRecord)] == [
        "ConsumerGroupMemberMetadataKey",
        "ConsumerGroupMetadataKey",
        "ConsumerGroupTargetAssignmentMemberKey",
        "ConsumerGroupTargetAssignmentMetadataKey",
        "ConsumerGroupCurrentMemberAssignmentKey",
    ]
    assert shard.describe().group_state == "Stable"


def test_a_heartbeat_with_nothing_to_say_writes_nothing() -> None:
    """It renews the session, and that is all."""
    shard = ConsumerShard({"a": 1})
    shard.subscribe("m1", "a")
    written = len(shard.log)
    for _ in range(10):
        shard.advance(SESSION - 1)
        answer = shard.heartbeat("m1", 2)
        assert (code(answer), answer.member_epoch, answer.assignment) == (ErrorCode.NONE, 2, None)
    assert len(shard.log) == written


def test_a_member_that_says_everything_is_told_everything() -> None:
    """As a client does that has lost an answer."""
    shard = ConsumerShard({"a": 1})
    shard.subscribe("m1", "a")
    answer = shard.heartbeat("m1", 2, ["a"], owns={"a": [0]}, rebalance=REBALANCE)
    assert shard.shares(answer) == {"a": [0]}


def test_a_partition_changes_hands_after_its_owner_gave_it_up() -> None:
    """G14: no other member owns it before, and what stays is kept on reading."""
    shard = ConsumerShard({"a": 4})
    shard.subscribe("m1", "a")
    second = shard.subscribe("m2", "a")
    assert (second.member_epoch, shard.shares(second)) == (3, {})

    told = shard.heartbeat("m1", 2)
    assert (told.member_epoch, shard.shares(told)) == (2, {"a": [0, 1]})
    assert shard.owned("m1") == {"a": [0, 1, 2, 3]}, "it still owns what it has to give up"
    assert shard.heartbeat("m2", 3).assignment is None
    assert shard.heartbeat("m1", 2, owns={"a": [0, 1, 2, 3]}).assignment is None
    assert shard.owned("m2") == {}

    done = shard.heartbeat("m1", 2, owns={"a": [0, 1]})
    assert (done.member_epoch, done.assignment) == (3, None)
    assert shard.owned("m2") == {}, "no member owns it now"
    assert shard.shares(shard.heartbeat("m2", 3)) == {"a": [2, 3]}
    assert shard.state() == "Stable"


def test_states_say_which_epoch_lags() -> None:
    """Empty, Assigning, Reconciling, Stable."""
    shard = ConsumerShard({"a": 2})
    shard.set_times(assignment_interval=1_000)
    shard.subscribe("m1", "a")
    assert shard.state() == "Stable"
    shard.subscribe("m2", "a")
    assert shard.state() == "Assigning"
    shard.advance(1_000)
    shard.heartbeat("m2", 2)
    assert shard.state() == "Reconciling"
    shard.settle("m1", "m2")
    shard.heartbeat("m1", -1)
    shard.heartbeat("m2", -1)
    assert shard.state() == "Empty"


def test_assignments_are_as_far_apart_as_the_interval_says() -> None:
    """A member that joins within it comes to the present epoch, with nothing; the first does not wait."""
    shard = ConsumerShard({"a": 2})
    shard.set_times(assignment_interval=1_000)
    assert shard.shares(shard.subscribe("m1", "a")) == {"a": [0, 1]}
    second = shard.subscribe("m2", "a")
    assert (second.member_epoch, shard.shares(second)) == (2, {})
    shard.advance(999)
    assert shard.heartbeat("m2", 2).member_epoch == 2
    shard.advance(1)
    assert shard.heartbeat("m2", 2).member_epoch == 3
    shard.heartbeat("m1", -1)
    shard.heartbeat("m2", -1)
    assert shard.shares(shard.subscribe("m3", "a")) == {"a": [0, 1]}, "an empty group does not wait"


@pytest.mark.parametrize(
    ("epoch", "request_", "expected"),
    [
        (0, {"owns": {"a": [0]}}, ErrorCode.INVALID_REQUEST),
        (0, {"rebalance": -1}, ErrorCode.INVALID_REQUEST),
        (0, {"topics": None}, ErrorCode.INVALID_REQUEST),
        (0, {"group": ""}, ErrorCode.INVALID_REQUEST),
        (0, {"group": " "}, ErrorCode.INVALID_REQUEST),
        (0, {"member": ""}, ErrorCode.INVALID_REQUEST),
        (0, {"instance": ""}, ErrorCode.INVALID_REQUEST),
        (0, {"rack": ""}, ErrorCode.INVALID_REQUEST),
        (-2, {}, ErrorCode.INVALID_REQUEST),
        (-3, {}, ErrorCode.INVALID_REQUEST),
        (0, {"assignor": "mine"}, ErrorCode.UNSUPPORTED_ASSIGNOR),
        (5, {}, ErrorCode.GROUP_ID_NOT_FOUND),
        (-1, {}, ErrorCode.GROUP_ID_NOT_FOUND),
        (-2, {"instance": "i"}, ErrorCode.GROUP_ID_NOT_FOUND),
    ],
)
def test_what_no_group_could_take(epoch: int, request_: dict[str, object], expected: ErrorCode) -> None:
    """Refused with Kafka's codes, and no group is made."""
    shard = ConsumerShard({"a": 1})
    said = {"member": "m1", "topics": ["a"], **request_} if epoch == 0 else {"member": "m1", **request_}
    assert code(shard.heartbeat(epoch=epoch, **said)) is expected  # type: ignore[arg-type]
    assert shard.log == []


def test_old_clients_are_given_an_id() -> None:
    """Version 0: the coordinator makes one up."""
    answer = ConsumerShard({"a": 1}).heartbeat("", 0, ["a"], version=0)
    assert code(answer) is ErrorCode.NONE
    assert answer.member_id is not None and len(answer.member_id) == 22


def test_epochs_fence() -> None:
    """A member that is ahead is fenced; one that is behind by one answer may repeat itself, owning no more than it was
    given."""
    shard = ConsumerShard({"a": 2})
    shard.subscribe("m1", "a")
    assert code(shard.heartbeat("m1", 3)) is ErrorCode.FENCED_MEMBER_EPOCH
    assert code(shard.heartbeat("m1", 1)) is ErrorCode.FENCED_MEMBER_EPOCH
    assert code(shard.heartbeat("m2", 2)) is ErrorCode.UNKNOWN_MEMBER_ID
    shard.subscribe("m2", "a")
    shard.settle("m1", "m2")
    assert shard.consumer_group().members["m1"].previous_epoch == 2
    assert code(shard.heartbeat("m1", 2)) is ErrorCode.FENCED_MEMBER_EPOCH
    assert code(shard.heartbeat("m1", 2, owns={"a": [0, 1]})) is ErrorCode.FENCED_MEMBER_EPOCH
    answer = shard.heartbeat("m1", 2, owns={"a": [0]})
    assert (code(answer), answer.member_epoch) == (ErrorCode.NONE, 3)


def test_a_silent_member_is_removed() -> None:
    """After the group's session timeout; the others get what it had."""
    shard = ConsumerShard({"a": 2})
    shard.set_times(session=10_000)
    shard.subscribe("m1", "a")
    shard.subscribe("m2", "a")
    shard.settle("m1", "m2")
    shard.advance(9_000)
    shard.heartbeat("m1", 3)
    shard.advance(1_000)
    assert list(shard.consumer_group().members) == ["m1"]
    assert shard.shares(shard.heartbeat("m1", 3)) == {"a": [0, 1]}
    assert shard.state() == "Stable"
    shard.advance(10_000)
    assert shard.state() == "Empty"


def test_a_member_that_does_not_give_up_is_removed() -> None:
    """After its own rebalance timeout, although it beats."""
    shard = ConsumerShard({"a": 2})
    shard.subscribe("m1", "a", rebalance=2_000)
    shard.subscribe("m2", "a")
    shard.heartbeat("m1", 2)
    shard.advance(1_999)
    assert code(shard.heartbeat("m1", 2, owns={"a": [0, 1]})) is ErrorCode.NONE
    shard.advance(1)
    assert code(shard.heartbeat("m1", 2)) is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.shares(shard.heartbeat("m2", 3)) == {"a": [0, 1]}


def test_another_subscription_takes_effect_at_once() -> None:
    """What the member no longer reads is taken from it, and what it reads now it gets."""
    shard = ConsumerShard({"a": 2, "b": 2})
    shard.subscribe("m1", "a")
    told = shard.heartbeat("m1", 2, ["b"])
    assert (told.member_epoch, shard.shares(told)) == (2, {})
    answer = shard.heartbeat("m1", 2, owns={})
    assert (answer.member_epoch, shard.shares(answer)) == (3, {"b": [0, 1]})


def test_topics_that_change_make_another_epoch() -> None:
    """One that is made, one that grows, and one that goes: found with the next heartbeat of any member."""
    shard = ConsumerShard({"a": 1})
    assert shard.shares(shard.subscribe("m1", "a", "later")) == {"a": [0]}
    shard.create("other")
    assert shard.heartbeat("m1", 2).member_epoch == 2, "a topic that no member reads is nothing to the group"
    shard.create("later", 2)
    answer = shard.heartbeat("m1", 2)
    assert (answer.member_epoch, shard.shares(answer)) == (3, {"a": [0], "later": [0, 1]})
    shard.grow("a", 2)
    answer = shard.heartbeat("m1", 3)
    assert (answer.member_epoch, shard.shares(answer)) == (4, {"a": [0, 1], "later": [0, 1]})
    shard.drop("later")
    told = shard.heartbeat("m1", 4)
    assert shard.shares(told) == {"a": [0, 1]}
    assert shard.heartbeat("m1", 4, owns={"a": [0, 1]}).member_epoch == 5
    assert shard.state() == "Stable"


def test_the_assignor_is_what_most_members_would_like() -> None:
    """Another one is another epoch; a wish that changes nothing is not."""
    shard = ConsumerShard({"a": 2})
    shard.subscribe("m1", "a")
    assert shard.describe().assignor_name == "uniform"
    assert shard.heartbeat("m1", 2, assignor="uniform").member_epoch == 2
    assert shard.heartbeat("m1", 2, assignor="range").member_epoch == 3
    assert shard.describe().assignor_name == "range"


def test_a_crash_costs_members_nothing() -> None:
    """Epochs, owners and targets come back from the log; sessions begin again."""
    shard = ConsumerShard({"a": 4})
    shard.set_times(session=10_000)
    shard.subscribe("m1", "a")
    shard.subscribe("m2", "a")
    shard.heartbeat("m1", 2)
    shard.advance(6_000 - REBALANCE)
    shard.restart()
    shard.advance(REBALANCE - 1)
    assert shard.heartbeat("m1", 2, owns={"a": [0, 1]}).member_epoch == 3
    assert shard.shares(shard.heartbeat("m2", 3)) == {"a": [2, 3]}
    shard.restart()
    shard.advance(9_999)
    assert shard.state() == "Stable"
    assert shard.heartbeat("m1", 3).assignment is None


def test_a_group_that_has_left_is_gone_with_its_offsets() -> None:
    """DeleteGroups of an empty group; one with members is refused."""
    shard = ConsumerShard({"a": 1})
    shard.subscribe("m1", "a")
    shard.commit({("a", 0): 5}, member="m1", generation=2)
    assert shard.delete("g") == [ErrorCode.NON_EMPTY_GROUP]
    assert code(shard.heartbeat("m1", -1)) is ErrorCode.NONE
    assert shard.delete("g") == [ErrorCode.NONE]
    assert shard.machine.described_consumer_group("g") is None
    assert shard.committed() == {}


def test_an_empty_classic_group_becomes_a_consumer_group() -> None:
    """With its offsets. So does a group that has only ever stored offsets, of which there is no record."""
    shard = ConsumerShard({"a": 1})
    assert shard.commit({("a", 0): 5}) is ErrorCode.NONE
    shard.subscribe("m1", "a")
    assert shard.committed() == {("a", 0): 5}
    assert [each.group_type for each in shard.machine.listed()] == ["consumer"]
    shard.restart()
    assert shard.committed() == {("a", 0): 5}
