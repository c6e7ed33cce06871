"""Compaction on disk: the newest value of each key stays at its offset, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from kproto.errors import ErrorCode, KafkaError
from storage.compaction import Compaction
from storage.engine import Read
from storage.local import checkpoints
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.local.rewriting import Workshop
from storage.seams.apart import ProcessApart, ProcessDied, ThreadApart
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.store_settings import CleanerSettings, StoreSettings
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.keyed_batches import contents, keyed, produced
from storage.testing.log_builder import (
    EPOCH_MS,
    ScriptedProducer,
    as_batch,
    content,
    joined,
    spec,
    unreadable_batch,
    whole_batches,
)
from storage.tests.local.local_lab import HurriedDisk, Place, append, log_of, read_all, same_topic

HOUR = 3_600_000
SETTINGS: dict[str, Any] = {
    "compact": True, "delete": False, "segment_bytes": 400, "min_cleanable_dirty_ratio": 0.01,
    "index_interval_bytes": 100,
}  # fmt: skip

Found = list[tuple[int, bytes | None, bytes | None]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory; its clock shows EPOCH_MS."""
    return Place(tmp_path / "data")


async def found(store: LocalStore, log: LocalLog) -> Found:
    """(offset, key, value) of every record that a consumer would see."""
    return contents(data for _, data in whole_batches(await read_all(store, log)))


async def fill(log: LocalLog, count: int = 20, keys: int = 3, text: bytes = b"value") -> Found:
    """Append records of a few keys, one by one, and return them."""
    written: Found = []
    for number in range(count):
        key, value = b"%d" % (number % keys), text + b" %d" % number + b"x" * 100
        written.append((await append(log, keyed((key, value))), key, value))
    return written


def newest(written: Found, below: int) -> Found:
    """What compaction of everything below an offset leaves of this."""
    last = {key: offset for offset, key, _ in written if offset < below}
    return [record for record in written if record[0] >= below or last[record[1]] == record[0]]


async def test_nothing_is_cleaned_above_the_recovery_point(place: Place) -> None:
    """L19: above it, a segment that ends early is one that lost its end; below it, one that was cleaned."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        active = log.open().segments[-1].base_offset
        assert await store.cleaner.clean_due() == 1
        killed = place.as_killed()
    points = checkpoints.decode_offsets((killed.path / checkpoints.RECOVERY_POINTS).read_bytes())
    assert points is not None and points[log.key] >= active


async def test_the_newest_value_of_each_key_stays(place: Place) -> None:
    """Older ones go, offsets do not change, the segment being written is not touched; so after a restart."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log)
        active = log.open().segments[-1].base_offset
        size = log.statistics().size
        assert await store.cleaner.clean_due() == 1
        assert log.statistics().size < size / 2
        assert await found(store, log) == newest(written, active)
        assert await store.cleaner.clean_due() == 0, "all is clean"
        assert (log.log_start_offset, log.log_end_offset) == (0, 20)
        killed = place.as_killed()
    for directory in (place, killed):
        async with directory.open() as store:
            log = log_of(store, **SETTINGS)
            assert await found(store, log) == newest(written, active)
            assert store.data.clean_offsets == {("orders", 0): active}


