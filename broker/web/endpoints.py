"""What is answered at `ottla.metrics.listener`.

    /metrics   Prometheus' text format; with `?name[]=...`, once or more, of these names alone
    /healthz   200 as long as the event loop answers and no disk error has stopped all appends, else 503 and why
    /readyz    200 while clients are served: not while logs are recovered, not once a stop has begun

    /status.json  for the page, on loopback only: who is connected, and what held up the event loop

Health and readiness are a line of text. A process that is not healthy does not become so again by itself: it is to be
restarted. One that is not ready yet may take minutes to recover its logs, and must not be killed for that.

Loopback is no protection against a browser on the same machine, which another site may lead here under a name of its
own (DNS rebinding). So a listener on loopback answers only if asked for by a name of loopback.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from broker.web.collecting import Running, look_at_groups
from broker.web.exposition import CONTENT_TYPE, texts
from broker.web.status import status_of
from kproto.errors import KafkaError
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import Services
    from broker.network.connections import Connections

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SCRAPES_AT_ONCE: Final = 2
SENT_TOGETHER: Final = 32 * 1024
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Observed:
    """What is known of the broker: `running` is None until clients are served, and again once a stop has begun."""

    def __init__(self) -> None:
        self.running: Running | None = None

    def serving(self, services: Services, connections: Connections) -> None:
        """Clients are served from now on."""
        self.running = Running(services, connections)

    def stopping(self) -> None:
        """They are served no longer."""
        self.running = None


def metrics_app(observed: Observed, host: str) -> Application:
    """The ASGI application for a listener at `host`."""
    scraping = trio.Semaphore(SCRAPES_AT_ONCE)

    async def metrics(request: Request) -> Response:
        if (running := observed.running) is None:
            return NOT_READY
        return Scrape(running, scraping, frozenset(request.query_params.getlist("name[]")))

    async def status(request: Request) -> Response:
        if (running := observed.running) is None:
            return NOT_READY
        if host not in LOOPBACK:
            return PlainTextResponse("only a listener on loopback says who is connected\n", 404)
        return JSONResponse(await status_of(running))

    async def healthz(request: Request) -> Response:
        running = observed.running
        if running is not None and running.services.store.statistics().has_stopped:
            return PlainTextResponse("a disk error has stopped all appends; see the log\n", 503)
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        return NOT_READY if observed.running is None else PlainTextResponse("ready\n")

    routes = [
        Route("/metrics", metrics),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/status.json", status),
    ]
    return asked_by_its_own_name(Starlette(routes=routes), host)


NOT_READY: Final = PlainTextResponse("clients are not served at the moment\n", 503)


class Scrape(Response):
    """All metrics, sent as they are collected."""

    def __init__(self, running: Running, scraping: trio.Semaphore, wanted: frozenset[str]) -> None:
        super().__init__(media_type=CONTENT_TYPE)
        del self.headers["content-length"]
        self._running = running
        self._scraping = scraping
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._scraping:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            groups = None
            try:
                if not self._wanted or any("group" in name for name in self._wanted):
                    groups = await look_at_groups(self._running.services)
            except KafkaError:  # a shard of theirs is being loaded
                pass
            slices, some = Slices(), bytearray()
            for text in texts(self._running, groups, self._wanted):
                some += text
                if len(some) >= SENT_TOGETHER:
                    await send({"type": "http.response.body", "body": bytes(some), "more_body": True})
                    some.clear()
                    slices.begin()
                await slices.give_way()
            await send({"type": "http.response.body", "body": bytes(some)})


def asked_by_its_own_name(app: Application, host: str) -> Application:
    """`app`, which at an address of loopback answers only to a name of loopback."""
    if host not in LOOPBACK:
        return app

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] == "http" and (len(hosts) != 1 or name_in(hosts[0]) not in LOOPBACK_NAMES):
            await PlainTextResponse("this address is not served by that name\n", 421)(scope, receive, send)
            return
        await app(scope, receive, send)

    return checked


def name_in(host: str) -> str:
    """The name in a Host header, without the port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
