"""Which logs are due for compaction, and which records survive it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kproto.batches import record_spans
from kproto.batches.compression import Codec
from kproto.batches.header import (
    ATTRIBUTES_OFFSET,
    CRC_OFFSET,
    HEADER_SIZE,
    compute_crc,
    has_valid_crc,
    read_header,
)
from kproto.batches.records import ControlRecordType, build_control_batch, iter_records
from kproto.errors import ErrorCode
from storage.aborted_transactions import CompletedTransaction
from storage.compaction import Compaction, LastOfProducer, SegmentState, Source, Verdict, group_segments, judge
from storage.log_config import NEVER, LogConfig
from storage.testing.keyed_batches import compacted, contents, in_log, keyed, produced
from storage.testing.lab import refused
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch

NOW = 1_000_000
COMPACT = LogConfig(compact=True, delete=False)


# -- which logs are due ------------------------------------------------------------------------------------------------


def judged(
    sizes: list[int],
    clean_upto: int | None = None,
    *,
    start: int = 0,
    stable: int | None = None,
    newest: dict[int, int] | None = None,
    oldest: dict[int, int] | None = None,
    **settings: Any,
) -> Verdict:
    """The verdict on segments of these sizes, each of ten offsets; `newest` and `oldest` are ages by segment number."""
    segments = [
        SegmentState(number * 10, size, NOW - (newest or {}).get(number, 0), NOW - (oldest or {}).get(number, 0))
        for number, size in enumerate(sizes)
    ]
    end = len(sizes) * 10 if stable is None else stable
    config = replace(COMPACT, **settings)
    return judge(segments, clean_upto=clean_upto, start=start, stable=end, config=config, now=NOW)


def test_a_log_is_due_when_more_than_a_share_of_it_is_dirty() -> None:
    """Dirty is what was written since the last cleaning, the segment being written aside. The share is exceeded."""
    assert judged([100, 100, 50]) == Verdict(0, 20, 1.0, True, NEVER)
    assert judged([100, 100, 50], 10) == Verdict(10, 20, 0.5, False, NEVER)
    assert judged([100, 101, 50], 10).due
    assert judged([100, 1, 50], 10, min_cleanable_dirty_ratio=0).due
    assert judged([100, 100, 50], 20) == Verdict(20, 20, 0.0, False, NEVER)


def test_the_segment_being_written_is_never_cleaned() -> None:
    """However dirty it is."""
    assert judged([1000]) == Verdict(0, 0, 0.0, False, NEVER)


def test_a_checkpoint_that_cannot_be_is_no_checkpoint() -> None:
    """The log starts behind it, or has lost its end: everything counts as dirty."""
    assert judged([100, 100, 100, 50], 10, start=20).first_dirty == 20
    assert judged([100, 100, 100, 50], 500).first_dirty == 0


def test_nothing_is_cleaned_from_the_segment_of_an_open_transaction_on() -> None:
    """Its outcome is unknown. When it ends, no segment need have been added, so the question is asked again at once."""
    assert judged([100, 100, 100, 50], stable=15) == Verdict(0, 10, 1.0, True, NOW)
    assert judged([100, 100, 100, 50], stable=5) == Verdict(0, 0, 0.0, False, NOW)


def test_young_records_are_left_alone() -> None:
    """A segment with a record younger than `min.compaction.lag.ms` is not touched, nor is anything behind it."""
    verdict = judged([100, 100, 100, 50], newest={0: 500, 1: 100, 2: 500}, min_compaction_lag_ms=300)
    assert verdict == Verdict(0, 10, 1.0, True, NOW + 200)
    assert not judged([100, 50], newest={0: 299}, min_compaction_lag_ms=300).due
    assert judged([100, 50], newest={0: 300}, min_compaction_lag_ms=300).due


def test_no_record_waits_forever() -> None:
    """After `max.compaction.lag.ms` a log is due whatever the share, and it is known when that will be."""
    assert judged([1000, 10, 50], 10, oldest={1: 200}, max_compaction_lag_ms=199).due
    assert judged([1000, 10, 50], 10, oldest={1: 200}, max_compaction_lag_ms=200) == Verdict(
        10, 20, 10 / 1010, False, NOW + 1
    )
    assert not judged([1000, 10, 50], 20, oldest={0: 900}, max_compaction_lag_ms=200).due


def test_small_neighbours_become_one_segment() -> None:
    """As many as fit, in bytes, in index bytes and in 32 bits of offsets."""

    def groups(*sources: Source, upto: int = 100, index: int = 1000) -> list[list[int]]:
        found = group_segments(sources, upto=upto, segment_bytes=100, index_bytes=index)
        return [[source.base_offset for source in group] for group in found]

    assert groups(Source(0, 60), Source(10, 40), Source(20, 1), Source(30, 99)) == [[0, 10], [20, 30]]
    assert groups(Source(0, 200), Source(10, 200)) == [[0], [10]]
    assert groups(Source(0, 1, 600), Source(10, 1, 500), Source(20, 1, 500)) == [[0], [10, 20]]
    assert groups(Source(0, 1), Source(10, 1), upto=1 << 31) == [[0, 10]]
    assert groups(Source(0, 1), Source(10, 1), upto=(1 << 31) + 1) == [[0], [10]]
    assert groups() == []


# -- what survives -----------------------------------------------------------------------------------------------------


def test_the_newest_record_of_each_key_survives_at_its_offset() -> None:
    """In the same batch or in another; a batch in which all live is the same, byte for byte."""
    log = in_log(
        [
            keyed((b"a", b"1"), (b"b", b"1"), (b"a", b"2")),
            keyed((b"c", b"1")),
            keyed((b"b", b"2"), (b"d", b"1")),
        ]
    )
    left = compacted(log)
    assert contents(left) == [(2, b"a", b"2"), (3, b"c", b"1"), (4, b"b", b"2"), (5, b"d", b"1")]
    assert left[1:] == log[1:]
    header = read_header(left[0])
    assert (header.base_offset, header.last_offset, header.record_count) == (0, 2, 1)
    assert has_valid_crc(header, left[0])


@pytest.mark.parametrize("codec", list(Codec))
def test_compressed_batches_stay_compressed(codec: Codec) -> None:
    """With the codec they came with, headers, timestamps and all."""
    log = in_log([keyed((b"a", b"1"), (b"b", b"x" * 500), compression=codec), keyed((b"a", b"2"), compression=codec)])
    left = compacted(log)
    assert contents(left) == [(1, b"b", b"x" * 500), (2, b"a", b"2")]
    assert [read_header(data).compression for data in left] == [codec, codec]
    assert [record.timestamp for data in left for record in iter_records(data)] == [EPOCH_MS] * 2


def test_a_record_without_a_key_dies() -> None:
    """A topic that was not always compacted may have some."""
    assert contents(compacted([keyed((None, b"1"), (b"a", b"1")), keyed((None, b"2"))])) == [(1, b"a", b"1")]


def test_what_was_cleaned_before_is_compared_with_what_is_dirty() -> None:
    """Only the dirty part is learned; an older record of one of its keys dies wherever it is."""
    log = in_log([keyed((b"a", b"1"), (b"b", b"1")), keyed((b"a", b"2"))])
    assert contents(compacted(log, first_dirty=2)) == [(1, b"b", b"1"), (2, b"a", b"2")]
    assert contents(compacted(log, first_dirty=3)) == contents(log)


def test_a_cleaning_may_begin_inside_a_batch() -> None:
    """The log starts there since records were deleted: those before do not count as the newest of anything."""
    log = in_log([keyed((b"a", b"1"), (b"b", b"1"), (b"c", b"1")), keyed((b"b", b"2"))])
    assert contents(compacted(log, first_dirty=1)) == [(0, b"a", b"1"), (2, b"c", b"1"), (3, b"b", b"2")]


def test_memory_bounds_a_cleaning() -> None:
    """If not all keys fit, this cleaning ends before the batch that does not, and nothing behind is touched."""
    log = in_log([keyed((b"%d" % number, b"1")) for number in range(40)] + [keyed((b"0", b"2"), (b"1", b"2"))])
    tight = Compaction(first_dirty=0, upto=42, now=EPOCH_MS, delete_retention_ms=0, memory=20 * 20)
    learned = [tight.learn(read_header(data), data) for data in log]
    assert 10 < sum(learned) < 20
    assert tight.end == learned.index(False)
    left = [tight.judge_batch(read_header(data), data) for data in log]
    assert left == log, "the newer records of keys 0 and 1 are not known yet"


def test_a_cleaning_gets_on_however_little_memory_there_is() -> None:
    """One batch always fits."""
    log = in_log([keyed(*[(b"%d" % number, b"1") for number in range(1000)]), keyed((b"0", b"2"))])
    tiny = Compaction(first_dirty=0, upto=1001, now=EPOCH_MS, delete_retention_ms=0, memory=1)
    assert [tiny.learn(read_header(data), data) for data in log] == [True, False]
    assert tiny.end == 1000


def test_the_last_batch_of_what_is_cleaned_keeps_its_header() -> None:
    """So that the log says up to where it has been cleaned. The next cleaning goes further and lets it go."""
    log = in_log([keyed((b"b", b"1")), keyed((b"a", None))])
    noted = compacted(log, now=EPOCH_MS, delete_retention_ms=0)
    left = compacted(noted, first_dirty=2, now=EPOCH_MS)
    assert left[0] == log[0]
    header = read_header(left[1])
    assert (header.base_offset, header.last_offset, header.record_count, len(left[1])) == (1, 1, 0, 61)
    assert has_valid_crc(header, left[1])
    assert list(iter_records(left[1])) == []
    assert compacted(left, first_dirty=2, now=EPOCH_MS) == left
    assert compacted(left, first_dirty=2, upto=3, now=EPOCH_MS) == left[:1]


# -- tombstones --------------------------------------------------------------------------------------------------------


def test_a_tombstone_stays_for_a_while() -> None:
    """The first cleaning notes in its batch until when; a cleaning after that takes it away."""
    log = in_log([keyed((b"a", b"1")), keyed((b"a", None), (b"b", b"1"), timestamp=EPOCH_MS + 7)])
    first = compacted(log, now=EPOCH_MS, delete_retention_ms=1000)
    assert contents(first) == [(1, b"a", None), (2, b"b", b"1")]
    assert read_header(first[0]).delete_horizon == EPOCH_MS + 1000
    assert [record.timestamp for record in iter_records(first[0])] == [EPOCH_MS + 7] * 2
    assert read_header(first[0]).max_timestamp == EPOCH_MS + 7
    assert compacted(first, first_dirty=3, now=EPOCH_MS + 999) == first
    last = compacted(first, first_dirty=3, now=EPOCH_MS + 1000)
    assert contents(last) == [(2, b"b", b"1")]
    assert [record.timestamp for record in iter_records(last[0])] == [EPOCH_MS + 7]


def test_a_horizon_is_noted_once() -> None:
    """Later cleanings do not put it off."""
    log = in_log([keyed((b"a", None)), keyed((b"b", b"1"), (b"c", None))])
    first = compacted(log, now=EPOCH_MS, delete_retention_ms=1000)
    again = compacted([*first, *in_log([keyed((b"b", b"2"))], 3)], first_dirty=3, now=EPOCH_MS + 900)
    assert [read_header(data).delete_horizon for data in again] == [EPOCH_MS + 1000, EPOCH_MS + 1000, None]


def test_a_value_after_a_tombstone_is_the_newest() -> None:
    """And the tombstone dies like any other old record."""
    log = [keyed((b"a", None), (b"a", b"2")), keyed((b"b", None)), keyed((b"b", b"2"))]
    left = compacted(log)
    assert contents(left) == [(1, b"a", b"2"), (3, b"b", b"2")]
    assert [read_header(data).delete_horizon for data in left] == [None, None]


@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
@pytest.mark.parametrize("append_time", [False, True])
def test_a_horizon_does_not_change_what_is_read(codec: Codec, append_time: bool) -> None:
    """It takes the place of the base timestamp, and the records' timestamps stay what they are, also before 1970."""
    for timestamp in (EPOCH_MS, -1, 0, 1 << 62):
        log = in_log([keyed((b"a", None), (b"b", b"1"), timestamp=timestamp, compression=codec,
                            log_append_time=append_time)])  # fmt: skip
        [left] = compacted(log)
        assert read_header(left).delete_horizon == EPOCH_MS + 1000
        assert list(iter_records(left)) == list(iter_records(log[0]))


