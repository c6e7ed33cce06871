"""What the consoles that people run beside a cluster ask of it, in the order in which they ask, and what they read.

kafka-ui, AKHQ and Redpanda Console hide pages, or fall back to older requests, by what a broker answers to a few
questions at the start. Each test is one of them at work on a broker without an authorizer. Versions are the newest,
which their clients (Kafka's for Java, franz-go) use. From reading their sources; what else their clients send is
compared with Kafka's answers elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from broker.coordinators.cluster import NewTopic
from broker.handlers import SERVED_VERSIONS
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.messages import alter_configs as legacy
from kproto.messages import incremental_alter_configs as incremental
from kproto.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kproto.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.describe_acls import DescribeAclsRequest
from kproto.messages.describe_client_quotas import DescribeClientQuotasRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.describe_log_dirs import DescribeLogDirsRequest
from kproto.messages.describe_producers import DescribeProducersRequest, TopicRequest
from kproto.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.list_partition_reassignments import ListPartitionReassignmentsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from kproto.schema.declare import Request

ANY: Final = 1
"""Of Kafka's filters: any kind of resource, pattern, operation, permission."""
BROKER, TOPIC = 4, 2
EARLIEST, LATEST = -2, -1


async def ask(w: World, request: Request, version: int | None = None) -> Any:
    """The reply in the newest version."""
    return await w.ask(request, SERVED_VERSIONS[request.api_key][1] if version is None else version)


async def populated(w: World) -> bytes:
    """A topic with two partitions, and a group with an offset in it. Returns the topic's id."""
    results = await w.cluster.create_topics([NewTopic("orders", 2)])
    await ask(w, FindCoordinatorRequest(key_type=0, coordinator_keys=["billing"]))
    partitions = [OffsetCommitRequestPartition(partition_index=0, committed_offset=0)]
    topics = [OffsetCommitRequestTopic(name="orders", partitions=partitions)]
    reply = await ask(w, OffsetCommitRequest(group_id="billing", generation_id_or_member_epoch=-1, topics=topics), 9)
    assert reply.topics[0].partitions[0].error_code == 0
    topic_id: bytes = results[0].topic_id  # type: ignore[union-attr]  # it was free
    return topic_id


def every_acl() -> DescribeAclsRequest:
    """All ACLs there are."""
    return DescribeAclsRequest(
        resource_type_filter=ANY, resource_name_filter=None, pattern_type_filter=ANY, principal_filter=None,
        host_filter=None, operation=ANY, permission_type=ANY,
    )  # fmt: skip


def configs_of(kind: int, name: str, *, documented: bool = True) -> DescribeConfigsRequest:
    """All configs of a resource, with all there is to know about them."""
    resource = DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
    return DescribeConfigsRequest(resources=[resource], include_synonyms=True, include_documentation=documented)


def offsets_of(timestamp: int) -> ListOffsetsRequest:
    """An offset of both partitions."""
    partitions = [ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index in (0, 1)]
    return ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="orders", partitions=partitions)])


async def test_kafka_ui_finds_what_the_cluster_can_do() -> None:
    """It looks for the controller, its configs, the release and whether there are ACLs."""
    async with world() as w:
        cluster = await ask(w, DescribeClusterRequest(include_cluster_authorized_operations=True))
        assert cluster.controller_id in {broker.broker_id for broker in cluster.brokers}
        described = (await ask(w, configs_of(BROKER, str(cluster.controller_id)))).results[0]
        assert described.error_code == 0
        values = {config.name: config.value for config in described.configs}
        assert values["delete.topic.enable"] == "true"
        assert all(config.documentation for config in described.configs)
        versions = await ask(w, ApiVersionsRequest(client_software_name="kafka-ui", client_software_version="1"))
        assert "metadata.version" in {feature.name for feature in versions.finalized_features}
        assert (await ask(w, every_acl())).error_code == ErrorCode.SECURITY_DISABLED
        quotas = await ask(w, DescribeClientQuotasRequest(components=[], strict=False))
        assert (quotas.error_code, quotas.entries) == (0, [])


async def test_kafka_ui_shows_topics_and_groups() -> None:
    """Sizes, offsets, producers and lags; each question about all there is."""
    async with world(groups=True) as w:
        topic_id = await populated(w)
        metadata = await ask(w, MetadataRequest(topics=None, include_topic_authorized_operations=True))
        assert "orders" in {topic.name for topic in metadata.topics}
        assert (await ask(w, configs_of(TOPIC, "orders"))).results[0].error_code == 0
        sizes = await ask(w, DescribeLogDirsRequest(topics=None))
        assert sizes.error_code == 0 and "orders" in {topic.name for topic in sizes.results[0].topics}
        for timestamp in (EARLIEST, LATEST):
            found = (await ask(w, offsets_of(timestamp))).topics[0].partitions
            assert [(part.error_code, part.offset) for part in found] == [(0, 0), (0, 0)]
        producers = DescribeProducersRequest(topics=[TopicRequest(name="orders", partition_indexes=[0, 1])])
        assert {part.error_code for part in (await ask(w, producers)).topics[0].partitions} == {0}
        listed = [group.group_id for group in (await ask(w, ListGroupsRequest())).groups]
        assert listed == ["billing"]
        assert (await ask(w, DescribeGroupsRequest(groups=listed))).groups[0].error_code == 0
        asked = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None) for group in listed])
        (group,) = (await ask(w, asked)).groups
        assert [(topic.topic_id, topic.partitions[0].committed_offset) for topic in group.topics] == [(topic_id, 0)]


