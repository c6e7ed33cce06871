"""Subscriptions and assignments, as consumers of classic groups exchange them."""

import pytest

from kproto.errors import ProtocolError, Truncated, UnsupportedVersion
from kproto.formats.consumer_protocol import (
    AssignedTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    OwnedTopicPartition,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)

SUBSCRIPTION = ConsumerProtocolSubscription(
    topics=["t"],
    owned_partitions=[OwnedTopicPartition(topic="t", partitions=[0, 1])],
    generation_id=4,
    rack_id="r",
)


def test_a_subscription_of_the_first_version() -> None:
    """Version, topics, user data: what every client since 0.9 writes."""
    subscription = ConsumerProtocolSubscription(topics=["t"], user_data=b"u")
    data = bytes.fromhex("00 00  00 00 00 01 00 01 74  00 00 00 01 75")
    assert encode_subscription(subscription, 0) == data
    assert decode_subscription(data) == subscription


def test_an_assignment() -> None:
    """Version, partitions by topic, user data or null."""
    partitions = [AssignedTopicPartition(topic="t", partitions=[0, 2])]
    assignment = ConsumerProtocolAssignment(assigned_partitions=partitions, user_data=None)
    data = bytes.fromhex("00 01  00 00 00 01 00 01 74 00 00 00 02 00 00 00 00 00 00 00 02  ff ff ff ff")
    assert encode_assignment(assignment, 1) == data
    assert decode_assignment(data) == assignment


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_versions_add_fields_at_the_end(version: int) -> None:
    """Owned partitions (1, KIP-429), generation (2, KIP-792), rack (3, KIP-881); older versions drop them."""
    decoded = decode_subscription(encode_subscription(SUBSCRIPTION, version))
    assert decoded.topics == ["t"]
    assert (len(decoded.owned_partitions) == 1) == (version >= 1)
    assert (decoded.generation_id == 4) == (version >= 2)
    assert (decoded.rack_id == "r") == (version >= 3)


def test_a_version_from_the_future_is_read_as_the_newest_known() -> None:
    """What it has beyond that is ignored."""
    newest = encode_subscription(SUBSCRIPTION, 3)
    assert decode_subscription(b"\0\x09" + newest[2:] + b"whatever comes next") == SUBSCRIPTION


def test_garbage_is_a_protocol_error() -> None:
    """Clients hand in any bytes they like: the protocol type only promises what they are."""
    with pytest.raises(UnsupportedVersion):
        decode_subscription(b"\xff\xff\0\0\0\0")
    for data in (b"", b"\0"):
        with pytest.raises(Truncated):
            decode_assignment(data)
    whole = encode_subscription(SUBSCRIPTION, 3)
    for end in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode_subscription(whole[:end])
