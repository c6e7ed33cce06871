"""A bucket in memory whose store can fail, under trio's clock: the double for conformance, tests and simulations.

Several engines of one process may share it, as brokers share a store. What goes wrong is said beforehand (`plan`), or
drawn from a seeded source (`chance`), so the same seed gives the same run:

* BUSY: nothing is done, and the store says so (503).
* LOST: the work is done, and the answer is lost.
* LATE: the answer is lost, and the work is done `late` seconds afterwards, when all think that it never will be.
* CUT: an answer to a read ends too early.
* CORRUPT: one bit of what is read is another. No error says so.
* GONE: a read finds nothing. The object is there.
* REFUSED: no permission.

Beside that each request takes `delay(kind, size)` seconds of virtual time, `down` makes the store unreachable, and
`paused` lets requests wait until it is None again.

It also watches its callers: a key that is put a second time with other bytes is an assertion, since no engine may.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import Enum
from typing import Final

import trio

from kproto.batches.buffers import ReadableBuffer
from storage.object.bucket import (
    MOST_DELETED,
    Ambiguous,
    BucketError,
    ByteRange,
    ObjectMissing,
    Refused,
    StoredObject,
    Unavailable,
    WrongAnswer,
    check_folder,
    check_key,
    check_ranges,
)
from storage.object.request_counts import RequestCounts
from storage.statistics import BucketStatistics

PAGE: Final = 100
"""Objects of a page of a listing; small, so that tests have several."""


class Fault(Enum):
    """What can happen to one request."""

    BUSY = "busy"
    LOST = "lost"
    LATE = "late"
    CUT = "cut"
    CORRUPT = "corrupt"
    GONE = "gone"
    REFUSED = "refused"


POSSIBLE: Final[Mapping[str, frozenset[Fault]]] = {
    "put": frozenset({Fault.BUSY, Fault.LOST, Fault.LATE, Fault.REFUSED}),
    "delete": frozenset({Fault.BUSY, Fault.LOST, Fault.LATE, Fault.REFUSED}),
    "get": frozenset({Fault.BUSY, Fault.LOST, Fault.CUT, Fault.CORRUPT, Fault.GONE, Fault.REFUSED}),
    "list": frozenset({Fault.BUSY, Fault.LOST, Fault.REFUSED}),
}
"""Which faults a kind of request may meet. `get` stands for `size`, too."""


class MemoryBucket:
    """A `Bucket` (`storage/object/bucket.py`) of this process.

    `chance(kind)` draws the fault of a request that has none planned, or None; it is asked once for each request.
    """

    def __init__(
        self,
        *,
        delay: Callable[[str, int], float] | None = None,
        chance: Callable[[str], Fault | None] | None = None,
        late: float = 30.0,
        location: str = "memory:",
    ) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False
        self.paused: trio.Event | None = None
        self.location = location
        self._delay = delay
        self._chance = chance
        self._late = late
        self._planned: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._later: list[tuple[float, int, str, bytes | None]] = []  # due, number, key, what is put (None: deleted)
        self._laters = 0
        self._digests: dict[str, bytes] = {}
        self._counts = RequestCounts("put", "get", "list", "delete", failures=BucketError, answers=ObjectMissing)

    # --- what a test says

    def plan(self, kind: str, *faults: Fault) -> None:
        """The next requests of this kind ("put", "get", "list", "delete") meet these, one each."""
        assert set(faults) <= POSSIBLE[kind], f"a {kind} cannot meet {faults}"
        self._planned[kind].extend(faults)

    def flip(self, key: str, position: int) -> None:
        """Let a bit of a stored object rot."""
        data = bytearray(self.objects[key])
        data[position] ^= 1
        self.objects[key] = bytes(data)

    # --- the contract

    async def put(self, key: str, pieces: Sequence[ReadableBuffer], *, background: bool = False) -> None:
        check_key(key)
        data = b"".join(pieces)
        with self._counts.counted("put", len(data)):
            fault = await self._meet("put", len(data))
            self._put_at(key, data, fault)

    async def get(self, key: str, start: int, end: int, *, background: bool = False) -> memoryview:
        return (await self.get_ranges(key, [ByteRange(start, end)], background=background))[0]

    async def get_ranges(
        self, key: str, ranges: Sequence[ByteRange], *, background: bool = False
    ) -> Sequence[memoryview]:
        check_key(key)
        if not check_ranges(ranges):
            return []
        size = sum(end - start for start, end in ranges)
        with self._counts.counted("get", size):
            fault = await self._meet("get", size)
            data = self._found(key, fault)
            if max(end for _, end in ranges) > len(data) or fault is Fault.CUT:
                raise WrongAnswer(f"the read of {key} gave too few bytes")
            found = [bytearray(data[start:end]) for start, end in ranges]
            if fault is Fault.CORRUPT:
                found[0][len(found[0]) // 2] ^= 0x10
            return [memoryview(each).toreadonly() for each in found]

    async def size(self, key: str) -> int:
        check_key(key)
        with self._counts.counted("get"):
            return len(self._found(key, await self._meet("get", 0)))

    async def list(self, folder: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        check_folder(folder)
        behind = ""
        while True:
            with self._counts.counted("list"):
                await self._meet("list", 0)
                keys = heapq.nsmallest(PAGE, (key for key in self.objects if key.startswith(folder) and key > behind))
            if not keys:
                return
            yield [StoredObject(key, len(self.objects[key])) for key in keys]
            behind = keys[-1]

    async def delete(self, keys: Sequence[str]) -> None:
        assert len(keys) <= MOST_DELETED, f"{len(keys)} keys at once"
        if not keys:
            return
        with self._counts.counted("delete"):
            fault = await self._meet("delete", 0)
            for key in keys:
                self._change(check_key(key), None, fault)
            self._lose_answer(fault)

    def statistics(self) -> BucketStatistics:
        counts = self._counts
        return BucketStatistics(
            self.location,
            puts=counts.of("put"),
            gets=counts.of("get"),
            lists=counts.of("list"),
            deletes=counts.of("delete"),
            last_error=counts.last_error,
        )

    # --- what happens to a request

    async def _meet(self, kind: str, size: int) -> Fault | None:
        """Let a request have its time; the fault that it meets when its work is due. Raises those that prevent it."""
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=kind in ("put", "delete")):
            if self._delay is not None:
                await trio.sleep(self._delay(kind, size))
            while self.paused is not None:
                await self.paused.wait()
        self._let_late_work_happen()
        if self.down:
            raise Unavailable("the store cannot be reached")
        if planned := self._planned[kind]:
            fault: Fault | None = planned.popleft()
        else:
            fault = self._chance(kind) if self._chance is not None else None
        assert fault is None or fault in POSSIBLE[kind], f"a {kind} cannot meet {fault}"
        if fault is Fault.BUSY or (fault is Fault.LOST and kind in ("get", "list")):
            raise Unavailable(f"the {kind} was answered by 503 SlowDown")
        if fault is Fault.REFUSED:
            raise Refused(f"the {kind} is not permitted")
        return fault

    def _put_at(self, key: str, data: bytes, fault: Fault | None) -> None:
        digest = hashlib.sha256(data).digest()
        assert self._digests.setdefault(key, digest) == digest, f"{key} is put a second time with other bytes"
        self._change(key, data, fault)
        self._lose_answer(fault)

    def _change(self, key: str, data: bytes | None, fault: Fault | None) -> None:
        if fault is Fault.LATE:
            self._laters += 1
            heapq.heappush(self._later, (trio.current_time() + self._late, self._laters, key, data))
        else:
            self._apply(key, data)

    def _apply(self, key: str, data: bytes | None) -> None:
        if data is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = data

    def _lose_answer(self, fault: Fault | None) -> None:
        if fault in (Fault.LOST, Fault.LATE):
            raise Ambiguous("the answer was lost")

    def _let_late_work_happen(self) -> None:
        while self._later and self._later[0][0] <= trio.current_time():
            _, _, key, data = heapq.heappop(self._later)
            self._apply(key, data)

    def _found(self, key: str, fault: Fault | None) -> bytes:
        if fault is Fault.GONE or key not in self.objects:
            raise ObjectMissing(f"there is no {key}")
        return self.objects[key]
