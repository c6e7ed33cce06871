"""Consumer groups as administrators and committing members see them."""

from __future__ import annotations

from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from kproto.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from tools.answers.consumer_requests import beat, describe, group, joins, leaves, owned
from tools.answers.group_requests import stable
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


def commit(
    group_id: str, topic: Topic, member_id: str, epoch: int, instance_id: str | None = None
) -> OffsetCommitRequest:
    """A commit of offset 5 in the newest version, which names topics by id."""
    partition = OffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata="")
    return OffsetCommitRequest(
        group_id=group_id,
        member_id=member_id,
        generation_id_or_member_epoch=epoch,
        group_instance_id=instance_id,
        topics=[OffsetCommitRequestTopic(topic_id=topic.topic_id, partitions=[partition])],
    )


def fetch(group_id: str, topic: Topic, member_id: str | None, epoch: int) -> OffsetFetchRequest:
    """What is committed, asked by a member."""
    topics = [OffsetFetchRequestTopics(topic_id=topic.topic_id, partition_indexes=[0])]
    return OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group_id=group_id, member_id=member_id, member_epoch=epoch, topics=topics)]
    )


@scenario(ConsumerGroupDescribeRequest)
def describing(stage: Stage) -> None:
    topic, name = stage.topic("t", 2), group(stage)
    unknown = stage.name("unknown")
    stage.ask("none", describe())
    stage.ask("unknown", describe(unknown))
    stage.ask("no name", describe(""))
    classic = stable(stage, "classic")
    stage.ask("a classic group", describe(classic.group))
    reply = stage.arrange(joins(name, "member-a", topic, rack_id="rack", instance_id="one"))
    stage.ask("one member", describe(name))
    stage.arrange(beat(name, "member-a", reply.member_epoch, owned(reply, topic), instance_id="one"))
    stage.ask("stable", describe(name))
    stage.ask("several", describe(name, unknown, classic.group))
    stage.ask("the same twice", describe(name, name))
    stage.ask(
        "what one may do",
        ConsumerGroupDescribeRequest(group_ids=[name], include_authorized_operations=True),
    )
    stage.ask("as classic", DescribeGroupsRequest(groups=[name]))
    stage.arrange(leaves(name, "member-a", instance_id="one"))
    stage.ask("left by all", describe(name))
    stage.ask("as classic when left by all", DescribeGroupsRequest(groups=[name]))
    stage.ask("deleted", DeleteGroupsRequest(groups_names=[name]))
    stage.ask("described when deleted", describe(name))


@scenario(ConsumerGroupDescribeRequest)
def listing_consumer_groups(stage: Stage) -> None:
    """States and types of all kinds of groups."""
    topic = stage.topic("t", 2)
    empty, lone, waiting = group(stage, "empty"), group(stage, "lone"), group(stage, "waiting")
    stage.arrange(joins(empty, "member-a", topic))
    stage.arrange(leaves(empty, "member-a"))
    reply = stage.arrange(joins(lone, "member-a", topic))
    stage.arrange(beat(lone, "member-a", reply.member_epoch, owned(reply, topic)))
    reply = stage.arrange(joins(waiting, "member-a", topic))
    stage.arrange(beat(waiting, "member-a", reply.member_epoch, owned(reply, topic)))
    stage.arrange(joins(waiting, "member-b", topic))
    stable(stage, "classic")
    stage.ask("all", ListGroupsRequest(), only_mine=True)
    for state in ("Empty", "Stable", "Reconciling", "Assigning", "reconciling", "Dead", "PreparingRebalance"):
        stage.ask(f"in state {state}", ListGroupsRequest(states_filter=[state]), only_mine=True)
    for kind in ("consumer", "Consumer", "classic", "share", "what"):
        stage.ask(f"of type {kind}", ListGroupsRequest(types_filter=[kind]), only_mine=True)
    stage.ask(
        "stable consumers", ListGroupsRequest(states_filter=["Stable"], types_filter=["consumer"]), only_mine=True
    )
    stage.ask("delete one that has members", DeleteGroupsRequest(groups_names=[lone]))
    stage.ask("delete an empty one", DeleteGroupsRequest(groups_names=[empty]))


@scenario(ConsumerGroupHeartbeatRequest)
def offsets_of_members(stage: Stage) -> None:
    """A member commits and fetches with its epoch; an older one is stale, and strangers are refused."""
    topic, name = stage.topic("t", 2), group(stage)
    a = stage.arrange(joins(name, "member-a", topic))
    epoch = a.member_epoch
    stage.arrange(beat(name, "member-a", epoch, owned(a, topic)))
    stage.ask("commits", commit(name, topic, "member-a", epoch))
    stage.ask("commits with an old epoch", commit(name, topic, "member-a", epoch - 1))
    stage.ask("commits with a new epoch", commit(name, topic, "member-a", epoch + 1))
    stage.ask("a stranger commits", commit(name, topic, "stranger", epoch))
    stage.ask("an outsider commits", commit(name, topic, "", -1))
    stage.ask("commits by name, version 9", by_name(commit(name, topic, "member-a", epoch), topic), version=9)
    stage.ask("commits with an old epoch, version 8", by_name(commit(name, topic, "member-a", 0), topic), version=8)
    stage.ask("fetches", fetch(name, topic, "member-a", epoch))
    stage.ask("fetches with an old epoch", fetch(name, topic, "member-a", epoch - 1))
    stage.ask("fetches with a new epoch", fetch(name, topic, "member-a", epoch + 1))
    stage.ask("a stranger fetches", fetch(name, topic, "stranger", epoch))
    stage.ask("an outsider fetches", fetch(name, topic, None, -1))
    stage.ask("an unknown group is fetched", fetch(stage.name("unknown"), topic, "member-a", 1))
    partition = OffsetDeleteRequestPartition(partition_index=0)
    forgetting = OffsetDeleteRequest(
        group_id=name, topics=[OffsetDeleteRequestTopic(name=topic.name, partitions=[partition])]
    )
    stage.ask("a subscribed offset is deleted", forgetting)
    stage.arrange(leaves(name, "member-a"))
    stage.ask("commits after leaving", commit(name, topic, "member-a", epoch))
    stage.ask("fetches after leaving", fetch(name, topic, "member-a", epoch))
    stage.ask("an outsider commits to the empty group", commit(name, topic, "", -1))
    stage.ask("an offset of the empty group is deleted", forgetting)
    stage.ask("a group that is not, with an epoch", commit(stage.name("unknown"), topic, "member-a", 1))


def by_name(request: OffsetCommitRequest, topic: Topic) -> OffsetCommitRequest:
    """The same commit as versions before 10 say it."""
    for each in request.topics:
        each.name, each.topic_id = topic.name, bytes(16)
    return request