# -- producers and transactions ----------------------------------------------------------------------------------------


def test_the_last_batch_of_a_known_producer_keeps_its_header() -> None:
    """Its sequence number is needed to recognise what the producer sends again."""
    producer = ScriptedProducer(7, epoch=3)
    log = in_log(
        [produced(producer, (b"a", b"1")), produced(producer, (b"a", b"2"), (b"a", b"3")), keyed((b"a", b"4"))]
    )
    left = compacted(log, producers={7: LastOfProducer(2, 3)})
    assert contents(left) == [(3, b"a", b"4")]
    header = read_header(left[0])
    assert (header.base_offset, header.base_sequence, header.last_sequence, header.record_count) == (1, 1, 2, 0)
    assert (header.producer_id, header.producer_epoch) == (7, 3)
    assert contents(compacted(log)) == [(3, b"a", b"4")]


def aborted_log() -> tuple[list[bytes], list[CompletedTransaction]]:
    """A committed value, then an aborted transaction on the same key, its marker, and a committed transaction."""
    aborts, commits = ScriptedProducer(1), ScriptedProducer(2)
    log = in_log(
        [
            keyed((b"a", b"committed")),
            produced(aborts, (b"a", b"aborted"), (b"b", b"aborted"), transactional=True),
            aborts.marker(commit=False),
            produced(commits, (b"c", b"1"), transactional=True),
            commits.marker(commit=True),
        ]
    )
    return log, [CompletedTransaction(1, 1, 3, True, 4)]


