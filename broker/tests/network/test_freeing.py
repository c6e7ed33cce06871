"""What is taken apart of a message that is done with, and what is not."""

from __future__ import annotations

from broker.network.freeing import LONG, free_in_slices
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic


async def test_long_lists_are_emptied() -> None:
    """Also those inside others."""
    partitions = [OffsetCommitRequestPartition() for _ in range(10 * LONG)]
    message = OffsetCommitRequest(group_id="g", topics=[OffsetCommitRequestTopic(name="t", partitions=partitions)] * 2)
    del partitions
    await free_in_slices(message)
    assert message.topics == []


async def test_a_list_that_another_owns_is_left_alone() -> None:
    """A group keeps what its member has sent, for example."""
    kept = [MetadataRequestTopic(name="t")] * (10 * LONG)
    message = MetadataRequest(topics=kept)
    await free_in_slices(message)
    assert len(kept) == 10 * LONG


async def test_an_element_that_another_owns_is_left_alone() -> None:
    """Its lists are its own, but not the message's."""
    kept = OffsetCommitRequestTopic(partitions=[OffsetCommitRequestPartition() for _ in range(10 * LONG)])
    message = OffsetCommitRequest(group_id="g", topics=[kept])
    await free_in_slices(message)
    assert len(kept.partitions) == 10 * LONG
