"""CreatePartitions, as Kafka answers it. The codes of single refusals are tested with the cluster machine."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)


def topic(name: str, count: int, *nodes: int) -> CreatePartitionsTopic:
    assignments = [CreatePartitionsAssignment(broker_ids=[node]) for node in nodes] if nodes else None
    return CreatePartitionsTopic(name=name, count=count, assignments=assignments)


@pytest.mark.parametrize("version", versions_of(CreatePartitionsRequest))
async def test_every_version_adds_partitions_topic_by_topic(version: int) -> None:
    """No message where all is well; 3 for an unknown topic, 37 for a count that is no increase, 39 for other nodes."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("a", 1, 1), NewTopic("b", 1, 1), NewTopic("c", 1, 1)])
        request = CreatePartitionsRequest(topics=[topic("a", 3, 1, 1), topic("no", 2), topic("b", 1), topic("c", 2, 9)])
        response = await w.ask(request, version)
        assert [(result.name, result.error_code) for result in response.results] == [
            ("a", 0),
            ("no", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("b", ErrorCode.INVALID_PARTITIONS),
            ("c", ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ]
        assert response.results[0].error_message is None
        assert response.results[1].error_message
        assert w.cluster.image.topics["a"].partition_count == 3


async def test_validation_alone_adds_nothing() -> None:
    """It answers as if."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("a", 1, 1)])
        request = CreatePartitionsRequest(topics=[topic("a", 3)], validate_only=True)
        assert [result.error_code for result in (await w.ask(request, 3)).results] == [0]
        assert w.cluster.image.topics["a"].partition_count == 1


async def test_a_topic_named_twice_is_refused_once() -> None:
    """INVALID_REQUEST; the others grow."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("a", 1, 1), NewTopic("b", 1, 1)])
        request = CreatePartitionsRequest(topics=[topic("a", 3), topic("b", 3), topic("a", 4)])
        response = await w.ask(request, 3)
        assert {result.name: result.error_code for result in response.results} == {
            "a": ErrorCode.INVALID_REQUEST,
            "b": 0,
        }
        assert w.cluster.image.topics["a"].partition_count == 1


async def test_too_many_partitions_at_once_are_refused() -> None:
    """POLICY_VIOLATION, as for topics."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("a", 1, 1)])
        response = await w.ask(CreatePartitionsRequest(topics=[topic("a", 10_002)]), 3)
        assert [result.error_code for result in response.results] == [ErrorCode.POLICY_VIOLATION]
