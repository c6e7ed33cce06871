"""The protocol without the network: what comes out for what went in, on either end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from kproto.connection import AT_ONCE, ClientConnection, ServerConnection
from kproto.errors import OverBudget, ProtocolError, UnsupportedVersion
from kproto.framing import frame_prefix
from kproto.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.declare import Request, Response

SERVED = {0: (3, 13), 3: (0, 13), 12: (0, 4), 18: (0, 4)}


def feed(connection: ServerConnection | ClientConnection, data: bytes) -> None:
    """As a socket would: as much at a time as the window takes."""
    while data:
        window = connection.window()
        count = min(len(window), len(data))
        window[:count] = data[:count]
        connection.received(count)
        data = data[count:]


def wire(buffers: Iterable[Any] | None) -> bytes:
    assert buffers is not None, "the reply is not large"
    return b"".join(map(bytes, buffers))


def framed(body: bytes) -> bytes:
    return frame_prefix(len(body)) + body


@pytest.mark.parametrize(
    ("request_", "version", "response"),
    [
        (HeartbeatRequest(group_id="g", member_id="m"), 0, HeartbeatResponse(error_code=25)),
        (HeartbeatRequest(group_id="g", member_id="m"), 4, HeartbeatResponse(error_code=25)),
        (MetadataRequest(topics=None), 12, MetadataResponse(topics=[MetadataResponseTopic(name="t")])),
        (ApiVersionsRequest(), 0, ApiVersionsResponse(api_keys=[ApiVersion(api_key=3, max_version=13)])),
        (ApiVersionsRequest(client_software_name="c"), 3, ApiVersionsResponse(api_keys=[ApiVersion(api_key=3)])),
    ],
)
def test_a_request_and_its_reply_arrive(request_: Request, version: int, response: Response) -> None:
    """What one end encodes the other decodes, headers included, ApiVersions' old response header too."""
    client, server = ClientConnection("me"), ServerConnection(SERVED)
    correlation_id, buffers = client.encode_request(request_, version)
    feed(server, wire(buffers))
    received = server.next_request()
    assert received is not None and received.message == request_
    assert (received.client_id, received.correlation_id) == ("me", correlation_id)
    assert server.next_request() is None
    feed(client, wire(server.encode_reply(received, response)))
    assert client.next_reply() == (correlation_id, response)


def test_bytes_behind_a_request_are_passed_over() -> None:
    """librdkafka 2.16 asks for all topics so, and Kafka answers: a null array with room for a count of four bytes."""
    server = ServerConnection(SERVED)
    data = bytes.fromhex("0003000d00000003000772646b61666b610000000000010000")
    feed(server, framed(data) + framed(data))
    for _ in range(2):
        received = server.next_request()
        assert received is not None and isinstance(received.message, MetadataRequest)
        assert received.message.topics is None
    assert server.pending == 0


@pytest.mark.parametrize("head", ["03e70000", "0003000e", "0003ffff", "00000002"])
def test_what_is_not_served_ends_the_connection(head: str) -> None:
    """An unknown API, or a version of a known one that is not served."""
    server = ServerConnection(SERVED)
    feed(server, framed(bytes.fromhex(head + "00000001ffff00")))
    with pytest.raises(UnsupportedVersion):
        server.next_request()


def test_a_client_of_the_future_learns_what_we_speak() -> None:
    """KIP-511: an unknown version of ApiVersions comes out without a message and is answered in version 0."""
    server, client = ServerConnection(SERVED), ClientConnection()
    feed(server, framed(bytes.fromhex("0012006300000000ffff") + b"whatever it brings"))
    received = server.next_request()
    assert received is not None and received.message is None
    client.encode_request(ApiVersionsRequest(), 3)  # correlation id 0
    feed(client, wire(server.encode_reply(received, ApiVersionsResponse(error_code=35))))
    assert client.next_reply() == (0, ApiVersionsResponse(error_code=35))


def test_records_are_not_copied_on_the_way_in() -> None:
    """They are a view of the receive buffer, and one may write into them."""
    data = PartitionProduceData(index=0, records=memoryview(b"x" * 1000))
    produce = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=[data])])
    server = ServerConnection(SERVED)
    feed(server, wire(ClientConnection().encode_request(produce, 9)[1]))
    received = server.next_request()
    assert received is not None and isinstance(received.message, ProduceRequest)
    records = received.message.topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview) and not records.readonly and len(records) == 1000


def test_a_reply_without_a_request_ends_the_connection() -> None:
    """The client's end pairs replies with requests, and believes nothing else."""
    client = ClientConnection()
    feed(client, framed(b"\0\0\0\x07\0\0"))
    with pytest.raises(ProtocolError):
        client.next_reply()


def test_a_request_of_many_elements_is_decoded_when_it_is_asked_for() -> None:
    """What takes long is left to the owner of the connection, and so are the errors in it."""
    many = MetadataRequest(topics=[MetadataRequestTopic(name=f"t{number}") for number in range(AT_ONCE + 1)])
    client, server = ClientConnection("me"), ServerConnection(SERVED)
    feed(server, wire(client.encode_request(many, 12)[1]))
    received = server.next_request()
    assert received is not None and received.undecoded and received.message is None
    received.decode()
    assert not received.undecoded and received.message == many

    cut = wire(client.encode_request(many, 8)[1])[:-3]
    feed(server, framed(cut[4:]))
    broken = server.next_request()
    assert broken is not None and broken.undecoded
    with pytest.raises(ProtocolError):
        broken.decode()


def test_a_request_beyond_the_budget_is_refused() -> None:
    """The limit of elements holds for what is decoded late as well."""
    many = MetadataRequest(topics=[MetadataRequestTopic(name="t")] * (2 * AT_ONCE))
    server = ServerConnection(SERVED, element_budget=2 * AT_ONCE - 1)
    feed(server, wire(ClientConnection().encode_request(many, 12)[1]))
    received = server.next_request()
    assert received is not None
    with pytest.raises(OverBudget):
        received.decode()


def test_a_large_reply_arrives_in_pieces() -> None:
    """Its pieces are one frame; those of the first round, which measures, are empty."""
    many = MetadataResponse(topics=[MetadataResponseTopic(name=f"t{number}") for number in range(AT_ONCE + 1)])
    client, server = ClientConnection("me"), ServerConnection(SERVED)
    correlation_id, buffers = client.encode_request(MetadataRequest(topics=None), 12)
    feed(server, wire(buffers))
    received = server.next_request()
    assert received is not None
    assert server.encode_reply(received, many) is None
    pieces = list(server.reply_in_pieces(received, many))
    assert pieces[0] == b""
    feed(client, wire(pieces))
    assert client.next_reply() == (correlation_id, many)
