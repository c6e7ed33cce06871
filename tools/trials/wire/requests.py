"""Single questions in the protocol itself: what a client library would hide, retry or round off.

Each function asks once. It raises ConnectionError or another OSError when there is no answer, and Refusal when the
answer is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kproto.batches.header import has_valid_crc, read_header
from kproto.batches.records import iter_records
from kproto.errors import ErrorCode
from kproto.ids import TopicPartition, format_uuid
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.metadata import MetadataRequest
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.wire.client import WireClient

EARLIEST, LATEST = -2, -1
TOPIC, SET = 2, 0
FETCH_BYTES = 4 << 20


class Refusal(Exception):
    """The broker answered with an error."""

    def __init__(self, what: str, code: int) -> None:
        self.code = ErrorCode(code)
        super().__init__(f"{what}: {self.code.name}")


def accept(what: str, code: int) -> None:
    """Raise Refusal unless `code` is 0."""
    if code:
        raise Refusal(what, code)


def api_versions(client: WireClient) -> None:
    """Whether the broker answers at all."""
    reply: Any = client.call(ApiVersionsRequest(client_software_name="kill-test", client_software_version="1"), 3)
    accept("ApiVersions", reply.error_code)


def create_topic(client: WireClient, name: str, partitions: int, configs: dict[str, str]) -> str:
    """Create a topic; its id."""
    entries = [CreatableTopicConfig(name=key, value=value) for key, value in configs.items()]
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=entries)
    reply: Any = client.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), 7)
    accept(f"CreateTopics {name}: {reply.topics[0].error_message}", reply.topics[0].error_code)
    return format_uuid(reply.topics[0].topic_id)


def delete_topic(client: WireClient, name: str) -> None:
    """Delete a topic."""
    reply: Any = client.call(DeleteTopicsRequest(topic_names=[name], timeout_ms=30_000), 5)
    accept(f"DeleteTopics {name}", reply.responses[0].error_code)


def topic_ids(client: WireClient) -> dict[str, str]:
    """Every topic and its id."""
    reply: Any = client.call(MetadataRequest(topics=None, allow_auto_topic_creation=False), 12)
    return {topic.name: format_uuid(topic.topic_id) for topic in reply.topics}


def set_topic_config(client: WireClient, topic: str, key: str, value: str) -> None:
    """Set one of a topic's configs."""
    resource = AlterConfigsResource(
        resource_type=TOPIC, resource_name=topic, configs=[AlterableConfig(name=key, config_operation=SET, value=value)]
    )
    reply: Any = client.call(IncrementalAlterConfigsRequest(resources=[resource]), 1)
    accept(f"IncrementalAlterConfigs {topic}", reply.responses[0].error_code)


def topic_config(client: WireClient, topic: str, key: str) -> str:
    """One of a topic's configs."""
    resource = DescribeConfigsResource(resource_type=TOPIC, resource_name=topic, configuration_keys=[key])
    reply: Any = client.call(DescribeConfigsRequest(resources=[resource]), 4)
    accept(f"DescribeConfigs {topic}", reply.results[0].error_code)
    value: str = reply.results[0].configs[0].value
    return value


def init_producer_id(client: WireClient) -> tuple[int, int]:
    """A new (producer id, epoch)."""
    reply: Any = client.call(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000), 3)
    accept("InitProducerId", reply.error_code)
    return reply.producer_id, reply.producer_epoch


def produce_request(client: WireClient, place: TopicPartition, batch: bytes | bytearray, acks: int) -> bytes:
    """The bytes of a Produce request with one batch."""
    data = PartitionProduceData(index=place.partition, records=batch)
    topic = TopicProduceData(name=place.topic, partition_data=[data])
    return client.encode(ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[topic]), 9)


def produced(client: WireClient) -> tuple[int, int]:
    """(error, base offset) of the next Produce reply."""
    reply: Any = client.reply()
    part = reply.responses[0].partition_responses[0]
    return part.error_code, part.base_offset


def log_offsets(client: WireClient, places: Sequence[TopicPartition], timestamp: int) -> dict[TopicPartition, int]:
    """The offset that belongs to `timestamp`, EARLIEST or LATEST in each log; logs that answer an error are left
    out."""
    return {place: offset for place, error, offset in _list_offsets(client, places, timestamp) if not error}


