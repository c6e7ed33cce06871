"""What is done by and by: nothing that is needed goes, and everything else does."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, LogSpec, PartitionLog, Read
from storage.object.control_plane import DELETION_GRACE_MS, RunsQuestion, StoredRun
from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.store_settings import CleanerSettings, StoreSettings
from storage.testing.bucket import Fault, MemoryBucket
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, as_batch, batch, content, spec, values
from storage.tests.object.object_lab import AT_ONCE, Cluster, TrioTime, append, read_all

pytestmark = pytest.mark.usefixtures("autojump_clock")

SOON = AT_ONCE._replace(upkeep_ms=20_000, merge_from=5)
UNMERGED = SOON._replace(merge_from=1000)


def cluster() -> Cluster:
    """One whose time is trio's."""
    return Cluster(TrioTime())


async def run_upkeep(store: ObjectStore, *specs: LogSpec, seconds: float = 800) -> None:
    """Let the store keep these logs for so long."""
    with trio.move_on_after(seconds):
        await store.maintain(lambda: specs)


def rows(place: Cluster, log: PartitionLog) -> list[StoredRun]:
    """The rows of a log."""
    found = place.database.runs(RunsQuestion(log.log_id, 0, 1 << 40, 1 << 40))  # type: ignore[attr-defined]
    assert found is not None
    return list(found.runs)


def keyed(*pairs: tuple[bytes, bytes | None], timestamp: int = 0) -> Batch:
    """One batch of these keys and values."""
    return as_batch(build_batch([RecordData(timestamp=timestamp, key=key, value=value) for key, value in pairs]))


async def test_retention_deletes_objects_after_a_grace() -> None:
    """The start of the log moves, its readers go on there; the bytes go when no plan of a reader can name them."""
    place = cluster()
    kept = spec(retention_bytes=3000, retention_ms=-1)
    async with place.broker(limits=UNMERGED) as store:
        log = store.log(kept)
        for _ in range(10):
            await append(log, batch(b"x" * 900))
        await run_upkeep(store, kept, seconds=330)
        assert log.log_start_offset == 6
        with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
            [found] = await store.read_many([Read(log, 5, 1000, 10)], 1000)
            content(found)
        assert len(place.bucket.objects) == 10
        await run_upkeep(store, kept, seconds=DELETION_GRACE_MS / 1000 + 100)
        assert len(place.bucket.objects) < 10
        assert len(await read_all(store, log, 6)) == 4


async def test_retention_by_time() -> None:
    """By the largest timestamp of a run, and by the database's clock."""
    place = cluster()
    kept = spec(retention_ms=100_000)
    async with place.broker(limits=SOON) as store:
        log = store.log(kept)
        await append(log, batch(b"old", timestamps=[place.clock.wall_millis()]))
        await append(log, batch(b"new", timestamps=[place.clock.wall_millis() + 600_000]))
        await run_upkeep(store, kept, seconds=310)
        assert (log.log_start_offset, log.log_end_offset) == (1, 2)


async def test_the_objects_of_a_deleted_log_go() -> None:
    """Those that hold nothing of another log."""
    place = cluster()
    async with place.broker(limits=SOON) as store:
        gone, stays = store.log(spec("gone")), store.log(spec("stays"))
        await append(gone, batch(b"a"))
        await store.wait_durable([gone.begin_append([batch(b"b")]), stays.begin_append([batch(b"c")])])
        assert len(place.bucket.objects) == 2
        await store.delete_logs([gone.spec])
        await run_upkeep(store)
        assert len(place.bucket.objects) == 1
        assert await read_all(store, stays) == [b"c"]


async def test_orphans_are_collected() -> None:
    """E21: What was uploaded and never committed goes, once its hour is long over; what was committed stays."""
    place = cluster()
    async with place.broker(limits=SOON) as store:
        log = store.log(spec())
        await append(log, batch(b"kept"))
        hour = next(iter(place.bucket.objects)).split("/")[1]
        for key in (f"w/{hour}/7-orphan", f"m/{hour}/7-orphan", "w/strange", "something-else"):
            await place.bucket.put(key, [b"x"])
        await run_upkeep(store, seconds=3600)
        assert len(place.bucket.objects) == 5
        await run_upkeep(store, seconds=3 * 3600)
        assert sorted(key for key in place.bucket.objects if hour not in key) == ["something-else", "w/strange"]
        assert len(place.bucket.objects) == 3
        assert await read_all(store, log) == [b"kept"]


