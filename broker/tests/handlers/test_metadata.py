"""Metadata, as Kafka answers it (observed on a running broker, version by version)."""

from __future__ import annotations

import pytest
import trio

from broker.coordinators.cluster import NewTopic, Topic
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic

VERSIONS = range(14)
NOT_ASKED = -(2**31)


async def created(w: World, *names: str, partitions: int = 1) -> list[Topic]:
    results = await w.cluster.create_topics([NewTopic(name, partitions, 1) for name in names])
    return [result for result in results if isinstance(result, Topic)]


def request(*names: str, **more: bool) -> MetadataRequest:
    return MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], **more)


def by_name(response: MetadataResponse) -> dict[str | None, MetadataResponseTopic]:
    assert len({topic.name for topic in response.topics}) == len(response.topics)
    return {topic.name: topic for topic in response.topics}


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_tells_this_node_and_the_topics_asked_for(version: int) -> None:
    """One broker under the address that the client came in by, which leads every partition."""
    async with world() as w:
        [made] = await created(w, "t", partitions=2)
        response = await w.ask(request("t"), version)
        [broker] = response.brokers
        assert (broker.node_id, broker.host, broker.port, broker.rack) == (1, "broker.example", 9092, None)
        [topic] = response.topics
        assert (topic.error_code, topic.name) == (0, "t")
        assert [
            (part.partition_index, part.leader_id, part.replica_nodes, part.isr_nodes) for part in topic.partitions
        ] == [(0, 1, [1], [1]), (1, 1, [1], [1])]
        assert topic.partitions[0].leader_epoch == (0 if version >= 7 else -1)
        assert response.controller_id == (1 if version >= 1 else -1)
        assert response.cluster_id == (w.cluster.cluster_id if version >= 2 else None)
        assert topic.topic_id == (made.topic_id if version >= 10 else ZERO_UUID)
        assert topic.topic_authorized_operations == NOT_ASKED


@pytest.mark.parametrize("version", VERSIONS)
async def test_all_topics_are_asked_for_by_null_or_in_v0_by_an_empty_list(version: int) -> None:
    """From v1 on an empty list asks for none: clients do so to learn about brokers."""
    async with world() as w:
        await created(w, "b", "a", "__consumer_offsets")
        empty = await w.ask(MetadataRequest(topics=[]), version)
        everything = ["__consumer_offsets", "a", "b"]
        assert [topic.name for topic in empty.topics] == (everything if version == 0 else [])
        if version >= 1:
            response = await w.ask(MetadataRequest(topics=None), version)
            assert [topic.name for topic in response.topics] == everything
            assert [topic.is_internal for topic in response.topics] == [True, False, False]


@pytest.mark.parametrize("version", VERSIONS)
async def test_unknown_and_impossible_topics_are_told_apart(version: int) -> None:
    """3 for a topic that is not there, 17 for a name that no topic can have; auto-creation is off by configuration."""
    async with world({"auto.create.topics.enable": "false"}) as w:
        topics = by_name(await w.ask(request("none", "b ad", "", "__consumer_offsets"), version))
        assert topics["none"].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert topics["b ad"].error_code == topics[""].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert topics["__consumer_offsets"].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert topics["__consumer_offsets"].is_internal == (version >= 1)
        assert list(w.cluster.image.topics) == []


async def test_a_missing_topic_is_created_and_answered_with_its_leaders() -> None:
    """With num.partitions partitions, at once, where Kafka has clients come back."""
    async with world({"num.partitions": "3"}) as w:
        [topic] = (await w.ask(request("auto"), 12)).topics
        assert (topic.error_code, len(topic.partitions)) == (0, 3)
        assert topic.topic_id == w.cluster.image.topics["auto"].topic_id


async def test_a_request_may_forbid_creation_from_v4_on() -> None:
    """Consumers do; older versions cannot, and create."""
    async with world() as w:
        [topic] = (await w.ask(request("t", allow_auto_topic_creation=False), 4)).topics
        assert topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        [topic] = (await w.ask(request("t"), 3)).topics
        assert topic.error_code == 0


