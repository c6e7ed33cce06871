"""One partition of the local engine, as the rest of the broker holds it: cheap, always there, opened on first use.

A `LocalLog` is a name and a few flags; the log behind it (`log.Log`: segments, producers, epochs) is loaded when
somebody first asks for it and let go when nobody has for a while. A log that cannot be opened stays offline until the
next start, unless it was for want of descriptors or memory. It says KAFKA_STORAGE_ERROR to everybody: what was found
wrong is in the broker's log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

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
    WrongEnd,
)
from storage.local import recovery
from storage.local.directory import Key
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.reserve import is_internal
from storage.local.segment import Corrupt, FileSlice
from storage.log_config import LogConfig
from storage.seams.disk import PASSING_ERRORS
from storage.seams.logging import get_logger

if TYPE_CHECKING:
    from storage.local.engine import LocalStore


class LocalAppend:
    """An append to a log on disk. `durable_on_ack`: even an acks=1 producer must wait (`flush.messages`)."""

    __slots__ = ("_durable", "_log", "base_offset", "duplicate", "durable_on_ack", "last_offset")

    def __init__(self, log: LocalLog, base_offset: int, last_offset: int, duplicate: bool, must_sync: bool) -> None:
        self._log = log
        self._durable = False
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.duplicate = duplicate
        self.durable_on_ack = must_sync

    @property
    def durable(self) -> bool:
        if not self._durable:
            log = self._log.opened
            if not self.durable_on_ack and not self._log.spec.config.ack_fsync:
                self._durable = True
            elif log is not None:
                self._durable = log.synced_end > self.last_offset
            else:
                self._durable = not self._log.is_deleted  # only a log that is all synced is ever closed
        return self._durable

    async def wait_durable(self) -> None:
        if self.durable_on_ack or self._log.spec.config.ack_fsync:
            await self._log.store.flusher.wait(self._log, self.last_offset + 1)


class LocalLog:
    """One partition. `PartitionLog` says what its methods promise; any of them raises KAFKA_STORAGE_ERROR when the log
    cannot be opened."""

    __slots__ = ("_deleted", "_dirty", "_failure", "on_advance", "opened", "spec", "store")

    def __init__(self, store: LocalStore, spec: LogSpec) -> None:
        self.store = store
        self.spec = spec
        self.on_advance: Callable[[], None] | None = None
        self.opened: Log | None = None
        self._failure: str | None = None
        self._deleted = False
        self._dirty = False

    def __repr__(self) -> str:
        return f"<LocalLog {self.spec.topic}-{self.spec.partition}>"

    @property
    def key(self) -> Key:
        """What the checkpoints call this log."""
        return self.spec.topic, self.spec.partition

    def open(self) -> Log:
        """The log behind this, opened if need be. Raises KafkaError."""
        log = self.opened
        if log is not None:
            return log
        if self._deleted:
            raise self.gone()
        if self._failure is not None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.spec.topic}-{self.spec.partition} is offline")
        try:
            log = self.store.open_log(self.spec)
        except recovery.Damaged as error:
            self._fail(str(error))
        except (OSError, Corrupt, DamagedIndex) as error:
            if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
                raise self.unreadable(str(error)) from error  # the next to ask may find it open
            self._fail(f"{self.spec.topic}-{self.spec.partition}: {error}")
        else:
            self.opened = log
            log.on_roll = partial(self.store.upkeep.rolled, self)
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

    def begin_append(self, batches: Sequence[Batch], *, expected_end: int | None = None) -> Append:
        log = self.opened or self.open()
        if self.store.data.reserve.spent and not is_internal(self.spec.topic):
            raise self.store.full()
        base_offset = log.end
        if expected_end is not None and expected_end != base_offset:
            raise WrongEnd(expected_end, base_offset)
        original = log.append(batches)
        config = self.spec.config
        log.used = True
        if original is not None:
            must_sync = log.unsynced_records >= config.flush_messages
            return LocalAppend(self, original.first_offset, original.last_offset, True, must_sync)
        if not self._dirty:
            self._become_dirty()
        if self.on_advance is not None:
            self.on_advance()
        return LocalAppend(self, base_offset, log.end - 1, False, log.unsynced_records >= config.flush_messages)

    def _become_dirty(self) -> None:
        self._dirty = True
        self.store.upkeep.became_dirty(self)

    @property
    def is_deleted(self) -> bool:
        """True after `deleted`."""
        return self._deleted

    def stop_directory(self, reason: str) -> None:
        """A sync has failed."""
        self.store.stop(reason)

    def became_clean(self) -> None:
        """Everything is synced; the next append says so again."""
        self._dirty = False

    def configure(self, config: LogConfig) -> None:
        self.spec = self.spec._replace(config=config)
        self.store.upkeep.reconfigured(self)
        self.store.cleaner.reconfigured(self)
        if self.opened is not None:
            self.opened.configure(config)

    async def delete_before(self, offset: int) -> int:
        log = self.open()
        if not 0 <= offset <= log.end:
            raise log.out_of_range(offset)
        if offset > log.start:
            # First the records that stay out of reach, then the word that they are: a start beyond the end that a power
            # cut has left would give offsets out twice.
            await self.store.flusher.wait(self, offset)
            await self.store.move_log_starts([(self, offset)])
        return log.start

    def deleted(self) -> None:
        """Be gone: take nothing, show nothing. Slices that somebody has read stay readable."""
        self._deleted = True
        if self.opened is not None:
            self.opened.abandon()
            self.opened = None

    # -- looking -------------------------------------------------------------------------------------------------------

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        return await self._look_up(partial(Log.offset_for_time, timestamp=timestamp))

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        return await self._look_up(Log.offset_of_max_timestamp)

    async def _look_up(self, question: Callable[[Log], TimestampOffset | None]) -> TimestampOffset | None:
        log = self.open()
        for attempt in (1, 2):
            try:
                return await self.store.offload.run(question, log, abandonable=True)
            except DamagedIndex:
                if attempt == 2:
                    raise self.unreadable("an index stays damaged") from None
                log.rebuild(log.segments[-1])
            except (OSError, Corrupt) as error:
                raise self.unreadable(str(error)) from error
        raise AssertionError("one of two attempts returns or raises")

    def unreadable(self, reason: str) -> KafkaError:
        """Says so in the log; the refusal to answer with."""
        get_logger("storage").error("log cannot be read", log=repr(self), reason=reason)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.spec.topic}-{self.spec.partition} cannot be read")

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        return self.open().end_of_epoch(leader_epoch)

    @property
    def has_aborted_transactions(self) -> bool:
        return len((self.opened or self.open()).aborted) > 0

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        return self.open().aborted.overlapping(start, upto)

    def producers(self) -> Sequence[OpenProducer]:
        return self.open().producers.describe()

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
        log.used = True
        return records


def own(log: PartitionLog) -> LocalLog:
    """A log that an engine is asked to read is its own."""
    assert isinstance(log, LocalLog), "an engine reads its own logs"
    return log
