"""One connection's frames: replies find their requests, and what is not known passes by."""

from __future__ import annotations

import pytest

from kproto.errors import ProtocolError
from kproto.headers import RequestHead
from kproto.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.produce import ProduceRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from kproto.schema.declare import Request, Response
from tools.recording import conversation
from tools.recording.conversation import Conversation, TooManyUnanswered, reply_frame, request_frame


def head(request: type[Request], version: int, number: int = 1) -> RequestHead:
    return RequestHead(request.api_key, version, number, "c", 0)


def asks(said: Conversation, request: Request, version: int, number: int = 1) -> conversation.Asked:
    return said.request(memoryview(request_frame(head(type(request), version, number), request)))


def answers(
    said: Conversation, reply: Response, version: int, number: int = 1, encoded: int | None = None
) -> conversation.Answered | None:
    frame = reply_frame(
        RequestHead(reply.api_key, version, number, "c", 0), reply, version if encoded is None else encoded
    )
    return said.reply(memoryview(frame))


@pytest.mark.parametrize("version", range(5))
def test_a_reply_is_read_as_its_request_says(version: int) -> None:
    """In flexible versions and in others; the numbers are those of the connection."""
    said = Conversation()
    for number in (7, 8):
        assert asks(said, HeartbeatRequest(group_id="g", member_id="m"), version, number).message is not None
    answered = answers(said, HeartbeatResponse(error_code=27), version, 8)
    assert answered is not None
    assert (answered.asked.number, answered.asked.api, answered.version) == (2, "Heartbeat", version)
    assert answered.message == HeartbeatResponse(error_code=27)
    assert said.newest_waiting == 1
    assert answers(said, HeartbeatResponse(), version, 8) is None, "it has been answered"


def test_an_unknown_version_of_api_versions_is_answered_in_v0() -> None:
    """With its error, which is how it is recognised (KIP-511)."""
    said = Conversation()
    asks(said, ApiVersionsRequest(client_software_name="c", client_software_version="1"), 5)
    answered = answers(said, ApiVersionsResponse(error_code=35), 5, encoded=0)
    assert answered is not None
    assert (answered.version, answered.message) == (0, ApiVersionsResponse(error_code=35))


def test_a_produce_without_acknowledgement_waits_for_nothing() -> None:
    """So the reply after it belongs to the request after it."""
    said = Conversation()
    assert not asks(said, ProduceRequest(acks=0, topic_data=[]), 9).is_answered
    assert said.newest_waiting is None
    assert asks(said, ProduceRequest(acks=1, topic_data=[]), 9, 2).is_answered


def test_what_is_not_known_passes_by_with_a_reason() -> None:
    """An API and a version to come, and a body that breaks off."""
    said = Conversation()
    to_come = (500).to_bytes(2, "big") + bytes(2) + (1).to_bytes(4, "big") + b"\xff\xff"
    assert said.request(memoryview(to_come)).why == "API key 500 is not known here"
    newer = HeartbeatRequest.api_key.to_bytes(2, "big") + b"\x00\x63" + (2).to_bytes(4, "big") + b"\xff\xff"
    assert said.request(memoryview(newer)).why == "version 99 is not known here"
    broken = request_frame(head(HeartbeatRequest, 0, 3), HeartbeatRequest(group_id="g", member_id="m"))[:-1]
    asked = said.request(memoryview(broken))
    assert (asked.message, bool(asked.why)) == (None, True)
    answered = said.reply(memoryview((1).to_bytes(4, "big") + b"whatever"))
    assert answered is not None and answered.message is None
    with pytest.raises(ProtocolError):
        said.request(memoryview(b"\0"))


def test_tokens_behind_an_old_handshake_have_no_header() -> None:
    """As many as the mechanism takes; then there are requests again. A handshake that was refused has none."""
    said = Conversation()
    asks(said, SaslHandshakeRequest(mechanism="SCRAM-SHA-256"), 0)
    answers(said, SaslHandshakeResponse(mechanisms=[]), 0)
    for number in (2, 3):
        asked = said.request(memoryview(b"n,,n=alice,r=nonce"))
        assert (asked.head, asked.number) == (None, number)
        answered = said.reply(memoryview(b"r=nonce"))
        assert answered is not None and answered.asked.number == number
    assert asks(said, HeartbeatRequest(group_id="g", member_id="m"), 0).api == "Heartbeat"
    refused = Conversation()
    asks(refused, SaslHandshakeRequest(mechanism="PLAIN"), 0)
    answers(refused, SaslHandshakeResponse(error_code=33, mechanisms=[]), 0)
    assert asks(refused, HeartbeatRequest(group_id="g", member_id="m"), 0).head is not None


def test_unanswered_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends and sends loses its connection."""
    monkeypatch.setattr(conversation, "MOST_UNANSWERED", 2)
    said = Conversation()
    for number in (1, 2):
        asks(said, HeartbeatRequest(group_id="g", member_id="m"), 0, number)
    with pytest.raises(TooManyUnanswered):
        asks(said, HeartbeatRequest(group_id="g", member_id="m"), 0, 3)
