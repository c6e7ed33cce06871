"""An engine that fails and dawdles on command, around any other: to see what coordinators do then.

`FaultyStore(inner)` is a LogStore. Its logs pass everything on; in addition each can be made to hold durability back
(`hold`, `release`), to refuse the next append (`refuse_next`), to lose what is held (`lose_held`), or to be unreadable
(`unreadable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import (
    Append,
    Batch,
    FetchedRecords,
    LogAppend,
    LogSpec,
    LogStore,
    PartitionLog,
    Read,
    VerificationGuard,
    WrongEnd,
)
from storage.several_logs import append_each


class HeldAppend:
    """An append whose durability waits for its log's `release`."""

    def __init__(self, inner: Append, log: FaultyLog) -> None:
        self._inner = inner
        self._gate = log.gate

    @property
    def base_offset(self) -> int:
        return self._inner.base_offset

    @property
    def last_offset(self) -> int:
        return self._inner.last_offset

    @property
    def duplicate(self) -> bool:
        return self._inner.duplicate

    @property
    def durable(self) -> bool:
        return self._inner.durable and (self._gate is None or (self._gate.opened.is_set() and not self._gate.lost))

    @property
    def durable_on_ack(self) -> bool:
        return self._inner.durable_on_ack

    async def wait_durable(self) -> None:
        """As the inner one, once the gate it was appended behind is open; KafkaError if that gate was lost."""
        if self._gate is not None:
            await self._gate.opened.wait()
            if self._gate.lost:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "lost on command")
        await self._inner.wait_durable()


class Gate:
    """Holds appends back until opened."""

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.lost = False


class FaultyLog:
    """A PartitionLog that can be made to fail."""

    def __init__(self, inner: PartitionLog) -> None:
        self.inner = inner
        self.gate: Gate | None = None
        self.unreadable = False
        self.appended: list[int] = []
        """Sizes in bytes of the batches appended."""
        self.refused = 0
        """Appends that were refused on command."""
        self._refusals: list[Exception] = []

    def hold(self) -> None:
        """From now on appends do not become durable."""
        self.gate = Gate()

    def release(self) -> None:
        """What was held becomes durable, and later appends are not held."""
        assert self.gate is not None
        self.gate.opened.set()
        self.gate = None

    def lose_held(self) -> None:
        """What was held never becomes durable, and its waiting callers get the error."""
        assert self.gate is not None
        self.gate.lost = True
        self.release()

    def refuse_next(self, error: Exception, times: int = 1) -> None:
        """The next `times` appends are not taken but answered with `error`."""
        self._refusals = [error] * times

    def begin_append(
        self,
        batches: Sequence[Batch],
        *,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        if self._refusals:
            self.refused += 1
            raise self._refusals.pop(0)
        begun = self.inner.begin_append(
            batches, expected_end=expected_end, guard=guard, transaction_version=transaction_version
        )
        append = HeldAppend(begun, self)
        self.appended += [len(batch.data) for batch in batches]
        return append

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class FaultyStore:
    """A LogStore whose logs are FaultyLogs."""

    def __init__(self, inner: LogStore) -> None:
        self.inner = inner
        self.logs: dict[tuple[str, bytes, int], FaultyLog] = {}
        self.create_error: KafkaError | None = None
        self.creations, self.deletions = Gate(), Gate()
        self.creations.opened.set()
        self.deletions.opened.set()

    def faulty(self, spec: LogSpec) -> FaultyLog:
        """The log of `spec`, to give commands to."""
        key = spec.topic, spec.topic_id, spec.partition
        if key not in self.logs:
            self.logs[key] = FaultyLog(self.inner.log(spec))
        return self.logs[key]

    def log(self, spec: LogSpec) -> PartitionLog:
        return cast(PartitionLog, self.faulty(spec))

    commits_together = False
    overlaps_appends = False

    async def append_all(
        self, appends: Iterable[LogAppend], *, after: Append | None = None
    ) -> list[Append | KafkaError | WrongEnd]:
        if after is not None:
            await after.wait_durable()
        return await append_each(appends)

    async def wait_durable(self, appends: Iterable[Append]) -> None:
        for append in appends:
            await append.wait_durable()

    async def create_logs(self, specs: Sequence[LogSpec]) -> None:
        if self.create_error is not None:
            raise self.create_error
        await self.creations.opened.wait()
        await self.inner.create_logs(specs)

    async def delete_logs(self, specs: Sequence[LogSpec]) -> None:
        await self.deletions.opened.wait()
        await self.inner.delete_logs(specs)

    async def open_logs(self, logs: Sequence[PartitionLog]) -> None:
        await self.inner.open_logs([cast(FaultyLog, log).inner for log in logs])

    async def make_ready(self, logs: Sequence[PartitionLog]) -> None:
        await self.inner.make_ready([cast(FaultyLog, log).inner for log in logs])

    async def refresh(self, logs: Sequence[PartitionLog]) -> None:
        await self.inner.refresh([cast(FaultyLog, log).inner for log in logs])

    async def read_many(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        logs = [cast(FaultyLog, read.log) for read in reads]
        if any(log.unreadable for log in logs):
            return [KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "unreadable on command") for _ in reads]
        return await self.inner.read_many(
            [read._replace(log=log.inner) for read, log in zip(reads, logs, strict=True)], max_bytes, whole_batch
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
