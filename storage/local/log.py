"""One partition's log on disk: segments, producers, epochs. Synchronous; the engine above decides when to wait.

**Append** is the order of the log. The producers are asked first, because a refusal must leave no trace. Then base
offset and leader epoch are patched into the caller's buffer and all batches go to the file in one write. Only when that
has succeeded does anything here change. A write that failed is taken back by cutting the file to its old size; if even
that fails, the log stops: it could otherwise serve half a batch.

**What is durable** is a number, `synced_end`: everything below it has been synced, by the group commit (`flusher.py`)
or by recovery. Files and directories with news since then are handed out by `take_unsynced`.

**Rolling.** A new segment begins when the batch would make this one larger than `segment.bytes`, when its timestamp is
`segment.ms` after the first one's, when an index is full, or when its offset would not fit into the index's 32 bits. A
segment whose first batch has no timestamp is rolled by the time of day: `segment.ms` after it was made, or, when the
log has been opened since, after it was last written then. (Kafka counts from the opening instead. Here logs are closed
when they are idle, and such a segment would never be old.) The old segment's indexes are completed, and the producers
are written to a snapshot at the boundary, so that an opening log need not replay from the beginning; unless that would
be larger than the batches since the last one, which are read more quickly then (thousands of producers in segments of
one record would leave gigabytes). What of it has not been synced yet is synced now, also if no producer waits (as
in Kafka): were the power to go later, the disk might have the new segment and not the end of the old one: a hole.

The list of segments is replaced whole, never changed in place: readers may be at work in other threads.

Sources: org.apache.kafka.storage.internals.log.{UnifiedLog, LocalLog, LogSegment.append, LogSegment.shouldRoll}.
"""

from __future__ import annotations

import contextlib
import errno
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, Protocol

import trio

from kproto.batches.header import CONTROL
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH
from storage.aborted_transactions import AbortedTransactions, CompletedTransaction
from storage.engine import AbortedTransaction, Batch, EpochEnd, VerificationGuard
from storage.local import leader_epochs, producer_snapshot, transaction_index
from storage.local.index_file import read
from storage.local.leader_epochs import LeaderEpochs
from storage.local.reserve import NO_ROOM
from storage.local.segment import MAX_RELATIVE_OFFSET, FileSlice, Segment, file_name, places_of_names
from storage.local.surroundings import Surroundings
from storage.log_config import LogConfig
from storage.markers import end_marker
from storage.producers import AppendedBatch, LogProducers, ProducerState
from storage.retention import SegmentAge, judge
from storage.seams.disk import PASSING_ERRORS, File
from storage.seams.logging import get_logger

NOTHING: Final = b""
EXPIRY_INTERVAL_MS: Final = 10 * 60 * 1000
NEVER: Final = 1 << 62
GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ESTALE})
"""What the disk says of names that are not where this process has made them: the disk is well, and another program has
been at the log's directory."""

SNAPSHOT_WORTH: Final = 64 << 10
"""Bytes of batches behind the newest snapshot that make another one worth while: about a millisecond of reading."""
SNAPSHOT_BYTES: Final = 5 * producer_snapshot.ENTRY.size
"""A producer's share of a snapshot."""

NO_TIMESTAMP: Final = -1
"""Of a batch none of whose records has one, as Kafka's RecordBatch.NO_TIMESTAMP."""

_pack_offset = Struct(">q").pack_into
_pack_epoch = Struct(">i").pack_into
_unpack_length = Struct(">i").unpack_from


class LogOwner(Protocol):
    """What a log reports, and asks, as it goes: the partition that it belongs to. All of it in the event loop."""

    def log_rolled(self) -> None:
        """A segment with unsynced bytes is written no more."""
        ...

    def log_created(self) -> None:
        """The first append has made the log's directory. Raises OSError; then the append fails."""
        ...

    def make_room(self) -> bool:
        """There is no room on the disk: True if this log has to go on, and there is room now."""
        ...


