"""One partition of the local engine, as the rest of the broker holds it: cheap, always there, opened on first use.

A `LocalLog` is a name and a few flags; the log behind it (`log.Log`: segments, producers, epochs) is loaded when it is
first asked for, and let go when it has not been used for a while. A log that cannot be opened stays offline until the
next start, unless it was for want of descriptors or memory. Every request for it is answered with KAFKA_STORAGE_ERROR;
what was found wrong is in the broker's log.

A partition is its log's owner (`log.LogOwner`) and hands on what the log reports: to the schedule of the upkeep what
has to be synced, to the volume how far it is on the platter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from kproto.errors import ErrorCode, KafkaError
from storage.engine import (
    AbortedTransaction,
    Append,
    Batch,
    EpochEnd,
    LogSpec,
    LogStatistics,
    OpenProducer,
    PartitionLog,
    Read,
    TimestampOffset,
    VerificationGuard,
    WrongEnd,
)
from storage.local import look_ups, recovery
from storage.local.directory import Key
from storage.local.index_file import DamagedIndex
from storage.local.loading import AnotherTopics, Loader, Opened, Opening
from storage.local.log import Log
from storage.local.removal import Removal
from storage.local.schedule import Schedule
from storage.local.segment import Corrupt, FileSlice
from storage.local.volume import Volume
from storage.log_config import LogConfig
from storage.seams.disk import PASSING_ERRORS
from storage.seams.logging import get_logger
from storage.seams.offload import Lane, Pause


class Parts(NamedTuple):
    """The parts of the engine that a partition works with."""

    volume: Volume
    loader: Loader
    schedule: Schedule
    removal: Removal


class LocalAppend:
    """An append to a log on disk. `durable_on_ack`: even an acks=1 producer must wait (`flush.messages`)."""

    __slots__ = ("_durable", "base_offset", "duplicate", "durable_on_ack", "last_offset", "log")

    def __init__(self, log: LocalLog, base_offset: int, last_offset: int, duplicate: bool, must_sync: bool) -> None:
        self.log = log
        self._durable = False
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.duplicate = duplicate
        self.durable_on_ack = must_sync

    @property
    def durable(self) -> bool:
        if not self._durable:
            log = self.log.opened
            if not self.durable_on_ack and not self.log.spec.config.ack_fsync:
                self._durable = True
            elif log is not None:
                self._durable = log.synced_end > self.last_offset
            else:
                self._durable = not self.log.is_deleted  # only a log that is all synced is ever closed
        return self._durable

    async def wait_durable(self) -> None:
        if self.durable_on_ack or self.log.spec.config.ack_fsync:
            await self.log.wait_synced(self.last_offset + 1)


class LocalLog:
    """One partition. `PartitionLog` says what its methods promise; any of them raises KAFKA_STORAGE_ERROR when the log
    cannot be opened."""

    __slots__ = (
        "_deleted", "_dirty", "_failure", "_opening", "_parts", "_pins", "_used", "_volume", "on_advance", "opened",
        "spec",
    )  # fmt: skip

    def __init__(self, parts: Parts, spec: LogSpec) -> None:
        self._parts = parts
        self._volume = parts.volume
        self.spec = spec
        self.on_advance: Callable[[], None] | None = None
        self.opened: Log | None = None
        """The log behind this while it is open; for reading."""
        self._failure: str | None = None
        self._opening: Opening | None = None
        self._deleted = False
        self._dirty = False
        self._used = False
        self._pins = 0

    def __repr__(self) -> str:
        return f"<LocalLog {self.spec.topic}-{self.spec.partition}>"

    @property
    def key(self) -> Key:
        """What the checkpoints call this log."""
        return self.spec.topic, self.spec.partition

    @property
    def is_open(self) -> bool:
        return self.opened is not None

    @property
    def is_ready(self) -> bool:
        return self.opened is not None and not self._parts.schedule.crowded

    def open(self) -> Log:
        """The log behind this, opened if need be, by waiting for the disk: with many logs, or large ones, that is to be
        done in a thread before (`LocalStore.open_logs`). Raises KafkaError."""
        log = self.opened
        if log is not None:
            return log
        if self._deleted:
            raise self.gone()
        if self._failure is not None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.spec.topic}-{self.spec.partition} is offline")
        opening = self._opening or self._parts.loader.begin_opening(self.spec, self)
        self._opening = None
        return self._finish_opening(opening.run())

    def begin_opening(self) -> Opening | None:
        """What a thread has to run for this to be open, before `finish_opening`; None if it is open, or cannot be."""
        if self.opened is not None or self._deleted or self._failure is not None:
            return None
        if self._opening is None:
            self._opening = self._parts.loader.begin_opening(self.spec, self)
        return self._opening

    def finish_opening(self, opening: Opening) -> OSError | None:
        """The opening has been run, or the task that wanted it has ended before: be open, or offline if that is what
        came of it. Returns the error of one that passes, for lack of descriptors for example."""
        if self._opening is not opening:
            return None  # another task that waited for it was here before
        self._opening = None
        opened = opening.outcome
        if isinstance(opened, OSError) and opened.errno in PASSING_ERRORS:
            return opened
        if isinstance(opened, Log) and self._deleted:
            opened.abandon()
        elif opened is not None and not isinstance(opened, AnotherTopics):  # which is done when the log is used
            with contextlib.suppress(KafkaError):  # for those who use it
                self._finish_opening(opened)
        return None

    @property
    def opening(self) -> Opening | None:
        """The opening that a thread may be at."""
        return self._opening

    def _finish_opening(self, opened: Opened) -> Log:
        try:
            log = self._parts.loader.finish_opening(self.spec, self, opened)
        except recovery.Damaged as error:
            self._fail(str(error))
        except (OSError, Corrupt, DamagedIndex) as error:
            if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
                raise self.unreadable(str(error)) from error  # the next to ask may find it open
            self._fail(f"{self.spec.topic}-{self.spec.partition}: {error}")
        else:
            self.opened = log
            self._used = True
            if log.config is not self.spec.config:  # which has changed meanwhile
                log.configure(self.spec.config)
            if log.synced_end < log.end:
                self._become_dirty()
            return log
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.spec.topic}-{self.spec.partition} is offline")

    def _fail(self, reason: str) -> None:
        self._failure = reason
        get_logger("storage").error("partition offline", reason=reason)

    def gone(self) -> KafkaError:
        """The refusal after deletion."""
        return KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{self.spec.topic}-{self.spec.partition} has been deleted"
        )

    # -- offsets -------------------------------------------------------------------------------------------------------

    @property
    def log_start_offset(self) -> int:
        return (self.opened or self.open()).start

    @property
    def log_end_offset(self) -> int:
        return (self.opened or self.open()).end

    @property
    def high_watermark(self) -> int:
        return (self.opened or self.open()).end

    @property
    def last_stable_offset(self) -> int:
        return (self.opened or self.open()).stable

    @property
    def leader_epoch(self) -> int:
        return (self.opened or self.open()).epoch

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        log = self.opened or self.open()
        if self._volume.reserve.spent and not self.spec.internal:
            self._parts.schedule.look_for_room()
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk is full")
        base_offset = log.end
        if expected_end is not None and expected_end != base_offset:
            raise WrongEnd(expected_end, base_offset)
        original = log.append(batches, guard, transaction_version)
        config = self.spec.config
        self._used = True
        if original is not None:
            must_sync = log.unsynced_records >= config.flush_messages
            return LocalAppend(self, original.first_offset, original.last_offset, True, must_sync)
        if not self._dirty:
            self._become_dirty()
        if self.on_advance is not None:
            self.on_advance()
        return LocalAppend(self, base_offset, log.end - 1, False, log.unsynced_records >= config.flush_messages)

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool
    ) -> VerificationGuard | None:
        log = self.opened or self.open()
        self._used = True  # or it might be closed before the coordinator has answered
        now = self._volume.clock.monotonic_millis()
        return log.producers.start_verification(
            producer_id, producer_epoch, base_sequence, epoch_bump=epoch_bump, now=now
        )

    def start_moved(self) -> None:
        """Records have been deleted at the start, of which readers know."""
        if self.on_advance is not None:
            self.on_advance()

    def _become_dirty(self) -> None:
        self._dirty = True
        self._parts.schedule.became_dirty(self)

    async def wait_synced(self, end: int) -> None:
        """Return when the log is synced below offset `end`. Raises KafkaError."""
        await self._volume.flusher.wait(self, end)

    def go_on_in(self, leader_epoch: int) -> None:
        self.open().go_on_in(leader_epoch)

    def configure(self, config: LogConfig) -> None:
        self.spec = self.spec._replace(config=config)
        self._parts.schedule.reconfigured(self)
        if self.opened is not None:
            self.opened.configure(config)

    async def delete_before(self, offset: int) -> int:
        log = self.open()
        if not 0 <= offset <= log.end:
            raise log.out_of_range(offset)
        if offset > log.start:
            # First the records that stay out of reach, then the word that they are: a start beyond the end that a power
            # cut has left would give offsets out twice.
            await self.wait_synced(offset)
            await self._parts.removal.move_log_starts([(self, offset)])
        return log.start

    # -- what the log and the flusher report ---------------------------------------------------------------------------

    def log_rolled(self) -> None:
        self._parts.schedule.flush_now(self)

    def log_created(self) -> None:
        self._volume.data.note_topic(self.key, self.spec.topic_id)

    def make_room(self) -> bool:
        return self.spec.internal and self._volume.reserve.spend()

    def synced(self) -> None:
        log = self.opened
        if log is not None:
            self._volume.note_recovery_point(self.key, log.synced_end)
            if log.synced_end == log.end:
                self._dirty = False
                self._parts.schedule.became_clean(self)

    # -- being open ----------------------------------------------------------------------------------------------------

    @property
    def is_deleted(self) -> bool:
        """True after `delete`."""
        return self._deleted

    @property
    def is_offline(self) -> bool:
        """Whether the log could not be opened and is not tried again: what was found wrong has been logged."""
        return self._failure is not None

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """The log stays open meanwhile, however long it is not used."""
        self._pins += 1
        try:
            yield
        finally:
            self._pins -= 1

    def note_use(self) -> None:
        """The log is about to be read: it counts as used."""
        self._used = True

    def forget_use(self) -> bool:
        """Whether the log was used since the last call."""
        used, self._used = self._used, False
        return used

    @property
    def is_idle(self) -> bool:
        """Whether the open log could be closed: everything is synced, and nothing needs it open."""
        log = self.opened
        return log is not None and not (self._dirty or self._pins) and log.failure is None and log.end == log.synced_end

    def let_go(self) -> None:
        """Complete the log's files and close it, if it is idle: it takes no memory until it is used. Raises OSError."""
        if self.opened is not None and self.is_idle:
            self.opened.finish()
            self.close()

    def fail(self, error: OSError) -> None:
        """The open log's files are not there any more."""
        if self.opened is not None:
            self.opened.fail(str(error))

    def close(self) -> None:
        """Close the log as it is."""
        if self.opened is not None:
            self.opened.abandon()
            self.opened = None

    def delete(self) -> None:
        """Be gone: take nothing, show nothing. Slices that a reader has found stay readable."""
        self._deleted = True
        self._parts.schedule.became_clean(self)
        self.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        return await self._look_up(lambda log, pause: look_ups.offset_for_time(log, timestamp, pause))

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        return await self._look_up(look_ups.offset_of_max_timestamp)

    async def _look_up(self, question: Callable[[Log, Pause], TimestampOffset | None]) -> TimestampOffset | None:
        log = self.open()
        for attempt in (1, 2):
            try:
                return await self._volume.offload.compute(partial(question, log), abandonable=True, lane=Lane.LOOK_UPS)
            except DamagedIndex:
                if attempt == 2:
                    raise self.unreadable("an index stays damaged") from None
                log.rebuild(log.segments[-1])
            except (OSError, Corrupt) as error:
                raise self.unreadable(str(error)) from error
        raise AssertionError("one of two attempts returns or raises")

    def unreadable(self, reason: str) -> KafkaError:
        """The refusal of a read that has failed, which is written to the broker's log."""
        get_logger("storage").error("log cannot be read", log=repr(self), reason=reason)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.spec.topic}-{self.spec.partition} cannot be read")

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        return self.open().end_of_epoch(leader_epoch)

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        return self.open().aborted.overlapping(start, upto)

    async def producers(self) -> Sequence[OpenProducer]:
        return self.open().producers.describe(self._volume.clock.monotonic_millis())

    def statistics(self) -> LogStatistics:
        log = self.open()
        return LogStatistics(log.start, log.end, log.stable, log.end, log.size, len(log.producers))

    def read(self, read: Read, max_bytes: int, whole_batch: bool, *, wait: bool) -> FileSlice | bytes:
        """One partition's share of a fetch. Raises KafkaError, WouldWait, DamagedIndex, Corrupt, OSError."""
        log = self.opened
        if log is None:
            if wait:  # in a thread, which opens nothing
                raise self.gone()
            log = self.open()
        records = log.read(read.start, min(read.max_bytes, max_bytes), read.upto, whole_batch, wait=wait)
        self._used = True
        return records


def own(log: PartitionLog) -> LocalLog:
    """A log that an engine is asked to read is its own."""
    assert isinstance(log, LocalLog), "an engine reads its own logs"
    return log
