"""A store on the bench: what the conformance suites work with.

A suite is a class of coroutine tests that any engine inherits. The engine's own test module says two things only: where
its logs live (`place`), and how a store is opened there (`store`).

    class TestMemoryEngine(EngineConformance):
        @asynccontextmanager
        async def store(self, place: None) -> AsyncIterator[LogStore]:
            store = MemoryStore(SystemClock(), SystemEntropy())
            await store.open()
            yield store
            await store.close()

Every read that a suite makes is made twice, with `read_now` and with `read_many`, and has to come out the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from kproto.errors import ErrorCode, KafkaError
from storage.engine import Append, Batch, FetchedRecords, LogStore, PartitionLog, Read, VerificationGuard, WrongEnd
from storage.testing.log_builder import content, spec, values, whole_batches

EVERYTHING = 1 << 30


class Lab:
    """An open store and short names for what tests do with it."""

    def __init__(self, open_store: Callable[[], AbstractAsyncContextManager[LogStore]]) -> None:
        self._open_store = open_store
        self._closing = AsyncExitStack()
        self.store: LogStore

    async def open(self) -> None:
        """Open the store. Raises StoreError."""
        self.store = await self._closing.enter_async_context(self._open_store())

    async def close(self) -> None:
        """Close it as at the end of the broker."""
        await self._closing.aclose()

    async def reopen(self) -> None:
        """Close the store and open it again in the same place. Logs have to be asked for again."""
        await self.close()
        await self.open()

    def log(self, topic: str = "orders", partition: int = 0, generation: int = 1, **settings: Any) -> PartitionLog:
        """A log of the store."""
        return self.store.log(spec(topic, partition, generation, **settings))

    async def append(
        self,
        log: PartitionLog,
        *batches: Batch,
        expected_end: int | None = None,
        guard: VerificationGuard | None = None,
        transaction_version: int = 0,
    ) -> Append:
        """Append these in one piece and wait until they are durable. Raises what either step does."""
        append = log.begin_append(
            batches, expected_end=expected_end, guard=guard, transaction_version=transaction_version
        )
        await append.wait_durable()
        return append

    async def fetch(self, reads: Sequence[Read], max_bytes: int = EVERYTHING) -> list[FetchedRecords | KafkaError]:
        """Ask one question both ways and compare the answers."""
        waited = await self.store.read_many(reads, max_bytes)
        at_once = self.store.read_now(reads, max_bytes)
        assert len(waited) == len(reads)
        if at_once is not None:
            assert [_shown(answer) for answer in at_once] == [_shown(answer) for answer in waited]
        return waited

    async def read(
        self, log: PartitionLog, start: int = 0, max_bytes: int = EVERYTHING, upto: int | None = None
    ) -> bytes:
        """What one read of one log finds; up to the high watermark by default. Raises KafkaError."""
        [found] = await self.fetch([Read(log, start, max_bytes, log.high_watermark if upto is None else upto)])
        return content(found)

    async def whole(self, log: PartitionLog, max_bytes: int = EVERYTHING) -> bytes:
        """All batches of a log, read as a consumer does: step by step, each from where the last one ended."""
        return await self.rest(log, log.log_start_offset, max_bytes)

    async def rest(self, log: PartitionLog, position: int, max_bytes: int = EVERYTHING) -> bytes:
        """All batches from the one that holds `position`, read likewise."""
        found = b""
        while step := whole_batches(await self.read(log, position, max_bytes)):
            assert step[0][0].base_offset <= position < step[-1][0].next_offset, "a read has what was asked for"
            found += b"".join(data for _, data in step)
            position = step[-1][0].next_offset
        assert position == max(log.high_watermark, log.log_start_offset), "a reader gets to the high watermark"
        return found

    async def values(self, log: PartitionLog) -> list[bytes | None]:
        """The values of all records of a log."""
        return values(await self.whole(log))


class Bench(ABC):
    """What a suite needs to know about an engine."""

    @contextmanager
    def place(self) -> Iterator[Any]:
        """Where the logs of one test live: a directory, a simulated disk; nothing for an engine that keeps nothing."""
        yield None

    @abstractmethod
    def store(self, place: Any) -> AbstractAsyncContextManager[LogStore]:
        """An open store in this place, closed at the end of the context."""

    @asynccontextmanager
    async def lab(self) -> AsyncIterator[Lab]:
        """A fresh place with an open store in it."""
        with self.place() as place:
            lab = Lab(lambda: self.store(place))
            await lab.open()
            try:
                yield lab
            finally:
                await lab.close()


@contextmanager
def refused(code: ErrorCode) -> Iterator[None]:
    """What follows is refused with this code."""
    try:
        yield
    except KafkaError as error:
        assert error.code is code, f"refused with {error.code.name} instead of {code.name}"
    else:
        raise AssertionError(f"not refused with {code.name}")


@contextmanager
def wrong_end(expected: int, actual: int) -> Iterator[None]:
    """What follows fails because the log ends at `actual`."""
    try:
        yield
    except WrongEnd as error:
        assert (error.expected, error.actual) == (expected, actual)
    else:
        raise AssertionError(f"appended at {actual} although {expected} was expected")


def _shown(answer: FetchedRecords | KafkaError) -> tuple[object, ...]:
    return (answer.code,) if isinstance(answer, KafkaError) else (content(answer), *answer[1:])
