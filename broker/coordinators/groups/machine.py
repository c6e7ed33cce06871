"""One shard of groups and committed offsets: the fold of one partition of `__consumer_offsets`.

The log holds Kafka's own records (`records.py`), so that a data directory can change hands. Which requests decide what:

    those of members                              `membership.py`
    OffsetCommit, OffsetFetch, OffsetDelete       here, on `offsets.py`
    TxnOffsetCommit, markers of transactions      here, on `pending_offsets.py`
    DescribeGroups, ListGroups, DeleteGroups,
    ConsumerGroupDescribe                         here
    silence and age                               `decide_expired`

Groups come into being when a member wants to join, or with the first offset committed for them; they go when all their
offsets have expired and they are empty, or by DeleteGroups. There is one group per id, whatever its protocol. What the
machine asks of any of them is in `group.py`.

A deadline decision handles what is due until it has something to write; the runtime asks again at once. So each
decision starts from a state that is wholly replayed. What is forgotten by age, or with its topic, is searched for in
steps (`forgetting.py`), whose time and batches are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from broker.coordinators.groups.classic.group import ClassicGroup
from broker.coordinators.groups.committing import growth_of_pending, judge_commits
from broker.coordinators.groups.consumer.configs import ConsumerTimes, TimesOf
from broker.coordinators.groups.consumer.group import ConsumerGroup, Described
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import (
    CommittingMember,
    Draft,
    Timer,
    TimerName,
)
from broker.coordinators.groups.forgetting import ExpiryWalk, PurgeWalk, Room, tombstone_size
from broker.coordinators.groups.group import Group
from broker.coordinators.groups.membership import OFFSETS_TIMER, Membership, answered
from broker.coordinators.groups.memory import GROUP_BYTES, Budget
from broker.coordinators.groups.offset_runs import (
    CommitRun,
    Contents,
    DeletionRun,
    PreparedCommit,
    PreparedDeletion,
    Run,
)
from broker.coordinators.groups.offsets import (
    NO_EXPIRY,
    CommittedOffset,
    CommittedOffsets,
    OffsetToCommit,
    TopicCommits,
    commit_record,
    forget_record,
    held_by_entry,
    packed,
)
from broker.coordinators.groups.pending_offsets import PendingOffsets
from broker.coordinators.groups.records import (
    ConsumerRecord,
    GroupMetadataRecord,
    GroupRecord,
    OffsetCommitRecord,
    PendingOffsetRecord,
    TransactionEndRecord,
    UpgradedGroup,
    decode_group_record,
    encode_group_record,
    text_size,
)
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, EndOfTransaction, InTransaction, Promise
from kproto.batches.header import BatchHeader
from kproto.batches.records import RecordData, read_end_txn_marker
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import TopicPartition, Uuid
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.list_groups import ListedGroup
from storage.elapsed import ElapsedTime
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

Told: TypeAlias = Callable[[GroupMetadataRecord | ConsumerRecord], None]

PURGE_TIMER = TimerName(Timer.PURGE)


class GroupsMachine(Membership):
    """The state of one shard and the decisions on it."""

    def __init__(
        self,
        settings: GroupSettings,
        entropy: Entropy,
        budget: Budget | None = None,
        topics: Topics | None = None,
        times_of: TimesOf = lambda group_id: ConsumerTimes(),
        told: Told = lambda record: None,
    ) -> None:
        """`budget` and `topics` are shared by all machines of a broker; a machine has its own if it is alone. `told`
        hears of each record about a group itself, once the machine is loaded."""
        super().__init__(settings, entropy, budget, topics, times_of)
        self._told = told
        self._is_loaded = False
        self._offsets = CommittedOffsets(self.account)
        self._pending = PendingOffsets(self.account)
        self._deleted_topics: dict[tuple[str, Uuid], None] = {}
        self._expiry: ExpiryWalk | None = None
        self._elapsed = ElapsedTime(reports=False)  # the engine's does
        self._purge: PurgeWalk | None = None

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
            return answered(promise, KafkaError(error))
        group = self._groups.get(group_id)
        if group is not None:
            self._kinds[group.kind].heard_of(group, member.member_id, now)
        codes, accepted = self._judge_commits(group_id, commits, self._offsets.of(group_id).growth)
        if not accepted:
            return answered(promise, codes)
        self._schedule_expiry(now)
        records = [commit_record(group_id, commit, now.wall, retention) for commit in accepted]
        return Decision(records, ((promise, codes),))

    def decide_commit_prepared(
        self,
        group_id: str,
        member: CommittingMember,
        commits: Sequence[OffsetToCommit],
        prepared: PreparedCommit,
        now: Instant,
        promise: Promise[list[ErrorCode]],
    ) -> Decision[GroupRecord | Run]:
        """The same for very many, none of which is there twice, with records that were prepared (`offset_runs.py`). All
        of them are written, or none."""
        error = self._commit_error(group_id, member, commits)
        if error is ErrorCode.NONE and prepared.run is None:
            error = ErrorCode.UNKNOWN_SERVER_ERROR
        if error is not ErrorCode.NONE or prepared.run is None:
            return answered(promise, KafkaError(error))
        group = self._groups.get(group_id)
        if group is not None:
            self._kinds[group.kind].heard_of(group, member.member_id, now)
        first, run = prepared.first, prepared.run
        if not self._has_room_for(group_id, first, run):
            return answered(promise, KafkaError(ErrorCode.INVALID_COMMIT_OFFSET_SIZE))
        self._schedule_expiry(now)
        return Decision([first, run], [(promise, [ErrorCode.NONE] * len(commits))], encoded=run.encoded)

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
            return answered(promise, KafkaError(ErrorCode.INVALID_GROUP_ID))
        error = self._commit_error(group_id, member, commits)
        if error is ErrorCode.STALE_MEMBER_EPOCH:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is not ErrorCode.NONE:
            return answered(promise, KafkaError(error))
        producer_id = transaction.producer_id
        grows = growth_of_pending(self._pending, producer_id, group_id, self._settings.max_pending_offsets)
        codes, accepted = self._judge_commits(group_id, commits, grows)
        records = [
            PendingOffsetRecord(producer_id, commit_record(group_id, commit, now.wall, NO_EXPIRY))
            for commit in accepted
        ]
        if not records:
            return answered(promise, codes)
        self._schedule_expiry(now)
        return Decision(records, [(promise, codes)], transaction=transaction)

    def _judge_commits(
        self, group_id: str, commits: Sequence[OffsetToCommit], grows: Callable[[OffsetToCommit], int | None]
    ) -> tuple[list[ErrorCode], list[OffsetToCommit]]:
        taken, metadata_max = self._taken_by(group_id), self._settings.offset_metadata_max
        return judge_commits(commits, grows, taken=taken, budget=self._budget, metadata_max=metadata_max)

    def _has_room_for(self, group_id: str, first: OffsetCommitRecord, run: CommitRun) -> bool:
        """Whether groups may take what these commits take more than before; looked at closely if that is in doubt."""
        assert first.value is not None
        entry, taken = packed(first.value), self._taken_by(group_id)
        if self._budget.has_room(taken + held_by_entry(entry) + run.held):
            return True
        topics = [TopicCommits(first.topic, first.value.topic_id, {first.partition: entry}), *run.topics]
        grows = self._offsets.growth_by_many(group_id, topics)
        return grows <= 0 or self._budget.allows(taken + grows)

    def _taken_by(self, group_id: str) -> int:
        """Bytes of memory that the group itself will take, with the first offset committed for it."""
        return 0 if group_id in self._groups else GROUP_BYTES + text_size(group_id)

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
            return answered(promise, KafkaError(ErrorCode.INVALID_GROUP_ID))
        group = self._groups.get(group_id)
        if group is None:
            return answered(promise, KafkaError(ErrorCode.GROUP_ID_NOT_FOUND))
        if not group.is_empty and not group.uses_consumer_protocol:
            return answered(promise, KafkaError(ErrorCode.NON_EMPTY_GROUP))
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
        return answered(promise, None)

    def topics(self) -> set[tuple[str, Uuid]]:
        """Name and id of each topic that something has been committed for."""
        return self._offsets.topics()

    # --- groups as a whole

    def described(self, group_id: str) -> DescribedGroup | None:
        """A classic group as DescribeGroups shows it; None if there is none of this id."""
        group = self._classic_group(group_id)
        return None if group is None else group.described()

    def described_consumer_group(self, group_id: str) -> Described | None:
        """A consumer group for ConsumerGroupDescribe; None if there is none of this id."""
        group = self._groups.get(group_id)
        return group.described(self._steps.assignors[0]) if isinstance(group, ConsumerGroup) else None

    def listed(self, states: Collection[str] = (), kinds: Collection[str] = ()) -> Iterator[ListedGroup]:
        """The groups in one of `states` and of one of `kinds`, both in lower case; empty means any. To be gone through
        step by step, with decisions in between: each group is listed as it is when its turn comes."""
        for group_id, group in list(self._groups.items()):
            if (kinds and group.kind not in kinds) or self._groups.get(group_id) is not group:
                continue
            listed = group.listed()
            if not states or listed.group_state.lower() in states:
                yield listed

    def decide_delete_group(
        self, group_id: str, now: Instant, promise: Promise[ErrorCode | Contents]
    ) -> Decision[GroupRecord]:
        """DeleteGroups, one of them: an empty group goes, with all it has committed. The reply is a code; or what the
        group has, if that is much: then nothing has happened, and its deletion is to be prepared (`offset_runs.py`)."""
        group = self._empty_group(group_id)
        if isinstance(group, ErrorCode):
            return answered(promise, group)
        contents = Contents.of(group, self._offsets.of(group_id), self._pending)
        room = self._room()
        if len(contents) > room.records or len(contents) * tombstone_size(group_id) > room.bytes:
            return answered(promise, contents)
        return Decision(list(contents.records(group_id)), [(promise, ErrorCode.NONE)])

    def decide_delete_prepared(
        self, group_id: str, prepared: PreparedDeletion, promise: Promise[ErrorCode | Contents]
    ) -> Decision[GroupRecord | Run]:
        """The same with the records that were prepared, if they still are what has to be written."""
        group = self._empty_group(group_id)
        if isinstance(group, ErrorCode):
            return answered(promise, group)
        offsets = self._offsets.of(group_id)
        if not prepared.contents.is_still_that_of(group, offsets, self._pending):
            return answered(promise, Contents.of(group, offsets, self._pending))
        if prepared.run is None:
            return answered(promise, ErrorCode.UNKNOWN_SERVER_ERROR)
        replies = [(promise, ErrorCode.NONE)]
        return Decision([prepared.first, prepared.run], replies, encoded=prepared.run.encoded)

    def _empty_group(self, group_id: str) -> Group | ErrorCode:
        """A group that may be deleted, or why not."""
        group = self._groups.get(group_id)
        if group is None:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return group if group.is_empty else ErrorCode.NON_EMPTY_GROUP

    # --- the contract of a machine

    def replay(self, record: GroupRecord | Run) -> None:
        """Take over what a record says, or very many."""
        match record:
            case OffsetCommitRecord():
                self._ensure_group(record)
                self._offsets.replay(record)
                self._pending.overtake(record)
            case CommitRun(group_id=group_id, topics=topics):
                assert group_id in self._groups, "a run stands behind the first of its offsets"
                self._offsets.replay_many(group_id, topics)
                self._pending.overtake_many(group_id, topics)
            case DeletionRun(group_id=group_id, tombstones=tombstones):
                self._offsets.forget_group(group_id)
                self._pending.forget_group(group_id)
                for each in tombstones:
                    self.replay(each)
            case PendingOffsetRecord(producer_id, commit):
                self._ensure_group(commit)
                self._pending.replay(producer_id, commit)
            case TransactionEndRecord(producer_id, commits):
                for each in self._pending.end(producer_id, commits):
                    self._offsets.replay(each)
            case GroupMetadataRecord():
                self._replay_classic(record)
                if self._is_loaded:
                    self._told(record)
            case ConsumerRecord():
                self._replay_consumer(record)
                if self._is_loaded:
                    self._told(record)
            case UpgradedGroup(group):
                assert isinstance(group, ConsumerGroup)
                self._replay_upgraded(group)

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

    def loaded(self, now: Instant) -> Iterator[None]:
        """Every member gets a fresh session, group by group."""
        self._now = now
        if self._groups:
            self._schedule_expiry(now)
        for group in self._groups.values():
            yield from self._kinds[group.kind].resume(group, now)
            yield
        self._is_loaded = True

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

    def encode(self, record: GroupRecord | Run, now: Instant) -> RecordData:
        """A record as Kafka writes it."""
        assert not isinstance(record, Run), "its records are encoded already"
        return encode_group_record(record, now.wall)

    def decode(self, data: RecordData) -> GroupRecord | None:
        """The record, or None for a kind that this coordinator does not know yet."""
        return decode_group_record(data)

    # --- forgetting

    def _room(self) -> Room:
        return Room(self._settings.expiry_batch, self._settings.expiry_batch_bytes)

    def _expire_offsets(self, draft: Draft) -> None:
        """Offsets that are too old go, and groups that have nothing left."""
        if self._expiry is None:
            self._expiry = ExpiryWalk(
                self._groups, self._offsets, self._pending, self._settings.offsets_retention, self._elapsed
            )
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


def _soon(draft: Draft) -> int:
    """When a search goes on that is not at its end: at once if it has something to write down, which gives way to
    others, else a moment later, which does so too."""
    return draft.now.monotonic if draft.records else draft.now.monotonic + 1
