"""Where the records of a batch lie, and batches made of some of them: what is kept reads as before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec
from kproto.batches.header import HEADER_SIZE, compute_crc, has_valid_crc, read_header
from kproto.batches.record_spans import MOST_RECORDS, batch_of_spans, emptied_batch, record_keys, record_spans
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import ErrorCode, KafkaError

SOMETIMES_BYTES = st.one_of(st.none(), st.binary(max_size=20), st.just(b"x" * 300), st.just(b"y" * 20_000))
RECORDS = st.lists(
    st.builds(
        RecordData,
        timestamp=st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1)),
        key=SOMETIMES_BYTES,
        value=SOMETIMES_BYTES,
        headers=st.lists(st.tuples(st.text(max_size=5), SOMETIMES_BYTES), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(RECORDS, st.sampled_from([Codec.NONE, Codec.LZ4]), st.data())
def test_what_is_kept_reads_as_before(records: list[RecordData], codec: Codec, data: st.DataObject) -> None:
    """Keys, values, headers, offsets and timestamps; with a delete horizon too."""
    batch = build_batch(records, base_offset=1000, compression=codec, producer_id=7, producer_epoch=1, base_sequence=5)
    header = read_header(batch)
    expected = list(iter_records(batch))
    plain, spans = record_spans(header, batch)
    keys = record_keys(header, batch)
    assert keys.keys == [span.key for span in spans] == [record.key for record in expected]
    assert keys.offset_deltas == [span.offset_delta for span in spans] == list(range(len(records)))
    assert keys.without_value == [number for number, record in enumerate(expected) if record.value is None]
    assert [span.has_value for span in spans] == [record.value is not None for record in expected]
    kept = data.draw(st.sets(st.integers(0, len(records) - 1), min_size=1)) if data.draw(st.booleans()) else {0}
    horizon = data.draw(st.one_of(st.none(), st.integers(0, 2**62)))
    made = batch_of_spans(header, plain, [spans[number] for number in sorted(kept)], delete_horizon=horizon)
    thinned = read_header(made)
    assert list(iter_records(made)) == [expected[number] for number in sorted(kept)]
    assert has_valid_crc(thinned, made) and len(made) == thinned.size
    assert thinned.delete_horizon == horizon
    assert (thinned.last_offset, thinned.last_sequence) == (header.last_offset, header.last_sequence)
    if all(-(2**62) < record.timestamp < 2**62 for record in records):
        assert thinned.max_timestamp == max(expected[number].timestamp for number in kept)


def test_an_emptied_batch_is_its_header() -> None:
    """Offsets, sequences, epochs, flags and the largest timestamp stay."""
    batch = build_batch(
        [RecordData(timestamp=5, value=b"x"), RecordData(timestamp=9, value=b"y")], base_offset=10,
        compression=Codec.GZIP, producer_id=7, producer_epoch=1, base_sequence=5, transactional=True, leader_epoch=3,
    )  # fmt: skip
    header, empty = read_header(batch), emptied_batch(read_header(batch))
    left = read_header(empty)
    assert len(empty) == HEADER_SIZE and has_valid_crc(left, empty)
    assert left.record_count == 0 and left.compression == 0 and left.is_transactional
    for name in (
        "base_offset", "last_offset", "producer_id", "producer_epoch", "base_sequence", "max_timestamp",
        "partition_leader_epoch",
    ):  # fmt: skip
        assert getattr(left, name) == getattr(header, name)
    assert list(iter_records(empty)) == []


def refused(walk: Any, batch: bytearray) -> bool:
    """Whether a walk over the batch ends with the code for records that do not fit."""
    batch[17:21] = compute_crc(batch, 0, len(batch)).to_bytes(4, "big")
    try:
        walk(read_header(batch), batch)
    except KafkaError as error:
        assert error.code is ErrorCode.INVALID_RECORD
        return True
    return False


@pytest.mark.parametrize("walk", [record_spans, record_keys])
def test_hostile_bytes(walk: Any) -> None:
    """Whatever a byte is changed to: the walk ends, with spans inside the data or a refusal."""
    original = build_batch([RecordData(timestamp=300, key=b"key", value=b"value"), RecordData(timestamp=300, key=b"k")])
    for position in range(HEADER_SIZE, len(original)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            batch = bytearray(original)
            batch[position] = value
            if not refused(walk, batch) and walk is record_spans:
                data, spans = record_spans(read_header(batch), batch)
                assert all(0 <= span.begin < span.rest < span.end <= len(data) for span in spans)
    for size in range(HEADER_SIZE, len(original)):
        batch = original[:size]
        batch[8:12] = (size - 12).to_bytes(4, "big")
        assert refused(walk, batch)


@pytest.mark.parametrize("walk", [record_spans, record_keys])
def test_counts_that_do_not_fit(walk: Any) -> None:
    """More or fewer records than the header says, or less than none."""
    for count in (-1, 0, 1, 3, MOST_RECORDS):
        batch = build_batch([RecordData(value=b"x"), RecordData(value=b"y")])
        batch[57:61] = count.to_bytes(4, "big", signed=True)
        assert refused(walk, batch)


@pytest.mark.parametrize("walk", [record_spans, record_keys])
def test_what_is_too_large_to_be_held_is_refused(walk: Any) -> None:
    """Very many records, or bytes that come to very much."""
    many = build_batch([RecordData(value=b"x")])
    many[57:61] = (MOST_RECORDS + 1).to_bytes(4, "big")
    zeros = build_batch([RecordData(value=bytes(40 << 20))], compression=Codec.ZSTD)
    for batch in (many, zeros):
        with pytest.raises(KafkaError) as refusal:
            walk(read_header(batch), batch)
        assert refusal.value.code is ErrorCode.MESSAGE_TOO_LARGE
