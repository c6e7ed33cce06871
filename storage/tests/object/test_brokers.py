"""Several brokers over one database and one bucket: each sees what the others have done, and none harms another."""

from __future__ import annotations

import pytest
import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import Read, WrongEnd
from storage.store_settings import ProducerRules, StoreSettings
from storage.testing.control_plane import Line
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, batch, content, spec, values
from storage.tests.object.object_lab import Cluster, TrioTime, append, read_all

pytestmark = pytest.mark.usefixtures("autojump_clock")

VERIFYING = StoreSettings(producers=ProducerRules(verify=True))


def cluster() -> Cluster:
    """One whose time is trio's."""
    return Cluster(TrioTime())


async def test_brokers_append_to_the_same_log() -> None:
    """Offsets are dense and unique, whichever of them appends; each reads all of it."""
    place = cluster()
    async with place.broker(1) as one, place.broker(2) as two:
        logs = one.log(spec()), two.log(spec())
        found: list[int] = []

        async def write(number: int) -> None:
            for _ in range(20):
                found.append((await append(logs[number], batch(b"%d" % number))).base_offset)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, 0)
            nursery.start_soon(write, 1)
        assert sorted(found) == list(range(40))
        assert await read_all(one, logs[0]) == await read_all(two, logs[1])


async def test_a_waiting_reader_hears_of_what_another_broker_appends() -> None:
    """Once its read has found the end; soon, and only while it is watched the database is asked."""
    place, line = cluster(), Line()
    async with place.broker(1) as one, place.broker(2, line=line) as two, trio.open_nursery() as nursery:
        await append(one.log(spec()), batch(b"a"))
        log = two.log(spec())
        await two.refresh([log])
        nursery.start_soon(two.maintain)
        heard = trio.Event()
        log.on_advance = heard.set
        await trio.sleep(10)
        before = line.calls["positions"]
        await trio.sleep(10)
        assert line.calls["positions"] == before, "nothing is watched"
        [found] = await two.read_many([Read(log, 1, 1000, 1)], 1000)
        assert content(found) == b""
        await append(one.log(spec()), batch(b"b"))
        began = trio.current_time()
        await heard.wait()
        assert trio.current_time() - began < 0.5
        [found] = await two.read_many([Read(log, 1, 1000, 2)], 1000)
        assert values(content(found)) == [b"b"]
        nursery.cancel_scope.cancel()


async def test_no_reader_is_out_of_range_because_its_broker_is_late() -> None:
    """E24: A consumer that comes from another broker may be ahead of what this one knows; only beyond what there is it
    is out of range."""
    place = cluster()
    async with place.broker(1) as one, place.broker(2) as two:
        log = two.log(spec())
        for value in (b"a", b"b", b"c"):
            await append(one.log(spec()), batch(value))
        assert log.high_watermark == 0
        assert two.read_now([Read(log, 2, 1000, 3)], 1000) is None
        [found] = await two.read_many([Read(log, 2, 1000, 3)], 1000)
        assert values(content(found)) == [b"c"]
        [found] = await two.read_many([Read(log, 4, 1000, 4)], 1000)
        assert isinstance(found, KafkaError) and found.code is ErrorCode.OFFSET_OUT_OF_RANGE


async def test_a_consumer_that_keeps_up_asks_neither_database_nor_bucket() -> None:
    """What a broker has appended it serves from memory."""
    place, line = cluster(), Line()
    async with place.broker(line=line) as store:
        log = store.log(spec())
        for number in range(10):
            await append(log, batch(b"%d" % number), batch(b"x"))
            asked, got = sum(line.calls.values()), place.bucket.statistics().gets.done
            answers = store.read_now([Read(log, 2 * number, 1000, log.high_watermark)], 1000)
            assert answers is not None and values(content(answers[0])) == [b"%d" % number, b"x"]
            assert (sum(line.calls.values()), place.bucket.statistics().gets.done) == (asked, got)


async def test_a_conditional_append_finds_out_that_another_broker_was_there() -> None:
    """E4: With the end that the log has, so that its coordinator knows how far to read."""
    place = cluster()
    async with place.broker(1) as one, place.broker(2) as two:
        await append(one.log(spec("__state")), batch(b"a"), expected_end=0)
        with pytest.raises(WrongEnd) as refusal:
            await append(two.log(spec("__state")), batch(b"b"), expected_end=0)
        assert refusal.value.actual == 1


async def test_any_broker_recognises_a_repetition() -> None:
    """The answer was lost with its broker: the next one gives it."""
    place, producer = cluster(), ScriptedProducer(7)
    async with place.broker(1) as one:
        await append(one.log(spec()), producer.batch(b"a"))
        await append(one.log(spec()), producer.batch(b"b"))
    async with place.broker(2) as two:
        again = await append(two.log(spec()), producer.repeat(back=1))
        assert (again.duplicate, again.base_offset) == (True, 0)


