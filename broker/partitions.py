"""The partitions this broker hosts: each a log, and who watches it.

`Partitions` stands between handlers, who speak of topics, and the engine, who knows logs. A `Partition` is made when
it is first asked for, so a broker with 100,000 partitions holds objects for those in use. It follows the cluster
image: a deleted topic's partitions are dropped (and their watchers woken, to find out), an altered topic's logs get
their new settings.

The high watermark is the engine's (`PartitionLog.high_watermark`): with one copy of the data it is the end of the log.
What is added here is waking: the engine calls `on_advance`, and each `Watcher` of that partition hears of it once. An
append thus costs nothing for those who watch other partitions, and those who watch this one cost it a call each until
they look and watch again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import trio

from broker.config.topics import log_config
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH
from storage.engine import LogSpec, LogStore, PartitionLog
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator, Topic
    from storage.log_config import LogConfig


AT_ONCE: Final = 2000
"""Hosted partitions up to which a change of settings is obeyed by all of them when it is answered."""


class Watcher(Protocol):
    """Hears of the next move of a partition: of its high watermark, last stable offset or start, or its deletion."""

    def woken(self) -> None:
        """The partition has moved; it has no such watcher any more."""


class Partition:
    """One hosted partition. `alive` turns False when its topic is deleted."""

    __slots__ = (
        "alive",
        "bytes_in",
        "bytes_out",
        "config",
        "index",
        "internal",
        "leader_epoch",
        "log",
        "messages_in",
        "topic",
        "topic_id",
        "watchers",
    )

    def __init__(self, topic: Topic, index: int, log: PartitionLog, config: LogConfig) -> None:
        self.topic = topic.name
        self.topic_id = topic.topic_id
        self.index = index
        self.log = log
        self.config = config
        self.internal = topic.internal  # clients may read, not write
        self.leader_epoch = topic.leader_epoch(index)  # what Metadata says; a log may have been written in older ones
        self.alive = True
        self.watchers: dict[Watcher, None] = {}
        self.messages_in = self.bytes_in = self.bytes_out = 0  # since the start; what coordinators write is not counted
        log.on_advance = self.wake

    def check_leader_epoch(self, epoch: int) -> None:
        """Refuse a client whose idea of the leader is older or newer than ours (KIP-320); -1 means it has none.

        Raises KafkaError: FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH.
        """
        if epoch != NO_EPOCH and epoch < self.leader_epoch:
            raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH)
        if epoch > self.leader_epoch:
            raise KafkaError(ErrorCode.UNKNOWN_LEADER_EPOCH)

    def wake(self) -> None:
        """Let the watchers know, and watch no more."""
        watchers = self.watchers
        while watchers:
            watchers.popitem()[0].woken()


class Traffic(NamedTuple):
    """What clients have written and read since the start: records, and bytes of their batches."""

    messages_in: int
    bytes_in: int
    bytes_out: int


class Partitions:
    """Partitions by topic name or id, made on first use."""

    def __init__(self, store: LogStore, cluster: ClusterCoordinator, config: BrokerConfig) -> None:
        self._store = store
        self._cluster = cluster
        self._config = config
        self._hosted: dict[tuple[str, int], Partition] = {}
        self._log_configs: dict[str, LogConfig] = {}
        self._to_configure: dict[str, None] = {}
        self._configuring = trio.Event()
        self._past = Traffic(0, 0, 0)
        self._shared = getattr(store, "membership", None) is not None
        cluster.subscribe(self._follow)

    def get(self, topic: str, index: int) -> Partition | None:
        """The partition, or None if the cluster has no such partition."""
        return self._hosted.get((topic, index)) or self._host(self._cluster.image.topics.get(topic), index)

    def log_of(self, topic: str, index: int) -> PartitionLog | None:
        """The partition's log, or None if the cluster has no such partition."""
        partition = self.get(topic, index)
        return None if partition is None else partition.log

    async def open_logs(self, keys: Iterable[tuple[str, int]], slices: Slices) -> None:
        """Open the logs of these partitions, as far as there are such, in threads: a request may name thousands whose
        logs are closed, and asking them one by one would open each in the event loop. Where brokers share the logs,
        learn where these end now, for another broker may have appended; raises KafkaError when that cannot be learned.
        """
        closed: list[PartitionLog] = []
        others: list[PartitionLog] = []
        async for topic, index in slices.over(keys):
            partition = self.get(topic, index)
            if partition is not None and not partition.log.is_open:
                closed.append(partition.log)
            if partition is not None and self._shared:
                others.append(partition.log)
        if closed:
            await self._store.open_logs(closed)
            slices.begin()
        if others:
            await self._store.refresh(others)
            slices.begin()

    def by_id(self, topic_id: bytes, index: int) -> Partition | None:
        """The same by topic id."""
        topic = self._cluster.image.topic_by_id(topic_id)
        if topic is None:
            return None
        return self._hosted.get((topic.name, index)) or self._host(topic, index)

    def name_of(self, topic_id: bytes) -> str | None:
        """The name of the topic that has this id."""
        topic = self._cluster.image.topic_by_id(topic_id)
        return None if topic is None else topic.name

    def _host(self, topic: Topic | None, index: int) -> Partition | None:
        if topic is None or not 0 <= index < topic.partition_count:
            return None
        config = self.log_config(topic)
        log = self._store.log(LogSpec(topic.name, topic.topic_id, index, config, topic.internal))
        partition = Partition(topic, index, log, config)
        self._hosted[topic.name, index] = partition
        return partition

    def hosted(self) -> list[Partition]:
        """The partitions that have been asked for since the start."""
        return list(self._hosted.values())

    @property
    def past_traffic(self) -> Traffic:
        """That of partitions whose topics have been deleted."""
        return self._past

    def specs(self) -> Iterator[LogSpec]:
        """Every log of the cluster, hosted or not."""
        for topic in list(self._cluster.image.topics.values()):
            config = self.log_config(topic)
            for index in range(topic.partition_count):
                yield LogSpec(topic.name, topic.topic_id, index, config, topic.internal)

    def log_config(self, topic: Topic) -> LogConfig:
        """How this topic's logs are to be kept."""
        config = self._log_configs.get(topic.name)
        if config is None:
            config = self._log_configs[topic.name] = log_config(topic.configs, self._config, internal=topic.internal)
        return config

    def _follow(self, change: ClusterChange) -> None:
        """The cluster image has changed."""
        for topic in change.deleted:
            self._log_configs.pop(topic.name, None)
            for index in range(topic.partition_count):
                partition = self._hosted.pop((topic.name, index), None)
                if partition is not None:
                    self._past = Traffic(
                        self._past.messages_in + partition.messages_in,
                        self._past.bytes_in + partition.bytes_in,
                        self._past.bytes_out + partition.bytes_out,
                    )
                if partition is not None and partition.topic_id == topic.topic_id:
                    partition.alive = False
                    partition.wake()
        for topic in change.altered:
            self._log_configs.pop(topic.name, None)
            self._configure({topic.name: None})

    def reconfigure(self, config: BrokerConfig) -> None:
        """The broker's settings have changed, and with them the defaults of topics."""
        self._config = config
        self._log_configs.clear()
        self._configure({name: None for name, _ in self._hosted})

    def _configure(self, topics: Mapping[str, None]) -> None:
        """Give the logs of topics their settings: now, or soon if there are many, as Kafka does."""
        self._to_configure.update(topics)
        if len(self._hosted) > AT_ONCE:
            self._configuring.set()
            return
        while self._to_configure:
            for partition in self._next_to_configure():
                self._configure_one(partition)

    async def run(self) -> None:
        """Give logs their settings, where there are too many to do that at once."""
        while True:
            await self._configuring.wait()
            self._configuring = trio.Event()
            slices = Slices()
            while self._to_configure:
                async for partition in slices.over(self._next_to_configure()):
                    self._configure_one(partition)

    def _next_to_configure(self) -> Iterator[Partition]:
        """The hosted partitions of a topic, which is taken off the list."""
        name = next(iter(self._to_configure))
        del self._to_configure[name]
        topic: Topic | None = self._cluster.image.topics.get(name)
        for index in range(0 if topic is None else topic.partition_count):
            if (partition := self._hosted.get((name, index))) is not None:
                yield partition

    def _configure_one(self, partition: Partition) -> None:
        topic: Topic | None = self._cluster.image.topics.get(partition.topic)
        if topic is not None and partition.alive:
            config = self.log_config(topic)
            partition.config = config
            partition.log.configure(config)
