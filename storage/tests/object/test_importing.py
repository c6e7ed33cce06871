"""A copy that a cluster takes over is there with everything, cut short or not; a cluster that has logs refuses it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.records import iter_records
from storage.copies import BlobCopy, LogCopy, SegmentCopy, StoreCopy
from storage.engine import LogSpec, Read
from storage.log_config import LogConfig
from storage.object.bucket import Refused
from storage.object.importing import Import, ImportFailed, NotEmpty
from storage.producers import ProducerState
from storage.seams.offload import InlineOffload
from storage.testing.bucket import Fault, MemoryBucket
from storage.testing.control_plane import MemoryControlPlane
from storage.testing.log_builder import batch, content, joined, whole_batches
from storage.tests.object.object_lab import Cluster

TOPIC = b"t" * 16


def at(offset: int, *values: bytes) -> bytes:
    """A batch with its offset in it, as a segment has it."""
    return joined([batch(*values)], offset)


def log(*batches: bytes, partition: int = 0, start: int = 0, end: int, **more: object) -> LogCopy:
    """A log of one segment."""
    data = b"".join(batches)
    segments = [SegmentCopy(0, len(data), lambda: iter((data,)))]
    copy = LogCopy("orders", TOPIC, partition, start, end, segments, (), (), [(3, 0)])
    return copy._replace(**more)  # type: ignore[arg-type]  # by name


def copy_of(*logs: LogCopy) -> StoreCopy:
    """They are of one directory."""
    return StoreCopy("cluster", "directory", logs)


async def importing(cluster: Cluster, copy: StoreCopy, bucket: MemoryBucket | None = None) -> Import:
    """The copy on its way into the cluster."""
    control = MemoryControlPlane(cluster.database, 0, bytes(16))
    await control.open()
    return Import(
        copy,
        control,
        bucket or cluster.bucket,
        entropy=cluster.entropy,
        offload=InlineOffload(),
        is_internal=lambda topic: topic.startswith("__"),
    )


def spec(partition: int = 0) -> LogSpec:
    """The log, as a broker asks for it."""
    return LogSpec("orders", TOPIC, partition, LogConfig())


async def values_of(cluster: Cluster, partition: int = 0) -> tuple[int, int, list[tuple[int, bytes | None]]]:
    """Start, end, and records with their offsets, as a broker serves them."""
    async with cluster.broker(7) as store:
        found = store.log(spec(partition))
        await store.open_logs([found])
        offset, data = found.log_start_offset, b""
        while offset < found.high_watermark:
            [answer] = await store.read_many([Read(found, offset, 1 << 20, found.high_watermark)], 1 << 20)
            data += content(answer)
            offset = whole_batches(data)[-1][0].next_offset
        records = [(each.offset, each.value) for _, whole in whole_batches(data) for each in iter_records(whole)]
        return found.log_start_offset, found.log_end_offset, records


GAPS = [at(0, b"a", b"b"), at(5, b"f"), at(9, b"j", b"k")]
RECORDS = [(0, b"a"), (1, b"b"), (5, b"f"), (9, b"j"), (10, b"k")]


async def test_records_keep_their_offsets_gaps_and_start() -> None:
    """As a broker serves them, and what is written next goes on behind them."""
    cluster = Cluster()
    taken = await importing(cluster, copy_of(log(*GAPS, end=11, start=5), log(at(0, b"x"), partition=1, end=1)))
    await taken.run()
    assert len(await taken.verify()) == 64
    start, end, records = await values_of(cluster)
    assert (start, end, [each for each in records if each[0] >= 5]) == (5, 11, RECORDS[2:])
    assert await values_of(cluster, 1) == (0, 1, [(0, b"x")])
    async with cluster.broker(8) as store:
        found = store.log(spec())
        await store.open_logs([found])
        append = found.begin_append([batch(b"next")])
        await append.wait_durable()
        assert append.base_offset == 11


async def test_producers_and_blobs_come_along() -> None:
    """A repetition of an imported batch is still known as one."""
    cluster = Cluster()
    state = ProducerState(77, 1, 4, 1, 1, cluster.clock.wall_millis(), -1, -1)
    blob = BlobCopy("quorum-state", 3, lambda: iter((b"abc",)))
    taken = await importing(cluster, copy_of(log(at(0, b"a", b"b"), end=2, producers=[state], blobs=[blob])))
    await taken.run()
    async with cluster.broker(7) as store:
        found = store.log(spec())
        await store.open_logs([found])
        assert [each.producer_id for each in await found.producers()] == [77]
        assert await store.blobs(spec()).read("quorum-state") == b"abc"


class Failing(MemoryBucket):
    """Another bucket, for so many puts."""

    def __init__(self, bucket: MemoryBucket, left: int) -> None:
        super().__init__()
        self._bucket = bucket
        self._left = left

    async def put(self, key: str, pieces: Sequence[ReadableBuffer], *, background: bool = False) -> None:
        if self._left == 0:
            raise Refused("no more")
        self._left -= 1
        await self._bucket.put(key, pieces)


async def test_an_import_that_was_cut_short_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever its store failed: the same words again, and everything is there once."""
    monkeypatch.setattr("storage.object.importing.PART_BYTES", 100)
    monkeypatch.setattr("storage.object.importing.OBJECT_BYTES", 150)
    monkeypatch.setattr("storage.object.importing.INLINE_BYTES", 0)
    logs = [log(*GAPS, partition=number, end=11) for number in range(3)]
    for failing in range(8):
        cluster = Cluster()
        try:
            await (await importing(cluster, copy_of(*logs), Failing(cluster.bucket, failing))).run()
        except ImportFailed as error:
            assert "no more" in str(error)
        again = await importing(cluster, copy_of(*logs))
        await again.run()
        await again.verify()
        for number in range(3):
            assert await values_of(cluster, number) == (0, 11, RECORDS)


async def test_a_busy_store_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    """A lost answer to an upload harms nothing."""
    cluster = Cluster()
    cluster.bucket.plan("put", Fault.BUSY, Fault.LOST)
    taken = await importing(cluster, copy_of(log(at(0, b"a" * 5000), end=1)))
    await taken.run()
    await taken.verify()


async def test_a_cluster_that_has_something_refuses() -> None:
    """Logs of its own, or another directory."""
    cluster = Cluster()
    async with cluster.broker(1) as store:
        await store.create_logs([spec()])
    with pytest.raises(NotEmpty, match="has 1 logs already"):
        await (await importing(cluster, copy_of(log(*GAPS, end=11)))).run()
    cluster = Cluster()
    await (await importing(cluster, copy_of(log(*GAPS, end=11)))).run()
    with pytest.raises(NotEmpty, match="another directory"):
        await (await importing(cluster, StoreCopy("cluster", "other", [log(*GAPS, end=11)]))).run()


async def test_a_bit_that_is_another_is_found() -> None:
    """What was imported is read back before a broker relies on it."""
    cluster = Cluster()
    taken = await importing(cluster, copy_of(log(at(0, b"a" * 5000), end=1)))
    await taken.run()
    (key,) = cluster.bucket.objects
    cluster.bucket.flip(key, 3000)
    with pytest.raises(Exception, match=r"(?i)corrupt|not what was imported|checksum|crc"):
        await taken.verify()


async def test_damage_in_the_directory_stops_the_import() -> None:
    """With the place."""
    broken = log(at(0, b"a")[:-3], end=1)
    with pytest.raises(ImportFailed, match="orders-0 cannot be read at 0"):
        await (await importing(Cluster(), copy_of(broken))).run()