async def test_a_marker_of_another_broker_voids_a_guard() -> None:
    """E16: The coordinator was asked here, and has ended the transaction there: no hanging one is opened. The producer
    is told to try again, and then its coordinator is asked again."""
    place, producer = cluster(), ScriptedProducer(1)
    async with place.broker(1, settings=VERIFYING) as one, place.broker(2, settings=VERIFYING) as two:
        log = one.log(spec())
        guard = log.start_verification(1, 0, 0, epoch_bump=False)
        await append(two.log(spec()), producer.marker(commit=False))
        late = producer.batch(b"late", transactional=True)
        begun = log.begin_append([late], guard=guard)
        with refused(ErrorCode.NOT_ENOUGH_REPLICAS):
            await begun.wait_durable()
        again = log.start_verification(1, 0, 0, epoch_bump=False)
        assert again is not None and again is not guard
        await log.begin_append([late], guard=again).wait_durable()
        assert log.last_stable_offset == 1


async def test_a_batch_that_was_let_in_before_another_broker_ended_its_transaction_is_tried_again() -> None:
    """E16: It needs no guard, since its transaction was open here; on its way to the log this broker hears of what
    others have appended, the marker among it. Its producer may have begun the next transaction, so it is not told that
    it has made a mistake, on which clients give up."""
    place, producer = cluster(), ScriptedProducer(1)
    async with place.broker(1, settings=VERIFYING) as one, place.broker(2, settings=VERIFYING) as two:
        log = one.log(spec())
        guard = log.start_verification(1, 0, 0, epoch_bump=False)
        await log.begin_append([producer.batch(b"a", transactional=True)], guard=guard).wait_durable()
        assert log.start_verification(1, 0, 1, epoch_bump=False) is None
        await append(two.log(spec()), producer.marker(commit=True))
        await one.refresh([log])
        late = producer.batch(b"b", transactional=True)
        with refused(ErrorCode.NOT_ENOUGH_REPLICAS):
            await log.begin_append([late]).wait_durable()
        guard = log.start_verification(1, 0, 1, epoch_bump=False)
        assert guard is not None
        await log.begin_append([late], guard=guard).wait_durable()
        assert (log.last_stable_offset, log.log_end_offset) == (2, 3)


async def test_a_transaction_goes_on_at_another_broker() -> None:
    """The leader of a partition may move in the middle of one: the coordinator is asked again, and that is all."""
    place, producer = cluster(), ScriptedProducer(1)
    async with place.broker(1, settings=VERIFYING) as one, place.broker(2, settings=VERIFYING) as two:
        guard = one.log(spec()).start_verification(1, 0, 0, epoch_bump=True)
        await one.log(spec()).begin_append([producer.batch(b"a", transactional=True)], guard=guard).wait_durable()
        log = two.log(spec())
        guard = log.start_verification(1, 0, 1, epoch_bump=True)
        assert guard is not None
        await log.begin_append([producer.batch(b"b", transactional=True)], guard=guard).wait_durable()
        await append(one.log(spec()), producer.marker(commit=False, epoch=1))
        await two.refresh([log])
        [found] = await two.read_many([Read(log, 0, 1 << 20, log.last_stable_offset, committed=True)], 1 << 20)
        assert not isinstance(found, KafkaError)
        assert list(found.aborted) == [(1, 0)]


async def test_a_log_deleted_elsewhere_is_gone() -> None:
    """Its readers and writers here are refused, with a code that makes clients look again."""
    place = cluster()
    async with place.broker(1) as one, place.broker(2) as two:
        await append(one.log(spec()), batch(b"a"))
        log = two.log(spec())
        await two.refresh([log])
        await one.delete_logs([spec()])
        with refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
            await append(log, batch(b"b"))
        await two.refresh([log])
        [found] = await two.read_many([Read(log, 0, 1000, 1)], 1000)
        assert isinstance(found, KafkaError) and found.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        await two.delete_logs([spec()])


async def test_the_database_may_be_away_for_a_while() -> None:
    """Reads of what is in memory go on, appends wait, and nothing is lost or doubled."""
    place, line = cluster(), Line()
    async with place.broker(line=line) as store:
        log = store.log(spec())
        await append(log, batch(b"a"))
        line.down = True
        waiting = log.begin_append([batch(b"b")])
        await trio.sleep(60)
        assert not waiting.durable
        assert await store.read_many([Read(log, 0, 1000, 1)], 1000)
        line.down = False
        await waiting.wait_durable()
        assert await read_all(store, log) == [b"a", b"b"]
