"""What the process holds and does not use is given back."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from broker.observe.free_memory import LOOK_SECONDS, PATIENCE_SECONDS, WORTH, give_back_now_and_then
from broker.observe.garbage import IDLE_SECONDS
from storage.seams.offload import InlineOffload
from storage.seams.process_memory import give_back_free, resident_bytes

USED = 50 << 20


class Process:
    """A process that holds what a test says, of which `USED` is in use."""

    def __init__(self, busy: bool = False) -> None:
        self.held = USED
        self.given_back_at: list[float] = []
        self.busy = busy
        self.began = trio.current_time()

    def give_back(self) -> bool:
        self.given_back_at.append(trio.current_time() - self.began)
        self.held = USED
        return True

    async def live(self, *held: int) -> list[float]:
        """Hold so much, in one minute after the other; when was it given back?"""

        def processor() -> float:
            return trio.current_time() if self.busy else 0.0

        async with trio.open_nursery() as nursery:
            offload = InlineOffload()
            nursery.start_soon(give_back_now_and_then, offload, lambda: self.held, self.give_back, processor)
            await trio.sleep(1)
            for each in held:
                self.held = each
                await trio.sleep(LOOK_SECONDS)
            await trio.sleep(PATIENCE_SECONDS)
            nursery.cancel_scope.cancel()
        return self.given_back_at


async def test_what_is_not_used_any_more_is_given_back_in_an_idle_second(autojump_clock: MockClock) -> None:
    """Once: what is left then is in use."""
    assert await Process().live(USED + WORTH, USED, USED) == [LOOK_SECONDS + IDLE_SECONDS]


async def test_little_is_not_worth_it(autojump_clock: MockClock) -> None:
    """A broker that holds a little more than at its start keeps it for the next request."""
    assert await Process().live(USED + WORTH - 1, USED + WORTH - 1) == []


async def test_a_broker_that_is_never_idle_gives_back_as_well(autojump_clock: MockClock) -> None:
    """Later."""
    assert await Process(busy=True).live(USED + WORTH) == [LOOK_SECONDS + PATIENCE_SECONDS]


async def test_where_the_system_does_not_say_nothing_is_done(autojump_clock: MockClock) -> None:
    """The task ends by itself."""
    with trio.fail_after(1):
        await give_back_now_and_then(InlineOffload(), lambda: None)


def test_the_allocator_returns_what_python_has_freed() -> None:
    """Blocks that were freed between blocks that were not: the allocator cannot return them by itself."""
    before = resident_bytes()
    if before is None or not give_back_free():
        pytest.skip("this system has no malloc_trim")
    blocks = [bytearray(100_000) for _ in range(1_000)]
    kept = blocks[::10]
    del blocks
    held = resident_bytes()
    assert give_back_free()
    after = resident_bytes()
    assert held is not None and after is not None
    assert held - after > 40_000_000
    assert len(kept) == 100
