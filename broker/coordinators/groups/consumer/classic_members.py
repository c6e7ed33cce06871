"""Members of the classic protocol in a consumer group, while it is upgraded or downgraded (`migration.py`).

They speak as ever, and are answered from the state of a consumer group: their generation is their epoch, and what a
leader would have assigned to them is what they own. There is no leader, and no member waits for another.

    JoinGroup    says what the member subscribes to and still owns, and is a step towards its target
    SyncGroup    is answered what it owns
    Heartbeat    REBALANCE_IN_PROGRESS, if a step is to be taken: to give up partitions, or to get what is free
    LeaveGroup   it is gone; members of the other protocol can be removed by it as well

So a rebalance is a JoinGroup and a SyncGroup of each classic member on its own, and incremental for those whose
assignor is cooperative; others give up all before they join, and get it back with their next SyncGroup.

Silence is what ends patience here too: a member that was told to join has its rebalance timeout to do so (JOIN), and as
much again for its SyncGroup (SYNC).

Source: Kafka's GroupMetadataManager (classicGroupJoinToConsumerGroup and its like).
"""

from __future__ import annotations

from typing import Final

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.classic.group import CONSUMER_PROTOCOL_TYPE
from broker.coordinators.groups.consumer.group import ConsumerGroup
from broker.coordinators.groups.consumer.member import ConsumerMember, MemberState
from broker.coordinators.groups.consumer.migration import classic_assignment, may_replace_last, subscription_version
from broker.coordinators.groups.consumer.protocol import ConsumerProtocol, unknown_member
from broker.coordinators.groups.consumer.steps import Change, Steps
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import UNKNOWN_MEMBER_ID, Caller, Draft, Timer, TimerName
from broker.coordinators.groups.settings import GroupSettings, MigrationPolicy
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.formats.consumer_offsets import ClassicMemberMetadata, ClassicProtocol
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, decode_subscription
from kproto.ids import format_uuid
from kproto.messages.consumer_group_heartbeat import TopicPartitions
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import MemberIdentity, MemberResponse
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

FIRST_JOIN_WITH_KNOWN_ID: Final = 4
"""The version of JoinGroup from which on a member comes back with the id that it was given (KIP-394)."""


