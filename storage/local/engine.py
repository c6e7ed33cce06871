"""The local engine: one directory of logs in Kafka's format, on this machine's disk.

This is the asynchronous face of the folder. `LocalStore` owns the directory: its lock, its identity, its checkpoints,
the names of the logs in it. `LocalLog` stands for one partition and is cheap: the log behind it (`log.Log`) is opened
when somebody first asks for it. Work that waits for the disk goes to threads through the injected `Offload`; appends
and reads of what is in memory happen in the event loop, where they cost microseconds.

**Start.** Take the lock; read whose directory it is; list it once. After a clean stop that is all, however many logs
there are. Otherwise every log is recovered in worker threads (`recovery.py`), and what is damaged stays offline.

**While it runs**, `maintain` syncs what nobody waited for, writes the checkpoints about every minute, removes deleted
files, and keeps the promise of `flush.ms`. It is a task that the broker starts; without it nothing is lost, recovery
would only have more to read.

**Stop.** Sync everything, complete indexes and snapshots, write the checkpoints, and last of all the marker.

**Failure.** A sync that fails, or a write that fails for another reason than a full disk, stops the directory: appends
are refused with KAFKA_STORAGE_ERROR until the broker is started anew, reads go on, and no clean marker is written.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import trio

from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, format_uuid
from storage.engine import (
    AbortedTransaction,
    Append,
    Batch,
    EpochEnd,
    FetchedRecords,
    LogDirectory,
    LogSpec,
    LogStatistics,
    OpenProducer,
    PartitionLog,
    Read,
    StoreError,
    TimestampOffset,
    WrongEnd,
)
from storage.local import checkpoints, partition_metadata, recovery
from storage.local.descriptors import Descriptors
from storage.local.flusher import Flusher
from storage.local.index_file import DamagedIndex, WouldWait
from storage.local.log import Log, Surroundings
from storage.local.segment import Corrupt, FileSlice, Segment
from storage.log_config import NEVER, LogConfig
from storage.producers import EXPIRATION_MS
from storage.seams.clock import Clock
from storage.seams.disk import Disk, InUse, Lock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.offload import Offload

CHECKPOINT_INTERVAL: Final = 60.0
"""Seconds between two rounds of maintenance, as in Kafka (log.flush.offset.checkpoint.interval.ms)."""

RETENTION_CHECK_MS: Final = 5 * 60 * 1000
"""Kafka's default of `log.retention.check.interval.ms`."""

DEFAULT_OPEN_FILES: Final = 1000
RETENTION_CHUNK: Final = 100
RECOVERY_CHUNK: Final = 32
RECOVERY_THREADS: Final = 4
WARM_BUFFER: Final = 256 << 10
MAX_NAME: Final = 255

_DIRECTORY = re.compile(r"([a-zA-Z0-9._-]{1,249})-(\d{1,10})\Z")
_LEFTOVER = re.compile(r".*\.[0-9a-f]{32}-(delete|stray|future)\Z")
_KNOWN_FILES = frozenset(
    {
        checkpoints.RECOVERY_POINTS,
        checkpoints.LOG_STARTS,
        checkpoints.HIGH_WATERMARKS,
        checkpoints.CLEANER_OFFSETS,
        checkpoints.META_PROPERTIES,
        checkpoints.CLEAN_SHUTDOWN,
        checkpoints.LOCK,
        "bootstrap.checkpoint",
    }
)

Key = tuple[str, int]


class LocalAppend:
    """An append to a log on disk. `durable_on_ack`: even an acks=1 producer must wait (`flush.messages`)."""

    __slots__ = ("_log", "base_offset", "duplicate", "durable_on_ack", "last_offset")

    def __init__(self, log: LocalLog, base_offset: int, last_offset: int, duplicate: bool, must_sync: bool) -> None:
        self._log = log
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.duplicate = duplicate
        self.durable_on_ack = must_sync

    @property
    def durable(self) -> bool:
        if not self.durable_on_ack and not self._log.spec.config.ack_fsync:
            return True
        log = self._log.opened
        return log is not None and log.synced_end > self.last_offset

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
            self._fail(f"{self.spec.topic}-{self.spec.partition}: {error}")
        else:
            self.opened = log
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
        self.store.became_dirty(self)

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
        self.store.reconfigured(self)
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