async def test_small_segments_become_one(place: Place) -> None:
    """The next cleaning puts together what the last one has left small."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log)
        await store.cleaner.clean_due()
        written += await fill(log, 6, text=b"more")
        before = len(log.open().segments)
        assert await store.cleaner.clean_due() == 1
        assert len(log.open().segments) < before * 2 / 3
        assert await found(store, log) == newest(written, log.open().segments[-1].base_offset)


async def test_where_nothing_dies_nothing_is_written(place: Place) -> None:
    """A segment that stays as it is is read, not rewritten."""
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log, keys=100)
        disk.trace.clear()
        assert await store.cleaner.clean_due() == 1
        assert not [path for operation, path in disk.trace if operation == "write" and "orders" in path]
        assert await found(store, log) == written


async def test_where_nothing_is_left_an_empty_batch_holds_the_place(place: Place) -> None:
    """A segment never has no bytes, and one that has only that batch is not written again."""
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        log = log_of(store, **{**SETTINGS, "segment_bytes": 200})
        await fill(log, 8, keys=1)
        written = await fill(log, 2, keys=1, text=b"last")
        os.utime(place.file(".log"), (1000, 1000))
        await store.cleaner.clean_due()
        assert [segment.size for segment in log.open().segments][:2] == [61, 61]
        assert place.file(".log").stat().st_mtime == 1000, "retention goes by that where there are no records"
        assert await found(store, log) == newest(written, 9)
        log.configure(same_topic(log.spec, **{**SETTINGS, "segment_bytes": 70}).config)
        written += await fill(log, 3, keys=1, text=b"more")
        disk.trace.clear()
        await store.cleaner.clean_due()
        rewritten = {path for operation, path in disk.trace if operation == "write" and "0.log.cleaned" in path}
        assert f"{place.path}/orders-0/{0:020}.log.cleaned" not in rewritten
        assert await found(store, log) == newest(written, 12)


async def test_indexes_of_the_new_segments(place: Place) -> None:
    """They lead to what is there: by offset and by time, and a checker finds nothing."""
    async with place.open() as store:
        log = log_of(store, **{**SETTINGS, "segment_bytes": 4000})
        for number in range(100):
            await append(log, keyed((b"%d" % (number % 9), b"x" * 100), timestamp=EPOCH_MS + number))
        await store.cleaner.clean_due()
        left = await found(store, log)
        for segment in log.open().segments[:-1]:
            entries = segment.offset_index.file.entries(), segment.time_index.file.entries()
            segment.rebuild_indexes(100)
            assert (segment.offset_index.file.entries(), segment.time_index.file.entries()) == entries
        for offset in range(100):
            [answer] = await store.read_many([Read(log, offset, 1, 100)], 1)
            [(header, _), *_] = whole_batches(content(answer))
            expected = min(place for place, _, _ in left if place >= offset)
            assert header.base_offset <= expected
            assert header.last_offset >= offset
            hit = await log.offset_for_time(EPOCH_MS + offset)
            assert hit is not None
            assert hit.offset == expected


async def test_what_is_being_read_stays_until_it_has_been_read(place: Place) -> None:
    """A slice of an old segment is good after the exchange, and after its file is gone."""
    async with place.open() as store:
        log = log_of(store, **{**SETTINGS, "file_delete_delay_ms": 0})
        await fill(log)
        [answer] = await store.read_many([Read(log, 0, 1 << 20, 20)], 1 << 20)
        before = content(answer)
        await store.cleaner.clean_due()
        await store.removal.remove_due(float("inf"))
        assert not [name for name in place.names() if name.endswith(".deleted")]
        assert content(answer) == before


async def test_old_segments_let_go_of_their_files(place: Place) -> None:
    """After the exchange nothing holds them open: the space comes back when the files are removed."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        await read_all(store, log)
        before = len(store.descriptors)
        await store.cleaner.clean_due()
        assert len(store.descriptors) < before


