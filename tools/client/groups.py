"""Groups as a client sees them, of the classic protocol and of KIP-848's: members, what they read, what is committed.

A group is described by ConsumerGroupDescribe if its broker says it is of that protocol (KIP-848), else by
DescribeGroups. Share and streams groups are listed, described by their state only, and never changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from kproto.errors import ErrorCode
from kproto.formats.consumer_protocol import decode_assignment
from kproto.ids import TopicPartition
from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from tools.client.cluster import LATEST, Cluster, check

BY_NAME = 9
"""The newest version of OffsetCommit and OffsetFetch that has topics by their names; later ones have ids."""
EMPTY_STATES = ("Empty", "Dead")


class ListedGroup(NamedTuple):
    """What ListGroups says. `type` and `state` are empty for brokers that do not say."""

    id: str
    type: str
    protocol: str
    state: str


class Member(NamedTuple):
    """A member, and the partitions that it has been given."""

    id: str
    instance: str | None
    host: str
    client: str
    partitions: list[TopicPartition]
    epoch: int | None
    """Of the member, in KIP-848's protocol."""


class DescribedGroup(NamedTuple):
    """A group; `exists` is False for an id that no group has."""

    id: str
    type: str
    state: str
    assignor: str
    coordinator: int
    epoch: int | None
    members: list[Member]
    exists: bool = True


class Committed(NamedTuple):
    """What a group has committed for a partition; an offset of -1: nothing."""

    offset: int
    metadata: str | None


def list_groups(cluster: Cluster, states: Iterable[str] = (), types: Iterable[str] = ()) -> list[ListedGroup]:
    """The groups of all brokers, by id. Raises Refused."""
    request = ListGroupsRequest(states_filter=list(states), types_filter=list(types))
    found = []
    for node in cluster.nodes():
        reply = cluster.settled(partial(cluster.ask, request, node=node.id), lambda reply: reply.error_code)
        check(reply.error_code)
        found += [
            ListedGroup(group.group_id, group.group_type, group.protocol_type, group.group_state)
            for group in reply.groups
        ]
    return sorted(found)


def describe_group(cluster: Cluster, group: str) -> DescribedGroup:
    """A group and its members. Raises Refused."""
    coordinator = cluster.coordinator(group)
    if cluster.serves(ConsumerGroupDescribeRequest):
        request = ConsumerGroupDescribeRequest(group_ids=[group])
        reply = cluster.ask_coordinator(group, request, lambda reply: reply.groups[0].error_code)
        found = reply.groups[0]
        if found.error_code != ErrorCode.GROUP_ID_NOT_FOUND:
            check(found.error_code, found.error_message)
            return _of_kip848(found, coordinator)
    reply = cluster.ask_coordinator(
        group, DescribeGroupsRequest(groups=[group]), lambda reply: reply.groups[0].error_code
    )
    found = reply.groups[0]
    gone = found.error_code == ErrorCode.GROUP_ID_NOT_FOUND
    if not gone:
        check(found.error_code, found.error_message)
    return _of_classic(found, coordinator, exists=not gone and found.group_state != "Dead")


def _of_kip848(group: Any, coordinator: int) -> DescribedGroup:
    members = [
        Member(
            member.member_id,
            member.instance_id,
            member.client_host,
            member.client_id,
            sorted(
                TopicPartition(topic.topic_name, partition)
                for topic in member.assignment.topic_partitions
                for partition in topic.partitions
            ),
            member.member_epoch,
        )
        for member in group.members
    ]
    return DescribedGroup(
        group.group_id, "Consumer", group.group_state, group.assignor_name, coordinator, group.group_epoch, members
    )


def _of_classic(group: Any, coordinator: int, *, exists: bool) -> DescribedGroup:
    members = []
    for member in group.members:
        partitions = []
        if group.protocol_type == "consumer" and member.member_assignment:
            assignment = decode_assignment(bytes(member.member_assignment))
            partitions = [
                TopicPartition(topic.topic, partition)
                for topic in assignment.assigned_partitions
                for partition in topic.partitions
            ]
        members.append(
            Member(member.member_id, member.group_instance_id, member.client_host, member.client_id,
                   sorted(partitions), None)
        )  # fmt: skip
    return DescribedGroup(
        group.group_id, "Classic", group.group_state, group.protocol_data, coordinator, None, members, exists
    )


def committed_offsets(cluster: Cluster, group: str) -> dict[TopicPartition, Committed]:
    """All that a group has committed. Raises Refused."""
    if cluster.newest(OffsetFetchRequest) >= 8:
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
    else:
        request = OffsetFetchRequest(group_id=group, topics=None)
    reply = cluster.ask_coordinator(
        group, request, lambda reply: (reply.groups[0] if reply.groups else reply).error_code, newest=BY_NAME
    )
    found = reply.groups[0] if reply.groups else reply
    check(found.error_code)
    return {
        TopicPartition(topic.name, each.partition_index): Committed(each.committed_offset, each.metadata)
        for topic in found.topics
        for each in topic.partitions
    }


def commit_offsets(cluster: Cluster, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit for a group that has no members. Raises Refused."""
    topics: dict[str, OffsetCommitRequestTopic] = {}
    for place, offset in offsets.items():
        topic = topics.setdefault(place.topic, OffsetCommitRequestTopic(name=place.topic, partitions=[]))
        topic.partitions.append(
            OffsetCommitRequestPartition(
                partition_index=place.partition, committed_offset=offset, committed_metadata=""
            )
        )
    request = OffsetCommitRequest(group_id=group, topics=list(topics.values()))
    reply = cluster.ask_coordinator(
        group, request, lambda reply: reply.topics[0].partitions[0].error_code, newest=BY_NAME
    )
    for done in reply.topics:
        for each in done.partitions:
            check(each.error_code, what=f"{done.name}-{each.partition_index}")


def delete_group(cluster: Cluster, group: str) -> None:
    """Delete a group that has no members. Raises Refused."""
    request = DeleteGroupsRequest(groups_names=[group])
    (result,) = cluster.ask_coordinator(group, request, lambda reply: reply.results[0].error_code).results
    check(result.error_code, result.error_message)


def delete_offsets(cluster: Cluster, group: str, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Forget what a group has committed for these partitions; each with its error code, 0 if it is done."""
    topics: dict[str, OffsetDeleteRequestTopic] = {}
    for place in places:
        topic = topics.setdefault(place.topic, OffsetDeleteRequestTopic(name=place.topic, partitions=[]))
        topic.partitions.append(OffsetDeleteRequestPartition(partition_index=place.partition))
    request = OffsetDeleteRequest(group_id=group, topics=list(topics.values()))
    reply = cluster.ask_coordinator(group, request, lambda reply: reply.error_code)
    check(reply.error_code)
    return {
        TopicPartition(topic.name, each.partition_index): each.error_code
        for topic in reply.topics
        for each in topic.partitions
    }


def log_ends(cluster: Cluster, places: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
    """The end of each partition's log; None where there is no leader to ask."""
    return {
        place: None if found.error else found.offset
        for place, found in cluster.offsets(dict.fromkeys(places, LATEST)).items()
    }