class Unowned:
    """The owner of a log that no partition has asked for: one that was recovered at a start, or is only examined."""

    def log_rolled(self) -> None:
        """What was rolled is synced when the log is."""

    def log_created(self) -> None:
        """There is no topic to note."""

    def make_room(self) -> bool:
        return False


UNOWNED: Final = Unowned()


class Contents(NamedTuple):
    """What an opening has found of a log; all of it is the log's own from then on."""

    segments: list[Segment]  # oldest first
    start: int
    end: int
    synced_end: int
    epochs: LeaderEpochs
    producers: LogProducers
    aborted: AbortedTransactions
    snapshots: list[int]  # offsets of the producers' snapshots


class Snapshot(NamedTuple):
    """The producers of a log just before `offset`, where the segment being written had `size` bytes."""

    offset: int
    size: int
    path: str
    states: list[ProducerState]


class Unsynced(NamedTuple):
    """What must be synced for the log to be durable below `end`."""

    end: int
    records: int
    segments: list[tuple[Segment, File | None, int]]  # its file if it is open, and how many bytes of it that covers
    indexes: list[str]  # transaction indexes: the only ones that recovery does not rebuild from the recovery point
    directories: list[str]


class Log:
    """An open log. `recovery.load` makes one, of what it has found. Attributes are for reading."""

    __slots__ = (
        "_around", "_behind_snapshot", "_expire_at", "_failure", "_health", "_new_directories", "_new_indexes",
        "_owner", "_roll_after", "_roll_at", "_rolled", "_snapshot_size", "_snapshots", "aborted", "config",
        "directory", "end", "epoch", "epochs", "layout", "long_look_up", "producers", "start", "synced_end",
        "unsynced_records",
    )  # fmt: skip

    def __init__(
        self, around: Surroundings, directory: str, config: LogConfig, owner: LogOwner, found: Contents
    ) -> None:
        self._around = around
        self._health = around.health
        self._owner = owner
        self.directory = directory
        self.config = config
        self.layout: tuple[list[int], list[Segment]] = ([], [])
        """The segments and their base offsets."""
        self.start = found.start
        self.end = found.end
        self.synced_end = found.synced_end
        self.epochs = found.epochs
        self.epoch = self.epochs.latest or 0
        self.producers = found.producers
        self.aborted = found.aborted
        self.unsynced_records = 0
        self.long_look_up = trio.Lock()
        """Held by a look-up by time that lasts: the next one knows what that has found out."""
        self._snapshots = found.snapshots
        newest = max(found.snapshots, default=0)
        self._behind_snapshot = sum([each.size for each in found.segments[:-1] if each.base_offset >= newest])
        """Bytes of the segments rolled since the newest snapshot."""
        self._snapshot_size = 0  # of the segment being written, when the newest was taken; 0 also if that is not known
        self._failure: str | None = None  # why this log, and not the whole directory, takes no appends any more
        self._rolled = [segment for segment in found.segments[:-1] if segment.synced_size < segment.size]
        """Not written any more, not synced yet."""
        self._new_directories = places_of_names(directory) if found.synced_end < found.end else list[str]()
        self._new_indexes: list[str] = []
        self._roll_after = NEVER  # a batch with a later timestamp begins a new segment
        self._roll_at = -1  # but not before that time of day
        self._expire_at = 0
        self._set_segments(found.segments)

    def go_on_in(self, leader_epoch: int) -> None:
        """Stamp what is appended with `leader_epoch`, if that is newer: an empty log cannot know its epoch."""
        assert self.start == self.end, "a log that has records knows its epoch"
        self.epoch = max(self.epoch, leader_epoch)

    def claim(self, owner: LogOwner, config: LogConfig) -> None:
        """Belong to `owner` from now on, who keeps the log as `config` says: it had not been asked for so far."""
        assert isinstance(self._owner, Unowned), "a log has one owner"
        self._owner = owner
        self.producers.configure(self._around.producer_rules)
        self.configure(config)

    @property
    def failure(self) -> str | None:
        """Why the log takes no appends: an error of its own, or its directory has stopped. None if it does."""
        return self._failure or self._health.failure

    # -- appending -----------------------------------------------------------------------------------------------------

    def append(
        self, batches: Sequence[Batch], guard: VerificationGuard | None = None, transaction_version: int = 0
    ) -> AppendedBatch | None:
        """Put `batches` at the end of the log; None, or the place of the batches that these repeat.

        `guard` and `transaction_version` as in `PartitionLog.begin_append`.
        Raises KafkaError; then nothing has been appended.
        """
        if self._failure is not None or self._health.failure is not None:
            raise self.broken()
        header, data = batches[0]
        if len(batches) > 1 or header.attributes & CONTROL:
            return self._append_several(batches, guard, transaction_version)
        base_offset = self.end
        numbered = header.producer_id >= 0
        if numbered:
            now = self._around.clock.monotonic_millis()
            original = self.producers.check(header, now, guard)
            if original is not None:
                return original
        config = self.config
        size = len(data)
        segment = self._segment_for(size, header.max_timestamp, base_offset + header.last_offset_delta)
        position = segment.size
        _pack_offset(data, 0, base_offset)
        _pack_epoch(data, 12, self.epoch)
        file = segment.written_file
        if file.size() < position:
            raise self._cut_short(segment)
        try:
            file.write(position, data)
        except OSError as error:
            self._write_again(segment, position, [data], error)
        if numbered:  # before the end, or readers in threads would take an open transaction for stable
            self.producers.apply(header, base_offset, now)
        self.end = base_offset + header.last_offset_delta + 1  # before the segment's size: see `read`
        segment.note(header, base_offset, position, config.index_interval_bytes, config.segment_index_bytes)
        if position == 0:
            self._begin_segment(segment, base_offset)
        if numbered and now >= self._expire_at:
            self._expire(now)
        self.unsynced_records += header.last_offset_delta + 1
        return None

    def _append_several(
        self, batches: Sequence[Batch], guard: VerificationGuard | None, transaction_version: int
    ) -> AppendedBatch | None:
        now = self._around.clock.monotonic_millis()
        checked = [(header, end_marker(header, data)) for header, data in batches]
        offset = base_offset = self.end
        numbered = any(header.producer_id >= 0 for header, _ in checked)
        if numbered:
            original = self.producers.check_all(checked, offset, now, guard, transaction_version)
            if original is not None:
                return original
        size = sum([len(data) for _, data in batches])
        records = sum([header.last_offset_delta + 1 for header, _ in batches])
        newest = max([header.max_timestamp for header, _ in batches])
        segment = self._segment_for(size, newest, base_offset + records - 1)
        start = position = segment.size
        for header, data in batches:
            _pack_offset(data, 0, offset)
            _pack_epoch(data, 12, self.epoch)
            offset += header.last_offset_delta + 1
        file = segment.written_file
        if file.size() < position:
            raise self._cut_short(segment)
        try:
            file.write_all(position, [data for _, data in batches])
        except OSError as error:
            self._write_again(segment, start, [data for _, data in batches], error)
        config = self.config
        end, offset = offset, base_offset
        aborted: list[CompletedTransaction] = []
        for header, marker in checked:  # before the end grows, as above
            if header.producer_id >= 0:
                if marker is None:
                    self.producers.apply(header, offset, now)
                else:
                    completed = self.producers.apply_marker(header, marker, offset, now)
                    if completed is not None and completed.aborted:
                        self.aborted.add(completed)
                        aborted.append(completed)
            offset += header.last_offset_delta + 1
        self.end = end
        offset = base_offset
        for header, data in batches:
            segment.note(header, offset, position, config.index_interval_bytes, config.segment_index_bytes)
            position += len(data)
            offset += header.last_offset_delta + 1
        if start == 0:
            self._begin_segment(segment, base_offset)
        if aborted:
            self._append_to_transaction_index(segment, aborted)
        if now >= self._expire_at:
            self._expire(now)
        self.unsynced_records += records
        return None

    def _segment_for(self, size: int, timestamp: int, last_offset: int) -> Segment:
        """The segment that takes the next `size` bytes: the last one or, when it has had enough, a new one."""
        segments = self.layout[1]
        if segments:
            active = segments[-1]
            if (
                active.size == 0
                or (
                    active.size + size <= self.config.segment_bytes
                    and (timestamp <= self._roll_after or self._around.clock.wall_millis() <= self._roll_at)
                    and not active.full
                )
            ) and last_offset - active.base_offset <= MAX_RELATIVE_OFFSET:
                return active
        try:
            return self.roll()
        except OSError as error:
            if not self._makes_room(error):
                raise self._refused(error) from error
        try:
            return self.roll()
        except OSError as error:
            raise self._refused(error) from error

    def _begin_segment(self, segment: Segment, base_offset: int) -> None:
        """The first batch of a segment is in: when will it be old, and is the epoch new?"""
        self._set_roll_time(segment)
        if self.epochs.assign(self.epoch, base_offset):
            self.write_epochs()

    def _set_roll_time(self, segment: Segment) -> None:
        self._roll_after, self._roll_at = NEVER, -1
        if not segment.size:
            return
        config = self.config
        wait = min(config.segment_ms, config.max_compaction_lag_ms) if config.compact else config.segment_ms
        if config.segment_jitter_ms > 0:
            chance = int.from_bytes(self._around.entropy.bytes(4), "big")
            wait -= chance % (min(config.segment_jitter_ms, wait) + 1)
        if segment.first_timestamp >= 0:
            self._roll_after = segment.first_timestamp + wait
        else:  # any batch's timestamp is later than that: what counts is the time of day
            self._roll_after, self._roll_at = NO_TIMESTAMP - 1, segment.created + wait

    def _makes_room(self, error: OSError) -> bool:
        """Whether what failed for want of room may be tried once more."""
        return error.errno in NO_ROOM and self._owner.make_room()

    def _write_again(self, segment: Segment, position: int, data: Sequence[memoryview], error: OSError) -> None:
        """A write failed. Take it back; try again if room can be made. Raises KafkaError."""
        refusal = self._take_back(segment, position, error)
        if self.failure is not None or not self._makes_room(error):
            raise refusal from error
        try:
            segment.written_file.write_all(position, data)
        except OSError as second:
            raise self._take_back(segment, position, second) from second

    def _take_back(self, segment: Segment, size: int, error: OSError) -> KafkaError:
        """A write failed: cut what may have arrived. Returns the refusal to raise."""
        try:
            segment.written_file.truncate(size)
        except OSError as second:
            self._failure = f"{self.directory}: a write failed ({error}) and could not be taken back ({second})"
        return self._refused(error)

    def _cut_short(self, segment: Segment) -> KafkaError:
        """The file ends before the log does: what is written now would lie behind a hole."""
        self.fail(f"{segment.path('.log')} has been cut, and should have {segment.size} bytes")
        return self.broken()

    def _refused(self, error: OSError) -> KafkaError:
        if error.errno in GONE:
            self.fail(str(error))
        elif error.errno not in PASSING_ERRORS:
            self._health.stop(f"{self.directory}: {error}")
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the log cannot be written: {error.strerror}")

    def fail(self, reason: str) -> None:
        """Take no appends any more, and acknowledge none of those that are not durable: `reason` is logged."""
        if self._failure is None:
            self._failure = reason
            get_logger("storage").error("partition offline", directory=self.directory, reason=reason)

    def broken(self) -> KafkaError:
        """The refusal of an append after the log has stopped."""
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log has stopped because of a disk error")

    def _expire(self, now: int) -> None:
        self.producers.expire(now)
        self._expire_at = now + EXPIRY_INTERVAL_MS

    def configure(self, config: LogConfig) -> None:
        """New settings, from the next append on."""
        self.config = config
        if self.segments:
            self._set_roll_time(self.segments[-1])

    # -- segments ------------------------------------------------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        """Oldest first; the last one is written."""
        return self.layout[1]

    def _set_segments(self, segments: list[Segment]) -> None:
        """Replace the list; the last one is the one to write from now on."""
        self.layout = [segment.base_offset for segment in segments], segments
        if segments:
            self._set_roll_time(segments[-1])

    def roll(self) -> Segment:
        """Begin a new segment at the end of the log. Raises OSError; then nothing has changed."""
        disk = self._around.disk
        if not self.segments:
            if disk.is_link(self.directory):
                raise OSError(errno.ELOOP, f"{self.directory} is a link, which is not followed")
            if not disk.is_directory(self.directory):
                disk.make_directory(self.directory)
                self._owner.log_created()
                self._new_directories.append(self.directory.rpartition("/")[0])
        elif self.segments[-1].size == 0:
            return self.segments[-1]
        self._check_active()
        now = self._around.clock.wall_millis()
        segment = Segment(disk, self._around.descriptors, self.directory, self.end, 0, created=now)
        segment.create()
        if self.directory not in self._new_directories:
            self._new_directories.append(self.directory)
        if self.segments:
            old = self.segments[-1]
            with contextlib.suppress(OSError):  # both are caches: an opening that misses them rebuilds them
                old.finish()
                self._behind_snapshot += old.size - self._snapshot_size
                if self._behind_snapshot >= SNAPSHOT_BYTES * len(self.producers):
                    self.write_snapshot()
            if old.synced_size < old.size:
                self._rolled.append(old)
            else:
                old.put_away()
        self._set_segments([*self.segments, segment])
        self._snapshot_size = 0
        if self._rolled:
            self._owner.log_rolled()
        return segment

    def _check_active(self) -> None:
        """Another segment is about to begin beside the one written so far. Raises OSError if that is not there."""
        active = self.segments[-1] if self.segments else None
        if active is not None and active.open_file is not None:
            wrong = active.open_file.strayed(active.path(".log"), active.size)
            if wrong is not None:
                raise OSError(errno.ENOENT, f"{active.path('.log')} {wrong}")

    @property
    def unsnapshotted(self) -> int:
        """Bytes behind the newest snapshot: their headers would be read if the log were opened after a kill."""
        segments = self.layout[1]
        if not segments or self.end == 0 or self.end in self._snapshots:
            return 0
        return self._behind_snapshot + segments[-1].size - self._snapshot_size

    @property
    def snapshot_due(self) -> bool:
        """Whether another snapshot would spare an opening more than it takes to write."""
        return self.unsnapshotted >= max(SNAPSHOT_WORTH, SNAPSHOT_BYTES * len(self.producers))

    def take_snapshot(self) -> Snapshot | None:
        """The producers as they are at the end of the log, to be written down; None if they are already."""
        if self.end == 0 or self.end in self._snapshots:
            return None
        path = f"{self.directory}/{file_name(self.end, '.snapshot')}"
        size = self.segments[-1].size if self.segments else 0
        return Snapshot(self.end, size, path, self.producers.snapshot())

    def note_snapshot(self, taken: Snapshot) -> list[str]:
        """A snapshot has been written. Returns the files of older ones, from which no opening would start any more."""
        bases = {*self.layout[0], *[offset for offset in self._snapshots if offset > taken.offset]}
        old = [offset for offset in self._snapshots if offset not in bases]
        self._snapshots = sorted([*(offset for offset in self._snapshots if offset in bases), taken.offset])
        if taken.offset >= self.layout[0][-1]:
            self._behind_snapshot, self._snapshot_size = 0, taken.size
        return [f"{self.directory}/{file_name(offset, '.snapshot')}" for offset in old]

    def write_snapshot(self) -> None:
        """Write down the producers as they are at the end of the log. Raises OSError."""
        taken = self.take_snapshot()
        if taken is not None:
            disk = self._around.disk
            disk.write_file(taken.path, producer_snapshot.encode(taken.states))
            for path in self.note_snapshot(taken):
                disk.remove(path)

    def write_epochs(self) -> None:
        """Bring the epochs to their file. They are on the batches as well, so this need not be durable."""
        with contextlib.suppress(OSError):  # when missing, it is rebuilt from the batches
            self._around.disk.write_file(f"{self.directory}/{leader_epochs.NAME}", self.epochs.encode())

    def _append_to_transaction_index(self, segment: Segment, aborted: Sequence[CompletedTransaction]) -> None:
        try:
            file = self._around.disk.open(segment.path(".txnindex"), create=True)
            file.write(file.size(), transaction_index.encode(aborted))
            file.close()
        except OSError as error:
            self._failure = f"{segment.path('.txnindex')}: {error}"
            return
        if segment.path(".txnindex") not in self._new_indexes:
            self._new_indexes.append(segment.path(".txnindex"))
            self._new_directories.append(self.directory)

    # -- durability ----------------------------------------------------------------------------------------------------

    def take_unsynced(self) -> Unsynced:
        """What to sync now, so that all that is in the log now is durable. `synced` is called when it is."""
        segments = [*self._rolled, *self.segments[-1:]]
        return Unsynced(
            self.end,
            self.unsynced_records,
            [(segment, segment.open_file, segment.size) for segment in segments if segment.synced_size < segment.size],
            list(self._new_indexes),
            list(self._new_directories),
        )

    def synced(self, done: Unsynced) -> None:
        """`done` is on the platter."""
        for segment, _, size in done.segments:
            segment.note_synced(size)
        for segment in self._rolled:
            if segment.synced_size >= segment.size:
                segment.put_away()  # an old segment is read now and then, and by few
        self._rolled = [segment for segment in self._rolled if segment.synced_size < segment.size]
        if self.end == done.end:
            self._new_indexes.clear()
            self._new_directories.clear()
        else:
            self._new_directories = [path for path in self._new_directories if path not in done.directories]
        self.synced_end = max(self.synced_end, done.end)
        self.unsynced_records = max(0, self.unsynced_records - done.records)

    def finish(self) -> None:
        """Bring indexes and producers to their files, so that the log opens quickly. Raises OSError."""
        if self.failure is not None or not self.segments:
            return
        self.segments[-1].finish()
        self.write_snapshot()

    def abandon(self) -> None:
        """The log is not used any more: its files are closed when their last reader lets go."""
        for segment in self.segments:
            self._around.descriptors.forget(segment)

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def stable(self) -> int:
        """The last stable offset."""
        return max(self.start, self.producers.last_stable_offset(self.end))

    def aborted_in(self, start: int, found: FileSlice, *, wait: bool) -> list[AbortedTransaction]:
        """The aborted transactions in what a read from `start` has found. Safe in any thread.

        Raises WouldWait, DamagedIndex, Corrupt.
        """
        upto = found.segment.offset_beyond(found.position + len(found), wait=wait)
        if upto is None:
            bases = self.layout[0]
            following = bisect_right(bases, found.segment.base_offset)
            upto = bases[following] if following < len(bases) else self.end
        return self.aborted.overlapping(start, upto)

    def read(self, start: int, max_bytes: int, upto: int, whole_batch: bool, *, wait: bool) -> FileSlice | bytes:
        """One partition's share of a fetch: part of one segment, as in Kafka. Safe in any thread.

        Raises KafkaError(OFFSET_OUT_OF_RANGE), WouldWait, DamagedIndex, Corrupt.
        """
        end = self.end
        if start == end:
            return NOTHING
        if not self.start <= start <= end:
            raise self.out_of_range(start)
        if start >= upto:
            return NOTHING
        bases, segments = self.layout
        index = max(0, bisect_right(bases, start) - 1)
        while True:
            if index == len(segments):
                return NOTHING
            segment = segments[index]
            position = segment.find(start, wait=wait)
            limit = segment.size
            if position < limit:
                break
            index += 1
        # An append sets `end` first and the segment's size after it. So a size read before `end` holds no batch that
        # `end` does not know, whichever thread looks.
        if upto < self.end and (index + 1 == len(segments) or bases[index + 1] > upto):
            limit = segment.find(upto, wait=wait)
            if limit <= position:
                return NOTHING
        if limit - position > max_bytes:
            (length,) = _unpack_length(read(segment.file, position + 8, 4, wait))
            limit = position + 12 + length
            if length + 12 <= max_bytes:
                limit = position + max_bytes
            elif not whole_batch:
                return NOTHING
            return segment.slice(position, limit)
        goes_on = index + 1 < len(segments) and bases[index + 1] < upto
        return segment.slice(position, limit, goes_on and limit - position < max_bytes)

    def out_of_range(self, offset: int) -> KafkaError:
        """The refusal of an offset that the log does not have."""
        return KafkaError(
            ErrorCode.OFFSET_OUT_OF_RANGE, f"offset {offset} is outside the log, which has {self.start} to {self.end}"
        )

    def rebuild(self, segment: Segment) -> None:
        """A look-up has found an index of `segment` damaged: rebuild both.

        Those of the segment being written may be changed by the event loop only.
        """
        if not segment.held:  # else the names are no longer its own, and the next look-up finds what took its place
            segment.rebuild_indexes(self.config.index_interval_bytes)

    def end_of_epoch(self, epoch: int) -> EpochEnd | None:
        """Where a leader epoch ends. The current one ends where the log ends, written in or not."""
        if epoch == self.epoch:
            return EpochEnd(epoch, self.end)
        if not self.epochs.entries and NO_EPOCH != epoch < self.epoch:
            return EpochEnd(epoch, self.end)
        return self.epochs.end_of(epoch, self.end)

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return sum([segment.size for segment in self.segments])

    # -- deleting ------------------------------------------------------------------------------------------------------

    def advance_start(self, offset: int) -> None:
        """Let the log start at `offset`, at most its end. The files stay until `drop_segments`."""
        if offset > self.start:
            self.start = offset
            self.aborted.drop_before(offset)

    def judge_retention(self, now: int) -> tuple[int, int]:
        """Where the log should start for retention's sake, and when to ask again (waits for the disk).

        Both times are wall clock, in milliseconds. Raises Corrupt, DamagedIndex, OSError.
        """
        end = self.end  # first: what is appended from now on is not judged here and stays
        bases, segments = self.layout
        ages = (SegmentAge(segment.size, segment.newest() if segment.size else 0) for segment in segments)
        verdict = judge(ages, sum([segment.size for segment in segments]), self.config, now)
        if verdict.expired == 0:
            return self.start, verdict.ask_again
        return bases[verdict.expired] if verdict.expired < len(bases) else end, verdict.ask_again

    def exchange(self, old: Sequence[Segment], new: Segment, aborted: Sequence[CompletedTransaction]) -> None:
        """Compaction has put `new` in the place of `old`, neighbours; `aborted` is what its transaction index holds."""
        bases, segments = self.layout
        first = segments.index(old[0])
        end = first + len(old)
        assert segments[first:end] == list(old) and end < len(segments)
        self.aborted.replace(new.base_offset, bases[end], aborted)
        segments = [*segments[:first], new, *segments[end:]]
        self.layout = [segment.base_offset for segment in segments], segments
        self._rolled = [segment for segment in self._rolled if segment not in old]

    def drop_segments(self) -> list[Segment]:
        """Take the segments that lie wholly before the log's start out of the log; the caller removes their files.

        A log always keeps one to write: if all is before the start, a new one is begun. On a full disk the last one
        stays instead, for without the others there will be room. Raises OSError.
        """
        segments = self.segments
        if segments and self.start == self.end and segments[-1].size:
            try:
                self.roll()
            except OSError as error:
                if error.errno not in PASSING_ERRORS:
                    raise
            segments = self.segments
        bases = self.layout[0]
        count = max(0, bisect_right(bases, self.start) - 1)
        gone, kept = segments[:count], segments[count:]
        if gone:
            if not any(offset >= kept[0].base_offset for offset in self._snapshots):
                with contextlib.suppress(OSError):
                    self.write_snapshot()  # of producers whose batches go
            self.layout = bases[count:], kept
            self._rolled = [segment for segment in self._rolled if segment not in gone]
            if self.epochs.truncate_start(self.start):
                self.write_epochs()
            first = bisect_left(self._snapshots, kept[0].base_offset)
            for snapshot in self._snapshots[:first]:
                self._around.disk.remove(f"{self.directory}/{file_name(snapshot, '.snapshot')}")
            self._snapshots = self._snapshots[first:]
        return gone
