"""Batches under another codec or with other offsets: the records in them stay what they were."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.compression import Codec
from kproto.batches.header import HEADER_SIZE, has_valid_crc, read_header
from kproto.batches.records import RecordData, build_batch, iter_records, record_pieces
from kproto.batches.repacking import Repacking, renumbered
from kproto.tests.batches.test_records import record_lists


def repacked(batch: bytearray, codec: Codec, most: int = 1 << 30) -> bytearray | None:
    header = read_header(batch)
    repacking = Repacking(header, codec, None, most)
    for _ in repacking.passing(record_pieces(header, batch)):
        pass
    return repacking.finish()


@settings(deadline=None, max_examples=60)
@given(record_lists, st.sampled_from(Codec), st.sampled_from(Codec))
def test_recompression_changes_the_codec_and_nothing_else(records: list[RecordData], old: Codec, new: Codec) -> None:
    """B5: offsets, timestamps, headers, producer fields, flags, and header keys that are not UTF-8."""
    batch = build_batch(
        records, base_offset=7, compression=old, producer_id=5, producer_epoch=2, base_sequence=11, transactional=True,
        leader_epoch=3,
    )  # fmt: skip
    changed = repacked(batch, new)
    assert changed is not None
    before, after = read_header(batch), read_header(changed)
    assert list(iter_records(changed)) == list(iter_records(batch))
    assert has_valid_crc(after, changed)
    assert after.compression == new
    same = {"batch_length": 0, "crc": 0, "attributes": 0}
    assert before._replace(**same) == after._replace(**same)
    assert before.attributes & ~7 == after.attributes & ~7


@pytest.mark.parametrize("codec", Codec)
def test_what_would_be_too_large_is_not_kept(codec: Codec) -> None:
    """The size is exact, and beyond it nothing is in memory but what has not come out of the codec yet."""
    batch = build_batch([RecordData(value=bytes(range(256)) * 4096)] * 16, compression=Codec.ZSTD)
    made = repacked(batch, codec)
    assert made is not None and repacked(batch, codec, len(made)) == made
    tracemalloc.start()
    try:
        assert repacked(batch, codec, len(made) - 1) is None
        if codec == Codec.NONE:
            tracemalloc.reset_peak()
            assert repacked(batch, codec, 100_000) is None
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=60)
@given(record_lists, st.integers(0, 2**40))
def test_renumbering_changes_offsets_and_nothing_else(records: list[RecordData], base: int) -> None:
    """Gaps, as a cleaner leaves them, are closed."""
    apart = [record._replace(offset=base + 7 * number + 3) for number, record in enumerate(records)]
    batch = build_batch(apart, base_offset=base, keep_offsets=True, producer_id=5, producer_epoch=2, base_sequence=11)
    changed = renumbered(read_header(batch), memoryview(batch)[HEADER_SIZE:])
    assert has_valid_crc(read_header(changed), changed)
    assert list(iter_records(changed)) == [
        record._replace(offset=base + number) for number, record in enumerate(iter_records(batch))
    ]
    same = {"batch_length": 0, "crc": 0}
    assert read_header(batch)._replace(**same) == read_header(changed)._replace(**same)
