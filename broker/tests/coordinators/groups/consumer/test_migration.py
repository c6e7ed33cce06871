"""Groups change between the classic and the consumer protocol while members read on. What is expected here was seen of
Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from broker.coordinators.groups import membership
from broker.coordinators.groups.settings import MigrationPolicy
from broker.tests.coordinators.groups.consumer.members import REBALANCE, ConsumerShard, code
from broker.tests.coordinators.groups.shards import SESSION, Waiting
from kproto.errors import ErrorCode
from kproto.formats.consumer_protocol import (
    AssignedTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    OwnedTopicPartition,
    decode_assignment,
    encode_assignment,
    encode_subscription,
)
from kproto.messages.join_group import JoinGroupResponse
from kproto.messages.leave_group import MemberIdentity


@pytest.fixture(params=["at once", "prepared"], autouse=True)
def prepares(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Upgrades are prepared, as those of large groups are, or not. What follows is the same."""
    prepared: bool = request.param == "prepared"
    monkeypatch.setattr(membership, "MANY", 1 if prepared else 1_000)
    return prepared


def wishes(*topics: str, owns: Mapping[str, Sequence[int]] | None = None) -> dict[str, bytes]:
    """What a classic consumer hands in."""
    owned = [OwnedTopicPartition(topic=topic, partitions=list(parts)) for topic, parts in (owns or {}).items()]
    subscription = ConsumerProtocolSubscription(topics=list(topics), owned_partitions=owned)
    return {"range": encode_subscription(subscription, 1)}


def share(shares: Mapping[str, Sequence[int]], user_data: bytes | None = None) -> bytes:
    """What its leader hands out."""
    partitions = [AssignedTopicPartition(topic=topic, partitions=list(parts)) for topic, parts in shares.items()]
    return encode_assignment(ConsumerProtocolAssignment(assigned_partitions=partitions, user_data=user_data), 1)


def classic(shard: ConsumerShard, *shares: Mapping[str, Sequence[int]], user_data: bytes | None = None) -> list[str]:
    """A stable classic group of dynamic members with these shares of `a`; their ids."""
    ids = [shard.new_id(protocols=wishes("a")) for _ in shares]
    joins: list[Waiting[JoinGroupResponse]] = []
    for number in range(len(ids)):
        joins = [shard.join(each, protocols=wishes("a"), rebalance=REBALANCE) for each in [ids[number], *ids[:number]]]
    generation, leader = joins[0].reply.generation_id, joins[0].reply.leader
    for each in ids:
        if each != leader:
            shard.sync(each, generation)
    handed = {each: share(its, user_data) for each, its in zip(ids, shares, strict=True)}
    assert shard.sync(leader, generation, handed).error is ErrorCode.NONE
    return ids