async def test_kafka_ui_changes_topics() -> None:
    """Partitions, replicas, directories, records and a group's offsets."""
    async with world(groups=True) as w:
        await populated(w)
        more = CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name="orders", count=3, assignments=None)], timeout_ms=10_000
        )
        assert (await ask(w, more)).results[0].error_code == 0
        parts = [ReassignablePartition(partition_index=2, replicas=[1])]
        moved = AlterPartitionReassignmentsRequest(topics=[ReassignableTopic(name="orders", partitions=parts)])
        assert (await ask(w, moved)).responses[0].partitions[0].error_code == 0
        path = (await ask(w, DescribeLogDirsRequest(topics=None))).results[0].log_dir
        topics = [AlterReplicaLogDirTopic(name="orders", partitions=[0])]
        into = AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path=path, topics=topics)])
        assert (await ask(w, into)).results[0].partitions[0].error_code == 0
        gone = [DeleteRecordsTopic(name="orders", partitions=[DeleteRecordsPartition(partition_index=0, offset=-1)])]
        deleted = await ask(w, DeleteRecordsRequest(topics=gone, timeout_ms=10_000))
        assert deleted.topics[0].partitions[0].error_code == 0
        forgotten = [OffsetDeleteRequestTopic(name="orders", partitions=[OffsetDeleteRequestPartition()])]
        reply = await ask(w, OffsetDeleteRequest(group_id="billing", topics=forgotten))
        assert (reply.error_code, reply.topics[0].partitions[0].error_code) == (0, 0)


CONSOLE_PAGES: Final = {
    "topics' and brokers' configs": (32,), "groups": (15, 16), "delete records": (21,), "edit offsets": (8,),
    "delete groups": (42,), "delete offsets": (47,), "reassign partitions": (44, 45, 46), "quotas": (48,),
    "users": (50, 51),
}  # fmt: skip


@pytest.mark.parametrize("page", CONSOLE_PAGES)
async def test_redpanda_console_hides_no_page(page: str) -> None:
    """A page is shown if the broker lists what the page needs."""
    async with world() as w:
        reply = await ask(w, ApiVersionsRequest(client_software_name="kgo", client_software_version="1"))
        assert set(CONSOLE_PAGES[page]) <= {row.api_key for row in reply.api_keys}


async def test_redpanda_console_at_work() -> None:
    """It takes the cluster for Kafka, shows moves, quotas and users, and changes configs bit by bit."""
    async with world(groups=True) as w:
        await populated(w)
        assert not (await ask(w, MetadataRequest(topics=[]))).cluster_id.startswith("redpanda.")
        moving = await ask(w, ListPartitionReassignmentsRequest(topics=None))
        assert (moving.error_code, moving.topics) == (0, [])
        users = await ask(w, DescribeUserScramCredentialsRequest(users=None))
        assert (users.error_code, users.results) == (0, [])
        change = incremental.AlterableConfig(name="retention.ms", config_operation=0, value="7200000")
        resource = incremental.AlterConfigsResource(resource_type=TOPIC, resource_name="orders", configs=[change])
        altered = await ask(w, incremental.IncrementalAlterConfigsRequest(resources=[resource]))
        assert altered.responses[0].error_code == 0
        described = (await ask(w, configs_of(TOPIC, "orders", documented=False))).results[0]
        assert {config.name: config.value for config in described.configs}["retention.ms"] == "7200000"
        gone = await ask(w, DeleteGroupsRequest(groups_names=["billing"]))
        assert gone.results[0].error_code == 0


async def test_akhq_at_work() -> None:
    """The list of topics needs directories, configs are replaced as a whole, and ACLs that are off are no failure."""
    async with world(groups=True) as w:
        await populated(w)
        assert (await ask(w, DescribeLogDirsRequest(topics=None))).error_code == 0
        config = legacy.AlterableConfig(name="retention.ms", value="3600000")
        resource = legacy.AlterConfigsResource(resource_type=TOPIC, resource_name="orders", configs=[config])
        assert (await ask(w, legacy.AlterConfigsRequest(resources=[resource]))).responses[0].error_code == 0
        assert (await ask(w, every_acl())).error_code == ErrorCode.SECURITY_DISABLED
        made = [CreatableTopic(name="made", num_partitions=1, replication_factor=1)]
        assert (await ask(w, CreateTopicsRequest(topics=made, timeout_ms=10_000))).topics[0].error_code == 0
        gone = DeleteTopicsRequest(topics=[DeleteTopicState(name="made")], timeout_ms=10_000)
        assert (await ask(w, gone)).responses[0].error_code == 0
        forgotten = [OffsetDeleteRequestTopic(name="orders", partitions=[OffsetDeleteRequestPartition()])]
        reply = await ask(w, OffsetDeleteRequest(group_id="billing", topics=forgotten))
        assert reply.topics[0].partitions[0].error_code == 0
