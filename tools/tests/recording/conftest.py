"""A recorder in a thread of the test, in front of a broker of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trio

import ottla
from tools.client.connection import Security
from tools.client.properties import ClientProperties
from tools.recording.disturbances import parse
from tools.recording.proxy import Proxy
from tools.recording.recording_file import RecordingWriter
from tools.recording.upstream import Upstream

Recorder = Callable[..., AbstractContextManager[str]]


@contextmanager
def standing_between(
    bootstrap: str, path: Path | None = None, faults: tuple[str, ...] = (), *, with_secrets: bool = False
) -> Iterator[str]:
    """The address of a recorder, or of a proxy where there is no file."""
    properties = ClientProperties({"bootstrap.servers": bootstrap})
    writer = None if path is None else RecordingWriter(str(path), {"bootstrap": bootstrap})
    ready = threading.Event()
    running: list[tuple[Proxy, trio.CancelScope, trio.lowlevel.TrioToken]] = []

    async def run() -> None:
        proxy = Proxy(
            properties.bootstrap, ("127.0.0.1", 0), Upstream(Security.of(properties)),
            writer=writer, faults=[parse(words) for words in faults], with_secrets=with_secrets,
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            await nursery.start(proxy.run)
            running.append((proxy, nursery.cancel_scope, trio.lowlevel.current_trio_token()))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(run,), daemon=True)
    thread.start()
    try:
        assert ready.wait(20)
        proxy, scope, token = running[0]
        try:
            yield f"{proxy.address[0]}:{proxy.address[1]}"
        finally:
            token.run_sync_soon(scope.cancel)
            thread.join(20)
            assert not thread.is_alive()
    finally:
        if writer is not None:
            writer.write({"event": "end"})
            writer.close()


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The address of a broker that tests share."""
    with ottla.Broker(config={"group.initial.rebalance.delay.ms": 0}) as broker:
        yield broker.bootstrap_servers
