"""Attacks by what batches hold: millions of records or headers, promises that are not kept, and many producers."""

from __future__ import annotations

import threading
import time
from typing import Any

from kproto.batches.compression import Codec, compress
from kproto.batches.header import MAGIC, BatchHeader, assemble, patch_create_time, read_header
from kproto.ids import TopicPartition
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.primitives import varint
from tools.trials.abuse.attack import Attacks, Site, Steps, answer_or_cut
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

ATTACKS = Attacks()

LOOK_UP = "look-ups by time without a bound"
LOOP = "one Produce that holds the loop"
PRODUCERS = "producers' snapshots"

MEBIBYTE = 1 << 20
LOOKERS = 8
RAISED = {"max.message.bytes": str(64 * MEBIBYTE)}


def header(count: int, *, base: int, latest: int, codec: int = 0, producer: tuple[int, int, int] = (-1, -1, -1)) -> Any:
    """Of a batch of `count` records."""
    return BatchHeader(
        base_offset=0, batch_length=0, partition_leader_epoch=0, magic=MAGIC, crc=0, attributes=codec,
        last_offset_delta=count - 1, base_timestamp=base, max_timestamp=latest, producer_id=producer[0],
        producer_epoch=producer[1], base_sequence=producer[2], record_count=count,
    )  # fmt: skip


def tiny_records(count: int, *, base: int, latest: int, key: bytes = b"\x01") -> bytearray:
    """Records of no value and no time of their own; `key` is a length and what follows it."""
    rest = key + b"\x01\x00"
    parts = []
    for number in range(count):
        delta = varint(number)
        parts.append(varint(2 + len(delta) + len(rest)) + b"\x00\x00" + delta + rest)
    return assemble(header(count, base=base, latest=latest), b"".join(parts))


def many_headers(count: int, *, codec: int = Codec.NONE) -> bytearray:
    """One record with `count` headers of no name and no value."""
    now = time.time_ns() // 1_000_000
    record = b"\x00\x00\x00\x01\x01" + varint(count) + bytes(2 * count)
    payload: Any = varint(len(record)) + record
    if codec:
        payload = compress(Codec(codec), payload)
    return assemble(header(1, base=now, latest=now, codec=codec), payload)


def produce(client: WireClient, topic: str, batch: bytes | bytearray, acks: int = 1) -> int:
    """The error that it is answered with."""
    client.socket.sendall(wire.produce_request(client, TopicPartition(topic, 0), batch, acks))
    return wire.produced(client)[0]


def topic(site: Site, **configs: str) -> str:
    """A new topic with these settings (dots written as underscores)."""
    name = site.name("topic")
    wire.create_topic(site.client(), name, 1, {key.replace("_", "."): value for key, value in configs.items()})
    return name


def look_up_at_once(site: Site, name: str, timestamp: int) -> None:
    """Eight clients ask for the same time; returns when all have an answer, or none comes."""
    request = ListOffsetsRequest(
        replica_id=-1,
        topics=[ListOffsetsTopic(name=name, partitions=[ListOffsetsPartition(partition_index=0, timestamp=timestamp)])],
    )
    clients = [site.client() for _ in range(LOOKERS)]
    threads = [threading.Thread(target=answer_or_cut, args=(client, request, 7), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@ATTACKS.add("ListOffsets by time, 8 at once, 48 MiB whose headers promise more", LOOK_UP)
def promises(site: Site) -> Steps:
    """Plain batches of tiny records whose headers say that one of them is an hour later."""
    now = time.time_ns() // 1_000_000
    name = topic(site)
    client = site.client()
    batch = tiny_records(70_000, base=now, latest=now)
    patch_create_time(batch, 0, now + 3_500_000)
    assert read_header(batch).max_timestamp == now + 3_500_000
    for _ in range(48 * MEBIBYTE // len(batch)):
        produce(client, name, bytes(batch))
    yield
    look_up_at_once(site, name, now + 1_000_000)


@ATTACKS.add("ListOffsets by time, 8 at once, 3 zstd batches of 4 million headers", LOOK_UP)
def small_batches(site: Site) -> Steps:
    """A kilobyte each, and eight megabytes of records."""
    name = topic(site)
    client = site.client()
    batch = many_headers(4_000_000, codec=Codec.ZSTD)
    latest = read_header(batch).max_timestamp
    patch_create_time(batch, 0, latest + 3_000_000)
    for _ in range(3):
        produce(client, name, bytes(batch))
    yield
    look_up_at_once(site, name, latest + 1_000_000)


def heavy(site: Site, batch: bytes | bytearray, name: str) -> None:
    """Send one batch, and wait for the answer or for the end."""
    client = site.client()
    client.socket.sendall(wire.produce_request(client, TopicPartition(name, 0), batch, 1))
    answer_or_nothing(client)


def answer_or_nothing(client: WireClient) -> None:
    """The reply is not looked at: a refusal is as good as an acknowledgement here."""
    try:
        client.reply()
    except OSError:
        return


@ATTACKS.add("Produce of 48 MiB: 6 million records and an odd max_timestamp", LOOP, budget_mb=128)
def odd_timestamp(site: Site) -> Steps:
    """The largest timestamp is before the first one, so each record has to be looked at."""
    now = time.time_ns() // 1_000_000
    name = topic(site, max_message_bytes=RAISED["max.message.bytes"])
    batch = bytes(tiny_records(4_800_000, base=now, latest=now - 1))
    yield
    heavy(site, batch, name)


@ATTACKS.add("Produce of 48 MiB: 24 million empty headers, compacted topic", LOOP, budget_mb=128)
def empty_headers(site: Site) -> Steps:
    """One record."""
    name = topic(site, max_message_bytes=RAISED["max.message.bytes"], cleanup_policy="compact")
    batch = bytes(many_headers(24_000_000))
    yield
    heavy(site, batch, name)


@ATTACKS.add("Produce of tiny records to a compacted topic, 32 batches of 1 MB", LOOP)
def compacted(site: Site) -> Steps:
    """Each record needs a key, and is looked at."""
    now = time.time_ns() // 1_000_000
    name = topic(site, cleanup_policy="compact")
    batch = bytes(tiny_records(90_000, base=now, latest=now, key=b"\x02k"))
    client = site.client()
    yield
    for _ in range(32):
        produce(client, name, batch)


@ATTACKS.add("2,000 producer ids, then 500 segments of one record", PRODUCERS)
def snapshots(site: Site) -> Steps:
    """With segment.ms=1 each record begins a segment, and each segment has a snapshot of all producers."""
    now = time.time_ns() // 1_000_000
    name = topic(site, segment_ms="1")
    client = site.client()
    record = varint(7) + b"\x00\x00\x00\x01\x02v\x00"
    for number in range(2000):
        made = header(1, base=now, latest=now, producer=(1_000_000 + number, 0, 0))
        client.socket.sendall(wire.produce_request(client, TopicPartition(name, 0), assemble(made, record), 1))
    for _ in range(2000):
        wire.produced(client)
    yield
    for number in range(500):
        made = header(1, base=now + 10 * number, latest=now + 10 * number)
        produce(client, name, assemble(made, record), -1)
