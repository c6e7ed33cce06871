"""The listener of the control API, from before the store opens until the broker has stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from broker.config.settings import BrokerConfig, ConfigError
from broker.control.app import Controlled, control_app
from broker.control.guard import ControlGuard, is_secured
from broker.control.life_operations import life_operations
from broker.control.operations import OPERATIONS
from broker.control.passing_time import PassingTime
from broker.control.time_operations import time_operations
from broker.lifetimes import Lifetimes
from broker.network.listener import Listener
from broker.web.guard import LOOPBACK, new_token
from broker.web.serving import HttpServer
from storage.seams.entropy import Entropy


def check_that_it_may_be(config: BrokerConfig, host: str) -> None:
    """Raises ConfigError where a broker that is secured would be commanded without that."""
    if not is_secured(config):
        return
    if host not in LOOPBACK:
        raise ConfigError(
            "ottla.control.listener is not encrypted, so a broker with SASL or an authorizer is controlled from its "
            "own machine only: name a port alone"
        )
    if not any(listener.protocol.startswith("SASL") for listener in config.listeners):
        raise ConfigError(
            "ottla.control.listener is for super users, who prove with a password who they are, and no listener of "
            "this broker has SASL"
        )


@asynccontextmanager
async def controlled_at(
    host: str, port: int, token: str | None, entropy: Entropy, lifetimes: Lifetimes, passing: PassingTime
) -> AsyncIterator[tuple[Controlled, int, str]]:
    """Take commands at this address as long as the block lasts: what to let know of the broker, the real port and the
    token, which is a new one unless one is given. They are about this broker's lives and its time.

    Raises ListenError.
    """
    listener, controlled = Listener("control", host, port), Controlled()
    token = token or new_token(entropy)
    table = (*life_operations(lifetimes), *time_operations(passing), *OPERATIONS)
    guarded = ControlGuard(control_app(controlled, table), controlled, token, host, listener.port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(HttpServer(guarded, listener).run)
            yield controlled, listener.port, token
            nursery.cancel_scope.cancel()
    finally:
        listener.close()
