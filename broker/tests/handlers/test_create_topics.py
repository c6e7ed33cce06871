"""CreateTopics, as Kafka answers it. The codes of single refusals are tested with the cluster machine."""

from __future__ import annotations

import pytest

from broker.testing.contexts import world
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from kproto.messages.metadata import MetadataRequest

VERSIONS = range(2, 8)


def topic(name: str, partitions: int = 1, replicas: int = 1, **configs: str | None) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replicas,
        configs=[CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


def request(*topics: CreatableTopic, validate_only: bool = False) -> CreateTopicsRequest:
    return CreateTopicsRequest(topics=list(topics), validate_only=validate_only)


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_tells_what_it_can_of_the_new_topic(version: int) -> None:
    """Counts and configs from v5 on, the id from v7 on; the topic is in metadata at once."""
    async with world() as w:
        [result] = (await w.ask(request(topic("t", 2, 1, retention_ms="5")), version)).topics
        made = w.cluster.image.topics["t"]
        assert (result.name, result.error_code, result.error_message) == ("t", 0, None)
        assert (made.partition_count, made.configs) == (2, {"retention.ms": "5"})
        assert (result.num_partitions, result.replication_factor) == ((2, 1) if version >= 5 else (-1, -1))
        assert result.topic_id == (made.topic_id if version >= 7 else ZERO_UUID)
        if version >= 5:
            configs = {config.name: config for config in result.configs}
            assert list(configs) == sorted(configs)
            assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == ("5", 1)
            assert (configs["cleanup.policy"].value, configs["cleanup.policy"].config_source) == ("delete", 5)
        [seen] = (await w.ask(MetadataRequest(topics=None), 12)).topics
        assert seen.topic_id == made.topic_id


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_topic_is_answered_on_its_own(version: int) -> None:
    """A topic that exists is 36, with a sentence; others are created."""
    async with world() as w:
        await w.ask(request(topic("old")), version)
        response = await w.ask(request(topic("old"), topic("new"), topic("b ad")), version)
        assert [(result.name, result.error_code) for result in response.topics] == [
            ("old", ErrorCode.TOPIC_ALREADY_EXISTS),
            ("new", 0),
            ("b ad", ErrorCode.INVALID_TOPIC_EXCEPTION),
        ]
        assert response.topics[0].error_message
        assert set(w.cluster.image.topics) == {"old", "new"}


async def test_minus_one_means_the_brokers_default() -> None:
    """num.partitions, default.replication.factor."""
    async with world({"num.partitions": "4"}) as w:
        [result] = (await w.ask(request(topic("t", -1, -1)), 5)).topics
        assert (result.num_partitions, result.replication_factor) == (4, 1)


async def test_a_name_that_occurs_twice_is_refused_once() -> None:
    """INVALID_REQUEST for it, the others are created."""
    async with world() as w:
        response = await w.ask(request(topic("x"), topic("y"), topic("x")), 7)
        assert [(result.name, result.error_code) for result in response.topics] == [
            ("y", 0),
            ("x", ErrorCode.INVALID_REQUEST),
        ]


async def test_the_cluster_log_is_no_topic() -> None:
    """__cluster_metadata cannot be created."""
    async with world() as w:
        [result] = (await w.ask(request(topic("__cluster_metadata")), 7)).topics
        assert result.error_code == ErrorCode.INVALID_REQUEST


async def test_validation_alone_creates_nothing() -> None:
    """It answers as if."""
    async with world() as w:
        response = await w.ask(request(topic("t", 3, 1), topic("u", 0, 1), validate_only=True), 7)
        assert [(result.error_code, result.num_partitions) for result in response.topics] == [
            (0, 3),
            (ErrorCode.INVALID_PARTITIONS, -1),
        ]
        assert len(w.cluster.image.topics) == 0


async def test_a_manual_assignment_names_this_node() -> None:
    """Its length is the number of partitions; another node is 39, a count beside it 42."""

    def assigned(name: str, *nodes: int, partitions: int = -1) -> CreatableTopic:
        assignments = [
            CreatableReplicaAssignment(partition_index=index, broker_ids=[node]) for index, node in enumerate(nodes)
        ]
        return CreatableTopic(name=name, num_partitions=partitions, replication_factor=-1, assignments=assignments)

    async with world() as w:
        response = await w.ask(request(assigned("a", 1, 1), assigned("b", 2), assigned("c", 1, partitions=1)), 7)
        assert [(result.error_code, result.num_partitions) for result in response.topics] == [
            (0, 2),
            (ErrorCode.INVALID_REPLICA_ASSIGNMENT, -1),
            (ErrorCode.INVALID_REQUEST, -1),
        ]


async def test_configs_are_checked() -> None:
    """INVALID_CONFIG for unknown names, bad values and null."""
    async with world() as w:
        response = await w.ask(
            request(topic("a", nope="1"), topic("b", segment_bytes="1"), topic("c", retention_ms=None)), 7
        )
        assert [result.error_code for result in response.topics] == [ErrorCode.INVALID_CONFIG] * 3


async def test_configs_are_given_back_as_they_were_written() -> None:
    """The answer repeats ` 1000 ` and `TRUE`, as Kafka's; DescribeConfigs shows them in their usual form."""
    async with world() as w:
        [result] = (await w.ask(request(topic("t", retention_ms=" 1000 ", preallocate="TRUE")), 7)).topics
        configs = {config.name: config.value for config in result.configs}
        assert (configs["retention.ms"], configs["preallocate"]) == (" 1000 ", "TRUE")


async def test_more_than_ten_thousand_records_are_too_many_for_one_request() -> None:
    """POLICY_VIOLATION for all of it, as Kafka."""
    async with world() as w:
        response = await w.ask(request(topic("a", 5_000), topic("b", 5_000)), 7)
        assert [result.error_code for result in response.topics] == [ErrorCode.POLICY_VIOLATION] * 2
        assert len(w.cluster.image.topics) == 0
