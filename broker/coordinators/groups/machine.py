"""One shard of groups and committed offsets: the fold of one partition of `__consumer_offsets`.

The log holds Kafka's own records (`records.py`), so that a data directory can change hands. Which requests decide what:

    JoinGroup, SyncGroup, Heartbeat, LeaveGroup   `classic/protocol.py`, on a group of `classic/group.py`
    ConsumerGroupHeartbeat                        `consumer/protocol.py`, on a group of `consumer/group.py`
    OffsetCommit, OffsetFetch, OffsetDelete       here, on `offsets.py`
    TxnOffsetCommit, markers of transactions      here, on `pending_offsets.py`
    DescribeGroups, ListGroups, DeleteGroups,
    ConsumerGroupDescribe                         here
    silence and age                               `decide_expired`

What takes long is not done here: a decision leaves it in `work`, and what was computed beside the event loop comes back
as another decision.

Groups come into being when a member wants to join, or with the first offset committed for them; they go when all their
offsets have expired and they are empty, or by DeleteGroups. There is one group per id, whatever its protocol. What the
machine asks of any of them is in `group.py`. A further kind of group is a folder like `classic/`, a row in `_kinds`, a
case for its records in `replay`, and the `decide_*` of its members' requests.

A deadline decision handles what is due until it has something to write; the runtime asks again at once. So each
decision starts from a state that is wholly replayed. What is forgotten by age, or with its topic, is searched for in
steps (`forgetting.py`), whose time and batches are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.assignors import Assignment
from broker.coordinators.groups.classic.group import CLASSIC, ClassicGroup
from broker.coordinators.groups.classic.protocol import ClassicProtocol
from broker.coordinators.groups.classic.states import GroupState
from broker.coordinators.groups.committing import growth_of, growth_of_pending, judge_commits
from broker.coordinators.groups.consumer.assigning import Assigning
from broker.coordinators.groups.consumer.configs import ConsumerTimes, TimesOf
from broker.coordinators.groups.consumer.group import CONSUMER, ConsumerGroup
from broker.coordinators.groups.consumer.member import JOINING_EPOCH, LEAVING_EPOCH, LEAVING_FOR_A_WHILE_EPOCH
from broker.coordinators.groups.consumer.protocol import ConsumerProtocol
from broker.coordinators.groups.consumer.resolving import Resolving
from broker.coordinators.groups.consumer.steps import Steps, target_epoch_record
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import (
    UNKNOWN_MEMBER_ID,
    Caller,
    CommittingMember,
    Draft,
    Timer,
    TimerName,
)
from broker.coordinators.groups.forgetting import ExpiryWalk, PurgeWalk, Room, forget_group
from broker.coordinators.groups.group import Group, GroupKind
from broker.coordinators.groups.memory import GROUP_BYTES, Budget, Held
from broker.coordinators.groups.offsets import (
    NO_EXPIRY,
    CommittedOffset,
    CommittedOffsets,
    OffsetToCommit,
    commit_record,
    forget_record,
)
from broker.coordinators.groups.pending_offsets import PendingOffsets
from broker.coordinators.groups.records import (
    ConsumerRecord,
    GroupMetadataRecord,
    GroupRecord,
    OffsetCommitRecord,
    PendingOffsetRecord,
    TransactionEndRecord,
    decode_group_record,
    encode_group_record,
    text_size,
)
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, EndOfTransaction, InTransaction, Promise
from kproto.batches.header import BatchHeader
from kproto.batches.records import RecordData, read_end_txn_marker
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_offsets import ConsumerGroupMetadataKey
from kproto.ids import TopicPartition, Uuid
from kproto.messages.consumer_group_describe import DescribedGroup as ConsumerGroupDescription
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse
from kproto.messages.list_groups import ListedGroup
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

OFFSETS_TIMER = TimerName(Timer.OFFSETS)
PURGE_TIMER = TimerName(Timer.PURGE)


class GroupsMachine:
    """The state of one shard and the decisions on it."""

    def __init__(
        self,
        settings: GroupSettings,
        entropy: Entropy,
        budget: Budget | None = None,
        topics: Topics | None = None,
        times_of: TimesOf = lambda group_id: ConsumerTimes(),
    ) -> None:
        """`budget` and `topics` are shared by all machines of a broker; a machine has its own if it is alone."""
        self.account = Held()
        self._budget = budget or Budget(settings.max_state, lambda: self.account.bytes)
        self._settings = settings
        self._groups: dict[str, Group] = {}
        self._offsets = CommittedOffsets(self.account)
        self._pending = PendingOffsets(self.account)
        self._deadlines: Deadlines[TimerName] = Deadlines()
        self._classic = ClassicProtocol(settings, entropy, self._deadlines, self._budget)
        self._topics = topics or Topics()
        self._steps = Steps(settings, self._budget, self._topics, times_of)
        self._consumer = ConsumerProtocol(settings, entropy, self._deadlines, self._budget, self._steps, times_of)
        self._kinds: Mapping[str, GroupKind[Any]] = {CLASSIC: self._classic, CONSUMER: self._consumer}
        self._now: Instant | None = None  # of the latest decision; None while the log is loaded
        self._deleted_topics: dict[tuple[str, Uuid], None] = {}
        self._expiry: ExpiryWalk | None = None
        self._purge: PurgeWalk | None = None

    # --- members of the consumer protocol

    def decide_consumer_heartbeat(
        self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller,
        now: Instant,
        promise: Promise[ConsumerGroupHeartbeatResponse],
    ) -> Decision[GroupRecord]:
        """ConsumerGroupHeartbeat. A member that joins may make its group, of an empty classic one too."""
        group = self._groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            beat = self._consumer.beat(group, request, caller, now)
            if beat is not None:
                return _answer(promise, beat)
        self._now = now
        draft = Draft(now, promise)
        try:
            self._consumer.check_request(request, caller.api_version)
            if request.member_epoch in (LEAVING_EPOCH, LEAVING_FOR_A_WHILE_EPOCH):
                draft.reply(self._consumer.leave(self._consumer_group(request.group_id), request, draft))
            else:
                draft.reply(self._consumer_heartbeat(request, caller, draft))
        except KafkaError as error:
            return _answer(promise, ConsumerGroupHeartbeatResponse(error_code=error.code, error_message=error.message))
        return draft.decision()

    def _consumer_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, caller: Caller, draft: Draft
    ) -> ConsumerGroupHeartbeatResponse:
        group = self._groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self._consumer.heartbeat(group, request, caller, draft, is_new=False)
        if request.member_epoch != JOINING_EPOCH or (group is not None and not group.is_empty):
            self._consumer_group(request.group_id)
        if group is None and len(self._groups) >= self._settings.max_groups:
            raise KafkaError(ErrorCode.POLICY_VIOLATION, "there are as many groups as there may be")
        if group is not None:
            draft.records += group.tombstones()
        new = ConsumerGroup(request.group_id, Held())
        self._schedule_expiry(draft.now)
        return self._consumer.heartbeat(new, request, caller, draft, is_new=group is None)

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
                draft.write(target_epoch_record(group, work.epoch, now.wall))
        draft.reply(written)
        return draft.decision()

    def decide_room(self, work: Assigning, growth: int, now: Instant, promise: Promise[bool]) -> Decision[GroupRecord]:
        """Before an assignment is written down: is there room for so many bytes? If not, it is given up."""
        if self._budget.allows(growth):
            return _answer(promise, True)
        self._give_up(work, now)
        return _answer(promise, False)

    def decide_give_up(self, work: Assigning, now: Instant, promise: Promise[None]) -> Decision[GroupRecord]:
        """An assignment could not be computed."""
        self._give_up(work, now)
        return _answer(promise, None)

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
            return _answer(promise, JoinGroupResponse(error_code=error, member_id=request.member_id))
        draft = Draft(now, promise, volatile=True)
        group = self._classic_group(request.group_id)
        if group is None:
            group = self._groups[request.group_id] = ClassicGroup(request.group_id, now.wall, self.account)
            draft.write(GroupMetadataRecord(request.group_id, group.created_value()))
            self._schedule_expiry(now)
        self._classic.join(group, request, caller, draft)
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
        elif not isinstance(group, ClassicGroup):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return ErrorCode.NONE

    def decide_sync(
        self, request: SyncGroupRequest, now: Instant, promise: Promise[SyncGroupResponse]
    ) -> Decision[GroupRecord]:
        """SyncGroup."""
        if not request.group_id:
            return _answer(promise, SyncGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID))
        group = self._classic_group(request.group_id)
        if group is None or group.state is GroupState.EMPTY:
            return _answer(promise, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
        draft = Draft(now, promise, volatile=True)
        self._classic.sync(group, request, draft)
        return draft.decision()

    def decide_heartbeat(
        self, request: HeartbeatRequest, now: Instant, promise: Promise[HeartbeatResponse]
    ) -> Decision[GroupRecord]:
        """Heartbeat."""
        group = self._classic_group(request.group_id)
        if not request.group_id:
            error = ErrorCode.INVALID_GROUP_ID
        elif group is None:
            error = ErrorCode.UNKNOWN_MEMBER_ID
        else:
            error = self._classic.heartbeat(group, request, now)
        return _answer(promise, HeartbeatResponse(error_code=error))

    def decide_leave(
        self, request: LeaveGroupRequest, caller: Caller, now: Instant, promise: Promise[LeaveGroupResponse]
    ) -> Decision[GroupRecord]:
        """LeaveGroup, of one member up to version 2, of several from version 3. The reply lists them in any version."""
        if not request.group_id:
            return _answer(promise, LeaveGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID))
        leavers = request.members if caller.api_version >= 3 else [MemberIdentity(member_id=request.member_id)]
        group = self._classic_group(request.group_id)
        if group is None:
            return _answer(promise, LeaveGroupResponse(members=[_unknown(leaver) for leaver in leavers]))
        draft = Draft(now, promise, volatile=True)
        draft.reply(LeaveGroupResponse(members=self._classic.leave(group, leavers, draft)))
        return draft.decision()

    # --- offsets

    def decide_commit(
        self,
        group_id: str,
        member: CommittingMember,
        commits: Sequence[OffsetToCommit],
        retention: int,
        now: Instant,
        promise: Promise[list[ErrorCode]],
    ) -> Decision[GroupRecord]:
        """OffsetCommit of partitions that exist. The reply has one code per commit, or is a KafkaError for all of
        them. Of a partition that is there more than once the last commit counts."""
        error = self._commit_error(group_id, member, commits)
        if error is not ErrorCode.NONE:
            return _answer(promise, KafkaError(error))
        group = self._groups.get(group_id)
        if group is not None:
            self._kinds[group.kind].heard_of(group, member.member_id, now)
        draft = Draft(now, promise)
        codes, accepted = self._judge_commits(group_id, commits, growth_of(self._offsets.of(group_id)))
        draft.records += [commit_record(group_id, commit, now.wall, retention) for commit in accepted]
        if draft.records:
            self._schedule_expiry(now)
        draft.reply(codes)
        return draft.decision()

    def decide_commit_in_transaction(
        self,
        group_id: str,
        member: CommittingMember,
        commits: Sequence[OffsetToCommit],
        transaction: InTransaction,
        now: Instant,
        promise: Promise[list[ErrorCode]],
    ) -> Decision[GroupRecord]:
        """TxnOffsetCommit of partitions that exist, by a producer whose transaction has this shard's partition. The
        reply is that of `decide_commit`; the offsets count when the transaction commits."""
        if not group_id:
            return _answer(promise, KafkaError(ErrorCode.INVALID_GROUP_ID))
        error = self._commit_error(group_id, member, commits)
        if error is ErrorCode.STALE_MEMBER_EPOCH:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is not ErrorCode.NONE:
            return _answer(promise, KafkaError(error))
        producer_id = transaction.producer_id
        grows = growth_of_pending(self._pending, producer_id, group_id, self._settings.max_pending_offsets)
        codes, accepted = self._judge_commits(group_id, commits, grows)
        records = [
            PendingOffsetRecord(producer_id, commit_record(group_id, commit, now.wall, NO_EXPIRY))
            for commit in accepted
        ]
        if not records:
            return _answer(promise, codes)
        self._schedule_expiry(now)
        return Decision(records, [(promise, codes)], transaction=transaction)

    def _judge_commits(
        self, group_id: str, commits: Sequence[OffsetToCommit], grows: Callable[[OffsetToCommit], int | None]
    ) -> tuple[list[ErrorCode], list[OffsetToCommit]]:
        taken = 0 if group_id in self._groups else GROUP_BYTES + text_size(group_id)
        metadata_max = self._settings.offset_metadata_max
        return judge_commits(commits, grows, taken=taken, budget=self._budget, metadata_max=metadata_max)

    def decide_end_transaction(
        self, end: EndOfTransaction, now: Instant, promise: Promise[None]
    ) -> Decision[GroupRecord]:
        """A marker: what the producer has pending in this shard counts now, or is forgotten. One that comes again, or
        for a transaction that has nothing here, is written too, for it fences older epochs of the producer."""
        if self._deleted_topics:
            self._deadlines.set(PURGE_TIMER, now.monotonic)
        return Decision([TransactionEndRecord(end.producer_id, end.commit)], [(promise, None)], transaction=end)

    def _commit_error(self, group_id: str, member: CommittingMember, commits: Sequence[OffsetToCommit]) -> ErrorCode:
        """Who may commit: clients that the group lets; any client that claims no generation, if there is no group."""
        group = self._groups.get(group_id)
        if group is not None:
            return self._kinds[group.kind].commit_error(group, member, commits)
        if member.generation >= 0:
            found_out_by_id = member.api_version >= 9 and not member.transactional
            return ErrorCode.GROUP_ID_NOT_FOUND if found_out_by_id else ErrorCode.ILLEGAL_GENERATION
        return ErrorCode.NONE if len(self._groups) < self._settings.max_groups else ErrorCode.POLICY_VIOLATION

    def fetch_error(self, group_id: str, member_id: str | None, epoch: int) -> ErrorCode:
        """NONE if a client that says so of itself may learn what was committed. Of a group that is not known it learns
        nothing."""
        group = self._groups.get(group_id)
        return ErrorCode.NONE if group is None else self._kinds[group.kind].fetch_error(group, member_id, epoch)

    def committed(
        self, group_id: str, places: Collection[TopicPartition] | None = None
    ) -> Mapping[TopicPartition, CommittedOffset]:
        """What a group has committed until now, at least for these partitions; nothing for a group that is not
        known."""
        return self._offsets.of(group_id).copy(places)

    def unstable(self, group_id: str) -> dict[TopicPartition, list[Uuid]]:
        """The partitions of the group that a transaction has offsets pending for, each with the ids that its topic had
        then."""
        return self._pending.topic_ids(group_id)

    def decide_delete_offsets(
        self, group_id: str, places: Sequence[TopicPartition], now: Instant, promise: Promise[list[ErrorCode]]
    ) -> Decision[GroupRecord]:
        """OffsetDelete of partitions that exist. The reply has one code per partition, or is a KafkaError for all."""
        if not group_id:
            return _answer(promise, KafkaError(ErrorCode.INVALID_GROUP_ID))
        group = self._groups.get(group_id)
        if group is None:
            return _answer(promise, KafkaError(ErrorCode.GROUP_ID_NOT_FOUND))
        if not group.is_empty and not group.uses_consumer_protocol:
            return _answer(promise, KafkaError(ErrorCode.NON_EMPTY_GROUP))
        subscribed = group.subscribed_among({place.topic for place in places})
        committed = self._offsets.of(group_id)
        draft = Draft(now, promise)
        for place in dict.fromkeys(places):
            if place.topic not in subscribed and (place in committed or self._pending.has(group_id, place)):
                draft.write(forget_record(group_id, place))
        draft.reply(
            [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if place.topic in subscribed else ErrorCode.NONE for place in places]
        )
        return draft.decision()

    def forget_topics(self, topics: Collection[tuple[str, Uuid]], now: Instant) -> None:
        """These topics (name, id) are gone, and what was committed for them goes with the next deadline, which is now.

        Safe to lose: after a load the coordinator asks again for every topic that it finds missing.
        """
        if self._deleted_topics or topics:
            self._deleted_topics.update(dict.fromkeys(topics))
            self._deadlines.set(PURGE_TIMER, now.monotonic)

    def decide_forget_topics(
        self, topics: Collection[tuple[str, Uuid]], now: Instant, promise: Promise[None]
    ) -> Decision[GroupRecord]:
        """The same as a decision, answered at once."""
        self.forget_topics(topics, now)
        return _answer(promise, None)

    def topics(self) -> set[tuple[str, Uuid]]:
        """Name and id of each topic that something has been committed for."""
        return self._offsets.topics()

    # --- groups as a whole

    def described(self, group_id: str) -> DescribedGroup | None:
        """A classic group as DescribeGroups shows it; None if there is none of this id."""
        group = self._classic_group(group_id)
        return None if group is None else group.described()

    def described_consumer_group(self, group_id: str) -> ConsumerGroupDescription | None:
        """A consumer group as ConsumerGroupDescribe shows it; None if there is none of this id."""
        group = self._groups.get(group_id)
        return group.described(self._topics, self._steps.assignors[0]) if isinstance(group, ConsumerGroup) else None

    def listed(self, states: Collection[str] = (), types: Collection[str] = ()) -> list[ListedGroup]:
        """The groups in one of `states` and of one of `types`, both without regard to case; empty means any."""
        wanted_states = {state.strip().lower() for state in states}
        wanted_kinds = {kind.strip().lower() for kind in types}
        found = [group.listed() for group in self._groups.values() if not wanted_kinds or group.kind in wanted_kinds]
        return [each for each in found if not wanted_states or each.group_state.lower() in wanted_states]

    def decide_delete_groups(
        self, group_ids: Sequence[str], now: Instant, promise: Promise[list[ErrorCode | None]]
    ) -> Decision[GroupRecord]:
        """DeleteGroups: empty groups go, with all they have committed. The reply has one code per id, or None: this
        group has more offsets than go at once, and is to be asked for again."""
        draft = Draft(now, promise)
        room = self._room()
        codes: list[ErrorCode | None] = []
        for group_id in group_ids:
            group = self._groups.get(group_id)
            if group is None:
                codes.append(ErrorCode.GROUP_ID_NOT_FOUND)
            elif not group.is_empty:
                codes.append(ErrorCode.NON_EMPTY_GROUP)
            else:
                codes.append(ErrorCode.NONE if self._forget_group(group, draft, room) else None)
        draft.reply(codes)
        return draft.decision()

    def _forget_group(self, group: Group, draft: Draft, room: Room) -> bool:
        return forget_group(group, self._offsets.of(group.group_id), self._pending, draft, room)

    # --- the contract of a machine

    def replay(self, record: GroupRecord) -> None:
        """Take over what a record says."""
        match record:
            case OffsetCommitRecord():
                self._ensure_group(record)
                self._offsets.replay(record)
                self._pending.overtake(record)
            case PendingOffsetRecord(producer_id, commit):
                self._ensure_group(commit)
                self._pending.replay(producer_id, commit)
            case TransactionEndRecord(producer_id, commits):
                for each in self._pending.end(producer_id, commits):
                    self._offsets.replay(each)
            case GroupMetadataRecord():
                self._replay_classic(record)
            case ConsumerRecord():
                self._replay_consumer(record)

    def replay_in_transaction(self, header: BatchHeader, data: RecordData) -> None:
        """Take over a record of the log that is part of a producer's transaction."""
        record = decode_group_record(data)
        if isinstance(record, OffsetCommitRecord) and record.value is not None:
            self.replay(PendingOffsetRecord(header.producer_id, record))
        elif record is not None:
            self.replay(record)

    def replay_control(self, header: BatchHeader, data: RecordData) -> None:
        """Take over a transaction's marker."""
        marker = read_end_txn_marker(data)
        if marker is not None:
            self.replay(TransactionEndRecord(header.producer_id, marker.commit))

    def _ensure_group(self, record: OffsetCommitRecord) -> None:
        """A group that only stores offsets is not written down by itself."""
        if record.value is not None and record.group_id not in self._groups:
            self._groups[record.group_id] = ClassicGroup(record.group_id, record.value.commit_timestamp, self.account)

    def _replay_classic(self, record: GroupMetadataRecord) -> None:
        group = self._classic_group(record.group_id)
        if record.value is not None:
            if group is None:
                group = ClassicGroup(record.group_id, record.value.current_state_timestamp, self.account)
                self._groups[record.group_id] = group
            group.replay(record.value)
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

    def _remove(self, group: Group) -> None:
        """The group is gone, and its deadlines are."""
        del self._groups[group.group_id]
        group.release()
        self._kinds[group.kind].cancel_all(group)

    def loaded(self, now: Instant) -> Iterator[None]:
        """Every member gets a fresh session, group by group."""
        self._now = now
        if self._groups:
            self._schedule_expiry(now)
        for group in self._groups.values():
            self._kinds[group.kind].resume(group, now)
            yield

    def next_deadline(self) -> int | None:
        """When the next deadline comes, in monotonic milliseconds."""
        return self._deadlines.nearest()

    def decide_expired(self, now: Instant) -> Decision[GroupRecord]:
        """Handle what is due, up to the first that has to be written down or answers a client."""
        self._now = now
        draft = Draft(now, Promise())
        latest = self._deadlines.latest
        while not draft.records and not draft.replies:
            name = self._deadlines.pop_due(now.monotonic, latest)
            if name is None:
                break
            match name.kind:
                case Timer.OFFSETS:
                    self._expire_offsets(draft)
                case Timer.PURGE:
                    self._purge_topics(draft)
                case _:
                    draft.volatile = True
                    group = self._groups[name.group_id]
                    self._kinds[group.kind].expired(name, group, draft)
        return draft.decision()

    def encode(self, record: GroupRecord, now: Instant) -> RecordData:
        """A record as Kafka writes it."""
        return encode_group_record(record, now.wall)

    def decode(self, data: RecordData) -> GroupRecord | None:
        """The record, or None for a kind that this coordinator does not know yet."""
        return decode_group_record(data)

    # --- forgetting

    def _schedule_expiry(self, now: Instant) -> None:
        """While there are groups, they are looked through for what is too old."""
        if OFFSETS_TIMER not in self._deadlines:
            self._deadlines.set(OFFSETS_TIMER, now.monotonic + self._settings.offsets_retention_check_interval)

    def _room(self) -> Room:
        return Room(self._settings.expiry_batch, self._settings.expiry_batch_bytes)

    def _expire_offsets(self, draft: Draft) -> None:
        """Offsets that are too old go, and groups that have nothing left."""
        if self._expiry is None:
            self._expiry = ExpiryWalk(self._groups, self._offsets, self._pending, self._settings.offsets_retention)
        if not self._expiry.go_on(draft, self._room()):
            self._deadlines.set(OFFSETS_TIMER, _soon(draft))
            return
        self._expiry = None
        self._offsets.drop_unused_topics()
        if self._groups:
            self._schedule_expiry(draft.now)

    def _purge_topics(self, draft: Draft) -> None:
        """What was committed for deleted topics goes. Their list is dropped once no group has any of it."""
        if self._purge is None:
            topics = self._offsets.committed_topics(self._deleted_topics)
            if not topics:
                # What is pending may be committed yet; each marker asks again.
                waited_for = self._pending.topics()
                self._deleted_topics = {each: None for each in self._deleted_topics if each in waited_for}
                return
            self._purge = PurgeWalk(topics, self._offsets)
        if self._purge.go_on(draft, self._room()):
            self._purge = None  # what was not written, and what has come since, is found by another walk
        self._deadlines.set(PURGE_TIMER, _soon(draft))

    # --- invariants

    def check(self) -> None:
        """What the state promises."""
        self._deadlines.check()
        held = self._offsets.held + self._pending.held + sum(group.held for group in self._groups.values())
        assert held == self.account.bytes, "the account is what the state takes"
        self._offsets.check()
        self._pending.check()
        for group_id in self._pending.groups():
            assert group_id in self._groups, f"pending offsets of {group_id}, which does not exist"
        for group_id, group in self._groups.items():
            assert group.group_id == group_id
            self._kinds[group.kind].check(group)
        for group_id, _ in self._offsets.groups():
            assert group_id in self._groups, f"offsets of {group_id}, which does not exist"
        assert not self._groups or OFFSETS_TIMER in self._deadlines, "groups that would never be forgotten"
        for name in self._deadlines.names():
            assert not name.group_id or name.group_id in self._groups, f"a deadline of {name.group_id}, which is gone"


def _answer(promise: Promise[Any], reply: Any) -> Decision[GroupRecord]:
    return Decision(replies=((promise, reply),))


def _unknown(leaver: MemberIdentity) -> MemberResponse:
    return MemberResponse(
        member_id=leaver.member_id,
        group_instance_id=leaver.group_instance_id,
        error_code=ErrorCode.UNKNOWN_MEMBER_ID,
    )


def _soon(draft: Draft) -> int:
    """When a search goes on that is not at its end: at once if it has something to write down, which gives way to
    others, else a moment later, which does so too."""
    return draft.now.monotonic if draft.records else draft.now.monotonic + 1
