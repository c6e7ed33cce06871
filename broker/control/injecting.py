"""Requests that suffer faults, on their way through the dispatcher.

`FaultyDispatcher` takes the place of the plain one as long as there is a fault, in every connection, and gives it back
with the last: a broker without faults does not have one instruction more on the way of a request. What was read before
a fault was made is not touched by it, and what is read afterwards is.

A request that no fault is for goes the plain way. Any other becomes a coroutine, which the connection awaits where it
would have awaited the request's own: of an eager handler as its first phase, so that the order of what is done stays
that of the requests.

**An error** is made by the handler's own `refuse`. If the fault names a part of the request, the part that is meant is
refused and the rest is worked on (`parts.py`); where an API can say an error only of a request as a whole, the whole
is refused. `after` the work means that all of it is done, and the answer then says otherwise. With acks=0 there is no
answer, and the connection closes, as Kafka does it. Three APIs have their own way, because what they name is not, or
not all, in the request:

* **Fetch**: the partitions that are meant may be those of its session. All are looked at, without waiting, and what was
  found of these is replaced; the session is then told that its client does not know it yet.
* **Metadata, DescribeTopicPartitions**: the answer is made, and the topic or the partition in it replaced.

**A reply that is lost** never comes, and nothing behind it on its connection: a TCP stream cannot lose what is in its
middle. The client gives up and connects again. When the fault is removed the connection closes.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import trio

from broker.context import CloseConnection, FirstPhase, RequestContext
from broker.control.faults import FETCH, METADATA, PRODUCE, Fault, Faults, Kind
from broker.control.parts import (
    Named,
    has_elements,
    is_about_topic,
    merged,
    recoded,
    split,
    topic_name,
    with_values,
    without_top_error,
)
from broker.handlers import HANDLERS, Handler, handler
from broker.network import throttling
from broker.network.dispatch import Dispatcher, require_needs
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.fetch import FetchPartition, FetchTopic
from kproto.release.apis import APIS
from kproto.schema.declare import Response, Struct, fields_of

if TYPE_CHECKING:
    from broker.context import Peer, Services
    from kproto.connection import ReceivedRequest

NAMES_NO_TOPIC = frozenset(key for key, api in APIS.items() if api.name == "ConsumerGroupHeartbeat")
"""A member says there what it has and wants; its answer is about the member."""
TOPIC_IDS_FROM = 13
"""The version of Fetch that names topics by id."""


class FaultyDispatcher(Dispatcher):
    """The dispatcher in front of `plain`, whose counts and log it shares."""

    __slots__ = ("_faults",)

    def __init__(self, services: Services, plain: Dispatcher, faults: Faults) -> None:
        super().__init__(services)
        self.log = plain.log
        self.requests = plain.requests
        self._faults = faults

    def begin(self, request: ReceivedRequest, peer: Peer) -> tuple[Handler | None, Any]:
        """As the plain one; the coroutine of a request that suffers a fault does all of it."""
        fault = None if request.message is None else self._suffered(request)
        if fault is None:
            return super().begin(request, peer)
        self.requests[request.api_key] += 1
        found = handler(request.api_key)
        ctx = RequestContext(self._services, peer, request.api_version, request.client_id)
        self._say(fault, request, ctx)
        self._faults.happened(fault)
        injected = self._inject(fault, request, found, ctx)
        return found, FirstPhase(injected) if found.eager else injected

    # -- whom --------------------------------------------------------------------------------------------------------

    def _suffered(self, request: ReceivedRequest) -> Fault | None:
        """The fault that happens to this request, counted; None if none does."""
        for fault in self._faults:
            if self._is_for(fault, request) and fault.is_due():
                return fault
        return None

    def _is_for(self, fault: Fault, request: ReceivedRequest) -> bool:
        target, apis = fault.target, fault.effect.apis
        if target.api is not None and target.api != request.api_key:
            return False
        if apis is not None and request.api_key not in apis:
            return False
        if target.client_id is not None and target.client_id != (request.client_id or ""):
            return False
        return not target.named.words or self._names(request, target.named)

    def _names(self, request: ReceivedRequest, named: Named) -> bool:
        """Whether the request is about what is named."""
        message: Any = request.message
        key = request.api_key
        if named.topic is not None:
            if key in NAMES_NO_TOPIC:
                return False
            if key in METADATA:
                if named.group or named.transactional_id:
                    return False
                return not message.topics or any(
                    topic_name(each, self._name_of) == named.topic for each in message.topics
                )
            if key == FETCH and not (named.group or named.transactional_id):
                return bool(self._fetched(request, named))
        return split(message, named, self._name_of)[0] is not None

    def _fetched(self, request: ReceivedRequest, named: Named) -> list[tuple[Any, int]]:
        """The partitions of a Fetch that are named, those included that its session remembers."""
        message: Any = request.message
        by_id = request.api_version >= TOPIC_IDS_FROM
        said = {
            (topic.topic_id if by_id else topic.topic, part.partition): None
            for topic in message.topics
            for part in topic.partitions
        }
        if message.session_epoch > 0:
            said |= dict.fromkeys(self._services.fetches.sessions.wanted_of(message.session_id))
        return [
            (key, partition)
            for key, partition in said
            if (key if isinstance(key, str) else self._name_of(key)) == named.topic
            and named.partition in (None, partition)
        ]

    def _name_of(self, topic_id: bytes) -> str | None:
        topic = self._services.cluster.image.topic_by_id(topic_id)
        return None if topic is None else topic.name

    def _say(self, fault: Fault, request: ReceivedRequest, ctx: RequestContext) -> None:
        code = fault.effect.code_for(request.api_key)
        self.log.warning(
            "a fault was injected, as commanded",
            kind=f"fault {fault.number}",
            fault=fault.number,
            what=str(fault.effect.kind),
            **({"error": code.name} if code else {}),
            api=HANDLERS[request.api_key].module,
            client_id=request.client_id,
            **ctx.peer.shown(),
        )

    # -- what --------------------------------------------------------------------------------------------------------

    async def _inject(self, fault: Fault, request: ReceivedRequest, found: Handler, ctx: RequestContext) -> Any:
        """Let the fault happen to the request: its reply, or None. Raises CloseConnection."""
        effect = fault.effect
        if effect.kind is Kind.DELAY:
            with trio.move_on_after(effect.seconds):
                await fault.removed.wait()
            return await self._work(request, found, ctx, request.message)
        if effect.kind is Kind.DROP:
            if effect.after:
                await self._work(request, found, ctx, request.message)
            raise CloseConnection("as commanded, by a fault")
        if effect.kind is Kind.LOSE_REPLY:
            await self._work(request, found, ctx, request.message)
            await fault.removed.wait()
            raise CloseConnection("a reply was lost, as commanded by a fault")
        if effect.kind is Kind.THROTTLE:
            reply = await self._work(request, found, ctx, request.message)
            return _throttled(reply, ctx, effect.seconds)
        return await self._fail(fault, request, found, ctx)

    async def _fail(self, fault: Fault, request: ReceivedRequest, found: Handler, ctx: RequestContext) -> Any:
        """Refuse the request, or the part of it that is meant."""
        code, named = fault.effect.code_for(request.api_key), fault.target.named
        message: Any = request.message
        version = request.api_version
        if named.topic is not None and request.api_key in METADATA:
            answer = await self._work(request, found, ctx, message)
            whole = fault.effect.kind is Kind.ERROR and named.partition is None
            return _misled(answer, named, code, self._name_of, whole)
        if named.topic is not None and request.api_key == FETCH:
            return await self._fail_fetch(request, found, ctx, named, code)
        meant, rest = split(message, named, self._name_of) if named.words else (message, None)
        assert meant is not None, "the fault is for this request"
        if request.api_key == PRODUCE and message.acks == 0:
            if (rest := message if fault.effect.after else rest) is not None:
                await self._work(request, found, ctx, rest)
            raise CloseConnection(f"a request with acks=0 was refused with {code.name}, as commanded by a fault")
        refused = found.refuse(meant, code, version)
        in_part = rest is not None and has_elements(refused)
        if not in_part:
            refused = found.refuse(message, code, version)  # what the API can say is said of all
        work = message if fault.effect.after else rest if in_part else None
        worked = None if work is None else await self._work(request, found, ctx, work)
        return merged(worked, without_top_error(refused)) if in_part and worked is not None else refused

    async def _fail_fetch(
        self, request: ReceivedRequest, found: Handler, ctx: RequestContext, named: Named, code: ErrorCode
    ) -> Any:
        """Say that partitions cannot be read, be they named by the request or by its session."""
        fetched = self._fetched(request, named)
        message: Any = request.message
        sessions = self._services.fetches.sessions
        answer = await self._work(request, found, ctx, with_values(message, max_wait_ms=0))
        if answer.error_code:
            return answer
        session_id = answer.session_id
        placeholder = ErrorCode.TOPIC_AUTHORIZATION_FAILED  # the one that Kafka's own refusal says of each partition
        refused = found.refuse(_of_partitions(message, fetched), placeholder, request.api_version)
        sessions.untell(session_id, fetched)
        return merged(answer, without_top_error(recoded(refused, placeholder, code)))

    async def _work(self, request: ReceivedRequest, found: Handler, ctx: RequestContext, message: Any) -> Any:
        """What the handler answers to `message`, which is the request's or a part of it, errors made into replies."""
        services = self._services
        try:
            if services.authorizer is not None:
                require_needs(request.api_key, message, ctx)
            if services.quotas is not None and ctx.peer.authenticated:
                throttling.count_produced(services.quotas, request, ctx)
            reply = found.handle(message, ctx)
            while isinstance(reply, FirstPhase) or inspect.isawaitable(reply):
                reply = await _awaitable(reply)
            return reply
        except KafkaError as error:
            self._tell_refused(request, error, ctx)
            return found.refuse(message, error.code, request.api_version)


