"""Declarations: what a reader of a message module may rely on."""

import copy
import pickle

import pytest

from kproto.ids import ZERO_UUID
from kproto.messages.fetch import FetchRequest, PartitionData, ReplicaState
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.messages.vote import RequestTopicData, ResponseTopicData
from kproto.schema.declare import (
    NEVER,
    Array,
    Int32,
    Request,
    Response,
    String,
    Struct,
    Versions,
    field,
    fields_of,
)


def test_every_field_has_kafkas_default() -> None:
    """A message can be made without arguments; special defaults are those of Kafka's definitions."""
    request = FetchRequest()
    assert (request.max_bytes, request.session_epoch, request.replica_id) == (0x7FFFFFFF, -1, -1)
    assert (request.cluster_id, request.rack_id, request.topics) == (None, "", [])
    assert request.replica_state == ReplicaState(replica_id=-1, replica_epoch=-1)
    assert TopicProduceData().topic_id == ZERO_UUID
    assert PartitionProduceData().records is None


def test_defaults_are_never_shared() -> None:
    """A list or struct that came as a default belongs to its message alone."""
    first, second = FetchRequest(), FetchRequest()
    first.topics.append(first.topics)  # type: ignore[arg-type]
    first.replica_state.replica_id = 5
    assert second.topics == []
    assert second.replica_state.replica_id == -1


def test_messages_take_keyword_arguments_only_and_only_their_own() -> None:
    """A misspelt field is a TypeError at once, not a value that never travels."""
    with pytest.raises(TypeError):
        ProduceRequest(1)  # type: ignore[call-arg, arg-type]
    with pytest.raises(TypeError):
        ProduceRequest(ack=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        ProduceRequest().ack = 1  # type: ignore[attr-defined]


def test_messages_are_equal_if_their_values_are() -> None:
    """Equality is by value, within one class; records compare by content, whatever holds them."""
    assert ProduceRequest(acks=1) == ProduceRequest(acks=1)
    assert ProduceRequest(acks=1) != ProduceRequest(acks=0)
    assert ProduceRequest() != ProduceResponse()
    assert PartitionProduceData(records=b"abc") == PartitionProduceData(records=memoryview(b"abc"))
    with pytest.raises(TypeError):
        hash(ProduceRequest())


def test_the_representation_shows_what_was_set() -> None:
    """Defaults are left out, so logs stay readable; records show their content."""
    data = PartitionProduceData(index=3, records=memoryview(b"abc"))
    message = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=[data])])
    assert repr(message) == (
        "ProduceRequest(acks=1, topic_data=[TopicProduceData(name='t', "
        "partition_data=[PartitionProduceData(index=3, records=b'abc')])])"
    )
    assert eval(repr(message)) == message


def test_messages_can_be_copied_and_pickled() -> None:
    """Slots do not stand in the way."""
    message = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t")])
    assert copy.deepcopy(message) == message
    assert copy.deepcopy(message).topic_data is not message.topic_data
    assert pickle.loads(pickle.dumps(message)) == message


def test_a_class_knows_its_place_in_the_protocol() -> None:
    """API key, versions, first flexible version, the other half of the exchange."""
    assert (ProduceRequest.api_key, ProduceRequest.min_version, ProduceRequest.max_version) == (0, 3, 13)
    assert (ProduceRequest.flexible_version, SaslHandshakeRequest.flexible_version) == (9, NEVER)
    assert ProduceRequest.response_type is ProduceResponse
    assert ProduceResponse.request_type is ProduceRequest
    assert (ProduceResponse.api_key, ProduceResponse.max_version, ProduceResponse.flexible_version) == (0, 13, 9)
    assert InitProducerIdRequest.latest_version_unstable
    assert not ProduceRequest.latest_version_unstable


def test_two_structs_of_one_kafka_name_can_share_a_module() -> None:
    """Where request and response disagree about a struct, the classes differ in name and Kafka's name is kept."""
    assert RequestTopicData.kafka_name == ResponseTopicData.kafka_name == "TopicData"
    assert PartitionData.kafka_name == "PartitionData"


def test_ranges_of_versions_are_read_and_written_as_kafka_writes_them() -> None:
    """``3``, ``3-7``, ``3+`` and ``none``."""
    for text in ("0", "3", "3-7", "3+", "none"):
        assert str(Versions.parse(text)) == text
    assert [v for v in range(10) if v in Versions.parse("3-5")] == [3, 4, 5]
    assert list(Versions.parse("3-5")) == [3, 4, 5]
    assert 4711 in Versions.parse("3+")
    assert 0 not in Versions.parse("none")
    with pytest.raises(ValueError, match="invalid literal"):
        Versions.parse("latest")


def test_an_optional_type_is_nullable_in_the_versions_of_its_field() -> None:
    """``| None`` suffices unless null came later than the field."""

    class Nested(Struct):
        always: String | None = field("2+")
        later: String | None = field("2+", nullable="3+")
        never: Array[Int32] = field("2+")

    always, later, never = fields_of(Nested)
    assert (str(always.nullable), str(later.nullable), str(never.nullable)) == ("2+", "3+", "none")


def test_a_faulty_declaration_is_found_when_the_class_is_used() -> None:
    """An annotation without field(...), or the other way round, is not silently left out of the wire."""

    class Forgetful(Struct):
        name: String = field("0+")
        size: Int32

    with pytest.raises(TypeError, match="size"):
        fields_of(Forgetful)


def test_a_response_takes_its_versions_from_its_request() -> None:
    """Request and response of one API always have the same versions."""

    class AskRequest(Request, api=4711, versions="2-5", flexible="4+"):
        pass

    class AskResponse(Response, to=AskRequest):
        pass

    assert (AskResponse.api_key, AskResponse.min_version, AskResponse.max_version) == (4711, 2, 5)
    assert AskResponse.flexible_version == 4
    assert AskRequest.response_type is AskResponse