async def test_many_small_runs_become_one() -> None:
    """Offsets, records, producers and aborted transactions are what they were; the log has one row."""
    place = cluster()
    async with place.broker(limits=SOON) as store:
        log, producer = store.log(spec()), ScriptedProducer(1)
        for number in range(10):
            await append(log, batch(b"%d" % number * 200))
            await append(log, producer.batch(b"t", transactional=True))
            await append(log, producer.marker(commit=number % 2 == 0))
        before = await read_all(store, log)
        aborted = list(await log.aborted_transactions(0, 30))
        assert len(rows(place, log)) == 30
        await run_upkeep(store, log.spec)
        assert len(rows(place, log)) == 1
        assert len(place.bucket.objects) == 1
        async with place.broker(2) as fresh:
            for reader in (store, fresh):
                other = reader.log(spec())
                assert await read_all(reader, other) == before
                [found] = await reader.read_many([Read(other, 0, 1 << 20, 30, committed=True)], 1 << 20)
                assert not isinstance(found, KafkaError)
                assert list(found.aborted) == aborted


async def test_a_reader_with_an_old_plan_plans_again() -> None:
    """Its object has been merged away and deleted meanwhile."""
    place = cluster()
    async with place.broker(limits=SOON) as store, place.broker(2, limits=SOON._replace(cache_bytes=1)) as reader:
        log = store.log(spec())
        for number in range(10):
            await append(log, batch(b"%d" % number * 900))
        place.bucket.plan("get", Fault.GONE)
        assert len(await read_all(reader, reader.log(spec()))) == 10


async def test_a_long_segment_is_read_in_pieces() -> None:
    """A read in the middle of it asks the bucket for the footer, once, and for what is wanted."""
    place = cluster()
    limits = SOON._replace(block_bytes=200_000, cache_bytes=1)
    async with place.broker(limits=limits) as store:
        log = store.log(spec(retention_ms=-1))
        for number in range(40):
            await append(log, batch(b"%d" % number, b"x" * 50_000, timestamps=[1000 + number, 1000]))
        await run_upkeep(store, log.spec)
        assert len(rows(place, log)) == 1
        got = place.bucket.statistics().gets.bytes
        [found] = await store.read_many([Read(log, 41, 100, 80)], 100)
        assert values(content(found))[0] == b"20"
        assert place.bucket.statistics().gets.bytes - got < 400_000
        assert len(await read_all(store, log)) == 80
        for number in (0, 7, 39):
            at = await log.offset_for_time(1000 + number)
            assert at is not None and at.offset == 2 * number
        latest = await log.offset_of_max_timestamp()
        assert latest is not None and latest.offset == 78


async def test_compaction_keeps_the_newest_of_each_key() -> None:
    """And all offsets; a tombstone goes after its time, and the newest run is not touched."""
    place = cluster()
    kept = spec(compact=True, delete=False, min_cleanable_dirty_ratio=0.0, delete_retention_ms=100_000)
    async with place.broker(limits=UNMERGED) as store:
        log = store.log(kept)
        for number in range(30):
            await append(log, keyed((b"a", b"%d" % number), (b"b%d" % number, b"x" * 100)))
        await append(log, keyed((b"b7", None), (b"last", b"y")))
        await append(log, keyed((b"a", b"newest")))
        await run_upkeep(store, kept, seconds=60)
        found = await read_all(store, log)
        assert found.count(b"x" * 100) == 29
        assert [value for value in found if value != b"x" * 100] == [b"29", None, b"y", b"newest"]
        assert (log.log_start_offset, log.log_end_offset) == (0, 63)
        await append(log, keyed((b"more", b"z")))
        await run_upkeep(store, kept, seconds=200)
        await append(log, keyed((b"more", b"z")))
        await run_upkeep(store, kept, seconds=60)
        assert None not in await read_all(store, log)
        async with place.broker(2) as other:
            assert await read_all(other, other.log(kept)) == await read_all(store, log)
        assert await store.blobs(kept).stored() == []


async def test_compaction_forgets_aborted_transactions_with_their_records() -> None:
    """A reader of committed data that has the old records in memory still leaves them out."""
    place = cluster()
    kept = spec(compact=True, delete=False, min_cleanable_dirty_ratio=0.0, delete_retention_ms=0)
    async with place.broker(limits=UNMERGED) as store, place.broker(2) as late:
        log, producer = store.log(kept), ScriptedProducer(1)
        fields: dict[str, Any] = {"producer_id": 1, "producer_epoch": 0, "transactional": True}
        records = [RecordData(timestamp=0, key=b"k", value=b"aborted")]
        await append(log, as_batch(build_batch(records, base_sequence=0, **fields)))
        await append(log, producer.marker(commit=False))
        for number in range(5):
            await append(log, keyed((b"a", b"%d" % number)))
        await append(log, producer.batch(b"t", sequence=1, transactional=True))
        other = late.log(kept)
        assert b"aborted" in await read_all(late, other)
        for _ in range(4):
            await append(log, producer.marker(commit=True))
            await append(log, keyed((b"a", b"again")))
            await run_upkeep(store, kept, seconds=60)
        assert not await log.aborted_transactions(0, 10)
        await late.refresh([other])
        [found] = await late.read_many([Read(other, 0, 1 << 20, other.last_stable_offset, committed=True)], 1 << 20)
        assert not isinstance(found, KafkaError)
        assert b"aborted" not in values(content(found)) or found.aborted