def log_offset(client: WireClient, place: TopicPartition, timestamp: int) -> int:
    """The same for one log."""
    [(_, error, offset)] = _list_offsets(client, [place], timestamp)
    accept(f"ListOffsets {place.topic}-{place.partition}", error)
    return offset


def _list_offsets(
    client: WireClient, places: Sequence[TopicPartition], timestamp: int
) -> list[tuple[TopicPartition, int, int]]:
    topics = [
        ListOffsetsTopic(
            name=place.topic, partitions=[ListOffsetsPartition(partition_index=place.partition, timestamp=timestamp)]
        )
        for place in places
    ]
    reply: Any = client.call(ListOffsetsRequest(replica_id=-1, topics=_merged(topics)), 6)
    return [
        (TopicPartition(topic.name, part.partition_index), part.error_code, part.offset)
        for topic in reply.topics
        for part in topic.partitions
    ]


def _merged(topics: list[Any]) -> list[Any]:
    """One entry per topic, as a request must have it."""
    by_name: dict[str, Any] = {}
    for topic in topics:
        if (entry := by_name.setdefault(topic.name, topic)) is not topic:
            entry.partitions += topic.partitions
    return list(by_name.values())


def commit_offset(client: WireClient, group: str, place: TopicPartition, offset: int) -> None:
    """Commit as a consumer without a group protocol does: no member, no generation."""
    part = OffsetCommitRequestPartition(partition_index=place.partition, committed_offset=offset, committed_metadata="")
    topic = OffsetCommitRequestTopic(name=place.topic, partitions=[part])
    reply: Any = client.call(OffsetCommitRequest(group_id=group, topics=[topic]), 8)
    accept("OffsetCommit", reply.topics[0].partitions[0].error_code)


def committed_offsets(client: WireClient, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
    """What each group has committed; groups that answer an error are left out."""
    asked = [OffsetFetchRequestGroup(group_id=group, topics=None) for group in groups]
    reply: Any = client.call(OffsetFetchRequest(groups=asked), 8)
    return {
        group.group_id: {
            TopicPartition(topic.name, part.partition_index): part.committed_offset
            for topic in group.topics
            for part in topic.partitions
            if not part.error_code
        }
        for group in reply.groups
        if not group.error_code
    }


def committed_error(client: WireClient, group: str) -> int:
    """The error with which a group's committed offsets are answered; 0 when its coordinator is there."""
    reply: Any = client.call(OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)]), 8)
    error: int = reply.groups[0].error_code
    return error


def read_log(client: WireClient, place: TopicPartition) -> list[tuple[int, bytes | None]]:
    """Every record of a log as (offset, value), from its first one to its end as it is now."""
    at, end = log_offset(client, place, EARLIEST), log_offset(client, place, LATEST)
    name = f"{place.topic}-{place.partition}"
    records: list[tuple[int, bytes | None]] = []
    while at < end:
        fetched = _fetch(client, place, at)
        position = 0
        while len(fetched) - position >= 12:
            size = 12 + int.from_bytes(fetched[position + 8 : position + 12], "big")
            if len(fetched) - position < size:
                break  # the last batch of a reply may be cut off
            batch = fetched[position : position + size]
            header = read_header(batch)
            if not has_valid_crc(header, batch):
                raise Refusal(f"the batch at {header.base_offset} of {name}", ErrorCode.CORRUPT_MESSAGE)
            records += ((record.offset, record.value) for record in iter_records(batch) if record.offset >= at)
            at = header.last_offset + 1
            position += size
        if not position:
            what = f"nothing is given out at {at} of {name}, which ends at {end}"
            raise Refusal(what, ErrorCode.UNKNOWN_SERVER_ERROR)
    return records


def _fetch(client: WireClient, place: TopicPartition, offset: int) -> memoryview:
    part = FetchPartition(partition=place.partition, fetch_offset=offset, partition_max_bytes=FETCH_BYTES)
    topic = FetchTopic(topic=place.topic, partitions=[part])
    reply: Any = client.call(FetchRequest(max_wait_ms=100, min_bytes=1, max_bytes=FETCH_BYTES, topics=[topic]), 12)
    answer = reply.responses[0].partitions[0]
    accept(f"Fetch {place.topic}-{place.partition} from {offset}", answer.error_code)
    return memoryview(answer.records or b"")
