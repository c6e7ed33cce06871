"""How a member gets from what it owns to what it shall own, one step with each heartbeat.

The target assignment says at once who shall own what. A partition changes hands in three steps that take as long as
the members need:

1. its owner is told to give it up, and still counts as its owner (UNREVOKED_PARTITIONS);
2. the owner says in a heartbeat that it reads it no longer: now no member owns it;
3. the member that shall have it finds it free at its own next heartbeat, and gets it. Until then it has what is free
   already (UNRELEASED_PARTITIONS).

So no partition ever has two owners, and members keep reading what stays theirs. A member comes to the epoch of the
target in step 2, when it has given up all that it had to; what it waits for does not hold its epoch back.

Whether a partition is free is asked of the group as its records say it: two decisions cannot give away one partition,
since the second sees the first replayed.

A topic that the member no longer subscribes to is taken from it at once, before there is another target.

Source: Kafka's CurrentAssignmentBuilder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

from broker.coordinators.groups.consumer.member import NOTHING, ConsumerMember, MemberState, Owned, Partitions
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import Uuid
from kproto.messages.consumer_group_heartbeat import TopicPartitions

UNKNOWN_STATE_TEXT = (
    "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin."
)


class Target(NamedTuple):
    """Where a member is to get to."""

    epoch: int
    partitions: Mapping[Uuid, Sequence[int]]


def reconcile(
    member: ConsumerMember,
    target: Target,
    subscribed: Set[Uuid],
    is_taken: Callable[[Uuid, int], bool],
    claimed: Sequence[TopicPartitions] | None,
    *,
    subscription_changed: bool,
) -> ConsumerMember:
    """The member after its next step; the same object if there is none.

    `subscribed` are the topics that it reads, `is_taken` says whether any member owns a partition, and `claimed` is
    what the member says it owns, None if it does not say. Raises KafkaError(FENCED_MEMBER_EPOCH).
    """
    match member.state:
        case MemberState.STABLE if member.epoch == target.epoch:
            return _drop_unsubscribed(member, subscribed, claimed) if subscription_changed else member
        case MemberState.UNREVOKED_PARTITIONS if _claims(claimed, member.revoking):
            return _drop_unsubscribed(member, subscribed, claimed) if subscription_changed else member
        case MemberState.UNKNOWN:
            if claimed is None or claimed:
                raise KafkaError(ErrorCode.FENCED_MEMBER_EPOCH, UNKNOWN_STATE_TEXT)
            return _step(member, target.epoch, target, subscribed, is_taken, claimed)
    return _step(member, member.epoch, target, subscribed, is_taken, claimed)


def _claims(claimed: Sequence[TopicPartitions] | None, partitions: Owned) -> bool:
    """Whether the member may still have one of these: it says so, or it does not say."""
    if claimed is None:
        return True
    return any(
        not partitions.get(each.topic_id, {}).keys().isdisjoint(each.partitions)
        for each in claimed
        if each.topic_id in partitions
    )


def _drop_unsubscribed(
    member: ConsumerMember, subscribed: Set[Uuid], claimed: Sequence[TopicPartitions] | None
) -> ConsumerMember:
    """Without the topics that it no longer reads."""
    dropped = {topic_id: epochs for topic_id, epochs in member.assigned.items() if topic_id not in subscribed}
    if not dropped:
        return member
    kept = {topic_id: epochs for topic_id, epochs in member.assigned.items() if topic_id not in dropped}
    revoking = dict(member.revoking)
    for topic_id, epochs in dropped.items():
        revoking[topic_id] = {**revoking.get(topic_id, {}), **epochs}
    if _claims(claimed, revoking):
        return member.at_epoch(member.epoch)._replace(
            state=MemberState.UNREVOKED_PARTITIONS, assigned=kept, revoking=revoking
        )
    return member.at_epoch(member.epoch)._replace(assigned=kept)


def _step(
    member: ConsumerMember,
    present_epoch: int,
    target: Target,
    subscribed: Set[Uuid],
    is_taken: Callable[[Uuid, int], bool],
    claimed: Sequence[TopicPartitions] | None,
) -> ConsumerMember:
    kept: dict[Uuid, Partitions] = {}
    revoking: dict[Uuid, Partitions] = {}
    free: dict[Uuid, list[int]] = {}
    waits = False
    for topic_id in {**target.partitions, **member.assigned}:
        wanted = target.partitions.get(topic_id, ()) if topic_id in subscribed else ()
        has = member.assigned.get(topic_id, {})
        if len(wanted) == len(has) and all(partition in has for partition in wanted):
            if has:
                kept[topic_id] = has
            continue
        giving_up = member.revoking.get(topic_id, {})
        stays = {partition: has[partition] for partition in wanted if partition in has}
        missing = [partition for partition in wanted if partition not in has]
        found = [each for each in missing if each in giving_up or not is_taken(topic_id, each)]
        waits = waits or len(found) < len(missing)
        if stays:
            kept[topic_id] = stays
        if len(stays) < len(has):
            revoking[topic_id] = {partition: epoch for partition, epoch in has.items() if partition not in stays}
        if found:
            free[topic_id] = found
    if revoking and _claims(claimed, revoking):
        return member.at_epoch(present_epoch)._replace(
            state=MemberState.UNREVOKED_PARTITIONS, assigned=kept, revoking=revoking
        )
    for topic_id, partitions in free.items():
        kept[topic_id] = {**kept.get(topic_id, {}), **dict.fromkeys(partitions, target.epoch)}
    return member.at_epoch(target.epoch)._replace(
        state=MemberState.UNRELEASED_PARTITIONS if waits else MemberState.STABLE, assigned=kept, revoking=NOTHING
    )
