"""The operations of the control API: which there are, how one is asked for, and what bounds it.

An `Operation` is a method, a path, and a coroutine function that is given the broker and what was asked (`Asked`). It
returns what is answered as JSON (None: an empty object), or a Response of its own. It refuses by raising `BadRequest`
(400) or any `Refusal` with a status and one sentence, which the client gets as `{"error": SENTENCE}`; a `KafkaError` is
answered 409 with its name. Until clients are served, and once a stop has begun, all are answered 503.

**A request's body** is one JSON object of at most `MOST_BODY_BYTES`, read by `Asked.fields`: a `Fields` hands out its
members by name and type and complains of any that was not taken, so that a misspelt word is no fault that never comes.

**Bounds.** `AT_ONCE` operations run at a time, the others wait; connections, headers and time are bounded by the server
(`broker/web/serving.py`). Each operation bounds its own work, and says so in docs/control.md.

To add operations: a module here with an `OPERATIONS`, and its name in `operations.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.control.faults import Faults
from broker.control.fields import BadRequest, Fields, Refusal
from broker.control.injecting import FaultyDispatcher
from broker.web.guard import TooLarge, read_body
from kproto.errors import KafkaError
from storage.engine import StoreError
from storage.misbehaving import Misbehaves, Misbehaviour

if TYPE_CHECKING:
    from broker.context import Services
    from broker.network.connections import Connections

MOST_BODY_BYTES: Final = 64 * 1024
AT_ONCE: Final = 8


class Running:
    """A broker that serves clients, and what it was commanded to do wrong."""

    def __init__(self, services: Services, connections: Connections) -> None:
        self.services = services
        self.connections = connections
        plain = connections.dispatcher
        self.faults = Faults(lambda some: connections.dispatch_through(faulty if some else plain), self._misbehave)
        faulty = FaultyDispatcher(services, plain, self.faults)
        connections.report_faults_by(self.faults.report)

    def _misbehave(self, misbehaviour: Misbehaviour | None) -> None:
        store = self.services.store
        if not isinstance(store, Misbehaves):
            raise StoreError("what this broker's logs are kept on takes no commands")
        store.misbehave(misbehaviour)


class Controlled:
    """What is known of the broker: `running` is None until clients are served, and again once a stop has begun."""

    def __init__(self) -> None:
        self.running: Running | None = None

    @property
    def services(self) -> Services | None:
        """The broker's parts, while it serves."""
        return None if self.running is None else self.running.services

    def serving(self, services: Services, connections: Connections) -> None:
        """Clients are served from now on."""
        self.running = Running(services, connections)

    def stopping(self) -> None:
        """They are served no longer. Nothing that a fault holds is to hold up the end."""
        if self.running is not None:
            self.running.faults.clear()
        self.running = None


class Asked:
    """One request for an operation."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @property
    def path(self) -> Mapping[str, str]:
        """What stands in the path where the operation's has a name in braces."""
        return self.request.path_params

    async def fields(self) -> Fields:
        """The members of the body, which may be missing where none is needed. Raises BadRequest, TooLarge."""
        body = await read_body(self.request, MOST_BODY_BYTES)
        if not body:
            return Fields({})
        try:
            members = json.loads(body)
        except (ValueError, RecursionError):
            raise BadRequest("the body is not JSON") from None
        if not isinstance(members, dict):
            raise BadRequest("the body must be a JSON object")
        return Fields(members)


class Operation(NamedTuple):
    """One thing that can be asked for. `what` is one sentence, for the table that `GET /` answers."""

    method: str
    path: str
    run: Callable[[Running, Asked], Awaitable[Any]]
    what: str


def control_app(controlled: Controlled, table: Sequence[Operation]) -> Starlette:
    """The ASGI application of these operations, without its guard."""
    at_once = trio.Semaphore(AT_ONCE)

    def endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            async with at_once:
                return await _answer(controlled, operation, request)

        return answer

    async def index(request: Request) -> Response:
        return JSONResponse(
            {"operations": [{"method": each.method, "path": each.path, "what": each.what} for each in table]}
        )

    async def unknown(request: Request, error: Exception) -> Response:
        return error_response(404, f"there is no {request.method} {request.url.path} here; GET / lists what there is")

    routes = [Route(each.path, endpoint(each), methods=[each.method]) for each in table]
    return Starlette(routes=[Route("/", index), *routes], exception_handlers={404: unknown, 405: unknown})


async def _answer(controlled: Controlled, operation: Operation, request: Request) -> Response:
    if (running := controlled.running) is None:
        return error_response(503, "clients are not served at the moment")
    try:
        result = await operation.run(running, Asked(request))
    except TooLarge:
        return error_response(413, f"a request has at most {MOST_BODY_BYTES} bytes, and sends them at once")
    except Refusal as refusal:
        return error_response(refusal.status, str(refusal))
    except KafkaError as error:
        return error_response(409, re.sub(r"\s+", " ", str(error)))
    return result if isinstance(result, Response) else JSONResponse({} if result is None else result)


def error_response(status: int, sentence: str) -> Response:
    """A sentence that says why not."""
    return JSONResponse({"error": sentence}, status)
