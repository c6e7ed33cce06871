"""From the classic to the consumer protocol and back, while members read on.

**Upgrade.** The first member of the consumer protocol that joins a classic group of consumers makes a consumer group of
it. The classic members stay, with what their leader has assigned to them as what they own and shall own; the generation
is the epoch of all. Clients that wait in a JoinGroup or SyncGroup are answered REBALANCE_IN_PROGRESS, and join again.
From then on classic members are served as `classic_members.py` says. The records are made in `upgrade.py`; here are
those of the way back.

**Downgrade.** When the last member of the consumer protocol goes, a group whose other members are classic becomes a
classic group again: STABLE, and all are asked to join. Each member is assigned what it may still be reading, and not,
as in Kafka, what it should own next: until it has joined it reads what it did, and if a member of the consumer protocol
comes before that, the group is upgraded with what is written here. With the next assignment a partition that one member
still reads would look free, and be given to another. A static member
that is restarted with the classic protocol in the place of the last one of the consumer protocol is not waited for: if
the group is not behind, it goes on as it is.

`group.consumer.migration.policy` says which of the two may happen. A group without members changes its kind whatever
the policy. What cannot be taken over is refused with GROUP_ID_NOT_FOUND, as if there were no group for this protocol:
groups that are not of consumers, subscriptions that cannot be read, assignments with data of a custom assignor, which
would be lost, or with one partition for two members.

Source: Kafka's GroupMetadataManager (convertToConsumerGroup, convertToClassicGroup), ClassicGroup.fromConsumerGroup.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from broker.coordinators.groups.classic.group import CONSUMER_PROTOCOL_TYPE, ClassicGroup, ClassicMember, Protocol
from broker.coordinators.groups.consumer.group import ConsumerGroup
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.memory import Held
from broker.coordinators.groups.records import GroupMetadataRecord, GroupRecord, group_metadata_size
from broker.coordinators.groups.settings import GroupSettings
from kproto.formats.consumer_offsets import GroupMetadataValue
from kproto.formats.consumer_protocol import (
    AssignedTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    encode_assignment,
)
from kproto.ids import Uuid

NEWEST_SUBSCRIPTION = ConsumerProtocolSubscription.max_version


def downgraded(
    group: ConsumerGroup,
    leaving: Collection[ConsumerMember],
    joining: ConsumerMember | None,
    settings: GroupSettings,
    topics: Topics,
    now_wall: int,
    *,
    rejoin: bool,
) -> list[GroupRecord] | None:
    """The records that make a classic group of a consumer group when these members leave it, or when `joining`, a
    static member of the classic protocol, takes the place of its former self. None if the group stays what it is.

    With `rejoin` its members are to join again. The record names no leader then, for a coordinator that loads it.
    """
    gone = {member.member_id for member in leaving}
    former = None if joining is None or joining.instance_id is None else group.static_member(joining.instance_id)
    if former is not None:
        if former.classic is not None:
            return None
        gone.add(former.member_id)
    stay = [member for member in group.members.values() if member.member_id not in gone]
    if joining is not None:
        stay.append(joining)
    if not stay or len(stay) > settings.max_size or any(member.classic is None for member in stay):
        return None
    if not settings.consumer_migration.downgrades:
        return None
    value = _classic_value(group, stay, topics, now_wall, led=not rejoin)
    if group_metadata_size(group.group_id, value) > settings.max_record:
        return None
    renamed = {} if former is None or joining is None else {former.member_id: joining.member_id}
    return [*group.tombstones(renamed), GroupMetadataRecord(group.group_id, value)]


def may_replace_last(group: ConsumerGroup, former: ConsumerMember, settings: GroupSettings) -> bool:
    """Whether a classic member that takes the place of `former`, a static one, may make a classic group of it."""
    return (
        former.instance_id is not None
        and former.classic is None
        and group.classic_members == len(group.members) - 1
        and len(group.members) <= settings.max_size
        and settings.consumer_migration.downgrades
    )


def _classic_value(
    group: ConsumerGroup, members: Sequence[ConsumerMember], topics: Topics, now_wall: int, *, led: bool
) -> GroupMetadataValue:
    classic = ClassicGroup(group.group_id, now_wall, Held())
    classic.generation = group.epoch
    for member in members:
        assert member.classic is not None
        classic.add(
            ClassicMember(
                member_id=member.member_id,
                instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout=member.rebalance_timeout,
                session_timeout=member.classic.session_timeout_ms,
                protocol_type=CONSUMER_PROTOCOL_TYPE,
                protocols=[Protocol(each.name, each.metadata) for each in member.classic.supported_protocols],
            )
        )
    classic.protocol_name = classic.elect_protocol()
    assignments: dict[str, bytes] = {}
    for member in members:
        metadata = classic.members[member.member_id].metadata(classic.protocol_name) or b""
        assignments[member.member_id] = classic_assignment(_read_by(member), subscription_version(metadata), topics)
    return classic.metadata_value(assignments, led=led)


def _read_by(member: ConsumerMember) -> dict[Uuid, list[int]]:
    """What a member may be reading: what it owns, and what it has not given up yet."""
    topic_ids = [*member.assigned, *(each for each in member.revoking if each not in member.assigned)]
    return {
        topic_id: sorted({**member.assigned.get(topic_id, {}), **member.revoking.get(topic_id, {})})
        for topic_id in topic_ids
    }


def subscription_version(metadata: bytes) -> int:
    """In which version a member speaks; the newest that is known here if its own is newer."""
    return max(0, min(int.from_bytes(metadata[:2], "big", signed=True), NEWEST_SUBSCRIPTION))


def classic_assignment(shares: Mapping[Uuid, Collection[int]], version: int, topics: Topics) -> bytes:
    """Partitions as SyncGroup gives them to a consumer. Topics that are gone are left out."""
    partitions = [
        AssignedTopicPartition(topic=topic.name, partitions=list(each))
        for topic_id, each in shares.items()
        if (topic := topics.by_id(topic_id)) is not None
    ]
    return encode_assignment(ConsumerProtocolAssignment(assigned_partitions=partitions), version)
