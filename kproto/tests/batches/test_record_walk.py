"""Walks over records: whatever the pieces they come in, the same is found, within bounds, and no byte is believed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.header import HEADER_SIZE, BatchHeader, read_header
from kproto.batches.record_walk import (
    BoundExceeded,
    Bounds,
    RecordSummary,
    Source,
    count_frames,
    plainly_sound,
    summarise,
    walk,
    walk_times,
)
from kproto.batches.records import RecordData, build_batch, parse_records
from kproto.errors import ErrorCode, KafkaError
from kproto.primitives import varint

MIB = 1 << 20

RECORDS = st.lists(
    st.builds(
        RecordData,
        timestamp=st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1)),
        key=st.one_of(st.none(), st.binary(max_size=20), st.just(b"k" * 9000)),
        value=st.one_of(st.none(), st.binary(max_size=20), st.just(b"v" * 300)),
        headers=st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=80)), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=90,
)


def header_of(count: int, **fields: int) -> BatchHeader:
    return BatchHeader(0, 49, 0, 2, 0, 0, count - 1, 0, 0, -1, -1, -1, count)._replace(**fields)


def cut(data: bytes, step: int) -> Iterator[bytes]:
    return (data[start : start + step] for start in range(0, len(data), step))


def times_of(header: BatchHeader, source: Source) -> int:
    """How many records a walk over times sees."""
    return sum(len(page.twice_offset_deltas) for page in walk_times(header, source))


def outcome(header: BatchHeader, data: bytes, step: int) -> tuple[object, object]:
    """What a summary, and a count, say of the records when they come in pieces of `step` bytes."""
    found: list[object] = []
    for look in (summarise, count_frames, times_of):
        try:
            found.append(look(header, Source(cut(data, step), Bounds())))
        except KafkaError as error:
            found.append(error.code)
    return found[0], tuple(found[1:])


@settings(deadline=None, max_examples=100)
@given(RECORDS, st.integers(1, 70), st.data())
def test_pieces_make_no_difference(records: list[RecordData], step: int, data: st.DataObject) -> None:
    """Any records, damaged or not, in pieces of any size: what is found in one piece is found in all."""
    batch = build_batch(records)
    header, payload = read_header(batch), bytearray(batch[HEADER_SIZE:])
    if data.draw(st.booleans()):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del payload[data.draw(st.integers(0, len(payload))) :]
    whole = outcome(header, bytes(payload), 1 << 20)
    assert outcome(header, bytes(payload), step) == whole
    try:
        parsed: object = list(parse_records(header, cut(bytes(payload), step)))
    except KafkaError as error:
        parsed = error.code
    assert (parsed is ErrorCode.INVALID_RECORD) == (whole[0] is ErrorCode.INVALID_RECORD)
    if isinstance(parsed, list):
        assert whole[1] == (None, len(parsed)), "what is well-formed has as many frames, and times, as records"
        pages = list(walk(header, Source(cut(bytes(payload), step), Bounds())))
        assert [time for page in pages for time in page.timestamps(header)] == [each.timestamp for each in parsed]
        assert [delta >> 1 for page in pages for delta in page.twice_offset_deltas] == [each.offset for each in parsed]
        assert [number for page in pages for number in page.keyless] == [
            number for number, each in enumerate(parsed) if each.key is None
        ]
        times = list(walk_times(header, Source(cut(bytes(payload), step), Bounds())))
        for what in ("twice_timestamp_deltas", "twice_offset_deltas"):
            assert [each for page in times for each in getattr(page, what)] == [
                each for page in pages for each in getattr(page, what)
            ]
        summary = whole[0]
        assert isinstance(summary, RecordSummary)
        sound = summary.offsets_count_up and summary.max_timestamp == header.max_timestamp
        assert sound or not plainly_sound(header, bytes(payload))
    else:
        assert not plainly_sound(header, bytes(payload)), "what cannot be read is not sound"


def test_what_clients_send_is_plainly_sound() -> None:
    """Keys or none, values or none, headers, times that rise, as a view or as bytes, behind a header or not."""
    records = [
        RecordData(timestamp=1_700_000_000_000 + 90 * number, key=None if number % 2 else b"key", value=value,
                   headers=(("traceparent", b"0" * 55),) * (number % 4))
        for number, value in enumerate([b"v", None, b"", b"v" * 1000] * 40)
    ]  # fmt: skip
    batch = build_batch(records)
    header = read_header(batch)
    assert plainly_sound(header, bytes(batch[HEADER_SIZE:]))
    assert plainly_sound(header, memoryview(batch), HEADER_SIZE)
    for wrong in (
        header._replace(max_timestamp=5),
        header._replace(record_count=159),
        header._replace(record_count=161),
    ):
        assert not plainly_sound(wrong, memoryview(batch), HEADER_SIZE)


@pytest.mark.parametrize("look", [summarise, count_frames, times_of])
def test_a_huge_record_passes_in_the_memory_of_a_piece(look: object) -> None:
    """256 MiB of key and 256 MiB of value, of which no two pieces are there at once."""
    body = 1 + 1 + 1 + 5 + 256 * MIB + 5 + 256 * MIB + 1

    def pieces() -> Iterator[bytes]:
        zeros = bytes(MIB)
        yield varint(body) + b"\0\0\0" + varint(256 * MIB)
        yield from (zeros for _ in range(256))
        yield varint(256 * MIB)
        yield from (zeros for _ in range(256))
        yield b"\0"

    tracemalloc.start()
    try:
        look(header_of(1), Source(pieces(), Bounds()))  # type: ignore[operator]
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def small(count: int) -> bytes:
    """The smallest records there are."""
    return b"".join(
        varint(len(body)) + body for number in range(count) for body in [b"\0\0" + varint(number) + b"\1\1\0"]
    )


@pytest.mark.parametrize("look", [summarise, count_frames, times_of])
@pytest.mark.parametrize(("output", "items"), [(10**9, 99), (len(small(100)) - 1, 10**9)], ids=["records", "bytes"])
def test_the_work_is_bounded(look: object, output: int, items: int) -> None:
    """One record or one byte too many, and the walk ends; what it used up is gone for the next one."""
    header, data = header_of(100), small(100)
    exact = Bounds(len(data), 100)
    look(header, Source(cut(data, 50), exact))  # type: ignore[operator]
    assert (exact.output, exact.items) == (0, 0)
    with pytest.raises(BoundExceeded) as caught:
        look(header, Source(cut(data, 50), Bounds(output, items)))  # type: ignore[operator]
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE


@pytest.mark.parametrize("step", [10, 10**6])
def test_headers_count_as_work(step: int) -> None:
    """A record of a hundred empty headers is a hundred and one items."""
    body = b"\0\0\0\1\1" + varint(100) + b"\0\1" * 100
    data = varint(len(body)) + body
    summarise(header_of(1), Source(cut(data, step), Bounds(10**6, 101)))
    with pytest.raises(BoundExceeded):
        summarise(header_of(1), Source(cut(data, step), Bounds(10**6, 100)))


@pytest.mark.parametrize("look", [summarise, count_frames])
@pytest.mark.parametrize("step", [7, 10**6])
def test_no_record_may_be_longer_than_allowed(look: object, step: int) -> None:
    """Its length field does not count."""
    body = b"\0\0\0\1" + varint(1000) + bytes(1000) + b"\0"
    data = varint(len(body)) + body
    look(header_of(1), Source(cut(data, step), Bounds()), len(body))  # type: ignore[operator]
    with pytest.raises(KafkaError) as caught:
        look(header_of(1), Source(cut(data, step), Bounds()), len(body) - 1)  # type: ignore[operator]
    assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("size", [0, 1, 57, 58, 100, 8100, 8200, 70_000])
@pytest.mark.parametrize("step", [3, 5000, 1 << 20])
def test_frames_of_all_sizes_are_counted(size: int, step: int) -> None:
    """Lengths of one, two and three bytes; one record more or less than announced is refused."""
    batch = build_batch([RecordData(value=bytes(size))] * 3)
    header, data = read_header(batch), bytes(batch[HEADER_SIZE:])
    count_frames(header, Source(cut(data, step), Bounds()))
    for count in (2, 4):
        with pytest.raises(KafkaError) as caught:
            count_frames(header._replace(record_count=count), Source(cut(data, step), Bounds()))
        assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize(
    "payload",
    [b"\x80", b"\x80" * 9, b"\1", varint(5) + b"abcde", varint(0), varint(7) + b"abcdef", varint(9000) + b"a" * 8999],
)
def test_frames_that_lead_astray_are_not_counted(payload: bytes) -> None:
    """Cut lengths, negative ones, sizes below a record's least and beyond the end."""
    with pytest.raises(KafkaError) as caught:
        count_frames(header_of(1), Source((payload,), Bounds()))
    assert caught.value.code is ErrorCode.INVALID_RECORD
