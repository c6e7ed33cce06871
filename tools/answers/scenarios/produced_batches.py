"""Batches that are wrong in one place, and what Produce says of each."""

from __future__ import annotations

from struct import pack

from kproto.batches.compression import compress
from kproto.batches.dialects import DEPARTURES, REFUSED, TAKEN
from kproto.batches.records import build_batch, build_end_txn_marker
from kproto.messages.produce import ProduceRequest
from kproto.primitives import varint
from tools.answers.requests import A_TIME, batch, list_offsets, patched, produce, record, with_payload
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


def tried(stage: Stage, cases: dict[str, object]) -> None:
    """Produce each of the cases to one topic.

    What one broker writes and the other does not would show in the offsets of all that follows. So after each case the
    log is filled up to the next multiple of ten.
    """
    topic = stage.topic("t")
    for name, records in cases.items():
        stage.ask(name, produce(topic, records))
        end = stage.arrange(list_offsets(topic)).topics[0].partitions[0].offset
        stage.arrange(produce(topic, batch(10 - end % 10)))


@scenario(ProduceRequest)
def lengths(stage: Stage) -> None:
    good = batch(2)
    tried(stage, {
        "null": None,
        "empty": b"",
        "one byte": b"\0",
        "half a header": good[:30],
        "a header only": good[:61],
        "cut off": good[:-1],
        "bytes after it": good + b"\0\0\0",
        "half a batch after it": good + good[:40],
        "two batches": good + good,
        "three batches": good + good + good,
        "length zero": patched(good, 8, pack(">i", 0), crc=False),
        "length negative": patched(good, 8, pack(">i", -1), crc=False),
        "length below the header": patched(good, 8, pack(">i", 40), crc=False),
        "length one too small": patched(good, 8, pack(">i", len(good) - 13), crc=False),
        "length one too large": patched(good, 8, pack(">i", len(good) - 11), crc=False),
        "length huge": patched(good, 8, pack(">i", 0x7FFF_FFFF), crc=False),
    })  # fmt: skip


@scenario(ProduceRequest)
def headers(stage: Stage) -> None:
    good = batch(3)
    tried(stage, {
        "wrong crc": patched(good, 17, b"\1\2\3\4", crc=False),
        "wrong crc in the payload": patched(good, 70, b"\xff", crc=False),
        "base offset 1": patched(good, 0, pack(">q", 1)),
        "base offset -1": patched(good, 0, pack(">q", -1)),
        "leader epoch 5": patched(good, 12, pack(">i", 5)),
        "leader epoch -1": patched(good, 12, pack(">i", -1)),
        "magic 0": patched(good, 16, b"\0"),
        "magic 1": patched(good, 16, b"\1"),
        "magic 3": patched(good, 16, b"\3"),
        "magic -1": patched(good, 16, b"\xff"),
        "attributes unused": patched(good, 21, pack(">h", 0x100)),
        "delete horizon": patched(good, 21, pack(">h", 0x40)),
        "last delta too small": patched(good, 23, pack(">i", 1)),
        "last delta too large": patched(good, 23, pack(">i", 5)),
        "last delta negative": patched(good, 23, pack(">i", -1)),
        "count too small": patched(good, 57, pack(">i", 2)),
        "count too large": patched(good, 57, pack(">i", 4)),
        "count zero": patched(good, 57, pack(">i", 0)),
        "count negative": patched(good, 57, pack(">i", -1)),
        "count and delta too small": patched(patched(good, 57, pack(">i", 2)), 23, pack(">i", 1)),
        "count and delta too large": patched(patched(good, 57, pack(">i", 4)), 23, pack(">i", 3)),
        "base timestamp -1": patched(good, 27, pack(">q", -1)),
        "max timestamp too small": patched(good, 35, pack(">q", A_TIME)),
        "max timestamp too large": patched(good, 35, pack(">q", A_TIME + 1000)),
        "max timestamp -1": patched(good, 35, pack(">q", -1)),
        "stamped by the client": batch(2, log_append_time=True),
    })  # fmt: skip


