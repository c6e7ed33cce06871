"""Requests of groups as clients write them, for the tests of their handlers."""

from __future__ import annotations

from collections.abc import Mapping

from broker.coordinators.cluster import NewTopic, Topic
from broker.coordinators.groups import CommittedOffset
from broker.testing.contexts import World
from kproto.batches.header import BatchHeader, read_header
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kproto.ids import TopicPartition
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from storage.memory.engine import MemoryLog

SUBSCRIPTION = encode_subscription(ConsumerProtocolSubscription(topics=["t"]), 1)


async def committed_by(w: World, group_id: str) -> Mapping[TopicPartition, CommittedOffset]:
    """What a group has committed. Raises KafkaError."""
    found = (await w.services.groups.committed({group_id: None}))[group_id]
    if isinstance(found, KafkaError):
        raise found
    return found.offsets


async def description_of(w: World, group_id: str) -> DescribedGroup | None:
    """A group of the classic protocol; None if there is none. Raises KafkaError."""
    found = (await w.services.groups.describe([group_id]))[group_id]
    if isinstance(found, KafkaError):
        raise found
    return found


async def with_coordinator(w: World) -> None:
    """What every client does first."""
    response = await w.ask(FindCoordinatorRequest(key="g"), 3)
    assert response.error_code == ErrorCode.NONE


async def with_topic(w: World, name: str = "t", partitions: int = 2) -> Topic:
    """A topic."""
    [topic] = await w.cluster.create_topics([NewTopic(name, partitions)])
    assert not isinstance(topic, KafkaError)
    return topic


def join_request(member: str = "", *, group: str = "g", instance: str | None = None) -> JoinGroupRequest:
    """JoinGroup of a consumer that reads topic t."""
    return JoinGroupRequest(
        group_id=group,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=60_000,
        member_id=member,
        group_instance_id=instance,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION)],
    )


async def with_member(w: World, group: str = "g") -> str:
    """A stable group of one member; its id."""
    joined = await w.ask(join_request(group=group), 3)
    member: str = joined.member_id
    sync = SyncGroupRequest(
        group_id=group,
        generation_id=1,
        member_id=member,
        assignments=[SyncGroupRequestAssignment(member_id=member, assignment=b"share")],
    )
    assert (await w.ask(sync, 0)).assignment == b"share"
    return member


def commit_request(*offsets: tuple[int, int], group: str = "g", topic: str = "t") -> OffsetCommitRequest:
    """OffsetCommit of a client that is no member: (partition, offset) of one topic."""
    return OffsetCommitRequest(
        group_id=group,
        topics=[
            OffsetCommitRequestTopic(
                name=topic,
                partitions=[
                    OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
                    for partition, offset in offsets
                ],
            )
        ],
    )


def commit_codes(response: OffsetCommitResponse) -> list[int]:
    """The codes of all partitions."""
    return [partition.error_code for topic in response.topics for partition in topic.partitions]


def headers_from(log: MemoryLog, offset: int) -> list[BatchHeader]:
    """Of the batches that have been appended since the log ended at `offset`."""
    headers = [read_header(batch) for chunk in log._chunks for batch in chunk.batches()]
    return [header for header in headers if header.base_offset >= offset]
