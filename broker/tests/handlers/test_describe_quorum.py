"""DescribeQuorum: this node, alone."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    RequestPartitionData,
    RequestTopicData,
)

VERSIONS = versions_of(DescribeQuorumRequest)
LOG = "__cluster_metadata"


async def describe(w: World, *topics: tuple[str, list[int]], version: int = VERSIONS[-1]) -> DescribeQuorumResponse:
    asked = [
        RequestTopicData(
            topic_name=name, partitions=[RequestPartitionData(partition_index=part) for part in partitions]
        )
        for name, partitions in topics
    ]
    reply: DescribeQuorumResponse = await w.ask(DescribeQuorumRequest(topics=asked), version)
    return reply


@pytest.mark.parametrize("version", VERSIONS)
async def test_this_node_leads_and_is_the_only_voter(version: int) -> None:
    """And has all of the log, which grows with every topic."""
    async with world() as w:
        ends = []
        for name in ("t", "u"):
            await w.cluster.create_topics([NewTopic(name)])
            (topic,) = (await describe(w, (LOG, [0]), version=version)).topics
            (part,) = topic.partitions
            assert (part.error_code, part.leader_id, part.observers) == (0, 1, [])
            assert part.leader_epoch >= 0
            (voter,) = part.current_voters
            assert (voter.replica_id, voter.log_end_offset) == (1, part.high_watermark)
            assert (voter.last_fetch_timestamp > 0) is (voter.last_caught_up_timestamp > 0) is (version >= 1)
            ends.append(part.high_watermark)
        assert ends[1] - ends[0] == 2  # a record of the topic, one of its partition


async def test_a_new_cluster_has_a_voter_without_directory_or_addresses() -> None:
    """At level 0 of kraft.version no log says them."""
    async with world() as w:
        reply = await describe(w, (LOG, [0]))
        assert reply.topics[0].partitions[0].current_voters[0].replica_directory_id == bytes(16)
        assert [(node.node_id, node.listeners) for node in reply.nodes] == [(1, [])]


@pytest.mark.parametrize(
    "topics",
    [
        [(LOG, [1])],
        [(LOG, [0, 1])],
        [(LOG, [0, 0])],
        [("t", [0])],
        [(LOG, [0]), ("t", [0])],
        [(LOG, [0]), (LOG, [0])],
    ],
)
async def test_whatever_else_is_asked_for_is_unknown(topics: list[tuple[str, list[int]]]) -> None:
    """With the log itself, if it was among it."""
    async with world() as w:
        reply = await describe(w, *topics)
        assert reply.error_code == 0 and reply.nodes == []
        found = [(topic.topic_name, [part.partition_index for part in topic.partitions]) for topic in reply.topics]
        assert found == topics
        codes = {part.error_code for topic in reply.topics for part in topic.partitions}
        assert codes == {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