def test_aborted_records_die_and_count_for_nothing() -> None:
    """An older committed record of the same key survives."""
    log, aborted = aborted_log()
    left = compacted(log, aborted=aborted)
    assert contents(left) == [(0, b"a", b"committed"), (4, b"c", b"1")]


def test_a_marker_stays_as_long_as_its_transaction_and_then_for_a_while() -> None:
    """A reader that has seen the records must see how it ended. First the records go, then the horizon is noted, then,
    when it has passed, the marker goes."""
    log, aborted = aborted_log()
    commit = len(log) - 1

    first = compacted(log, aborted=aborted)
    assert [read_header(data).base_offset for data in first] == [0, 3, 4, 5]
    assert first[1:] == log[2:], "while there were records, nothing is noted"

    second = compacted(first, first_dirty=6, aborted=aborted, now=EPOCH_MS)
    assert [read_header(data).delete_horizon for data in second] == [None, EPOCH_MS + 1000, None, None]
    assert list(iter_records(second[1])) == list(iter_records(log[2]))

    third = compacted(second, first_dirty=6, now=EPOCH_MS + 1000)
    assert [read_header(data).base_offset for data in third] == [0, 4, 5]

    newer = [*third, *in_log([keyed((b"c", b"2"))], 6)]
    fourth = compacted(newer, first_dirty=6, now=EPOCH_MS + 2000)
    assert contents(fourth) == [(0, b"a", b"committed"), (6, b"c", b"2")]
    assert fourth[1] == log[commit], "the commit's own transaction has gone just now"
    fifth = compacted(fourth, first_dirty=7, now=EPOCH_MS + 3000)
    assert read_header(fifth[1]).delete_horizon == EPOCH_MS + 4000
    sixth = compacted(fifth, first_dirty=7, now=EPOCH_MS + 4000)
    assert [read_header(data).is_control for data in sixth] == [False, False]


