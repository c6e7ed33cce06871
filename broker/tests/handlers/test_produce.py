"""Produce: what is appended, what is refused, and when the answer comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker.context import CloseConnection
from broker.coordinators.cluster import NewTopic
from broker.handlers import produce as handler
from broker.testing.contexts import World, versions_of, world
from kproto.batches import validate
from kproto.batches.compression import Codec, compress
from kproto.batches.header import HEADER_SIZE, assemble, compute_crc, read_header
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import ErrorCode
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    TopicProduceData,
)
from storage.memory.engine import MemoryAppend
from storage.seams.offload import Arguments, InlineOffload, Lane, Result

NOW = 1_700_000_000_000


def batch(count: int = 1, *, timestamp: int = NOW, key: bytes | None = b"k", **options: Any) -> bytearray:
    return build_batch([RecordData(index, timestamp, key, b"v" * 100, ()) for index in range(count)], **options)


def request(records: Any, *, topic: str = "t", partition: int = 0, acks: int = 1, **fields: Any) -> ProduceRequest:
    data = PartitionProduceData(index=partition, records=records)
    return ProduceRequest(
        acks=acks, timeout_ms=1000, topic_data=[TopicProduceData(name=topic, partition_data=[data])], **fields
    )


async def produced(w: World, records: Any, version: int = 12, **fields: Any) -> PartitionProduceResponse:
    """The answer for the one partition of a request."""
    response = await w.ask(request(records, **fields), version)
    part: PartitionProduceResponse = response.responses[0].partition_responses[0]
    return part


async def create(w: World, name: str = "t", partitions: int = 1, **configs: str) -> bytes:
    """A topic; returns its id."""
    [topic] = await w.cluster.create_topics(
        [NewTopic(name, partitions, configs={key.replace("_", "."): value for key, value in configs.items()})]
    )
    assert not isinstance(topic, Exception), topic
    return topic.topic_id


async def stored(w: World, topic: str = "t") -> list[RecordData]:
    """Every record of partition 0."""
    part = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
    response = await w.ask(FetchRequest(topics=[FetchTopic(topic=topic, partitions=[part])]), 4)
    data, found = response.responses[0].partitions[0].records, []
    while data:
        size = 12 + int.from_bytes(data[8:12], "big")
        found += list(iter_records(bytes(data[:size])))
        data = data[size:]
    return found


@pytest.mark.parametrize("version", versions_of(ProduceRequest, before=13))
async def test_batches_get_consecutive_offsets(version: int) -> None:
    """P1: the base offset in the answer is the place in the log, in every version."""
    async with world() as w:
        await create(w)
        first, second = await produced(w, batch(3), version), await produced(w, batch(2), version)
        assert (first.error_code, first.base_offset, second.base_offset) == (0, 0, 3)
        assert [record.offset for record in await stored(w)] == [0, 1, 2, 3, 4]


async def test_topics_by_id() -> None:
    """KIP-516: v13 names topics by id; an id that is not there has a code of its own."""
    async with world() as w:
        topic_id = await create(w)
        for wanted, code in ((topic_id, ErrorCode.NONE), (b"\7" * 16, ErrorCode.UNKNOWN_TOPIC_ID)):
            data = PartitionProduceData(index=0, records=batch())
            asked = ProduceRequest(
                acks=-1, timeout_ms=1000, topic_data=[TopicProduceData(topic_id=wanted, partition_data=[data])]
            )
            reply = await w.ask(asked, 13)
            assert reply.responses[0].topic_id == wanted
            assert reply.responses[0].partition_responses[0].error_code == code


@pytest.mark.parametrize("acks", [1, -1])
async def test_a_duplicate_is_answered_with_the_original_offset(acks: int) -> None:
    """P2: a retry of an idempotent producer is not appended again, and its answer is the first one's.

    The time in it is the batch's largest, as in Kafka's.
    """
    async with world() as w:
        await create(w)
        await produced(w, batch())
        idempotent: dict[str, Any] = {"producer_id": 7, "producer_epoch": 0}
        first = await produced(w, batch(2, base_sequence=0, **idempotent), acks=acks)
        await produced(w, batch(1, base_sequence=2, **idempotent), acks=acks)
        again = await produced(w, batch(2, base_sequence=0, **idempotent), acks=acks)
        assert (first.log_append_time_ms, again.log_append_time_ms) == (-1, (await stored(w))[2].timestamp)
        assert (again.error_code, again.base_offset) == (0, first.base_offset) == (0, 1)
        assert len(await stored(w)) == 4


async def test_a_gap_in_the_sequence_is_refused() -> None:
    """P2: what an idempotent producer has lost on the way is not papered over."""
    async with world() as w:
        await create(w)
        await produced(w, batch(producer_id=7, producer_epoch=0, base_sequence=0))
        answer = await produced(w, batch(producer_id=7, producer_epoch=0, base_sequence=5))
        assert ErrorCode(answer.error_code) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("count", [1, 4000])
async def test_compressed_batches_are_opened_and_kept_as_they_are(codec: Codec, count: int) -> None:
    """Small ones are opened in the event loop, large ones in a thread; what is stored is what was sent."""
    async with world() as w:
        await create(w)
        answer = await produced(w, batch(count, compression=codec))
        assert answer.error_code == 0
        assert len(await stored(w)) == count


async def test_a_topic_that_wants_another_codec_gets_it() -> None:
    """compression.type: the batch is recompressed, its records stay what they were."""
    async with world() as w:
        await create(w, compression_type="zstd")
        assert (await produced(w, batch(10, compression=Codec.GZIP))).error_code == 0
        records = await stored(w)
        assert [(record.key, record.timestamp) for record in records] == [(b"k", NOW)] * 10


async def test_log_append_time() -> None:
    """message.timestamp.type=LogAppendTime: the broker's clock stamps the batch, and the answer has the time."""
    async with world() as w:
        await create(w, message_timestamp_type="LogAppendTime")
        answer = await produced(w, batch(timestamp=5))
        assert answer.log_append_time_ms == (await stored(w))[0].timestamp > NOW


