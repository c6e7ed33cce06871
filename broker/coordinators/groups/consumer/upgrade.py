"""The records that make a consumer group of a classic one (`migration.py` says when, and what is not taken over).

    GroupMetadata                           a tombstone: the classic group is gone
    ConsumerGroupMemberMetadata             each member, with what it said in JoinGroup
    ConsumerGroupMetadata                   the generation is the epoch of all
    ConsumerGroupTargetAssignmentMember     what the leader has assigned to each,
    ConsumerGroupTargetAssignmentMetadata
    ConsumerGroupCurrentMemberAssignment    which it owns

They stand in one batch with those of the member that has caused it, so that a crash leaves the one group or the other.
With a thousand members that are three thousand records: an eighth of a second to make, encode and replay, and no other
client is served while a decision is taken. So for a group of `MANY` they are prepared before the decision, in slices
between which others are served, as those of many partitions are (decision 44). To the machine they are one
`UpgradedGroup`, which it replays in one step.

What was prepared is of the group as it was then. The decision sees whether it still is so (`is_of`). If a member has
come or gone meanwhile, or a topic has, it makes the records itself, as it does for few: slow, right, and rare.

Source: Kafka's ConsumerGroup.fromClassicGroup, ConsumerGroup.createConsumerGroupRecords.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from broker.coordinators.groups.classic.group import ClassicGroup, Protocol
from broker.coordinators.groups.consumer.group import ConsumerGroup, Shares
from broker.coordinators.groups.consumer.member import ConsumerMember, MemberState, owned
from broker.coordinators.groups.consumer.records import (
    assignment_record,
    epoch_record,
    metadata_record,
    target_epoch_record,
    target_record,
)
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.memory import Held
from broker.coordinators.groups.records import ConsumerRecord, GroupRecord, UpgradedGroup, encode_group_record
from broker.coordinators.groups.settings import GroupSettings
from kproto.batches.records import EncodedRecords, encode_record_parts
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.formats.consumer_offsets import ClassicMemberMetadata, ClassicProtocol
from kproto.formats.consumer_protocol import ConsumerProtocolAssignment, decode_assignment, decode_subscription
from kproto.ids import NO_TIMESTAMP, Uuid
from storage.seams.slices import Slices

MANY: Final = 50
"""Members from which on it is worth the trouble: so many take some six milliseconds."""


class _Member(NamedTuple):
    """What is taken over of a classic member."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout: int
    session_timeout: int
    protocols: Sequence[Protocol]
    assignment: bytes


