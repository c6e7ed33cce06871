"""Appends that become one object together: a window, and in it one share per log.

A window is open while it gathers, and closed when it is uploaded. Each log's batches are copied once, one behind the
other into the log's share, since the caller's buffer is reused: the same bytes are uploaded, get their offsets patched
in when the commit has given them, and are then what the cache serves. So an append's bytes are copied once in this
engine's life of them.

Bytes of appends that the commit has refused stay in the object and belong to no run. In memory, the share is then cut
into several runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from kproto.batches.header import TRANSACTIONAL, patch_base_offset
from kproto.errors import KafkaError
from storage.engine import WrongEnd
from storage.object.cache import CachedRun, Holder
from storage.object.control_plane import CommitRun, LogName, Repeated, RunOutcome, Taken
from storage.object.object_format import UNPLACED, StoredRun, encode_footer
from storage.object.pending_append import PendingAppend


class WrittenLog(Holder, Protocol):
    """A log, as what is on its way to it knows it."""

    log_id: int | None
    """Its number in the control plane; None while it has none."""

    gathering: int
    """Its appends in windows."""

    @property
    def name(self) -> LogName: ...

    @property
    def leader_epoch(self) -> int: ...

    def committed(self, outcome: RunOutcome) -> None:
        """A commit of its appends has come to this."""
        ...

    def settled(self, append: PendingAppend) -> None:
        """One of its appends has its answer."""
        ...


class Share:
    """One log's appends in a window, side by side."""

    __slots__ = ("_begin", "appends", "data", "live", "log", "position")

    def __init__(self, log: WrittenLog) -> None:
        self.log = log
        self.appends: list[PendingAppend] = []
        self.data = bytearray()
        self.position = 0  # in the object
        self.live: list[PendingAppend] = []
        """Those that a commit is asked for."""
        self._begin = 0  # bytes before these

    def leave_out_failed(self) -> bool:
        """Leave out what has failed by now, in front and behind: its bytes are in the object and belong to no run.
        Whether anything is left to be committed. (Between others it stays, to be refused.)"""
        first, last = 0, len(self.appends)
        while first < last and self.appends[first].answered:
            first += 1
        while first < last and self.appends[last - 1].answered:
            last -= 1
        self.live = self.appends[first:last]
        self._begin = sum(append.size for append in self.appends[:first])
        return first < last

    def stored(self) -> StoredRun:
        """Its line in the footer."""
        name = self.log.name
        offsets = sum(append.request.offsets for append in self.appends)
        latest = max(append.request.max_timestamp for append in self.appends)
        return StoredRun(
            name.topic, name.topic_id, name.partition, self.position, len(self.data), UNPLACED, offsets, latest
        )

    def run(self) -> CommitRun:
        """What is asked of the control plane."""
        assert self.log.log_id is not None, "the log has been made"
        return CommitRun(self.log.log_id, self.position + self._begin, [append.request for append in self.live])

    def cached(self, outcome: RunOutcome, key: str) -> list[CachedRun]:
        """The runs that are there now, ready to be served; to be called before `answer`."""
        end = self._begin + sum(append.size for append in self.live)
        data = memoryview(self.data)[self._begin : end]
        return cached_runs(self.live, data, outcome, self.log.leader_epoch, key, self.position + self._begin)


class State(Enum):
    """How far a window is."""

    OPEN = "open"
    CLOSED = "closed"
    UPLOADED = "uploaded"
    FAILED = "failed"


class Window:
    """The shares of several logs; `opened` is when its first append came (milliseconds, monotonic)."""

    __slots__ = ("key", "object_size", "opened", "shares", "size", "state")

    def __init__(self, opened: int) -> None:
        self.opened = opened
        self.shares: dict[WrittenLog, Share] = {}
        self.size = 0  # bytes of all appends
        self.state = State.OPEN
        self.key = ""
        self.object_size = 0  # with its footer

    def add(self, log: WrittenLog, append: PendingAppend, data: Iterable[memoryview]) -> None:
        """Copy an append's bytes to the end of its log's share."""
        share = self.shares.get(log)
        if share is None:
            share = self.shares[log] = Share(log)
        for piece in data:
            share.data += piece
        share.appends.append(append)
        self.size += append.size

    def pieces(self) -> list[bytearray | bytes]:
        """The object's bytes; places the shares in it."""
        pieces: list[bytearray | bytes] = []
        position = 0
        for share in self.shares.values():
            share.position = position
            position += len(share.data)
            pieces.append(share.data)
        pieces.append(encode_footer([share.stored() for share in self.shares.values()]))
        self.object_size = position + len(pieces[-1])
        return pieces

    def live(self) -> list[Share]:
        """The shares that have something to be committed."""
        return [share for share in self.shares.values() if share.live]

    def appends(self) -> Iterator[PendingAppend]:
        """All of them."""
        for share in self.shares.values():
            yield from share.appends

    def lanes(self) -> set[tuple[WrittenLog, int]]:
        """The logs and producers whose batches are numbered in it."""
        return {
            (share.log, header.producer_id)
            for share in self.shares.values()
            for append in share.appends
            for header, _ in append.request.batches
            if header.base_sequence >= 0
        }


def answer(appends: Sequence[PendingAppend], outcome: RunOutcome) -> None:
    """Give each append of a run its part of the outcome."""
    if outcome.appends is None:
        base = outcome.base_offset
        for append in appends:
            append.taken(base)
            base += append.request.offsets
        return
    for append, result in zip(appends, outcome.appends, strict=True):
        if isinstance(result, Taken):
            append.taken(result.base_offset)
        elif isinstance(result, Repeated):
            append.repeated(result.base_offset, result.last_offset)
        else:
            assert isinstance(result, KafkaError | WrongEnd)
            append.refused(result)


def cached_runs(
    appends: Sequence[PendingAppend],
    data: bytearray | memoryview,
    outcome: RunOutcome,
    leader_epoch: int,
    key: str,
    position: int,
) -> list[CachedRun]:
    """The runs that a commit has made of these appends, whose bytes are `data`: at `position` of the object `key`.
    Patches their offsets in. To be called before the appends are answered."""
    view = memoryview(data)
    readable = view.toreadonly()
    runs: list[CachedRun] = []
    begin = at = 0  # bytes of the run that is being made
    base = following = -1
    offsets, positions = array("q"), array("q")
    transactional = False

    def close() -> None:
        if positions:
            identity = (key, position + begin, at - begin)
            runs.append(CachedRun(base, following, readable[begin:at], offsets, positions, transactional, identity))

    for number, append in enumerate(appends):
        if outcome.appends is None:
            first = outcome.base_offset if number == 0 else following
        else:
            result = outcome.appends[number]
            first = result.base_offset if isinstance(result, Taken) else -1
        if first < 0 or first != following:
            close()
            offsets, positions, transactional = array("q"), array("q"), False
            begin, base, following = at, first, first
        if first < 0:
            at += append.size
            begin = at
            continue
        for header, _ in append.request.batches:
            if header.attributes & TRANSACTIONAL:
                transactional = True
        for size, count in append.batches:
            patch_base_offset(view, at, following, leader_epoch)
            offsets.append(following)
            positions.append(at - begin)
            at += size
            following += count
    close()
    return runs
