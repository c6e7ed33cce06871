"""After an unclean stop: what was promised is there, what is torn is cut, what is damaged is left and reported."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kproto.errors import ErrorCode
from storage.engine import AbortedTransaction, FetchedRecords, Read
from storage.seams.offload import ThreadOffload
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, batch, batches, content, joined
from storage.tests.local.local_lab import Place, append, log_of, read_all, values_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty data directory."""
    return Place(tmp_path / "data")


async def filled(place: Place, count: int = 40, **settings: Any) -> Place:
    """The directory after a kill: `count` synced batches of about 160 bytes in small segments, no clean stop."""
    settings = {"segment_bytes": 2000, "index_interval_bytes": 200, **settings}
    async with place.open() as store:
        log = log_of(store, **settings)
        for part in batches(count):
            await append(log, part)
        return place.as_killed()


async def expect(place: Place, count: int) -> None:
    """The log holds the first `count` batches and goes on behind them."""
    async with place.open() as store:
        log = log_of(store)
        assert log.log_end_offset == count
        assert await read_all(store, log) == joined(batches(count))
        assert await append(log, batch(b"next")) == count


async def test_nothing_is_lost_by_a_kill(place: Place) -> None:
    """E9: every appended batch is there again, durable or not."""
    await expect(await filled(place), 40)


async def test_recovery_runs_in_threads(place: Place) -> None:
    """The same with real threads and many logs."""
    async with place.open() as store:
        for partition in range(70):
            await append(log_of(store, partition=partition), *batches(3))
        killed = place.as_killed()
    async with killed.open(offload=ThreadOffload()) as store:
        assert len(store.existing()) == 70
        for partition in range(70):
            assert await read_all(store, log_of(store, partition=partition)) == joined(batches(3))


async def test_only_what_lies_above_the_recovery_point_is_read(place: Place) -> None:
    """A flipped bit below the recovery point is not noticed at the start: those bytes were synced and are not read."""
    killed = await filled(place)
    (killed.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n1\norders 0 35\n")
    first = killed.file(".log")
    data = bytearray(first.read_bytes())
    data[70] ^= 1
    first.write_bytes(data)
    async with killed.open() as store:
        assert log_of(store).log_end_offset == 40


async def test_a_tail_torn_anywhere_is_cut(place: Place) -> None:
    """Wherever the last batch ends early, all batches before it stay and the log goes on there."""
    async with place.open() as store:
        log = log_of(store)
        for part in batches(5):
            await append(log, part)
        killed = place.as_killed("original")
    whole = killed.file(".log").read_bytes()
    last = len(whole) // 5
    for missing in range(1, last):
        torn = killed.as_killed("torn")
        torn.file(".log").write_bytes(whole[:-missing])
        async with torn.open() as store:
            log = log_of(store)
            assert log.log_end_offset == 4
            assert torn.file(".log").read_bytes() == whole[:-last]
            assert log.begin_append([batch(b"next")]).base_offset == 4


@pytest.mark.parametrize("garbage", [bytes(5000), b"\xff" * 333, random.Random(1).randbytes(70_000)])
async def test_garbage_behind_the_last_batch_is_cut(place: Place, garbage: bytes) -> None:
    """Zeros, as a file system leaves them, or anything else that is no batch."""
    killed = await filled(place, segment_bytes=1 << 20)
    with killed.file(".log").open("ab") as file:
        file.write(garbage)
    await expect(killed, 40)


async def test_a_torn_tail_in_an_earlier_segment(place: Place) -> None:
    """A roll leaves an empty segment behind a torn one: it goes with the torn bytes."""
    killed = await filled(place, count=5, segment_bytes=1 << 20)
    log = killed.file(".log")
    log.write_bytes(log.read_bytes()[:-1])
    killed.file(".log", offset=5).write_bytes(b"")
    await expect(killed, 4)


async def test_a_lost_tail_in_an_earlier_segment(place: Place) -> None:
    """Of a segment that was rolled the last batches may be lost whole: the empty one behind it goes too. Else there
    would be a hole, and readers would wait in it."""
    killed = await filled(place, count=5, segment_bytes=1 << 20)
    log = killed.file(".log")
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 5 * 3])
    killed.file(".log", offset=5).write_bytes(b"")
    await expect(killed, 3)


