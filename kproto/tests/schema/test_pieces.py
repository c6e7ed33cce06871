"""Large messages: encoded in one go up to so many elements, beyond that in pieces that join to the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from kproto.messages.describe_groups import DescribedGroup, DescribedGroupMember, DescribeGroupsResponse
from kproto.messages.metadata import MetadataResponse, MetadataResponsePartition, MetadataResponseTopic
from kproto.messages.offset_fetch import (
    OffsetFetchResponse,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)
from kproto.schema.compile import Buffer, encode, encode_in_pieces, encode_within
from kproto.schema.declare import SharedArray
from kproto.schema.encoding import ELEMENT_BYTES
from kproto.tests.arbitrary_messages import VERSIONS, filled, joined


def whole(pieces: Iterable[Buffer]) -> bytes:
    """The pieces as one."""
    return b"".join(bytes(piece) for piece in pieces)  # type: ignore[arg-type]


def test_pieces_are_the_same_bytes() -> None:
    """Whatever a message of whatever kind and version holds, its pieces join to what one go gives."""
    for cls, version in VERSIONS:
        message = filled(cls, version, Random(version))
        assert whole(encode_in_pieces(message, version)) == joined(message, version), (cls.__name__, version)


def large_reply() -> OffsetFetchResponse:
    """A reply of 20 topics with 1,000 partitions each."""
    partitions = [OffsetFetchResponsePartition(partition_index=number) for number in range(1_000)]
    return OffsetFetchResponse(topics=[OffsetFetchResponseTopic(name="t", partitions=partitions) for _ in range(20)])


def test_a_large_message_comes_in_pieces() -> None:
    """No piece is much larger than its share, and together they are the message."""
    pieces = [whole([piece]) for piece in encode_in_pieces(large_reply(), 7)]
    assert b"".join(pieces) == joined(large_reply(), 7)
    assert len(pieces) > 10
    assert max(map(len, pieces)) < 3 * len(b"".join(pieces)) // len(pieces)


def test_a_message_is_encoded_in_one_go_as_long_as_it_has_few_elements() -> None:
    """So many elements and no more; nested arrays count together."""
    assert encode_within(large_reply(), 7, 20 * 1_000 + 20) == encode(large_reply(), 7)
    assert encode_within(large_reply(), 7, 20 * 1_000 + 19) is None


def test_a_shared_array_of_a_large_message_is_kept() -> None:
    """Pieces fill the cache of a shared array as one go does; from then on its bytes count, not its elements."""
    shared = SharedArray(MetadataResponsePartition(partition_index=number) for number in range(5_000))

    def reply(partitions: list[MetadataResponsePartition]) -> MetadataResponse:
        return MetadataResponse(topics=[MetadataResponseTopic(name=f"t{n}", partitions=partitions) for n in range(3)])

    assert encode_within(reply(shared), 12, 4_096) is None
    assert whole(encode_in_pieces(reply(shared), 12)) == joined(reply(list(shared)), 12)
    size = len(joined(reply(shared), 12))
    assert encode_within(reply(shared), 12, size // ELEMENT_BYTES + 3) == encode(reply(list(shared)), 12)
    assert encode_within(reply(shared), 12, size // ELEMENT_BYTES - 100) is None


def test_a_shared_array_that_is_encoded_first_gives_way() -> None:
    """Its bytes come as one piece, since they are kept, but after as many empty ones as any array of its size gives."""
    partitions = [MetadataResponsePartition(partition_index=number) for number in range(20_000)]

    def pieces(partitions: list[MetadataResponsePartition]) -> list[bytes]:
        topic = MetadataResponseTopic(name="t", partitions=partitions)
        return [whole([piece]) for piece in encode_in_pieces(MetadataResponse(topics=[topic]), 12)]

    plain, shared = pieces(partitions), pieces(SharedArray(partitions))
    assert b"".join(shared) == b"".join(plain)
    assert len(shared) >= len(plain)
    assert sum(map(bool, shared)) <= 2


def test_long_strings_count_as_several_elements() -> None:
    """A thousand elements of a megabyte each are no small reply."""
    member = DescribedGroupMember(member_metadata=bytes(1 << 20))
    reply = DescribeGroupsResponse(groups=[DescribedGroup(members=[member])] * 3)
    assert encode_within(reply, 5, 3 * (1 << 20) // ELEMENT_BYTES) is None
    assert encode_within(reply, 5, 3 * (1 << 20) // ELEMENT_BYTES + 6) == encode(reply, 5)


def test_long_strings_are_not_copied_into_pieces() -> None:
    """They are pieces by themselves, however many of them there are."""
    metadata = bytes(1 << 20)
    reply = DescribeGroupsResponse(
        groups=[DescribedGroup(members=[DescribedGroupMember(member_metadata=metadata)])] * 9
    )
    pieces = list(encode_in_pieces(reply, 5))
    assert [piece for piece in pieces if piece is metadata] == [metadata] * 9
    assert whole(pieces) == joined(reply, 5)