async def test_create_time_is_not_told() -> None:
    """With CreateTime the answer's time is -1."""
    async with world() as w:
        await create(w)
        assert (await produced(w, batch())).log_append_time_ms == -1


async def test_timestamps_out_of_bounds_name_their_records() -> None:
    """KIP-937 and KIP-467: INVALID_TIMESTAMP, with a line for each record."""
    async with world() as w:
        await create(w, message_timestamp_before_max_ms="1000")
        answer = await produced(w, batch(2, timestamp=5))
        assert ErrorCode(answer.error_code) is ErrorCode.INVALID_TIMESTAMP
        assert [each.batch_index for each in answer.record_errors] == [0, 1]


async def test_the_topics_own_size_limit_counts() -> None:
    """max.message.bytes of the topic, upwards and downwards."""
    async with world() as w:
        await create(w, max_message_bytes="150")
        await create(w, "wide", max_message_bytes="3000000")
        large = build_batch([RecordData(0, NOW, None, bytes(2_000_000), ())])
        assert ErrorCode((await produced(w, batch(2))).error_code) is ErrorCode.MESSAGE_TOO_LARGE
        assert (await produced(w, large, topic="wide")).error_code == 0


async def test_one_bad_partition_does_not_hold_back_the_others() -> None:
    """Each partition of a request has its own outcome."""
    async with world() as w:
        await create(w, partitions=2)
        data = [
            PartitionProduceData(index=0, records=batch()),
            PartitionProduceData(index=1, records=b"noise" * 20),
            PartitionProduceData(index=2, records=batch()),
        ]
        asked = ProduceRequest(acks=1, timeout_ms=1000, topic_data=[TopicProduceData(name="t", partition_data=data)])
        reply = await w.ask(asked, 9)
        codes = [ErrorCode(part.error_code) for part in reply.responses[0].partition_responses]
        assert codes == [ErrorCode.NONE, ErrorCode.CORRUPT_MESSAGE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]


async def test_internal_topics_are_not_for_clients() -> None:
    """Coordinators write them; a client learns that the name is not valid."""
    async with world() as w:
        await w.cluster.ensure_internal_topic("__consumer_offsets")
        answer = await produced(w, batch(), topic="__consumer_offsets")
        assert ErrorCode(answer.error_code) is ErrorCode.INVALID_TOPIC_EXCEPTION


@pytest.mark.parametrize("acks", [2, -2, 100])
async def test_acks_that_do_not_exist(acks: int) -> None:
    """0, 1 and -1 are all there is."""
    async with world() as w:
        await create(w)
        answer = await produced(w, batch(), acks=acks)
        assert ErrorCode(answer.error_code) is ErrorCode.INVALID_REQUIRED_ACKS


async def test_acks_0_is_never_answered() -> None:
    """P4: success says nothing, failure closes the connection."""
    async with world() as w:
        await create(w)
        assert await w.ask(request(batch(), acks=0), 9) is None
        assert len(await stored(w)) == 1
        for refused in (request(b"noise" * 20, acks=0), request(batch(), acks=0, topic="unknown")):
            with pytest.raises(CloseConnection):
                handler.handle(refused, w.context(9))


