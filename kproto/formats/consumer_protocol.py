"""What consumers of classic groups tell each other through the coordinator, which only carries the bytes.

In JoinGroup each member hands in a subscription, in SyncGroup the leader hands out assignments. Both are an int16
version and the message in that version. A reader that meets a version newer than it knows reads it as the newest that
it knows and ignores what is left over: fields are only ever added at the end.

The broker looks inside in a few places only: to know which topics a group is subscribed to before it lets offsets be
deleted, and to let classic members into groups of the new protocol (KIP-848).

Source: Kafka's ``ConsumerProtocol``.
"""

from typing import TypeVar, cast

from kproto.errors import Truncated, UnsupportedVersion
from kproto.primitives import Readable
from kproto.schema.compile import DEFAULT_ELEMENT_BUDGET, decoder, encode
from kproto.schema.declare import Array, Bytes, Data, Int32, String, Struct, field


class OwnedTopicPartition(Struct, kafka_name="TopicPartition"):
    topic: String = field("1+", map_key=True)
    partitions: Array[Int32] = field("1+")


class ConsumerProtocolSubscription(Data, versions="0-3"):
    topics: Array[String] = field("0+")
    user_data: Bytes | None = field("0+", default=None)
    owned_partitions: Array[OwnedTopicPartition] = field("1+", ignorable=True)
    generation_id: Int32 = field("2+", default=-1, ignorable=True)
    rack_id: String | None = field("3+", default=None, ignorable=True)


class AssignedTopicPartition(Struct, kafka_name="TopicPartition"):
    topic: String = field("0+", map_key=True)
    partitions: Array[Int32] = field("0+")


class ConsumerProtocolAssignment(Data, versions="0-3"):
    assigned_partitions: Array[AssignedTopicPartition] = field("0+")
    user_data: Bytes | None = field("0+", default=None)


_M = TypeVar("_M", bound=Data)


def encode_subscription(subscription: ConsumerProtocolSubscription, version: int) -> bytes:
    """A subscription behind its version. Raises ValueError."""
    return _encode(subscription, version)


def decode_subscription(data: Readable) -> ConsumerProtocolSubscription:
    """The subscription of a member. Raises ProtocolError."""
    return _decode(ConsumerProtocolSubscription, data)


def encode_assignment(assignment: ConsumerProtocolAssignment, version: int) -> bytes:
    """An assignment behind its version. Raises ValueError."""
    return _encode(assignment, version)


def decode_assignment(data: Readable) -> ConsumerProtocolAssignment:
    """The assignment of a member. Raises ProtocolError."""
    return _decode(ConsumerProtocolAssignment, data)


def _encode(message: Data, version: int) -> bytes:
    return version.to_bytes(2, "big") + b"".join(cast(list[bytes], encode(message, version)))


def _decode(cls: type[_M], data: Readable) -> _M:
    view = memoryview(data)
    if len(view) < 2:
        raise Truncated(f"{len(view)} bytes have no room for a version")
    version = int.from_bytes(view[:2], "big", signed=True)
    if version < cls.min_version:
        raise UnsupportedVersion(f"{cls.__name__} of version {version}")
    message, _ = decoder(cls, min(version, cls.max_version))(view, 2, DEFAULT_ELEMENT_BUDGET)
    return message