async def test_concurrent_requests_for_a_missing_topic_create_it_once() -> None:
    """Ten producers start at the same moment: one topic, one id."""
    async with world() as w:
        ids: set[bytes] = set()

        async def ask() -> None:
            [topic] = (await w.ask(request("t"), 12)).topics
            assert topic.error_code == 0
            ids.add(topic.topic_id)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert len(ids) == 1


async def test_an_internal_topic_is_created_as_such() -> None:
    """Asked for by name it gets the partitions and configs that coordinators want."""
    async with world() as w:
        [topic] = (await w.ask(request("__consumer_offsets"), 12)).topics
        assert (len(topic.partitions), topic.is_internal) == (50, True)


async def test_creation_that_cannot_be_says_so() -> None:
    """A name that collides is INVALID_TOPIC_EXCEPTION; Kafka has clients retry until they give up."""
    async with world() as w:
        await created(w, "a.b")
        [topic] = (await w.ask(request("a_b"), 12)).topics
        assert topic.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


async def test_a_topic_asked_for_twice_is_told_once() -> None:
    """As Kafka."""
    async with world() as w:
        assert len((await w.ask(request("t", "t"), 12)).topics) == 1


@pytest.mark.parametrize("version", versions_of(MetadataRequest, 12))
async def test_topics_can_be_asked_for_by_id(version: int) -> None:
    """Unknown ids are 100 and have no name; one id among the topics makes names be overlooked, as in Kafka."""
    async with world() as w:
        [made] = await created(w, "t")
        topics = [
            MetadataRequestTopic(name=None, topic_id=made.topic_id),
            MetadataRequestTopic(name=None, topic_id=b"\1" * 16),
            MetadataRequestTopic(name="not looked at"),
        ]
        known, unknown = (await w.ask(MetadataRequest(topics=topics), version)).topics
        assert (known.name, known.topic_id, known.error_code) == ("t", made.topic_id, 0)
        assert (unknown.name, unknown.topic_id) == (None, b"\1" * 16)
        assert unknown.error_code == ErrorCode.UNKNOWN_TOPIC_ID
        named = MetadataRequestTopic(name="another name", topic_id=made.topic_id)
        [topic] = (await w.ask(MetadataRequest(topics=[named]), version)).topics
        assert topic.name == "t"


@pytest.mark.parametrize("version", [10, 11])
async def test_ids_and_null_names_are_refused_before_v12(version: int) -> None:
    """The fields exist from v10 on; INVALID_REQUEST on every topic, no brokers."""
    async with world() as w:
        [made] = await created(w, "t")
        for topic in (MetadataRequestTopic(name=None), MetadataRequestTopic(name="t", topic_id=made.topic_id)):
            response = await w.ask(MetadataRequest(topics=[topic]), version)
            assert response.brokers == []
            assert [answer.error_code for answer in response.topics] == [ErrorCode.INVALID_REQUEST]


async def test_authorized_operations_are_told_when_asked_for() -> None:
    """Without an authorizer: all that a topic and a cluster support (KIP-430), the numbers Kafka gives."""
    async with world() as w:
        await created(w, "t")
        asked = request(
            "t",
            "none",
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=True,
            include_cluster_authorized_operations=True,
        )
        response = await w.ask(asked, 10)
        assert response.cluster_authorized_operations == 8096
        assert [topic.topic_authorized_operations for topic in response.topics] == [3576, 3576]


async def test_tens_of_thousands_of_partitions_can_be_described() -> None:
    """All at once, sharing the description of their partitions."""
    async with world() as w:
        for number in range(3):
            await created(w, f"t{number}", partitions=9_900)
        response = await w.ask(MetadataRequest(topics=None), 12)
        assert [len(topic.partitions) for topic in response.topics] == [9_900] * 3


async def test_the_rack_is_told() -> None:
    """broker.rack, for clients that look for a replica near by."""
    async with world({"broker.rack": "r1"}) as w:
        assert (await w.ask(MetadataRequest(topics=[]), 1)).brokers[0].rack == "r1"
