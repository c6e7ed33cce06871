"""Requests of the group APIs, and members of classic groups that are made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from tools.answers.stage import Stage, Topic

SESSION_MS = 30_000
UUID_LENGTH = 36
"""Letters at the end of a member's id, behind its client's."""


class Member(NamedTuple):
    """A member of a stable group of one, and its leader."""

    group: str
    member_id: str
    generation: int
    instance_id: str | None = None
    protocol_type: str | None = "consumer"
    protocol_name: str | None = "range"


def protocols(*names: str, metadata: bytes = b"metadata") -> list[JoinGroupRequestProtocol]:
    """Protocols that a consumer can take part in; `metadata` is what it has to say to the others.

    It must be a subscription: one that cannot be read has Kafka leave the whole group without an answer.
    """
    subscription = encode_subscription(ConsumerProtocolSubscription(topics=["t"], user_data=metadata), 0)
    return [JoinGroupRequestProtocol(name=name, metadata=subscription) for name in names]


def subscribed_to(*topics: str) -> list[JoinGroupRequestProtocol]:
    """What a consumer of these topics brings."""
    subscription = encode_subscription(ConsumerProtocolSubscription(topics=list(topics)), 0)
    return [JoinGroupRequestProtocol(name="range", metadata=subscription)]


def join(group: str, member_id: str = "", **fields: Any) -> JoinGroupRequest:
    """A member that wants in. Other fields have values that are fine."""
    defaults: dict[str, Any] = {
        "session_timeout_ms": SESSION_MS,
        "rebalance_timeout_ms": 30_000,
        "protocol_type": "consumer",
        "protocols": protocols("range"),
    }
    return JoinGroupRequest(group_id=group, member_id=member_id, **defaults | fields)


def sync(member: Member, assignments: dict[str, bytes] | None = None, **fields: Any) -> SyncGroupRequest:
    """A leader's sync, or with no assignments that of another member."""
    given = [SyncGroupRequestAssignment(member_id=each, assignment=what) for each, what in (assignments or {}).items()]
    defaults: dict[str, Any] = {
        "group_id": member.group,
        "generation_id": member.generation,
        "member_id": member.member_id,
        "protocol_type": member.protocol_type,
        "protocol_name": member.protocol_name,
        "assignments": given,
    }
    return SyncGroupRequest(**defaults | fields)


def beat(member: Member, **fields: Any) -> HeartbeatRequest:
    """A member says it is there."""
    defaults: dict[str, Any] = {
        "group_id": member.group,
        "generation_id": member.generation,
        "member_id": member.member_id,
    }
    return HeartbeatRequest(**defaults | fields)


def leave(version: int, group: str, *members: tuple[str, str | None]) -> LeaveGroupRequest:
    """Members (id, instance id) leave; before version 3 one at a time."""
    if version < 3:
        return LeaveGroupRequest(group_id=group, member_id=members[0][0])
    return LeaveGroupRequest(
        group_id=group, members=[MemberIdentity(member_id=each, group_instance_id=name) for each, name in members]
    )


def commit(
    group: str, topic: Topic, offset: int = 5, *, partition: int = 0, metadata: str | None = "", **fields: Any
) -> OffsetCommitRequest:
    """One partition's offset."""
    epoch = fields.pop("committed_leader_epoch", -1)
    part = OffsetCommitRequestPartition(
        partition_index=partition, committed_offset=offset, committed_leader_epoch=epoch, committed_metadata=metadata
    )
    asked = OffsetCommitRequestTopic(name=topic.name, topic_id=topic.topic_id, partitions=[part])
    return OffsetCommitRequest(group_id=group, **{"topics": [asked], **fields})


def committed_by(member: Member, topic: Topic, offset: int = 5, **fields: Any) -> OffsetCommitRequest:
    """What a member commits."""
    fields.setdefault("generation_id_or_member_epoch", member.generation)
    fields.setdefault("member_id", member.member_id)
    return commit(member.group, topic, offset, **fields)


def fetch_offsets(
    version: int, group: str, *topics: tuple[Topic, list[int]], everything: bool = False, **fields: Any
) -> OffsetFetchRequest:
    """What a group has committed for some partitions, or for all. In version 8 and above one group of many."""
    if version < 8:
        wanted = [OffsetFetchRequestTopic(name=topic.name, partition_indexes=each) for topic, each in topics]
        return OffsetFetchRequest(group_id=group, topics=None if everything else wanted, **fields)
    return OffsetFetchRequest(groups=[group_offsets(group, *topics, everything=everything)], **fields)


def group_offsets(
    group: str, *topics: tuple[Topic, list[int]], everything: bool = False, **fields: Any
) -> OffsetFetchRequestGroup:
    """One group in an OffsetFetch of version 8 and above."""
    asked = [
        OffsetFetchRequestTopics(name=topic.name, topic_id=topic.topic_id, partition_indexes=each)
        for topic, each in topics
    ]
    return OffsetFetchRequestGroup(group_id=group, topics=None if everything else asked, **fields)


def joined(stage: Stage, group: str, *, instance_id: str | None = None, **fields: Any) -> Member:
    """A new member, alone in its group, before it has synced."""
    first = stage.arrange(join(group, group_instance_id=instance_id, **fields))
    reply = first
    if first.error_code == 79:
        reply = stage.arrange(join(group, first.member_id, group_instance_id=instance_id, **fields))
    assert reply.error_code == 0, reply
    stage.learn(reply.member_id[-UUID_LENGTH:], f"<id of {instance_id or 'a member'}>")
    return Member(group, reply.member_id, reply.generation_id, instance_id, reply.protocol_type, reply.protocol_name)


def stable(stage: Stage, short: str = "g", *, instance_id: str | None = None, **fields: Any) -> Member:
    """The only member of a stable group."""
    member = joined(stage, stage.name(short), instance_id=instance_id, **fields)
    reply = stage.arrange(sync(member, {member.member_id: b"assignment"}, group_instance_id=instance_id))
    assert reply.error_code == 0, reply
    return member
