"""Fetch: what is read, how long it waits, and what a session need not say twice."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import NewTopic
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.testing.contexts import World, versions_of, world
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch, build_end_txn_marker
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import PartitionChangeRecord, encode_record
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, ReplicaState
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from storage.engine import Batch, FetchedRecords
from storage.memory.engine import MemoryLog, MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

NOW = 1_700_000_000_000
READ_COMMITTED = 1


async def create(w: World, name: str = "t", partitions: int = 1) -> bytes:
    [topic] = await w.cluster.create_topics([NewTopic(name, partitions)])
    assert not isinstance(topic, Exception), topic
    return topic.topic_id


def append(w: World, topic: str = "t", partition: int = 0, *, count: int = 1, size: int = 100, **options: Any) -> None:
    """Put a batch into a log, as a producer's handler would."""
    data = build_batch([RecordData(index, NOW, None, bytes(size), ()) for index in range(count)], **options)
    found = w.services.partitions.get(topic, partition)
    assert found is not None
    found.log.begin_append([Batch(read_header(data), memoryview(data))])


def wanted(partition: int = 0, offset: int = 0, max_bytes: int = 1 << 20, **fields: Any) -> FetchPartition:
    return FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=max_bytes, **fields)


def request(*partitions: FetchPartition, topic: str = "t", **fields: Any) -> FetchRequest:
    topics = [FetchTopic(topic=topic, partitions=list(partitions))] if partitions else []
    return FetchRequest(**{"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 20, "topics": topics, **fields})


def sizes(response: FetchResponse) -> dict[int, int]:
    """Partition -> bytes of records."""
    return {part.partition_index: len(part.records or b"") for topic in response.responses for part in topic.partitions}


def codes(response: FetchResponse) -> list[ErrorCode]:
    return [ErrorCode(part.error_code) for topic in response.responses for part in topic.partitions]


@pytest.mark.parametrize("version", versions_of(FetchRequest, before=13))
async def test_records_come_back_as_they_were_stored(version: int) -> None:
    """P5: from the offset asked for to the high watermark, in every version that names topics."""
    async with world() as w:
        await create(w)
        append(w, count=3)
        part = (await w.ask(request(wanted()), version)).responses[0].partitions[0]
        assert (part.error_code, part.high_watermark, part.log_start_offset) == (0, 3, 0 if version >= 5 else -1)
        assert read_header(part.records).record_count == 3


@pytest.mark.parametrize("version", versions_of(FetchRequest, 13))
async def test_topics_by_id(version: int) -> None:
    """KIP-516: requests from v13 on name topics by id, and so does the answer."""
    async with world() as w:
        topic_id = await create(w)
        append(w)
        asked = request()
        asked.topics = [
            FetchTopic(topic_id=topic_id, partitions=[wanted(), wanted(9)]),
            FetchTopic(topic_id=b"\7" * 16, partitions=[wanted()]),
        ]
        reply = await w.ask(asked, version)
        assert reply.responses[0].topic_id == topic_id
        assert codes(reply) == [
            ErrorCode.NONE,
            ErrorCode.UNKNOWN_TOPIC_ID,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ]


async def test_an_empty_partition_answers_at_once_when_the_client_will_not_wait() -> None:
    """max_wait_ms=0 is a look."""
    async with world() as w:
        await create(w)
        assert sizes(await w.ask(request(wanted()), 12)) == {0: 0}


async def test_a_fetch_waits_for_an_append(autojump_clock: trio.testing.MockClock) -> None:
    """P6: a parked fetch wakes with the append that gives it min_bytes, not earlier and not at its deadline."""
    async with world() as w, trio.open_nursery() as nursery:
        await create(w)
        answered: list[float] = []

        async def fetch() -> None:
            reply = await w.ask(request(wanted(), max_wait_ms=5000, min_bytes=250), 12)
            answered.append(trio.current_time())
            assert sizes(reply)[0] >= 250

        nursery.start_soon(fetch)
        started = trio.current_time()
        for _ in range(2):
            await trio.sleep(1)
            assert not answered
            append(w, size=100)
        await trio.testing.wait_all_tasks_blocked()
        assert answered == [started + 2]


async def test_a_fetch_that_finds_nothing_ends_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """max_wait_ms bounds the wait; no fetch is left waiting for the partition."""
    async with world() as w:
        await create(w)
        started = trio.current_time()
        assert sizes(await w.ask(request(wanted(), max_wait_ms=500), 12)) == {0: 0}
        assert trio.current_time() == pytest.approx(started + 0.5, abs=0.01)
        partition = w.services.partitions.get("t", 0)
        assert partition is not None and not partition.watchers


async def test_a_deleted_topic_wakes_its_readers(autojump_clock: trio.testing.MockClock) -> None:
    """No fetch waits for records of a topic that is gone."""
    async with world() as w, trio.open_nursery() as nursery:
        topic_id = await create(w)
        seen: list[list[ErrorCode]] = []

        async def fetch() -> None:
            seen.append(codes(await w.ask(request(wanted(), max_wait_ms=30_000), 12)))

        nursery.start_soon(fetch)
        await trio.testing.wait_all_tasks_blocked()
        await w.cluster.delete_topics([topic_id])
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [[ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]


async def test_ten_thousand_parked_fetches_do_not_slow_an_append_elsewhere() -> None:
    """An append wakes the waiters of its partition only."""
    async with world() as w, trio.open_nursery() as nursery:
        await create(w, partitions=2)
        for _ in range(1000):
            nursery.start_soon(w.ask, request(wanted(1), max_wait_ms=60_000), 12)
        await trio.testing.wait_all_tasks_blocked()
        quiet, busy = (w.services.partitions.get("t", index) for index in (0, 1))
        assert quiet is not None and busy is not None
        assert (len(quiet.watchers), len(busy.watchers)) == (0, 1000)
        nursery.cancel_scope.cancel()


async def test_the_first_batch_is_given_whole_however_small_the_limit() -> None:
    """P9, KIP-74: a consumer with a small max_bytes still makes progress; others get nothing in that answer."""
    async with world() as w:
        await create(w, partitions=2)
        append(w, partition=0, size=5000)
        append(w, partition=1, size=5000)
        found = sizes(await w.ask(request(wanted(0, max_bytes=10), wanted(1, max_bytes=10), max_bytes=100), 12))
        assert found[0] > 5000 and found[1] == 0


@pytest.mark.parametrize("offset", [-1, 2, 1 << 40])
async def test_offsets_outside_the_log(offset: int) -> None:
    """OFFSET_OUT_OF_RANGE below the start and beyond the end; the end itself is just empty."""
    async with world() as w:
        await create(w)
        append(w)
        assert codes(await w.ask(request(wanted(offset=offset)), 12)) == [ErrorCode.OFFSET_OUT_OF_RANGE]
        assert codes(await w.ask(request(wanted(offset=1)), 12)) == [ErrorCode.NONE]


async def test_an_offline_partition_does_not_spoil_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: a log that cannot be opened is an error of its own partition, whatever is asked of it."""
    async with world() as w:
        await create(w, partitions=2)
        append(w, partition=1)
        offline = w.services.partitions.get("t", 0)
        assert offline is not None

        def refuse(self: MemoryLog) -> int:
            if self is offline.log:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
            return 1

        for name in ("high_watermark", "last_stable_offset"):
            monkeypatch.setattr(MemoryLog, name, property(refuse))
        for isolation_level in (0, READ_COMMITTED):
            reply = await w.ask(request(wanted(0), wanted(1), isolation_level=isolation_level), 12)
            assert codes(reply) == [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NONE]
            assert sizes(reply)[1] > 0


async def test_leader_epochs_are_compared() -> None:
    """KIP-320: a client that knows a newer leader than we are gets an error."""
    async with world() as w:
        await create(w)
        assert codes(await w.ask(request(wanted(current_leader_epoch=0)), 12)) == [ErrorCode.NONE]
        assert codes(await w.ask(request(wanted(current_leader_epoch=3)), 12)) == [ErrorCode.UNKNOWN_LEADER_EPOCH]


async def test_the_epochs_that_kafka_gave_are_those_of_metadata() -> None:
    """A cluster log that Kafka wrote has raised them; what Metadata answers a client, no other API holds against it."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with world(store=store) as w:
        topic_id = await create(w)
    changes = [PartitionChangeRecord(topic_id=topic_id, partition_id=0, leader=leader) for leader in (-1, 1)]
    data = build_batch([RecordData(0, NOW, None, encode_record(change)) for change in changes])
    store.log(METADATA_LOG).begin_append([Batch(read_header(data), memoryview(data))])
    async with world(store=store) as w:
        shown = (await w.ask(MetadataRequest(topics=[MetadataRequestTopic(name="t")]), 9)).topics[0].partitions[0]
        assert shown.leader_epoch == 2
        expected = {2: ErrorCode.NONE, 0: ErrorCode.FENCED_LEADER_EPOCH, 3: ErrorCode.UNKNOWN_LEADER_EPOCH}
        for epoch, code in expected.items():
            assert codes(await w.ask(request(wanted(current_leader_epoch=epoch)), 12)) == [code]


async def test_replicas_may_not_fetch() -> None:
    """A forged replica id gives no way round authorization (CVE-2018-1288)."""
    async with world() as w:
        topic_id = await create(w)
        append(w)
        assert codes(await w.ask(request(wanted(), replica_id=1), 12)) == [ErrorCode.TOPIC_AUTHORIZATION_FAILED]
        asked = request(replica_state=ReplicaState(replica_id=1, replica_epoch=1))
        asked.topics = [FetchTopic(topic_id=topic_id, partitions=[wanted()])]
        assert codes(await w.ask(asked, 17)) == [ErrorCode.TOPIC_AUTHORIZATION_FAILED]


async def test_read_committed_stops_at_the_last_stable_offset_and_lists_aborted_transactions() -> None:
    """P7: open transactions are not shown; aborted ones are named so that the client can skip them."""
    async with world() as w:
        await create(w)
        append(w)
        append(w, producer_id=5, producer_epoch=0, base_sequence=0, transactional=True)
        append(w)

        async def committed() -> Any:
            reply = await w.ask(request(wanted(), isolation_level=READ_COMMITTED), 12)
            return reply.responses[0].partitions[0]

        part = await committed()
        assert (part.high_watermark, part.last_stable_offset, part.aborted_transactions) == (3, 1, [])
        assert read_header(part.records).next_offset == 1 and len(part.records) == read_header(part.records).size

        marker = build_end_txn_marker(producer_id=5, producer_epoch=0, commit=False, coordinator_epoch=0, timestamp=NOW)
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        partition.log.begin_append([Batch(read_header(marker), memoryview(marker))])
        part = await committed()
        assert part.last_stable_offset == 4
        assert [(each.producer_id, each.first_offset) for each in part.aborted_transactions] == [(5, 1)]


async def test_an_isolation_level_that_is_none_is_refused() -> None:
    """INVALID_REQUEST rather than a guess what the reader may see; before v13 for each partition too."""
    async with world() as w:
        await create(w)
        asked = request(wanted(), isolation_level=2)
        assert codes(await w.ask(asked, 12)) == [ErrorCode.INVALID_REQUEST]
        assert (await w.ask(asked, 12)).error_code == ErrorCode.INVALID_REQUEST
        newer = await w.ask(asked, 13)
        assert (newer.error_code, newer.responses) == (ErrorCode.INVALID_REQUEST, [])


async def test_only_partitions_that_can_be_read_have_a_list_of_aborted_transactions() -> None:
    """Null where the offset or the epoch is wrong, empty where the partition is unknown: so does Kafka."""
    async with world() as w:
        await create(w)

        async def aborted(partition: FetchPartition) -> Any:
            return (await w.ask(request(partition, isolation_level=1), 12)).responses[0].partitions[0]

        assert (await aborted(wanted(offset=5))).aborted_transactions is None
        assert (await aborted(wanted(current_leader_epoch=5))).aborted_transactions is None
        assert (await aborted(wanted(9))).aborted_transactions == []
        assert (await aborted(wanted(current_leader_epoch=-2))).error_code == ErrorCode.NONE


# --- what is waited for


async def answered_after(w: World, asked: FetchRequest, version: int, *acts: Any) -> tuple[float, FetchResponse]:
    """(seconds until the answer, the answer), with each of `acts` done a second after the one before."""
    answers: list[tuple[float, FetchResponse]] = []
    started = trio.current_time()

    async def fetch() -> None:
        reply = await w.ask(asked, version)
        answers.append((trio.current_time() - started, reply))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch)
        for act in acts:
            await trio.sleep(1)
            if (left := act()) is not None:
                await left
    [(seconds, reply)] = answers
    return round(seconds, 2), reply


async def test_no_more_is_waited_for_than_may_be_given(autojump_clock: trio.testing.MockClock) -> None:
    """P12: min_bytes counts up to max_bytes, and what does not fit counts as there: waiting would not make it fit."""
    async with world() as w:
        await create(w, partitions=2)
        append(w, size=1000)
        append(w, size=1000)
        one = sizes(await w.ask(request(wanted(max_bytes=1)), 12))[0]
        never: dict[str, Any] = {"max_wait_ms": 9000}

        async def wait(*partitions: FetchPartition, **limits: int) -> tuple[float, dict[int, int]]:
            seconds, reply = await answered_after(w, request(*partitions, **never | limits), 12)
            return seconds, sizes(reply)

        assert await wait(wanted(), min_bytes=1 << 20, max_bytes=one + 100) == (0, {0: one + 100})
        assert await wait(wanted(), min_bytes=1 << 20, max_bytes=10) == (0, {0: one})
        assert await wait(wanted(), min_bytes=1 << 20, max_bytes=0) == (0, {0: one})
        assert await wait(wanted(offset=2), min_bytes=1 << 20, max_bytes=0) == (0, {0: 0})
        append(w, partition=1, size=1000)
        both = wanted(0, offset=1), wanted(1)
        assert await wait(*both, min_bytes=2 * one, max_bytes=one + 10) == (0, {0: one, 1: 0})
        # A partition counts up to its own limit only.
        assert await wait(wanted(max_bytes=10), min_bytes=one + 1) == (9, {0: one})
        narrow = wanted(0, offset=1), wanted(1, max_bytes=10)
        assert await wait(*narrow, min_bytes=one + 11) == (9, {0: one, 1: 0})
        assert await wait(*narrow, min_bytes=one + 10) == (0, {0: one, 1: 0})


async def test_a_lagging_reader_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    """What lies in the log is given, however an engine has cut it up: this took 54 s for what takes 0.1 s."""
    async with world() as w:
        await create(w)
        for size in (10, 100, 1000, 10_000, 700_000, 700_000, 700_000):
            append(w, size=size)
        asked = request(wanted(max_bytes=9 << 20), max_bytes=9 << 20, min_bytes=2_111_000, max_wait_ms=9000)
        seconds, reply = await answered_after(w, asked, 12)
        assert seconds == 0 and sizes(reply)[0] > 2_111_000


async def test_an_engine_that_stopped_short_keeps_no_fetch_waiting(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file ends, a read may end; the rest is in the next one, and Kafka does not wait there either."""
    async with world() as w:
        await create(w)
        append(w)
        asked = request(wanted(), min_bytes=5000, max_wait_ms=9000)
        assert (await answered_after(w, asked, 12))[0] == 9
        whole = MemoryStore.read_now

        def short(*arguments: Any) -> Any:
            return [found._replace(more=True) for found in whole(*arguments) if isinstance(found, FetchedRecords)]

        monkeypatch.setattr(MemoryStore, "read_now", short)
        seconds, reply = await answered_after(w, asked, 12)
        assert seconds == 0 and sizes(reply)[0] > 100


@pytest.mark.parametrize("version", [12, 18])
@pytest.mark.parametrize("in_session", [False, True])
async def test_a_partition_that_is_missing_keeps_the_others_waiting(
    version: int, in_session: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """P13: a client that still asks for a deleted topic beside a living one would else ask without a pause. As in Kafka
    it hears of it when the others are answered; and at once if nothing else is asked for."""
    async with world() as w:
        topic_id = await create(w)
        append(w)
        session: dict[str, Any] = {"session_id": 0, "session_epoch": 0} if in_session else {}
        none = FetchTopic(topic="nothing", topic_id=b"\7" * 16, partitions=[wanted()])

        def asked(*partitions: FetchPartition) -> FetchRequest:
            made = request(max_wait_ms=5000, **session)
            made.topics = [none]
            if partitions:
                made.topics.append(FetchTopic(topic="t", topic_id=topic_id, partitions=list(partitions)))
            return made

        unknown = ErrorCode.UNKNOWN_TOPIC_ID if version >= 13 else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        absent = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        for partitions, seconds, expected in (
            ([wanted(offset=1)], 5, [ErrorCode.NONE, unknown]),
            ([wanted(offset=1), wanted(9)], 5, [ErrorCode.NONE, unknown, absent]),
            ([wanted(0)], 0, [ErrorCode.NONE, unknown]),
            ([wanted(9)], 0, [unknown, absent]),
            ([], 0, [unknown]),
            ([wanted(offset=7)], 0, [ErrorCode.OFFSET_OUT_OF_RANGE, unknown]),
            ([wanted(offset=1, current_leader_epoch=4)], 0, [ErrorCode.UNKNOWN_LEADER_EPOCH, unknown]),
            ([wanted(offset=1, last_fetched_epoch=3)], 0, [ErrorCode.OFFSET_OUT_OF_RANGE, unknown]),
        ):
            took, reply = await answered_after(w, asked(*partitions), version)
            assert (took, codes(reply)) == (seconds, expected)
        took, reply = await answered_after(w, asked(wanted(offset=1)), version, lambda: append(w))
        assert (took, codes(reply)) == (1, [ErrorCode.NONE, unknown])
        if in_session:
            again = request(max_wait_ms=5000, session_id=reply.session_id, session_epoch=1)
            again.topics = [FetchTopic(topic="t", topic_id=topic_id, partitions=[wanted(offset=2)])]
            took, reply = await answered_after(w, again, version)
            assert (took, codes(reply)) == (5, [unknown])


async def test_what_was_missing_stays_so_until_the_answer(autojump_clock: trio.testing.MockClock) -> None:
    """Also if it is created meanwhile: the answer is about the request. The next one finds it."""
    async with world() as w:
        await create(w)
        asked = request(wanted(), max_wait_ms=5000)
        asked.topics.append(FetchTopic(topic="later", partitions=[wanted()]))
        seconds, reply = await answered_after(w, asked, 12, lambda: create(w, "later"))
        assert (seconds, codes(reply)) == (5, [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
        assert codes(await w.ask(asked, 12)) == [ErrorCode.NONE, ErrorCode.NONE]


@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("min_bytes", [1, 1 << 20])
@pytest.mark.parametrize("announced", [False, True])
async def test_the_numbers_are_those_of_the_moment_of_answering(
    in_session: bool, min_bytes: int, announced: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """P14: the start of a log that DeleteRecords moves while a Fetch waits, and whatever no engine announces."""
    async with world() as w:
        await create(w, partitions=2)
        for _ in range(4):
            append(w)
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        asked = request(wanted(offset=4), wanted(1), max_wait_ms=5000, min_bytes=min_bytes)
        if in_session:
            first = await opened(w, wanted(offset=4), wanted(1))
            asked = request(max_wait_ms=5000, min_bytes=min_bytes, session_id=first.session_id, session_epoch=1)

        def act() -> Any:
            return partition.log.delete_before(3) if announced else setattr(partition.log, "_start", 3)

        if in_session:  # what a request names is looked at
            asked.topics = [FetchTopic(topic="t", partitions=[wanted(offset=4)])]
        seconds, reply = await answered_after(w, asked, 12, act)
        starts = {part.partition_index: part.log_start_offset for part in reply.responses[0].partitions}
        assert (seconds, starts) == (5, {0: 3} if in_session else {0: 3, 1: 0})


@pytest.mark.parametrize("version", [12, 18])
@pytest.mark.parametrize("in_session", [False, True])
async def test_a_topic_that_is_deleted_and_made_again(
    version: int, in_session: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Deleted while a Fetch waits, it is a reason to answer; from then on it is missing. A session knows what the id
    meant: made again, the topic is another one (INCONSISTENT_TOPIC_ID), and not an id that never meant anything."""
    async with world() as w:
        living, doomed = await create(w), await create(w, "doomed")
        topics = [
            FetchTopic(topic="t", topic_id=living, partitions=[wanted()]),
            FetchTopic(topic="doomed", topic_id=doomed, partitions=[wanted()]),
        ]
        epoch = 0
        session_id = 0

        async def fetch(*acts: Any) -> tuple[float, list[ErrorCode]]:
            nonlocal epoch, session_id
            asked = request(max_wait_ms=5000 if epoch or not in_session else 0)
            asked.topics = topics if not in_session or epoch == 0 else []
            if in_session:
                asked.session_id, asked.session_epoch = session_id, epoch
                epoch += 1
            seconds, reply = await answered_after(w, asked, version, *acts)
            session_id = reply.session_id
            return seconds, [code for code in codes(reply) if code is not ErrorCode.NONE]

        by_id = version >= 13
        gone = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if in_session:
            assert await fetch() == (0, [])
        assert await fetch(lambda: w.cluster.delete_topics([doomed])) == (1, [gone])
        missing = ErrorCode.UNKNOWN_TOPIC_ID if by_id and not in_session else gone
        assert await fetch() == (5, [missing])
        assert await fetch(lambda: create(w, "doomed")) == (5, [missing])
        if not by_id:
            assert await fetch() == (5, [])
        else:
            assert await fetch() == ((0, [ErrorCode.INCONSISTENT_TOPIC_ID]) if in_session else (5, [missing]))


# --- sessions (KIP-227)


async def opened(w: World, *partitions: FetchPartition) -> FetchResponse:
    """The first, full answer of a session."""
    reply: FetchResponse = await w.ask(request(*partitions, session_id=0, session_epoch=0), 12)
    assert reply.session_id != 0
    return reply


async def test_a_session_answers_only_what_is_new() -> None:
    """The full answer lists every partition, later ones those with records or a new high watermark."""
    async with world() as w:
        await create(w, partitions=3)
        append(w, partition=0)
        first = await opened(w, wanted(0), wanted(1), wanted(2))
        assert sorted(sizes(first)) == [0, 1, 2]

        following = request(wanted(0, offset=1), session_id=first.session_id, session_epoch=1)
        assert sizes(await w.ask(following, 12)) == {}
        append(w, partition=2)
        second = await w.ask(request(session_id=first.session_id, session_epoch=2), 12)
        assert list(sizes(second)) == [2]


async def test_a_partition_that_gave_records_lets_the_others_go_first() -> None:
    """With a small max_bytes no partition starves. As in Kafka, the first answer of a session does not count."""
    async with world() as w:
        await create(w, partitions=2)
        for partition in (0, 1):
            for _ in range(3):
                append(w, partition=partition, size=3000)
        small: dict[str, Any] = {"max_bytes": 100}
        first = await w.ask(request(wanted(0), wanted(1), session_id=0, session_epoch=0, **small), 12)
        assert [bool(size) for size in sizes(first).values()] == [True, False]
        gave = []
        for epoch in range(1, 6):
            reply = await w.ask(request(session_id=first.session_id, session_epoch=epoch, **small), 12)
            gave += [partition for partition, size in sizes(reply).items() if size]
        assert gave == [0, 1, 0, 1, 0]


async def test_forgotten_partitions_are_not_read_any_more() -> None:
    """And a session that has become empty ends."""
    async with world() as w:
        await create(w, partitions=2)
        first = await opened(w, wanted(0), wanted(1))
        append(w, partition=0)
        append(w, partition=1)
        forget = [ForgottenTopic(topic="t", partitions=[0])]
        reply = await w.ask(request(session_id=first.session_id, session_epoch=1, forgotten_topics_data=forget), 12)
        assert list(sizes(reply)) == [1]


async def test_session_errors() -> None:
    """Unknown ids and epochs that do not follow: the client starts over."""
    async with world() as w:
        await create(w)
        first = await opened(w, wanted())

        async def error(session_id: int, epoch: int) -> ErrorCode:
            reply = await w.ask(request(wanted(), session_id=session_id, session_epoch=epoch), 12)
            code = ErrorCode(reply.error_code)
            assert code is ErrorCode.NONE or (reply.session_id, reply.responses) == (0, [])
            return code

        assert await error(first.session_id + 1, 1) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        assert await error(first.session_id, 7) is ErrorCode.INVALID_FETCH_SESSION_EPOCH
        assert await error(first.session_id, 1) is ErrorCode.NONE


async def test_an_unknown_topic_in_a_session_recovers_when_it_is_created() -> None:
    """An error is answered each time; its end is news."""
    async with world() as w:
        first = await opened(w, wanted())
        assert codes(first) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        await create(w)
        second = await w.ask(request(session_id=first.session_id, session_epoch=1), 12)
        assert codes(second) == [ErrorCode.NONE]