async def test_tombstones_go_in_their_time(place: Place) -> None:
    """A deletion is kept for `delete.retention.ms`, then it is as if the key had never been."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS, delete_retention_ms=HOUR)
        await append(log, keyed((b"gone", b"x" * 300)))
        await append(log, keyed((b"gone", None)))
        await fill(log, 4, keys=100)
        await store.cleaner.clean_due()
        assert (1, b"gone", None) in await found(store, log)
        place.clock.advance(HOUR - 1)
        await fill(log, 4, keys=100, text=b"more")
        await store.cleaner.clean_due()
        assert (1, b"gone", None) in await found(store, log)
        place.clock.advance(1)
        await fill(log, 4, keys=100, text=b"most")
        await store.cleaner.clean_due()
        assert b"gone" not in {key for _, key, _ in await found(store, log)}
        assert log.log_end_offset == 14


async def test_open_transactions_hold_the_cleaner_back(place: Place) -> None:
    """From the segment of the oldest one on nothing is touched. When it has ended, its records count or die."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log, 6)
        producer = ScriptedProducer(5)
        offset = await append(log, produced(producer, (b"0", b"in doubt"), transactional=True))
        await fill(log, 6, text=b"later")
        await store.cleaner.clean_due()
        assert store.data.clean_offsets["orders", 0] <= offset
        assert written[-1] in await found(store, log)
        await append(log, producer.marker(commit=False))
        assert [span.last_offset for span in log.open().aborted.ending_in(0, 100)] == [offset + 7]
        await append(log, produced(producer, (b"next", b"1"), transactional=True))
        await append(log, producer.marker(commit=True))
        await fill(log, 6, keys=100, text=b"last")
        await store.cleaner.clean_due()
        assert (offset, b"0", b"in doubt") not in await found(store, log)
        assert await log.aborted_transactions(0, 100)
        killed = place.as_killed()
    async with killed.open() as store:
        log = log_of(store, **SETTINGS)
        assert [span.last_offset for span in log.open().aborted.ending_in(0, 100)] == [offset + 7]
        await fill(log, 6, keys=100, text=b"and more")
        await store.cleaner.clean_due()
        assert not await log.aborted_transactions(0, 100), "nothing is left of it but the marker"


async def test_a_producer_is_recognised_after_its_records_are_gone(place: Place) -> None:
    """What it sends again is a repetition, also when its state has to be read from the log again."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        producer = ScriptedProducer(7)
        sent = produced(producer, (b"0", b"x" * 100), (b"1", b"x" * 100))
        again = as_batch(sent.data)
        offset = await append(log, sent)
        written = await fill(log, 12)
        await store.cleaner.clean_due()
        assert (offset, b"0", b"x" * 100) not in await found(store, log)
        assert await append(log, as_batch(again.data)) == offset
        killed = place.as_killed()
    for snapshot in killed.path.glob("orders-0/*.snapshot"):
        snapshot.unlink()
    async with killed.open() as store:
        log = log_of(store, **SETTINGS)
        repeated = log.begin_append([as_batch(again.data)])
        assert (repeated.duplicate, repeated.base_offset) == (True, offset)
        assert log.log_end_offset == written[-1][0] + 1


async def test_compacted_and_deleted(place: Place) -> None:
    """With both policies, old segments expire as well, and the checkpoint follows the log's start."""
    async with place.open() as store:
        settings = {**SETTINGS, "delete": True, "retention_ms": HOUR}
        log = log_of(store, **settings)
        await fill(log, 10, keys=100)
        await store.cleaner.clean_due()
        place.clock.advance(HOUR + 1)
        for number in range(8):
            await append(log, keyed((b"%d" % (number % 2), b"x" * 100), timestamp=EPOCH_MS + HOUR))
        await store.expiry.apply()
        start = log.log_start_offset
        assert start == 10
        await store.cleaner.clean_due()
        assert [offset for offset, _, _ in await found(store, log)][-2:] == [16, 17]
        assert len(await found(store, log)) < 8


