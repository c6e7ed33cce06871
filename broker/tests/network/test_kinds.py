"""The first request of a kind: loaded once, however many come, and whichever client leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker.network import kinds
from broker.network.kinds import Kinds

KIND = (18, 4)


class Loading:
    """An offload whose work ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.done = trio.Event()

    async def run(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self.begun += 1
        await self.done.wait()


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Loading:
    """One for which codecs are there once it is done."""
    offload = Loading()
    monkeypatch.setattr(kinds, "has_codecs", lambda *kind: offload.done.is_set())
    return offload


async def test_thousands_of_clients_wait_for_one_thread(loading: Any) -> None:
    """After a start all clients say the same first."""
    shared = Kinds()
    async with trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(shared.load, *KIND, loading)
        await trio.testing.wait_all_tasks_blocked()
        assert loading.begun == 1
        loading.done.set()
    await shared.load(*KIND, loading)
    assert loading.begun == 1


async def test_if_the_client_that_loads_goes_another_does_it(loading: Any) -> None:
    """No request waits for one that is not there any more."""
    shared = Kinds()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(_cancelled, shared, loading, scope)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(shared.load, *KIND, loading)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert loading.begun == 2
        loading.done.set()


async def _cancelled(shared: Kinds, offload: Any, scope: trio.CancelScope) -> None:
    with scope:
        await shared.load(*KIND, offload)
