"""A shard under test: the machine, its log in memory, and a clock that the test moves.

Each decision goes the way it goes in a broker: its records are encoded, kept, decoded and replayed, then its replies
reach the clients that wait. After every step the machine's `check` runs, so a test need not ask whether the state is
sound; and a second machine, the *follower*, which has only ever replayed the log, knows the same (`settled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import trio

from broker.coordinators.cluster.image import ClusterImage
from broker.coordinators.groups.classic.group import ClassicGroup
from broker.coordinators.groups.classic.states import GroupState
from broker.coordinators.groups.consumer.configs import ConsumerTimes
from broker.coordinators.groups.consumer.group import ConsumerGroup
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import Caller, CommittingMember
from broker.coordinators.groups.group import Group
from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.offset_runs import (
    Contents,
    PreparedCommit,
    PreparedDeletion,
    Run,
    prepare_commit,
    prepare_deletion,
)
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.groups.records import GroupRecord
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, EndOfTransaction, InTransaction, Promise
from kproto.batches.header import BatchHeader, read_header
from kproto.batches.records import EncodedRecords, RecordData, build_batch, build_end_txn_marker, iter_records
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kproto.ids import ZERO_UUID, TopicPartition, Uuid
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.slices import Slices

ReplyT = TypeVar("ReplyT")

SESSION = 10_000
REBALANCE = 60_000

NOT_ANSWERED: Any = object()


class Waiting(Generic[ReplyT]):
    """A request that was sent, answered or not."""

    def __init__(self) -> None:
        self.promise: Promise[ReplyT] = Promise()
        self._reply: Any = NOT_ANSWERED

    @property
    def answered(self) -> bool:
        return self._reply is not NOT_ANSWERED

    @property
    def reply(self) -> ReplyT:
        assert self.answered, "still waiting"
        reply: ReplyT = self._reply
        return reply

    @property
    def error(self) -> ErrorCode:
        """The code of the reply, or of the KafkaError that came instead."""
        reply: Any = self.reply
        return reply.code if isinstance(reply, KafkaError) else ErrorCode(reply.error_code)

    def answer(self, reply: Any) -> None:
        assert not self.answered, "a promise is answered once"
        self._reply = reply


def subscription(*topics: str, version: int = 1) -> bytes:
    """What a consumer that reads `topics` hands in when it joins."""
    return encode_subscription(ConsumerProtocolSubscription(topics=list(topics)), version)


class Shard:
    """One shard and its clients."""

    def __init__(self, *, seed: int = 0, **settings: Any) -> None:
        self.settings = GroupSettings(**settings)
        self.clock = VirtualClock()
        self.entropy = SeededEntropy(seed)
        self.log: list[RecordData] = []
        self.headers: dict[int, BatchHeader] = {}
        """Of the batches that records of the log stand in, by position, where those are part of transactions."""
        self.waiting: dict[Promise[Any], Waiting[Any]] = {}
        self.on_decision: Callable[[Decision[GroupRecord | Run]], None] | None = None
        self.on_batch: Callable[[int], None] = lambda size: None
        """Called with the bytes of each batch of records that were encoded before their decision."""
        self.image = ClusterImage()
        self.topics = Topics()
        self.times: dict[str, ConsumerTimes] = {}
        self.machine, self.follower = self._new_machine(), self._new_machine()
        list(self.machine.loaded(self.clock.now()))

    # --- the broker's part

    def _new_machine(self) -> GroupsMachine:
        times = self.times
        return GroupsMachine(
            self.settings,
            self.entropy,
            topics=self.topics,
            times_of=lambda group_id: times.get(group_id, ConsumerTimes(assignment_interval=0)),
        )

    def carry_out(self, decision: Decision[GroupRecord | Run]) -> None:
        """Append, replay, release."""
        if self.on_decision is not None:
            self.on_decision(decision)
        if decision.transaction is not None:
            self._carry_out_in_transaction(decision, decision.transaction)
        elif decision.encoded is not None:
            self._carry_out_encoded(decision, decision.encoded)
        else:
            for record in decision.records:
                data = self.machine.encode(record, self.clock.now())
                self.log.append(data)
                decoded = self.machine.decode(data)
                assert decoded == record, "a record says the same after a trip through the log"
                self.machine.replay(decoded)
                self.follower.replay(decoded)
        for promise, reply in decision.replies:
            self.waiting.pop(promise).answer(reply)
        self.check()

    def _carry_out_encoded(self, decision: Decision[GroupRecord | Run], encoded: EncodedRecords) -> None:
        """The machine replays what stands for the records, the follower the records, as they stand in the log."""
        others = decision.records[:-1] if encoded.first else decision.records[1:]
        plain = [self.machine.encode(record, self.clock.now()) for record in others]
        for record in decision.records:
            self.machine.replay(record)
        batch = build_batch(plain, encoded=encoded)
        self.on_batch(len(batch))
        for data in iter_records(batch):
            self.log.append(data)
            _replay(self.follower, None, data)

    def _carry_out_in_transaction(
        self, decision: Decision[GroupRecord | Run], transaction: InTransaction | EndOfTransaction
    ) -> None:
        producer: Any = {"producer_id": transaction.producer_id, "producer_epoch": transaction.producer_epoch}
        if isinstance(transaction, EndOfTransaction):
            commit, epoch = transaction.commit, transaction.coordinator_epoch
            batch = build_end_txn_marker(commit=commit, coordinator_epoch=epoch, timestamp=0, **producer)
        else:
            records = [self.machine.encode(record, self.clock.now()) for record in decision.records]
            batch = build_batch(records, transactional=True, **producer)
        for record in decision.records:
            self.machine.replay(record)
        for data in iter_records(batch):
            self.headers[len(self.log)] = read_header(batch)
            self.log.append(data)
            _replay(self.follower, read_header(batch), data)

    def check(self) -> None:
        """The state is sound, and what the log says is what the machine knows."""
        self.machine.check()
        here, there = settled(self.machine), settled(self.follower)
        assert here.keys() == there.keys(), "no group without a record, no record without a group"
        for group_id, state in here.items():
            assert state in (REBALANCING, there[group_id]), f"{group_id} is not what the log says"
        assert dict(self.machine._offsets.groups()) == dict(self.follower._offsets.groups())
        assert pending(self.machine) == pending(self.follower)

    def _send(self, waiting: Waiting[ReplyT], decision: Decision[GroupRecord | Run]) -> Waiting[ReplyT]:
        self.waiting[waiting.promise] = waiting
        self.carry_out(decision)
        return waiting

    def advance(self, millis: int) -> None:
        """Let time pass; the machine is asked at each of its deadlines."""
        end = self.clock.monotonic_millis() + millis
        while (deadline := self.machine.next_deadline()) is not None and deadline <= end:
            self.clock.advance(max(0, deadline - self.clock.monotonic_millis()))
            decision = self.machine.decide_expired(self.clock.now())
            self.carry_out(decision)
            assert decision.records or decision.replies or self.machine.next_deadline() != deadline
        self.clock.advance(end - self.clock.monotonic_millis())

    def restart(self, **settings: Any) -> None:
        """The broker dies and comes back, with other settings if some are given: parked requests are lost with their
        connections, the log is replayed. Groups that were settled are so again, unless a setting forbids it."""
        self.waiting.clear()
        before = {} if settings else settled(self.machine)
        self.settings = replace(self.settings, **settings)
        self.machine, self.follower = self._new_machine(), self._new_machine()
        for position, data in enumerate(self.log):
            _replay(self.machine, self.headers.get(position), data)
            _replay(self.follower, self.headers.get(position), data)
        list(self.machine.loaded(self.clock.now()))
        self.check()
        after = settled(self.machine)
        for group_id, state in before.items():
            assert state in (REBALANCING, after[group_id]), f"{group_id} is another one after a restart"

    def records(self) -> list[GroupRecord | None]:
        """The log, decoded."""
        return [self.machine.decode(data) for data in self.log]

    def described(self, group: str = "g") -> DescribedGroup:
        """The group, which exists."""
        found = self.machine.described(group)
        assert found is not None
        return found

    # --- the clients' part

    def join(
        self,
        member: str = "",
        *,
        group: str = "g",
        instance: str | None = None,
        protocols: Mapping[str, bytes] | Sequence[str] = ("range",),
        kind: str = "consumer",
        session: int = SESSION,
        rebalance: int = REBALANCE,
        version: int = 9,
        client: str = "client",
    ) -> Waiting[JoinGroupResponse]:
        """JoinGroup."""
        offered = protocols.items() if isinstance(protocols, Mapping) else [(name, b"wishes") for name in protocols]
        request = JoinGroupRequest(
            group_id=group,
            session_timeout_ms=session,
            rebalance_timeout_ms=rebalance,
            member_id=member,
            group_instance_id=instance,
            protocol_type=kind,
            protocols=[JoinGroupRequestProtocol(name=name, metadata=metadata) for name, metadata in offered],
        )
        waiting: Waiting[JoinGroupResponse] = Waiting()
        caller = Caller(client, "/10.0.0.1", version)
        return self._send(waiting, self.machine.decide_join(request, caller, self.clock.now(), waiting.promise))

    def new_id(self, **join: Any) -> str:
        """The id that a first JoinGroup of version 4 or later is given to come back with."""
        waiting = self.join(**join)
        assert waiting.error is ErrorCode.MEMBER_ID_REQUIRED
        return waiting.reply.member_id

    def sync(
        self,
        member: str,
        generation: int,
        assignments: Mapping[str, bytes] | None = None,
        *,
        group: str = "g",
        instance: str | None = None,
        kind: str | None = None,
        protocol: str | None = None,
    ) -> Waiting[SyncGroupResponse]:
        """SyncGroup."""
        request = SyncGroupRequest(
            group_id=group,
            generation_id=generation,
            member_id=member,
            group_instance_id=instance,
            protocol_type=kind,
            protocol_name=protocol,
            assignments=[
                SyncGroupRequestAssignment(member_id=each, assignment=share)
                for each, share in (assignments or {}).items()
            ],
        )
        waiting: Waiting[SyncGroupResponse] = Waiting()
        return self._send(waiting, self.machine.decide_sync(request, self.clock.now(), waiting.promise))

    def beat(self, member: str, generation: int, *, group: str = "g", instance: str | None = None) -> ErrorCode:
        """Heartbeat."""
        request = HeartbeatRequest(
            group_id=group, generation_id=generation, member_id=member, group_instance_id=instance
        )
        waiting: Waiting[HeartbeatResponse] = Waiting()
        return self._send(waiting, self.machine.decide_heartbeat(request, self.clock.now(), waiting.promise)).error

    def leave(self, *members: str | MemberIdentity, group: str = "g", version: int = 5) -> list[ErrorCode]:
        """LeaveGroup; the codes of its members."""
        identities = [MemberIdentity(member_id=each) if isinstance(each, str) else each for each in members]
        request = LeaveGroupRequest(group_id=group, members=identities)
        if version < 3:
            request = LeaveGroupRequest(group_id=group, member_id=identities[0].member_id)
        waiting: Waiting[LeaveGroupResponse] = Waiting()
        caller = Caller("client", "/10.0.0.1", version)
        self._send(waiting, self.machine.decide_leave(request, caller, self.clock.now(), waiting.promise))
        if waiting.error is not ErrorCode.NONE:
            return [waiting.error]
        return [ErrorCode(each.error_code) for each in waiting.reply.members]

    def commit(
        self,
        offsets: Mapping[tuple[str, int], int],
        *,
        member: str = "",
        generation: int = -1,
        instance: str | None = None,
        group: str = "g",
        version: int = 9,
        metadata: str = "",
        retention: int = -1,
        topic_id: Uuid = ZERO_UUID,
    ) -> ErrorCode | list[ErrorCode]:
        """OffsetCommit; one code, or one per partition if they differ from NONE."""
        commits = [
            OffsetToCommit(topic, topic_id, partition, offset, 0, metadata)
            for (topic, partition), offset in offsets.items()
        ]
        waiting: Waiting[list[ErrorCode]] = Waiting()
        self._send(
            waiting,
            self.machine.decide_commit(
                group,
                CommittingMember(member, instance, generation, version),
                commits,
                retention,
                self.clock.now(),
                waiting.promise,
            ),
        )
        reply: Any = waiting.reply
        if not isinstance(reply, list):
            return waiting.error
        return reply if any(reply) else ErrorCode.NONE

    def commit_in_transaction(
        self,
        producer_id: int,
        offsets: Mapping[tuple[str, int], int],
        *,
        member: str = "",
        generation: int = -1,
        group: str = "g",
        metadata: str = "",
        topic_id: Uuid = ZERO_UUID,
    ) -> ErrorCode | list[ErrorCode]:
        """TxnOffsetCommit of a producer that has been verified; codes as of `commit`."""
        commits = [
            OffsetToCommit(topic, topic_id, partition, offset, 0, metadata)
            for (topic, partition), offset in offsets.items()
        ]
        waiting: Waiting[list[ErrorCode]] = Waiting()
        self._send(
            waiting,
            self.machine.decide_commit_in_transaction(
                group,
                CommittingMember(member, None, generation, 5, transactional=True),
                commits,
                InTransaction(producer_id, 0),
                self.clock.now(),
                waiting.promise,
            ),
        )
        reply: Any = waiting.reply
        if not isinstance(reply, list):
            return waiting.error
        return reply if any(reply) else ErrorCode.NONE

    def end_transaction(self, producer_id: int, commit: bool) -> None:
        """The marker of a transaction."""
        waiting: Waiting[None] = Waiting()
        end = EndOfTransaction(producer_id, 0, 0, commit)
        self._send(waiting, self.machine.decide_end_transaction(end, self.clock.now(), waiting.promise))

    def unstable(self, group: str = "g") -> set[tuple[str, int]]:
        """The partitions that a transaction has something pending for."""
        return {(place.topic, place.partition) for place in self.machine.unstable(group)}

    def committed(self, group: str = "g") -> dict[tuple[str, int], int]:
        """What the group has committed."""
        return {(place.topic, place.partition): found.offset for place, found in self.machine.committed(group).items()}

    def delete_offsets(self, *places: tuple[str, int], group: str = "g") -> ErrorCode | list[ErrorCode]:
        """OffsetDelete."""
        waiting: Waiting[list[ErrorCode]] = Waiting()
        wanted = [TopicPartition(*place) for place in places]
        self._send(waiting, self.machine.decide_delete_offsets(group, wanted, self.clock.now(), waiting.promise))
        reply: Any = waiting.reply
        return reply if isinstance(reply, list) else waiting.error

    def forget_topics(self, *topics: str) -> None:
        """These topics have been deleted, whatever their ids."""
        waiting: Waiting[None] = Waiting()
        gone = [(topic, ZERO_UUID) for topic in topics]
        self._send(waiting, self.machine.decide_forget_topics(gone, self.clock.now(), waiting.promise))

    def delete(self, *groups: str) -> list[ErrorCode]:
        """DeleteGroups."""
        return [self._delete(group) for group in groups]

    def _delete(self, group: str) -> ErrorCode:
        waiting: Waiting[ErrorCode | Contents] = Waiting()
        self._send(waiting, self.machine.decide_delete_group(group, self.clock.now(), waiting.promise))
        if isinstance(waiting.reply, ErrorCode):
            return waiting.reply
        again: Waiting[ErrorCode | Contents] = Waiting()
        prepared = self.prepared_deletion(group, waiting.reply)
        self._send(again, self.machine.decide_delete_prepared(group, prepared, again.promise))
        assert isinstance(again.reply, ErrorCode)
        return again.reply

    def prepared_deletion(self, group: str, contents: Contents) -> PreparedDeletion:
        """The deletion of a group that has these contents."""

        async def prepare() -> PreparedDeletion:
            limit, now_wall = self.settings.max_offsets_batch, self.clock.now().wall
            return await prepare_deletion(group, contents, now_wall=now_wall, limit=limit, slices=Slices())

        return trio.run(prepare)

    def commit_many(
        self, commits: Sequence[OffsetToCommit], *, group: str = "g", retention: int = -1
    ) -> Waiting[list[ErrorCode]]:
        """A long OffsetCommit, of partitions of which none is there twice."""

        async def prepare() -> PreparedCommit:
            limit, now_wall = self.settings.max_offsets_batch, self.clock.now().wall
            return await prepare_commit(
                group, commits, now_wall=now_wall, retention=retention, limit=limit, slices=Slices()
            )

        waiting: Waiting[list[ErrorCode]] = Waiting()
        member = CommittingMember("", None, -1, 9)
        prepared = trio.run(prepare)
        now = self.clock.now()
        decision = self.machine.decide_commit_prepared(group, member, commits, prepared, now, waiting.promise)
        return self._send(waiting, decision)

    # --- builders

    def stable(self, count: int = 2, *, group: str = "g", topics: Iterable[str] = ("t",)) -> StableGroup:
        """A stable consumer group of `count` dynamic members, the first of which leads."""
        wishes = {"range": subscription(*topics)}
        ids = [self.new_id(group=group, protocols=wishes) for _ in range(count)]
        joins = []
        for number in range(count):
            joins = [self.join(each, group=group, protocols=wishes) for each in [ids[number], *ids[:number]]]
        generation = joins[0].reply.generation_id
        leader = joins[0].reply.leader
        shares = {each: f"share of {each}".encode() for each in ids}
        for each in ids:
            if each != leader:
                self.sync(each, generation, group=group)
        assert self.sync(leader, generation, shares, group=group).error is ErrorCode.NONE
        assert self.described(group).group_state == "Stable"
        return StableGroup(ids, generation, leader)

    def stable_static(self, *instances: str, protocols: Sequence[str] = ("range",)) -> StableGroup:
        """A stable group of static members, the first of which leads."""
        ids: list[str] = []
        joins = []
        for number, instance in enumerate(instances):
            joins = [self.join(instance=instance, protocols=protocols)]
            joins += [
                self.join(each, instance=name, protocols=protocols)
                for each, name in zip(ids, instances[:number], strict=True)
            ]
            ids.append(joins[0].reply.member_id)
        generation = joins[0].reply.generation_id
        leader = joins[0].reply.leader
        for each, name in zip(ids, instances, strict=True):
            if each != leader:
                self.sync(each, generation, instance=name)
        self.sync(leader, generation, {each: f"share of {each}".encode() for each in ids})
        assert self.described().group_state == "Stable"
        return StableGroup(ids, generation, leader)


def _replay(machine: GroupsMachine, header: BatchHeader | None, data: RecordData) -> None:
    """As a runtime does when it loads the log."""
    if header is None:
        if (record := machine.decode(data)) is not None:
            machine.replay(record)
    elif header.is_control:
        machine.replay_control(header, data)
    else:
        machine.replay_in_transaction(header, data)


def pending(machine: GroupsMachine) -> dict[tuple[str, TopicPartition, int], tuple[Any, bool]]:
    """What transactions have committed that are still open: offset by group, partition and producer."""
    return {
        (group_id, place, producer_id): (each.value, each.overtaken)
        for group_id, places in machine._pending._groups.items()
        for place, by_producer in places.items()
        for producer_id, each in by_producer.items()
    }


REBALANCING: Any = "what a rebalancing group looks like is not in the log"


def settled(machine: GroupsMachine) -> dict[str, Any]:
    """All that the log can know of each group: of one that is empty or stable everything, else only that it exists."""
    return {group_id: _settled(group) for group_id, group in machine._groups.items()}


def _settled(group: Group) -> Any:
    if isinstance(group, ConsumerGroup):
        return (
            group.epoch,
            group.metadata_hash,
            group.assignment_epoch,
            group.assignment_timestamp,
            group.members,
            group.targets,
            group.resolved,
            group.held,
        )
    assert isinstance(group, ClassicGroup)
    if group.state not in (GroupState.EMPTY, GroupState.STABLE):
        return REBALANCING
    return (
        group.state,
        group.state_timestamp,
        group.generation,
        group.protocol_type,
        group.protocol_name,
        group.leader,
        group.static,
        [
            (member.written(group.protocol_name, member.assignment), member.protocol_type)
            for member in group.members.values()
        ],
    )


@dataclass(frozen=True)
class StableGroup:
    """Who is in it."""

    members: list[str]
    generation: int
    leader: str
