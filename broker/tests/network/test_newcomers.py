"""Connections that have not said who they are: so many, for so long, and no address in the way of another."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from broker.network.newcomers import LIMIT_SECONDS, Newcomer, Newcomers


def crowd(newcomers: Newcomers, host: str, count: int, now: float = 0.0) -> list[Newcomer]:
    found = [newcomers.enter(host, now) for _ in range(count)]
    return [each for each in found if each is not None]


async def test_a_newcomers_time_is_up_after_ten_seconds(autojump_clock: MockClock) -> None:
    """Whatever it is doing."""
    newcomer = Newcomers().enter("192.0.2.1", trio.current_time())
    assert newcomer is not None
    began = trio.current_time()
    with newcomer.scope:
        await trio.sleep_forever()
    assert trio.current_time() - began == LIMIT_SECONDS
    assert not newcomer.displaced


async def test_of_a_crowd_from_one_address_the_longest_waiting_goes(autojump_clock: MockClock) -> None:
    """T4: and another address gets in at once."""
    newcomers = Newcomers(most=3)
    held = crowd(newcomers, "192.0.2.1", 3)
    assert len(held) == 3
    other = newcomers.enter("192.0.2.2", 0.1)
    assert other is not None
    assert [each.displaced for each in held] == [True, False, False]
    assert held[0].scope.cancel_called
    assert len(newcomers) == 3
    assert newcomers.turned_away == 1


async def test_a_crowd_that_comes_at_once_is_served_in_order(autojump_clock: MockClock) -> None:
    """After a restart, say: the first are not displaced by the last before they had a second."""
    newcomers = Newcomers(most=3)
    held = crowd(newcomers, "192.0.2.1", 5)
    assert len(held) == 3
    assert newcomers.enter("192.0.2.1", 0.9) is None
    assert newcomers.enter("192.0.2.1", 1.1) is not None
    assert held[0].displaced and not held[1].displaced


async def test_of_a_crowd_of_addresses_the_longest_waiting_goes(autojump_clock: MockClock) -> None:
    """No address has more than another, so age decides, and a second is granted."""
    newcomers = Newcomers(most=2)
    first, second = newcomers.enter("a", 0.0), newcomers.enter("b", 0.5)
    assert first is not None and second is not None
    assert newcomers.enter("c", 0.9) is None
    assert newcomers.enter("c", 1.0) is not None
    assert first.displaced and not second.displaced


async def test_who_is_known_makes_room(autojump_clock: MockClock) -> None:
    """Leaving twice is leaving once."""
    newcomers = Newcomers(most=1)
    (one,) = crowd(newcomers, "a", 1)
    newcomers.leave(one)
    newcomers.leave(one)
    assert len(newcomers) == 0
    assert newcomers.enter("a", 0.0) is not None
    assert newcomers.turned_away == 0
