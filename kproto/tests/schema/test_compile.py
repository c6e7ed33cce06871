"""The compiled codecs: the exact bytes of each construct, what cannot be sent, and what passes through untouched.

The bytes were written down by hand from the rules of the protocol, and agree with what Kafka's own classes write.
"""

import pytest

from kproto.errors import Malformed, ProtocolError, Truncated
from kproto.formats.consumer_offsets import (
    ClassicMemberMetadata,
    ConsumerGroupMemberMetadataValue,
)
from kproto.formats.producer_snapshot import ProducerSnapshot
from kproto.messages.api_versions import ApiVersionsResponse, FinalizedFeatureKey
from kproto.messages.describe_topic_partitions import Cursor, DescribeTopicPartitionsRequest, TopicRequest
from kproto.messages.fetch import FetchableTopicResponse, FetchRequest, FetchResponse, PartitionData
from kproto.messages.header import RequestHeader, ResponseHeader
from kproto.messages.join_group import JoinGroupResponse
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.produce import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from kproto.messages.share_fetch import PartitionData as SharePartitionData
from kproto.messages.share_fetch import ShareFetchableTopicResponse, ShareFetchResponse
from kproto.messages.sync_group import SyncGroupRequest
from kproto.schema.compile import decode, decoder, encode, encoder
from kproto.schema.declare import Message
from kproto.tests.arbitrary_messages import joined

UUID = bytes(range(16))


def produce(records: object = b"abc") -> ProduceRequest:
    partition = PartitionProduceData(index=7, records=records)
    topic = TopicProduceData(name="t1", topic_id=UUID, partition_data=[partition])
    return ProduceRequest(acks=-1, timeout_ms=1500, topic_data=[topic])


def check(message: Message, version: int, *lines: str) -> None:
    """The message encodes to these bytes, and a message of these bytes encodes to them again."""
    expected = bytes.fromhex(" ".join(line.partition("|")[0] for line in lines))
    assert joined(message, version).hex(" ") == expected.hex(" ")
    assert joined(decode(type(message), version, expected), version) == expected


def test_an_inflexible_message() -> None:
    """Lengths of strings are int16, of bytes and arrays int32, -1 is null."""
    check(
        produce(),
        3,
        "ff ff            | transactional_id: null",
        "ff ff            | acks: -1",
        "00 00 05 dc      | timeout_ms: 1500",
        "00 00 00 01      | one topic",
        "00 02 74 31      | name: t1",
        "00 00 00 01      | one partition",
        "00 00 00 07      | index: 7",
        "00 00 00 03 61 62 63",
    )


def test_a_flexible_message() -> None:
    """KIP-482: lengths are varints plus one, 0 is null, and every struct ends in tagged fields, here none."""
    check(
        produce(),
        9,
        "00               | transactional_id: null",
        "ff ff            | acks: -1",
        "00 00 05 dc      | timeout_ms: 1500",
        "02               | one topic",
        "03 74 31         | name: t1",
        "02               | one partition",
        "00 00 00 07      | index: 7",
        "04 61 62 63      | records",
        "00 00 00         | no tagged fields in partition, topic, request",
    )


def test_a_field_of_a_later_version_takes_anothers_place() -> None:
    """From version 13 on a topic is named by its id."""
    check(
        produce(),
        13,
        "00 ff ff 00 00 05 dc 02",
        "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        "02 00 00 00 07 04 61 62 63 00 00 00",
    )


def test_tagged_fields() -> None:
    """A tagged field travels only if it differs from its default: tag, size, value."""
    leader = LeaderIdAndEpoch(leader_id=2, leader_epoch=9)
    partition = PartitionProduceResponse(index=1, error_code=6, base_offset=-1, current_leader=leader)
    check(
        ProduceResponse(
            responses=[TopicProduceResponse(topic_id=UUID, partition_responses=[partition])],
            node_endpoints=[NodeEndpoint(node_id=2, host="h", port=9092)],
        ),
        13,
        "02 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        "02 00 00 00 01 00 06         | one partition, number 1, NOT_LEADER_OR_FOLLOWER",
        "ff ff ff ff ff ff ff ff      | base_offset",
        "ff ff ff ff ff ff ff ff      | log_append_time_ms",
        "ff ff ff ff ff ff ff ff      | log_start_offset",
        "01 00                        | no record errors, no error message",
        "01 00 09                     | one tagged field: tag 0, 9 bytes",
        "00 00 00 02 00 00 00 09 00   | current_leader, without tagged fields of its own",
        "00                           | no tagged fields in the topic",
        "00 00 00 00                  | throttle_time_ms",
        "01 00 0d                     | one tagged field: tag 0, 13 bytes",
        "02 00 00 00 02 02 68 00 00 23 84 00 00",
    )