def rejoin(shard: ConsumerShard, member: str, owns: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """JoinGroup and SyncGroup of a classic member; what it may read then."""
    join = shard.join(member, protocols=wishes("a", owns=owns), rebalance=REBALANCE)
    assert join.error is ErrorCode.NONE
    sync = shard.sync(member, join.reply.generation_id)
    assert sync.error is ErrorCode.NONE
    partitions = decode_assignment(sync.reply.assignment).assigned_partitions
    return {each.topic: sorted(each.partitions) for each in partitions}


def test_the_first_consumer_makes_a_consumer_group_and_the_classic_member_gives_up_in_its_own_way() -> None:
    """Upgrade: the generation is the epoch, what the leader has assigned is what members own."""
    shard = ConsumerShard({"a": 4})
    [old] = classic(shard, {"a": [0, 1, 2, 3]})
    answer = shard.subscribe("new", "a")
    assert (answer.member_epoch, shard.shares(answer)) == (2, {})
    assert [each.group_type for each in shard.machine.listed()] == ["consumer"]
    assert (shard.member(old).member_type, shard.member("new").member_type) == (0, 1)
    assert shard.owned(old) == {"a": [0, 1, 2, 3]}

    assert shard.beat(old, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    assert shard.commit({("a", 3): 7}, member=old, generation=1, version=8) is ErrorCode.NONE
    keeps = rejoin(shard, old, {"a": [0, 1, 2, 3]})
    assert len(keeps["a"]) == 2, "its generation is still the old one: it has not given up yet"
    assert shard.heartbeat("new", 2).assignment is None
    assert shard.beat(old, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    assert rejoin(shard, old, keeps) == keeps
    got = shard.shares(shard.heartbeat("new", 2))
    assert got is not None and sorted([*got["a"], *keeps["a"]]) == [0, 1, 2, 3]
    assert shard.beat(old, 2) is ErrorCode.NONE
    assert shard.state() == "Stable"
    shard.restart()
    assert shard.beat(old, 2) is ErrorCode.NONE


def test_when_the_last_consumer_leaves_the_classic_members_form_a_generation_again() -> None:
    """Downgrade: stable with the last target, and all are asked to join at once."""
    shard = ConsumerShard({"a": 4})
    [old] = classic(shard, {"a": [0, 1, 2, 3]})
    shard.subscribe("new", "a")
    rejoin(shard, old, {"a": [0, 1]})
    shard.heartbeat("new", 2)
    assert code(shard.heartbeat("new", -1)) is ErrorCode.NONE
    shard.advance(0)
    assert [(each.group_type, each.group_state) for each in shard.machine.listed()] == [
        ("classic", "PreparingRebalance")
    ]
    generation = shard.join(old, protocols=wishes("a")).reply.generation_id
    assert generation == 3
    assert shard.sync(old, generation, {old: share({"a": [0, 1, 2, 3]})}).error is ErrorCode.NONE
    assert shard.described().group_state == "Stable"


def test_a_partition_that_a_classic_member_still_reads_is_not_free_after_a_downgrade() -> None:
    """A consumer comes and goes, and another one comes, before the classic member has given anything up: what it reads
    is its own until it has joined again, also if the coordinator restarts in between."""
    for restarts in (False, True):
        shard = ConsumerShard({"a": 4})
        [old] = classic(shard, {"a": [0, 1, 2, 3]})
        shard.subscribe("first", "a")
        shard.heartbeat("first", -1)
        if restarts:
            shard.restart()
        assert shard.shares(shard.subscribe("second", "a")) in (None, {}), "the classic member reads all of it"
        keeps = rejoin(shard, old, {"a": [0, 1, 2, 3]})
        keeps = rejoin(shard, old, keeps)
        got = shard.shares(shard.heartbeat("second", shard.describe().group_epoch))
        assert got is not None and sorted([*got["a"], *keeps["a"]]) == [0, 1, 2, 3]


def test_a_restart_after_a_downgrade_does_not_leave_partitions_to_no_member() -> None:
    """The members are asked to join, also by a coordinator that has loaded the group: else a classic member that still
    waited for a partition of the consumer that left would wait forever."""
    shard = ConsumerShard({"a": 4})
    shard.subscribe("new", "a")
    old = shard.new_id(protocols=wishes("a"))
    generation = shard.join(old, protocols=wishes("a"), rebalance=REBALANCE).reply.generation_id
    assert shard.sync(old, generation).error is ErrorCode.NONE
    shard.heartbeat("new", -1)
    shard.restart()
    shard.advance(0)
    assert shard.beat(old, generation) is ErrorCode.REBALANCE_IN_PROGRESS
    again = shard.join(old, protocols=wishes("a")).reply
    assert shard.sync(old, again.generation_id, {old: share({"a": [0, 1, 2, 3]})}).error is ErrorCode.NONE
    shard.restart()
    shard.advance(0)
    assert shard.beat(old, again.generation_id) is ErrorCode.NONE, "once is enough"


def test_a_silent_consumer_is_the_last_one_too() -> None:
    """Its session ends, and the group is a classic one; sessions of classic members begin again with it."""
    shard = ConsumerShard({"a": 4})
    shard.set_times(session=20_000)
    [old] = classic(shard, {"a": [0, 1, 2, 3]})
    shard.subscribe("new", "a")
    for _ in range(3):
        shard.advance(5_000)
        rejoin(shard, old, {"a": []})
    shard.advance(5_000)
    assert [each.group_type for each in shard.machine.listed()] == ["classic"]
    shard.advance(REBALANCE + SESSION)
    assert shard.described().group_state == "Empty"


def test_an_instance_goes_over_and_back() -> None:
    """A static member is restarted with the other protocol, and takes its own place without a rebalance."""
    shard = ConsumerShard({"a": 2})
    first = shard.join(instance="i", protocols=wishes("a")).reply
    shard.sync(first.member_id, 1, {first.member_id: share({"a": [0, 1]})}, instance="i")
    answer = shard.heartbeat("new", 0, ["a"], instance="i")
    assert (code(answer), answer.member_epoch, shard.shares(answer)) == (ErrorCode.NONE, 1, {"a": [0, 1]})
    assert shard.beat(first.member_id, 1, instance="i") is ErrorCode.FENCED_INSTANCE_ID

    back = shard.join(instance="i", protocols=wishes("a"))
    assert (back.error, back.reply.generation_id) == (ErrorCode.NONE, 1)
    assert [(each.group_type, each.group_state) for each in shard.machine.listed()] == [("classic", "Stable")]
    sync = shard.sync(back.reply.member_id, 1, instance="i")
    assert decode_assignment(sync.reply.assignment).assigned_partitions[0].partitions == [0, 1]
    shard.restart()
    assert shard.beat(back.reply.member_id, 1, instance="i") is ErrorCode.NONE


def test_clients_that_wait_in_a_rebalance_are_asked_to_join_the_new_group() -> None:
    """REBALANCE_IN_PROGRESS, and no client waits forever."""
    shard = ConsumerShard({"a": 2})
    ids = classic(shard, {"a": [0]}, {"a": [1]})
    waiting = shard.join(ids[0], protocols=wishes("a", "b"))
    assert not waiting.answered
    shard.subscribe("new", "a")
    assert waiting.error is ErrorCode.REBALANCE_IN_PROGRESS


@pytest.mark.parametrize("policy", list(MigrationPolicy))
def test_the_policy_says_which_way_a_group_with_members_may_go(policy: MigrationPolicy) -> None:
    """Up: GROUP_ID_NOT_FOUND if it may not. Down: the group stays a consumer group, of classic members. Classic members
    join a consumer group unless all is forbidden."""
    shard = ConsumerShard({"a": 2}, consumer_migration=policy)
    classic(shard, {"a": [0, 1]})
    answer = shard.heartbeat("new", 0, ["a"])
    assert code(answer) is (ErrorCode.NONE if policy.upgrades else ErrorCode.GROUP_ID_NOT_FOUND)

    shard = ConsumerShard({"a": 2}, consumer_migration=policy)
    shard.subscribe("new", "a")
    join = shard.join(protocols=wishes("a"), version=3)
    if policy is MigrationPolicy.DISABLED:
        assert join.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return
    assert join.error is ErrorCode.NONE
    shard.heartbeat("new", -1)
    assert [each.group_type for each in shard.machine.listed()] == ["classic" if policy.downgrades else "consumer"]


def test_what_would_be_lost_is_not_taken_over() -> None:
    """G17: data of a custom assignor, a partition that two members were given, subscriptions that cannot be read, and
    members that are no consumers: the group stays what it is."""
    shard = ConsumerShard({"a": 2})
    classic(shard, {"a": [0, 1]}, user_data=b"mine")
    assert code(shard.heartbeat("new", 0, ["a"])) is ErrorCode.GROUP_ID_NOT_FOUND

    shard = ConsumerShard({"a": 2})
    classic(shard, {"a": [0]}, {"a": [0, 1]})
    assert code(shard.heartbeat("new", 0, ["a"])) is ErrorCode.GROUP_ID_NOT_FOUND

    for kind, protocols in (("consumer", {"range": b"\0"}), ("connect", {"range": b""})):
        shard = ConsumerShard({"a": 2})
        shard.join(protocols=protocols, kind=kind, version=3)
        assert code(shard.heartbeat("new", 0, ["a"])) is ErrorCode.GROUP_ID_NOT_FOUND
        assert [each.group_type for each in shard.machine.listed()] == ["classic"]


def test_a_classic_member_that_is_told_to_join_and_does_not_is_removed() -> None:
    """After its rebalance timeout, although it beats; and so is one that joins and does not sync."""
    shard = ConsumerShard({"a": 2})
    [old] = classic(shard, {"a": [0, 1]})
    shard.subscribe("new", "a")
    assert shard.beat(old, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    shard.advance(REBALANCE - 1)
    assert shard.beat(old, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    shard.advance(1)
    assert shard.beat(old, 1) is ErrorCode.UNKNOWN_MEMBER_ID

    joined = shard.join("other", protocols=wishes("a"), rebalance=REBALANCE).reply
    shard.advance(REBALANCE)
    assert shard.beat("other", joined.generation_id) is ErrorCode.UNKNOWN_MEMBER_ID


def test_classic_requests_are_for_classic_members() -> None:
    """A member of the other protocol that sends them is unknown; LeaveGroup removes any."""
    shard = ConsumerShard({"a": 2})
    shard.subscribe("new", "a", instance="i")
    assert shard.beat("new", 2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.sync("new", 2).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.join(protocols={"range": b""}).error is ErrorCode.MEMBER_ID_REQUIRED
    assert shard.join("c", protocols={"range": b""}).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.join("c", kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.leave(MemberIdentity(member_id="x", group_instance_id="i")) == [ErrorCode.FENCED_INSTANCE_ID]
    assert shard.leave("x") == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert shard.leave(MemberIdentity(member_id="", group_instance_id="i")) == [ErrorCode.NONE]
    assert shard.state() == "Empty"


def test_a_classic_group_in_the_log_takes_the_place_of_a_consumer_group() -> None:
    """Kafka writes no tombstones for an empty consumer group that a classic member with an unknown id wants to join,
    and a group under that id later: what is loaded is sound, and counted."""
    shard = ConsumerShard({"a": 1})
    shard.subscribe("new", "a")
    shard.heartbeat("new", -1)
    other = ConsumerShard({"a": 1})
    classic(other, {"a": [0]})
    loaded = ConsumerShard({"a": 1})
    loaded.log = [*shard.log, *other.log]
    loaded.restart()
    assert [(each.group_type, each.group_state) for each in loaded.machine.listed()] == [("classic", "Stable")]


def test_an_empty_consumer_group_becomes_a_classic_group() -> None:
    """With its offsets, whatever the policy; a member that brings an id was in another one."""
    shard = ConsumerShard({"a": 2}, consumer_migration=MigrationPolicy.DISABLED)
    shard.subscribe("new", "a")
    shard.commit({("a", 0): 5}, member="new", generation=2)
    shard.heartbeat("new", -1)
    assert shard.join("other", protocols=wishes("a")).error is ErrorCode.UNKNOWN_MEMBER_ID
    classic(shard, {"a": [0, 1]})
    assert [each.group_type for each in shard.machine.listed()] == ["classic"]
    assert shard.committed() == {("a", 0): 5}
    shard.restart()
    assert shard.described().group_state == "Stable"


def test_a_classic_consumer_that_finds_an_empty_consumer_group_is_asked_to_use_an_id() -> None:
    """As in a new group (KIP-394): by then it is a classic one, which has had no members yet."""
    shard = ConsumerShard({"a": 2})
    shard.subscribe("new", "a")
    shard.heartbeat("new", -1)
    asked = shard.join("", protocols=wishes("a"), version=9)
    assert asked.error is ErrorCode.MEMBER_ID_REQUIRED
    assert [(each.group_type, each.group_state, each.protocol_type) for each in shard.machine.listed()] == [
        ("classic", "Empty", "")
    ]
    assert shard.join(asked.reply.member_id, protocols=wishes("a"), version=9).error is ErrorCode.NONE


def test_an_upgrade_that_there_is_no_room_for_changes_nothing() -> None:
    """Partitions cost more when they are kept one by one than as a leader's bytes. The group stays as it is."""
    shard = ConsumerShard({"a": 400}, max_state=50_000)
    [old] = classic(shard, {"a": range(400)})
    before = shard.machine.account.bytes
    answer = shard.heartbeat("new", 0, ["a"])
    assert code(answer) is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert (shard.machine.account.bytes, shard.beat(old, 1)) == (before, ErrorCode.NONE)
    assert [(each.group_type, each.group_state) for each in shard.machine.listed()] == [("classic", "Stable")]
    shard.restart(max_state=500_000)
    assert code(shard.heartbeat("new", 0, ["a"])) is ErrorCode.NONE


def test_an_upgrade_that_was_prepared_is_the_same_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record for record, with those of the member that has caused it behind them."""
    logs = []
    for many in (1, 1_000):
        monkeypatch.setattr(membership, "MANY", many)
        shard = ConsumerShard({"a": 4})
        classic(shard, {"a": [0, 1]}, {"a": [2]}, {"a": []})
        shard.subscribe("new", "a")
        logs.append([(each.key, each.value) for each in shard.log])
        shard.restart()
        assert shard.state() == "Reconciling"
    assert logs[0] == logs[1]


@pytest.mark.parametrize("change", ["a member leaves", "a member has other wishes", "a topic comes", "a topic goes"])
def test_what_was_prepared_is_of_a_group_that_has_changed(change: str) -> None:
    """The upgrade is that of the group as it is when it is decided on."""
    shard = ConsumerShard({"a": 4, "b": 1})
    ids = classic(shard, {"a": [0, 1]}, {"a": [2, 3]})
    changes = {
        "a member leaves": lambda: shard.leave(ids[0]),
        "a member has other wishes": lambda: shard.join(ids[0], protocols=wishes("a", "b"), rebalance=REBALANCE),
        "a topic comes": lambda: shard.create("c"),
        "a topic goes": lambda: shard.drop("b"),
    }
    shard.meanwhile = changes[change]
    shard.subscribe("new", "a")
    assert {each.member_id for each in shard.describe().members} == {
        "new",
        *(ids[1:] if change == "a member leaves" else ids),
    }
    assert shard.consumer_group().names.keys() == ({"a", "b"} if change == "a member has other wishes" else {"a"})