def test_what_the_transaction_index_keeps() -> None:
    """An aborted transaction is listed as long as there was something left of it when its marker was judged."""
    log, aborted = aborted_log()

    def listed(batches: list[bytes], first_dirty: int) -> list[CompletedTransaction]:
        compaction = Compaction(first_dirty=first_dirty, upto=6, now=EPOCH_MS, delete_retention_ms=0, aborted=aborted)
        for data in batches:
            compaction.learn(read_header(data), data)
        for data in batches:
            compaction.judge_batch(read_header(data), data)
        return compaction.take_aborted(0, 6)

    assert listed(log, 0) == aborted
    assert listed(compacted(log, aborted=aborted), 6) == []


def test_beyond_the_end_of_a_cleaning_nothing_is_taken_from_the_transaction_index() -> None:
    """Memory was full before the transaction was reached."""
    log, aborted = aborted_log()
    compaction = Compaction(first_dirty=0, upto=6, now=EPOCH_MS, delete_retention_ms=0, aborted=aborted)
    compaction.learn(read_header(log[0]), log[0])
    assert [compaction.judge_batch(read_header(data), data) for data in log] == log
    assert compaction.take_aborted(0, 6) == aborted


def test_an_emptied_last_batch_of_a_producer_holds_its_marker() -> None:
    """The header that stays for the sequence number is still part of its transaction."""
    log, aborted = aborted_log()
    known = {1: LastOfProducer(2, 0)}
    first = compacted(log, aborted=aborted, producers=known)
    assert [(read_header(data).base_offset, read_header(data).record_count) for data in first][1:3] == [(1, 0), (3, 1)]
    second = compacted(first, first_dirty=6, aborted=aborted, producers=known, now=EPOCH_MS + 10_000)
    assert second == first
    third = compacted(second, first_dirty=6, aborted=aborted, now=EPOCH_MS + 10_000)
    assert [read_header(data).base_offset for data in third] == [0, 3, 4, 5]


