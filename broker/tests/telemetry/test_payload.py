"""What a client pushes, taken out of OpenTelemetry's message, and what a stranger may put in its place."""

from __future__ import annotations

import gzip
import random
import struct

import pytest

from broker.telemetry import payload
from broker.telemetry.payload import MAX_UNPACKED, Malformed, Number, numbers_in
from kproto.batches.compression import compress
from kproto.errors import KafkaError
from kproto.primitives import uvarint

GZIP, ZSTD = 1, 4


def nothing() -> None:
    """No pause."""


def field(number: int, body: bytes) -> bytes:
    """A field of bytes."""
    return uvarint(number << 3 | 2) + uvarint(len(body)) + body


def attribute(key: str, value: str) -> bytes:
    return field(7, field(1, key.encode()) + field(2, field(1, value.encode())))


def double(value: float) -> bytes:
    return uvarint(4 << 3 | 1) + struct.pack("<d", value)


def integer(value: int) -> bytes:
    return uvarint(6 << 3 | 1) + struct.pack("<q", value)


def gauge(name: str, *points: bytes) -> bytes:
    return field(2, field(1, name.encode()) + field(5, b"".join(field(1, point) for point in points)))


def total(name: str, temporality: int, *points: bytes) -> bytes:
    data = b"".join(field(1, point) for point in points) + uvarint(2 << 3) + uvarint(temporality)
    return field(2, field(1, name.encode()) + field(7, data))


def message(*metrics: bytes) -> bytes:
    """MetricsData of one resource and one scope, each with things that are passed over."""
    resource = field(1, field(1, b"about the resource"))
    scope = field(1, field(1, b"about the scope"))
    return field(1, resource + field(2, scope + b"".join(metrics)))


def read(data: bytes, codec: int = 0) -> dict[str, Number]:
    return numbers_in(codec, data, True, nothing)


def test_gauges_and_sums() -> None:
    """Of doubles and integers; deltas are marked."""
    found = read(message(gauge("a", double(1.5)), total("b", 1, integer(-7)), total("c", 2, integer(9))))
    assert found == {"a": Number(1.5, False), "b": Number(-7, True), "c": Number(9, False)}


def test_attributes_are_part_of_the_name() -> None:
    """In alphabetical order, so that the next push says the same."""
    point = double(2.0) + attribute("topic", "t") + attribute("partition", "0")
    assert read(message(gauge("lag", point, double(1.0)))) == {
        "lag{partition=0,topic=t}": Number(2.0, False),
        "lag": Number(1.0, False),
    }


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_every_codec(codec: int) -> None:
    """In Kafka's dialects."""
    plain = message(gauge("a", double(1.5)))
    assert read(bytes(compress(codec, plain)) if codec else plain, codec) == {"a": Number(1.5, False)}


def test_other_kinds_of_metrics_are_passed_over() -> None:
    """Histograms, say."""
    histogram = field(2, field(1, b"h") + field(9, field(1, b"whatever")))
    assert read(message(histogram, gauge("a", double(1.0)))) == {"a": Number(1.0, False)}


@pytest.mark.parametrize(
    "data",
    [b"nonsense", b"\x0a", b"\x0a\x05abc", b"\xff" * 11, b"\x0b", message(b"\x12\x7f"), uvarint(1 << 3 | 1) + b"short"],
)
def test_nonsense_is_found_out(data: bytes) -> None:
    """And nothing else comes of it."""
    with pytest.raises(Malformed):
        read(data)


def test_a_bomb_is_left_when_it_has_unfolded_too_far() -> None:
    """C20: zeros, a thousand to one: 4 KB for 4 MB."""
    with pytest.raises(Malformed, match="stands for more"):
        read(gzip.compress(bytes(MAX_UNPACKED + 1)), GZIP)
    with pytest.raises(Malformed, match="stands for more"):
        numbers_in(ZSTD, bytes(compress(ZSTD, bytes(MAX_UNPACKED + 1))), False, nothing)


def test_a_message_of_very_many_fields_is_left_too() -> None:
    """Empty ones take two bytes each."""
    with pytest.raises(Malformed, match="fields"):
        read(b"\x12\x00" * (payload.MAX_FIELDS + 1))


def test_so_many_numbers_are_kept_and_names_are_cut() -> None:
    """The first ones."""
    found = read(message(*(gauge(f"{number}" * 500, double(1.0)) for number in range(1500))))
    assert len(found) <= payload.MAX_METRICS
    assert all(len(name) <= payload.MAX_NAME for name in found)


def test_what_is_not_wanted_is_only_taken_out() -> None:
    """As Kafka does where no plugin receives it."""
    assert numbers_in(0, b"nonsense", False, nothing) == {}
    with pytest.raises(KafkaError):
        numbers_in(ZSTD, b"nonsense", False, nothing)


def test_random_bytes_are_numbers_or_malformed() -> None:
    """No other exception comes out."""
    chance = random.Random(7)
    good = bytearray(message(gauge("a", double(1.5)), total("b", 1, integer(-7) + attribute("k", "v"))))
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read(bytes(data))
        except Malformed:
            continue