@pytest.mark.parametrize(("acks", "reached", "waits"), [(-1, False, True), (1, True, True), (1, False, False)])
async def test_who_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch, acks: int, reached: bool, waits: bool) -> None:
    """P3: acks=all does, and acks=1 when the engine says that flush.messages is reached."""
    synced = trio.Event()

    async def wait_durable(self: MemoryAppend) -> None:
        await synced.wait()

    async with world() as w:
        await create(w)
        monkeypatch.setattr(MemoryAppend, "durable", property(lambda self: synced.is_set()))
        monkeypatch.setattr(MemoryAppend, "durable_on_ack", property(lambda self: reached))
        monkeypatch.setattr(MemoryAppend, "wait_durable", wait_durable)
        answers = []

        async def produce() -> None:
            answers.append(await produced(w, batch(), acks=acks))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            await trio.testing.wait_all_tasks_blocked()
            assert (answers == []) == waits
            synced.set()
        assert [answer.error_code for answer in answers] == [0]


async def test_acks_all_times_out_as_asked(monkeypatch: pytest.MonkeyPatch, autojump_clock: Any) -> None:
    """P3: timeout_ms bounds the wait for the disk; the batch may still become durable: the code says "unknown"."""
    async with world() as w:
        await create(w)

        async def never(self: MemoryAppend) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(MemoryAppend, "durable", property(lambda self: False))
        monkeypatch.setattr(MemoryAppend, "wait_durable", never)
        answer = await produced(w, batch(), acks=-1)
        assert ErrorCode(answer.error_code) is ErrorCode.REQUEST_TIMED_OUT


@pytest.mark.parametrize("version", versions_of(ProduceRequest, 5, before=13))
async def test_a_refusal_says_where_the_log_starts_if_the_log_was_asked(version: int) -> None:
    """Apache Kafka was seen to answer -1 to what it refuses before it looks at the log, to a batch that is too
    large or damaged, and the log's start to all other refusals."""
    good = batch()
    numbered: dict[str, Any] = {"producer_id": 7, "producer_epoch": 4}
    wrong_crc, other_offset, unknown_codec = (bytearray(good) for _ in range(3))
    wrong_crc[17] ^= 1
    other_offset[7] = 1
    unknown_codec[22] = 5
    unknown_codec[17:21] = compute_crc(unknown_codec, 0, len(good)).to_bytes(4, "big")
    cases = [
        (b"", ErrorCode.INVALID_RECORD, -1),
        (good + good, ErrorCode.INVALID_RECORD, -1),
        (batch(transactional=True), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1),
        (batch(100, compression=Codec.NONE), ErrorCode.MESSAGE_TOO_LARGE, -1),
        (wrong_crc, ErrorCode.CORRUPT_MESSAGE, -1),
        (unknown_codec, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, -1 if version < 7 else 3),
        (other_offset, ErrorCode.INVALID_RECORD, 3),
        (batch(control=True), ErrorCode.INVALID_RECORD, 3),
        (batch(base_sequence=9, **numbered), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 3),
        (batch(producer_id=7, producer_epoch=3, base_sequence=0), ErrorCode.INVALID_PRODUCER_EPOCH, 3),
        (batch(timestamp=2**62), ErrorCode.INVALID_TIMESTAMP, 3),
    ]
    async with world() as w:
        await create(w, max_message_bytes="1000")
        await produced(w, batch(5, base_sequence=0, **numbered))
        to_three = DeleteRecordsTopic(name="t", partitions=[DeleteRecordsPartition(partition_index=0, offset=3)])
        await w.ask(DeleteRecordsRequest(topics=[to_three], timeout_ms=1000), 2)
        for records, code, start in cases:
            answer = await produced(w, records, version)
            assert (ErrorCode(answer.error_code), answer.log_start_offset) == (code, start)
        nowhere = await produced(w, good, version, partition=7)
        assert (ErrorCode(nowhere.error_code), nowhere.log_start_offset) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)


def broken(count: int, *, codec: int = 0) -> bytearray:
    """A batch whose header and checksum are right, and whose last record has a header count beyond the batch."""
    data = batch(count)
    records = bytes(data[HEADER_SIZE:-1]) + b"\x7e"
    return assemble(read_header(data)._replace(attributes=codec), compress(codec, records))


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("small", {(1, 0), (4, 0), (1, 1), (4, 1)}),
        ("all", {(1, 0), (4, 0), (5, 0), (500, 0), (1, 1), (4, 1), (5, 1), (500, 1)}),
        ("none", set()),
    ],
)
async def test_an_unreadable_record_is_refused(setting: str, refused: set[tuple[int, int]]) -> None:
    """ottla.validate.records: of small batches, of all, of none; compressed or not, with Kafka's INVALID_RECORD."""
    async with world({"ottla.validate.records": setting}) as w:
        await create(w)
        found = set()
        for count in (1, 4, 5, 500):
            for codec in (Codec.NONE, Codec.GZIP):
                assert (await produced(w, batch(count, compression=codec))).error_code == 0, "what is sound is taken"
                answer = await produced(w, broken(count, codec=codec))
                if answer.error_code:
                    assert ErrorCode(answer.error_code) is ErrorCode.INVALID_RECORD
                    assert (answer.record_errors, answer.log_start_offset) == ([], 0)
                    found.add((count, int(codec)))
        assert found == refused


