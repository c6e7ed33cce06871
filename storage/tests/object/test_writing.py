"""From appends to commits: what goes together, what is retried, and what fails with what."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel

from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogAppend, WrongEnd
from storage.object.limits import Limits
from storage.testing.bucket import Fault as BucketFault
from storage.testing.control_plane import Fault, Line
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, batch, spec
from storage.tests.object.object_lab import AT_ONCE, Cluster, TrioTime, append, read_all

pytestmark = pytest.mark.usefixtures("autojump_clock")

WINDOWS = Limits(window_bytes=100_000, window_ms=250, idle_ms=25)


def cluster() -> Cluster:
    """One whose time is trio's."""
    return Cluster(TrioTime())


async def test_what_comes_together_is_one_object_and_one_commit() -> None:
    """Appends of several logs within the idle time share an object, whose footer names them."""
    place = cluster()
    async with place.broker(limits=WINDOWS) as store:
        logs = [store.log(spec("orders", number)) for number in range(5)]
        appends = [log.begin_append([batch(b"x" * 10)]) for log in logs for _ in range(3)]
        await store.wait_durable(appends)
        assert len(place.bucket.objects) == 1
        assert store.writer.statistics().rounds == 1
        assert [log.log_end_offset for log in logs] == [3] * 5


async def test_a_window_is_closed_when_nothing_is_uploaded() -> None:
    """25 ms after its first append; behind an upload that takes long, after 250 ms."""
    place = cluster()
    place.bucket._delay = lambda kind, size: 1.0 if kind == "put" else 0.0
    async with place.broker(limits=WINDOWS) as store:
        log = store.log(spec())
        first = log.begin_append([batch(b"first")])
        await trio.sleep(0.030)
        second = log.begin_append([batch(b"second")])
        began = trio.current_time()
        await first.wait_durable()
        assert round((trio.current_time() - began) * 1000) in range(990, 1000)
        await second.wait_durable()
        assert round((trio.current_time() - began) * 1000) in range(1250, 1260)


async def test_a_full_window_does_not_wait() -> None:
    """At its size it is uploaded at once, several side by side; commits keep their order."""
    place = cluster()
    place.bucket._delay = lambda kind, size: (size - 100_000) // 10_000 if kind == "put" else 0.0
    async with place.broker(limits=WINDOWS) as store:
        log = store.log(spec())
        began = trio.current_time()
        appends = [log.begin_append([batch(b"x" * (140_000 - 10_000 * number))]) for number in range(4)]
        await store.wait_durable(appends)
        assert round(trio.current_time() - began, 1) == 4.0
        assert [each.base_offset for each in appends] == [0, 1, 2, 3]
        assert store.writer.statistics().rounds == 1, "what was ready when the first was, joined it"


async def test_coordinators_do_not_wait_for_a_window() -> None:
    """Small appends of internal logs, and markers, go inline; an object has none of them."""
    place = cluster()
    async with place.broker(limits=WINDOWS) as store:
        log = store.log(spec("__consumer_offsets"))
        began = trio.current_time()
        await append(log, batch(b"x"))
        assert trio.current_time() == began
        assert not place.bucket.objects
        assert await read_all(store, log) == [b"x"]


async def test_inline_overtakes_no_append_of_its_log() -> None:
    """What is too large for a row is uploaded; what follows it in the same log waits for it."""
    place = cluster()
    async with place.broker(limits=WINDOWS) as store:
        log = store.log(spec("__consumer_offsets"))
        appends = [log.begin_append([batch(value)]) for value in (b"large" * 2000, b"small")]
        await appends[1].wait_durable()
        assert [each.base_offset for each in appends] == [0, 1]


@pytest.mark.parametrize("fault", [BucketFault.BUSY, BucketFault.LOST])
async def test_an_upload_is_repeated_until_it_succeeds(fault: BucketFault) -> None:
    """With the same key and the same bytes (the bucket asserts that)."""
    place = cluster()
    place.bucket.plan("put", fault, fault)
    async with place.broker() as store:
        log = store.log(spec())
        await append(log, batch(b"a"))
        assert await read_all(store, log) == [b"a"]
        assert len(place.bucket.objects) == 1


async def test_an_upload_that_does_not_come_about_fails() -> None:
    """In less than producers wait; the log takes the next append where the last one ended."""
    place = cluster()
    async with place.broker() as store:
        log = store.log(spec())
        await append(log, batch(b"a"))
        place.bucket.down = True
        began = trio.current_time()
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            await append(log, batch(b"lost"))
        assert trio.current_time() - began <= 20
        place.bucket.down = False
        assert (await append(log, batch(b"b"))).base_offset == 1
        assert await read_all(store, log) == [b"a", b"b"]
        assert store.writer.buffered == 0


async def test_a_lane_fails_with_its_first_batch() -> None:
    """E22: A producer that the log does not know must not get in with its second batch, as if that were its first.
    Other producers, and other logs, are not concerned."""
    place = cluster()
    limits = WINDOWS._replace(window_bytes=1000, uploads=1)
    async with place.broker(limits=limits) as store:
        log, other = store.log(spec()), store.log(spec("other"))
        one, two = ScriptedProducer(1), ScriptedProducer(2)
        place.bucket.plan("put", BucketFault.REFUSED)
        lost = log.begin_append([one.batch(b"x" * 1000)])
        second = log.begin_append([one.batch(b"y" * 1000)])
        third = log.begin_append([two.batch(b"z" * 1000)])
        elsewhere = other.begin_append([ScriptedProducer(1).batch(b"e" * 1000)])
        for failed in (lost, second):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await failed.wait_durable()
        await store.wait_durable([third, elsewhere])
        assert (third.base_offset, elsewhere.base_offset) == (0, 0)
        again = log.begin_append([one.repeat(back=1)]), log.begin_append([one.repeat()])
        await store.wait_durable(again)
        assert [each.base_offset for each in again] == [1, 2]
        assert [value[:1] for value in await read_all(store, log) if value] == [b"z", b"x", b"y"]


