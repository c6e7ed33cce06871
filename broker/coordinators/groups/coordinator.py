"""The group coordinator: what handlers ask, and where the answer comes from.

`__consumer_offsets` has 50 partitions by default, each a shard (`shards.py`) with a machine of its own (`machine.py`),
and a request goes to the shard of its group id. The topic itself is made when a client first asks for a coordinator.
Until then no group exists: requests for one are answered NOT_COORDINATOR, which sends clients to FindCoordinator, and
lists are empty.

Deleted topics: what was committed for them is forgotten a moment after the cluster image has lost them. Readers do
not wait for that: an offset shows only if the topic it was committed for, by name and id, is there. What a crash
interrupts is made up for when the shard is loaded.

Kafka: GroupCoordinatorService.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import trio

from broker.config.topics import log_config
from broker.coordinators.cluster.image import CONSUMER_OFFSETS
from broker.coordinators.groups.decision import Caller, CommittingMember
from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.offsets import CommittedOffset, OffsetToCommit
from broker.coordinators.groups.settings import GroupSettings
from broker.coordinators.runtime import Runtime
from broker.coordinators.shards import ShardedTopic, Shards, ShardsStatistics
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import TopicPartition, Uuid
from kproto.messages.describe_groups import DescribedGroup
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from kproto.messages.list_groups import ListedGroup
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.engine import LogStore, PartitionLog

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator, Topic
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy


class GroupCoordinator:
    """All groups of this broker. Call `start` once, in a nursery that lives as long as the broker.

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
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._config = config
        self._settings = GroupSettings.of(config)
        self._clock = clock
        self._entropy = entropy
        self._nursery: trio.Nursery | None = None
        self.shards: Shards[GroupsMachine] = Shards(store, self._new_runtime)

    async def start(self, nursery: trio.Nursery) -> None:
        """Load what there is, and host it in `nursery` from now on."""
        self._nursery = nursery
        self._cluster.subscribe(self._follow)
        await self.shards.start(nursery, self._topic())

    async def ensure(self) -> None:
        """Make `__consumer_offsets` if it does not exist (FindCoordinator)."""
        await self._cluster.ensure_internal_topic(CONSUMER_OFFSETS)

    def statistics(self) -> ShardsStatistics:
        """The shards at a glance."""
        return self.shards.statistics()

    def _topic(self) -> ShardedTopic | None:
        topic: Topic | None = self._cluster.image.topics.get(CONSUMER_OFFSETS)
        if topic is None:
            return None
        config = log_config(topic.configs, self._config, internal=True)
        return ShardedTopic(topic.name, topic.topic_id, topic.partition_count, config)

    def _new_runtime(self, log: PartitionLog) -> Runtime[GroupsMachine]:
        return Runtime(
            log,
            self._store,
            lambda: GroupsMachine(self._settings, self._entropy),
            self._clock,
            on_loaded=self._forget_missing_topics,
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

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Heartbeat."""
        return await self.shards.decide(
            request.group_id, lambda machine, now, promise: machine.decide_heartbeat(request, now, promise)
        )

    async def leave(self, request: LeaveGroupRequest, caller: Caller) -> LeaveGroupResponse:
        """LeaveGroup; the reply lists the members in every version."""
        return await self.shards.decide(
            request.group_id, lambda machine, now, promise: machine.decide_leave(request, caller, now, promise)
        )

    # --- offsets

    async def commit(
        self, group_id: str, member: CommittingMember, commits: Sequence[OffsetToCommit], retention: int
    ) -> list[ErrorCode]:
        """Commit offsets of partitions that exist; a code for each. Raises KafkaError if the member may not commit."""
        return await self.shards.decide(
            group_id,
            lambda machine, now, promise: machine.decide_commit(group_id, member, commits, retention, now, promise),
        )

    async def committed(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """What a group has committed for topics that exist."""
        found = await self.shards.look(group_id, lambda machine: machine.committed(group_id))
        return {place: committed for place, committed in found.items() if self._is_shown(place.topic, committed)}

    async def delete_offsets(self, group_id: str, places: Sequence[TopicPartition]) -> list[ErrorCode]:
        """Forget offsets of partitions that exist; a code for each. Raises KafkaError if the group does not let it."""
        return await self.shards.decide(
            group_id, lambda machine, now, promise: machine.decide_delete_offsets(group_id, places, now, promise)
        )

    # --- groups as a whole

    async def describe(self, group_id: str) -> DescribedGroup | None:
        """A group; None if it is not known."""
        return await self.shards.look(group_id, lambda machine: machine.described(group_id))

    async def list_groups(self, states: Collection[str] = (), types: Collection[str] = ()) -> list[ListedGroup]:
        """The groups in one of `states` and of one of `types`; empty means any."""
        found = await self.shards.look_at_each(lambda machine: machine.listed(states, types))
        return [group for groups in found for group in groups]

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
        codes: list[ErrorCode] = await self.shards.decide(
            group_id, lambda machine, now, promise: machine.decide_delete_groups([group_id], now, promise)
        )
        return codes[0]

    # --- topics that come and go

    def _is_shown(self, topic: str, committed: CommittedOffset) -> bool:
        found: Topic | None = self._cluster.image.topics.get(topic)
        return found is not None and committed.is_of(found.topic_id)

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
        if any(topic.name == CONSUMER_OFFSETS for topic in (*change.created, *change.deleted, *change.altered)):
            self.shards.follow(self._topic())
        gone = [(topic.name, topic.topic_id) for topic in change.deleted]
        if gone and self.shards.open and self._nursery is not None:
            self._nursery.start_soon(self._forget, gone)

    async def _forget(self, gone: Collection[tuple[str, Uuid]]) -> None:
        """A shard that is being loaded finds out by itself."""
        await self.shards.decide_in_each(lambda machine, now, promise: machine.decide_forget_topics(gone, now, promise))