class Upgrade:
    """A classic group on its way: as it was when this was made, whatever becomes of it meanwhile.

    Use: `make`, then `records` and `group` are there; or `prepare`, then `encoded` is as well, or `refusal`.
    """

    def __init__(self, group: ClassicGroup, settings: GroupSettings, topics: Topics) -> None:
        """Raises KafkaError(GROUP_ID_NOT_FOUND) where it is plain that it cannot be."""
        if not settings.consumer_migration.upgrades:
            raise _cannot(group.group_id, "group.consumer.migration.policy does not let it")
        if not group.uses_consumer_protocol:
            raise _cannot(group.group_id, "its members are no consumers")
        if len(group.members) > settings.consumer_max_size:
            raise _cannot(group.group_id, "it has more members than group.consumer.max.size allows")
        self._epoch = group.generation
        self._protocol = group.protocol_name or group.elect_protocol()
        self._members = _members(group)
        self._topics = topics
        self._version = topics.version
        self.group = ConsumerGroup(group.group_id, Held())
        """The group, once the records have been replayed into it."""
        self.records: list[GroupRecord] = [*group.tombstones()]
        self.encoded: EncodedRecords | None = None
        self.refusal: KafkaError | None = None

    def is_of(self, group: ClassicGroup) -> bool:
        """Whether the group, and the topics, are as they were."""
        return (
            self._version == self._topics.version
            and self._epoch == group.generation
            and self._protocol == (group.protocol_name or group.elect_protocol())
            and self._members == _members(group)
        )

    def drafted(self) -> Sequence[GroupRecord]:
        """What a decision writes, first of all."""
        return self.records if self.encoded is None else (UpgradedGroup(self.group),)

    def make(self) -> Iterator[None]:
        """Make the records, and replay them, step by step. Raises KafkaError(GROUP_ID_NOT_FOUND)."""
        members: list[ConsumerMember] = []
        taken: dict[Uuid, set[int]] = {}
        for each in self._members:
            members.append(self._upgraded(each, taken))
            yield
        for record in self._records(members):
            self.records.append(record)
            self.group.replay(record)
            yield

    async def prepare(self) -> None:
        """The same, and encode the records, in slices. Raises nothing: `refusal` says why it cannot be."""
        slices = Slices()
        try:
            async for _ in slices.over(self.make()):
                pass
        except KafkaError as error:
            self.refusal = error
            return
        data = (encode_group_record(record, NO_TIMESTAMP) for record in self.records)
        parts: list[bytes] = []
        async for encoded in slices.over(encode_record_parts(((each.key, each.value) for each in data), 0)):
            parts += encoded
        self.encoded = EncodedRecords(b"".join(parts), 0, len(self.records))

    def _records(self, members: Sequence[ConsumerMember]) -> Iterator[ConsumerRecord]:
        group_id = self.group.group_id
        yield from (metadata_record(group_id, member) for member in members)
        subscriptions = {member.topics for member in members}
        yield epoch_record(group_id, self._epoch, self._topics.hash_of(set().union(*subscriptions)))
        yield from (target_record(group_id, member.member_id, _shares(member)) for member in members)
        yield target_epoch_record(group_id, self._epoch, 0)
        yield from (assignment_record(group_id, member) for member in members)

    def _upgraded(self, member: _Member, taken: dict[Uuid, set[int]]) -> ConsumerMember:
        """`taken` has the partitions of the members before, and gets this one's."""
        group_id = self.group.group_id
        chosen = next((metadata for name, metadata in member.protocols if name == self._protocol), b"")
        try:
            subscription = decode_subscription(chosen)
            assignment = decode_assignment(member.assignment) if member.assignment else ConsumerProtocolAssignment()
        except ProtocolError as error:
            raise _cannot(group_id, f"what member {member.member_id!r} has cannot be read: {error}") from error
        if assignment.user_data:
            raise _cannot(group_id, "its assignor has data of its own, which would be lost")
        assigned = self._with_ids(assignment)
        for topic_id, partitions in assigned.items():
            its = taken.setdefault(topic_id, set())
            if not its.isdisjoint(partitions):
                raise _cannot(group_id, "a partition is assigned to two members")
            its.update(partitions)
        return ConsumerMember(
            member.member_id,
            instance_id=member.instance_id,
            rack_id=subscription.rack_id or None,
            client_id=member.client_id,
            client_host=member.client_host,
            topics=frozenset(subscription.topics),
            rebalance_timeout=member.rebalance_timeout,
            classic=ClassicMemberMetadata(
                session_timeout_ms=member.session_timeout,
                supported_protocols=[ClassicProtocol(name=name, metadata=data) for name, data in member.protocols],
            ),
            epoch=self._epoch,
            previous_epoch=self._epoch,
            state=MemberState.STABLE,
            assigned=owned(assigned, self._epoch),
        )

    def _with_ids(self, assignment: ConsumerProtocolAssignment) -> dict[Uuid, Sequence[int]]:
        """Topics that are gone are left out, and so are those without partitions."""
        return {
            topic.topic_id: each.partitions
            for each in assignment.assigned_partitions
            if each.partitions and (topic := self._topics.get(each.topic)) is not None
        }


def _members(group: ClassicGroup) -> list[_Member]:
    return [
        _Member(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.rebalance_timeout,
            member.session_timeout,
            member.protocols,
            member.assignment,
        )
        for member in group.members.values()
    ]


def _shares(member: ConsumerMember) -> Shares:
    return {topic_id: tuple(partitions) for topic_id, partitions in member.assigned.items()}


def _cannot(group_id: str, reason: str) -> KafkaError:
    return KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"group {group_id!r} cannot become a consumer group: {reason}")
