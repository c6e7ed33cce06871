"""The groups of one shard, and what their members ask of them.

There is one group per id, whatever its protocol. A request of a member finds the group, and is decided on by the
protocol that the group has now:

    JoinGroup, SyncGroup, Heartbeat, LeaveGroup   `classic/protocol.py`, on a group of `classic/group.py`;
                                                  `consumer/classic_members.py`, if it is a consumer group
    ConsumerGroupHeartbeat                        `consumer/protocol.py`, on a group of `consumer/group.py`

A group may change its kind: an empty one with the first member of another protocol, one with members as
`consumer/migration.py` says. The old group goes with its tombstones, and the new one comes with its records; offsets
are of the id, and stay.

What takes long is not done here: a decision leaves it as work, and what was computed beside the event loop comes back
as another decision.

A further kind of group is a folder like `classic/`, a row in `_kinds`, a case for its records in the machine's `replay`
(`machine.py`), and the `decide_*` of its members' requests here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.assignors import Assignment
from broker.coordinators.groups.classic.group import CLASSIC, ClassicGroup
from broker.coordinators.groups.classic.protocol import ClassicProtocol
from broker.coordinators.groups.classic.states import GroupState
from broker.coordinators.groups.consumer.assigning import Assigning
from broker.coordinators.groups.consumer.classic_members import ClassicMembers
from broker.coordinators.groups.consumer.configs import TimesOf
from broker.coordinators.groups.consumer.group import CONSUMER, ConsumerGroup
from broker.coordinators.groups.consumer.member import JOINING_EPOCH, LEAVING_EPOCH, LEAVING_FOR_A_WHILE_EPOCH
from broker.coordinators.groups.consumer.protocol import ConsumerProtocol
from broker.coordinators.groups.consumer.records import target_epoch_record
from broker.coordinators.groups.consumer.resolving import Resolving
from broker.coordinators.groups.consumer.steps import Steps
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.consumer.upgrade import MANY, Upgrade
from broker.coordinators.groups.decision import (
    UNKNOWN_MEMBER_ID,
    Caller,
    Draft,
    Timer,
    TimerName,
)
from broker.coordinators.groups.group import Group, GroupKind
from broker.coordinators.groups.memory import Budget, Held
from broker.coordinators.groups.records import (
    ConsumerRecord,
    GroupMetadataRecord,
    GroupRecord,
)
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_offsets import ConsumerGroupMetadataKey
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

OFFSETS_TIMER: Final = TimerName(Timer.OFFSETS)


class Membership:
    """Groups by id, and the decisions on requests of their members. The machine has the rest (`machine.py`)."""

    def __init__(
        self, settings: GroupSettings, entropy: Entropy, budget: Budget | None, topics: Topics | None, times_of: TimesOf
    ) -> None:
        self.account = Held()
        self._budget = budget or Budget(settings.max_state, lambda: self.account.bytes)
        self._settings = settings
        self._groups: dict[str, Group] = {}
        self._deadlines: Deadlines[TimerName] = Deadlines()
        self._classic = ClassicProtocol(settings, entropy, self._deadlines, self._budget)
        self._topics = topics or Topics()
        self._steps = Steps(settings, self._deadlines, self._budget, self._topics, times_of)
        self._consumer = ConsumerProtocol(settings, entropy, self._deadlines, self._budget, self._steps, times_of)
        self._classic_members = ClassicMembers(
            settings, entropy, self._deadlines, self._steps, self._consumer, self._topics
        )
        self._kinds: Mapping[str, GroupKind[Any]] = {CLASSIC: self._classic, CONSUMER: self._consumer}
        self._now: Instant | None = None
        """Of the latest decision; None while the log is loaded."""

    # --- members of the consumer protocol

    def decide_consumer_heartbeat(
        self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller,
        now: Instant,
        promise: Promise[ConsumerGroupHeartbeatResponse],
        upgrade: Upgrade | None = None,
    ) -> Decision[GroupRecord]:
        """ConsumerGroupHeartbeat. A member that joins may make its group, of a classic one too: `upgrade` is what
        `upgrade_by` has given, prepared."""
        group = self._groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            beat = self._consumer.beat(group, request, caller, now)
            if beat is not None:
                return answered(promise, beat)
        self._now = now
        draft = Draft(now, promise)
        try:
            self._consumer.check_request(request, caller.api_version)
            if request.member_epoch in (LEAVING_EPOCH, LEAVING_FOR_A_WHILE_EPOCH):
                draft.reply(self._consumer.leave(self._consumer_group(request.group_id), request, draft))
            else:
                draft.reply(self._consumer_heartbeat(request, caller, draft, upgrade))
        except KafkaError as error:
            return answered(promise, ConsumerGroupHeartbeatResponse(error_code=error.code, error_message=error.message))
        return draft.decision()

    def _consumer_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, caller: Caller, draft: Draft, upgrade: Upgrade | None
    ) -> ConsumerGroupHeartbeatResponse:
        group = self._groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self._consumer.heartbeat(group, request, caller, draft, is_new=False)
        if request.member_epoch != JOINING_EPOCH:
            self._consumer_group(request.group_id)
        if isinstance(group, ClassicGroup) and not group.is_empty:
            group_as = self._upgraded(group, draft, upgrade)
            return self._consumer.heartbeat(group_as, request, caller, draft, is_new=False)
        if group is None and len(self._groups) >= self._settings.max_groups:
            raise KafkaError(ErrorCode.POLICY_VIOLATION, "there are as many groups as there may be")
        if group is not None:
            draft.records += group.tombstones()
        new = ConsumerGroup(request.group_id, Held())
        self._schedule_expiry(draft.now)
        return self._consumer.heartbeat(new, request, caller, draft, is_new=group is None)

    def upgrade_by(self, request: ConsumerGroupHeartbeatRequest, caller: Caller) -> Upgrade | None:
        """What this heartbeat makes of a classic group with many members: to be prepared before it is decided on. None
        if there is no such group, or it will be refused."""
        group = self._groups.get(request.group_id)
        if request.member_epoch != JOINING_EPOCH or not isinstance(group, ClassicGroup) or len(group.members) < MANY:
            return None
        try:
            self._consumer.check_request(request, caller.api_version)
            return Upgrade(group, self._settings, self._topics)
        except KafkaError:
            return None

    def _upgraded(self, group: ClassicGroup, draft: Draft, upgrade: Upgrade | None) -> ConsumerGroup:
        """What this classic group is as a consumer group, once the drafted records have been replayed. Raises
        KafkaError: GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED."""
        if upgrade is None or not upgrade.is_of(group):
            upgrade = Upgrade(group, self._settings, self._topics)
            deque(upgrade.make(), maxlen=0)
        if upgrade.refusal is not None:
            raise upgrade.refusal
        if not self._budget.allows(upgrade.group.held - group.held):
            raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED, "there is no room for the group as a consumer group")
        draft.records += upgrade.drafted()
        draft.encoded = upgrade.encoded
        self._classic.turn_away(group, draft)
        return upgrade.group

    def _consumer_group(self, group_id: str) -> ConsumerGroup:
        """The consumer group of this id. Raises KafkaError(GROUP_ID_NOT_FOUND)."""
        group = self._groups.get(group_id)
        if group is None:
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
        if not isinstance(group, ConsumerGroup):
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"group {group_id!r} is no consumer group")
        return group

    @property
    def has_work(self) -> bool:
        """Whether there is something to be computed beside the event loop."""
        return bool(self._steps.work)

    def take_work(self) -> list[Assigning | Resolving]:
        """What decisions have asked for that is to be computed beside the event loop; not mentioned again."""
        taken, self._steps.work = self._steps.work, []
        return taken

    def decide_target(
        self,
        work: Assigning,
        part: Sequence[tuple[str, Assignment]],
        now: Instant,
        promise: Promise[bool],
        *,
        last: bool,
    ) -> Decision[GroupRecord]:
        """Write a part of a computed assignment down. The reply is False if it is not waited for any more."""
        self._now = now
        draft = Draft(now, promise)
        group = self._groups.get(work.group_id)
        written = False
        if self._steps.assigning.get(work.group_id) is work:
            # What the heartbeat had to say that has led to it may have been refused.
            written = isinstance(group, ConsumerGroup) and work.epoch <= group.epoch
            if isinstance(group, ConsumerGroup) and written:
                self._steps.write_target(group, work, part, draft)
            if last or not written:
                del self._steps.assigning[work.group_id]
            if isinstance(group, ConsumerGroup) and written and last:
                draft.write(target_epoch_record(work.group_id, work.epoch, now.wall))
        draft.reply(written)
        return draft.decision()

    def decide_room(self, work: Assigning, growth: int, now: Instant, promise: Promise[bool]) -> Decision[GroupRecord]:
        """Before an assignment is written down: is there room for so many bytes? If not, it is given up."""
        if self._budget.allows(growth):
            return answered(promise, True)
        self._give_up(work, now)
        return answered(promise, False)

    def decide_give_up(self, work: Assigning, now: Instant, promise: Promise[None]) -> Decision[GroupRecord]:
        """An assignment could not be computed."""
        self._give_up(work, now)
        return answered(promise, None)

    def _give_up(self, work: Assigning, now: Instant) -> None:
        group = self._groups.get(work.group_id)
        if self._steps.assigning.get(work.group_id) is work:
            del self._steps.assigning[work.group_id]
            if isinstance(group, ConsumerGroup):
                self._steps.put_off(group, now)

    def decide_resolved(
        self, work: Resolving, found: Mapping[str, frozenset[str]], now: Instant, promise: Promise[None]
    ) -> Decision[GroupRecord]:
        """Write down what the expressions of a group match."""
        self._now = now
        draft = Draft(now, promise)
        group = self._groups.get(work.group_id)
        if self._steps.resolving.get(work.group_id) is work:
            del self._steps.resolving[work.group_id]
            if isinstance(group, ConsumerGroup):
                self._steps.write_resolved(group, work, found, draft)
        draft.reply(None)
        return draft.decision()

    # --- members of the classic protocol

    def decide_join(
        self, request: JoinGroupRequest, caller: Caller, now: Instant, promise: Promise[JoinGroupResponse]
    ) -> Decision[GroupRecord]:
        """JoinGroup. A member without an id may make its group; one with an id must find it."""
        self._now = now
        error = self._join_error(request, caller)
        if error is not ErrorCode.NONE:
            return answered(promise, JoinGroupResponse(error_code=error, member_id=request.member_id))
        draft = Draft(now, promise, volatile=True)
        present = self._groups.get(request.group_id)
        if isinstance(present, ConsumerGroup):
            if not present.is_empty:
                return self._join_consumer_group(present, request, caller, draft)
            draft.records += present.tombstones()
            self._remove(present)
        group = self._classic_group(request.group_id)
        if group is None:
            group = self._groups[request.group_id] = ClassicGroup(request.group_id, now.wall, self.account)
            draft.write(GroupMetadataRecord(request.group_id, group.created_value()))
            self._schedule_expiry(now)
        self._classic.join(group, request, caller, draft)
        return draft.decision()

    def _join_consumer_group(
        self, group: ConsumerGroup, request: JoinGroupRequest, caller: Caller, draft: Draft
    ) -> Decision[GroupRecord]:
        try:
            draft.reply(self._classic_members.join(group, request, caller, draft))
        except KafkaError as error:
            return answered(draft.promise, JoinGroupResponse(error_code=error.code))
        return draft.decision()

    def _classic_group(self, group_id: str) -> ClassicGroup | None:
        """The group of this id, if members of the classic protocol can be in it."""
        group = self._groups.get(group_id)
        return group if isinstance(group, ClassicGroup) else None

    def _join_error(self, request: JoinGroupRequest, caller: Caller) -> ErrorCode:
        settings = self._settings
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        if not settings.min_session_timeout <= request.session_timeout_ms <= settings.max_session_timeout:
            return ErrorCode.INVALID_SESSION_TIMEOUT
        if request.member_id == UNKNOWN_MEMBER_ID and not self._classic.has_room_for_id(request, caller):
            return ErrorCode.UNKNOWN_SERVER_ERROR
        group = self._groups.get(request.group_id)
        if group is None:
            if request.member_id != UNKNOWN_MEMBER_ID:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if not request.protocol_type or not request.protocols:
                return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
            if len(self._groups) >= settings.max_groups:
                return ErrorCode.POLICY_VIOLATION
            if not self._classic.has_room_for_group(request, caller):
                return ErrorCode.GROUP_MAX_SIZE_REACHED
        elif isinstance(group, ConsumerGroup) and group.is_empty and request.member_id != UNKNOWN_MEMBER_ID:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE

    def decide_sync(
        self, request: SyncGroupRequest, now: Instant, promise: Promise[SyncGroupResponse]
    ) -> Decision[GroupRecord]:
        """SyncGroup."""
        if not request.group_id:
            return answered(promise, SyncGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID))
        present = self._groups.get(request.group_id)
        if isinstance(present, ConsumerGroup):
            try:
                return answered(promise, self._classic_members.sync(present, request, now))
            except KafkaError as error:
                return answered(promise, SyncGroupResponse(error_code=error.code))
        group = self._classic_group(request.group_id)
        if group is None or group.state is GroupState.EMPTY:
            return answered(promise, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
        draft = Draft(now, promise, volatile=True)
        self._classic.sync(group, request, draft)
        return draft.decision()

    def decide_heartbeat(
        self, request: HeartbeatRequest, now: Instant, promise: Promise[HeartbeatResponse]
    ) -> Decision[GroupRecord]:
        """Heartbeat."""
        group = self._groups.get(request.group_id)
        error = ErrorCode.UNKNOWN_MEMBER_ID
        if not request.group_id:
            error = ErrorCode.INVALID_GROUP_ID
        elif isinstance(group, ClassicGroup):
            error = self._classic.heartbeat(group, request, now)
        elif isinstance(group, ConsumerGroup):
            try:
                error = self._classic_members.heartbeat(group, request, now)
            except KafkaError as refusal:
                error = refusal.code
        return answered(promise, HeartbeatResponse(error_code=error))

    def decide_leave(
        self, request: LeaveGroupRequest, caller: Caller, now: Instant, promise: Promise[LeaveGroupResponse]
    ) -> Decision[GroupRecord]:
        """LeaveGroup, of one member up to version 2, of several from version 3. The reply lists them in any version."""
        if not request.group_id:
            return answered(promise, LeaveGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID))
        leavers = request.members if caller.api_version >= 3 else [MemberIdentity(member_id=request.member_id)]
        self._now = now
        draft = Draft(now, promise, volatile=True)
        present = self._groups.get(request.group_id)
        if isinstance(present, ConsumerGroup):
            draft.reply(LeaveGroupResponse(members=self._classic_members.leave(present, leavers, draft)))
            return draft.decision()
        group = self._classic_group(request.group_id)
        if group is None:
            return answered(promise, LeaveGroupResponse(members=[_unknown(leaver) for leaver in leavers]))
        draft.reply(LeaveGroupResponse(members=self._classic.leave(group, leavers, draft)))
        return draft.decision()

    # --- groups that come and go

    def _replay_classic(self, record: GroupMetadataRecord) -> None:
        group = self._classic_group(record.group_id)
        present = self._groups.get(record.group_id)
        if record.value is not None and present is not None and present is not group:
            self._remove(present)  # Kafka has been seen to write no tombstones for an empty consumer group
        if record.value is not None:
            if group is None:
                group = ClassicGroup(record.group_id, record.value.current_state_timestamp, self.account)
                self._groups[record.group_id] = group
                made = record.value.members and self._now is not None
            else:
                made = False
            group.replay(record.value)
            if made and self._now is not None:
                deque(self._classic.resume(group, self._now), maxlen=0)  # it was a consumer group until now
        elif group is not None:
            self._remove(group)

    def _replay_consumer(self, record: ConsumerRecord) -> None:
        """A group that only stores offsets, of which no record says what it is, becomes a consumer group with the
        first record that says so."""
        group_id = record.key.group_id
        group = self._groups.get(group_id)
        if not isinstance(group, ConsumerGroup):
            if record.value is None:
                return  # what it removes was compacted away
            if group is not None:
                self._remove(group)
            group = self._groups[group_id] = ConsumerGroup(group_id, self.account)
        if record.value is None and isinstance(record.key, ConsumerGroupMetadataKey):
            self._remove(group)
        else:
            self._consumer.replayed(group, record, self._now)

    def _replay_upgraded(self, group: ConsumerGroup) -> None:
        """A classic group has become this one, in one step."""
        former = self._groups[group.group_id]
        self._remove(former)
        group.move_to(self.account)
        self._groups[group.group_id] = group
        assert self._now is not None, "in a log there are its records"
        deque(self._consumer.resume(group, self._now), maxlen=0)

    def _remove(self, group: Group) -> None:
        """The group is gone, and its deadlines are."""
        del self._groups[group.group_id]
        group.release()
        self._kinds[group.kind].cancel_all(group)

    def _schedule_expiry(self, now: Instant) -> None:
        """While there are groups, they are looked through for what is too old."""
        if OFFSETS_TIMER not in self._deadlines:
            self._deadlines.set(OFFSETS_TIMER, now.monotonic + self._settings.offsets_retention_check_interval)


def answered(promise: Promise[Any], reply: Any) -> Decision[GroupRecord]:
    """A decision that writes nothing."""
    return Decision(replies=((promise, reply),))


def _unknown(leaver: MemberIdentity) -> MemberResponse:
    return MemberResponse(
        member_id=leaver.member_id,
        group_instance_id=leaver.group_instance_id,
        error_code=ErrorCode.UNKNOWN_MEMBER_ID,
    )
