"""Requests of every API and version that name two topics with two partitions, two groups, two transactional ids; and a
broker that is asked them the way a connection asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from broker.context import FirstPhase, Later
from broker.control.faults import Effect, Fault, Faults, Rhythm, Target
from broker.control.injecting import FaultyDispatcher
from broker.coordinators.cluster.topics import NewTopic
from broker.network.dispatch import Dispatcher
from broker.testing.contexts import World, world
from kproto.connection import ReceivedRequest
from kproto.errors import ErrorCode
from kproto.messages import request_type
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Field, Request, Struct, fields_of
from storage.engine import RecordSlice
from storage.testing.log_builder import batch

TOPICS = ("orders", "payments")


def every_request(version: int, cls: type[Struct], ids: Callable[[int], bytes]) -> Any:
    """A request that names everything twice; `ids` are those of the topics."""
    return _filled(cls, version, 0, ids)


def _filled(cls: type[Struct], version: int, number: int, ids: Callable[[int], bytes]) -> Any:
    return cls(
        **{
            field.name: _value(field, version, number, ids, cls)
            for field in fields_of(cls)
            if version in field.versions and field.name not in LEFT_ALONE
        }
    )


LEFT_ALONE = {
    *("replica_state", "replica_id", "session_id", "forgotten_topics_data", "current_leader_epoch", "cursor"),
    *("last_fetched_epoch", "leader_epoch", "cluster_id", "validate_only", "high_watermark", "replica_directory_id"),
}
"""Fields that stay at their defaults, so that a request is one of a client."""


def _value(field: Field, version: int, number: int, ids: Callable[[int], bytes], inside: type[Struct]) -> Any:
    kind, name = field.type, field.name
    if kind.element is not None:
        if kind.element.struct is not None:
            return [_filled(kind.element.struct, version, each, ids) for each in range(2)]
        return [_single(kind.element.name, name, each, ids, inside) for each in range(2)]
    if kind.struct is not None:
        return _filled(kind.struct, version, number, ids)
    return _single(kind.name, name, number, ids, inside)


def _single(kind: str, name: str, number: int, ids: Callable[[int], bytes], inside: type[Struct]) -> Any:
    about_topic = "topic" in (name + inside.__name__).lower() or name == "resource_name"
    match kind:
        case "string":
            if name in ("transactional_id", "transactional_ids"):
                return f"ledger-{number}"
            if name in ("group_id", "group_ids", "groups", "groups_names", "coordinator_keys"):
                return f"group-{number}"
            return TOPICS[number] if about_topic and "config" not in inside.__name__.lower() else f"{name}-{number}"
        case "uuid":
            return ids(number) if name == "topic_id" and inside.__name__ != "MetadataRequestTopic" else bytes(16)
        case "bytes":
            return b""
        case "records":
            return memoryview(bytearray(batch(b"value").data))
        case "bool":
            return False
        case "float64":
            return 0.0
    if name == "resource_type":
        return 2
    if name in ("session_epoch", "acks", "timestamp"):
        return -1
    return (
        number
        if name.startswith(("partition", "index"))
        else {"timeout_ms": 1000, "response_partition_limit": 100}.get(name, 0)
    )


PARTITION_FIELDS = frozenset(("partition_index", "partition", "index"))


class Broker(NamedTuple):
    """Services, and the dispatcher in front of them that has faults."""

    world: World
    faults: Faults
    dispatcher: FaultyDispatcher

    def fault(self, effect: Effect, target: Target | None = None, rhythm: Rhythm | None = None) -> Fault:
        """One more."""
        return self.faults.add(target or Target(), effect, rhythm or Rhythm())

    def topic_id(self, number: int) -> bytes:
        """The id of a topic of TOPICS."""
        return self.world.cluster.image.topics[TOPICS[number]].topic_id

    def request(self, key: int, version: int) -> Any:
        """The request of that API that names everything, as it is when it has been received."""
        made = every_request(version, request_type(key), self.topic_id)
        return decode(request_type(key), version, bytearray(wire(made, version)), budget=10_000_000)

    async def ask(self, message: Request, version: int, client_id: str | None = "test") -> Any:
        """The answer as its client reads it; None for none. Raises CloseConnection."""
        key = type(message).api_key
        request = ReceivedRequest(key, version, 1, client_id, message)
        found, reply = self.dispatcher.begin(request, self.world.peer)
        while isinstance(reply, FirstPhase | Later) or hasattr(reply, "__await__"):
            assert found is not None
            waiting = reply.coroutine if isinstance(reply, FirstPhase) else reply
            reply = await self.dispatcher.finish(request, found, waiting, self.world.peer)
        return None if reply is None else as_read(reply, version)


@asynccontextmanager
async def broker(settings: dict[str, str] | None = None) -> AsyncIterator[Broker]:
    """A broker with TOPICS, of two partitions each, and no faults yet."""
    quick = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "1"}
    quick |= {"transaction.state.log.num.partitions": "1"}
    async with world({**quick, **(settings or {})}, transactions=True) as w:
        await w.cluster.create_topics([NewTopic(name, 2) for name in TOPICS])
        faults = Faults(lambda some: None)
        yield Broker(w, faults, FaultyDispatcher(w.services, Dispatcher(w.services), faults))


def as_read(reply: Any, version: int) -> Any:
    """A reply, encoded and decoded."""
    return decode(type(reply), version, bytearray(wire(reply, version)), budget=10_000_000)


def wire(message: Any, version: int) -> bytes:
    """The bytes of a message."""
    chunks = encode(message, version)
    return b"".join(chunk.read() if isinstance(chunk, RecordSlice) else bytes(cast(Any, chunk)) for chunk in chunks)


def errors_in(struct: Struct, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], ErrorCode]]:
    """(what the element that has it names, from outside in; the code) of every error in an answer."""
    here = path
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        is_name = field.name in ("name", "topic", "topic_name", "topic_id", "resource_name") and value and any(value)
        if is_name or field.name in PARTITION_FIELDS:
            here = (*here, value)
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        if field.name.endswith("error_code") and value:
            yield here, ErrorCode(value)
        elif field.type.element is not None and field.type.element.struct is not None:
            for each in value or ():
                yield from errors_in(each, here)
