"""Requests of the consumer protocol (KIP-848), and members of such groups that are made of them.

Members bring ids of their own in both versions, because who owns what depends on them. Groups assign without delay, or
an answer would depend on the second in which it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kproto.messages.consumer_group_describe import ConsumerGroupDescribeRequest
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, TopicPartitions
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tools.answers.stage import Stage, Topic

GROUP_RESOURCE: Final = 32
JOINS: Final = 0
LEAVES: Final = -1
LEAVES_FOR_A_WHILE: Final = -2

Owned = Mapping[Topic, Sequence[int]]


def group(stage: Stage, short: str = "g", **configs: str) -> str:
    """A name for a group that assigns at once. `session_timeout_ms="45000"` sets `consumer.session.timeout.ms`."""
    name = stage.name(short)
    wanted = {"assignment_interval_ms": "0", **configs}
    entries = [
        AlterableConfig(name=f"consumer.{key.replace('_', '.')}", config_operation=0, value=value)
        for key, value in wanted.items()
    ]
    resource = AlterConfigsResource(resource_type=GROUP_RESOURCE, resource_name=name, configs=entries)
    reply = stage.arrange(IncrementalAlterConfigsRequest(resources=[resource]))
    assert reply.responses[0].error_code == 0, reply
    stage.settle()
    return name


def beat(
    group_id: str, member_id: str, epoch: int, owned: Owned | None = None, **fields: Any
) -> ConsumerGroupHeartbeatRequest:
    """A heartbeat that says only what `fields` and `owned` do."""
    partitions = None
    if owned is not None:
        partitions = [TopicPartitions(topic_id=topic.topic_id, partitions=list(each)) for topic, each in owned.items()]
    return ConsumerGroupHeartbeatRequest(
        group_id=group_id, member_id=member_id, member_epoch=epoch, topic_partitions=partitions, **fields
    )


def joins(group_id: str, member_id: str, *topics: Topic | str, **fields: Any) -> ConsumerGroupHeartbeatRequest:
    """The first heartbeat of a member that reads these topics."""
    names = [topic if isinstance(topic, str) else topic.name for topic in topics]
    wanted: dict[str, Any] = {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": names, **fields}
    return beat(group_id, member_id, JOINS, {}, **wanted)


def leaves(group_id: str, member_id: str, **fields: Any) -> ConsumerGroupHeartbeatRequest:
    """The last heartbeat of a member."""
    return beat(group_id, member_id, LEAVES, **fields)


def describe(*groups: str) -> ConsumerGroupDescribeRequest:
    """What a group of the consumer protocol is like."""
    return ConsumerGroupDescribeRequest(group_ids=list(groups))


def owned(reply: Any, *topics: Topic) -> dict[Topic, list[int]]:
    """The partitions that an answer assigns."""
    by_id = {topic.topic_id: topic for topic in topics}
    assignment = reply.assignment.topic_partitions if reply.assignment is not None else []
    return {by_id[each.topic_id]: list(each.partitions) for each in assignment}
