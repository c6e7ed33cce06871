"""An array that many messages share is encoded once, and the bytes are the same."""

from __future__ import annotations

import pytest

from kproto.messages.metadata import MetadataResponse, MetadataResponsePartition, MetadataResponseTopic
from kproto.schema.compile import Buffer, encode
from kproto.schema.declare import SharedArray


def partitions(count: int) -> list[MetadataResponsePartition]:
    return [
        MetadataResponsePartition(partition_index=index, leader_id=1, replica_nodes=[1], isr_nodes=[1])
        for index in range(count)
    ]


def response(*arrays: list[MetadataResponsePartition]) -> MetadataResponse:
    topics = [MetadataResponseTopic(name=f"t{number}", partitions=array) for number, array in enumerate(arrays)]
    return MetadataResponse(topics=topics)


def joined(chunks: list[Buffer]) -> bytes:
    return b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))


@pytest.mark.parametrize("version", range(14))
def test_shared_arrays_encode_as_others_do(version: int) -> None:
    """In every version, the first time and again, beside arrays that are not shared, empty ones included."""
    plain = partitions(130), partitions(3), partitions(0)
    shared = SharedArray(plain[0]), SharedArray(plain[1]), SharedArray(plain[2])
    expected = joined(encode(response(plain[0], plain[1], plain[0], plain[2]), version))
    message = response(shared[0], plain[1], shared[0], shared[2])
    assert joined(encode(message, version)) == expected
    assert joined(encode(message, version)) == expected
    assert joined(encode(response(shared[0], shared[1], plain[0], plain[2]), version)) == expected


def test_a_shared_array_is_encoded_once_a_version() -> None:
    """That is what it is for: its elements are not looked at again."""
    shared = SharedArray(partitions(10))
    before = joined(encode(response(shared, shared), 12))
    shared[0].leader_id = 77
    assert joined(encode(response(shared, shared), 12)) == before
    assert joined(encode(response(shared, shared), 9)) != joined(encode(response(partitions(10), partitions(10)), 9))


def test_a_shared_array_is_a_list() -> None:
    """Messages with it compare and print as with any list."""
    assert response(SharedArray(partitions(2))) == response(partitions(2))
    assert repr(response(SharedArray(partitions(2)))) == repr(response(partitions(2)))