def test_a_value_of_default_is_not_sent_as_a_tagged_field() -> None:
    """Not even if it was set explicitly."""
    leader = LeaderIdAndEpoch(leader_id=-1, leader_epoch=-1)
    partition = PartitionProduceResponse(current_leader=leader)
    given = ProduceResponse(responses=[TopicProduceResponse(partition_responses=[partition])])
    untouched = ProduceResponse(responses=[TopicProduceResponse(partition_responses=[PartitionProduceResponse()])])
    assert joined(given, 13) == joined(untouched, 13)


def test_several_tagged_fields_stand_in_the_order_of_their_tags() -> None:
    """Features of ApiVersions, tags 1 and 2; tag 0 has its default and stays away."""
    check(
        ApiVersionsResponse(
            finalized_features_epoch=3,
            finalized_features=[FinalizedFeatureKey(name="f", max_version_level=1, min_version_level=1)],
        ),
        3,
        "00 00 01 00 00 00 00",
        "02                             | two tagged fields",
        "01 08 00 00 00 00 00 00 00 03",
        "02 08 02 02 66 00 01 00 01 00  | one feature",
    )


def test_a_client_id_is_never_compact() -> None:
    """RequestHeader v2 is flexible, but a server must find the client id before it knows that."""
    header = RequestHeader(request_api_key=18, request_api_version=3, correlation_id=5, client_id="rdkafka")
    check(header, 2, "00 12 00 03 00 00 00 05 00 07 72 64 6b 61 66 6b 61 00")
    check(header, 1, "00 12 00 03 00 00 00 05 00 07 72 64 6b 61 66 6b 61")
    check(ResponseHeader(correlation_id=5), 0, "00 00 00 05")
    check(ResponseHeader(correlation_id=5), 1, "00 00 00 05 00")


def test_null_and_empty_arrays() -> None:
    """Metadata v0 says "all topics" with an empty array, later versions with null."""
    check(MetadataRequest(topics=[]), 0, "00 00 00 00")
    check(MetadataRequest(topics=None), 1, "ff ff ff ff")
    check(MetadataRequest(topics=[]), 1, "00 00 00 00")
    check(MetadataRequest(topics=None), 9, "00 01 00 00 00")
    with pytest.raises(ValueError, match="topics must not be null in version 0"):
        encode(MetadataRequest(topics=None), 0)


def test_nullable_structs() -> None:
    """A byte says whether there is one: 1 or -1."""
    request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name="a")])
    check(request, 0, "02 02 61 00 00 00 07 d0 ff 00")
    request.cursor = Cursor(topic_name="a", partition_index=2)
    check(request, 0, "02 02 61 00 00 00 07 d0 01 02 61 00 00 00 02 00 00")


def test_a_null_struct_among_the_tagged_fields_is_a_zero() -> None:
    """There Kafka writes and reads the presence mark as an unsigned varint, and fails on -1."""
    value = ConsumerGroupMemberMetadataValue(classic_member_metadata=None)
    check(value, 0, "01 01 01 01 01 01 ff ff ff ff 01 01 00 01 00")
    value.classic_member_metadata = ClassicMemberMetadata(session_timeout_ms=1)
    check(value, 0, "01 01 01 01 01 01 ff ff ff ff 01 01 00 07 01 00 00 00 01 01 00")


def test_long_lengths_take_more_bytes() -> None:
    """The edges of one-, two- and three-byte varints."""
    for length in (0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 32_767):
        name = MetadataRequest(topics=[MetadataRequestTopic(name="x" * length)])
        for version in (8, 9):
            assert decode(MetadataRequest, version, joined(name, version)) == name
        for version in (3, 9):
            request = produce(bytes(length * 64))
            request.topic_data[0].topic_id = bytes(16)
            assert decode(ProduceRequest, version, joined(request, version)) == request


def test_many_elements() -> None:
    """Counts have the same edges."""
    for count in (0, 1, 126, 127, 128, 20_000):
        metadata = MetadataRequest(topics=[MetadataRequestTopic(name="t")] * count)
        for version in (1, 9):
            assert decode(MetadataRequest, version, joined(metadata, version)) == metadata


def test_unsigned_numbers() -> None:
    """uint32 has no sign."""
    assert joined(ProducerSnapshot(crc=0xFFFF_FFFE), 1) == bytes.fromhex("ff ff ff fe 00 00 00 00")
    assert decode(ProducerSnapshot, 1, bytes.fromhex("ff ff ff fe 00 00 00 00")).crc == 0xFFFF_FFFE


# What passes through untouched.


