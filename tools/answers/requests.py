"""Requests as scenarios need them: one topic, one partition, one group, and what a case is about as an argument."""

from __future__ import annotations

from struct import pack
from typing import Any

from kproto.batches.header import compute_crc
from kproto.batches.records import RecordData, build_batch
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.answers.stage import Stage, Topic

A_TIME = 1_700_000_000_000
"""When everything happened, in ms."""
LATEST, EARLIEST, LARGEST, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6
NO_TOPIC_ID = bytes(16)
UNKNOWN_TOPIC_ID = bytes.fromhex("0123456789abcdef0123456789abcdef")


def unknown_topic(stage: Stage) -> Topic:
    """A topic that is not there."""
    stage.learn(UNKNOWN_TOPIC_ID, "<id of nothing>")
    return Topic(stage.name("unknown"), UNKNOWN_TOPIC_ID)


def record(
    value: bytes | None = b"value",
    key: bytes | None = b"key",
    *,
    time: int = A_TIME,
    headers: tuple[tuple[str, bytes | None], ...] = (),
) -> RecordData:
    """One record."""
    return RecordData(0, time, key, value, headers)


def batch(count: int = 1, **options: Any) -> bytearray:
    """A good batch of `count` records, a millisecond apart."""
    return build_batch([record(b"value %d" % each, time=A_TIME + each) for each in range(count)], **options)


def patched(data: bytearray, at: int, new: bytes, *, crc: bool = True) -> bytearray:
    """A batch with some bytes replaced; its CRC is made right again unless `crc` is False."""
    changed = bytearray(data)
    changed[at : at + len(new)] = new
    return with_crc(changed) if crc else changed


def with_crc(data: bytearray) -> bytearray:
    """A batch with the right CRC."""
    data[17:21] = pack(">I", compute_crc(data, 0, len(data)))
    return data


def with_payload(payload: bytes, *, codec: int = 0, count: int = 1, last_delta: int | None = None) -> bytearray:
    """A batch of bytes that say they are records."""
    head = batch()[:61]
    head[8:12] = pack(">i", 49 + len(payload))
    head[21:23] = pack(">h", codec)
    head[23:27] = pack(">i", count - 1 if last_delta is None else last_delta)
    head[57:61] = pack(">i", count)
    return with_crc(head + payload)


def produce(topic: Topic, records: Any, *, partition: int = 0, acks: int = -1, **fields: Any) -> ProduceRequest:
    """Records for one partition."""
    return produce_to([(topic, [(partition, records)])], acks=acks, **fields)


def produce_to(
    parts: list[tuple[Topic, list[tuple[int, Any]]]], *, acks: int = -1, timeout_ms: int = 10_000, **fields: Any
) -> ProduceRequest:
    """Records for many partitions."""
    topics = [
        TopicProduceData(
            name=topic.name,
            topic_id=topic.topic_id,
            partition_data=[PartitionProduceData(index=index, records=records) for index, records in partitions],
        )
        for topic, partitions in parts
    ]
    return ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=topics, **fields)


def fetch(topic: Topic, offset: int = 0, *, partition: int = 0, **fields: Any) -> FetchRequest:
    """Read one partition at once. Fields of the partition and of the request are distinguished by name."""
    inner = {name: fields.pop(name) for name in list(fields) if name in FetchPartition._declared}
    return fetch_from([(topic, [fetched(offset, partition=partition, **inner)])], **fields)


def fetched(offset: int = 0, *, partition: int = 0, **fields: Any) -> FetchPartition:
    """One partition of a fetch."""
    fields.setdefault("partition_max_bytes", 1 << 20)
    return FetchPartition(partition=partition, fetch_offset=offset, **fields)


def fetch_from(parts: list[tuple[Topic, list[FetchPartition]]], **fields: Any) -> FetchRequest:
    """Read many partitions at once."""
    topics = [FetchTopic(topic=topic.name, topic_id=topic.topic_id, partitions=each) for topic, each in parts]
    defaults = {"max_wait_ms": 0, "min_bytes": 0}
    return FetchRequest(**defaults | fields, topics=topics)


def list_offsets(topic: Topic, timestamp: int = LATEST, *, partition: int = 0, **fields: Any) -> ListOffsetsRequest:
    """Ask for one offset."""
    inner = {name: fields.pop(name) for name in list(fields) if name in ListOffsetsPartition._declared}
    asked = ListOffsetsPartition(partition_index=partition, timestamp=timestamp, **inner)
    defaults = {"replica_id": -1}
    return ListOffsetsRequest(**defaults | fields, topics=[ListOffsetsTopic(name=topic.name, partitions=[asked])])


def delete_records(topic: Topic, offset: int, *, partition: int = 0) -> DeleteRecordsRequest:
    """Delete what is below an offset."""
    asked = DeleteRecordsPartition(partition_index=partition, offset=offset)
    return DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic.name, partitions=[asked])], timeout_ms=10_000)


def new_producer(stage: Stage) -> int:
    """An unused producer id."""
    request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
    producer_id: int = stage.until(request, lambda reply: reply.error_code == 0).producer_id
    return producer_id
