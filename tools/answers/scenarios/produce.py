"""Produce: whom records are for, how they are acknowledged, and what topics make of them."""

from __future__ import annotations

from kproto.batches.records import build_batch
from kproto.messages.produce import ProduceRequest
from tools.answers.requests import (
    A_TIME,
    NO_TOPIC_ID,
    batch,
    delete_records,
    fetch,
    list_offsets,
    new_producer,
    patched,
    produce,
    produce_to,
    record,
    unknown_topic,
    with_crc,
    with_payload,
)
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


@scenario(ProduceRequest)
def acknowledgements(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("acks all", produce(topic, batch(2)))
    stage.ask("acks one", produce(topic, batch(3), acks=1))
    stage.ask("no time at all", produce(topic, batch(), timeout_ms=0))
    stage.ask("negative time", produce(topic, batch(), timeout_ms=-1))
    for acks in (2, -2, 32767):
        stage.ask(f"acks {acks}", produce(topic, batch(), acks=acks))
    stage.ask("acks 2 for a topic that is not there", produce(unknown_topic(stage), batch(), acks=2))
    stage.tell(produce(topic, batch(), acks=0))
    stage.ask("after one without", produce(topic, batch()))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def unacknowledged_and_refused(stage: Stage) -> None:
    """Without acknowledgement a refusal shows as a closed connection."""
    topic = stage.topic("t")
    for name, request in {
        "unknown topic": produce(unknown_topic(stage), batch(), acks=0),
        "unknown partition": produce(topic, batch(), partition=7, acks=0),
        "two batches": produce(topic, batch() + batch(), acks=0),
    }.items():
        stage.tell(request)
        stage.ask(f"after {name}", list_offsets(topic))
    stage.ask("nothing was written", list_offsets(topic))


@scenario(ProduceRequest)
def refusals_and_the_start_of_the_log(stage: Stage) -> None:
    """Which refusals say where the log starts: one of each kind, of a log that starts at 3."""
    limits = {"max_message_bytes": "300", "segment_bytes": "1048576"}
    topic = stage.topic("t", **limits)
    compacted = stage.topic("compacted", cleanup_policy="compact", max_message_bytes="2000000", segment_bytes="1048576")
    for each in (topic, compacted):
        stage.arrange(produce(each, batch(5)))
        stage.arrange(delete_records(each, 3))
    good = batch()
    numbered = {"producer_id": new_producer(stage), "producer_epoch": 4, "base_sequence": 0}
    stage.arrange(produce(topic, batch(1, **numbered)))
    for name, records in {
        "taken": good,
        "no batch": b"",
        "two batches": good + good,
        "a message set": patched(good, 16, b"\1"),
        "unknown magic": patched(good, 16, b"\3"),
        "length zero": patched(good, 8, bytes(4), crc=False),
        "wrong crc": patched(good, 17, b"\1\2\3\4", crc=False),
        "base offset": patched(good, 0, b"\0\0\0\0\0\0\0\1"),
        "count": patched(good, 57, b"\0\0\0\2"),
        "control": batch(control=True),
        "transactional": batch(transactional=True),
        "zstd": batch(compression=4),
        "no gzip": with_payload(b"no gzip", codec=1),
        "unknown codec": patched(good, 22, b"\5"),
        "too large": build_batch([record(bytes(400))]),
        "sequence": batch(1, **numbered | {"base_sequence": 7}),
        "epoch": batch(1, **numbered | {"producer_epoch": 3}),
        "no producer's epoch": batch(1, **numbered | {"producer_epoch": -2}),
        "no sequence": batch(1, **numbered | {"base_sequence": -1}),
        "far ahead": build_batch([record(time=32_503_680_000_000)]),
    }.items():
        stage.ask(name, produce(topic, records))
    stage.ask("no key", produce(compacted, build_batch([record(key=None)])))
    stage.ask("larger than a segment", produce(compacted, build_batch([record(bytes(1_100_000))])))
    stage.ask("unknown partition", produce(topic, good, partition=1))
    stage.ask("acks", produce(topic, good, acks=2))


@scenario(ProduceRequest)
def destinations(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    stage.ask("no topics", produce_to([]))
    stage.ask("no partitions", produce_to([(topic, [])]))
    stage.ask("unknown topic", produce(nothing, batch()))
    stage.ask("unknown partition", produce(topic, batch(), partition=2))
    stage.ask("negative partition", produce(topic, batch(), partition=-1))
    stage.ask("no topic id", produce(Topic(topic.name, NO_TOPIC_ID), batch()))
    stage.ask("empty name", produce(Topic("", NO_TOPIC_ID), batch()))
    stage.ask("bad name", produce(Topic("what is this?", NO_TOPIC_ID), batch()))
    stage.ask("long name", produce(Topic("n" * 250, NO_TOPIC_ID), batch()))
    stage.ask("two partitions", produce_to([(topic, [(1, batch()), (0, batch())])]))
    stage.ask(
        "good and bad", produce_to([(topic, [(0, batch()), (9, batch()), (1, batch())]), (nothing, [(0, batch())])])
    )
    stage.ask("a partition twice", produce_to([(topic, [(0, batch(1)), (0, batch(2))])]))
    stage.ask("a topic twice", produce_to([(topic, [(0, batch())]), (topic, [(1, batch())])]))
    stage.ask("an internal topic", produce(Topic("__consumer_offsets", NO_TOPIC_ID), batch()))
    stage.ask("the end of 0", list_offsets(topic))
    stage.ask("the end of 1", list_offsets(topic, partition=1))


@scenario(ProduceRequest)
def topics_that_stamp(stage: Stage) -> None:
    """With LogAppendTime the broker's clock counts, and the answer has its time."""
    topic = stage.topic("t", message_timestamp_type="LogAppendTime")
    stage.ask("produced", produce(topic, batch(2)))
    stage.ask("a batch that says it was stamped", produce(topic, batch(2, log_append_time=True)))
    stage.ask("compressed", produce(topic, batch(2, compression=1)))
    stage.ask("long ago", produce(topic, build_batch([record(time=0)])))
    stage.ask("no time", produce(topic, build_batch([record(time=-1)])))
    reply = stage.arrange(fetch(topic))
    records = bytes(reply.responses[0].partitions[0].records)
    stage.write_down("attributes of the first", records[21:23].hex())


@scenario(ProduceRequest)
def timestamps(stage: Stage) -> None:
    """A topic may refuse what is too old or too far ahead."""
    topic = stage.topic("t")
    narrow = stage.topic("narrow", message_timestamp_before_max_ms="3600000", message_timestamp_after_max_ms="3600000")
    for name, time in {"long ago": A_TIME, "far ahead": 32_503_680_000_000, "zero": 0, "none": -1, "below": -2}.items():
        stage.ask(name, produce(topic, build_batch([record(time=time)])))
        stage.ask(f"{name}, narrow", produce(narrow, build_batch([record(time=time)])))
    mixed = build_batch([record(time=A_TIME), record(time=32_503_680_000_000), record(time=A_TIME)])
    stage.ask("one of three ahead", produce(topic, mixed))
    stage.ask(
        "one of three ahead, compressed",
        produce(
            topic,
            build_batch([record(time=A_TIME), record(time=32_503_680_000_000), record(time=A_TIME)], compression=1),
        ),
    )


@scenario(ProduceRequest)
def sizes(stage: Stage) -> None:
    """A topic's own limit counts, below and above the broker's."""
    small = stage.topic("small", max_message_bytes="200")
    large = stage.topic("large", max_message_bytes="2000000")
    topic = stage.topic("t")
    for size in (100, 132, 133, 134, 150, 300):
        stage.ask(f"{size} bytes of value", produce(small, build_batch([record(bytes(size), None)])))
    stage.ask("compressed below", produce(small, build_batch([record(bytes(5000), None)], compression=1)))
    stage.ask("above the usual limit", produce(topic, build_batch([record(bytes(1_048_600), None)])))
    stage.ask("above the usual limit where it is higher", produce(large, build_batch([record(bytes(1_048_600), None)])))
    segment = stage.topic("segment", segment_bytes="1048576", max_message_bytes="3000000")
    stage.ask("larger than a segment", produce(segment, build_batch([record(bytes(1_100_000), None)])))


@scenario(ProduceRequest)
def compacted_topics(stage: Stage) -> None:
    """Records without a key cannot be compacted."""
    topic = stage.topic("t", cleanup_policy="compact")
    both = stage.topic("both", cleanup_policy="compact,delete")
    no_key, good = record(key=None), record()
    stage.ask("with key", produce(topic, build_batch([good])))
    stage.ask("without key", produce(topic, build_batch([no_key])))
    stage.ask("some without key", produce(topic, build_batch([good, no_key, good, no_key])))
    stage.ask("compressed without key", produce(topic, build_batch([good, no_key], compression=2)))
    stage.ask("without key, both policies", produce(both, build_batch([no_key])))
    stage.ask("empty key", produce(topic, build_batch([record(key=b"")])))
    stage.ask("null value", produce(topic, build_batch([record(value=None)])))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def codecs(stage: Stage) -> None:
    """What clients compress is kept as it is; zstd may be sent from version 7 on only."""
    topic = stage.topic("t")
    for codec, name in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        stage.ask(name, produce(topic, batch(5, compression=codec)))
    for codec in (5, 6, 7):
        data = batch()
        data[22] = codec
        stage.ask(f"codec {codec}", produce(topic, with_crc(data)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def topics_that_compress(stage: Stage) -> None:
    """A topic with a codec of its own has everything in it."""
    for codec in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        topic = stage.topic(codec, compression_type=codec)
        stage.ask(f"plain into {codec}", produce(topic, batch(3)))
        stage.ask(f"snappy into {codec}", produce(topic, batch(3, compression=2)))
        stage.ask(f"gzip into {codec}", produce(topic, batch(3, compression=1)))
        reply = stage.arrange(fetch(topic))
        records = bytes(reply.responses[0].partitions[0].records)
        stage.write_down(f"codec of what is in {codec}", attributes_of(records))


def attributes_of(records: bytes) -> list[str]:
    """The attributes of each batch."""
    found, at = [], 0
    while at < len(records):
        found.append(records[at + 21 : at + 23].hex())
        at += 12 + int.from_bytes(records[at + 8 : at + 12], "big")
    return found


@scenario(ProduceRequest)
def transactional_id(stage: Stage) -> None:
    """A transactional id without a transaction, and a transactional batch without an id."""
    topic = stage.topic("t")
    stage.ask("an id, a plain batch", produce(topic, batch(), transactional_id=stage.name("tx")))
    stage.ask(
        "no id, a transactional batch",
        produce(topic, batch(producer_id=1000, producer_epoch=0, base_sequence=0, transactional=True)),
    )
    stage.ask("an empty id, a plain batch", produce(topic, batch(), transactional_id=""))
