"""Bad input, at the socket of a real broker process.

What breaks the wire closes its connection, and only that; what is understood and refused gets Kafka's exact code.
Either way the next client is served, nothing is lost, and memory stays where it was.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from struct import pack
from typing import Any

import psutil
import pytest

import ottla
from kproto.batches.compression import Codec, compress
from kproto.batches.header import HEADER_SIZE, compute_crc
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.framing import frame_prefix
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.metadata import MetadataRequest
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.wire.client import WireClient

TOPIC, COMPACTED = "hostile", "hostile-compacted"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def broker() -> Iterator[ottla.Broker]:
    with ottla.Broker() as running:
        with WireClient(running.port) as client:
            compacted = CreatableTopicConfig(name="cleanup.policy", value="compact")
            reply = client.call(
                CreateTopicsRequest(
                    topics=[
                        CreatableTopic(name=TOPIC, num_partitions=1, replication_factor=1),
                        CreatableTopic(name=COMPACTED, num_partitions=1, replication_factor=1, configs=[compacted]),
                    ]
                ),
                5,
            )
            assert [topic.error_code for topic in reply.topics] == [0, 0]
        yield running


@pytest.fixture(autouse=True)
def next_client_is_served(broker: ottla.Broker) -> Iterator[None]:
    """After each test: a new client is answered, and what was acknowledged before is still there."""
    with WireClient(broker.port) as client:
        before = client.call(produce(good_batch()), 9).responses[0].partition_responses[0]
        assert before.error_code == 0
    yield
    with WireClient(broker.port, timeout=10) as client:
        assert client.call(MetadataRequest(topics=None), 9).topics
        assert end_offset(client) > before.base_offset


def good_batch(**options: Any) -> bytearray:
    return build_batch([RecordData(0, 1_700_000_000_000, b"key", b"value" * 10, ())], **options)


def produce(records: Any, *, topic: str = TOPIC, partition: int = 0, acks: int = 1, **fields: Any) -> ProduceRequest:
    data = PartitionProduceData(index=partition, records=records)
    return ProduceRequest(
        acks=acks, timeout_ms=5000, topic_data=[TopicProduceData(name=topic, partition_data=[data])], **fields
    )


def end_offset(client: WireClient) -> int:
    asked = ListOffsetsTopic(name=TOPIC, partitions=[ListOffsetsPartition(partition_index=0, timestamp=-1)])
    offset: int = client.call(ListOffsetsRequest(replica_id=-1, topics=[asked]), 6).topics[0].partitions[0].offset
    return offset


def closes(broker: ottla.Broker, data: bytes) -> str:
    """Send bytes as they are and wait until the broker closes the connection; returns our address, as it saw it."""
    with closing(socket.create_connection(("127.0.0.1", broker.port), 10)) as sock:
        sock.sendall(data)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
        host, port = sock.getsockname()
        return f"{host}:{port}"


def with_crc(batch: bytearray) -> bytearray:
    """The batch with its CRC made right."""
    batch[17:21] = compute_crc(batch, 0, len(batch)).to_bytes(4, "big")
    return batch


def changed(at: int, data: bytes, *, crc: bool = True, **options: Any) -> bytearray:
    """A good batch with some bytes replaced."""
    batch = good_batch(**options)
    batch[at : at + len(data)] = data
    return with_crc(batch) if crc else batch


def compressed(codec: int, payload: bytes, count: int = 1) -> bytearray:
    """A batch that claims `count` records in `payload`, which stands for the compressed records."""
    batch = good_batch()[:HEADER_SIZE] + payload
    batch[8:12] = pack(">i", len(batch) - 12)
    batch[21:23] = pack(">h", codec)
    batch[23:27] = pack(">i", count - 1)
    batch[57:61] = pack(">i", count)
    return with_crc(batch)


REQUEST_HEADER = pack(">hhih", 3, 9, 1, -1) + b"\0"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        pack(">i", -1),
        pack(">i", 2**31 - 1),
        pack(">i", 104_857_601),
        frame_prefix(0),
        frame_prefix(5) + b"\0\x12\0\0\0",
        frame_prefix(10) + pack(">hhih", 999, 0, 1, -1),
        frame_prefix(10) + pack(">hhih", 3, 14, 1, -1),
        frame_prefix(10) + pack(">hhih", 0, 2, 1, -1),  # Produce v2 is advertised and not served, as in Kafka
        frame_prefix(10) + pack(">hhih", 3, 1, 1, -2),
        frame_prefix(10) + pack(">hhih", 3, 1, 1, 500),
        frame_prefix(len(REQUEST_HEADER) + 5) + REQUEST_HEADER + b"\xff\xff\xff\xff\x0f",  # two billion topics
    ],
    ids=lambda data: data[:12].hex(),
)
def test_bytes_that_are_no_request_close_the_connection(broker: ottla.Broker, data: bytes) -> None:
    """A peer that breaks the wire is cut off at once."""
    assert closes(broker, data)


def test_any_garbage_closes_or_waits_and_does_no_harm(broker: ottla.Broker) -> None:
    """Three hundred connections of random bytes; the fixture then asks for service."""
    dice = random.Random(7)
    for _ in range(300):
        with closing(socket.create_connection(("127.0.0.1", broker.port), 10)) as sock:
            noise = dice.randbytes(dice.randrange(1, 400))
            sock.sendall(frame_prefix(len(noise)) + noise if dice.random() < 0.7 else noise)


def test_every_truncation_of_a_request_waits_for_the_rest(broker: ottla.Broker) -> None:
    """Half a request is no request: the broker waits, and forgets it when the peer leaves."""
    with WireClient(broker.port) as client:
        whole = client.encode(produce(good_batch()), 9)
    with WireClient(broker.port) as client:
        before = end_offset(client)
    for length in range(len(whole)):
        with closing(socket.create_connection(("127.0.0.1", broker.port), 10)) as sock:
            sock.sendall(whole[:length])
    with WireClient(broker.port) as client:
        assert end_offset(client) == before


BATCHES = [
    ("crc", changed(HEADER_SIZE + 3, b"X", crc=False), ErrorCode.CORRUPT_MESSAGE),
    ("crc field", changed(17, b"\0\0\0\0", crc=False), ErrorCode.CORRUPT_MESSAGE),
    ("magic 0", changed(16, b"\0"), ErrorCode.INVALID_RECORD),
    ("magic 1", changed(16, b"\1"), ErrorCode.INVALID_RECORD),
    ("magic 3", changed(16, b"\3"), ErrorCode.CORRUPT_MESSAGE),
    ("length below the header", changed(8, pack(">i", 20)), ErrorCode.CORRUPT_MESSAGE),
    ("length beyond the data", changed(8, pack(">i", 5000)), ErrorCode.INVALID_RECORD),
    ("negative length", changed(8, pack(">i", -5)), ErrorCode.CORRUPT_MESSAGE),
    ("count does not fit the delta", changed(57, pack(">i", 2)), ErrorCode.INVALID_RECORD),
    ("no records", changed(23, pack(">i", -1)), ErrorCode.INVALID_RECORD),
    ("base offset", changed(0, pack(">q", 5)), ErrorCode.INVALID_RECORD),
    ("two batches", good_batch() + good_batch(), ErrorCode.INVALID_RECORD),
    ("control", changed(21, pack(">h", 0x20)), ErrorCode.INVALID_RECORD),
    ("transactional", changed(21, pack(">h", 0x10)), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    ("unknown codec", changed(21, pack(">h", 5)), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
    ("nothing", b"", ErrorCode.INVALID_RECORD),
    ("null", None, ErrorCode.INVALID_RECORD),
    ("noise", bytes(range(200)), ErrorCode.CORRUPT_MESSAGE),
    *((f"broken {codec.name}", compressed(codec, b"\x01noise"), ErrorCode.INVALID_RECORD) for codec in list(Codec)[1:]),
    (
        "fewer records than counted",
        compressed(Codec.LZ4, bytes(compress(Codec.LZ4, good_batch()[HEADER_SIZE:])), count=2),
        ErrorCode.INVALID_RECORD,
    ),
    ("too large", build_batch([RecordData(0, 0, None, bytes(1_100_000), ())]), ErrorCode.MESSAGE_TOO_LARGE),
    (
        "far in the future",
        build_batch([RecordData(0, 1 << 45, b"k", b"v", ())]),
        ErrorCode.INVALID_TIMESTAMP,
    ),
]


@pytest.mark.parametrize(("records", "code"), [row[1:] for row in BATCHES], ids=[row[0] for row in BATCHES])
def test_a_bad_batch_is_refused_with_its_code(broker: ottla.Broker, records: Any, code: ErrorCode) -> None:
    """The exact code, nothing appended, and the connection goes on."""
    with WireClient(broker.port) as client:
        before = end_offset(client)
        reply = client.call(produce(records), 9).responses[0].partition_responses[0]
        assert ErrorCode(reply.error_code) is code
        assert reply.base_offset == -1
        assert end_offset(client) == before


def test_a_bad_batch_with_acks_0_closes_the_connection(broker: ottla.Broker) -> None:
    """The producer reads no replies: closing is how Kafka reports it."""
    with WireClient(broker.port) as client:
        client.socket.sendall(client.encode(produce(changed(16, b"\3"), acks=0), 9, expect_reply=False))
        assert client.socket.recv(1) == b""


def test_records_without_keys_are_named_on_a_compacted_topic(broker: ottla.Broker) -> None:
    """KIP-467: which records, and why."""
    records = build_batch([RecordData(0, 0, b"k", b"v", ()), RecordData(1, 0, None, b"v", ())])
    with WireClient(broker.port) as client:
        reply = client.call(produce(records, topic=COMPACTED), 9).responses[0].partition_responses[0]
    assert ErrorCode(reply.error_code) is ErrorCode.INVALID_RECORD
    assert [each.batch_index for each in reply.record_errors] == [1]


def test_unknown_topics_partitions_and_acks(broker: ottla.Broker) -> None:
    """Refused one by one, with the code that makes clients refresh their metadata."""
    with WireClient(broker.port) as client:

        def error(**fields: Any) -> ErrorCode:
            reply = client.call(produce(good_batch(), **fields), 9)
            return ErrorCode(reply.responses[0].partition_responses[0].error_code)

        assert error(topic="unknown") is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert error(partition=7) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert error(partition=-1) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert error(acks=2) is ErrorCode.INVALID_REQUIRED_ACKS
        assert error(topic="__consumer_offsets") in (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        )


def test_fetches_that_make_no_sense(broker: ottla.Broker) -> None:
    """Unknown partitions, offsets outside the log, unknown sessions and epochs."""
    with WireClient(broker.port) as client:

        def fetch(offset: int = 0, topic: str = TOPIC, partition: int = 0, **fields: Any) -> Any:
            part = FetchPartition(
                partition=partition,
                fetch_offset=offset,
                partition_max_bytes=1000,
                current_leader_epoch=fields.pop("epoch", -1),
            )
            return client.call(
                FetchRequest(max_wait_ms=0, min_bytes=1, topics=[FetchTopic(topic=topic, partitions=[part])], **fields),
                12,
            )

        def code(**fields: Any) -> ErrorCode:
            return ErrorCode(fetch(**fields).responses[0].partitions[0].error_code)

        assert code(topic="unknown") is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert code(partition=9) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert code(offset=1 << 60) is ErrorCode.OFFSET_OUT_OF_RANGE
        assert code(offset=-5) is ErrorCode.OFFSET_OUT_OF_RANGE
        assert code(epoch=9) is ErrorCode.UNKNOWN_LEADER_EPOCH
        assert code(replica_id=1) in (ErrorCode.TOPIC_AUTHORIZATION_FAILED,)
        assert ErrorCode(fetch(session_id=5, session_epoch=1).error_code) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_unknown_groups_and_members(broker: ottla.Broker) -> None:
    """A heartbeat or a commit from nowhere changes nothing."""
    with WireClient(broker.port) as client:
        beat = HeartbeatRequest(group_id="unknown", generation_id=3, member_id="ghost")
        assert ErrorCode(client.call(beat, 4).error_code) in (
            ErrorCode.UNKNOWN_MEMBER_ID,
            ErrorCode.NOT_COORDINATOR,
        )
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=1)
        commit = OffsetCommitRequest(
            group_id="unknown",
            generation_id_or_member_epoch=3,
            member_id="ghost",
            topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[part])],
        )
        code = ErrorCode(client.call(commit, 8).topics[0].partitions[0].error_code)
        assert code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION, ErrorCode.NOT_COORDINATOR)


def test_announced_lengths_hold_no_memory(broker: ottla.Broker) -> None:
    """Two hundred peers announce 100 MiB each and send next to nothing."""
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss
    with ExitStack() as peers:
        for _ in range(200):
            sock = peers.enter_context(closing(socket.create_connection(("127.0.0.1", broker.port), 10)))
            sock.sendall(frame_prefix(100 * MEGABYTE) + bytes(100))
        with WireClient(broker.port) as client:
            assert client.call(MetadataRequest(topics=None), 9).topics
        assert process.memory_info().rss - before < 64 * MEGABYTE


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_a_decompression_bomb_is_refused_in_bounded_memory(broker: ottla.Broker, codec: Codec) -> None:
    """Zeros that inflate a thousandfold are no records: refused at the first piece, and the rest is never unpacked."""
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss
    bomb = compressed(codec, bytes(compress(codec, bytes(200 * MEGABYTE if codec != Codec.LZ4 else 100 * MEGABYTE))))
    with WireClient(broker.port) as client:
        code = ErrorCode(client.call(produce(bomb), 9).responses[0].partition_responses[0].error_code)
    assert code is ErrorCode.INVALID_RECORD
    assert process.memory_info().rss - before < 64 * MEGABYTE


def test_a_slow_peer_does_not_slow_others(broker: ottla.Broker) -> None:
    """A request that arrives byte by byte is served in the end; meanwhile others are."""
    with WireClient(broker.port) as slow, WireClient(broker.port) as quick:
        request = slow.encode(MetadataRequest(topics=[]), 9)
        for byte in request:
            slow.socket.sendall(bytes([byte]))
            assert quick.call(MetadataRequest(topics=[]), 9).brokers
        assert slow.reply().brokers


def test_what_peers_did_is_in_the_log_and_none_can_flood_it() -> None:
    """A line a second for connections that were cut off; it counts those without one, and garbage has no traceback."""
    with ottla.Broker() as broker:
        peers = [closes(broker, frame_prefix(3) + b"abc") for _ in range(5)]

        def logged() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in broker.log.splitlines()]
            return [line for line in lines if line["event"].startswith("connection closed")]

        waiting, patience = threading.Event(), 500
        while sum(1 + line.get("left_out", 0) for line in logged()) < 5 and patience:
            waiting.wait(0.01)  # lines reach us through a pipe and a thread
            patience -= 1
        assert sum(1 + line.get("left_out", 0) for line in logged()) == 5
        assert logged()[0]["peer"] == peers[0]
        assert "Traceback" not in broker.log