async def damaged(place: Place, damage: Callable[[Place], object]) -> None:
    """After this the partition is offline, its files are as they were, and others go on."""
    async with place.open() as store:
        await append(log_of(store, "other"), batch(b"fine"))
    damage(place)
    (place.path / ".kafka_cleanshutdown").unlink()
    before = {path: path.read_bytes() for path in (place.path / "orders-0").iterdir() if path.suffix == ".log"}
    for _ in range(2):  # after a restart it is just the same
        async with place.open() as store:
            log = log_of(store)
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.begin_append([batch(b"no")])
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.log_end_offset  # noqa: B018
            assert await values_of(store, log_of(store, "other")) == [b"fine"]
        assert {path: path.read_bytes() for path in before} == before
        assert not (place.path / ".kafka_cleanshutdown").exists(), "a stop with damage about is not clean"


async def test_damage_in_the_middle_is_not_cut(place: Place) -> None:
    """A bad batch with valid ones behind it is damage: the partition is offline and nothing is touched."""
    killed = await filled(place, segment_bytes=1 << 20)

    def flip_a_bit(place: Place) -> None:
        data = bytearray(place.file(".log").read_bytes())
        data[len(data) // 2] ^= 4
        place.file(".log").write_bytes(data)
        (place.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n0\n")

    await damaged(killed, flip_a_bit)


async def test_a_flipped_offset_is_damage(place: Place) -> None:
    """Offsets lie outside the CRC: a batch that claims a later one must not make those behind it look torn."""
    for bit in range(31):
        killed = await filled(place, segment_bytes=1 << 20)

        def flip(place: Place, bit: int = bit) -> None:
            data = bytearray(place.file(".log").read_bytes())
            start = len(data) // 40 * 20
            data[start + 7 - bit // 8] ^= 1 << bit % 8
            place.file(".log").write_bytes(data)
            (place.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n0\n")

        await damaged(killed, flip)
        shutil.rmtree(place.path)


async def test_a_batch_inside_a_torn_record(place: Place) -> None:
    """A record may hold a batch of another log; torn, it is torn all the same."""
    async with place.open() as store:
        log = log_of(store)
        await append(log, *batches(3))
        await append(log, batch(bytes(batch(b"inner").data) + b"x" * 100))
        killed = place.as_killed()
    path = killed.file(".log")
    path.write_bytes(path.read_bytes()[:-50])
    (killed.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n0\n")
    await expect(killed, 3)


async def test_damage_before_a_later_segment_is_not_cut(place: Place) -> None:
    """A segment that ends early in front of another with records is damage."""
    killed = await filled(place)

    def cut_the_first(place: Place) -> None:
        data = place.file(".log").read_bytes()
        place.file(".log").write_bytes(data[:-5])
        (place.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n0\n")

    await damaged(killed, cut_the_first)


async def test_a_log_shorter_than_what_was_synced_is_damaged(place: Place) -> None:
    """Below the recovery point nothing can be torn: batches missing there were promised."""
    killed = await filled(place, segment_bytes=1 << 20)

    def cut_the_end(place: Place) -> None:
        data = place.file(".log").read_bytes()
        place.file(".log").write_bytes(data[: -len(data) // 3])

    await damaged(killed, cut_the_end)


async def test_a_log_without_segments_is_damaged(place: Place) -> None:
    """Segments removed by hand are not an empty log."""
    killed = await filled(place, segment_bytes=1 << 20)
    await damaged(killed, lambda place: place.file(".log").unlink())


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("damage", [None, b"", b"\0" * 12 * 8, b"\xff" * 24 * 7, b"x", b"\0\0\0\1\0\0\0\1" * 3])
async def test_indexes_are_caches(place: Place, clean: bool, suffix: str, damage: bytes | None) -> None:
    """E11: any index may be missing, empty, zeroed or garbage: every look-up answers the same, and it is repaired."""
    settings: dict[str, Any] = {"segment_bytes": 8000, "index_interval_bytes": 300}
    async with place.open() as store:
        log = log_of(store, **settings)
        for number, part in enumerate(batches(100)):
            await append(log, batch(bytes(part.data), timestamps=[1000 + 10 * number]))
    if not clean:
        place = place.as_killed()
    for path in (place.path / "orders-0").glob("*" + suffix):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
    async with place.open() as store:
        log = log_of(store, **settings)
        assert len(log.open().segments) > 2
        assert await read_all(store, log, max_bytes=500) == await read_all(store, log)
        for offset in (0, 1, 17, 50, 73, 99):
            assert len(await read_all(store, log, start=offset)) == (100 - offset) * (log.statistics().size // 100)
            found = await log.offset_for_time(1000 + 10 * offset)
            assert found is not None
            assert found.offset == offset
        latest = await log.offset_of_max_timestamp()
        assert latest is not None
        assert latest.offset == 99


async def test_an_index_from_another_time(place: Place) -> None:
    """An index whose batches are elsewhere is found out by the batches."""
    async with place.open() as store:
        log = log_of(store, index_interval_bytes=200)
        for part in batches(100):
            await append(log, part)
    index = place.file(".index")
    data = bytearray(index.read_bytes())
    data[7::8] = bytes(byte ^ 8 for byte in data[7::8])
    index.write_bytes(data)
    async with place.open() as store:
        log = log_of(store)
        for offset in (5, 50, 95):
            assert (await read_all(store, log, start=offset)) == joined(batches(100))[
                offset * len(joined(batches(1))) :
            ]


async def test_where_a_committed_read_ends_is_not_taken_from_another_index(place: Place) -> None:
    """The aborted transactions of a part of a segment: where that part ends is looked up in the index, too."""
    producer = ScriptedProducer(7)
    async with place.open() as store:
        log = log_of(store, index_interval_bytes=0)
        await append(log, producer.batch(b"aborted", b"too", transactional=True))
        await append(log, producer.marker(commit=False))
        for part in batches(50):
            await append(log, part)
    index = place.file(".index")
    data = bytearray(index.read_bytes())
    data[7::8] = bytes(byte ^ 8 for byte in data[7::8])
    index.write_bytes(data)
    async with place.open() as store:
        log = log_of(store)
        [found] = await store.read_many([Read(log, 0, 2000, log.high_watermark, committed=True)], 2000)
        assert isinstance(found, FetchedRecords), found
        assert 1000 < len(content(found)) <= 2000
        assert list(found.aborted) == [AbortedTransaction(7, 0)]


@pytest.mark.parametrize("reopened", [True, False])
@pytest.mark.parametrize("damage", ["cut", "gone", "zeros"])
async def test_indexes_damaged_while_they_are_in_use(place: Place, damage: str, reopened: bool) -> None:
    """Under a running broker just the same: the segment being written, and closed ones."""
    settings: dict[str, Any] = {"segment_bytes": 100_000, "index_interval_bytes": 0}
    async with place.open() as store:
        log = log_of(store, **settings)
        for number in range(2500):
            log.begin_append([batch(b"x", timestamps=[1000 + number])])
        if reopened:
            log.open().finish()
            log.opened = None
            store.data.recovery_points.clear()
        log.open()
        for path in (place.path / "orders-0").glob("*index"):
            if damage == "gone":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:20] if damage == "cut" else bytes(path.stat().st_size))
        assert len(log.open().segments) == 2
        for offset in (3, 700, 1400, 1499, 1600, 2400):
            assert len(await read_all(store, log, start=offset)) == (2500 - offset) * (log.statistics().size // 2500)
            found = await log.offset_for_time(1000 + offset)
            assert found is not None
            assert found.offset == offset


async def test_producers_survive(place: Place) -> None:
    """After a kill and after a clean stop alike: repetitions of the last five batches are known, gaps are refused."""
    producer = ScriptedProducer(9)
    async with place.open() as store:
        log = log_of(store, segment_bytes=400)
        for number in range(20):
            await append(log, producer.batch(b"%d" % number))
        killed = place.as_killed()
    for found in (killed, place):
        async with found.open() as store:
            log = log_of(store, segment_bytes=400)
            for back in range(5):
                repeated = log.begin_append([producer.repeat(back)])
                assert (repeated.duplicate, repeated.base_offset) == (True, 19 - back)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([ScriptedProducer(9, sequence=25).batch()])
            assert await append(log, ScriptedProducer(9, sequence=20).batch()) == 20


async def test_producers_survive_among_others(place: Place) -> None:
    """The last five batches of a producer are known again, however far back in the log, and in how many segments."""
    producer = ScriptedProducer(9)
    async with place.open() as store:
        log = log_of(store, segment_bytes=4000)
        offsets = []
        for number in range(7):
            offsets.append(await append(log, producer.batch(b"%d" % number)))
            for _ in range(30):
                await append(log, batch(bytes(3000)))
        killed = place.as_killed()
    for found in (killed, place):
        async with found.open() as store:
            log = log_of(store, segment_bytes=4000)
            for back in range(5):
                repeated = log.begin_append([producer.repeat(back)])
                assert (repeated.duplicate, repeated.base_offset) == (True, offsets[6 - back])


@pytest.mark.parametrize("damage", [None, b"", b"garbage", bytes(300)])
async def test_snapshots_are_caches(place: Place, damage: bytes | None) -> None:
    """Without a readable snapshot producers are replayed from the batches."""
    producer = ScriptedProducer(9)
    async with place.open() as store:
        log = log_of(store, segment_bytes=400)
        for number in range(20):
            await append(log, producer.batch(b"%d" % number))
    snapshots = list((place.path / "orders-0").glob("*.snapshot"))
    assert len(snapshots) > 2
    for path in snapshots:
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
    async with place.open() as store:
        assert log_of(store).begin_append([producer.repeat(4)]).duplicate


async def test_an_open_transaction_survives(place: Place) -> None:
    """The last stable offset, and what its end does to it, are the same after a kill and after a clean stop."""
    async with place.open() as store:
        log, producer = log_of(store), ScriptedProducer(9)
        await append(log, batch(b"before"))
        await append(log, producer.batch(b"a", transactional=True))
        await append(log, producer.marker(commit=False))
        await append(log, producer.batch(b"b", transactional=True))
        await append(log, batch(b"behind"))
        killed = place.as_killed()
    for found in (killed, place):
        async with found.open() as store:
            log = log_of(store)
            assert (log.last_stable_offset, log.high_watermark) == (3, 5)
            assert [span.first_offset for span in await log.aborted_transactions(0, 5)] == [1]
            await append(log, ScriptedProducer(9).marker(commit=False))
            assert log.last_stable_offset == 6
            assert [span.first_offset for span in await log.aborted_transactions(0, 6)] == [1, 3]


async def test_the_start_of_the_log_survives(place: Place) -> None:
    """Deleted records stay deleted, also those whose segment is still there."""
    async with place.open() as store:
        log = log_of(store, segment_bytes=2000)
        for part in batches(40):
            await append(log, part)
        assert await log.delete_before(25) == 25
        assert place.file(".log").exists() is False
        killed = place.as_killed()
    for found in (killed, place):
        async with found.open() as store:
            log = log_of(store)
            assert (log.log_start_offset, log.log_end_offset) == (25, 40)
            with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
                await read_all(store, log, start=24)


async def test_leader_epochs_are_rebuilt(place: Place) -> None:
    """Missing or torn, the epochs are read from the batches."""
    killed = await filled(place)
    for damage in (None, b"", b"0\n1\n"):
        path = killed.path / "orders-0" / "leader-epoch-checkpoint"
        path.unlink() if damage is None else path.write_bytes(damage)
        async with killed.open() as store:
            end = log_of(store).end_of_epoch(0)
            assert end is not None
            assert end.end_offset == 40


async def test_an_interrupted_deletion_is_finished(place: Place) -> None:
    """Directories and files that are marked as deleted go; unknown ones stay."""
    killed = await filled(place)
    doomed = killed.path / f"orders-1.{'0' * 32}-delete"
    doomed.mkdir()
    (doomed / "00000000000000000000.log").write_bytes(b"old")
    (killed.path / "orders-0" / "00000000000000000077.log.deleted").write_bytes(b"old")
    stranger = killed.path / "notes.txt"
    stranger.write_text("keep me")
    async with killed.open() as store:
        assert set(store.existing()) == {("orders", 0)}
    assert not doomed.exists()
    assert not any(name.endswith(".deleted") for name in killed.names())
    assert stranger.exists()
