"""Logs in memory that several brokers share: each has a view of its own, as of a database that it asks now and then.

`SharedMemory` holds the logs, which are those of `storage/memory`. `SharedMemory.view()` is the `LogStore` of one
broker. What makes it a cluster's engine and not one broker's:

* **Offsets exist only after the commit.** `begin_append` puts an append into the view's queue. It is committed
  `commit_seconds` later, one after the other, and only then is it judged: `Append.wait_durable` raises what the log has
  against it, WrongEnd too. An append with `expected_end` knows its offsets at once, and fails with the one whose end it
  expects.
* **A view is late.** What other views have appended is seen after `poll_seconds`, or together with an own commit. Until
  then a log's properties, and reads, end where the view has seen it end.

A broker that dies is a view that is used no more: what stands in its queue is never committed. `SharedView.stall` holds
up commits and polls, as a database that does not answer.

The view works from `open` to `close`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

import trio

from kproto.errors import KafkaError
from storage.engine import (
    AbortedTransaction,
    Append,
    Batch,
    EpochEnd,
    FetchedRecords,
    LogAppend,
    LogDirectory,
    LogSpec,
    LogStatistics,
    OpenProducer,
    PartitionLog,
    Read,
    TimestampOffset,
    VerificationGuard,
    WrongEnd,
)
from storage.log_config import LogConfig
from storage.memory.blobs import MemoryBlobs
from storage.memory.engine import MemoryLog, MemoryStore
from storage.several_logs import append_each
from storage.statistics import StoreStatistics
from storage.store_settings import StoreSettings
from storage.testing.memory_membership import MemoryCluster, MemoryMembership


class SharedMemory:
    """The logs, and who shares them."""

    def __init__(
        self,
        inner: MemoryStore,
        cluster: MemoryCluster,
        *,
        commit_seconds: float = 0.004,
        poll_seconds: float = 0.1,
    ) -> None:
        self.inner = inner
        self.cluster = cluster
        self.commit_seconds = commit_seconds
        self.poll_seconds = poll_seconds

    def view(self, node_id: int) -> SharedView:
        """The store of one more broker."""
        return SharedView(self, node_id)


class SharedAppend:
    """An append on its way to be committed."""

    def __init__(self, batches: Sequence[Batch], expected_end: int | None) -> None:
        self.batches = [Batch(each.header, memoryview(bytearray(each.data))) for each in batches]
        self.expected_end = expected_end
        self.records = sum(each.header.last_offset_delta + 1 for each in batches)
        self.behind: SharedAppend | None = None
        """The append whose end this one expects, if that was not committed yet."""
        self.done = trio.Event()
        self.committed: Append | None = None
        self.failure: KafkaError | WrongEnd | None = None

    @property
    def base_offset(self) -> int:
        if self.committed is not None:
            return self.committed.base_offset
        assert self.expected_end is not None, "an offset exists only after the commit"
        return self.expected_end

    @property
    def last_offset(self) -> int:
        if self.committed is not None:
            return self.committed.last_offset
        return self.base_offset + self.records - 1

    @property
    def duplicate(self) -> bool:
        return self.committed is not None and self.committed.duplicate

    @property
    def durable(self) -> bool:
        return self.committed is not None

    @property
    def durable_on_ack(self) -> bool:
        return True

    async def wait_durable(self) -> None:
        await self.done.wait()
        if isinstance(self.failure, KafkaError):
            raise KafkaError(self.failure.code, self.failure.message)
        if self.failure is not None:
            raise WrongEnd(self.failure.expected, self.failure.actual)


class SharedLog:
    """One log, as one broker has seen it. `PartitionLog` says what its methods promise."""

    def __init__(self, view: SharedView, inner: MemoryLog) -> None:
        self._view = view
        self.inner = inner
        self.on_advance: Callable[[], None] | None = None
        self._end = inner.log_end_offset
        self._stable = inner.last_stable_offset
        self._last: SharedAppend | None = None

    def refresh(self) -> None:
        """See what there is."""
        seen = self._end, self._stable
        self._end, self._stable = self.inner.log_end_offset, self.inner.last_stable_offset
        if seen != (self._end, self._stable) and self.on_advance is not None:
            self.on_advance()

    @property
    def spec(self) -> LogSpec:
        return self.inner.spec

    @property
    def log_start_offset(self) -> int:
        return min(self.inner.log_start_offset, self._end)

    @property
    def log_end_offset(self) -> int:
        return self._end

    @property
    def high_watermark(self) -> int:
        return self._end

    @property
    def last_stable_offset(self) -> int:
        return self._stable

    @property
    def leader_epoch(self) -> int:
        return self.inner.leader_epoch

    @property
    def is_open(self) -> bool:
        return True

    @property
    def is_ready(self) -> bool:
        return True

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        append = SharedAppend(batches, expected_end)

        last, self._last = self._last, append
        if last is not None and expected_end is not None and not last.done.is_set():
            append.behind = last if last.expected_end is not None and last.last_offset + 1 == expected_end else None

        def commit() -> Append:
            if append.behind is not None and append.behind.failure is not None:
                assert expected_end is not None
                raise WrongEnd(expected_end, self.inner.log_end_offset)
            return self.inner.begin_append(
                append.batches, expected_end=expected_end, guard=guard, transaction_version=transaction_version
            )

        self._view.enqueue(self, append, commit)
        return append

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, epoch_bump: bool
    ) -> VerificationGuard | None:
        return self.inner.start_verification(producer_id, producer_epoch, base_sequence, epoch_bump=epoch_bump)

    async def offset_for_time(self, timestamp: int) -> TimestampOffset | None:
        return await self.inner.offset_for_time(timestamp)

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        return await self.inner.offset_of_max_timestamp()

    def end_of_epoch(self, leader_epoch: int) -> EpochEnd | None:
        return self.inner.end_of_epoch(leader_epoch)

    async def aborted_transactions(self, start: int, upto: int) -> Sequence[AbortedTransaction]:
        return await self.inner.aborted_transactions(start, upto)

    async def delete_before(self, offset: int) -> int:
        return await self.inner.delete_before(offset)

    def configure(self, config: LogConfig) -> None:
        self.inner.configure(config)

    def go_on_in(self, leader_epoch: int) -> None:
        self.inner.go_on_in(leader_epoch)

    async def producers(self) -> Sequence[OpenProducer]:
        return await self.inner.producers()

    def statistics(self) -> LogStatistics:
        return self.inner.statistics()


class SharedView:
    """All logs, as one broker sees them. `LogStore` says what its methods promise."""

    def __init__(self, shared: SharedMemory, node_id: int) -> None:
        self._shared = shared
        self._inner = shared.inner
        self._logs: dict[tuple[str, bytes, int], SharedLog] = {}
        self._queue: deque[tuple[SharedLog, SharedAppend, Callable[[], Append]]] = deque()
        self._queued = trio.Event()
        self.membership: MemoryMembership = shared.cluster.seat(node_id)
        self._working = trio.Event()
        self._working.set()

    def stall(self) -> None:
        """Hold up commits and polls until `go_on`."""
        self._working = trio.Event()

    def go_on(self) -> None:
        """Work again."""
        self._working.set()

    def enqueue(self, log: SharedLog, append: SharedAppend, commit: Callable[[], Append]) -> None:
        """Let this append be committed, behind those before it."""
        self._queue.append((log, append, commit))
        self._queued.set()

    async def open(self) -> None:
        await self._inner.open()
        self._scope = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._work, self._scope)

    async def close(self) -> None:
        """What is in the queue is left."""
        self._scope.cancel()

    def configure(self, settings: StoreSettings) -> None:
        self._inner.configure(settings)

    async def maintain(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        await trio.sleep_forever()

    async def _work(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._commit)
                nursery.start_soon(self._poll)

    async def _commit(self) -> None:
        while True:
            await self._queued.wait()
            self._queued = trio.Event()
            while self._queue:
                await trio.sleep(self._shared.commit_seconds)
                await self._working.wait()
                for _ in range(len(self._queue)):
                    log, append, commit = self._queue.popleft()
                    try:
                        append.committed = commit()
                    except (KafkaError, WrongEnd) as error:
                        append.failure = error.with_traceback(None)
                    log.refresh()
                    append.done.set()

    async def _poll(self) -> None:
        while True:
            await trio.sleep(self._shared.poll_seconds)
            await self._working.wait()
            for log in list(self._logs.values()):
                log.refresh()

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        """See what other views have appended."""
        await trio.lowlevel.checkpoint()
        for log in logs:
            _own(log).refresh()

    @property
    def cluster_id(self) -> str:
        return self._inner.cluster_id

    @property
    def directory_id(self) -> str:
        return self._inner.directory_id

    def log(self, spec: LogSpec) -> SharedLog:
        key = spec.topic, spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = SharedLog(self, self._inner.log(spec))
        return log

    def blobs(self, spec: LogSpec) -> MemoryBlobs:
        return self._inner.blobs(spec)

    def existing(self) -> Collection[tuple[str, int]]:
        return self._inner.existing()

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        await self._inner.create_logs(specs)

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        await self._inner.delete_logs(specs)
        for spec in specs:
            self._logs.pop((spec.topic, spec.topic_id, spec.partition), None)

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        """They are open."""

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        """They are ready."""

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        logs = [_own(read.log) for read in reads]
        inner = [
            read._replace(log=log.inner, upto=min(read.upto, log.high_watermark))
            for read, log in zip(reads, logs, strict=True)
        ]
        found = self._inner.read_now(inner, max_bytes, whole_batch)
        return [
            each
            if isinstance(each, KafkaError)
            else each._replace(high_watermark=log.high_watermark, last_stable_offset=log.last_stable_offset)
            for each, log in zip(found, logs, strict=True)
        ]

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        await trio.lowlevel.checkpoint()
        return self.read_now(reads, max_bytes, whole_batch)

    @property
    def overlaps_appends(self) -> bool:
        return True

    @property
    def commits_together(self) -> bool:
        return False

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        if after is not None:
            await after.wait_durable()
        return await append_each(appends)

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        for append in appends:
            await append.wait_durable()

    def statistics(self) -> StoreStatistics:
        return self._inner.statistics()

    async def log_directories(self) -> Sequence[LogDirectory]:
        return await self._inner.log_directories()


def _own(log: PartitionLog) -> SharedLog:
    assert isinstance(log, SharedLog), "an engine reads its own logs"
    return log
