"""ListOffsets: the record that a time means, and the names for both ends."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, world
from kproto.batches.compression import Codec
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from storage.engine import Batch
from storage.memory.engine import MemoryLog

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, PENDING_UPLOAD = -1, -2, -3, -4, -5, -6
READ_COMMITTED = 1


async def written(w: World, *timestamps: int, codec: int = 0) -> None:
    """Topic `t` with one batch of records of these timestamps."""
    await w.cluster.create_topics([NewTopic("t", 1)])
    append(
        w, build_batch([RecordData(i, time, None, b"v", ()) for i, time in enumerate(timestamps)], compression=codec)
    )


def append(w: World, data: bytearray) -> None:
    partition = w.services.partitions.get("t", 0)
    assert partition is not None
    partition.log.begin_append([Batch(read_header(data), memoryview(data))])


async def look_up(
    w: World, *asked: ListOffsetsPartition, version: int = 11, isolation: int = 0
) -> list[ListOffsetsPartitionResponse]:
    topics = [ListOffsetsTopic(name="t", partitions=list(asked))]
    reply = await w.ask(ListOffsetsRequest(replica_id=-1, isolation_level=isolation, topics=topics), version)
    found: list[ListOffsetsPartitionResponse] = reply.topics[0].partitions
    return found


async def offset(w: World, timestamp: int, *, version: int = 11, isolation: int = 0) -> int:
    """The offset that `timestamp` finds in partition 0."""
    [answer] = await look_up(
        w, ListOffsetsPartition(partition_index=0, timestamp=timestamp), version=version, isolation=isolation
    )
    assert answer.error_code == 0, ErrorCode(answer.error_code)
    return answer.offset


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
async def test_a_time_finds_the_exact_record(codec: Codec) -> None:
    """The first record at or after the time, also inside a batch, compressed or not; beyond the last there is none."""
    async with world() as w:
        await written(w, 100, 200, 150, 300, codec=codec)
        assert [await offset(w, time) for time in (0, 100, 101, 201, 300, 301)] == [0, 0, 1, 3, 3, -1]


async def test_both_ends_have_names() -> None:
    """Earliest and latest; on local disk the same; tiered storage has nothing."""
    async with world() as w:
        await written(w, 100, 200)
        names = (LATEST, EARLIEST, EARLIEST_LOCAL, LATEST_TIERED, PENDING_UPLOAD)
        assert [await offset(w, name) for name in names] == [2, 0, 0, -1, -1]


async def test_the_largest_timestamp() -> None:
    """KIP-734: the earliest record of those with the largest timestamp, and that timestamp."""
    async with world() as w:
        await written(w, 100, 300, 300, 200)
        [found] = await look_up(w, ListOffsetsPartition(partition_index=0, timestamp=MAX_TIMESTAMP))
        assert (found.offset, found.timestamp, found.leader_epoch) == (1, 300, 0)


async def test_an_empty_log() -> None:
    """Both ends are 0; no record has a timestamp."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1)])
        assert [await offset(w, name) for name in (LATEST, EARLIEST, MAX_TIMESTAMP, 0)] == [0, 0, -1, -1]


async def test_read_committed_sees_the_last_stable_offset() -> None:
    """An open transaction hides its records from "latest" and from look-ups by time."""
    async with world() as w:
        await written(w, 100)
        append(
            w,
            build_batch(
                [RecordData(0, 500, None, b"v", ())],
                producer_id=5,
                producer_epoch=0,
                base_sequence=0,
                transactional=True,
            ),
        )
        assert (await offset(w, LATEST), await offset(w, LATEST, isolation=READ_COMMITTED)) == (2, 1)
        assert (await offset(w, 500), await offset(w, 500, isolation=READ_COMMITTED)) == (1, -1)


@pytest.mark.parametrize(
    ("name", "since"), [(MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9), (PENDING_UPLOAD, 11), (-7, 99)]
)
async def test_names_that_a_version_does_not_know(name: int, since: int) -> None:
    """UNSUPPORTED_VERSION for that partition, as Kafka answers."""
    async with world() as w:
        await written(w, 100)
        for version in range(1, 12):
            [answer] = await look_up(w, ListOffsetsPartition(partition_index=0, timestamp=name), version=version)
            assert (answer.error_code == ErrorCode.UNSUPPORTED_VERSION) == (version < since)


async def test_an_isolation_level_that_is_none_is_refused() -> None:
    """INVALID_REQUEST, rather than a guess what the reader may see."""
    async with world() as w:
        await written(w, 100)
        [answer] = await look_up(w, ListOffsetsPartition(partition_index=0, timestamp=LATEST), isolation=2)
        assert answer.error_code == ErrorCode.INVALID_REQUEST


async def test_refusals_are_for_each_partition() -> None:
    """Unknown partitions, partitions asked for twice, leader epochs from the future, or that never were."""
    async with world() as w:
        await written(w, 100)
        answers = await look_up(
            w,
            ListOffsetsPartition(partition_index=7, timestamp=LATEST),
            ListOffsetsPartition(partition_index=0, timestamp=LATEST, current_leader_epoch=4),
        )
        [never] = await look_up(w, ListOffsetsPartition(partition_index=0, timestamp=LATEST, current_leader_epoch=-2))
        assert never.error_code == ErrorCode.FENCED_LEADER_EPOCH
        assert [answer.error_code for answer in answers] == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_LEADER_EPOCH,
        ]
        twice = await look_up(w, *[ListOffsetsPartition(partition_index=0, timestamp=LATEST)] * 2)
        assert [answer.error_code for answer in twice] == [ErrorCode.INVALID_REQUEST]


@pytest.mark.parametrize(("timeout_ms", "seconds"), [(0, 30), (5000, 5), (600_000, 30)])
async def test_a_look_up_has_an_end(
    timeout_ms: int, seconds: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A log that takes forever to search is given up after the client's time, or after half a minute; the partitions
    behind it are refused too if they have to be searched, and answered if not."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 3)])

        async def endless(self: object, timestamp: int) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(MemoryLog, "offset_for_time", endless)
        parts = [ListOffsetsPartition(partition_index=index, timestamp=when) for index, when in enumerate([7, 7, -1])]
        request = ListOffsetsRequest(
            replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=parts)], timeout_ms=timeout_ms
        )
        begun = trio.current_time()
        reply = await w.ask(request, 11)
        assert trio.current_time() - begun == pytest.approx(seconds)
        codes = [ErrorCode(part.error_code) for part in reply.topics[0].partitions]
        assert codes == [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NONE]
