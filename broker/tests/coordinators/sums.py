"""The smallest machine that has everything: a counter, with waiting clients and deadlines. For tests of what hosts
machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broker.coordinators.machine import Decision, Promise
from broker.coordinators.runtime import Runtime
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogSpec
from storage.log_config import LogConfig
from storage.seams.clock import Instant

SPEC = LogSpec("__sums", bytes(15) + b"\x07", 0, LogConfig())


class Sum:
    """A number that grows; some clients wait until it reaches a value, none longer than until their deadline."""

    def __init__(self) -> None:
        self.total = 0
        self.expiries = 0
        self.waiting: dict[Promise[int], tuple[int, int]] = {}
        self.loaded_at: Instant | None = None

    def decide_add(self, amount: int, promise: Promise[int]) -> Decision[int]:
        if amount < 0:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        total = self.total + amount
        replies = [(promise, total)]
        replies += [(waiter, total) for waiter, (wanted, _) in self.waiting.items() if wanted <= total]
        for waiter, _ in replies[1:]:
            del self.waiting[waiter]
        return Decision([amount], replies)

    def decide_read(self, promise: Promise[int]) -> Decision[int]:
        return Decision(replies=[(promise, self.total)])

    def decide_wait_for(self, wanted: int, deadline: int, promise: Promise[int]) -> Decision[int]:
        self.waiting[promise] = (wanted, deadline)
        return Decision()

    def replay(self, record: int) -> None:
        self.total += record

    def loaded(self, now: Instant) -> Iterable[object]:
        self.loaded_at = now
        return ()

    def next_deadline(self) -> int | None:
        return min((deadline for _, deadline in self.waiting.values()), default=None)

    def decide_expired(self, now: Instant) -> Decision[int]:
        late = [waiter for waiter, (_, deadline) in self.waiting.items() if deadline <= now.monotonic]
        for waiter in late:
            del self.waiting[waiter]
        self.expiries += 1
        return Decision([1000], [(waiter, KafkaError(ErrorCode.REQUEST_TIMED_OUT)) for waiter in late], volatile=True)

    def encode(self, record: int, now: Instant) -> RecordData:
        return RecordData(0, now.wall, None, str(record).encode(), ())

    def decode(self, data: RecordData) -> int | None:
        assert data.value is not None
        return int(data.value) if data.value.isdigit() else None

    def check(self) -> None:
        assert self.total >= 0


SumRuntime = Runtime[Sum]


def add(amount: int) -> Callable[[Sum, Instant, Promise[int]], Decision[int]]:
    return lambda machine, now, promise: machine.decide_add(amount, promise)


def read(machine: Sum, now: Instant, promise: Promise[int]) -> Decision[int]:
    return machine.decide_read(promise)


def wait_for(wanted: int, within: int = 1_000_000) -> Callable[[Sum, Instant, Promise[int]], Decision[int]]:
    return lambda machine, now, promise: machine.decide_wait_for(wanted, now.monotonic + within, promise)
