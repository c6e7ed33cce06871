"""OffsetFetch: what was committed, in three shapes."""

from __future__ import annotations

import pytest

from broker.handlers import offset_fetch
from broker.testing.contexts import World, versions_of, world
from broker.tests.handlers.group_requests import commit_request, with_coordinator, with_topic
from kproto.errors import ErrorCode
from kproto.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)


async def _committed(w: World) -> None:
    await with_coordinator(w)
    await with_topic(w, partitions=2)
    request = commit_request((0, 5))
    request.topics[0].partitions[0].committed_metadata = "note"
    request.topics[0].partitions[0].committed_leader_epoch = 3
    await w.ask(request, 9)


@pytest.mark.parametrize("version", versions_of(OffsetFetchRequest, before=8))
async def test_old_versions_ask_for_one_group(version: int) -> None:
    """Never committed, unknown partition, unknown topic: -1 without an error."""
    async with world(groups=True) as w:
        await _committed(w)
        topics = [
            OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1, 9]),
            OffsetFetchRequestTopic(name="nope", partition_indexes=[0]),
        ]
        response = await w.ask(OffsetFetchRequest(group_id="g", topics=topics), version)
        assert response.error_code == ErrorCode.NONE
        assert [
            (topic.name, each.partition_index, each.committed_offset, each.metadata, each.error_code)
            for topic in response.topics
            for each in topic.partitions
        ] == [("t", 0, 5, "note", 0), ("t", 1, -1, "", 0), ("t", 9, -1, "", 0), ("nope", 0, -1, "", 0)]
        assert response.topics[0].partitions[0].committed_leader_epoch == (3 if version >= 5 else -1)


@pytest.mark.parametrize("version", versions_of(OffsetFetchRequest, 2, before=8))
async def test_null_means_everything(version: int) -> None:
    """All topics that the group has committed; none for an unknown group."""
    async with world(groups=True) as w:
        await _committed(w)
        response = await w.ask(OffsetFetchRequest(group_id="g", topics=None), version)
        assert [(topic.name, [each.committed_offset for each in topic.partitions]) for topic in response.topics] == [
            ("t", [5])
        ]
        assert (await w.ask(OffsetFetchRequest(group_id="unknown", topics=None), version)).topics == []


@pytest.mark.parametrize("version", [8, 9])
async def test_newer_versions_ask_for_many_groups(version: int) -> None:
    """KIP-709: each group in its own shard, answered in the order asked."""
    async with world(groups=True) as w:
        await _committed(w)
        groups = [
            OffsetFetchRequestGroup(group_id="unknown", topics=None),
            OffsetFetchRequestGroup(group_id="g", topics=None),
            OffsetFetchRequestGroup(
                group_id="g", topics=[OffsetFetchRequestTopics(name="t", partition_indexes=[1, 0])]
            ),
        ]
        response = await w.ask(OffsetFetchRequest(groups=groups), version)
        assert [
            (group.group_id, [each.committed_offset for topic in group.topics for each in topic.partitions])
            for group in response.groups
        ] == [("unknown", []), ("g", [5]), ("g", [-1, 5])]


async def test_version_10_names_topics_by_id() -> None:
    """In both directions; an unknown id is UNKNOWN_TOPIC_ID on each of its partitions."""
    async with world(groups=True) as w:
        await _committed(w)
        topic_id = w.cluster.image.topics["t"].topic_id
        groups = [
            OffsetFetchRequestGroup(
                group_id="g",
                topics=[
                    OffsetFetchRequestTopics(topic_id=topic_id, partition_indexes=[0]),
                    OffsetFetchRequestTopics(topic_id=b"x" * 16, partition_indexes=[0]),
                ],
            ),
            OffsetFetchRequestGroup(group_id="g", topics=None),
        ]
        asked, everything = (await w.ask(OffsetFetchRequest(groups=groups), 10)).groups
        assert [
            (topic.topic_id, topic.partitions[0].committed_offset, topic.partitions[0].error_code)
            for topic in asked.topics
        ] == [(topic_id, 5, 0), (b"x" * 16, -1, ErrorCode.UNKNOWN_TOPIC_ID)]
        assert [topic.topic_id for topic in everything.topics] == [topic_id]


async def test_a_deleted_topic_takes_its_offsets_along() -> None:
    """G8: they show no more, neither without the topic nor for a new one of the same name, and are forgotten soon."""
    async with world(groups=True) as w:
        await _committed(w)
        everything = OffsetFetchRequest(group_id="g", topics=None)
        await w.cluster.delete_topics([w.cluster.image.topics["t"].topic_id])
        assert (await w.ask(everything, 7)).topics == []
        await with_topic(w, partitions=2)
        assert (await w.ask(everything, 7)).topics == []
        await w.ask(commit_request((1, 8)), 9)
        [topic] = (await w.ask(everything, 7)).topics
        assert [(each.partition_index, each.committed_offset) for each in topic.partitions] == [(1, 8)]


@pytest.mark.parametrize("version", [1, 2, 7, 8, 10])
def test_a_refusal_has_its_place_in_each_shape(version: int) -> None:
    """Per partition in version 1, once from 2 on, per group from 8 on."""
    one = OffsetFetchRequestTopic(name="t", partition_indexes=[0])
    request = OffsetFetchRequest(group_id="g", topics=[one], groups=[OffsetFetchRequestGroup(group_id="g", topics=[])])
    response = offset_fetch.refuse(request, ErrorCode.NOT_COORDINATOR, version)
    if version == 1:
        assert [each.error_code for topic in response.topics for each in topic.partitions] == [16]
    elif version < 8:
        assert (response.error_code, response.topics) == (16, [])
    else:
        assert [(group.group_id, group.error_code) for group in response.groups] == [("g", 16)]
