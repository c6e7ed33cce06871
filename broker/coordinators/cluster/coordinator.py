"""The cluster coordinator: what handlers ask to create, delete, alter; and the image that they read.

It joins three things: the cluster machine on its runtime (what is decided and remembered), the published image (what
readers see), and the logs of topics (`topic_logs.py`: how they appear and vanish).

An image is published when its records are durable, in the order of decisions, and before their replies: a client that
has an answer finds it in the image. Subscribers are called right then, synchronously. Once begun, a change runs to its
end in the coordinator's own tasks, also if the client that asked for it has gone.

**The log stays short** by snapshots of what it adds up to (`snapshot_keeper.py`), which also say what Kafka's records
say of things that Ottla does not have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from broker.config.topics import check_topic_configs
from broker.coordinators.cluster.configs import Compute, decide_alteration
from broker.coordinators.cluster.features import (
    MIN_INSYNC_REPLICAS,
    FeatureUpdate,
    check_known,
    decide_opening,
    decide_update,
    opening_levels,
    supported_features,
    unserved_levels,
)
from broker.coordinators.cluster.image import (
    CLUSTER_METADATA,
    INTERNAL_TOPICS,
    ClusterChange,
    ClusterImage,
    Topic,
    difference,
)
from broker.coordinators.cluster.internal_topics import internal_topic
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.cluster.partition_runs import MANY, PartitionRun, prepare
from broker.coordinators.cluster.producer_ids import decide_block
from broker.coordinators.cluster.quorum import (
    QuorumImage,
    decide_unregistration_of_broker,
    decide_unregistration_of_controller,
)
from broker.coordinators.cluster.quorum_files import QuorumFiles
from broker.coordinators.cluster.quota_changes import decide_quotas
from broker.coordinators.cluster.quotas import QuotaAlteration
from broker.coordinators.cluster.snapshot_keeper import Captured, SnapshotKeeper, SnapshotRules
from broker.coordinators.cluster.topic_logs import TopicLogs
from broker.coordinators.cluster.topics import (
    NewPartitions,
    NewTopic,
    TopicRules,
    check_request_size,
    creation_size,
    decide_creation,
    decide_deletion,
    decide_growth,
    growth_size,
    partitions_wanted,
    replication_factor,
    uncounted,
)
from broker.coordinators.machine import Decision, Promise
from broker.coordinators.runtime import Runtime
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import AbortTransactionRecord
from kproto.formats.metadata_snapshot import SnapshotId
from kproto.ids import METADATA_TOPIC_ID, Uuid
from storage.engine import LogSpec, LogStore
from storage.log_config import LogConfig
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster.credentials import Altered, Deletion, Share, Upsertion
    from kproto.schema.declare import Record
    from storage.seams.clock import Clock, Instant
    from storage.seams.entropy import Entropy

T = TypeVar("T")

MAX_PARTITIONS: Final = 200_000
"""Partitions of all topics together: the bound on a peer that creates without end."""

BEGUN_AT_ONCE: Final = 1000
"""Decisions of one request that wait for the disk together: so many promises are held."""

METADATA_LOG: Final = LogSpec(CLUSTER_METADATA, METADATA_TOPIC_ID, 0, LogConfig(delete=False), internal=True)


@dataclass(frozen=True, slots=True)
class Alteration:
    """One resource whose configs are to change; `compute` makes the new overrides of the old (see `configs.py`)."""

    resource_type: int
    name: str
    compute: Compute


class ClusterCoordinator:
    """The one owner of cluster state. Call `start` once, in a nursery that lives as long as the broker."""

    def __init__(
        self,
        store: LogStore,
        config: BrokerConfig,
        clock: Clock,
        entropy: Entropy,
        *,
        max_partitions: int = MAX_PARTITIONS,
    ) -> None:
        self._store = store
        self._config = config
        self._entropy = entropy
        self._max_partitions = max_partitions
        self._metadata_log = store.log(METADATA_LOG._replace(config=_metadata_log_config(config)))
        files = QuorumFiles(store.blobs(METADATA_LOG))
        self._snapshots = SnapshotKeeper(self._metadata_log, files, SnapshotRules.of(config), clock)
        self._runtime = self._new_runtime(clock)
        self.features: Final = supported_features(config.ottla_emulate)  # what is offered; the image has the levels
        self._image = ClusterImage()
        self._levels: Mapping[str, int] = {}
        self._subscribers: list[Callable[[ClusterChange], None]] = []
        self._nursery: trio.Nursery | None = None
        self._started = False
        self._logs = TopicLogs(store, lambda: self._image, lambda: self._config)
        self._removed: list[Topic] = []
        self._producer_ids = iter(range(0))
        self._block_lock = trio.Lock()

    def _new_runtime(self, clock: Clock) -> Runtime[ClusterMachine]:
        return Runtime(
            self._metadata_log,
            self._store,
            ClusterMachine,
            clock,
            loading_error=ErrorCode.NOT_CONTROLLER,
            lost_error=ErrorCode.NOT_CONTROLLER,
            on_loaded=self._adopt,
            restore=self._snapshots.restore,
            replay_control=lambda machine, header, record: machine.replay_control(record),
        )

    @property
    def image(self) -> ClusterImage:
        """The cluster now. A value: hold on to it for one consistent look."""
        return self._image

    @property
    def config(self) -> BrokerConfig:
        """The broker's settings with the dynamic ones of the image over them."""
        return self._config

    @property
    def node_id(self) -> int:
        """This node: leader of every partition, and controller."""
        return self._config.node_id

    @property
    def cluster_id(self) -> str:
        """The cluster's id as clients see it."""
        return self._store.cluster_id

    @property
    def metadata_offset(self) -> int:
        """The offset of the last record of the cluster log (ApiVersions: the epoch of the finalized features)."""
        return self._runtime.end_offset - 1

    @property
    def quorum(self) -> QuorumImage:
        """Who keeps the cluster log, and how far it has come."""
        machine, log = self._runtime.machine, self._metadata_log
        return QuorumImage(
            leader_id=self.node_id,
            leader_epoch=log.leader_epoch,
            high_watermark=log.high_watermark,
            log_end_offset=log.log_end_offset,
            kraft_version=0 if machine is None else machine.kraft_version,
            voters=() if machine is None else machine.voters,
            members=(self.node_id,),
        )

    async def catch_up(self) -> None:
        """Return when all that any broker had decided at the time of the call is known here. Raises KafkaError."""

    def kept_records(self, *kinds: type[Record]) -> list[Record]:
        """What the log says of these kinds of things that have no use here (`kept_records.py`); nothing while it is
        being loaded."""
        machine = self._runtime.machine
        return [] if machine is None else machine.kept_of(kinds)

    def subscribe(self, callback: Callable[[ClusterChange], None]) -> None:
        """Call `callback` with every change, right after `image` shows it. It must be quick and must not decide."""
        self._subscribers.append(callback)

    async def start(self, nursery: trio.Nursery) -> None:
        """Load the cluster log, finish what a crash interrupted, and host the machine in `nursery` from now on.

        Raises KafkaError or ProtocolError when the log cannot be read, is damaged, or is at levels of features that are
        not known.
        """
        self._nursery = nursery
        await self._runtime.load()
        check_known(self._levels)
        if unserved := unserved_levels(self._levels):
            get_logger(__name__).info("the cluster's log is at levels of features that are not served", levels=unserved)
        await self._logs.remove_left_over(self._removed)
        self._started = True
        await nursery.start(self._runtime.run)
        machine = self._runtime.machine
        if machine is not None and machine.in_transaction:
            await self._runtime.wait(self._settle(_decide_abort))
        least, new = self._own_min_insync_replicas(), self.features.new
        await self._runtime.wait(self._settle(lambda machine, own: decide_opening(machine, least, own, new)))
        machine = self._runtime.machine
        await self._snapshots.note_leader(self.node_id, 0 if machine is None else machine.kraft_version)
        nursery.start_soon(self._snapshots.run, self)

    def _settle(self, decide: Callable[[ClusterMachine, Promise[None]], ClusterDecision]) -> Promise[None]:
        """A decision of the start."""
        promise: Promise[None] | KafkaError = self._begin(decide)
        assert isinstance(promise, Promise), "the machine has just been loaded"
        return promise

    # --- what snapshots are made of

    def capture(self) -> Captured | None:
        """The state of now, for a snapshot; None while it is being loaded."""
        machine = self._runtime.machine
        if machine is None or machine.in_transaction or self._logs.removal_failed:
            return None  # a snapshot would forget what the next start has yet to remove
        durable = trio.Event()
        self._runtime.when_durable(durable.set)
        waited_for = [durable, *self._logs.removals()]

        async def settled() -> None:
            for event in waited_for:
                await event.wait()

        snapshot_id = SnapshotId(self._runtime.end_offset, self._metadata_log.leader_epoch)
        return Captured(snapshot_id, self._runtime.last_timestamp, machine.capture(), settled)

    @property
    def replayed_bytes(self) -> int:
        """Bytes of the cluster log loaded or appended since the last load began."""
        return self._runtime.replayed_bytes

    @property
    def end_offset(self) -> int:
        """Where the cluster log ends."""
        return self._runtime.end_offset

    # --- topics

    async def create_topics(
        self, new: Sequence[NewTopic], *, validate_only: bool = False, count: Callable[[int], None] | None = None
    ) -> list[Topic | KafkaError]:
        """Create topics, each on its own. Returns when those created can be used everywhere; results in the order of
        `new`.

        See `decide_creation` for the codes; NOT_CONTROLLER while the coordinator reloads. `count`: see TopicRules.
        """
        return await self._to_the_end(partial(self._create_topics, new, validate_only, count))

    async def auto_create_topics(
        self, names: Sequence[str], *, count: Callable[[int], None] | None = None
    ) -> list[Topic | KafkaError]:
        """The topics called so, made with the broker's defaults (internal topics with their own) where they do not
        exist.
        """
        wanted = [internal_topic(name, self._config) if name in INTERNAL_TOPICS else NewTopic(name) for name in names]
        results = await self.create_topics(wanted, count=count)
        return [self._existing_instead(name, result) for name, result in zip(names, results, strict=True)]

    async def ensure_internal_topic(self, name: str) -> Topic:
        """The internal topic `name`, made on first need."""
        topic: Topic | None = self._image.topics.get(name)
        if topic is None:
            [result] = await self.auto_create_topics([name])
            if isinstance(result, KafkaError):
                raise result
            topic = result
        return topic

    async def delete_topics(self, topic_ids: Sequence[Uuid]) -> list[Topic | KafkaError]:
        """Delete topics. Returns the topics that were, when their logs are gone; or UNKNOWN_TOPIC_ID."""
        return await self._to_the_end(partial(self._delete_topics, topic_ids))

    async def create_partitions(
        self, new: Sequence[NewPartitions], *, validate_only: bool = False, count: Callable[[int], None] | None = None
    ) -> list[Topic | KafkaError]:
        """Add partitions to topics. Returns the topics as they were; see `decide_growth` for the codes."""
        return await self._to_the_end(partial(self._create_partitions, new, validate_only, count))

    # --- features, configs and producer ids

    async def update_features(self, updates: Mapping[str, FeatureUpdate], *, validate_only: bool = False) -> None:
        """Change levels of features, all or none. Raises KafkaError; see `decide_update` for the codes."""
        await self._to_the_end(partial(self._update_features, updates, validate_only))

    async def alter_configs(
        self, alterations: Sequence[Alteration], *, validate_only: bool = False
    ) -> list[KafkaError | None]:
        """Change the configs of resources, each on its own; see `decide_alteration` for the codes."""
        return await self._to_the_end(partial(self._alter_configs, alterations, validate_only))

    async def alter_credentials(self, deletions: Sequence[Deletion], upsertions: Sequence[Upsertion]) -> list[Altered]:
        """Change users' SCRAM credentials, each user on its own. Raises KafkaError(NOT_CONTROLLER) while the
        coordinator reloads."""
        from broker.coordinators.cluster.credentials import by_users, joined

        shares = await by_users(deletions, upsertions)
        return await joined(await self.decide_each(partial(_credentials, share=share) for share in shares))

    async def alter_client_quotas(
        self, alterations: Sequence[QuotaAlteration], *, validate_only: bool = False
    ) -> list[KafkaError | None]:
        """Change quotas, each entity's on its own; see `quotas.py` for the codes."""
        return await self.decide_each(partial(decide_quotas, each, validate_only) for each in alterations)

    async def decide_each(
        self, decisions: Iterable[Callable[[ClusterMachine, Promise[T]], ClusterDecision]]
    ) -> list[T | KafkaError]:
        """Take decisions one after the other. Returns their replies when all are durable and published."""
        return await self._to_the_end(partial(self._decide_each, decisions, Slices()))

    async def unregister_broker(self, broker_id: int) -> None:
        """Forget a broker that was registered by Kafka. Raises KafkaError."""
        decide = partial(decide_unregistration_of_broker, broker_id=broker_id, at_work=self._brokers())
        await self._to_the_end(partial(self._decide_one, decide))

    async def unregister_controller(self, controller_id: int) -> None:
        """Forget a controller that was registered by Kafka. Raises KafkaError."""
        decide = partial(decide_unregistration_of_controller, controller_id=controller_id, node_id=self.node_id)
        await self._to_the_end(partial(self._decide_one, decide))

    async def next_producer_id(self) -> int:
        """A producer id that no producer has had. Raises KafkaError(NOT_CONTROLLER) while the coordinator reloads."""
        found = next(self._producer_ids, None)
        if found is not None:
            return found
        async with self._block_lock:
            while (found := next(self._producer_ids, None)) is None:
                block = await self._runtime.decide(self._decide_block)
                self._producer_ids = iter(block)
        return found

    # --- how

    def _rules(self, count: Callable[[int], None] | None) -> TopicRules:
        return TopicRules(
            brokers=self._brokers(),
            default_partitions=self._config.num_partitions,
            default_replication_factor=self._config.default_replication_factor,
            max_partitions=self._max_partitions,
            check_configs=check_topic_configs,
            count=count or uncounted,
        )

    def _brokers(self) -> tuple[int, ...]:
        """Node ids of the brokers that replicas of new partitions may be shown on, in the order of preference."""
        return (self._config.node_id,)

    def _begin(self, decide: Callable[[ClusterMachine, Promise[T]], ClusterDecision]) -> Promise[T] | KafkaError:
        """Take one decision; its image is published once it is durable."""

        def decide_now(machine: ClusterMachine, now: Instant, promise: Promise[T]) -> ClusterDecision:
            return decide(machine, promise)

        try:
            promise = self._runtime.begin(decide_now)
        except KafkaError as error:
            return error
        self._note()
        return promise

    def _note(self) -> None:
        """The machine may have moved on: publish what readers can see of that, once it is durable."""
        machine = self._runtime.machine
        if machine is not None and machine.changed:
            self._runtime.when_durable(partial(self._publish, *machine.advance()))
        self._snapshots.grown(self)

    def _decide_block(self, machine: ClusterMachine, now: Instant, promise: Promise[range]) -> ClusterDecision:
        self._snapshots.grown(self)
        return decide_block(machine, self.node_id, promise)

    async def _decide_each(
        self, decisions: Iterable[Callable[[ClusterMachine, Promise[T]], ClusterDecision]], slices: Slices
    ) -> list[T | KafkaError]:
        """Take decisions one after the other; the replies when all are durable."""
        replies: list[T | KafkaError] = []
        begun: list[Promise[T] | KafkaError] = []
        async for decide in slices.over(decisions):
            begun.append(self._begin(decide))
            if len(begun) == BEGUN_AT_ONCE:
                found = await self._replies(begun, slices)
                replies += found
                begun = []
        found = await self._replies(begun, slices)
        return replies + found

    async def _replies(self, promises: Sequence[Promise[T] | KafkaError], slices: Slices) -> list[T | KafkaError]:
        """The replies to decisions that have begun, once all are durable."""
        replies: list[T | KafkaError] = []
        async for promise in slices.over(promises):
            reply = await self._reply(promise)
            replies.append(reply)
        return replies

    async def _reply(self, promise: Promise[T] | KafkaError) -> T | KafkaError:
        if isinstance(promise, KafkaError):
            return promise
        reply: T | KafkaError = await self._runtime.outcome(promise)
        return reply

    async def _decide_one(self, decide: Callable[[ClusterMachine, Promise[T]], ClusterDecision]) -> T:
        """Take one decision; its reply once it is durable, a KafkaError raised."""
        reply = await self._reply(self._begin(decide))
        if isinstance(reply, KafkaError):
            raise reply
        return reply

    async def _create_topics(
        self, new: Sequence[NewTopic], validate_only: bool, count: Callable[[int], None] | None
    ) -> list[Topic | KafkaError]:
        rules = self._rules(count)
        slices = Slices()
        try:
            check_request_size(sum([creation_size(topic, rules) async for topic in slices.over(new)]))
        except KafkaError as error:
            return [error] * len(new)
        results: dict[int, Topic | KafkaError] = {}
        while len(results) < len(new):
            await self._logs.wait_until_removed(new[place].name for place in range(len(new)) if place not in results)
            await self._create_free(new, results, rules, slices, validate_only)
        async for place, topic in slices.over(enumerate(new)):
            if isinstance(results[place], KafkaError):
                # Another request may be making it at this moment: the refusal is true once it is made.
                await self._logs.wait_until_made(topic.name)
        return [results[place] for place in range(len(new))]

    async def _create_free(
        self,
        new: Sequence[NewTopic],
        results: dict[int, Topic | KafkaError],
        rules: TopicRules,
        slices: Slices,
        validate_only: bool,
    ) -> None:
        """Create those that have no result yet, and whose names no deletion has taken hold of between two slices: it
        may wait for what is being made here, so that it is not waited for here."""
        decisions: dict[int, Promise[Topic] | KafkaError] = {}
        with self._logs.making() as names:
            async for place, topic in slices.over(enumerate(new)):
                if place in results or self._logs.is_being_removed(topic.name):
                    continue
                topic_id = self._unused_topic_id()
                prepared = None
                count = partitions_wanted(topic, rules)
                if count >= MANY and not validate_only:
                    replicas = rules.brokers[: max(0, replication_factor(topic, rules))]
                    first = 1 + len(topic.configs or ())
                    prepared = await self._prepared(topic_id, range(count), replicas, first, slices)
                    if self._logs.is_being_removed(topic.name):
                        continue
                decisions[place] = self._begin(
                    partial(
                        _creation,
                        new=topic,
                        topic_id=topic_id,
                        rules=rules,
                        validate_only=validate_only,
                        prepared=prepared,
                    )
                )
                if self._decided_topic(topic_id) is not None:
                    names.add(topic.name)
            replies = await self._replies(list(decisions.values()), slices)
            results.update(zip(decisions, replies, strict=True))
            created = [reply for reply in replies if isinstance(reply, Topic) and not validate_only]
            for made in created:
                names.add(made.name)
            await self._logs.make(created, [topic.partitions for topic in created])

    async def _prepared(
        self, topic_id: Uuid, partitions: range, replicas: tuple[int, ...], first: int, slices: Slices
    ) -> PartitionRun | None:
        machine = self._runtime.machine
        if machine is None or not replicas:
            return None
        level = machine.metadata_version
        return await prepare(topic_id, partitions, replicas, metadata_version=level, first=first, slices=slices)

    async def _prepared_growth(self, growth: NewPartitions, slices: Slices) -> PartitionRun | None:
        """The new partitions but for the first, if they are many."""
        machine = self._runtime.machine
        topic = None if machine is None else machine.topic(growth.topic)
        if topic is None or growth.total_count - topic.partition_count < MANY:
            return None
        replicas = self._brokers()[: topic.replication_factor]
        added = range(topic.partition_count + 1, growth.total_count)
        return await self._prepared(topic.topic_id, added, replicas, 1, slices)

    async def _delete_topics(self, topic_ids: Sequence[Uuid]) -> list[Topic | KafkaError]:
        decisions = []
        slices = Slices()
        with self._logs.removing() as names:
            async for topic_id in slices.over(topic_ids):
                topic = self._decided_topic(topic_id)
                decisions.append(self._begin(partial(_deletion, topic_id=topic_id)))
                if topic is not None and self._decided_topic(topic_id) is None:
                    names.add(topic.name)
            results = await self._replies(decisions, slices)
            async for name in slices.over(names.mine):
                await self._logs.wait_until_made(name)
            await self._logs.remove([result for result in results if isinstance(result, Topic)])
        return results

    def _unused_topic_id(self) -> Uuid:
        """Chance does not repeat itself; a simulation that starts again with its seed does."""
        while self._decided_topic(topic_id := self._entropy.uuid()) is not None:
            pass
        return topic_id

    def _decided_topic(self, topic_id: Uuid) -> Topic | None:
        """The topic as the machine knows it, published or not."""
        machine = self._runtime.machine
        return None if machine is None else machine.topic_by_id(topic_id)

    async def _create_partitions(
        self, new: Sequence[NewPartitions], validate_only: bool, count: Callable[[int], None] | None
    ) -> list[Topic | KafkaError]:
        rules = self._rules(count)
        slices = Slices()
        try:
            if (machine := self._runtime.machine) is not None:
                check_request_size(sum([growth_size(machine, growth) async for growth in slices.over(new)]))
        except KafkaError as error:
            return [error] * len(new)
        with self._logs.making() as names:
            for growth in new:
                names.add(growth.topic)
            prepared: dict[int, PartitionRun] = {}
            if not validate_only:
                async for place, growth in slices.over(enumerate(new)):
                    run = await self._prepared_growth(growth, slices)
                    if run is not None:
                        prepared[place] = run
            results = await self._decide_each(
                (
                    partial(_growth, new=growth, rules=rules, validate_only=validate_only, prepared=prepared.get(place))
                    for place, growth in enumerate(new)
                ),
                slices,
            )
            if not validate_only:
                grown = [
                    (result, range(result.partition_count, growth.total_count))
                    for growth, result in zip(new, results, strict=True)
                    if isinstance(result, Topic)
                ]
                await self._logs.make([topic for topic, _ in grown], [partitions for _, partitions in grown])
        return results

    async def _alter_configs(self, alterations: Sequence[Alteration], validate_only: bool) -> list[KafkaError | None]:
        return await self._decide_each(
            (partial(_alteration, alteration, validate_only) for alteration in alterations), Slices()
        )

    async def _update_features(self, updates: Mapping[str, FeatureUpdate], validate_only: bool) -> None:
        result = await self._reply(self._begin(partial(self._feature_update, updates, validate_only)))
        if result is not None:
            raise result

    def _feature_update(
        self,
        updates: Mapping[str, FeatureUpdate],
        validate_only: bool,
        machine: ClusterMachine,
        promise: Promise[None],
    ) -> ClusterDecision:
        own = self._own_min_insync_replicas()
        return decide_update(machine, updates, self.node_id, own, promise, validate_only, self.features.ranges)

    def _own_min_insync_replicas(self) -> str:
        """The setting of the broker's file; what is set dynamically is in the log already."""
        return str(self._config.with_dynamic({}, {}).get(MIN_INSYNC_REPLICAS))

    def _existing_instead(self, name: str, result: Topic | KafkaError) -> Topic | KafkaError:
        if isinstance(result, KafkaError) and result.code is ErrorCode.TOPIC_ALREADY_EXISTS:
            found: Topic | None = self._image.topics.get(name)
            return found or result
        return result

    # --- publishing

    def _adopt(self, machine: ClusterMachine) -> None:
        """A machine has been loaded: what it says replaces whatever was published."""
        self._levels = opening_levels(machine, self.features.new)
        self._removed = list(machine.removed.values())
        image, _ = machine.advance()
        self._publish(image, difference(self._image, image))
        if self._started:
            # Deletions whose outcome no client has learned, and which the log turned out to hold.
            assert self._nursery is not None
            self._nursery.start_soon(self._logs.remove_left_over, self._removed)

    def _publish(self, image: ClusterImage, change: ClusterChange) -> None:
        self._image = image
        if change.broker_configs_changed:
            self._config = self._config.with_dynamic(image.broker_configs(""), image.broker_configs(self.node_id))
        for callback in self._subscribers:
            callback(change)

    async def _to_the_end(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` in a task of the coordinator, so that a client who goes away does not leave it half done."""
        assert self._nursery is not None, "the coordinator was not started"
        done = trio.Event()
        outcome: list[T | Exception] = []

        async def run() -> None:
            try:
                outcome.append(await work())
            except Exception as error:
                outcome.append(error)
            finally:
                done.set()

        self._nursery.start_soon(run)
        await done.wait()
        if not outcome:
            raise KafkaError(ErrorCode.NOT_CONTROLLER, "the broker is stopping")
        [result] = outcome
        if isinstance(result, Exception):
            raise result
        return result


def _metadata_log_config(config: BrokerConfig) -> LogConfig:
    """How the cluster log rolls; what is removed of it is the snapshots' business."""
    segment_bytes = config.internal_metadata_log_segment_bytes or config.metadata_log_segment_bytes
    return LogConfig(delete=False, segment_bytes=segment_bytes, segment_ms=config.metadata_log_segment_ms)


def _decide_abort(machine: ClusterMachine, promise: Promise[None]) -> ClusterDecision:
    """End a transaction that a controller of Kafka's has left open (KIP-868), as its next one would."""
    return Decision([AbortTransactionRecord(reason="the broker was started again")], [(promise, None)])


def _creation(
    machine: ClusterMachine,
    promise: Promise[Topic],
    *,
    new: NewTopic,
    topic_id: Uuid,
    rules: TopicRules,
    validate_only: bool,
    prepared: PartitionRun | None,
) -> ClusterDecision:
    return decide_creation(machine, new, topic_id, rules, promise, validate_only, prepared)


def _deletion(machine: ClusterMachine, promise: Promise[Topic], *, topic_id: Uuid) -> ClusterDecision:
    return decide_deletion(machine, topic_id, promise)


def _growth(
    machine: ClusterMachine,
    promise: Promise[Topic],
    *,
    new: NewPartitions,
    rules: TopicRules,
    validate_only: bool,
    prepared: PartitionRun | None,
) -> ClusterDecision:
    return decide_growth(machine, new, rules, promise, validate_only, prepared)


def _alteration(
    alteration: Alteration, validate_only: bool, machine: ClusterMachine, promise: Promise[None]
) -> ClusterDecision:
    return decide_alteration(
        machine, alteration.resource_type, alteration.name, alteration.compute, promise, validate_only
    )


def _credentials(machine: ClusterMachine, promise: Promise[list[Altered]], *, share: Share) -> ClusterDecision:
    from broker.coordinators.cluster.credentials import decide_credentials

    return decide_credentials(machine, share.deletions, share.upsertions, promise)
