"""Attacks on coordinators: deadlines that do not move, ids that fit nowhere, groups that fill the memory."""

from __future__ import annotations

from typing import Any

from kproto.errors import ProtocolError
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kproto.messages.delete_topics import DeleteTopicsRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from tools.trials.abuse.attack import Attacks, Site, Steps, answer_or_cut, framed
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

ATTACKS = Attacks()

DEADLINES = "a deadline that does not move"
TOO_LONG = "accepted and never written"
STATE = "memory that grows with state"
LONG_ID = 32_700


def join(group: str, member: str = "", **fields: Any) -> JoinGroupRequest:
    """A member with a subscription that can be read."""
    metadata = fields.pop("metadata", b"")
    subscription = encode_subscription(ConsumerProtocolSubscription(topics=["t"], user_data=metadata), 0)
    defaults: dict[str, Any] = {
        "session_timeout_ms": 60_000,
        "rebalance_timeout_ms": 60_000,
        "protocol_type": "consumer",
        "protocols": [JoinGroupRequestProtocol(name="range", metadata=subscription)],
    }
    return JoinGroupRequest(group_id=group, member_id=member, **defaults | fields)


def static(client: WireClient, group: str, instance: str, **fields: Any) -> Any:
    """JoinGroup of a static member."""
    return client.call(join(group, group_instance_id=instance, **fields), 5)


def commit(client: WireClient, group: str, topic: str, partitions: range) -> None:
    """Commit an offset for each partition, as a consumer without a group protocol."""
    wire.api_versions(client)
    parts = [OffsetCommitRequestPartition(partition_index=number, committed_offset=1) for number in partitions]
    request = OffsetCommitRequest(group_id=group, topics=[OffsetCommitRequestTopic(name=topic, partitions=parts)])
    reply: Any = client.call(request, 8)
    wire.accept("OffsetCommit", reply.topics[0].partitions[0].error_code)


@ATTACKS.add("static member, rebalance timeout 0", DEADLINES)
def rebalance_timeout_of_zero(site: Site) -> Steps:
    """A rebalance that waits no time for a member that is left alone in its group."""
    yield from _left_alone(site, 0, 1)


@ATTACKS.add("static member, rebalance timeout 1 ms", DEADLINES)
def rebalance_timeout_of_one(site: Site) -> Steps:
    """The same, four times, with a timeout that passes and passes again."""
    yield from _left_alone(site, 1, 4)


def _left_alone(site: Site, timeout: int, times: int) -> Steps:
    parties = []
    for _ in range(times):
        group = site.group()
        first, second = site.client(), site.client()
        stayed = static(second, group, "s2", rebalance_timeout_ms=60_000)
        parties.append((group, first, second, stayed))
    yield
    for group, first, second, stayed in parties:
        first.socket.sendall(first.encode(join(group, group_instance_id="s1", rebalance_timeout_ms=timeout), 5))
        site.over.wait(0.1)
        again = answer_or_cut(second, join(group, stayed.member_id, group_instance_id="s2"), 5)
        joined = first.reply()
        for client, answer, instance in ((second, again, "s2"), (first, joined, "s1")):
            sync = SyncGroupRequest(
                group_id=group,
                generation_id=answer.generation_id,
                member_id=answer.member_id,
                group_instance_id=instance,
            )
            client.socket.sendall(client.encode(sync, 4))
        leave = LeaveGroupRequest(
            group_id=group, members=[MemberIdentity(member_id=again.member_id, group_instance_id="s2")]
        )
        client = site.client()
        client.socket.sendall(client.encode(leave, 4))
    site.over.wait(5)


@ATTACKS.add("client.id of 32,750 characters in a group", TOO_LONG)
def long_client_id(site: Site) -> Steps:
    """A member id made from it does not fit into the leader's answer; an honest leader must still get one."""
    group = site.group()
    leader, long = site.client(), site.client(client_id="x" * 32_750)
    first = leader.call(join(group), 3)
    yield
    long.socket.sendall(framed(join(group), 3, client_id="x" * 32_750))
    site.over.wait(0.2)
    assert answer_or_cut(leader, join(group, first.member_id), 3) is not None, "the honest leader is answered"