class FileSlice:
    """Something with a length that is not bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


@pytest.mark.parametrize("version", [4, 11, 12, 18])
def test_records_pass_through_as_the_same_object(version: int) -> None:
    """An encoder asks records for their length and hands them on, each as a chunk of its own."""
    first, second = memoryview(b"abcdef"), FileSlice(1_000_000)
    partitions = [PartitionData(records=first), PartitionData(partition_index=1, records=second)]
    chunks = encode(FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=partitions)]), version)
    assert [type(chunk) for chunk in chunks] == [bytes, memoryview, bytes, FileSlice, bytes][: len(chunks)]
    assert chunks[1] is first
    assert chunks[3] is second
    whole = b"".join(bytes(len(chunk)) if isinstance(chunk, FileSlice) else chunk for chunk in chunks)  # type: ignore[misc]
    decoded = decode(FetchResponse, version, whole)
    assert [len(partition.records or b"") for partition in decoded.responses[0].partitions] == [6, 1_000_000]


def test_empty_and_missing_records_are_no_chunk() -> None:
    """There is nothing to pass on."""
    for records in (None, b""):
        response = FetchResponse(responses=[FetchableTopicResponse(partitions=[PartitionData(records=records)])])
        (chunk,) = encode(response, 12)
        assert decode(FetchResponse, 12, chunk) == response  # type: ignore[arg-type]


def test_decoded_records_are_a_slice_of_the_input() -> None:
    """No copy: what is written into the buffer shows in the records."""
    frame = bytearray(joined(produce(), 9))
    records = decode(ProduceRequest, 9, frame).topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview)
    frame[frame.index(b"abc")] = ord("z")
    assert bytes(records) == b"zbc"


def test_decoded_bytes_are_a_copy() -> None:
    """A member's metadata outlives the frame it came in."""
    frame = bytearray(joined(SyncGroupRequest(group_id="g", protocol_type="t"), 5))
    decoded = decode(SyncGroupRequest, 5, frame)
    frame[:] = bytes(len(frame))
    assert decoded == SyncGroupRequest(group_id="g", protocol_type="t")


def test_a_decoder_starts_anywhere_and_says_where_it_ended() -> None:
    """Headers and bodies lie in one frame."""
    frame = memoryview(b"head" + joined(produce(), 9) + b"rest")
    message, end = decoder(ProduceRequest, 9)(frame, 4, 100)
    assert message.acks == -1
    assert bytes(frame[end:]) == b"rest"


def test_codecs_are_compiled_once() -> None:
    """The second look-up gives the same function."""
    assert decoder(ProduceRequest, 9) is decoder(ProduceRequest, 9)
    assert encoder(ProduceRequest, 9) is encoder(ProduceRequest, 9)


# What cannot be sent.


def test_a_value_that_the_version_cannot_carry_is_refused() -> None:
    """Kafka's UnsupportedVersionException: silence would change the meaning of the request."""
    with pytest.raises(ValueError, match="MetadataRequest v3 has no field allow_auto_topic_creation"):
        encode(MetadataRequest(allow_auto_topic_creation=False), 3)
    assert joined(MetadataRequest(allow_auto_topic_creation=True), 3) == bytes(4)


def test_a_nested_value_that_the_version_cannot_carry_is_refused() -> None:
    """The same inside structs; and tagged fields before there were any."""
    request = FetchRequest(forgotten_topics_data=[])
    request.replica_state.replica_id = 1
    with pytest.raises(ValueError, match="FetchRequest v12 has no field replica_state"):
        encode(request, 12)


def test_an_ignorable_value_is_dropped() -> None:
    """The name of a topic does not travel with its id, and the other way round."""
    decoded = decode(ProduceRequest, 13, joined(produce(), 13))
    assert (decoded.topic_data[0].name, decoded.topic_data[0].topic_id) == ("", UUID)
    decoded = decode(ProduceRequest, 12, joined(produce(), 12))
    assert (decoded.topic_data[0].name, decoded.topic_data[0].topic_id) == ("t1", bytes(16))


def test_values_that_do_not_fit_their_types_are_refused() -> None:
    """ValueError, whatever it was that did not fit."""
    for wrong in (
        ProduceRequest(acks=40_000),
        ProduceRequest(acks="all"),  # type: ignore[arg-type]
        ProduceRequest(transactional_id=b"t"),  # type: ignore[arg-type]
        ProduceRequest(transactional_id="x" * 32_768),
        ProduceRequest(topic_data=None),  # type: ignore[arg-type]
        ProduceRequest(topic_data=[TopicProduceData(name=None)]),  # type: ignore[arg-type]
    ):
        for version in (3, 9):
            with pytest.raises(ValueError, match=r"cannot hold these values|a string of 32768 bytes"):
                encode(wrong, version)
    with pytest.raises(ValueError, match="topic_id is not a UUID of 16 bytes"):
        encode(ProduceRequest(topic_data=[TopicProduceData(topic_id=b"short")]), 13)