class LocalStore:
    """All logs in one directory. `LogStore` says what its methods promise."""

    def __init__(
        self,
        directory: str,
        *,
        node_id: int,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        cluster_id: str | None = None,
        open_files: int = DEFAULT_OPEN_FILES,
        producer_expiration: int = EXPIRATION_MS,
        retention_check_ms: int = RETENTION_CHECK_MS,
    ) -> None:
        self.directory = directory.rstrip("/") or "/"
        self.disk = disk
        self.offload = offload
        self.flusher = Flusher(disk, offload)
        self.flusher.on_synced = self._on_synced
        self._node_id = node_id
        self._wanted_cluster_id = cluster_id
        self._clock = clock
        self._entropy = entropy
        self._around = Surroundings(disk, clock, entropy, Descriptors(open_files), producer_expiration)
        self._log = get_logger("storage")
        self._lock: Lock | None = None
        self._identity: checkpoints.MetaProperties | None = None
        self._failure: str | None = None
        self._logs: dict[tuple[str, bytes, int], LocalLog] = {}
        self._present: dict[Key, bytes | None] = {}  # directories there are, and whose they are once somebody looked
        self._recovered: dict[Key, Log | recovery.Damaged] = {}
        self._recovery_points: dict[Key, int] = {}
        self._log_starts: dict[Key, int] = {}
        self.every_log: Callable[[], Iterable[LogSpec]] | None = None
        """The logs of the whole cluster, which the broker knows: retention looks at those too that nobody has asked
        for since the start. Without it, at the others only."""
        self._retention_check_ms = retention_check_ms
        self._retention_due: dict[Key, int] = {}  # before that time (wall clock) there is nothing to expire
        self._dirty: dict[LocalLog, None] = {}
        self._flush_due: dict[LocalLog, float] = {}
        self._doomed: list[tuple[float, str]] = []  # when, and which file or directory is to be removed
        self._checkpoints_changed = False
        self._checkpointing = trio.Lock()
        self._news = trio.Event()

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        try:
            clean = await self.offload.run(self._take_possession)
        except InUse:
            raise StoreError(
                f"the data directory {self.directory} is in use by another process; stop that one or name another"
            ) from None
        except OSError as error:
            self._give_up()
            raise StoreError(f"the data directory {self.directory} cannot be used: {error.strerror}") from error
        except StoreError:
            self._give_up()
            raise
        if not clean:
            await self._recover_all()

    def _give_up(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_possession(self) -> bool:
        """Lock and list the directory. True after a clean stop. In a thread."""
        disk, directory = self.disk, self.directory
        disk.make_directory(directory)
        self._lock = disk.lock(f"{directory}/{checkpoints.LOCK}")
        names = disk.list_directory(directory)
        self._identify(names)
        self._recovery_points = self._read_checkpoint(checkpoints.RECOVERY_POINTS)
        self._log_starts = self._read_checkpoint(checkpoints.LOG_STARTS)
        clean = checkpoints.CLEAN_SHUTDOWN in names
        for name in names:
            if match := _DIRECTORY.match(name):
                self._present[match[1], int(match[2])] = None
            elif match := _LEFTOVER.match(name):
                if match[1] == "delete":
                    self._doomed.append((0.0, f"{directory}/{name}"))
            elif name not in _KNOWN_FILES and not name.endswith(".tmp"):
                self._log.warning("left alone: nothing of ours", path=f"{directory}/{name}")
        if clean:
            disk.remove(f"{directory}/{checkpoints.CLEAN_SHUTDOWN}")
            disk.sync_directory(directory)
        gone = [key for key in (*self._recovery_points, *self._log_starts) if key not in self._present]
        if gone:
            self._drop_offsets(gone)
        return clean or not self._present

    def _drop_offsets(self, keys: Iterable[Key]) -> None:
        """Forget the offsets of logs that are gone, durably: a new log of the name must not be measured by them."""
        known = [key for key in keys if key in self._recovery_points or key in self._log_starts]
        for key in known:
            self._recovery_points.pop(key, None)
            self._log_starts.pop(key, None)
        if known:
            self._write_offsets(f"{self.directory}/{checkpoints.RECOVERY_POINTS}", list(self._recovery_points.items()))
            self._write_offsets(f"{self.directory}/{checkpoints.LOG_STARTS}", list(self._log_starts.items()))

    def _identify(self, names: list[str]) -> None:
        """Read whose directory this is; make a new one ours. Raises StoreError."""
        path = f"{self.directory}/{checkpoints.META_PROPERTIES}"
        data = self.disk.read_file(path)
        if data is not None:
            try:
                identity = checkpoints.decode_meta_properties(data)
            except checkpoints.Unreadable as error:
                raise StoreError(f"{path} cannot be read: {error}") from None
            if identity.node_id != self._node_id:
                raise StoreError(
                    f"the data directory {self.directory} belongs to node {identity.node_id}, this is node "
                    f"{self._node_id}: set node.id={identity.node_id} or name another directory"
                )
            if self._wanted_cluster_id is not None and identity.cluster_id != self._wanted_cluster_id:
                raise StoreError(
                    f"the data directory {self.directory} belongs to cluster {identity.cluster_id}, not to "
                    f"{self._wanted_cluster_id}"
                )
            self._identity = identity
            return
        foreign = next((name for name in names if _DIRECTORY.match(name)), None)
        if foreign is not None:
            raise StoreError(
                f"{self.directory} holds logs ({foreign}) but no {checkpoints.META_PROPERTIES}: restore that file, or "
                "name another directory"
            )
        self._identity = checkpoints.MetaProperties(
            self._wanted_cluster_id or format_uuid(self._entropy.uuid()),
            self._node_id,
            format_uuid(self._entropy.uuid()),
        )
        self.disk.write_file_atomically(path, self._identity.encode())

    def _read_checkpoint(self, name: str) -> dict[Key, int]:
        data = self.disk.read_file(f"{self.directory}/{name}")
        offsets = checkpoints.decode_offsets(data) if data is not None else {}
        if offsets is None:
            if name == checkpoints.LOG_STARTS:
                raise StoreError(
                    f"{self.directory}/{name} is damaged: without it, deleted records would come back; restore it, or "
                    "remove it to accept that"
                )
            self._log.warning("checkpoint damaged, every log will be read through", path=f"{self.directory}/{name}")
            return {}
        return offsets

    async def _recover_all(self) -> None:
        """After an unclean stop: look at every log, in a few threads."""
        keys = list(self._present)
        self._log.warning("unclean stop: recovering logs", logs=len(keys))
        chunks = [keys[first : first + RECOVERY_CHUNK] for first in range(0, len(keys), RECOVERY_CHUNK)]
        chunks.reverse()
        started = self._clock.monotonic_millis()
        done = 0

        async def recover_some() -> None:
            nonlocal done
            while chunks:
                chunk = chunks.pop()
                await self.offload.run(self._recover_chunk, chunk, started)
                before, done = done, done + len(chunk)
                if before * 10 // len(keys) != done * 10 // len(keys):
                    self._log.info("recovering logs", done=done, of=len(keys))

        async with trio.open_nursery() as nursery:
            for _ in range(RECOVERY_THREADS):
                nursery.start_soon(recover_some)
        damaged = [str(found) for found in self._recovered.values() if isinstance(found, recovery.Damaged)]
        for reason in damaged:
            self._log.error("partition offline", reason=reason)
        self._log.warning(
            "recovered", logs=len(keys), offline=len(damaged), millis=self._clock.monotonic_millis() - started
        )
        self._checkpoints_changed = True

    def _recover_chunk(self, keys: list[Key], now: int) -> None:
        """Recover these logs; keep those with something left to do. In a thread."""
        config = LogConfig()
        for key in keys:
            try:
                log = self._load(key, config, clean=False, now=now)
            except recovery.Damaged as error:
                self._recovered[key] = error
            except (OSError, Corrupt, DamagedIndex) as error:
                self._recovered[key] = recovery.Damaged(f"{self._path(key)}: {error}")
            else:
                if log.synced_end < log.end:
                    self._recovered[key] = log
                else:
                    self._recovery_points[key] = log.end

    async def close(self) -> None:
        if self._lock is None:
            return
        try:
            await self._sync_dirty()
            await self.offload.run(self._finish_logs)
            await self._sync_recovered()
            if self._failure is None:
                self._note_recovery_points()
                await self._write_checkpoints()
            await self.offload.run(self._remove_doomed, float("inf"))
            damaged = any(isinstance(found, recovery.Damaged) for found in self._recovered.values())
            if self._failure is None and not damaged and not self._dirty:
                await self.offload.run(
                    self.disk.write_file_atomically,
                    f"{self.directory}/{checkpoints.CLEAN_SHUTDOWN}",
                    checkpoints.CLEAN_SHUTDOWN_TEXT,
                )
        except OSError as error:
            self._log.error("the stop is not clean", reason=str(error))
        finally:
            for log in self._logs.values():
                log.opened = None
            self._give_up()

    def _finish_logs(self) -> None:
        for log in list(self._logs.values()):
            if log.opened is not None:
                log.opened.finish()

    @property
    def cluster_id(self) -> str:
        assert self._identity is not None, "the store must be open"
        return self._identity.cluster_id

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log(self, spec: LogSpec) -> LocalLog:
        key = spec.topic, spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = LocalLog(self, spec)
        return log

    def existing(self) -> Collection[tuple[str, int]]:
        return self._present.keys()

    def _path(self, key: Key) -> str:
        return f"{self.directory}/{key[0]}-{key[1]}"

    def open_log(self, spec: LogSpec) -> Log:
        """Open a log, empty if there is none. Raises Damaged, Corrupt, OSError."""
        self._around.descriptors.trim()
        key = spec.topic, spec.partition
        if key in self._present:
            found = self._topic_id_of(key)
            if found is not None and found != spec.topic_id and ZERO_UUID not in (found, spec.topic_id):
                self._set_aside(key, found)
        recovered = self._recovered.pop(key, None)
        if isinstance(recovered, recovery.Damaged):
            self._recovered[key] = recovered
            raise recovered
        if recovered is not None:
            log = recovered
            log.configure(spec.config)
        else:
            log = self._load(key, spec.config, clean=True, now=self._clock.monotonic_millis())
        log.on_failure = self.stop
        log.failure = log.failure or self._failure
        log.on_create = partial(self._created, key, spec.topic_id)
        if key in self._present and log.segments and self._present[key] is None:
            self._write_metadata(key, spec.topic_id)
        return log

    def _load(self, key: Key, config: LogConfig, *, clean: bool, now: int) -> Log:
        return recovery.load(
            self._around,
            self._path(key),
            config,
            clean=clean,
            recovery_point=self._recovery_points.get(key),
            log_start=self._log_starts.get(key, 0),
            now=now,
        )

    def _topic_id_of(self, key: Key) -> bytes | None:
        """The topic id that a log's directory names; None if it names none."""
        topic_id = self._present.get(key)
        if topic_id is None:
            data = self.disk.read_file(f"{self._path(key)}/{partition_metadata.NAME}")
            topic_id = partition_metadata.decode(data) if data is not None else None
            if topic_id is not None:
                self._present[key] = topic_id
        return topic_id

    def _created(self, key: Key, topic_id: bytes) -> None:
        """An append has made a log's directory."""
        self._write_metadata(key, topic_id)

    def _write_metadata(self, key: Key, topic_id: bytes) -> None:
        self.disk.write_file(f"{self._path(key)}/{partition_metadata.NAME}", partition_metadata.encode(topic_id))
        self._present[key] = topic_id

    def _set_aside(self, key: Key, topic_id: bytes) -> None:
        """A directory belongs to an older topic of the same name, whose deletion was cut short: keep it, renamed."""
        path = self._aside(key, "stray")
        self._drop_offsets([key])
        self.disk.rename(self._path(key), path)
        self.disk.sync_directory(self.directory)
        self._forget(key)
        self._log.warning("a log of a topic that is no more is set aside", topic_id=format_uuid(topic_id), path=path)

    def _aside(self, key: Key, why: str) -> str:
        identifier: bytes = self._entropy.uuid()
        suffix = f"-{key[1]}.{identifier.hex()}-{why}"
        return f"{self.directory}/{key[0][: MAX_NAME - len(suffix)]}{suffix}"

    def _forget(self, key: Key) -> None:
        self._present.pop(key, None)
        self._recovered.pop(key, None)

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        self._check_running()
        try:
            await self.offload.run(self._make_directories, specs)
        except OSError as error:
            raise self._refused(error) from error

    def _make_directories(self, specs: Sequence[LogSpec]) -> None:
        made = False
        for spec in specs:
            key = spec.topic, spec.partition
            if key in self._present:
                found = self._topic_id_of(key)
                if found in (None, spec.topic_id):
                    continue
                self._set_aside(key, found or ZERO_UUID)
            self.disk.make_directory(self._path(key))
            self._write_metadata(key, spec.topic_id)
            made = True
        if made:
            self.disk.sync_directory(self.directory)

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        doomed = []
        for spec in specs:
            log = self._logs.pop((spec.topic, spec.topic_id, spec.partition), None)
            if log is not None:
                log.deleted()
                self._dirty.pop(log, None)
                self._flush_due.pop(log, None)
            key = spec.topic, spec.partition
            if key in self._present and self._topic_id_of(key) in (None, spec.topic_id):
                doomed.append((key, self._aside(key, "delete")))
        if not doomed:
            return
        try:
            async with self._checkpointing:
                await self.offload.run(self._rename_all, doomed)
        except OSError as error:
            self.stop(f"{self.directory}: {error}")
            raise self._refused(error) from error
        for key, path in doomed:
            self._forget(key)
            self._doomed.append((0.0, path))
        self._wake()

    def _rename_all(self, doomed: list[tuple[Key, str]]) -> None:
        self._drop_offsets([key for key, _ in doomed])
        for key, path in doomed:
            self.disk.rename(self._path(key), path)
        self.disk.sync_directory(self.directory)

    async def move_log_starts(self, starts: Sequence[tuple[LocalLog, int]]) -> None:
        """Let these logs start at these offsets, whatever happens after the return; remove what lies before.

        Everything below the offsets must be synced. Raises KafkaError.
        """
        opened = [(face, face.open(), offset) for face, offset in starts]
        for face, _, offset in opened:
            self._log_starts[face.key] = max(offset, self._log_starts.get(face.key, 0))
        try:
            await self._write_checkpoint(checkpoints.LOG_STARTS, self._log_starts)
        except OSError as error:
            raise self._refused(error) from error
        for face, log, offset in opened:
            if face.is_deleted:
                continue
            log.advance_start(offset)
            try:
                gone = log.drop_segments()
            except OSError as error:
                raise self._refused(error) from error
            await self._remove_segments(gone, face.spec.config)

    def reconfigured(self, log: LocalLog) -> None:
        """`log` has new settings: other records may expire."""
        self._retention_due.pop(log.key, None)

    async def apply_retention(self) -> None:
        """Remove the segments that have expired. `maintain` does it every `retention_check_ms`."""
        now = self._clock.wall_millis()
        if self.every_log is not None:
            specs = [spec for spec in self.every_log() if self._may_expire((spec.topic, spec.partition), now)]
            faces = [self.log(spec) for spec in specs]
        else:
            faces = [face for face in self._logs.values() if self._may_expire(face.key, now)]
        for first in range(0, len(faces), RETENTION_CHUNK):
            logs = []
            for face in faces[first : first + RETENTION_CHUNK]:
                with contextlib.suppress(KafkaError):  # one that cannot be opened is offline, and says so elsewhere
                    logs.append((face, face.open()))
            await self._expire(logs, now)

    def _may_expire(self, key: Key, now: int) -> bool:
        return key in self._present and self._retention_due.get(key, 0) <= now

    async def _expire(self, logs: list[tuple[LocalLog, Log]], now: int) -> None:
        verdicts = await self.offload.run(_judge_all, [log for _, log in logs], now)
        starts = []
        for (face, log), verdict in zip(logs, verdicts, strict=True):
            if isinstance(verdict, Exception):
                face.unreadable(str(verdict))
                continue
            start, ask_again = verdict
            if log.config.retention_bytes < 0:
                self._retention_due[face.key] = ask_again
            if start > log.start and face.opened is log:
                starts.append((face, start))
        if not starts:
            return
        try:
            for face, start in starts:
                await self.flusher.wait(face, start)
            await self.move_log_starts([(face, start) for face, start in starts if not face.is_deleted])
        except KafkaError as error:
            self._log.error("retention failed, it will be tried again", reason=str(error))
            for face, _ in starts:
                self._retention_due.pop(face.key, None)
            return
        for face, start in starts:
            self._log.info("expired", topic=face.spec.topic, partition=face.spec.partition, log_start_offset=start)

    async def _remove_segments(self, segments: list[Segment], config: LogConfig) -> None:
        if not segments:
            return
        try:
            paths = await self.offload.run(_rename_segments, self.disk, segments)
        except OSError as error:
            self._log.warning("a deleted segment could not be renamed", reason=str(error))
            return
        due = trio.current_time() + config.file_delete_delay_ms / 1000
        self._doomed += [(due, path) for path in paths]
        self._wake()

    # -- failure -------------------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """The disk cannot be trusted any more: refuse every append from now on."""
        if self._failure is None:
            self._failure = reason
            self._log.error("log directory stopped", directory=self.directory, reason=reason)
        for log in self._logs.values():
            if log.opened is not None:
                log.opened.failure = self._failure

    def _check_running(self) -> None:
        if self._failure is not None:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log directory has stopped because of a disk error")

    def _refused(self, error: OSError) -> KafkaError:
        self._log.error("disk error", directory=self.directory, reason=str(error))
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the log directory cannot be written: {error.strerror}")

    # -- reading -------------------------------------------------------------------------------------------------------

    def read_now(self, reads: Sequence[Read], max_bytes: int) -> list[FetchedRecords | KafkaError] | None:
        try:
            return self._read(reads, max_bytes, wait=False)
        except (WouldWait, DamagedIndex):
            return None

    async def read_many(self, reads: Sequence[Read], max_bytes: int) -> list[FetchedRecords | KafkaError]:
        self._around.descriptors.trim()
        for read in reads:
            log = _own(read.log)
            if log.opened is None:
                with contextlib.suppress(KafkaError):  # it is refused below, in its place
                    log.open()
        try:
            return await self.offload.run(self._read_and_warm, reads, max_bytes)
        except DamagedIndex:
            for read in reads:
                log = _own(read.log)
                if log.opened is not None and log.opened.segments:
                    log.opened.rebuild(log.opened.segments[-1])
            return await self.offload.run(self._read_and_warm, reads, max_bytes)

    def _read(self, reads: Sequence[Read], max_bytes: int, *, wait: bool) -> list[FetchedRecords | KafkaError]:
        answers: list[FetchedRecords | KafkaError] = []
        nothing_yet = True
        for read in reads:
            face = _own(read.log)
            try:
                records = face.read(read, max_bytes, nothing_yet, wait=wait)
                log = face.opened
                if log is None:
                    raise face.gone()
            except KafkaError as error:
                answers.append(error)
                continue
            except (Corrupt, OSError) as error:
                answers.append(face.unreadable(str(error)))
                continue
            if isinstance(records, FileSlice):
                if not wait and not records.is_resident():
                    raise WouldWait
                nothing_yet = False
                max_bytes = max(0, max_bytes - len(records))
            answers.append(FetchedRecords(records, log.end, log.stable, log.start))
        return answers

    def _read_and_warm(self, reads: Sequence[Read], max_bytes: int) -> list[FetchedRecords | KafkaError]:
        """In a thread: find the records and bring them into memory, so that sending them waits for no disk."""
        for attempt in range(3):
            try:
                answers = self._read(reads, max_bytes, wait=True)
                break
            except DamagedIndex:
                if attempt == 2 or not self._rebuild_closed(reads):
                    raise
        buffer: bytearray | None = None
        for answer in answers:
            if isinstance(answer, FetchedRecords) and isinstance(answer.records, FileSlice):
                records = answer.records
                if records.is_resident():
                    continue
                buffer = buffer or bytearray(WARM_BUFFER)
                end = records.position + len(records)
                for position in range(records.position, end, WARM_BUFFER):
                    records.file.read_into(position, memoryview(buffer)[: min(WARM_BUFFER, end - position)])
        return answers

    def _rebuild_closed(self, reads: Sequence[Read]) -> bool:
        """Make the indexes anew that these reads need and that no append changes; False when there are none."""
        rebuilt = False
        for read in reads:
            log = _own(read.log).opened
            if log is not None:
                for segment in log.segments[:-1]:
                    try:
                        segment.find(max(read.start, segment.base_offset))
                    except DamagedIndex:
                        log.rebuild(segment)
                        rebuilt = True
        return rebuilt

    # -- durability and upkeep -----------------------------------------------------------------------------------------

    @property
    def descriptors(self) -> Descriptors:
        """The files that are open."""
        return self._around.descriptors

    def became_dirty(self, log: LocalLog) -> None:
        """`log` has bytes that are not synced."""
        self._around.descriptors.trim()
        self._retention_due.pop(log.key, None)
        self._dirty[log] = None
        if log.spec.config.flush_ms < NEVER and log not in self._flush_due:
            self._flush_due[log] = trio.current_time() + log.spec.config.flush_ms / 1000
            self._wake()

    def _on_synced(self, log: object) -> None:
        assert isinstance(log, LocalLog)
        opened = log.opened
        if opened is not None and opened.synced_end == opened.end:
            self._dirty.pop(log, None)
            self._flush_due.pop(log, None)
            log.became_clean()
            self._recovery_points[log.key] = opened.end
        self._checkpoints_changed = True

    async def _sync_dirty(self) -> None:
        if self._dirty and self._failure is None:
            await self.flusher.flush(list(self._dirty))

    async def _sync_recovered(self) -> None:
        """Sync the logs that were recovered and that nobody has asked for since."""
        waiting = [(key, log) for key, log in self._recovered.items() if isinstance(log, Log)]
        for first in range(0, len(waiting), RECOVERY_CHUNK):
            part = waiting[first : first + RECOVERY_CHUNK]
            for key, log in part:
                if self._recovered.get(key) is log:
                    log.finish()
            jobs = [log.take_unsynced() for _, log in part]
            results = await self.offload.run(self.flusher.sync, jobs)
            for (key, log), job, error in zip(part, jobs, results, strict=True):
                if error is not None:
                    self.stop(f"{log.directory}: sync failed: {error}")
                    return
                log.synced(job)
                if self._recovered.get(key) is log:  # from now on it can be opened like any other
                    del self._recovered[key]
                    self._recovery_points[key] = log.end
                    self._checkpoints_changed = True

    def _close_idle(self) -> None:
        """Let go of logs that nobody has used since the last time: they take no memory until somebody does again."""
        for log in self._logs.values():
            opened = log.opened
            if opened is None or log in self._dirty or opened.failure is not None:
                continue
            if opened.used or opened.end != opened.synced_end:
                opened.used = False
                continue
            opened.finish()
            self._recovery_points[log.key] = opened.end
            log.opened = None

    def _wake(self) -> None:
        self._news.set()

    async def maintain(self) -> None:
        """Upkeep, for ever: run it as a task beside the broker, cancel it to stop."""
        next_checkpoint = trio.current_time() + CHECKPOINT_INTERVAL
        next_retention = trio.current_time() + self._retention_check_ms / 1000
        while True:
            self._news = trio.Event()
            due = min([next_checkpoint, next_retention, *self._flush_due.values(), *[when for when, _ in self._doomed]])
            with trio.move_on_at(due):
                await self._news.wait()
            now = trio.current_time()
            late = [log for log, when in self._flush_due.items() if when <= now]
            if late and self._failure is None:
                for log in late:
                    del self._flush_due[log]
                await self.flusher.flush(late)
            if any(when <= now for when, _ in self._doomed):
                await self._remove_due(now)
            if now >= next_retention:
                next_retention = now + self._retention_check_ms / 1000
                if self._failure is None:
                    await self.apply_retention()
            if now >= next_checkpoint:
                next_checkpoint = now + CHECKPOINT_INTERVAL
                await self._maintain_once()

    async def _maintain_once(self) -> None:
        try:
            await self._sync_dirty()
            await self._sync_recovered()
            self._close_idle()
            self._note_recovery_points()
            if self._checkpoints_changed and self._failure is None:
                await self._write_checkpoints()
        except OSError as error:
            self._log.error("checkpoints could not be written", reason=str(error))
        self._around.descriptors.trim()

    def _note_recovery_points(self) -> None:
        for log in self._logs.values():
            if log.opened is not None and log.opened.segments:
                self._recovery_points[log.key] = log.opened.synced_end

    async def _write_checkpoints(self) -> None:
        self._checkpoints_changed = False
        await self._write_checkpoint(checkpoints.RECOVERY_POINTS, self._recovery_points)
        await self._write_checkpoint(checkpoints.HIGH_WATERMARKS, self._recovery_points)
        await self._write_checkpoint(checkpoints.LOG_STARTS, self._log_starts)

    async def _write_checkpoint(self, name: str, offsets: Mapping[Key, int]) -> None:
        async with self._checkpointing:  # one after the other, so that the newest is what remains
            await self.offload.run(self._write_offsets, f"{self.directory}/{name}", list(offsets.items()))

    def _write_offsets(self, path: str, offsets: list[tuple[Key, int]]) -> None:
        self.disk.write_file_atomically(path, checkpoints.encode_offsets(offsets))

    async def _remove_due(self, now: float) -> None:
        await self.offload.run(self._remove_doomed, now)

    def _remove_doomed(self, now: float) -> None:
        """Remove files and directories whose time has come. In a thread."""
        due = [path for when, path in self._doomed if when <= now]
        self._doomed = [(when, path) for when, path in self._doomed if when > now]
        for path in due:
            try:
                if path.endswith("-delete"):
                    self.disk.remove_tree(path)
                else:
                    self.disk.remove(path)
            except OSError as error:  # the next start finds it again
                self._log.warning("a deleted file could not be removed", path=path, reason=str(error))

    def log_directories(self) -> Sequence[LogDirectory]:
        sizes = {}
        for log in self._logs.values():
            if log.opened is not None:
                sizes[log.key] = log.opened.size
        for key in self._present:
            if key not in sizes:
                sizes[key] = self._size_on_disk(key)
        error = None
        if self._failure is not None:
            error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log directory has stopped because of a disk error")
        try:
            total, usable = self.disk.space(self.directory)
        except OSError:
            total = usable = -1
        return [LogDirectory(self.directory, total, usable, error, sizes)]

    def _size_on_disk(self, key: Key) -> int:
        path = self._path(key)
        try:
            names = self.disk.list_directory(path)
        except OSError:
            return 0
        return sum([self.disk.file_size(f"{path}/{name}") or 0 for name in names if name.endswith(".log")])


def _judge_all(logs: list[Log], now: int) -> list[tuple[int, int] | Exception]:
    """What retention says of each log. In a thread."""
    verdicts: list[tuple[int, int] | Exception] = []
    for log in logs:
        try:
            verdicts.append(log.judge_retention(now))
        except (OSError, Corrupt, DamagedIndex) as error:
            verdicts.append(error)
    return verdicts


def _rename_segments(disk: Disk, segments: list[Segment]) -> list[str]:
    """Mark the files of these segments as deleted; returns their new names."""
    paths = []
    for segment in segments:
        for suffix in (".log", ".index", ".timeindex", ".txnindex"):
            path = segment.path(suffix)
            if disk.file_size(path) is not None:
                disk.rename(path, path + ".deleted")
                paths.append(path + ".deleted")
    return paths


def _own(log: PartitionLog) -> LocalLog:
    assert isinstance(log, LocalLog), "an engine reads its own logs"
    return log