@scenario(ProduceRequest)
def producers_in_headers(stage: Stage) -> None:
    good = batch(2)
    tried(stage, {
        "id without epoch": patched(good, 43, pack(">qhi", 5000, -1, 0)),
        "id without sequence": patched(good, 43, pack(">qhi", 5000, 0, -1)),
        "epoch without id": patched(good, 43, pack(">qhi", -1, 0, -1)),
        "sequence without id": patched(good, 43, pack(">qhi", -1, -1, 0)),
        "negative id": patched(good, 43, pack(">qhi", -2, 0, 0)),
        "negative sequence": patched(good, 43, pack(">qhi", 5001, 0, -2)),
        "negative epoch": patched(good, 43, pack(">qhi", 5002, -2, 0)),
        "transactional without id": batch(transactional=True),
        "control": batch(control=True),
        "an end marker": build_end_txn_marker(
            commit=True, producer_id=5003, producer_epoch=0, coordinator_epoch=0, timestamp=A_TIME),
    })  # fmt: skip


@scenario(ProduceRequest)
def records(stage: Stage) -> None:
    """Records that are no records, as they are and compressed: a checksum does not make them any better."""
    good = bytes(batch(2)[61:])
    one = bytes(batch(1)[61:])
    of_two = {
        "cut off": good[:-1],
        "bytes after": good + b"\0\0",
        "one record of two": one,
    }
    of_one = {
        "nothing": b"",
        "zeros": bytes(20),
        "garbage": b"\xff\xfe\xfd" * 9,
        "length too large": bytes([one[0] + 2]) + one[1:],
        "length too small": bytes([one[0] - 2]) + one[1:],
        "length negative": b"\1" + one[1:],
        "attributes": one[:1] + b"\7" + one[2:],
        "offset delta 1": one[:3] + b"\2" + one[4:],
        "key longer than the record": one[:4] + b"\x7e" + one[5:],
        "key length -2": one[:4] + b"\3" + one[5:],
        "headers negative": one[:-1] + b"\1",
        "headers too many": one[:-1] + b"\x7e",
    }
    cases: dict[str, object] = {}
    for name, payload in {**of_two, **of_one}.items():
        count = 2 if name in of_two else 1
        cases[name] = with_payload(payload, count=count)
        for codec, called in ((1, "gzip"), (4, "zstd")):
            cases[f"{name}, {called}"] = with_payload(bytes(compress(codec, payload)), codec=codec, count=count)
    tried(stage, cases)


@scenario(ProduceRequest, since=12)
def fields_of_records(stage: Stage) -> None:
    """One field of a record wrong at a time, in a batch as it is and compressed."""

    def one(
        attributes: bytes = b"\0", time: bytes = b"\0", offset: bytes = b"\0", key: bytes = varint(3) + b"key",
        value: bytes = varint(5) + b"value", headers: bytes = b"\0", behind: bytes = b"",
    ) -> bytes:  # fmt: skip
        body = attributes + time + offset + key + value + headers + behind
        return varint(len(body)) + body

    long_zero = b"\x80" * 4 + b"\0"
    of_one = {
        "fine": one(),
        "attributes": one(b"\xff"),
        "a time of ten bytes": one(time=b"\x80" * 9 + b"\0"),
        "a time of eleven bytes": one(time=b"\x80" * 10 + b"\0"),
        "offset 1": one(offset=varint(1)),
        "offset -1": one(offset=varint(-1)),
        "an offset of five bytes": one(offset=long_zero),
        "an offset of six bytes": one(offset=b"\x80" + long_zero),
        "no key": one(key=varint(-1)),
        "a key of -5": one(key=varint(-5)),
        "a key beyond the record": one(key=varint(60) + b"key"),
        "a key of 2 GiB": one(key=varint(2**31 - 1)),
        "a value of -5": one(value=varint(-5)),
        "a value beyond the record": one(value=varint(60) + b"value"),
        "a value of 2 GiB": one(value=varint(2**31 - 1)),
        "-1 headers": one(headers=varint(-1)),
        "a header that is not there": one(headers=varint(1)),
        "a million headers": one(headers=varint(1_000_000)),
        "2 billion headers": one(headers=varint(2**31 - 1)),
        "a header without key": one(headers=varint(1) + varint(-1) + varint(-1)),
        "a header's key beyond the record": one(headers=varint(1) + varint(50) + b"k" + varint(-1)),
        "a header's value beyond the record": one(headers=varint(1) + varint(1) + b"k" + varint(50)),
        "a header's value of -3": one(headers=varint(1) + varint(1) + b"k" + varint(-3)),
        "a header's key that is no text": one(headers=varint(1) + varint(2) + b"\xff\xfe" + varint(-1)),
        "more headers than said": one(headers=varint(1) + (varint(1) + b"k" + varint(-1)) * 2),
        "a byte behind it": one(behind=b"\0"),
        "a length of five bytes": b"".join((bytes((one()[0] | 0x80,)), b"\x80\x80\x80\0", one()[1:])),
        "length zero": b"\0",
        "five zeros": varint(5) + bytes(5),
        "six zeros": varint(6) + bytes(6),
    }
    of_two = {
        "offsets 0, 0": one() + one(),
        "offsets 0, 2": one() + one(offset=varint(2)),
        "offsets 1, 0": one(offset=varint(1)) + one(),
        "the second broken": one() + b"\xff\xff",
        "the second cut off": (one() + one(offset=varint(1)))[:-1],
    }
    cases: dict[str, object] = {}
    for name, payload in {**of_one, **of_two}.items():
        count = 2 if name in of_two else 1
        cases[name] = with_payload(payload, count=count)
        cases[f"{name}, gzip"] = with_payload(bytes(compress(1, payload)), codec=1, count=count)
    tried(stage, cases)


