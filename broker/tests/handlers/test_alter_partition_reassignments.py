"""AlterPartitionReassignments, as a Kafka of one node answers it."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignableTopic,
)

VERSIONS = versions_of(AlterPartitionReassignmentsRequest)


async def codes(
    w: World, *assignments: tuple[str, int, list[int] | None], version: int = VERSIONS[-1]
) -> list[ErrorCode]:
    """The error of each partition."""
    topics = [
        ReassignableTopic(name=name, partitions=[ReassignablePartition(partition_index=partition, replicas=replicas)])
        for name, partition, replicas in assignments
    ]
    reply: AlterPartitionReassignmentsResponse = await w.ask(AlterPartitionReassignmentsRequest(topics=topics), version)
    assert reply.error_code == 0 and reply.error_message is None
    return [ErrorCode(part.error_code) for topic in reply.responses for part in topic.partitions]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_partition_may_be_where_it_is(version: int) -> None:
    """A tool that sends the assignment that it wants is content; an end of a move has nothing to end."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 2)])
        assert await codes(w, ("t", 0, [1]), ("t", 1, None), version=version) == [
            ErrorCode.NONE,
            ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
        ]


@pytest.mark.parametrize("replicas", [[], [2], [1, 2], [-1], [1, 1]])
async def test_no_other_node_can_have_it(replicas: list[int]) -> None:
    """Nor can this node have it twice, nor none at all."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        assert await codes(w, ("t", 0, replicas)) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]


@pytest.mark.parametrize(("name", "partition"), [("t", 1), ("t", -1), ("u", 0), ("", 0), ("__cluster_metadata", 0)])
async def test_what_is_not_there_cannot_be_moved(name: str, partition: int) -> None:
    """Whether a move is to begin or to end."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await codes(w, (name, partition, [1]), (name, partition, None)) == [unknown, unknown]


@pytest.mark.parametrize("timeout_ms", [0, -1])
async def test_without_time_nothing_is_looked_at(timeout_ms: int) -> None:
    """As in Kafka, whose controller finds the deadline passed; without topics there is nothing to be late for."""
    async with world() as w:
        topics = [ReassignableTopic(name="t", partitions=[ReassignablePartition(replicas=[1])])]
        reply = await w.ask(AlterPartitionReassignmentsRequest(topics=topics, timeout_ms=timeout_ms), VERSIONS[-1])
        assert reply.error_code == reply.responses[0].partitions[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        reply = await w.ask(AlterPartitionReassignmentsRequest(timeout_ms=timeout_ms), VERSIONS[-1])
        assert reply == AlterPartitionReassignmentsResponse()
