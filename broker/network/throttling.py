"""Counting what a request takes, where quotas are set, and having its client wait (`broker/quotas`).

A Produce is counted when it has been read, so that it is the next one that waits, whatever the disk still does for this
one. Time is that of the event loop: a request that waits takes none, so its coroutine is measured step by step; threads
that work for it are not counted, nor is what it costs to read and to send.

A reply says how long from now on its connection is not read, whichever request that is for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import trio

from broker.context import Peer, RequestContext
from broker.handlers import Handler
from kproto.schema.declare import Response

if TYPE_CHECKING:
    from broker.quotas.quotas import Quotas
    from kproto.connection import ReceivedRequest

PRODUCE = 0


def begin(quotas: Quotas, request: ReceivedRequest, found: Handler, ctx: RequestContext) -> Any:
    """What `found.handle` returns, counted."""
    peer, client_id = ctx.peer, ctx.client_id or ""
    count_produced(quotas, request, ctx)
    wall = ctx.services.turns.wall
    began = wall()
    try:
        reply = found.handle(request.message, ctx)
    finally:
        if quotas.times_requests:
            peer.mute(quotas.worked(ctx.user, client_id, wall() - began, ctx.clock.monotonic_millis()))
    return marked(reply, peer) if isinstance(reply, Response) else reply


def count_produced(quotas: Quotas, request: ReceivedRequest, ctx: RequestContext) -> None:
    """Count the bytes of a Produce; nothing, of another API."""
    if request.api_key == PRODUCE:
        now = ctx.clock.monotonic_millis()
        ctx.peer.mute(quotas.produced(ctx.user, ctx.client_id or "", request.size, now))


async def finish(quotas: Quotas, waiting: Coroutine[Any, Any, Any], ctx: RequestContext) -> Any:
    """Await a coroutine of the request's, counted."""
    if not quotas.times_requests:
        return marked(await waiting, ctx.peer)
    steps = Steps(waiting, ctx.services.turns.wall)
    try:
        reply = await steps
    finally:
        now = ctx.clock.monotonic_millis()
        ctx.peer.mute(quotas.worked(ctx.user, ctx.client_id or "", steps.seconds, now))
    return marked(reply, ctx.peer)


def marked(reply: Any, peer: Peer) -> Any:
    """A reply that says how long its peer is muted, if it is; anything else as it is."""
    if peer.muted_until and isinstance(reply, Response) and hasattr(reply, "throttle_time_ms"):
        reply.throttle_time_ms = max(0, round((peer.muted_until - trio.current_time()) * 1000))
    return reply


class Steps:
    """A coroutine whose steps are timed: `seconds` is what they took together, without the waits between them."""

    __slots__ = ("_coroutine", "_wall", "seconds")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], wall: Callable[[], float]) -> None:
        self._coroutine = coroutine
        self._wall = wall
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            began = self._wall()
            try:
                awaited = step(value)
            except StopIteration as done:
                return done.value
            finally:
                self.seconds += self._wall() - began
            try:
                value, step = (yield awaited), self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