async def test_retention_may_be_quicker(place: Place) -> None:
    """Records that are deleted while their segments are rewritten stay deleted."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)

        async def delete_first(work: Callable[..., Any]) -> None:
            if work is Workshop.rewrite:
                await log.delete_before(9)

        store.cleaner._apart = Interrupting(store, delete_first)  # type: ignore[assignment]
        assert await store.cleaner.clean_due() == 0
        assert log.log_start_offset == 9
        assert min(offset for offset, _, _ in await found(store, log)) >= 9
        assert not [name for name in place.names() if "cleaned" in name or "swap" in name]
        assert await store.cleaner.clean_due() == 1


async def test_a_topic_may_be_deleted_meanwhile(place: Place) -> None:
    """The cleaning ends, nothing of it is left, and a new topic of that name starts with nothing."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)

        async def delete(work: Callable[..., Any]) -> None:
            if work is Workshop.rewrite:
                await store.delete_logs([log.spec])

        store.cleaner._apart = Interrupting(store, delete)  # type: ignore[assignment]
        assert await store.cleaner.clean_due() == 0
        assert store.cleaner.uncleanable == []
        store.cleaner._apart = ThreadApart(store.volume.offload)
        new = store.log(spec(generation=2, **SETTINGS))
        await fill(new, 4)
        await store.cleaner.clean_due()
        assert [key for _, key, _ in await found(store, new)][-1] == b"0"
        assert store.data.clean_offsets.keys() <= {("orders", 0)}