def test_null_is_refused_where_the_version_does_not_know_it() -> None:
    """Nullable since: protocol_name in JoinGroup v7; until: records in ShareFetch v0."""
    assert joined(JoinGroupResponse(protocol_name=None), 7)
    with pytest.raises(ValueError, match="protocol_name must not be null in version 6"):
        encode(JoinGroupResponse(protocol_name=None), 6)
    response = ShareFetchResponse(responses=[ShareFetchableTopicResponse(partitions=[SharePartitionData()])])
    with pytest.raises(ValueError, match="records must not be null in version 1"):
        encode(response, 1)


def test_an_undeclared_version_is_the_callers_mistake() -> None:
    """ValueError on both sides: code that takes a version from the wire checks it first."""
    for version in (-1, 2, 14):
        with pytest.raises(ValueError, match="ProduceRequest has no version"):
            encode(produce(), version)
        with pytest.raises(ValueError, match="ProduceRequest has no version"):
            decode(ProduceRequest, version, b"")


# What must not be read.


def test_null_is_an_error_where_it_must_not_be() -> None:
    """A topic without name, an array without count."""
    for version, body in (
        (9, "00 ff ff 00 00 05 dc 00 00"),
        (9, "00 ff ff 00 00 05 dc 02 00 01 00 00"),
        (3, "ff ff ff ff 00 00 05 dc ff ff ff ff"),
        (3, "ff ff ff ff 00 00 05 dc 00 00 00 01 ff ff 00 00 00 00"),
        (9, "00 ff ff 00 00 05 dc 80 00 00"),
    ):
        with pytest.raises(Malformed, match="is null and must not be"):
            decode(ProduceRequest, version, bytes.fromhex(body))


def test_any_negative_length_is_null_where_null_may_be() -> None:
    """Kafka reads -2 as it reads -1."""
    assert decode(MetadataRequest, 1, bytes.fromhex("ff ff ff fe")) == MetadataRequest(topics=None)


def test_a_padded_varint_counts_as_what_it_says() -> None:
    """``80 00`` is zero and so null; nothing is read twice."""
    body = bytes.fromhex("80 00 ff ff 00 00 05 dc 81 80 00 00")
    assert decode(ProduceRequest, 9, body) == ProduceRequest(acks=-1, timeout_ms=1500)


def test_strings_must_be_utf8() -> None:
    """Whatever else they are."""
    for version, body in ((9, "02 ff ff ff 00 00 05 dc 01 00"), (3, "00 01 ff ff ff 00 00 05 dc 00 00 00 00")):
        with pytest.raises(Malformed, match="not UTF-8"):
            decode(ProduceRequest, version, bytes.fromhex(body))


def test_strings_have_a_greatest_length() -> None:
    """32767 bytes, also where the length is a varint."""
    body = bytes.fromhex("81 80 02") + bytes(32_768) + bytes.fromhex("ff ff 00 00 05 dc 01 00")
    with pytest.raises(Malformed, match="a string of 32768 bytes"):
        decode(ProduceRequest, 9, body)


def test_unknown_tagged_fields_are_skipped() -> None:
    """A newer client may say more than we know."""
    body = "00 ff ff 00 00 05 dc 01 02 05 03 61 62 63 ff ff ff ff 0f 00"
    assert decode(ProduceRequest, 9, bytes.fromhex(body)) == ProduceRequest(acks=-1, timeout_ms=1500)


@pytest.mark.parametrize(
    "section",
    [
        "01",
        "01 05",
        "01 05 04 61 62 63",
        "01 05 ff ff ff ff 0f",
        "01 ff ff ff ff ff 01 00",
        "ff ff ff ff 0f 00 00",
        "ff ff ff ff ff ff ff ff ff 01",
    ],
)
def test_tagged_fields_stay_within_the_message(section: str) -> None:
    """A section that breaks off, a size beyond the end, an endless varint, four billion fields."""
    with pytest.raises(ProtocolError):
        decode(ProduceRequest, 9, bytes.fromhex("00 ff ff 00 00 05 dc 01" + section))


def test_a_known_tagged_field_fills_its_size_exactly() -> None:
    """FetchRequest's cluster_id, tag 0, in a size too large and too small."""
    body = joined(FetchRequest(cluster_id="c"), 12)
    at = body.index(bytes.fromhex("01 00 02 02 63"))
    assert decode(FetchRequest, 12, body).cluster_id == "c"
    for wrong in ("01 00 03 02 63 00", "01 00 01 02 63"):
        with pytest.raises(ProtocolError):
            decode(FetchRequest, 12, body[:at] + bytes.fromhex(wrong))


def test_a_short_slice_is_noticed() -> None:
    """A memoryview gives what it has and does not complain; the message ends where the slice would have ended."""
    whole = joined(produce(), 3)
    for missing in (1, 2, 3):
        with pytest.raises(Truncated):
            decode(ProduceRequest, 3, whole[:-missing])