def _awaitable(reply: Any) -> Coroutine[Any, Any, Any]:
    waiting: Coroutine[Any, Any, Any] = reply.coroutine if isinstance(reply, FirstPhase) else reply
    return waiting


def _throttled(reply: Any, ctx: RequestContext, seconds: float) -> Any:
    """The reply, which says how long the client is throttled where its version can; and its connection is."""
    millis = round(seconds * 1000)
    ctx.peer.mute(millis)
    if isinstance(reply, Response):
        cls: type[Struct] = type(reply)
        for field in fields_of(cls):
            if field.name == "throttle_time_ms" and ctx.api_version in field.versions:
                return with_values(reply, throttle_time_ms=millis)
    return reply


def _of_partitions(message: Any, fetched: list[tuple[Any, int]]) -> Any:
    """A Fetch of these partitions and no others."""
    topics: dict[Any, FetchTopic] = {}
    for key, partition in fetched:
        if key not in topics:
            topics[key] = FetchTopic(topic=key) if isinstance(key, str) else FetchTopic(topic_id=key)
        topics[key].partitions.append(FetchPartition(partition=partition))
    return with_values(message, topics=list(topics.values()))


def _misled(answer: Any, named: Named, code: ErrorCode, name_of: Any, whole: bool) -> Any:
    """An answer about topics in which one has an error, as a `whole`, or partitions of it have, and no leader."""
    cls: type[Struct] = type(answer)
    (about,) = [field for field in fields_of(cls) if is_about_topic(field)]
    topics = []
    for topic in getattr(answer, about.name):
        if topic_name(topic, name_of) != named.topic or topic.error_code:
            topics.append(topic)
        elif whole:
            topics.append(with_values(topic, error_code=code, partitions=[]))
        else:
            partitions = [
                with_values(each, error_code=code, leader_id=-1, leader_epoch=-1)
                if named.partition in (None, each.partition_index)
                else each
                for each in topic.partitions
            ]
            topics.append(with_values(topic, partitions=partitions))
    return with_values(answer, **{about.name: topics})