async def test_the_checkpoint_of_a_deleted_topic_is_forgotten(place: Place) -> None:
    """A new one of its name would never be cleaned below that offset."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        await store.cleaner.clean_due()
        assert store.data.clean_offsets
        await store.delete_logs([log.spec])
        assert not store.data.clean_offsets
    assert b"orders" not in (place.path / "cleaner-offset-checkpoint").read_bytes()


class Interrupting:
    """Does something before each piece of work."""

    def __init__(self, store: LocalStore, before: Callable[[Callable[..., Any]], Any]) -> None:
        self._inner = ThreadApart(store.volume.offload)
        self._before = before

    def state(self, make: Any, *arguments: Any) -> Any:
        return _InterruptingContext(self._inner.state(make, *arguments), self._before)


class _InterruptingContext:
    def __init__(self, context: Any, before: Callable[[Callable[..., Any]], Any]) -> None:
        self._context = context
        self._before = before

    async def __aenter__(self) -> Any:
        self._state = await self._context.__aenter__()
        return self

    async def __aexit__(self, *what: Any) -> Any:
        return await self._context.__aexit__(*what)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        await self._before(work)
        return await self._state.run(work, *arguments)


async def test_appends_and_reads_go_on(place: Place) -> None:
    """With real threads and a real process: every reader sees rising offsets, and the newest value of each key."""
    offload = ThreadOffload()
    apart = ProcessApart(ThreadApart(offload))
    async with place.open(offload=offload, apart=apart) as store, trio.open_nursery() as nursery:
        log = log_of(store, **SETTINGS)
        written = await fill(log, 60)
        finished = False

        async def read() -> None:
            while not finished:
                seen = await found(store, log)
                assert [offset for offset, _, _ in seen] == sorted({offset for offset, _, _ in seen})
                assert set(seen) <= set(written)
                end = seen[-1][0] + 1
                last = {key: record for record in written if record[0] < end for key in (record[1],)}
                assert set(last.values()) <= set(seen)
                hit = await log.offset_for_time(EPOCH_MS)
                assert hit is not None

        async def write() -> None:
            while not finished and len(written) < 400:
                number = len(written)
                key, value = b"%d" % (number % 3), b"more %d" % number + b"x" * 100
                pending = log.begin_append([keyed((key, value))])
                written.append((pending.base_offset, key, value))
                await pending.wait_durable()

        nursery.start_soon(read)
        nursery.start_soon(read)
        nursery.start_soon(write)
        for _ in range(3):
            await store.cleaner.clean_due()
            await trio.sleep(0.02)
        finished = True
    assert store.cleaner.uncleanable == []


async def test_the_cleaner_runs_by_itself(place: Place, autojump_clock: trio.testing.MockClock) -> None:
    """As part of the upkeep, unless it is switched off; it looks at unused logs as well."""
    async with place.open() as store:
        await fill(log_of(store, **SETTINGS))
    settings = CleanerSettings(enable=False, backoff_ms=5000)
    async with place.open(settings=StoreSettings(cleaner=settings)) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain, lambda: [spec(**SETTINGS)])
        await trio.sleep(60)
        assert store.data.clean_offsets == {}
        store.cleaner.configure(CleanerSettings(backoff_ms=5000))
        await trio.sleep(11)
        assert store.data.clean_offsets == {("orders", 0): 18}
        nursery.cancel_scope.cancel()


async def test_a_log_with_one_segment_is_not_even_opened(place: Place) -> None:
    """Looking at thousands of unused logs must cost nothing."""
    async with place.open() as store:
        await fill(log_of(store, **SETTINGS), 1)
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        assert await store.cleaner.clean_due() == 0
        assert log.opened is None
        await fill(log, 8)
        assert await store.cleaner.clean_due() == 1


async def test_new_settings_count_at_once(place: Place) -> None:
    """A topic that becomes a compacted one, or a stricter one, is looked at again."""
    async with place.open() as store:
        log = log_of(store, **{**SETTINGS, "compact": False})
        await fill(log)
        assert await store.cleaner.clean_due() == 0
        log.configure(same_topic(log.spec, **{**SETTINGS, "min_compaction_lag_ms": HOUR}).config)
        assert await store.cleaner.clean_due() == 0
        log.configure(same_topic(log.spec, **SETTINGS).config)
        assert await store.cleaner.clean_due() == 1


async def test_time_alone_may_make_a_log_due(place: Place) -> None:
    """The lags are looked at again when they have passed."""
    async with place.open() as store:
        log = log_of(store, **SETTINGS, min_compaction_lag_ms=HOUR)
        await fill(log)
        assert await store.cleaner.clean_due() == 0
        place.clock.advance(HOUR)
        assert await store.cleaner.clean_due() == 1
        log.configure(same_topic(log.spec, **{**SETTINGS, "min_cleanable_dirty_ratio": 1.0,
                                              "max_compaction_lag_ms": 2 * HOUR}).config)  # fmt: skip
        await fill(log, 4)
        assert await store.cleaner.clean_due() == 0
        place.clock.advance(HOUR + 1)
        assert await store.cleaner.clean_due() == 1


async def test_a_log_is_cleaned_in_several_cleanings_if_memory_is_short(place: Place) -> None:
    """Each goes as far as its keys fit, and the next goes on from there."""
    async with place.open(settings=StoreSettings(cleaner=CleanerSettings(memory=20 * 20))) as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log, 60, keys=25)
        rounds = 0
        while await store.cleaner.clean_due():
            rounds += 1
        assert rounds > 2
        left = {(key, value) for _, key, value in newest(written, log.open().segments[-1].base_offset)}
        assert left <= {(key, value) for _, key, value in await found(store, log)}
        assert len(await found(store, log)) < 40


async def test_garbage_of_a_deleting_topic_does_not_poison_a_compacted_one(place: Place) -> None:
    """E15: what nothing looked into while the topic was not compacted stays; everything around it is cleaned."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=SETTINGS["segment_bytes"])
        await append(log, unreadable_batch())
        log.configure(log_of(store, "other", **SETTINGS).spec.config)
        await fill(log)
        size = log.statistics().size
        assert await store.cleaner.clean_due() == 1
        assert store.cleaner.uncleanable == []
        assert log.statistics().size < size / 2
        assert (await read_all(store, log)).startswith(joined([unreadable_batch()]))


# -- failure -----------------------------------------------------------------------------------------------------------


