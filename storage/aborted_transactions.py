"""Transactions that have ended, as their log remembers them: the transaction index, in memory. Pure.

Readers of committed data get whole batches and leave out those of aborted transactions by themselves. What they need
for that is a list: of each aborted transaction in what they read, its producer and first offset. So a log keeps the
aborted ones, in the order of their markers, and finds those that overlap a span of offsets.

**How far to look.** Markers of long transactions come late: behind the first marker beyond the span there may be
another whose transaction began inside it. Where that ends is written down with each marker: the last stable offset
right after it. Transactions that end later begin no earlier than that, so once it reaches the end of the span, nothing
behind can overlap.

**The order** of an answer is that of the markers, as Kafka's: readers sort by first offset what they get.

Sources: KIP-98; org.apache.kafka.storage.internals.log.{CompletedTxn, AbortedTxn, TransactionIndex}.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from storage.engine import AbortedTransaction

_last_offset = attrgetter("last_offset")


class CompletedTransaction(NamedTuple):
    """A transaction that its marker has ended: a line of the transaction index when `aborted`.

    `last_offset` is the marker's own. `last_stable_offset` is where stable data ended right after it: no transaction
    that completes later overlaps what lies before.
    """

    producer_id: int
    first_offset: int
    last_offset: int
    aborted: bool
    last_stable_offset: int


class AbortedTransactions:
    """The aborted transactions of a log, in the order of their markers: the transaction index, in memory.

    Changed in the event loop, asked in any thread: the list only grows at its end, or is replaced.
    """

    __slots__ = ("_spans",)

    def __init__(self, spans: Iterable[CompletedTransaction] = ()) -> None:
        self._spans = list(spans)

    def __len__(self) -> int:
        return len(self._spans)

    def add(self, completed: CompletedTransaction) -> None:
        """Note an aborted transaction; its marker is behind all others."""
        assert completed.aborted
        assert not self._spans or self._spans[-1].last_offset < completed.last_offset
        self._spans.append(completed)

    def ending_in(self, first: int, end: int) -> list[CompletedTransaction]:
        """Those whose markers lie in [first, end)."""
        return self._spans[self._first_ending_at(first) : self._first_ending_at(end)]

    def replace(self, first: int, end: int, spans: Sequence[CompletedTransaction]) -> None:
        """Of those whose markers lie in [first, end), only `spans` are left: of the others no record is."""
        before, behind = self._spans[: self._first_ending_at(first)], self._spans[self._first_ending_at(end) :]
        self._spans = [*before, *spans, *behind]

    def overlapping(self, start: int, upto: int) -> list[AbortedTransaction]:
        """Those with an offset in [start, upto), in the order of their markers."""
        found = []
        spans = self._spans
        for index in range(bisect_left(spans, start, key=_last_offset), len(spans)):
            span = spans[index]
            if span.first_offset < upto:
                found.append(AbortedTransaction(span.producer_id, span.first_offset))
            if span.last_stable_offset >= upto:
                break
        return found

    def drop_before(self, offset: int) -> None:
        """Forget those that lie wholly before `offset`: the log starts there now."""
        self._spans = self._spans[self._first_ending_at(offset) :]

    def _first_ending_at(self, offset: int) -> int:
        return bisect_left(self._spans, offset, key=_last_offset)
