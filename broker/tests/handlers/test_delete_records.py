"""DeleteRecords: the start of a partition moves forward, and only where that is allowed."""

from __future__ import annotations

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, world
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from storage.engine import Batch


async def written(w: World, **configs: str) -> None:
    """Topic `t` with ten records in one partition."""
    named = {key.replace("_", "."): value for key, value in configs.items()}
    await w.cluster.create_topics([NewTopic("t", 1, configs=named)])
    data = build_batch([RecordData(index, 100, b"k", b"v", ()) for index in range(10)])
    partition = w.services.partitions.get("t", 0)
    assert partition is not None
    partition.log.begin_append([Batch(read_header(data), memoryview(data))])


async def delete(w: World, offset: int, *, topic: str = "t", partition: int = 0) -> tuple[ErrorCode, int]:
    """(error, low watermark) of deleting before `offset`."""
    part = DeleteRecordsPartition(partition_index=partition, offset=offset)
    asked = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=[part])], timeout_ms=1000)
    answer = (await w.ask(asked, 2)).topics[0].partitions[0]
    return ErrorCode(answer.error_code), answer.low_watermark


async def test_the_start_moves_forward_and_never_back() -> None:
    """The answer is the start that now holds; -1 means everything there is."""
    async with world() as w:
        await written(w)
        assert await delete(w, 4) == (ErrorCode.NONE, 4)
        assert await delete(w, 2) == (ErrorCode.NONE, 4)
        assert await delete(w, -1) == (ErrorCode.NONE, 10)


async def test_of_a_partition_named_twice_the_last_offset_counts() -> None:
    """The answer names it once; a topic without partitions is not in the answer at all, as Kafka's."""
    async with world() as w:
        await written(w)
        parts = [DeleteRecordsPartition(partition_index=0, offset=offset) for offset in (6, 3)]
        topics = [DeleteRecordsTopic(name="t", partitions=parts), DeleteRecordsTopic(name="t", partitions=[])]
        [topic] = (await w.ask(DeleteRecordsRequest(topics=topics, timeout_ms=1000), 2)).topics
        assert [part.low_watermark for part in topic.partitions] == [3]
        [nothing] = [(await w.ask(DeleteRecordsRequest(topics=topics[1:], timeout_ms=1000), 2)).topics]
        assert nothing == []


async def test_what_is_refused() -> None:
    """Offsets outside the log, unknown partitions, internal topics, topics that are compacted only."""
    async with world() as w:
        await written(w)
        await w.cluster.ensure_internal_topic("__consumer_offsets")
        assert await delete(w, 11) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        assert await delete(w, -5) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        assert await delete(w, 1, partition=9) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
        assert await delete(w, 1, topic="unknown") == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
        assert await delete(w, 1, topic="__consumer_offsets") == (ErrorCode.INVALID_TOPIC_EXCEPTION, -1)


async def test_a_compacted_topic_keeps_its_records() -> None:
    """Without the delete policy nothing is deleted by offset."""
    async with world() as w:
        await written(w, cleanup_policy="compact")
        assert await delete(w, 1) == (ErrorCode.POLICY_VIOLATION, -1)
