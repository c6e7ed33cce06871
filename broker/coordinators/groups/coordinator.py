"""The group coordinator: what handlers ask, and where the answer comes from.

`__consumer_offsets` has 50 partitions by default, each a shard (`shards.py`) with a machine of its own (`machine.py`),
and a request goes to the shard of its group id. The topic itself is made when a client first asks for a coordinator.
Until then no group exists: requests for one are answered NOT_COORDINATOR, which sends clients to FindCoordinator, and
lists are empty.

Deleted topics: what was committed for them is forgotten a moment after the cluster image has lost them. Readers do
not wait for that: an offset shows only if the topic it was committed for, by name and id, is there. What a crash
interrupts is made up for when the shard is loaded.

Requests may name thousands of groups, offsets or members. Equal groups are looked at once. A commit, and the deletion
of a group, is one batch, however long: its records are made in slices, before the decision (`offset_runs.py`). What
need not be whole is decided in parts of `AT_ONCE`, between which other requests are served: members that leave, offsets
that an administrator deletes, and offsets in a transaction, which count together when its marker comes.

Kafka: GroupCoordinatorService.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import trio

from broker.config.topics import log_config
from broker.coordinators.cluster.image import CONSUMER_OFFSETS, ClusterChange
from broker.coordinators.groups.committing import is_too_long
from broker.coordinators.groups.consumer.configs import ConsumerConfigs
from broker.coordinators.groups.consumer.member import JOINING_EPOCH
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import Caller, CommittingMember
from broker.coordinators.groups.memory import Budget
from broker.coordinators.groups.offset_runs import (
    Contents,
    PreparedCommit,
    PreparedDeletion,
    Run,
    prepare_commit,
    prepare_deletion,
)
from broker.coordinators.groups.offsets import CommittedOffset, OffsetToCommit
from broker.coordinators.groups.records import GroupRecord, text_size
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, EndOfTransaction, InTransaction, Promise
from broker.coordinators.runtime import Runtime
from broker.coordinators.shards import Begun, ShardedTopic, Shards, ShardsStatistics
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, TopicPartition, Uuid
from kproto.messages.consumer_group_describe import DescribedGroup as ConsumerGroupDescription
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse
from kproto.messages.list_groups import ListedGroup
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from kproto.primitives import MAX_STRING
from storage.engine import LogStore, PartitionLog
from storage.seams.clock import Instant
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterCoordinator, Topic
    from broker.coordinators.groups.consumer.group import Described
    from broker.coordinators.groups.consumer.upgrade import Upgrade
    from broker.coordinators.groups.consumer.work import Work
    from broker.coordinators.groups.machine import GroupsMachine, Told
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload

T = TypeVar("T")

AT_ONCE_BYTES: Final = 4 << 20
OFFSET_RECORD_FIXED: Final = 400
"""More than the record of an offset takes beside the group's id and the metadata, with a topic's name."""
LARGEST_OFFSET_RECORD: Final = OFFSET_RECORD_FIXED + 2 * MAX_STRING
BYTES_OF_A_CHARACTER: Final = 4
"""In UTF-8, at most."""

DELETED_AT_ONCE: Final = 5_000
"""Groups that one part of a DeleteGroups deletes: what is noted of them is forgotten before the next part."""

PREPARED_AT_MOST: Final = 5
"""How often the deletion of a group is prepared that is committed to meanwhile."""

ANSWERS_AT_MOST: Final = 3
"""How often a heartbeat is decided on: it may find expressions to be resolved, and then partitions to be assigned."""

AT_ONCE: Final = 500
"""Offsets or members that one decision changes: so many records take a few milliseconds to encode and replay."""


class CommittedByGroup(NamedTuple):
    """What a group has committed. `CommittedOffset.is_of` says whether an offset was committed for a topic that still
    exists; `unstable` has the partitions with pending offsets, and the ids of their topics at the time."""

    offsets: Mapping[TopicPartition, CommittedOffset]
    unstable: Mapping[TopicPartition, Sequence[Uuid]]

    def is_unstable(self, place: TopicPartition, topic_id: Uuid) -> bool:
        """Whether an open transaction will have committed something for this partition of this topic."""
        return any(topic_id == each or ZERO_UUID in (topic_id, each) for each in self.unstable.get(place, ()))


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """All groups of a broker at a glance."""

    shards: ShardsStatistics
    state_bytes: int
    """Memory that the groups take, as `memory.py` counts it."""
    state_max_bytes: int
    """What they may take: `ottla.group.state.max.bytes`."""
    refused: int
    """How often something was refused for that, since the start."""


def _described(machine: GroupsMachine, group_id: str) -> DescribedGroup | None:
    return machine.described(group_id)


def _described_consumer_group(machine: GroupsMachine, group_id: str) -> Described | None:
    return machine.described_consumer_group(group_id)


class GroupCoordinator:
    """All groups of this broker. Call `host` once, with a nursery that lives as long as the broker.

    Every method that names a group raises KafkaError: NOT_COORDINATOR when its shard is another broker's, does not
    exist yet, or was lost meanwhile; COORDINATOR_LOAD_IN_PROGRESS while it loads.
    """

    def __init__(
        self,
        *,
        store: LogStore,
        cluster: ClusterCoordinator,
        config: BrokerConfig,
        clock: Clock,
        entropy: Entropy,
        offload: Offload,
        told: Told = lambda record: None,
    ) -> None:
        """`told` hears of each record about a group itself, when it is replayed after a decision."""
        self._store = store
        self._told = told
        self._cluster = cluster
        self._config = config
        self._settings = GroupSettings.of(config)
        self._budget = Budget(self._settings.max_state, self._held)
        self._clock = clock
        self._entropy = entropy
        self._offload = offload
        self._first_work: dict[str, Work] = {}  # of groups, while they are under way
        self._topics = Topics(config.broker_rack)
        self._times = ConsumerConfigs(lambda: cluster.config, lambda: cluster.image)
        self._upgrading = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self.shards: Shards[GroupsMachine] = Shards(store, self._new_runtime)

    def host(self, nursery: trio.Nursery) -> None:
        """Host what there is in `nursery` from now on; `loaded` waits for it."""
        self._nursery = nursery
        self._cluster.subscribe(self._follow)
        self._topics.follow(self._cluster.image, ClusterChange(), self._cluster.metadata_offset)
        self.shards.host(nursery, self._topic())

    async def loaded(self) -> None:
        """Return when the groups that there are can be asked for."""
        await self.shards.loaded()

    async def ensure(self) -> None:
        """Make `__consumer_offsets` if it does not exist (FindCoordinator)."""
        await self._cluster.ensure_internal_topic(CONSUMER_OFFSETS)

    def statistics(self) -> GroupStatistics:
        """The groups at a glance."""
        return GroupStatistics(self.shards.statistics(), self._budget.held, self._budget.limit, self._budget.refused)

    def _held(self) -> int:
        return sum(machine.account.bytes for machine in self.shards.machines())

    def _topic(self) -> ShardedTopic | None:
        topic: Topic | None = self._cluster.image.topics.get(CONSUMER_OFFSETS)
        if topic is None:
            return None
        config = log_config(topic.configs, self._config, internal=True)
        return ShardedTopic(topic.name, topic.topic_id, topic.partition_count, config)

    def _new_runtime(self, log: PartitionLog) -> Runtime[GroupsMachine]:
        from broker.coordinators.groups.machine import GroupsMachine  # the handler of FindCoordinator has loaded it

        return Runtime(
            log,
            self._store,
            lambda: GroupsMachine(
                self._settings, self._entropy, self._budget, self._topics, self._times.of, self._told
            ),
            self._clock,
            on_loaded=self._forget_missing_topics,
            replay_control=GroupsMachine.replay_control,
            replay_in_transaction=GroupsMachine.replay_in_transaction,
        )

    # --- members

    async def join(self, request: JoinGroupRequest, caller: Caller) -> JoinGroupResponse:
        """JoinGroup: returns when the rebalance has gathered its members, which may take minutes."""
        return await self.shards.decide(
            request.group_id, lambda machine, now, promise: machine.decide_join(request, caller, now, promise)
        )

    async def sync(self, request: SyncGroupRequest) -> SyncGroupResponse:
        """SyncGroup: returns when the leader has assigned."""
        return await self.shards.decide(
            request.group_id, lambda machine, now, promise: machine.decide_sync(request, now, promise)
        )

    def begin_heartbeat(self, request: HeartbeatRequest) -> Begun[HeartbeatResponse] | None:
        """Heartbeat, decided now. None if the group's shard is being loaded: `heartbeat` waits for it."""
        return self.shards.begin(
            request.group_id, lambda machine, now, promise: machine.decide_heartbeat(request, now, promise)
        )

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Heartbeat."""
        return await self.shards.decide(
            request.group_id, lambda machine, now, promise: machine.decide_heartbeat(request, now, promise)
        )

    async def leave(self, request: LeaveGroupRequest, caller: Caller) -> LeaveGroupResponse:
        """LeaveGroup; the reply lists the members in every version."""
        found: list[LeaveGroupResponse | KafkaError] = await self.shards.decide_many(
            (request.group_id, partial(_leave, request=request, members=members, caller=caller))
            for members in _parts(request.members)
        )
        answers: list[MemberResponse] = []
        async for response in Slices().over(found):
            if isinstance(response, KafkaError):
                raise response
            if response.error_code:
                return response
            answers += response.members
        return LeaveGroupResponse(members=answers)

    async def consumer_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, caller: Caller
    ) -> ConsumerGroupHeartbeatResponse:
        """ConsumerGroupHeartbeat. Where one leads to work beside the event loop, the answer waits for what comes of
        it, so that a member that joins learns what it owns at once."""
        joins = request.member_epoch == JOINING_EPOCH
        upgrade = await self._prepared_upgrade(request, caller)
        response: ConsumerGroupHeartbeatResponse
        for _ in range(ANSWERS_AT_MOST):
            begun: list[Work] = []
            response = await self.shards.decide(
                request.group_id, partial(self._beat, request, caller, begun, upgrade, joins)
            )
            if not begun or response.error_code:
                break
            for work in begun:
                await work.done.wait()
            request, upgrade = copy(request), None
            request.member_id, request.member_epoch = response.member_id or "", response.member_epoch
        return response

    async def _prepared_upgrade(self, request: ConsumerGroupHeartbeatRequest, caller: Caller) -> Upgrade | None:
        """What a heartbeat makes of a large classic group. One is prepared at a time, for each is a copy of its group;
        one that has waited for its turn may find that the group is a consumer group by now."""
        if request.member_epoch != JOINING_EPOCH or not self._upgrade_by(request, caller):
            return None
        async with self._upgrading:
            upgrade = self._upgrade_by(request, caller)
            if upgrade is not None:
                await upgrade.prepare()
        return upgrade

    def _upgrade_by(self, request: ConsumerGroupHeartbeatRequest, caller: Caller) -> Upgrade | None:
        machine = self.shards.machine_of(request.group_id)
        return None if machine is None else machine.upgrade_by(request, caller)

    def _beat(
        self,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller,
        begun: list[Work],
        upgrade: Upgrade | None,
        joins: bool,
        machine: GroupsMachine,
        now: Instant,
        promise: Promise[ConsumerGroupHeartbeatResponse],
    ) -> Decision[GroupRecord]:
        decision = machine.decide_consumer_heartbeat(request, caller, now, promise, upgrade)
        if machine.has_work:
            begun += self._begin_work(request.group_id, machine, caller)
        first = self._first_work.get(request.group_id) if joins else None
        if first is not None and first not in begun:
            first.waiting += 1
            begun.append(first)
        return decision

    def _begin_work(self, group_id: str, machine: GroupsMachine, caller: Caller) -> list[Work]:
        """What decisions have left to be computed is begun, in tasks that live as long as the broker: the client that
        has caused it may go."""
        assert self._nursery is not None, "start() comes first"
        from broker.coordinators.groups.consumer.work import Work

        begun = [Work(asked, self.shards, self._offload, caller.may_describe) for asked in machine.take_work()]
        for work in begun:
            if work.is_first:
                self._first_work[group_id] = work
            self._nursery.start_soon(self._do, group_id, work)
        return begun

    async def _do(self, group_id: str, work: Work) -> None:
        try:
            await work.run()
        finally:
            if self._first_work.get(group_id) is work:
                del self._first_work[group_id]

    # --- offsets

    def begin_commit(
        self, group_id: str, member: CommittingMember, commits: Sequence[OffsetToCommit], retention: int
    ) -> Begun[list[ErrorCode]] | None:
        """Commit a few offsets of partitions that exist, now. The outcome is that of `decide_commit`. None if that
        takes longer, the group's shard being loaded for example: `commit` waits for it.

        Raises KafkaError.
        """
        if not _fits_one_decision(group_id, commits, self._settings):
            return None
        return self.shards.begin(
            group_id,
            lambda machine, now, promise: machine.decide_commit(group_id, member, commits, retention, now, promise),
        )

    async def commit(
        self, group_id: str, member: CommittingMember, commits: Sequence[OffsetToCommit], retention: int
    ) -> list[ErrorCode]:
        """Commit offsets of partitions that exist; a code for each, also where the member may not commit."""
        few = _fits_one_decision(group_id, commits, self._settings)
        last = commits if few else await self._last_of_each(commits)
        decide: Callable[[GroupsMachine, Instant, Promise[list[ErrorCode]]], Decision[Any]]
        if few or _fits_one_decision(group_id, last, self._settings):
            decide = partial(_commit, group_id=group_id, member=member, commits=last, retention=retention)
        else:
            limit, now_wall = self._settings.max_offsets_batch, self._clock.now().wall
            prepared = await prepare_commit(
                group_id, last, now_wall=now_wall, retention=retention, limit=limit, slices=Slices()
            )
            decide = partial(_commit_prepared, group_id=group_id, member=member, commits=last, prepared=prepared)
        found: list[list[ErrorCode] | KafkaError] = await self.shards.decide_many([(group_id, decide)])
        [reply] = found
        if isinstance(reply, KafkaError):
            return [reply.code] * len(commits)
        if few:
            return reply
        slices = Slices()
        codes = {
            (commit.topic, commit.partition): code async for commit, code in slices.over(zip(last, reply, strict=True))
        }
        return [
            ErrorCode.OFFSET_METADATA_TOO_LARGE
            if is_too_long(commit.metadata, self._settings.offset_metadata_max)
            else codes[commit.topic, commit.partition]
            async for commit in slices.over(commits)
        ]

    async def _last_of_each(self, commits: Sequence[OffsetToCommit]) -> list[OffsetToCommit]:
        """Of each partition the last commit whose metadata is not too long."""
        last: dict[tuple[str, int], OffsetToCommit] = {}
        async for commit in Slices().over(commits):
            if not is_too_long(commit.metadata, self._settings.offset_metadata_max):
                last[commit.topic, commit.partition] = commit
        return list(last.values())

    async def commit_in_transaction(
        self,
        group_id: str,
        member: CommittingMember,
        commits: Sequence[OffsetToCommit],
        enter: Callable[[TopicPartition, PartitionLog], Awaitable[InTransaction]],
    ) -> list[ErrorCode]:
        """Commit offsets that count when the producer's transaction commits; a code for each of them.

        `enter` lets a batch for this partition of `__consumer_offsets`, which has this log, into the transaction, or
        raises a KafkaError. It is called for each part, and has nothing to ask if the transaction is open in the log.
        It is called when the shard is loaded: of a log that is known in part, markers that another owner has appended
        would seem to have come after the question, and the append would be refused, which costs the shard its state.
        """
        codes: list[ErrorCode] = []
        longest = max((len(commit.metadata) for commit in commits), default=0)
        for part in _parts(commits, _at_once(group_id, longest)):
            try:
                log = await self.shards.loaded_log_of(group_id)
                transaction = await enter(self.place_of(group_id), log)
                codes += await self.shards.decide(
                    group_id,
                    partial(_commit_in_transaction, group_id, member, part, transaction),
                )
            except KafkaError as error:
                codes += [error.code] * len(part)
        return codes

    def place_of(self, group_id: str) -> TopicPartition:
        """The partition of `__consumer_offsets` that the group is in. Raises KafkaError if there is none."""
        return TopicPartition(CONSUMER_OFFSETS, self.shards.index_of(group_id))

    async def end_transaction(self, partition: int, end: EndOfTransaction) -> None:
        """A producer's transaction ends in this partition of `__consumer_offsets`: append the marker, and let what is
        pending count or be forgotten. Returns when that is durable."""
        await self.shards.decide_in(partition, partial(_end_transaction, end=end))

    async def committed(
        self, wanted: Mapping[str, Collection[TopicPartition] | None], *, stable: bool = False
    ) -> dict[str, CommittedByGroup | KafkaError]:
        """What each of these groups has committed, for these partitions at least, or None: for all; or why that is not
        known. With `stable` also for which partitions open transactions will have committed something."""

        def look(machine: GroupsMachine, group_id: str) -> CommittedByGroup:
            return CommittedByGroup(
                machine.committed(group_id, wanted[group_id]), machine.unstable(group_id) if stable else {}
            )

        return await self.shards.look_at_many(wanted, look)

    async def fetch_error(self, group_id: str, member_id: str | None, epoch: int) -> ErrorCode:
        """NONE if a client that says so of itself may learn what the group has committed: STALE_MEMBER_EPOCH and
        UNKNOWN_MEMBER_ID where members have epochs."""
        return await self.shards.look(group_id, lambda machine: machine.fetch_error(group_id, member_id, epoch))

    async def delete_offsets(self, group_id: str, places: Sequence[TopicPartition]) -> list[ErrorCode]:
        """Forget offsets of partitions that exist; a code for each. Raises KafkaError if the group does not let it.

        The group is looked at even if `places` is empty.
        """
        at_once = _at_once(group_id, 0)
        found = await self.shards.decide_many(
            (group_id, partial(_delete_offsets, group_id=group_id, places=part)) for part in _parts(places, at_once)
        )
        codes: list[ErrorCode] = []
        for reply in found:
            if isinstance(reply, KafkaError):
                raise reply
            codes += reply
        return codes

    # --- groups as a whole

    async def describe(self, group_ids: Iterable[str]) -> dict[str, DescribedGroup | KafkaError | None]:
        """Each of these groups; None if it is not known."""
        return await self.shards.look_at_many(group_ids, _described)

    async def describe_consumer_groups(
        self, group_ids: Iterable[str]
    ) -> dict[str, ConsumerGroupDescription | KafkaError | None]:
        """Each of these consumer groups; None if there is none of this id."""
        from broker.coordinators.groups.consumer.group import NO_SHARES, Described, described_member

        found = await self.shards.look_at_many(group_ids, _described_consumer_group)
        topics, slices = self._topics.as_they_are(), Slices()
        described: dict[str, ConsumerGroupDescription | KafkaError | None] = {}
        async for group_id, each in slices.over(found.items()):
            if isinstance(each, Described):
                each.group.members = [
                    described_member(member, each.targets.get(member.member_id, NO_SHARES), topics)
                    async for member in slices.over(each.members)
                ]
                described[group_id] = each.group
            else:
                described[group_id] = each
        return described

    async def list_groups(self, states: Collection[str] = (), types: Collection[str] = ()) -> list[ListedGroup]:
        """The groups in one of `states` and of one of `types`, both without regard to case; empty means any."""
        slices = Slices()
        wanted_states = {state.strip().lower() async for state in slices.over(states)}
        kinds = {kind.strip().lower() async for kind in slices.over(types)}
        return await self.shards.walk_each(lambda machine: machine.listed(wanted_states, kinds))

    async def delete_groups(self, group_ids: Sequence[str]) -> dict[str, ErrorCode]:
        """Delete empty groups and all they have committed."""
        codes: dict[str, ErrorCode] = {}
        for part in _parts(group_ids, DELETED_AT_ONCE):
            left = [group_id for group_id in dict.fromkeys(part) if group_id not in codes]
            found = await self.shards.decide_many(
                (group_id, partial(_delete_group, group_id=group_id)) for group_id in left
            )
            for group_id, reply in zip(left, found, strict=True):
                codes[group_id] = (
                    await self._deleted(group_id, reply) if isinstance(reply, Contents) else _code_of(reply)
                )
        return codes

    async def _deleted(self, group_id: str, contents: Contents) -> ErrorCode:
        """Delete a group that has much, as one batch."""
        for _ in range(PREPARED_AT_MOST):
            prepared = await prepare_deletion(
                group_id,
                contents,
                now_wall=self._clock.now().wall,
                limit=self._settings.max_offsets_batch,
                slices=Slices(),
            )
            decide = partial(_delete_prepared, group_id=group_id, prepared=prepared)
            [reply] = await self.shards.decide_many([(group_id, decide)])
            if not isinstance(reply, Contents):
                return _code_of(reply)
            contents = reply
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS  # its clients commit without a pause: the admin tries again

    # --- topics that come and go

    def _forget_missing_topics(self, machine: GroupsMachine) -> None:
        """Before a loaded shard answers: topics that were deleted while it was not."""
        image = self._cluster.image
        missing = []
        for name, topic_id in machine.topics():
            topic = image.topics.get(name)
            if topic is None or not CommittedOffset(0, 0, "", 0, topic_id=topic_id).is_of(topic.topic_id):
                missing.append((name, topic_id))
        machine.forget_topics(missing, self._clock.now())

    def _follow(self, change: ClusterChange) -> None:
        """The cluster image has changed."""
        self._topics.follow(self._cluster.image, change, self._cluster.metadata_offset)
        if any(topic.name == CONSUMER_OFFSETS for topic in (*change.created, *change.deleted, *change.altered)):
            self.shards.follow(self._topic())
        gone = [(topic.name, topic.topic_id) for topic in change.deleted]
        if gone and self.shards.open and self._nursery is not None:
            self._nursery.start_soon(self._forget, gone)

    async def _forget(self, gone: Collection[tuple[str, Uuid]]) -> None:
        """A shard that is being loaded finds out by itself."""
        await self.shards.decide_in_each(lambda machine, now, promise: machine.decide_forget_topics(gone, now, promise))


def _parts(things: Sequence[T], at_once: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """Cut into parts; nothing is one part, too."""
    for start in range(0, max(1, len(things)), at_once):
        yield things[start : start + at_once]


def _code_of(reply: ErrorCode | KafkaError) -> ErrorCode:
    return reply.code if isinstance(reply, KafkaError) else reply


def _fits_one_decision(group_id: str, commits: Sequence[OffsetToCommit], settings: GroupSettings) -> bool:
    """Whether these are so few, and so small, that one decision may encode them."""
    if len(commits) * LARGEST_OFFSET_RECORD <= settings.max_offsets_batch:
        return True
    if len(commits) > AT_ONCE:
        return False
    longest = max([len(commit.metadata) for commit in commits], default=0)
    return len(commits) * _largest(group_id, longest) <= settings.max_offsets_batch


def _at_once(group_id: str, characters: int) -> int:
    """How many records of offsets make one decision: `AT_ONCE`, fewer if they are large, so that each fits into a
    batch. The longest metadata has so many characters."""
    return min(AT_ONCE, max(1, AT_ONCE_BYTES // _largest(group_id, characters)))


def _largest(group_id: str, characters: int) -> int:
    """Bytes that the record of an offset takes in a batch, at most."""
    return OFFSET_RECORD_FIXED + text_size(group_id) + min(characters * BYTES_OF_A_CHARACTER, MAX_STRING)


# What requests want of a machine, with the arguments of a decision in front.


def _leave(
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[LeaveGroupResponse],
    *,
    request: LeaveGroupRequest,
    members: Sequence[MemberIdentity],
    caller: Caller,
) -> Decision[GroupRecord]:
    part = LeaveGroupRequest(group_id=request.group_id, member_id=request.member_id, members=list(members))
    return machine.decide_leave(part, caller, now, promise)


def _commit(
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[list[ErrorCode]],
    *,
    group_id: str,
    member: CommittingMember,
    commits: Sequence[OffsetToCommit],
    retention: int,
) -> Decision[GroupRecord]:
    return machine.decide_commit(group_id, member, commits, retention, now, promise)


def _commit_in_transaction(
    group_id: str,
    member: CommittingMember,
    commits: Sequence[OffsetToCommit],
    transaction: InTransaction,
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[list[ErrorCode]],
) -> Decision[GroupRecord]:
    return machine.decide_commit_in_transaction(group_id, member, commits, transaction, now, promise)


def _commit_prepared(
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[list[ErrorCode]],
    *,
    group_id: str,
    member: CommittingMember,
    commits: Sequence[OffsetToCommit],
    prepared: PreparedCommit,
) -> Decision[GroupRecord | Run]:
    return machine.decide_commit_prepared(group_id, member, commits, prepared, now, promise)


def _end_transaction(
    machine: GroupsMachine, now: Instant, promise: Promise[None], *, end: EndOfTransaction
) -> Decision[GroupRecord]:
    return machine.decide_end_transaction(end, now, promise)


def _delete_offsets(
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[list[ErrorCode]],
    *,
    group_id: str,
    places: Sequence[TopicPartition],
) -> Decision[GroupRecord]:
    return machine.decide_delete_offsets(group_id, places, now, promise)


def _delete_group(
    machine: GroupsMachine, now: Instant, promise: Promise[ErrorCode | Contents], *, group_id: str
) -> Decision[GroupRecord]:
    return machine.decide_delete_group(group_id, now, promise)


def _delete_prepared(
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[ErrorCode | Contents],
    *,
    group_id: str,
    prepared: PreparedDeletion,
) -> Decision[GroupRecord | Run]:
    return machine.decide_delete_prepared(group_id, prepared, promise)