class ClassicMembers:
    """The decisions about classic members of one shard's consumer groups. A KafkaError that is raised is the answer."""

    def __init__(
        self,
        settings: GroupSettings,
        entropy: Entropy,
        deadlines: Deadlines[TimerName],
        steps: Steps,
        protocol: ConsumerProtocol,
        topics: Topics,
    ) -> None:
        self._settings = settings
        self._entropy = entropy
        self._deadlines = deadlines
        self._steps = steps
        self._protocol = protocol
        self._topics = topics

    # --- join

    def join(self, group: ConsumerGroup, request: JoinGroupRequest, caller: Caller, draft: Draft) -> JoinGroupResponse:
        """JoinGroup, into a consumer group that has members. Raises KafkaError: INCONSISTENT_GROUP_PROTOCOL,
        GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, UNKNOWN_SERVER_ERROR."""
        if self._settings.consumer_migration is MigrationPolicy.DISABLED:
            text = "group.consumer.migration.policy lets no member of the classic protocol in"
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, text)
        is_unknown = request.member_id == UNKNOWN_MEMBER_ID
        member_id = format_uuid(self._entropy.uuid()) if is_unknown else request.member_id
        instance_id = request.group_instance_id
        self._protocol.check_room(group, member_id, instance_id)
        if not _supports(group, request):
            text = "the member offers no protocol that all classic members of the group could use"
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, text)
        if is_unknown and instance_id is None and caller.api_version >= FIRST_JOIN_WITH_KNOWN_ID:
            return JoinGroupResponse(error_code=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id)
        subscription = _subscription(request)
        old = self._known(group, member_id, instance_id, is_unknown=is_unknown)
        before = old or ConsumerMember(member_id)
        if is_unknown and old is not None:
            before = self._steps.replace(group, old, member_id, draft)
        updated = _updated(before, request, subscription, caller)
        self._protocol.check_size(group, old, updated, is_new=False)
        change = self._steps.change(group, old, before, updated, draft)
        claimed = self._claimed(subscription)
        if old is not None and may_replace_last(group, old, self._settings):
            lags = group.assignment_epoch < change.epoch
            joined = updated if lags else self._step(group, updated, change, claimed, draft)
            if self._steps.downgrade(group, [], joined, draft, rejoin=lags):
                return _joined(joined)
        stepped = self._steps.settle(group, old, updated, change, claimed, draft)
        self._deadlines.cancel(TimerName(Timer.JOIN, group.group_id, member_id))
        self._protocol.renew(group, stepped, draft.now)
        self._set(Timer.SYNC, group, stepped, draft.now)
        return _joined(stepped)

    def _known(
        self, group: ConsumerGroup, member_id: str, instance_id: str | None, *, is_unknown: bool
    ) -> ConsumerMember | None:
        """What the group has of the member; None if it is new."""
        if instance_id is None:
            return group.members.get(member_id)
        if is_unknown:
            return group.static_member(instance_id)
        return self._protocol.static_member(group, member_id, instance_id)

    def _step(
        self,
        group: ConsumerGroup,
        member: ConsumerMember,
        change: Change,
        claimed: list[TopicPartitions],
        draft: Draft,
    ) -> ConsumerMember:
        """The member after its next step towards the target that is written down."""
        target = self._steps.present_target(group, member)
        return self._steps.step(group, member, target, claimed, draft, subscription_changed=change.subscription)

    def _claimed(self, subscription: ConsumerProtocolSubscription) -> list[TopicPartitions]:
        """What the member says it owns, with ids instead of names."""
        return [
            TopicPartitions(topic_id=topic.topic_id, partitions=each.partitions)
            for each in subscription.owned_partitions
            if (topic := self._topics.get(each.topic)) is not None
        ]

    # --- sync and heartbeat

    def sync(self, group: ConsumerGroup, request: SyncGroupRequest, now: Instant) -> SyncGroupResponse:
        """SyncGroup. Raises KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION,
        INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS."""
        member = self._member(group, request.member_id, request.group_instance_id, request.generation_id)
        assert member.classic is not None
        protocol = member.classic.supported_protocols[0]
        if request.protocol_type not in (None, CONSUMER_PROTOCOL_TYPE) or request.protocol_name not in (
            None,
            protocol.name,
        ):
            text = f"the protocol of member {member.member_id!r} is {protocol.name!r}, of consumers"
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, text)
        if group.assignment_epoch > member.epoch and member.state is not MemberState.UNREVOKED_PARTITIONS:
            self._ask_to_join(group, member, now)
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        self._deadlines.cancel(TimerName(Timer.SYNC, group.group_id, member.member_id))
        self._protocol.renew(group, member, now)
        return SyncGroupResponse(
            protocol_type=request.protocol_type,
            protocol_name=request.protocol_name,
            assignment=classic_assignment(member.assigned, subscription_version(protocol.metadata), self._topics),
        )

    def heartbeat(self, group: ConsumerGroup, request: HeartbeatRequest, now: Instant) -> ErrorCode:
        """Heartbeat. Raises KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION."""
        member = self._member(group, request.member_id, request.group_instance_id, request.generation_id)
        self._protocol.renew(group, member, now)
        if (
            member.epoch < group.assignment_epoch
            or member.state is MemberState.UNREVOKED_PARTITIONS
            or (member.state is MemberState.UNRELEASED_PARTITIONS and not self._waits(group, member))
        ):
            self._ask_to_join(group, member, now)
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def _waits(self, group: ConsumerGroup, member: ConsumerMember) -> bool:
        """Whether a partition that the member shall have is still another's."""
        return any(
            partition not in member.assigned.get(topic_id, {}) and group.is_taken(topic_id, partition)
            for topic_id, partitions in group.target_of(member).items()
            for partition in partitions
        )

    def _member(self, group: ConsumerGroup, member_id: str, instance_id: str | None, generation: int) -> ConsumerMember:
        member = group.members.get(member_id)
        if instance_id is not None:
            member = self._protocol.static_member(group, member_id, instance_id)
        if member is None or member.classic is None:
            raise unknown_member(group, member_id)
        if member.epoch != generation:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        return member

    # --- leaving

    def leave(self, group: ConsumerGroup, leavers: list[MemberIdentity], draft: Draft) -> list[MemberResponse]:
        """LeaveGroup of these members, of whatever protocol."""
        gone: dict[str, ConsumerMember] = {}
        answers = []
        for leaver in leavers:
            answer = MemberResponse(member_id=leaver.member_id, group_instance_id=leaver.group_instance_id)
            answers.append(answer)
            try:
                member = self._leaver(group, leaver)
                gone[member.member_id] = member
            except KafkaError as error:
                answer.error_code = error.code
        if gone:
            self._steps.remove(group, list(gone.values()), draft)
        return answers

    def _leaver(self, group: ConsumerGroup, leaver: MemberIdentity) -> ConsumerMember:
        instance_id = leaver.group_instance_id
        member = group.members.get(leaver.member_id) if instance_id is None else group.static_member(instance_id)
        if member is None:
            raise unknown_member(group, leaver.member_id)
        if leaver.member_id != UNKNOWN_MEMBER_ID and member.member_id != leaver.member_id:
            raise KafkaError(ErrorCode.FENCED_INSTANCE_ID)
        return member

    # --- time

    def _ask_to_join(self, group: ConsumerGroup, member: ConsumerMember, now: Instant) -> None:
        """The member has been told to join again, and has its time to do so, from the first time it was told on."""
        if TimerName(Timer.JOIN, group.group_id, member.member_id) not in self._deadlines:
            self._set(Timer.JOIN, group, member, now)

    def _set(self, kind: Timer, group: ConsumerGroup, member: ConsumerMember, now: Instant) -> None:
        name = TimerName(kind, group.group_id, member.member_id)
        self._deadlines.set(name, now.monotonic + max(1, member.rebalance_timeout))


