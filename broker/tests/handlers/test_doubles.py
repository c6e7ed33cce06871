"""Names that stand twice in one request: answered twice, once, or refused, as Kafka does for each API.

What is expected here is what a running Kafka answered. Where it answers twice, the work is done once.
"""

from __future__ import annotations

from broker.testing.contexts import world
from broker.tests.handlers.group_requests import committed_by, with_coordinator, with_member, with_topic
from kproto.errors import ErrorCode
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics
from kproto.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

TOPIC = 2


async def test_topics_of_metadata_are_answered_once() -> None:
    """Also those that do not exist."""
    async with world() as w:
        await with_topic(w)
        topics = [MetadataRequestTopic(name=name) for name in ("t", "t", "unknown", "unknown")]
        response = await w.ask(MetadataRequest(topics=topics, allow_auto_topic_creation=False), 9)
        assert [topic.name for topic in response.topics] == ["t", "unknown"]


async def test_keys_of_coordinators_are_answered_twice() -> None:
    """In the order asked."""
    async with world(groups=True) as w:
        response = await w.ask(FindCoordinatorRequest(coordinator_keys=["g", "h", "g"]), 4)
        assert [each.key for each in response.coordinators] == ["g", "h", "g"]


async def test_epochs_are_answered_twice() -> None:
    """A topic that stands twice, too."""
    async with world() as w:
        await with_topic(w)
        asked = OffsetForLeaderTopic(topic="t", partitions=[OffsetForLeaderPartition(partition=0, leader_epoch=0)] * 2)
        response = await w.ask(OffsetForLeaderEpochRequest(topics=[asked, asked]), 4)
        assert [[each.partition for each in topic.partitions] for topic in response.topics] == [[0, 0], [0, 0]]


async def test_groups_are_described_twice() -> None:
    """Known ones and unknown ones."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_member(w)
        response = await w.ask(DescribeGroupsRequest(groups=["g", "g", "unknown", "unknown"]), 5)
        assert [group.group_id for group in response.groups] == ["g", "g", "unknown", "unknown"]
        assert [len(group.members) for group in response.groups] == [1, 1, 0, 0]
        assert response.groups[0] == response.groups[1]


async def test_offsets_of_a_group_are_answered_twice() -> None:
    """Groups, topics and partitions, each as often as it stands there."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        wanted = OffsetFetchRequestTopics(name="t", partition_indexes=[0, 0])
        group = OffsetFetchRequestGroup(group_id="g", topics=[wanted, wanted])
        response = await w.ask(OffsetFetchRequest(groups=[group, group]), 8)
        found = [[[each.partition_index for each in t.partitions] for t in g.topics] for g in response.groups]
        assert found == [[[0, 0], [0, 0]]] * 2


async def test_the_last_of_two_commits_counts() -> None:
    """Each is answered."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        partitions = [OffsetCommitRequestPartition(partition_index=0, committed_offset=offset) for offset in (7, 5)]
        topics = [OffsetCommitRequestTopic(name="t", partitions=partitions)] * 2
        response = await w.ask(OffsetCommitRequest(group_id="g", topics=topics), 9)
        codes = [[each.error_code for each in topic.partitions] for topic in response.topics]
        assert codes == [[ErrorCode.NONE, ErrorCode.NONE]] * 2
        assert [each.offset for each in (await committed_by(w, "g")).values()] == [5]


async def test_a_topic_whose_offsets_are_deleted_is_answered_once() -> None:
    """With all its partitions, those that stand twice twice."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        await w.ask(
            OffsetCommitRequest(
                group_id="g",
                topics=[OffsetCommitRequestTopic(name="t", partitions=[OffsetCommitRequestPartition()])],
            ),
            9,
        )
        asked = OffsetDeleteRequestTopic(name="t", partitions=[OffsetDeleteRequestPartition(partition_index=0)] * 2)
        response = await w.ask(OffsetDeleteRequest(group_id="g", topics=[asked, asked]), 0)
        assert [(topic.name, len(topic.partitions)) for topic in response.topics] == [("t", 4)]


async def test_a_member_leaves_once() -> None:
    """The second time it is unknown."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        leaving = [MemberIdentity(member_id=member)] * 2
        response = await w.ask(LeaveGroupRequest(group_id="g", members=leaving), 4)
        assert [each.error_code for each in response.members] == [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID]


async def test_configs_are_described_twice() -> None:
    """Each with the keys that were asked for there, a key once."""
    async with world() as w:
        await with_topic(w)
        resources = [
            DescribeConfigsResource(resource_type=TOPIC, resource_name="t", configuration_keys=keys)
            for keys in (["retention.ms", "retention.ms"], ["retention.bytes"], ["retention.ms"])
        ]
        response = await w.ask(DescribeConfigsRequest(resources=resources), 4)
        names = [[entry.name for entry in result.configs] for result in response.results]
        assert names == [["retention.ms"], ["retention.bytes"], ["retention.ms"]]