def test_the_marker_of_a_producer_known_by_it_alone_keeps_its_header() -> None:
    """The epoch in it fences older ones."""
    producer = ScriptedProducer(1, epoch=5)
    log = in_log([producer.marker(commit=True), keyed((b"a", b"1"))])
    noted = compacted(log, now=EPOCH_MS, delete_retention_ms=0)
    assert [read_header(data).record_count for data in noted] == [1, 1]
    left = compacted(noted, first_dirty=2, now=EPOCH_MS, producers={1: LastOfProducer(-1, 5)})
    assert [read_header(data).record_count for data in left] == [0, 1]
    assert compacted(left, first_dirty=2, now=EPOCH_MS, producers={1: LastOfProducer(-1, 5)}) == left
    assert len(compacted(left, first_dirty=2, now=EPOCH_MS)) == 1


def test_an_abort_that_no_list_knows_of_keeps_its_marker() -> None:
    """Without it, records that pass for committed here would be committed for all readers."""
    log, _ = aborted_log()
    left = compacted(log, aborted=[])
    assert read_header(left[-3]).is_control
    again = compacted(left, first_dirty=6, aborted=[], now=EPOCH_MS + 10_000)
    assert [read_header(data).base_offset for data in again] == [read_header(data).base_offset for data in left]


def test_other_control_records_stay() -> None:
    """What they are for is not known here."""
    control = as_batch(build_control_batch(ControlRecordType.LEADER_CHANGE, b"\0\0", timestamp=EPOCH_MS))
    log = in_log([control, keyed((b"a", b"1"))])
    assert compacted(log, now=EPOCH_MS + (1 << 40)) == log


# -- damage ------------------------------------------------------------------------------------------------------------


def test_damage_is_not_laundered() -> None:
    """A batch whose checksum is wrong would get a right one by being rewritten: it is refused instead."""
    log = in_log([keyed((b"a", b"1"), (b"b", b"1")), keyed((b"a", b"2"))])
    damaged = bytearray(log[0])
    damaged[-1] ^= 1
    with refused(ErrorCode.CORRUPT_MESSAGE):
        compacted([bytes(damaged), log[1]])
    with refused(ErrorCode.CORRUPT_MESSAGE):
        compacted([bytes(damaged), log[1]], first_dirty=2)


def offsets_that_go_back() -> bytes:
    """Two records, of which the second has the offset of the first."""
    data = bytearray(keyed((b"a", b"1"), (b"b", b"1")).data)
    data[data.index(b"\x02\x02b")] = 0
    data[CRC_OFFSET:ATTRIBUTES_OFFSET] = compute_crc(data, 0, len(data)).to_bytes(4, "big")
    return bytes(data)


def garbage(compression: int) -> bytes:
    """A batch of two records that are none, under a checksum that is right."""
    data = bytearray(keyed((b"a", b"1"), (b"b", b"1")).data)
    data[HEADER_SIZE:] = b"\xff" * (len(data) - HEADER_SIZE)
    data[ATTRIBUTES_OFFSET + 1] |= compression
    data[CRC_OFFSET:ATTRIBUTES_OFFSET] = compute_crc(data, 0, len(data)).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "unreadable", [offsets_that_go_back(), garbage(Codec.NONE), garbage(Codec.ZSTD)], ids=["offsets", "plain", "zstd"]
)
def test_what_cannot_be_read_stays_and_the_rest_is_cleaned(unreadable: bytes) -> None:
    """No record dies because of it, and it does not keep the log from being cleaned, now or the next time."""
    log = in_log([keyed((b"a", b"0")), as_batch(unreadable), keyed((b"a", b"1")), keyed((b"a", b"2"))])
    left = compacted(log)
    assert left == [log[1], log[3]]
    more = in_log([as_batch(each) for each in log] + [keyed((b"c", b"1"))])[-1]
    assert compacted([*left, more], first_dirty=5) == [log[1], log[3], more]


def test_a_batch_too_large_to_be_taken_apart_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleaner makes objects of records; of more than it may in one batch it makes none."""
    monkeypatch.setattr(record_spans, "MOST_RECORDS", 3)
    large = keyed(*[(b"a", b"%d" % number) for number in range(4)])
    log = in_log([keyed((b"a", b"0")), large, keyed((b"a", b"1")), keyed((b"a", b"2"))])
    assert compacted(log) == [log[1], log[3]]
