"""OffsetForLeaderEpoch: whether what a client has read is still in the log (KIP-320)."""

from __future__ import annotations

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import world
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from storage.engine import Batch


async def test_where_an_epoch_ends() -> None:
    """The present epoch ends at the end of the log; one that has not begun is unknown."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1)])
        data = build_batch([RecordData(index, 100, None, b"v", ()) for index in range(3)])
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        partition.log.begin_append([Batch(read_header(data), memoryview(data))])

        async def end(epoch: int, *, current: int = -1, index: int = 0, version: int = 4) -> tuple[ErrorCode, int, int]:
            part = OffsetForLeaderPartition(partition=index, leader_epoch=epoch, current_leader_epoch=current)
            asked = OffsetForLeaderEpochRequest(
                replica_id=-1 if version > 2 else -2, topics=[OffsetForLeaderTopic(topic="t", partitions=[part])]
            )
            found = (await w.ask(asked, version)).topics[0].partitions[0]
            return ErrorCode(found.error_code), found.leader_epoch, found.end_offset

        for version in (2, 3, 4):
            assert await end(0, version=version) == (ErrorCode.NONE, 0, 3)
        assert await end(5) == (ErrorCode.NONE, -1, -1)
        assert await end(0, current=9) == (ErrorCode.UNKNOWN_LEADER_EPOCH, -1, -1)
        assert await end(0, index=4) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)