async def test_a_damaged_log_is_left_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, nothing is changed, the other logs are cleaned."""
    async with place.open() as store:
        log, other = log_of(store, **SETTINGS), log_of(store, "other", **SETTINGS)
        await fill(log)
        await fill(other)
        path = place.file(".log", offset=4)
        damaged = bytearray(path.read_bytes())
        damaged[100] ^= 0xFF
        path.write_bytes(damaged)
        before = {name: (place.path / "orders-0" / name).read_bytes() for name in place.names() if ".log" in name}
        for _ in range(3):
            await store.cleaner.clean_due()
            await fill(log, 4)
        assert store.cleaner.uncleanable == [("orders", 0)]
        assert set(store.data.clean_offsets) == {("other", 0)}
        for name, data in before.items():
            assert (place.path / "orders-0" / name).read_bytes()[: len(data)] == data
        assert capsys.readouterr().err.count("could not be compacted") == 1


@pytest.mark.parametrize("operation", ["write", "datasync", "create", "read_into", "open_read", "open"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_a_disk_that_refuses(place: Place, operation: str, code: int) -> None:
    """Nothing is lost and appends go on. A full disk is tried again, a broken one is not."""
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log)
        disk.fail(operation, code, path=".log" if operation in ("read_into", "open_read") else ".cleaned")
        assert await store.cleaner.clean_due() == 0
        disk.heal()
        assert not store.has_stopped
        assert await found(store, log) == written
        assert not [name for name in place.names() if "cleaned" in name or "swap" in name]
        assert store.cleaner.uncleanable == ([("orders", 0)] if code == errno.EIO else [])
        place.clock.advance(HOUR)
        assert await store.cleaner.clean_due() == (code == errno.ENOSPC)
        await append(log, keyed((b"0", b"goes on")))


@pytest.mark.parametrize("step", range(1, 16))
async def test_an_exchange_that_fails_half_way_stops_the_directory(place: Place, step: int) -> None:
    """What was readable stays readable; the next start has the old segments or the new one, and cleans again."""
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log)
        active = log.open().segments[-1].base_offset
        renames = 0
        rename = disk.rename

        def failing(old: str, new: str) -> None:
            nonlocal renames
            renames += "orders-0" in old
            if renames == step and "orders-0" in old:
                raise OSError(errno.EIO, "injected fault", old)
            rename(old, new)

        disk.rename = failing  # type: ignore[method-assign]
        await store.cleaner.clean_due()
        disk.rename = rename  # type: ignore[method-assign]
        if store.has_stopped:
            with pytest.raises(KafkaError) as refusal:
                await append(log, keyed((b"0", b"refused")))
            assert refusal.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        survivors = await found(store, log)
        assert set(newest(written, active)) <= set(survivors) <= set(written)
    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        assert await found(store, log) == survivors or set(newest(written, active)) <= set(await found(store, log))
        assert log.log_end_offset == 20
        while await store.cleaner.clean_due():
            pass
        assert await found(store, log) == newest(written, active)


async def test_a_killed_process_is_no_damage(place: Place) -> None:
    """It is tried again later."""

    class Dying:
        def state(self, make: Any, *arguments: Any) -> Any:
            raise ProcessDied("killed")

    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        apart, store.cleaner._apart = store.cleaner._apart, Dying()  # type: ignore[assignment]
        assert await store.cleaner.clean_due() == 0
        assert store.cleaner.uncleanable == []
        store.cleaner._apart = apart
        assert await store.cleaner.clean_due() == 0
        place.clock.advance(HOUR)
        assert await store.cleaner.clean_due() == 1


async def test_a_mistake_of_ours_harms_no_log(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the rules raise: the log is left as it is, and the broker goes on."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    async with place.open() as store:
        log = log_of(store, **SETTINGS)
        written = await fill(log)
        monkeypatch.setattr(Compaction, "learn", broken)
        assert await store.cleaner.clean_due() == 0
        assert store.cleaner.uncleanable == [("orders", 0)]
        assert await found(store, log) == written


async def test_nothing_goes_because_of_what_is_not_durable(place: Place) -> None:
    """An old value is not removed before the newer one has been synced: a power cut could take both."""
    disk = FaultyDisk(SystemDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS, ack_fsync=False)
        for number in range(20):
            log.begin_append([keyed((b"%d" % (number % 3), b"x" * 100))])
        assert log.open().synced_end == 0
        assert await store.cleaner.clean_due() == 1
        synced = [
            index for index, (what, path) in enumerate(disk.trace) if what == "datasync" and path.endswith(".log")
        ]
        first = next(index for index, (_, path) in enumerate(disk.trace) if path.endswith(".cleaned"))
        assert synced and max(synced) < first


class Counting:
    """Counts how often a workshop is opened; `break_down` makes the next piece of work its end."""

    def __init__(self, store: LocalStore) -> None:
        self._inner = ThreadApart(store.volume.offload)
        self.opened = 0
        self.break_down = False

    def state(self, make: Any, *arguments: Any) -> Any:
        self.opened += 1
        return _InterruptingContext(self._inner.state(make, *arguments), self._may_break)

    async def _may_break(self, work: Callable[..., Any]) -> None:
        if self.break_down:
            self.break_down = False
            raise ProcessDied("killed")


async def test_many_logs_share_what_is_costly(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round opens one workshop, and settles recovery points and clean offsets once for all logs of a batch."""
    async with place.open() as store:
        logs = [log_of(store, partition=number, **SETTINGS) for number in range(10)]
        for log in logs:
            await fill(log)
        apart = store.cleaner._apart = Counting(store)  # type: ignore[assignment]
        written = {"write_recovery_points": 0, "write_clean_offsets": 0}
        for name in written:
            plain = getattr(store.data, name)

            def counted(name: str = name, plain: Callable[[], None] = plain) -> None:
                written[name] += 1
                plain()

            monkeypatch.setattr(store.data, name, counted)
        assert await store.cleaner.clean_due() == 10
        assert apart.opened == 1
        assert written == {"write_recovery_points": 1, "write_clean_offsets": 1}
        assert len(store.data.clean_offsets) == 10


