"""What the in-memory engine promises beyond the contract: bounded memory, reads without copies, forgetting in time."""

from __future__ import annotations

import pytest

from kproto.errors import ErrorCode, KafkaError
from storage.engine import FetchedRecords, Read
from storage.memory.engine import LARGEST_CHUNK, SMALLEST_CHUNK, MemoryLog, MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.log_builder import ScriptedProducer, batch, batches, content, spec, whole_batches


def make_store(max_bytes: int = 1 << 30, clock: VirtualClock | None = None) -> MemoryStore:
    return MemoryStore(clock or VirtualClock(), SeededEntropy(1), max_bytes=max_bytes)


async def usable(store: MemoryStore) -> int:
    [directory] = await store.log_directories()
    return directory.usable_bytes


def fill(log: MemoryLog, record_bytes: int = 1000) -> int:
    """Append until the store refuses; how many batches it took."""
    count = 0
    while True:
        try:
            log.begin_append([batch(b"x" * record_bytes)])
        except KafkaError as error:
            assert error.code is ErrorCode.KAFKA_STORAGE_ERROR
            assert error.code.retriable
            return count
        count += 1


async def test_memory_is_bounded_for_all_logs_together() -> None:
    """A full store refuses appends as a full disk does, whatever log they are for, and most of it holds records."""
    store = make_store(max_bytes=1 << 20)
    taken = fill(store.log(spec("big")))
    assert 0.9 * (1 << 20) < taken * 1068 < 1 << 20
    with pytest.raises(KafkaError):
        store.log(spec("other")).begin_append(batches(10, size=1000))
    assert await usable(store) < 10_000


async def test_a_full_store_is_read_and_recovers() -> None:
    """Nothing is lost when memory is used up; deleting records makes room."""
    store = make_store(max_bytes=100_000)
    log = store.log(spec())
    count = fill(log)
    assert log.log_end_offset == count
    [found] = store.read_now([Read(log, 0, 1 << 20, count)], 1 << 20)
    assert isinstance(found, FetchedRecords)
    assert len(found.records) > 0
    await log.delete_before(count)
    assert await usable(store) == 100_000
    assert log.begin_append([batch(b"x" * 1000)]).base_offset == count


async def test_deleting_a_log_gives_its_memory_back() -> None:
    """Also when a reader still holds what was read from it."""
    store = make_store(max_bytes=100_000)
    log = store.log(spec())
    fill(log)
    [found] = store.read_now([Read(log, 0, 1 << 20, log.high_watermark)], 1 << 20)
    await store.delete_logs([log.spec])
    assert await usable(store) == 100_000
    assert whole_batches(content(found))[0][0].base_offset == 0


async def test_a_refused_append_leaves_no_trace() -> None:
    """An append that finds no room is not remembered of its producer either: it can be repeated later."""
    store = make_store(max_bytes=5000)
    log, producer = store.log(spec()), ScriptedProducer(1)
    log.begin_append([batch(b"x" * 4000)])
    with pytest.raises(KafkaError):
        log.begin_append([producer.batch(b"y" * 2000)])
    assert (log.log_end_offset, list(await log.producers())) == (1, [])
    await log.delete_before(1)
    assert not log.begin_append([producer.repeat()]).duplicate


async def test_small_logs_are_small() -> None:
    """A log of a few records takes a few KiB, and one without any takes nothing."""
    store = make_store()
    before = await usable(store)
    for number in range(50):
        store.log(spec("empty", number))
        store.log(spec("small", number)).begin_append([batch(b"x" * 100)])
    assert before - await usable(store) == 50 * SMALLEST_CHUNK


def test_a_busy_log_is_read_in_large_pieces() -> None:
    """A log of many batches is read by about one mebibyte at a time, each batch once."""
    store = make_store()
    log = store.log(spec())
    log_bytes = 0
    for part in batches(1000, size=5000):
        log.begin_append([part])
        log_bytes += len(part.data)
    position, steps, read_bytes = 0, 0, 0
    while position < 1000:
        [found] = store.read_now([Read(log, position, 1 << 30, 1000)], 1 << 30)
        assert isinstance(found, FetchedRecords)
        read_bytes += len(found.records)
        position += len(found.records) // len(part.data)
        steps += 1
    assert read_bytes == log_bytes == log.statistics().size
    assert steps <= log_bytes // LARGEST_CHUNK + 12


def test_reads_copy_nothing() -> None:
    """Two reads of the same records are read-only views of the same memory."""
    store = make_store()
    log = store.log(spec())
    log.begin_append(batches(3))
    first, second = store.read_now([Read(log, 0, 1000, 3), Read(log, 0, 1000, 3)], 2000)
    assert isinstance(first, FetchedRecords)
    assert isinstance(second, FetchedRecords)
    assert isinstance(first.records, memoryview)
    assert isinstance(second.records, memoryview)
    assert first.records.readonly
    assert first.records.obj is second.records.obj


async def test_aborted_transactions_are_forgotten_with_their_records() -> None:
    """What lies before the start of the log takes no memory."""
    log, producer = make_store().log(spec()), ScriptedProducer(1)
    log.begin_append([producer.batch(b"x", transactional=True)])
    log.begin_append([producer.marker(commit=False)])
    assert len(log._aborted) == 1
    await log.delete_before(2)
    assert len(log._aborted) == 0


async def test_idle_producers_are_forgotten() -> None:
    """A day after its last batch a producer is unknown, and soon after no longer in memory."""
    clock = VirtualClock()
    log, silent, busy = make_store(clock=clock).log(spec()), ScriptedProducer(1), ScriptedProducer(2)
    log.begin_append([silent.batch()])
    for _ in range(25):
        clock.advance(3600 * 1000)
        log.begin_append([busy.batch()])
    assert [producer.producer_id for producer in await log.producers()] == [2]
    log.begin_append([silent.batch(sequence=77)])


def test_the_wall_clock_may_jump() -> None:
    """A wall clock set forward by a year does not make a log forget a producer that is at work."""
    clock = VirtualClock()
    log, producer = make_store(clock=clock).log(spec()), ScriptedProducer(1)
    log.begin_append([producer.batch()])
    clock.jump(365 * 24 * 3600 * 1000)
    assert log.begin_append([producer.repeat()]).duplicate