def _supports(group: ConsumerGroup, request: JoinGroupRequest) -> bool:
    """Whether the member is a consumer, and offers a protocol that every classic member does."""
    return request.protocol_type == CONSUMER_PROTOCOL_TYPE and any(
        group.classic_protocols[each.name] == group.classic_members for each in request.protocols
    )


def _subscription(request: JoinGroupRequest) -> ConsumerProtocolSubscription:
    """What the member wants, by the first of its protocols."""
    try:
        return decode_subscription(request.protocols[0].metadata)
    except ProtocolError as error:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, f"the subscription cannot be read: {error}") from error


def _updated(
    member: ConsumerMember, request: JoinGroupRequest, subscription: ConsumerProtocolSubscription, caller: Caller
) -> ConsumerMember:
    """The member with what it says of itself. Of two protocols with the same name the first counts."""
    protocols: dict[str, bytes] = {}
    for protocol in request.protocols:
        protocols.setdefault(protocol.name, protocol.metadata)
    patience = request.session_timeout_ms if caller.api_version == 0 else request.rebalance_timeout_ms
    return member._replace(
        instance_id=request.group_instance_id or member.instance_id,
        rack_id=subscription.rack_id or member.rack_id,
        rebalance_timeout=member.rebalance_timeout if patience == -1 else patience,
        topics=frozenset(subscription.topics),
        expression="",
        client_id=caller.client_id,
        client_host=caller.client_host,
        classic=ClassicMemberMetadata(
            session_timeout_ms=request.session_timeout_ms,
            supported_protocols=[ClassicProtocol(name=name, metadata=data) for name, data in protocols.items()],
        ),
    )


def _joined(member: ConsumerMember) -> JoinGroupResponse:
    assert member.classic is not None
    return JoinGroupResponse(
        member_id=member.member_id,
        generation_id=member.epoch,
        protocol_type=CONSUMER_PROTOCOL_TYPE,
        protocol_name=member.classic.supported_protocols[0].name,
    )
