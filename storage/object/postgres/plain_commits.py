"""A commit as the plain case sees it: one line for each run, one for each producer in it, or no plain case at all.

`plain` looks at a commit alone and says which parameters `sql/commits.sql` takes for it. It says None where it can be
seen already that the case is not plain: batches of one producer that do not follow each other, a marker beside its
producer's batches, appends that do not expect each other's ends. Whether the commit fits to what the *logs* are is
found out by the database, in one statement for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from kproto.batches.header import TRANSACTIONAL
from storage.object.control_plane import Commit, CommitRun, RunAppend
from storage.object.postgres.values import NULL, Parameter, number, numbers, optional_numbers, raws, text, truths
from storage.producers import WINDOW

_SEQUENCE_MASK: Final = 0x7FFF_FFFF
_PLAIN, _TRANSACTIONAL, _COMMITS, _ABORTS = range(4)


class _Produced:
    """All batches of one producer in one run: a line of the arrays that `sql/commits.sql` describes."""

    __slots__ = (
        "batches", "coordinator_epoch", "delta", "epoch", "first", "kind", "next", "own", "producer_id", "run", "since",
        "timestamp",
    )  # fmt: skip

    def __init__(
        self, run: int, producer_id: int, epoch: int, kind: int, first: int, delta: int, coordinator_epoch: int
    ) -> None:
        self.run = run
        self.producer_id = producer_id
        self.epoch = epoch
        self.kind = kind
        self.first = first
        self.next = first
        self.delta = delta
        self.coordinator_epoch = coordinator_epoch
        self.timestamp = -1
        self.since: int | None = 1 << 62
        self.own = False
        self.batches: list[tuple[int, int]] = []  # first sequence, offset from the run's first

    @property
    def is_simple(self) -> bool:
        """Whether it is one numbered batch outside of transactions, at the beginning of the run."""
        return self.kind == _PLAIN and self.first >= 0 and self.delta == 0 and len(self.batches) == 1


def plain(
    commit: Commit, node: Parameter, incarnation: Parameter, expiration: Parameter, inline_key_ms: Parameter
) -> list[Parameter] | None:
    """The parameters of `ottla.commit_runs` for this commit; None if it is not plain."""
    parts: list[int] = []
    counts: list[int] = []
    positions: list[int] = []
    lengths: list[int] = []
    timestamps: list[int] = []
    expected: list[int | None] = []
    inline: list[bytes | memoryview | None] = []
    produced: list[_Produced] = []
    simple = _simple(commit)
    for index, run in enumerate(commit.runs, 1):
        appends = run.appends
        if len(appends) == 1:
            (append,) = appends
            offsets, length, timestamp = append.offsets, append.length, append.max_timestamp
        else:
            if not _follow_each_other(appends):
                return None
            offsets = sum(append.offsets for append in appends)
            length = sum(append.length for append in appends)
            timestamp = max(append.max_timestamp for append in appends)
        if (run.inline is None) == (commit.size == 0):
            return None  # a commit of both kinds: one is made by the slower way
        parts.append(run.log_id)
        counts.append(offsets)
        positions.append(run.position if run.inline is None else 0)
        lengths.append(length)
        timestamps.append(timestamp)
        expected.append(appends[0].expected_end)
        inline.append(run.inline)
        if not simple:
            lines = _produced(index, run)
            if lines is None:
                return None
            produced += lines
    if len(set(parts)) < len(parts):
        return None
    return [
        node,
        incarnation,
        text(commit.key),
        number(commit.size),
        expiration,
        inline_key_ms,
        numbers(parts),
        numbers(counts),
        numbers(positions),
        numbers(lengths),
        numbers(timestamps),
        optional_numbers(expected),
        NULL if commit.size else raws(inline),
        *(simple or _columns(produced)),
    ]


def _follow_each_other(appends: Sequence[RunAppend]) -> bool:
    """Whether each append expects nothing, or the end of the one before."""
    end = appends[0].expected_end
    for earlier, append in pairwise(appends):
        if end is not None:
            end += earlier.offsets
        if append.expected_end is not None and append.expected_end != end:
            return False
    return True


def _simple(commit: Commit) -> list[Parameter] | None:
    """The producers of a commit with one numbered batch in each run, outside of transactions: what most commits are,
    told apart without an object for each."""
    lines = []
    for index, run in enumerate(commit.runs, 1):
        if len(run.appends) != 1 or len(run.appends[0].batches) != 1:
            return None
        ((header, marker),) = run.appends[0].batches
        sequence, producer_id = header.base_sequence, header.producer_id
        if marker is not None or sequence < 0 or producer_id < 0 or header.attributes & TRANSACTIONAL:
            return None
        following = (sequence + header.last_offset_delta + 1) & _SEQUENCE_MASK
        lines.append((index, producer_id, header.producer_epoch, sequence, following, header.max_timestamp))
    return [*map(numbers, zip(*lines, strict=True)), *[NULL] * 16]


def _produced(index: int, run: CommitRun) -> list[_Produced] | None:
    """The lines of a run's producers; None if they are not plain."""
    lines: dict[int, _Produced] = {}
    delta = 0
    for append in run.appends:
        at = delta
        for header, marker in append.batches:
            producer_id = header.producer_id
            count = header.last_offset_delta + 1
            if producer_id >= 0:
                sequence = header.base_sequence
                if marker is not None:
                    kind = _COMMITS if marker.commit else _ABORTS
                else:
                    kind = _TRANSACTIONAL if header.attributes & TRANSACTIONAL else _PLAIN
                line = lines.get(producer_id)
                if line is None:
                    coordinator_epoch = -1 if marker is None else marker.coordinator_epoch
                    line = _Produced(index, producer_id, header.producer_epoch, kind, sequence, at, coordinator_epoch)
                    lines[producer_id] = line
                elif marker is not None or sequence < 0 or (header.producer_epoch, kind, sequence) != (
                    line.epoch, line.kind, line.next,
                ):  # fmt: skip
                    return None
                if append.transaction_version >= 2:
                    line.own = True
                since = append.unended_since
                line.since = None if since is None or line.since is None else min(since, line.since)
                line.timestamp = header.max_timestamp
                if marker is None:
                    if sequence < 0:
                        # Alone in its window, with its last offset.
                        line.batches.append((-1, at + count - 1))
                        line.next = 0
                    else:
                        line.batches.append((sequence, at))
                        line.next = (sequence + count) & _SEQUENCE_MASK
            at += count
        delta += append.offsets
    return list(lines.values())


def _columns(lines: Sequence[_Produced]) -> list[Parameter]:
    """The lines as arrays."""
    columns = [
        numbers([line.run for line in lines]),
        numbers([line.producer_id for line in lines]),
        numbers([line.epoch for line in lines]),
        numbers([line.first for line in lines]),
        numbers([line.next for line in lines]),
        numbers([line.timestamp for line in lines]),
    ]
    if all(line.is_simple for line in lines):
        return columns + [NULL] * 16
    windows = [line.batches[: -WINDOW - 1 : -1] for line in lines]
    columns += [
        numbers(line.kind for line in lines),
        optional_numbers(line.since for line in lines),
        truths(line.own for line in lines),
        numbers(line.coordinator_epoch for line in lines),
        numbers(line.delta for line in lines),
        numbers(len(window) for window in windows),
    ]
    for part in (0, 1):
        columns += [
            optional_numbers(window[place][part] if place < len(window) else None for window in windows)
            for place in range(WINDOW)
        ]
    return columns