@ATTACKS.add("346 members with ids of 32 KB", TOO_LONG)
def many_long_members(site: Site) -> Steps:
    """A generation whose record is larger than any batch."""
    group = site.group()
    peers = [site.client() for _ in range(346)]
    yield
    for number, peer in enumerate(peers):
        instance = f"{number:04}" + "i" * (LONG_ID - 4)
        peer.socket.sendall(peer.encode(join(group, group_instance_id=instance), 5))
    answers = []
    for peer in peers:
        peer.socket.settimeout(10)
        try:
            answers.append((peer, peer.reply()))
        except (OSError, ProtocolError):
            break
    for peer, answer in answers:
        assignments = []
        if answer.leader == answer.member_id:
            names = [member.member_id for member in answer.members]
            assignments = [SyncGroupRequestAssignment(member_id=name, assignment=b"a") for name in names]
        sync = SyncGroupRequest(
            group_id=group,
            generation_id=answer.generation_id,
            member_id=answer.member_id,
            assignments=assignments,
        )
        peer.socket.sendall(framed(sync, 3))


@ATTACKS.add("1,500 offsets of a group with a 30 KB id, topic deleted", TOO_LONG)
def purge_of_long_ids(site: Site) -> Steps:
    """Purging them takes more than one batch; the shard must go on."""
    group = site.group("g" * 30_000)
    topic = site.topic(1_500)
    client = site.client()
    for start in range(0, 1_500, 100):
        commit(client, group, topic, range(start, start + 100))
    yield
    answer_or_cut(client, DeleteTopicsRequest(topic_names=[topic], timeout_ms=30_000), 5)
    site.over.wait(2)
    commit(site.client(), group, site.topic(), range(1))


@ATTACKS.add("OffsetCommit v2, retention 2^63-1", TOO_LONG)
def endless_retention(site: Site) -> Steps:
    """A time that lies beyond all times."""
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=1)
    topic = OffsetCommitRequestTopic(name=site.topic(), partitions=[part])
    client = site.client()
    yield
    request = OffsetCommitRequest(group_id=site.group(), retention_time_ms=2**63 - 1, topics=[topic])
    reply = answer_or_cut(client, request, 2)
    assert reply is not None and reply.topics[0].partitions[0].error_code != -1, "the answer is no fault"


@ATTACKS.add("100 groups, one member each with 32 MB of metadata", STATE, budget_mb=3 * 32)
def heavy_members(site: Site) -> Steps:
    """What members bring is kept for as long as they are there."""
    yield
    for _ in range(100):
        client = site.client()
        reply = answer_or_cut(client, join(site.group(), metadata=b"m" * (31 << 20)), 3)
        if reply is None:
            return


@ATTACKS.add("100 groups, assignments of 14 MB each", STATE, budget_mb=512)
def heavy_assignments(site: Site) -> Steps:
    """What leaders hand out is kept as well."""
    yield
    for _ in range(100):
        group = site.group()
        client = site.client()
        member = answer_or_cut(client, join(group), 3)
        if member is None:
            return
        assignment = SyncGroupRequestAssignment(member_id=member.member_id, assignment=b"a" * (14 << 20))
        sync = SyncGroupRequest(
            group_id=group,
            generation_id=member.generation_id,
            member_id=member.member_id,
            assignments=[assignment],
        )
        if answer_or_cut(client, sync, 3) is None:
            return


@ATTACKS.add("90,000 offsets of a group deleted with their topics", "work without end in one turn")
def purge_of_many(site: Site) -> Steps:
    """A topic with very many committed offsets goes."""
    group, topic = site.group(), site.topic(9_000)
    client = site.client()
    for number in range(10):
        for start in range(0, 9_000, 3_000):
            commit(client, f"{group}-{number}", topic, range(start, start + 3_000))
    yield
    answer_or_cut(client, DeleteTopicsRequest(topic_names=[topic], timeout_ms=30_000), 5)
    site.over.wait(3)