async def test_conditional_appends_fail_with_the_one_before() -> None:
    """E4: The second expects the end of the first."""
    place = cluster()
    limits = WINDOWS._replace(window_bytes=1000, uploads=1)
    async with place.broker(limits=limits) as store:
        log = store.log(spec())
        place.bucket.plan("put", BucketFault.REFUSED)
        first = log.begin_append([batch(b"x" * 1000)], expected_end=0)
        second = log.begin_append([batch(b"y" * 1000)], expected_end=1)
        for failed in (first, second):
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await failed.wait_durable()
        assert log.log_end_offset == 0


@pytest.mark.parametrize("size", [10, 1500])
async def test_a_chain_breaks_wherever_the_log_ends(size: int) -> None:
    """E4: Another broker has appended just as much as the first of two conditional appends would have: the second does
    not get in where that ends. In two objects, and inline."""
    place, line = cluster(), Line()
    place.bucket._delay = lambda kind, size: 0.5
    line.delay_ms = lambda operation: 100.0
    limits = WINDOWS._replace(window_bytes=1000, uploads=1)
    async with place.broker(limits=limits, line=line) as store, place.broker(2) as other:
        log = store.log(spec("__state"))
        await append(other.log(spec("__state")), batch(b"of another"))
        first = log.begin_append([batch(b"x" * size)], expected_end=0)
        await trio.sleep(0.02)
        second = log.begin_append([batch(b"y" * size)], expected_end=1)
        for failed in (first, second):
            with pytest.raises(WrongEnd):
                await failed.wait_durable()
        again = log.begin_append([batch(b"again")], expected_end=1)
        await again.wait_durable()
        assert await read_all(store, log) == [b"of another", b"again"]


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_commit_is_repeated_until_there_is_an_answer(fault: Fault) -> None:
    """E20: It happens once, whether the request or its answer was lost, or it happens late."""
    place, line = cluster(), Line()
    async with place.broker(line=line) as store:
        log = store.log(spec())
        await append(log, batch(b"a"))
        line.plant("commit", fault, times=2)
        appends = [log.begin_append([batch(b"%d" % number)]) for number in range(3)]
        await store.wait_durable(appends)
        assert [each.base_offset for each in appends] == [1, 2, 3]
        assert log.log_end_offset == 4
        await trio.sleep(5)
        assert await read_all(store, log) == [b"a", b"0", b"1", b"2"]


async def test_a_replaced_broker_writes_nothing() -> None:
    """E23: Another process has taken its node id: everything fails, with a code that makes clients try elsewhere."""
    place = cluster()
    async with place.broker(1) as old:
        log = old.log(spec())
        await append(log, batch(b"a"))
        async with place.broker(1) as new:
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await append(log, batch(b"zombie"))
            assert old.statistics().has_stopped
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                log.begin_append([batch(b"again")])
            assert await read_all(new, new.log(spec())) == [b"a"]


async def test_appends_wait_for_room() -> None:
    """What is not committed is bounded: clients wait before they append, and far too much is refused."""
    place = cluster()
    place.bucket._delay = lambda kind, size: 1.0 if kind == "put" else 0.0
    limits = AT_ONCE._replace(buffered_bytes=10_000, window_bytes=1)
    async with place.broker(limits=limits) as store:
        log = store.log(spec())
        await store.make_ready([log])
        for _ in range(3):
            log.begin_append([batch(b"x" * 6000)])
        assert not log.is_ready
        log.begin_append([batch(b"x" * 6000)])
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            log.begin_append([batch(b"x" * 6000)])
        began = trio.current_time()
        await store.make_ready([log])
        assert trio.current_time() > began and log.is_ready


async def test_a_decision_and_its_markers_are_one_commit() -> None:
    """E18: With a decision that is refused, no marker is written."""
    place = cluster()
    async with place.broker() as store:
        producer, log, decisions = ScriptedProducer(1), store.log(spec()), store.log(spec("__transaction_state"))
        await append(log, producer.batch(b"x", transactional=True))
        before = store.writer.statistics().rounds
        decision = decisions.begin_append([batch(b"commit")], expected_end=0)
        [marker] = await store.append_all([LogAppend(log, (producer.marker(commit=True),))], after=decision)
        assert not isinstance(marker, KafkaError | WrongEnd)
        await store.wait_durable([decision, marker])
        assert store.writer.statistics().rounds == before + 1
        assert log.last_stable_offset == 2


async def test_closing_commits_what_was_begun() -> None:
    """A store that is closed lets every append come to its end first."""
    place = cluster()
    async with place.broker(limits=WINDOWS) as store:
        begun = store.log(spec()).begin_append([batch(b"a")])
    assert begun.durable
    async with place.broker() as store:
        assert await read_all(store, store.log(spec())) == [b"a"]