async def test_what_a_topic_needs_is_looked_at_whatever_is_set() -> None:
    """A compacted topic reads every record, and refuses what it could not clean."""
    async with world({"ottla.validate.records": "none"}) as w:
        await create(w, cleanup_policy="compact")
        for count in (1, 500):
            assert (await produced(w, batch(count))).error_code == 0
            assert ErrorCode((await produced(w, broken(count))).error_code) is ErrorCode.INVALID_RECORD


class _Counting(InlineOffload):
    """Notes which lane each piece of work asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: list[Lane] = []

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        self.lanes.append(lane)
        return await super().run(work, *arguments, abandonable=abandonable, lane=lane)


@pytest.mark.parametrize(
    ("records", "heavy"),
    [
        (batch(3000, compression=Codec.ZSTD), True),
        (batch(1000, compression=Codec.ZSTD), False),
        (build_batch([RecordData(0, NOW, b"k", None, ())] * 5000), True),
        (build_batch([RecordData(0, NOW, b"k", None, ())] * 4000), False),
        (build_batch([RecordData(0, NOW, b"k", None, (("h", None),) * 5000)]), True),
    ],
    ids=["much output", "little output", "many records", "fewer records", "many headers"],
)
async def test_long_work_has_a_lane_of_its_own(records: bytearray, heavy: bool) -> None:
    """What would hold the loop for more than some milliseconds is done elsewhere, and not where the disk is waited
    for."""
    async with world() as w:
        await create(w, cleanup_policy="compact")
        w.services.offload = offload = _Counting()
        assert (await produced(w, records)).error_code == 0
        assert offload.lanes == ([Lane.BATCHES] if heavy else [])


async def test_the_batches_of_a_request_share_what_is_done_at_once() -> None:
    """Many batches, each of them little work: what goes beyond the bound for the request goes elsewhere."""
    async with world() as w:
        await create(w, partitions=10, cleanup_policy="compact")
        w.services.offload = offload = _Counting()
        one = build_batch([RecordData(0, NOW, b"k", None, ())] * 1000)
        data = [PartitionProduceData(index=index, records=bytearray(one)) for index in range(10)]
        asked = ProduceRequest(acks=1, timeout_ms=1000, topic_data=[TopicProduceData(name="t", partition_data=data)])
        reply = await w.ask(asked, 9)
        assert [part.error_code for part in reply.responses[0].partition_responses] == [0] * 10
        assert offload.lanes == [Lane.BATCHES] * 6


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
async def test_what_comes_to_much_is_taken(codec: Codec) -> None:
    """60,000 log lines in one batch, 20 MB of them: max.message.bytes bounds what is sent, not what it stands for."""
    line = b" ".join([b"2026-10-13 12:00:00 INFO", b"a line of a log that says much the same as the one before " * 5])
    lines = [RecordData(0, NOW + number, None, line, ()) for number in range(60_000)]
    async with world() as w:
        await create(w, max_message_bytes="3000000")
        assert (await produced(w, build_batch(lines, compression=codec))).error_code == 0


async def test_a_topic_may_bound_each_record() -> None:
    """max.decompressed.message.bytes, of the broker and of the topic."""
    data = build_batch([RecordData(0, NOW, None, bytes(2000), ())], compression=Codec.GZIP)
    async with world({"max.decompressed.message.bytes": "1000"}) as w:
        await create(w)
        await create(w, "wide", max_decompressed_message_bytes="3000")
        answer = await produced(w, bytearray(data))
        assert (ErrorCode(answer.error_code), answer.log_start_offset) == (ErrorCode.INVALID_RECORD, 0)
        assert (await produced(w, bytearray(data), topic="wide")).error_code == 0


async def test_a_compacted_topic_takes_no_batch_that_a_cleaner_could_not_take_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Very many records in one, or bytes that come to very much: a Java producer splits such a batch."""
    monkeypatch.setattr(validate, "MOST_RECORDS", 100)
    zeros = build_batch([RecordData(0, NOW, b"k", bytes(40 << 20), ())], compression=Codec.ZSTD)
    many = build_batch([RecordData(0, NOW, b"k", None, ())] * 101)
    for cleanup_policy, code in (("compact", ErrorCode.MESSAGE_TOO_LARGE), ("delete", ErrorCode.NONE)):
        async with world() as w:
            await create(w, cleanup_policy=cleanup_policy)
            for records in (zeros, many):
                assert ErrorCode((await produced(w, bytearray(records))).error_code) is code
