"""Files that claim something about a log's batches, each held against the batches as they go by.

A witness sees every batch of its segment, in order, and at the end where the log stands. It reports the first thing
that is not so and is silent afterwards: one garbled index is one finding, not a thousand. What it reports about an
index or a snapshot is never about records: these files are rebuilt from the batches (FORMAT.md, L6), and the sentences
say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from kproto.batches.header import BatchHeader
from kproto.batches.records import EndTxnMarker
from storage.aborted_transactions import CompletedTransaction
from storage.local import offset_index, producer_snapshot, time_index, transaction_index
from storage.local.leader_epochs import LeaderEpochs
from storage.producers import LogProducers, ProducerState
from tools.log_check.findings import Finding
from tools.log_files.lines import preallocated

REBUILT: Final = "it is rebuilt from the batches when the log is next used"


class Ends(NamedTuple):
    """Where a segment ends, as far as its batches are sound, and what may be beyond."""

    offset: int
    position: int
    ahead_is_fine: bool
    """The stop was not clean, or has not come yet: files beside the log may be ahead of what is left of it."""


class Witness(Protocol):
    """A file under examination."""

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        """A sound batch begins at `position` of the segment."""
        ...

    def finish(self, ends: Ends) -> Iterator[Finding]:
        """That was the last one."""
        ...


class OffsetIndexWitness:
    """`.index`: each entry names a batch by its last offset, and where it begins."""

    def __init__(self, path: Path, data: bytes, base_offset: int) -> None:
        self._path = path
        self._base = base_offset
        whole, rest = preallocated(data, offset_index.LAYOUT.size)
        self._entries: list[tuple[int, int]] = list(offset_index.LAYOUT.iter_unpack(whole))
        self._next = 0
        self._complaint = next((line["reason"] for line in rest if line["type"] == "unreadable"), None)
        if self._complaint is None:
            for earlier, later in pairwise(self._entries):
                if later[0] <= earlier[0] or later[1] <= earlier[1]:
                    self._complaint = (
                        f"its entries do not grow: after offset {self._base + earlier[0]} at byte {earlier[1]} comes "
                        f"offset {self._base + later[0]} at byte {later[1]}"
                    )
                    break

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        if self._complaint is not None or self._next == len(self._entries):
            return
        relative, indexed = self._entries[self._next]
        if indexed > position:
            return
        self._next += 1
        entry = f"its entry for offset {self._base + relative} points to byte {indexed}"
        if indexed < position:
            self._complaint = f"{entry}, where no batch begins"
        elif self._base + relative != header.last_offset:
            self._complaint = f"{entry}, where the batch that ends with offset {header.last_offset} begins"
        if self._complaint is not None:
            yield self._finding()

    def finish(self, ends: Ends) -> Iterator[Finding]:
        if self._complaint is not None:
            if self._next == 0:
                yield self._finding()
        elif self._next < len(self._entries):
            relative, indexed = self._entries[self._next]
            self._complaint = (
                f"its entry for offset {self._base + relative} points to byte {indexed}, but the last batch begins "
                f"before that: the segment ends at byte {ends.position}"
            )
            yield self._finding(ends.ahead_is_fine and indexed >= ends.position)

    def _finding(self, note: bool = False) -> Finding:
        return Finding(self._path, f"{self._complaint}; {REBUILT}", note)


class TimeIndexWitness:
    """`.timeindex`: each entry has the largest timestamp so far, and the last offset of the first batch with it."""

    def __init__(self, path: Path, data: bytes, base_offset: int) -> None:
        self._path = path
        self._base = base_offset
        whole, rest = preallocated(data, time_index.LAYOUT.size)
        self._entries: list[tuple[int, int]] = list(time_index.LAYOUT.iter_unpack(whole))
        self._next = 0
        self._largest = -1
        self._complaint = next((line["reason"] for line in rest if line["type"] == "unreadable"), None)
        if self._complaint is None:
            for earlier, later in pairwise(self._entries):
                if later[0] <= earlier[0] or later[1] <= earlier[1]:
                    self._complaint = (
                        f"it is not monotone: after timestamp {earlier[0]} at offset {self._base + earlier[1]} comes "
                        f"timestamp {later[0]} at offset {self._base + later[1]}"
                    )
                    break

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        before, self._largest = self._largest, max(self._largest, header.max_timestamp)
        if self._complaint is not None or self._next == len(self._entries):
            return
        timestamp, relative = self._entries[self._next]
        if self._base + relative > header.last_offset:
            return
        self._next += 1
        entry = f"its entry for timestamp {timestamp} names offset {self._base + relative}"
        if self._base + relative < header.last_offset:
            self._complaint = f"{entry}, with which no batch ends"
        elif header.max_timestamp != timestamp:
            self._complaint = f"{entry}, where the batch's largest timestamp is {header.max_timestamp}"
        elif before >= timestamp:
            self._complaint = f"{entry}, but batches before that have timestamps up to {before}"
        if self._complaint is not None:
            yield self._finding()

    def finish(self, ends: Ends) -> Iterator[Finding]:
        if self._complaint is not None:
            if self._next == 0:
                yield self._finding()
        elif self._next < len(self._entries):
            timestamp, relative = self._entries[self._next]
            self._complaint = (
                f"its entry for timestamp {timestamp} names offset {self._base + relative}, but the segment ends "
                f"before offset {ends.offset}"
            )
            yield self._finding(ends.ahead_is_fine and self._base + relative >= ends.offset)

    def _finding(self, note: bool = False) -> Finding:
        return Finding(self._path, f"{self._complaint}; {REBUILT}", note)


class TransactionIndexWitness:
    """`.txnindex`: the aborted transactions whose markers are in the segment, no more and no fewer."""

    def __init__(self, path: Path, data: bytes | None, base_offset: int) -> None:
        self._path = path
        self._missing = data is None
        entries = transaction_index.decode(data or b"", base_offset, 1 << 63)
        self._complaint: str | None = None
        if entries is None:
            self._complaint = "it cannot be read: its size, a version or the order of its entries is wrong"
        self._entries = {entry.last_offset: entry for entry in entries or ()}

    def see_marker(
        self, header: BatchHeader, marker: EndTxnMarker, ended: CompletedTransaction | None, complete: bool
    ) -> Iterator[Finding]:
        """A transaction marker goes by. `ended` is what it ended by the batches before it, which go back to where the
        transaction began if `complete`."""
        if self._complaint is not None:
            return
        offset = header.base_offset
        entry = self._entries.pop(offset, None)
        if entry is None:
            if ended is not None and ended.aborted:
                what = "there is no such file" if self._missing else "it has no entry for that"
                self._complaint = (
                    f"producer {ended.producer_id} aborted a transaction at offset {offset}, but {what}: readers of "
                    "committed data would be given its records"
                )
        elif marker.commit:
            self._complaint = f"its entry at offset {offset} is of a transaction that was committed"
        elif entry.producer_id != header.producer_id:
            self._complaint = (
                f"its entry at offset {offset} names producer {entry.producer_id}, the marker there is of producer "
                f"{header.producer_id}"
            )
        elif ended is not None and complete and entry != ended:
            self._complaint = (
                f"its entry at offset {offset} says that the transaction began at {entry.first_offset} and data was "
                f"stable up to {entry.last_stable_offset}; by the batches these are {ended.first_offset} and "
                f"{ended.last_stable_offset}"
            )
        if self._complaint is not None:
            yield Finding(self._path, self._complaint)
            self._complaint = ""

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        return iter(())

    def finish(self, ends: Ends) -> Iterator[Finding]:
        if self._complaint:
            yield Finding(self._path, f"{self._complaint}; {REBUILT}")
        elif self._complaint is None and self._entries:
            offset = min(self._entries)
            yield Finding(
                self._path,
                f"its entry at offset {offset} is of no marker in the segment",
                ends.ahead_is_fine and offset >= ends.offset,
            )


class SnapshotWitness:
    """`.snapshot`: the last batches of each producer before the offset in its name."""

    def __init__(self, path: Path, data: bytes, offset: int) -> None:
        self._path = path
        self._offset = offset
        self._complaint: str | None = None
        self._reported = False
        self.states = producer_snapshot.decode(data)
        self._wanted: dict[int, ProducerState] = {}
        if self.states is None:
            self._complaint = (
                "it is unreadable: its version, size or CRC is wrong; an older snapshot serves, or the log is replayed"
            )
            return
        for state in self.states:
            if state.last_offset >= offset:
                self._complaint = (
                    f"it names a batch of producer {state.producer_id} that ends with offset {state.last_offset}, "
                    f"but a snapshot of this name is of what lies before {offset}"
                )
            elif state.last_offset >= 0:
                self._wanted[state.last_offset] = state

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        state = self._wanted.pop(header.last_offset, None)
        if state is None or self._complaint is not None:
            return
        if header.producer_id < 0 and not header.record_count:
            return  # compaction has left nothing of this segment but a place holder, which names no producer
        says = (state.producer_id, state.producer_epoch, state.last_sequence)
        last_sequence = header.last_sequence
        # An epoch that ended without data leaves the batch of the one before, and a marker its own newer epoch.
        if says[0] != header.producer_id or (says[1] == header.producer_epoch and says[2] != last_sequence):
            self._complaint = (
                f"it says that the batch that ends with offset {state.last_offset} is of producer {says[0]}, epoch "
                f"{says[1]}, up to sequence {says[2]}; it is of producer {header.producer_id}, epoch "
                f"{header.producer_epoch}, up to sequence {last_sequence}"
            )
            yield Finding(self._path, self._complaint)
            self._reported = True

    def finish(self, ends: Ends) -> Iterator[Finding]:
        if self._complaint is not None:
            if not self._reported:
                yield Finding(self._path, self._complaint)
        elif self._offset > ends.offset:
            yield Finding(
                self._path, f"it is for offset {self._offset}, beyond the log's end at {ends.offset}; the next start "
                "removes it", ends.ahead_is_fine,
            )  # fmt: skip


class EpochWitness:
    """`leader-epoch-checkpoint`: at which offset each leader epoch began."""

    def __init__(self, path: Path, epochs: LeaderEpochs, log_start: int | None) -> None:
        self._path = path
        self._entries = epochs.entries
        # What lies before the log's start may still be in its first segment, but no epoch is kept for it.
        self._from = log_start if log_start is not None else epochs.entries[0].start_offset if epochs.entries else 0
        self._next = 0
        self._complaint: str | None = None

    def see(self, position: int, header: BatchHeader) -> Iterator[Finding]:
        if self._complaint is not None or header.base_offset < self._from:
            return
        entries = self._entries
        while self._next < len(entries) and entries[self._next].start_offset <= header.base_offset:
            self._next += 1
        says = entries[self._next - 1].epoch if self._next else None
        if says != header.partition_leader_epoch:
            known = f"epoch {says}" if says is not None else "no epoch"
            self._complaint = (
                f"it has {known} for offset {header.base_offset}, the batch there is of epoch "
                f"{header.partition_leader_epoch}"
            )
            yield Finding(self._path, f"{self._complaint}; remove it, and {REBUILT}")

    def finish(self, ends: Ends) -> Iterator[Finding]:
        if self._entries and self._complaint is None and self._entries[-1].start_offset > ends.offset:
            epoch, offset = self._entries[-1]
            yield Finding(
                self._path, f"its epoch {epoch} begins at {offset}, beyond the log's end at {ends.offset}; the next "
                "start forgets that", ends.ahead_is_fine,
            )  # fmt: skip


class Replay:
    """Producers and transactions as the batches tell of them.

    It begins with the `states` of a snapshot where the log begins. `complete`: these, or the log itself, go back to the
    beginning of every transaction.
    """

    def __init__(self, states: list[ProducerState], complete: bool) -> None:
        self._producers = LogProducers()
        self._producers.restore(states, 0)
        self.complete = complete

    def apply(self, header: BatchHeader) -> None:
        """A batch of data of a producer goes by."""
        self._producers.apply(header, header.base_offset, 0)

    def end(self, header: BatchHeader, marker: EndTxnMarker) -> CompletedTransaction | None:
        """A marker goes by; the transaction that it ends, as far as its batches are there."""
        return self._producers.apply_marker(header, marker, header.base_offset, 0)
