"""What consumers put inside JoinGroup and SyncGroup: subscriptions and assignments, bytes that any client may make up.

Input: a byte whose lowest bit chooses between the two, then the blob. Only ProtocolError escapes; memory in proportion;
the slow reader of :mod:`kproto.schema.explain` takes the same blobs; what was read can be written in the version it
came in (the newest known one for versions yet to come), takes as many bytes and reads the same; and bytes behind it
change nothing, since newer versions only add.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from random import Random

from kproto.errors import ProtocolError
from kproto.formats.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kproto.schema.declare import Message
from kproto.schema.explain import dump
from kproto.tests.arbitrary_messages import filled
from kproto.tests.fuzz.bounds import measured


def fuzz_consumer_protocol(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 3:
        return
    if data[0] & 1:
        check_assignment(data[1:])
    else:
        check_subscription(data[1:])


def size_of(cls: type[Message], version: int, blob: bytes) -> int | None:
    """How many bytes of the blob the slow reader takes; None if it does not get to an end."""
    if version < 0 or len(blob) < 2:
        return None
    end = dump(cls, version, blob[2:]).rpartition("\n")[2]
    if left_over := re.search(r"!! (\d+) bytes left over\Z", end):
        return len(blob) - int(left_over[1])
    return None if "  !! " in end else len(blob)


def check_subscription(blob: bytes) -> None:
    version = min(int.from_bytes(blob[:2], "big", signed=True), ConsumerProtocolSubscription.max_version)
    size = size_of(ConsumerProtocolSubscription, version, blob)
    try:
        read = measured(lambda: decode_subscription(blob), len(blob), bytes_per_byte=512)
    except ProtocolError:
        assert size is None, "the slow reader takes what is refused"
        return
    encoded = encode_subscription(read, version)
    assert len(encoded) == size
    assert decode_subscription(encoded) == read
    assert decode_subscription(blob + b"more") == read


def check_assignment(blob: bytes) -> None:
    version = min(int.from_bytes(blob[:2], "big", signed=True), ConsumerProtocolAssignment.max_version)
    size = size_of(ConsumerProtocolAssignment, version, blob)
    try:
        read = measured(lambda: decode_assignment(blob), len(blob), bytes_per_byte=512)
    except ProtocolError:
        assert size is None, "the slow reader takes what is refused"
        return
    encoded = encode_assignment(read, version)
    assert len(encoded) == size
    assert decode_assignment(encoded) == read
    assert decode_assignment(blob + b"more") == read


def seeds() -> Iterator[bytes]:
    """Both blobs in every version, and a subscription as kafka-python's consumer writes it."""
    for version in range(4):
        random = Random(version)
        for _ in range(3):
            subscription = filled(ConsumerProtocolSubscription, version, random)
            yield b"\0" + encode_subscription(subscription, version)
            yield b"\1" + encode_assignment(filled(ConsumerProtocolAssignment, version, random), version)
    yield b"\0" + b"\x7f\xff" + encode_subscription(filled(ConsumerProtocolSubscription, 3, Random(9)), 3)[2:] + b"new"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription as Theirs
    except ImportError:
        return
    theirs = Theirs(topics=["orders", "payments"], user_data=b"", owned_partitions=[], generation_id=3, rack_id=None)
    for version in range(2):
        yield b"\0" + bytes(theirs.encode(version=version))
