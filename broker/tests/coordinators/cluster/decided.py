"""A cluster machine under test, with its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from broker.config.topics import check_topic_configs
from broker.coordinators.cluster.configs import Compute, decide_alteration
from broker.coordinators.cluster.image import ClusterImage, Topic
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine, ClusterRecord
from broker.coordinators.cluster.partition_runs import PartitionRun
from broker.coordinators.cluster.snapshots import snapshot_batches
from broker.coordinators.cluster.topics import (
    NewPartitions,
    NewTopic,
    TopicRules,
    decide_creation,
    decide_deletion,
    decide_growth,
)
from broker.coordinators.machine import Promise
from kproto.errors import KafkaError
from storage.seams.clock import Instant

MANY: Final = 2_000
"""Partitions that are too many to be compared after each decision."""

NOW = Instant(1_700_000_000_000, 0)
NODE = 1
RULES = TopicRules(
    brokers=(NODE,),
    default_partitions=3,
    default_replication_factor=1,
    max_partitions=100_000,
    check_configs=check_topic_configs,
)


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Cluster:
    """A machine that takes decisions and replays them, as its runtime would; and another one, the follower, that only
    ever reads the log and has to know the same after each decision."""

    def __init__(self) -> None:
        self.machine = ClusterMachine()
        self.follower = ClusterMachine()
        self.log: list[Any] = []
        self._next_id = 100

    def take(self, decide: Callable[[Promise[Any]], ClusterDecision]) -> Any:
        """The reply to a decision, its records replayed; KafkaErrors are raised."""
        promise: Promise[Any] = Promise()
        decision = decide(promise)
        self.log += decision.records
        for record in decision.records:
            self.replay(record)
        self.machine.check()
        self.follower.check()
        if self.machine.partition_count < MANY and not self.machine.in_transaction:
            assert said_by(self.machine) == said_by(self.follower), "the state is not what the log says"
        [(answered, value)] = decision.replies
        assert answered is promise
        if isinstance(value, KafkaError):
            assert not decision.records, "a refusal changes nothing"
            raise value
        return value

    def replay(self, record: ClusterRecord) -> None:
        """Add a record to the log."""
        assert not isinstance(record, PartitionRun), "nothing was prepared here"
        self.machine.replay(record)
        written = self.follower.decode(self.machine.encode(record, NOW))
        assert written is not None
        self.follower.replay(written)

    def create(
        self, name: str, *args: Any, validate_only: bool = False, rules: TopicRules = RULES, **more: Any
    ) -> Topic:
        self._next_id += 1
        topic: Topic = self.take(
            lambda promise: decide_creation(
                self.machine, NewTopic(name, *args, **more), id_of(self._next_id), rules, promise, validate_only
            )
        )
        return topic

    def delete(self, topic_id: bytes) -> Topic:
        topic: Topic = self.take(lambda promise: decide_deletion(self.machine, topic_id, promise))
        return topic

    def grow(self, name: str, count: int, assignments: Any = None, validate_only: bool = False) -> Topic:
        new = NewPartitions(name, count, assignments)
        topic: Topic = self.take(lambda promise: decide_growth(self.machine, new, RULES, promise, validate_only))
        return topic

    def alter(self, kind: int, name: str, compute: Compute, validate_only: bool = False) -> None:
        self.take(lambda promise: decide_alteration(self.machine, kind, name, compute, promise, validate_only))

    @property
    def image(self) -> ClusterImage:
        return self.machine.image


def said_by(machine: ClusterMachine) -> bytes:
    """All that the machine knows, in a form that can be compared: its snapshot."""
    return b"".join(snapshot_batches(machine.capture(), epoch=0, last_timestamp=0, now=0))
