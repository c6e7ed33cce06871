"""What connections hold together is bounded, those that wait go on in turn, and nothing is lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from broker.request_memory import UNLESS_SAID, RequestMemory, Share

LIMIT = 1000


class Sender:
    """A connection whose request grows: `goes_to` asks for room, and `holds` says how far it has come."""

    def __init__(self, share: Share, nursery: trio.Nursery) -> None:
        self.share = share
        self.scope = trio.CancelScope()
        self._nursery = nursery

    async def goes_to(self, size: int) -> Sender:
        """Hold so much, or begin to wait for it."""
        if not self.share.hold(size):
            self._nursery.start_soon(self._wait, size)
        await trio.testing.wait_all_tasks_blocked()
        return self

    async def _wait(self, size: int) -> None:
        with trio.CancelScope() as self.scope:
            await self.share.wait_to_hold(size)

    @property
    def holds(self) -> int:
        return self.share.requests


class Senders:
    """Connections of one account."""

    def __init__(self, memory: RequestMemory, nursery: trio.Nursery) -> None:
        self.memory = memory
        self.nursery = nursery

    def of(self, host: str) -> Sender:
        """One more of this host."""
        return Sender(self.memory.share(host), self.nursery)


@asynccontextmanager
async def senders() -> AsyncIterator[Senders]:
    """Senders of one account; what it promises is looked at in the end."""
    async with trio.open_nursery() as nursery:
        found = Senders(RequestMemory(LIMIT), nursery)
        yield found
        found.memory.check()
        nursery.cancel_scope.cancel()


async def test_one_connection_never_takes_all_that_is_left() -> None:
    """Half of what is left to its host, which is half of what is left to all: the next one always finds something."""
    memory = RequestMemory(LIMIT)
    first, second, elsewhere = memory.share("a"), memory.share("a"), memory.share("b")
    assert (first.hold(251), first.hold(250)) == (False, True)
    assert (second.hold(126), second.hold(125)) == (False, True)
    assert (elsewhere.hold(157), elsewhere.hold(156)) == (False, True)  # (1000 - 375) / 2 / 2


async def test_the_first_that_finds_no_room_goes_on() -> None:
    """Else all could be half there, and none be finished: the limit and one request is what all may hold."""
    async with senders() as some:
        first, second = await some.of("a").goes_to(10_000), await some.of("a").goes_to(10_000)
        assert (first.holds, second.holds, some.memory.waiting) == (10_000, 0, 1)
        first.share.hold(0)
        assert (second.holds, some.memory.waiting, some.memory.held) == (10_000, 0, 0)


async def test_waiting_connections_are_served_in_turn() -> None:
    """No connection of a host overtakes another, not even one that comes when there is room and wants little."""
    async with senders() as some:
        beyond = await some.of("a").goes_to(10_000)
        holding = await some.of("a").goes_to(240)
        waiting = [await some.of("a").goes_to(size) for size in (200, 1, 60)]
        assert [each.holds for each in waiting] == [0, 0, 0]
        holding.share.hold(0)
        assert [each.holds for each in waiting] == [200, 1, 60]
        assert beyond.holds == 10_000


async def test_a_host_waits_for_itself() -> None:
    """Whatever connections of one host hold and wait for, those of another find room."""
    async with senders() as some:
        for size in (10_000, 250, 125, 62, 31, 15):
            await some.of("a").goes_to(size)
        for _ in range(100):
            await some.of("a").goes_to(100)
        assert some.memory.waiting == 100
        other = some.of("b")
        assert other.share.hold(100)


async def test_hosts_go_beyond_by_turns() -> None:
    """A host with a hundred waiting connections does not make the one of another wait for all of them."""
    async with senders() as some:
        first = await some.of("a").goes_to(10_000)
        many = [await some.of("a").goes_to(5_000) for _ in range(100)]
        other = await some.of("b").goes_to(5_000)
        first.share.hold(0)
        many[0].share.hold(0)
        assert other.holds == 5_000


async def test_what_is_only_kept_is_given_back() -> None:
    """A buffer that waits for its next request goes before another has to wait; so does one kept while others wait."""
    async with senders() as some:
        keeper = await some.of("a").goes_to(250)
        keeper.share.lend(lambda: (keeper.share.hold(0), None)[1])
        assert some.of("b").share.hold(250)
        assert keeper.holds == 0
        keeper.share.hold(1)
        keeper.share.take_back()
        await some.of("a").goes_to(10_000)
        await some.of("a").goes_to(10_000)
        keeper.share.lend(lambda: (keeper.share.hold(0), None)[1])
        assert keeper.holds == 0


async def test_replies_leave_less_for_requests() -> None:
    """They are there, so they are counted; when the peers have read them there is room again."""
    async with senders() as some:
        readers = [some.of("a") for _ in range(5)]
        for reader in readers:
            reader.share.owe(300)
        assert some.memory.held == 1_500
        first, second = await some.of("b").goes_to(10), await some.of("b").goes_to(10)
        assert (first.holds, second.holds) == (10, 0)  # even then one goes on
        for reader in readers[:3]:
            reader.share.owe(0)
        assert second.holds == 10


async def test_a_connection_that_gives_up_waiting_takes_nothing() -> None:
    """A connection that ends while it waits leaves the queue, and those behind it go on."""
    async with senders() as some:
        await some.of("a").goes_to(10_000)
        leaving, behind = await some.of("a").goes_to(900), await some.of("a").goes_to(100)
        assert (leaving.holds, behind.holds) == (0, 0)
        leaving.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        leaving.share.close()
        assert (some.memory.waiting, some.memory.held, behind.holds) == (0, 100, 100)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_connections_do_the_bound_holds_and_none_waits_forever(seed: int) -> None:
    """Requests grow, are handled, their connections end, replies pile up and are read, in any order: requests hold no
    more than the limit and one of them, and when no more come all that waited have been served."""
    chance = random.Random(seed)
    largest = 3 * LIMIT
    async with senders() as some:
        memory = some.memory
        there: dict[Sender, int] = {}  # how large its request will be
        for _ in range(300):
            what = chance.random()
            busy = [each for each in there if not each.share.waits]
            if what < 0.3 or not there:
                there[some.of(chance.choice("abc"))] = chance.choice([50, 300, largest])
            elif what < 0.4:
                gone = chance.choice(list(there))
                del there[gone]
                gone.scope.cancel()
                await trio.testing.wait_all_tasks_blocked()
                gone.share.close()
            elif busy and what < 0.5:
                chance.choice(busy).share.owe(chance.choice([0, 0, 40]))
            elif busy:
                await advance(chance.choice(busy), there, chance.randrange(1, 200))
            memory.check()
            replies = sum(each.share.replies for each in there)
            assert memory.held <= LIMIT + replies
            assert memory.total <= LIMIT + largest + replies
        for _ in range(10_000):
            if not any(each.holds or each.share.waits for each in there):
                break
            for each in [each for each in there if each.holds and not each.share.waits]:
                await advance(each, there, largest)
        assert memory.waiting == 0
        for each in there:
            each.share.close()
        assert (memory.total, memory._hosts) == (0, {})


async def advance(sender: Sender, there: dict[Sender, int], by: int) -> None:
    """A request grows, or is handled when it is whole."""
    size = there[sender]
    await sender.goes_to(0 if sender.holds == size else min(size, sender.holds + by))


@pytest.mark.parametrize(("said", "limit"), [(-1, UNLESS_SAID), (0, UNLESS_SAID), (5000, 5000)])
def test_there_is_always_a_limit(said: int, limit: int) -> None:
    """Kafka's -1 is a gibibyte here."""
    assert RequestMemory(said).limit == limit
