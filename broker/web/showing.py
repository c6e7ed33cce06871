"""The listener of the metrics, from before the store opens until the broker has stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from broker.network.listener import Listener
from broker.web.endpoints import Observed, metrics_app
from broker.web.serving import HttpServer


@asynccontextmanager
async def shown_at(host: str, port: int) -> AsyncIterator[tuple[Observed, int]]:
    """Serve metrics at this address as long as the block lasts: what to let know of the broker, and the real port.

    Raises ListenError.
    """
    listener, observed = Listener("metrics", host, port), Observed()
    server = HttpServer(metrics_app(observed, host), listener)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            yield observed, listener.port
            nursery.cancel_scope.cancel()
    finally:
        listener.close()