async def test_a_checkpoint_that_cannot_be_written_costs_work_and_nothing_else(place: Place) -> None:
    """The logs are clean all the same; the next cleaning writes it, and a crash before costs work."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        disk.fail("write_file_atomically", errno.EMFILE, path=checkpoints.CLEANER_OFFSETS, times=1)
        assert await store.cleaner.clean_due() == 1
        assert store.cleaner.uncleanable == []
        await fill(log)
        assert await store.cleaner.clean_due() == 1
    clean = checkpoints.decode_offsets((place.path / checkpoints.CLEANER_OFFSETS).read_bytes())
    assert clean is not None and clean[log.key] == store.data.clean_offsets[log.key]


async def test_recovery_points_that_could_not_be_written_are_written_before_a_cleaning(place: Place) -> None:
    """L19, also when the checkpoint before it failed: that is not taken for written."""
    disk = FaultyDisk(HurriedDisk())
    async with place.open(disk) as store:
        log = log_of(store, **SETTINGS)
        await fill(log)
        active = log.open().segments[-1].base_offset
        await store.upkeep.sync_dirty()
        disk.fail("write_file_atomically", errno.EMFILE, path=checkpoints.RECOVERY_POINTS, times=1)
        with pytest.raises(OSError, match="injected"):
            await store.volume.write_recovery_points()
        assert await store.cleaner.clean_due() == 1
        points = checkpoints.decode_offsets((place.path / checkpoints.RECOVERY_POINTS).read_bytes())
        assert points is not None and points[log.key] >= active


async def test_a_workshop_that_died_is_replaced_for_the_next_log(place: Place) -> None:
    """One log is left for later; the others of the round are cleaned."""
    async with place.open() as store:
        for number in range(3):
            await fill(log_of(store, partition=number, **SETTINGS))
        apart = store.cleaner._apart = Counting(store)  # type: ignore[assignment]
        apart.break_down = True
        assert await store.cleaner.clean_due() == 2
        assert apart.opened == 2
        assert store.cleaner.uncleanable == []