async def test_damage_is_an_error_and_nothing_is_skipped() -> None:
    """E25: One run is corrupt: reads of it fail with CORRUPT_MESSAGE, other logs of the object are read, and a bit that
    only the wire has turned is read again."""
    place = cluster()
    limits = Limits(idle_ms=0, cache_bytes=1)
    async with place.broker(limits=limits) as store:
        left, right = store.log(spec("left")), store.log(spec("right"))
        await store.wait_durable([left.begin_append([batch(b"l" * 500)]), right.begin_append([batch(b"r" * 500)])])
        await append(store.log(spec("other")), batch(b"o"))
        key = next(key for key, data in place.bucket.objects.items() if b"lll" in data)
        place.bucket.plan("get", Fault.CORRUPT)
        assert await read_all(store, left) == [b"l" * 500]
        store.cache.clear()
        place.bucket.flip(key, place.bucket.objects[key].index(b"lll"))
        with refused(ErrorCode.CORRUPT_MESSAGE):
            await read_all(store, left)
        assert await read_all(store, right) == [b"r" * 500]


async def test_each_log_is_merged_by_the_broker_that_looks_after_it() -> None:
    """And by no other; what is no single log's is tidied by one. When a broker is gone, the others have its part."""
    place = cluster()
    logs = [spec(f"t{number}") for number in range(4)]
    async with place.broker(1, limits=SOON) as one, place.broker(2, limits=SOON) as two:
        for each in logs:
            for _ in range(6):
                await append(one.log(each), batch(b"x" * 900))
        kept_by_one = [each.topic_id for each in logs[:2]]
        one.share_upkeep(lambda topic_id, partition: topic_id in kept_by_one, lambda: True)
        two.share_upkeep(lambda topic_id, partition: topic_id == logs[2].topic_id, lambda: False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_upkeep, one, *logs)
            nursery.start_soon(run_upkeep, two, *logs)
        assert [len(rows(place, one.log(each))) for each in logs] == [1, 1, 1, 6]
        made = [key.split("/")[2].split("-")[0] for key in place.bucket.objects if key.startswith("m/")]
        assert sorted(made) == ["1", "2"]
        shared = [store.statistics().shared for store in (one, two)]
        assert [each.objects if each else None for each in shared] == [8, -1], "one broker counts objects"
        two.share_upkeep(lambda topic_id, partition: True, lambda: True)
        await run_upkeep(two, *logs, seconds=60)
        assert len(rows(place, one.log(logs[3]))) == 1


async def test_merging_goes_on_until_no_log_has_enough_runs() -> None:
    """Also where one log has more than a step of merging takes."""
    place = cluster()
    async with place.broker(limits=SOON._replace(merge_bytes=10_000)) as store:
        log = store.log(spec())
        for _ in range(60):
            await append(log, batch(b"x" * 900))
        await run_upkeep(store, log.spec, seconds=30)
        assert len(rows(place, log)) <= 60 // 9 + SOON.merge_from


async def test_upkeep_takes_its_share_of_the_time_and_no_more() -> None:
    """However long the bucket takes for each request: a step of merging is followed by a rest."""
    place = cluster()
    place.bucket = MemoryBucket(delay=lambda kind, size: 1.0)
    limits = SOON._replace(merge_bytes=10_000, upkeep_share=0.2)
    async with place.broker(limits=limits) as store:
        log = store.log(spec())
        for _ in range(60):
            await append(log, batch(b"x" * 900))
        begun = place.bucket.statistics().puts.done
        await run_upkeep(store, log.spec, seconds=20 + 60)
        steps = place.bucket.statistics().puts.done - begun
        assert 60 * 0.2 / 3 <= steps <= 60 * 0.2 / 2 + 1, "each step waits for a get and a put, 2 s in all"


async def test_compaction_keeps_to_the_rate_that_is_set() -> None:
    """log.cleaner.io.max.bytes.per.second, of what is read and written."""
    place = cluster()
    kept = spec(compact=True, delete=False, min_cleanable_dirty_ratio=0.0)
    settings = StoreSettings(cleaner=CleanerSettings(bytes_per_second=1000.0))
    async with place.broker(limits=UNMERGED, settings=settings) as store:
        log = store.log(kept)
        for number in range(20):
            await append(log, keyed((b"a", b"%d" % number * 500)))
        size = log.size
        await run_upkeep(store, kept, seconds=15 + size / 1000)
        assert store.statistics().cleaner.cleanings == 0  # type: ignore[union-attr]
        await run_upkeep(store, kept, seconds=15 + 4 * size / 1000)
        assert store.statistics().cleaner.cleanings == 1  # type: ignore[union-attr]
