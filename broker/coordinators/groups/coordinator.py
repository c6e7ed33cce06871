"""The group coordinator: what handlers ask, and where the answer comes from.

`__consumer_offsets` has 50 partitions by default, each a shard with its own machine, log and runtime. A request goes
to the shard that its group id hashes to (`routing.py`). Shards that hold something are loaded when the broker starts,
before it says ready; the others come into being with their first request, for an empty log takes no loading. The
topic itself is made when somebody first asks for a coordinator. Until then no group exists: requests for one are
answered NOT_COORDINATOR, which sends clients to FindCoordinator, and lists are empty.

Deleted topics: what was committed for them is forgotten a moment after the cluster image has lost them. Readers do
not wait for that: an offset shows only if the topic it was committed for, by name and id, is there. What a crash
interrupts is made up for when the shard is loaded.

Kafka: GroupCoordinatorService.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

import trio

from broker.config.topics import log_config
from broker.coordinators.cluster.image import CONSUMER_OFFSETS
from broker.coordinators.groups.classic.protocol import Caller
from broker.coordinators.groups.machine import CommittingMember, GroupsMachine
from broker.coordinators.groups.offsets import CommittedOffset, OffsetToCommit
from broker.coordinators.groups.records import GroupRecord
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.machine import Decision, Promise
from broker.coordinators.routing import shard_of
from broker.coordinators.runtime import Runtime
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import TopicPartition, Uuid
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from kproto.messages.list_groups import ListedGroup
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.engine import LogSpec, LogStore, PartitionLog

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator, Topic
    from storage.seams.clock import Clock, Instant
    from storage.seams.entropy import Entropy

ReplyT = TypeVar("ReplyT")


class _Shard:
    """One partition of the topic, hosted."""

    __slots__ = ("log", "ready", "runtime", "scope")

    def __init__(self, log: PartitionLog, runtime: Runtime[GroupsMachine]) -> None:
        self.log = log
        self.runtime = runtime
        self.scope = trio.CancelScope()
        self.ready = trio.Event()


class GroupCoordinator:
    """All groups of this broker. Call `start` once, in a nursery that lives as long as the broker.

    Every method that names a group raises KafkaError: NOT_COORDINATOR when there is no `__consumer_offsets` yet or
    its shard was lost and is being replayed, COORDINATOR_LOAD_IN_PROGRESS while a shard loads.
    """

    def __init__(
        self,
        *,
        store: LogStore,
        cluster: ClusterCoordinator,
        config: BrokerConfig,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._config = config
        self._settings = GroupSettings.of(config)
        self._clock = clock
        self._entropy = entropy
        self._nursery: trio.Nursery | None = None
        self._topic: Topic | None = None
        self._shards: dict[int, _Shard] = {}

    async def start(self, nursery: trio.Nursery) -> None:
        """Load what there is, and host it in `nursery` from now on."""
        self._nursery = nursery
        self._cluster.subscribe(self._follow)
        topic = self._adopted_topic()
        if topic is not None:
            for index in topic.partitions:
                if self._holds_something(topic, index):
                    self._open(topic, index)
            for shard in list(self._shards.values()):
                await shard.ready.wait()

    async def ensure(self) -> None:
        """Make `__consumer_offsets` if it does not exist (FindCoordinator)."""
        await self._cluster.ensure_internal_topic(CONSUMER_OFFSETS)

    # --- members

    async def join(self, request: JoinGroupRequest, caller: Caller) -> JoinGroupResponse:
        """JoinGroup: returns when the rebalance has gathered its members, which may take minutes."""
        return await self._decide(
            request.group_id, lambda machine, now, promise: machine.decide_join(request, caller, now, promise)
        )

    async def sync(self, request: SyncGroupRequest) -> SyncGroupResponse:
        """SyncGroup: returns when the leader has assigned."""
        return await self._decide(
            request.group_id, lambda machine, now, promise: machine.decide_sync(request, now, promise)
        )

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Heartbeat."""
        return await self._decide(
            request.group_id, lambda machine, now, promise: machine.decide_heartbeat(request, now, promise)
        )

    async def leave(self, request: LeaveGroupRequest, caller: Caller) -> LeaveGroupResponse:
        """LeaveGroup; the reply lists the members in every version."""
        return await self._decide(
            request.group_id, lambda machine, now, promise: machine.decide_leave(request, caller, now, promise)
        )

    # --- offsets

    async def commit(
        self, group_id: str, member: CommittingMember, commits: Sequence[OffsetToCommit], retention: int
    ) -> list[ErrorCode]:
        """Commit offsets of partitions that exist; a code for each. Raises KafkaError if the member may not commit."""
        return await self._decide(
            group_id,
            lambda machine, now, promise: machine.decide_commit(group_id, member, commits, retention, now, promise),
        )

    async def committed(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """What a group has committed for topics that exist."""
        found = await self._look(group_id, lambda machine: machine.committed(group_id))
        return {place: committed for place, committed in found.items() if self._is_shown(place.topic, committed)}

    async def delete_offsets(self, group_id: str, places: Sequence[TopicPartition]) -> list[ErrorCode]:
        """Forget offsets of partitions that exist; a code for each. Raises KafkaError if the group does not let it."""
        return await self._decide(
            group_id, lambda machine, now, promise: machine.decide_delete_offsets(group_id, places, promise)
        )

    # --- groups as a whole

    async def describe(self, group_id: str) -> DescribedGroup | None:
        """A group; None if it is not known."""
        return await self._look(group_id, lambda machine: machine.described(group_id))

    async def list_groups(self, states: Collection[str] = (), types: Collection[str] = ()) -> list[ListedGroup]:
        """The groups in one of `states` and of one of `types`; empty means any."""
        found: list[ListedGroup] = []
        for shard in list(self._shards.values()):
            await shard.ready.wait()
            found += await _look_into(shard.runtime, lambda machine: machine.listed(states, types))
        return found

    async def delete_groups(self, group_ids: Sequence[str]) -> dict[str, ErrorCode]:
        """Delete empty groups and all they have committed."""
        codes: dict[str, ErrorCode] = {}
        for group_id in dict.fromkeys(group_ids):
            try:
                codes[group_id] = await self._delete_group(group_id)
            except KafkaError as error:
                codes[group_id] = error.code
        return codes

    async def _delete_group(self, group_id: str) -> ErrorCode:
        codes: list[ErrorCode] = await self._decide(
            group_id, lambda machine, now, promise: machine.decide_delete_groups([group_id], promise)
        )
        return codes[0]

    # --- shards

    async def _decide(
        self, group_id: str, decide: Callable[[GroupsMachine, Instant, Promise[ReplyT]], Decision[GroupRecord]]
    ) -> ReplyT:
        return await (await self._runtime(group_id)).decide(decide)

    async def _look(self, group_id: str, look: Callable[[GroupsMachine], ReplyT]) -> ReplyT:
        return await _look_into(await self._runtime(group_id), look)

    async def _runtime(self, group_id: str) -> Runtime[GroupsMachine]:
        topic = self._adopted_topic()
        if topic is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        index = shard_of(group_id, topic.partition_count)
        shard = self._shards.get(index)
        if shard is None:
            shard = self._open(topic, index)
        if not shard.ready.is_set():
            await shard.ready.wait()
        return shard.runtime

    def _adopted_topic(self) -> Topic | None:
        """The topic as it was when first seen: its number of partitions counts for good."""
        if self._topic is None:
            self._topic = self._cluster.image.topics.get(CONSUMER_OFFSETS)
        return self._topic

    def _log(self, topic: Topic, index: int) -> PartitionLog:
        config = log_config(topic.configs, self._config, internal=True)
        return self._store.log(LogSpec(topic.name, topic.topic_id, index, config))

    def _holds_something(self, topic: Topic, index: int) -> bool:
        """A log that is offline counts as one that does: its runtime says so to whoever asks, and goes on trying."""
        try:
            return self._log(topic, index).log_end_offset > 0
        except KafkaError:
            return True

    def _open(self, topic: Topic, index: int) -> _Shard:
        log = self._log(topic, index)
        runtime = Runtime(
            log,
            self._store,
            lambda: GroupsMachine(self._settings, self._entropy),
            self._clock,
            on_loaded=self._forget_missing_topics,
        )
        shard = self._shards[index] = _Shard(log, runtime)
        assert self._nursery is not None, "start() comes first"
        self._nursery.start_soon(self._host, shard)
        return shard

    async def _host(self, shard: _Shard) -> None:
        try:
            with shard.scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(shard.runtime.run)
                    shard.ready.set()
        finally:
            shard.ready.set()  # nobody waits for what has been given up

    # --- topics that come and go

    def _is_shown(self, topic: str, committed: CommittedOffset) -> bool:
        found: Topic | None = self._cluster.image.topics.get(topic)
        return found is not None and committed.is_of(found.topic_id)

    def _forget_missing_topics(self, machine: GroupsMachine) -> None:
        """Before a loaded shard answers: topics that went while nobody watched."""
        image = self._cluster.image
        missing = []
        for name, topic_id in machine.topics():
            topic = image.topics.get(name)
            if topic is None or not CommittedOffset(0, 0, "", 0, topic_id=topic_id).is_of(topic.topic_id):
                missing.append((name, topic_id))
        machine.forget_topics(missing, self._clock.now())

    def _follow(self, change: ClusterChange) -> None:
        """The cluster image has changed."""
        for topic in change.altered:
            if topic.name == CONSUMER_OFFSETS:
                for shard in self._shards.values():
                    shard.log.configure(log_config(topic.configs, self._config, internal=True))
        gone = [(topic.name, topic.topic_id) for topic in change.deleted]
        if any(name == CONSUMER_OFFSETS for name, _ in gone):
            for shard in self._shards.values():
                shard.scope.cancel()
            self._shards.clear()
            self._topic = None
        if gone and self._shards and self._nursery is not None:
            self._nursery.start_soon(self._forget, gone)

    async def _forget(self, gone: Collection[tuple[str, Uuid]]) -> None:
        for shard in list(self._shards.values()):
            try:
                await shard.runtime.decide(
                    lambda machine, now, promise: machine.decide_forget_topics(gone, now, promise)
                )
            except KafkaError:
                continue  # being loaded; it will find out by itself


async def _look_into(runtime: Runtime[GroupsMachine], look: Callable[[GroupsMachine], ReplyT]) -> ReplyT:
    """Look at the state. The answer leaves when what it saw is durable."""

    def decide(machine: GroupsMachine, now: Instant, promise: Promise[ReplyT]) -> Decision[GroupRecord]:
        return Decision(replies=((promise, look(machine)),))

    return await runtime.decide(decide)
