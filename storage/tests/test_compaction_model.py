"""Whatever a log has been through: compaction leaves what a naive reading of the rules leaves, round after round.

Hypothesis draws a log of plain, idempotent and transactional batches over a few keys, and cleanings of it at any time
with any memory. The model knows every record and every transaction and works the survivors out one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.batches.header import has_valid_crc, read_header
from kproto.batches.records import iter_records
from storage.aborted_transactions import CompletedTransaction
from storage.compaction import Compaction
from storage.testing.keyed_batches import in_log, keyed, produced
from storage.testing.log_builder import ScriptedProducer

RETENTION = 1000
KEYS = st.one_of(st.none(), st.sampled_from([b"a", b"b", b"c", b"d"]))
VALUES = st.one_of(st.none(), st.binary(min_size=1, max_size=3))
PAIRS = st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("write"), PAIRS, st.sampled_from([0, 0, 4])),
    st.tuples(st.just("transact"), PAIRS, st.integers(0, 1)),
    st.tuples(st.just("end"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("clean"), st.integers(0, 2 * RETENTION), st.integers(1, 400)),
)


class Written(NamedTuple):
    """A record as it was written."""

    offset: int
    key: bytes | None
    value: bytes | None


class Life:
    """A log, and what is known of it."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.end = 0
        self.now = 0
        self.clean_upto = 0
        self.producers = [ScriptedProducer(1), ScriptedProducer(2)]
        self.open: dict[int, int] = {}  # producer -> first offset
        self.written: list[Written] = []
        self.aborted: list[CompletedTransaction] = []
        self.dead: set[int] = set()  # offsets that a cleaning may not leave
        self.tombstones_known: dict[int, int] = {}  # offset -> when it may go
        self.doomed: set[int] = set()  # of open transactions that are going to be aborted: the log does not know yet

    def append(self, made: list[bytes], pairs: list[tuple[bytes | None, bytes | None]]) -> None:
        self.batches += made
        self.written += [Written(self.end + number, *pair) for number, pair in enumerate(pairs)]
        self.end = read_header(made[-1]).next_offset

    def take(self, step: tuple[object, ...]) -> None:
        match step:
            case ("write", list(pairs), int(codec)):
                self.append(in_log([keyed(*pairs, compression=codec)], self.end), pairs)
            case ("transact", list(pairs), int(which)):
                self.open.setdefault(which, self.end)
                made = produced(self.producers[which], *pairs, transactional=True)
                self.append(in_log([made], self.end), pairs)
            case ("end", int(which), bool(commit)) if which in self.open:
                first = self.open.pop(which)
                if not commit:
                    self.aborted.append(CompletedTransaction(which + 1, first, self.end, True, self.end))
                self.append(in_log([self.producers[which].marker(commit=commit)], self.end), [])
            case ("clean", int(later), int(memory)):
                self.now += later
                self.clean(memory)

    def clean(self, memory: int) -> None:
        """Below the oldest open transaction."""
        stable = min(self.open.values(), default=self.end)
        if self.clean_upto >= stable:
            return
        compaction = Compaction(
            first_dirty=self.clean_upto, upto=stable, now=self.now, delete_retention_ms=RETENTION,
            aborted=self.aborted, memory=memory * 20,
        )  # fmt: skip
        below = [data for data in self.batches if read_header(data).base_offset < stable]
        if all(compaction.learn(read_header(data), data) for data in below):
            compaction.learned_all()
        end = compaction.end
        assert self.clean_upto < end <= stable, "a cleaning gets on, and not too far"
        expected = self.survivors(end)
        left = [compaction.judge_batch(read_header(data), data) for data in below]
        assert left[-1:] != [] or not below
        self.check_batches(below, left, stable)
        kept = [bytes(data) for data in left if data is not None]
        found = [
            Written(record.offset, record.key, record.value)
            for data in kept
            if not read_header(data).is_control
            for record in iter_records(data)
        ]
        assert found == [record for record in expected if record.offset < stable]
        self.note_horizons(found, kept, end)
        self.aborted = compaction.take_aborted(0, stable) + [
            span for span in self.aborted if span.last_offset >= stable
        ]
        self.batches = kept + self.batches[len(below) :]
        self.written = expected
        self.clean_upto = end

    def survivors(self, end: int) -> list[Written]:
        """The rules, record by record."""

        def was_aborted(offset: int) -> bool:
            batch = next(data for data in self.batches if read_header(data).base_offset <= offset
                         <= read_header(data).last_offset)  # fmt: skip
            header = read_header(batch)
            return any(
                span.producer_id == header.producer_id and span.first_offset <= offset < span.last_offset
                for span in self.aborted
            )

        counted = [record for record in self.written if record.offset < end and not was_aborted(record.offset)]
        newest: dict[bytes | None, int] = {record.key: record.offset for record in counted if record.key is not None}
        return [
            record
            for record in self.written
            if record.offset >= end
            or (
                record in counted
                and newest.get(record.key) == record.offset
                and (record.value is not None or self.tombstones_known.get(record.offset, self.now + 1) > self.now)
            )
        ]

    def note_horizons(self, found: list[Written], kept: list[bytes], end: int) -> None:
        """A tombstone that a cleaning has seen has a horizon from then on, always the same."""
        horizons = {read_header(data).base_offset: read_header(data) for data in kept}
        for record in found:
            if record.value is None and record.offset < end:
                known = self.tombstones_known.setdefault(record.offset, self.now + RETENTION)
                header = horizons[max(base for base in horizons if base <= record.offset)]
                assert header.delete_horizon is not None
                assert header.delete_horizon <= known
                self.tombstones_known[record.offset] = header.delete_horizon

    def check_batches(self, before: list[bytes], after: Sequence[object], stable: int) -> None:
        """What a batch may become."""
        for old, new in zip(before, after, strict=True):
            if isinstance(new, bytes | bytearray | memoryview):
                was, now = read_header(old), read_header(new)
                assert has_valid_crc(now, new)
                for name in ("base_offset", "last_offset", "producer_id", "producer_epoch", "base_sequence"):
                    assert getattr(was, name) == getattr(now, name)
                assert now.is_control == was.is_control
                assert now.is_transactional == was.is_transactional
                assert now.record_count <= was.record_count
                assert now.record_count or now.next_offset == stable, "only the last one may be left empty"
                times = [record.timestamp for record in iter_records(new)]
                assert set(times) <= {record.timestamp for record in iter_records(old)}
        markers = [data for data in before if read_header(data).is_control]
        for marker in markers:
            if not any(isinstance(new, bytes | bytearray) and read_header(new).base_offset
                       == read_header(marker).base_offset for new in after):  # fmt: skip
                horizon = read_header(marker).delete_horizon
                assert horizon is not None and horizon <= self.now, "a marker goes after its horizon only"


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_compaction_does_what_the_rules_say(steps: list[tuple[object, ...]]) -> None:
    """Survivors, offsets, horizons, markers; after any number of cleanings."""
    life = Life()
    for step in [*steps, ("end", 0, True), ("end", 1, False), ("clean", 0, 400), ("clean", 5000, 400)]:
        life.take(step)