@scenario(ProduceRequest, since=13)
def dialects(stage: Stage) -> None:
    """Compressed data of every kind: what a decoder may and may not be given."""
    tried(stage, {
        f"{codec.name.lower()}, {name}": with_payload(payload, codec=codec, count=2)
        for table in (TAKEN, REFUSED, DEPARTURES)
        for codec, named in table.items()
        for name, payload in named.items()
    })  # fmt: skip


@scenario(ProduceRequest, since=13)
def long_records(stage: Stage) -> None:
    """max.decompressed.message.bytes bounds each record of a compressed batch."""
    for short, configs in {
        "t": {}, "compacted": {"cleanup_policy": "compact"}, "packing": {"compression_type": "gzip"},
        "unpacking": {"compression_type": "uncompressed"},
    }.items():  # fmt: skip
        topic = stage.topic(short, max_decompressed_message_bytes="1000", **configs)
        for codec, called in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
            for size in (985, 986, 987, 2000):
                stage.ask(
                    f"{short}: {called}, {size}", produce(topic, build_batch([record(bytes(size))], compression=codec))
                )
            many = build_batch([record(bytes(100))] * 20, compression=codec)
            stage.ask(f"{short}: {called}, many", produce(topic, many))


@scenario(ProduceRequest)
def compressed_payloads(stage: Stage) -> None:
    """What does not decompress."""
    good = bytes(batch(2)[61:])
    cases: dict[str, object] = {}
    for codec, name in ((1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")):
        packed = bytes(compress(codec, good))
        cases[f"{name} good"] = with_payload(packed, codec=codec, count=2)
        cases[f"{name} empty"] = with_payload(b"", codec=codec, count=2)
        cases[f"{name} garbage"] = with_payload(b"\1\2\3garbage", codec=codec, count=2)
        cases[f"{name} cut off"] = with_payload(packed[: len(packed) // 2], codec=codec, count=2)
        cases[f"{name} plain"] = with_payload(good, codec=codec, count=2)
        cases[f"{name} of a single one, two promised"] = with_payload(
            bytes(compress(codec, bytes(batch(1)[61:]))), codec=codec, count=2
        )
    tried(stage, cases)


@scenario(ProduceRequest)
def what_records_may_hold(stage: Stage) -> None:
    headers = (("a", b"1"), ("a", None), ("", b""))
    tried(stage, {
        "null key": build_batch([record(key=None)]),
        "null value": build_batch([record(value=None)]),
        "null both": build_batch([record(None, None)]),
        "empty both": build_batch([record(b"", b"")]),
        "falling times": build_batch([record(time=A_TIME), record(time=A_TIME - 5), record(time=A_TIME + 3)]),
        "many": batch(300),
        "many compressed": batch(300, compression=1),
        "headers": build_batch([record(headers=headers)]),
    })  # fmt: skip
