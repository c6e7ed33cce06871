"""One request on its way to its handler, and every way in which that can end.

Kinds of ending: a reply; no reply (Produce with acks=0); a refusal, which is a KafkaError made into the reply its API
has for it; a closed connection, where Kafka closes it (`CloseConnection`) or where the request makes no sense on the
wire (ProtocolError); and a fault of ours. A fault is logged with its trace. The peer gets UNKNOWN_SERVER_ERROR,
except for Produce: there clients take -1 for "try again" and would write twice, so the connection closes and
idempotence sorts it out.

**Permission comes first.** With an authorizer, what the API's row in HANDLERS says that every request needs is asked
for here, before the handler is called. What depends on a request's contents is asked for by its handler.

**Quotas are those of clients that are known.** What a client sends before it has proved who it is is bounded otherwise
(`newcomers.py`); counted, it would be of one user, ANONYMOUS, whom a stranger could have wait, and all who log in
with it; and client ids that a stranger makes up would take the places of those whose rate is known.

A refusal of a request with thousands of elements has as many: it is made where the request was decoded, in a thread.

A reply that is larger than a frame can say (2 GiB) is found out when it is encoded. Its request is then answered
UNKNOWN_SERVER_ERROR, as in Kafka.
"""

from __future__ import annotations

from typing import Any

import trio

from broker.context import CloseConnection, FirstPhase, Later, Peer, RequestContext, Services
from broker.handlers import HANDLERS, Handler, api_versions, handler, loaded
from broker.network import throttling
from broker.security.operations import CLUSTER_NAME
from kproto.connection import ReceivedRequest
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from storage.seams.logging import RateLimitedLogger, get_logger
from storage.seams.offload import Lane

PRODUCE = 0


def require_needs(api_key: int, message: Any, ctx: RequestContext) -> None:
    """Ask for what the API's row in HANDLERS says that every request needs. Raises KafkaError with the code of the
    kind of resource that is refused."""
    for need in HANDLERS[api_key].needs or ():
        ctx.require(
            need.operation, need.resource, CLUSTER_NAME if need.named_by is None else getattr(message, need.named_by)
        )


class Dispatcher:
    """Finds handlers and turns whatever happens in them into replies."""

    __slots__ = ("_services", "log", "requests")

    def __init__(self, services: Services) -> None:
        self._services = services
        self.log = RateLimitedLogger(get_logger(__name__), trio.current_time)
        """What a peer can repeat costs a line a second. The owner calls `flush`."""
        self.requests = dict.fromkeys(HANDLERS, 0)
        """Requests since the start, by API key; those of versions that are not served left out."""

    def begin(self, request: ReceivedRequest, peer: Peer) -> tuple[Handler | None, Any]:
        """(handler, what `handle` returned). A Later, a coroutine, or that of a FirstPhase is for `finish`."""
        if request.message is None:
            return None, api_versions.unsupported_version(self._services.emulation)
        self.requests[request.api_key] += 1
        found = loaded.get(request.api_key) or handler(request.api_key)
        ctx = RequestContext(self._services, peer, request.api_version, request.client_id)
        try:
            if self._services.authorizer is not None and HANDLERS[request.api_key].needs:
                require_needs(request.api_key, request.message, ctx)
            if (quotas := self._services.quotas) is not None and peer.authenticated:
                return found, throttling.begin(quotas, request, found, ctx)
            return found, found.handle(request.message, ctx)
        except KafkaError as error:
            self._tell_refused(request, error, ctx)
            return found, FirstPhase(self._refuse(request, found, error.code))
        except (ProtocolError, CloseConnection):
            raise
        except Exception as error:
            return found, FirstPhase(self._refuse(request, found, self._fault(request, found, error)))

    async def finish(self, request: ReceivedRequest, found: Handler, waiting: Any, peer: Peer) -> Any:
        """Await what `begin` has given; its result, errors made into replies."""
        try:
            is_later = isinstance(waiting, Later)
            if (quotas := self._services.quotas) is not None and peer.authenticated:
                ctx = RequestContext(self._services, peer, request.api_version, request.client_id)
                return await throttling.finish(quotas, waiting.wait() if is_later else waiting, ctx)
            if is_later and waiting.is_at_hand():
                return waiting.reply()
            return await waiting
        except KafkaError as error:
            ctx = RequestContext(self._services, peer, request.api_version, request.client_id)
            self._tell_refused(request, error, ctx)
            return await self._refuse(request, found, error.code)
        except (ProtocolError, CloseConnection):
            raise
        except Exception as error:
            return await self._refuse(request, found, self._fault(request, found, error))

    async def too_large(self, request: ReceivedRequest) -> Any:
        """What is sent instead of a reply that does not fit into a frame."""
        self.log.warning("a reply was too large for a frame", api=HANDLERS[request.api_key].module)
        return await self._refuse(request, handler(request.api_key), ErrorCode.UNKNOWN_SERVER_ERROR)

    def _tell_refused(self, request: ReceivedRequest, error: KafkaError, ctx: RequestContext) -> None:
        ctx.refused("request refused", error, api=HANDLERS[request.api_key].module)

    async def _refuse(self, request: ReceivedRequest, found: Handler, code: ErrorCode) -> Any:
        message, version = request.message, request.api_version
        if request.many:
            return await self._services.offload.run(
                found.refuse, message, code, version, abandonable=True, lane=Lane.REQUESTS
            )
        return found.refuse(message, code, version)

    def _fault(self, request: ReceivedRequest, found: Handler, error: Exception) -> ErrorCode:
        """Log it. Raises CloseConnection where no reply would do."""
        api = HANDLERS[request.api_key].module
        self.log.error("request failed", kind=f"{api} failed", api=api, version=request.api_version, exc_info=error)
        if request.api_key == PRODUCE:
            raise CloseConnection("a produce request failed; see the error before") from error
        return ErrorCode.UNKNOWN_SERVER_ERROR
