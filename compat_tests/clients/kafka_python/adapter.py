"""kafka-python 3 as a scenario's client."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import kafka
import kafka.codec
import kafka.errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from compat_tests.clients.contract import (
    PATIENCE,
    Admin,
    Cluster,
    Committed,
    Config,
    Consumer,
    ConsumerSettings,
    Driver,
    Failed,
    Group,
    Member,
    Outcome,
    Position,
    Producer,
    ProducerSettings,
    Received,
    Record,
    Refused,
    ResourceKind,
    Stored,
    TopicPartition,
)
from compat_tests.secured import Address

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}
# Quick to notice a broker that is back, a rebalance, a topic that has come.
QUICK = {"reconnect_backoff_ms": 50, "reconnect_backoff_max_ms": 250, "retry_backoff_ms": 50}


def translated(error: BaseException) -> Refused | Failed:
    """The error in the contract's terms: the classes for the broker's codes carry their number."""
    code = getattr(error, "errno", 0)
    # The library's own errors (time-outs, closed clients) have negative numbers or none.
    if isinstance(error, kafka.errors.BrokerResponseError) and isinstance(code, int) and code > 0:
        return Refused(code, str(error))
    return Failed(f"{type(error).__name__}: {error}")


@contextmanager
def translating() -> Iterator[None]:
    """Raise the library's errors as Refused or Failed."""
    try:
        yield
    except kafka.errors.KafkaError as error:
        raise translated(error) from error


def there(partition: TopicPartition) -> kafka.TopicPartition:
    """The library's own pair."""
    return kafka.TopicPartition(partition.topic, partition.partition)


def here(partition: kafka.TopicPartition) -> TopicPartition:
    """The contract's pair."""
    return TopicPartition(partition.topic, partition.partition)


def closed_if_it_fails(make: Callable[..., Any], **options: Any) -> Any:
    """Make a client of the library's, which leaves its sockets open when it cannot reach a broker."""
    inner: list[Any] = []

    def remembered(**given: Any) -> Any:
        inner.append(KafkaNetClient(**given))
        return inner[-1]

    try:
        return make(kafka_client=remembered, **options)
    except BaseException:
        for each in inner:
            each.close()
        raise


class KafkaPythonProducer(Producer):
    """KafkaProducer; its `send` returns a future."""

    def __init__(self, bootstrap: str, settings: ProducerSettings) -> None:
        timeout_ms = int(settings.timeout * 1000)
        transactional: dict[str, Any] = {}
        if settings.transactional_id is not None:
            transactional["transactional_id"] = settings.transactional_id
            transactional["transaction_timeout_ms"] = int(settings.transaction_timeout * 1000)
        self._client = closed_if_it_fails(
            kafka.KafkaProducer,
            **Address.parse(bootstrap).for_kafka_python(),
            acks=settings.acks,
            compression_type=None if settings.codec == "none" else settings.codec,
            enable_idempotence=settings.idempotent or settings.transactional_id is not None,
            linger_ms=settings.linger_ms,
            batch_size=settings.batch_bytes,
            max_request_size=settings.max_request_bytes,
            max_in_flight_requests_per_connection=settings.in_flight,
            delivery_timeout_ms=timeout_ms,
            request_timeout_ms=min(timeout_ms, 10_000),
            max_block_ms=timeout_ms,
            bootstrap_timeout_ms=timeout_ms,
            metrics_enabled=False,
            **transactional,
            **QUICK,
        )
        self._sent: list[Any] = []

    def send(self, topic: str, records: Sequence[Record]) -> None:
        for record in records:
            try:
                future = self._client.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=record.timestamp,
                )
            except kafka.errors.KafkaError as error:
                self._sent.append(translated(error))
            else:
                self._sent.append(future)

    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        sent, self._sent = self._sent, []
        deadline = time.monotonic() + within
        return [self._outcome(future, max(0.0, deadline - time.monotonic())) for future in sent]

    def _outcome(self, future: Any, within: float) -> Outcome:
        if isinstance(future, Refused | Failed):
            return future
        try:
            metadata = future.get(timeout=within)
        except kafka.errors.KafkaError as error:
            return translated(error)
        return Stored(metadata.partition, metadata.offset)

    def init_transactions(self) -> None:
        with translating():
            self._client.init_transactions()

    def begin(self) -> None:
        with translating():
            self._client.begin_transaction()

    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        assert isinstance(consumer, KafkaPythonConsumer), "a consumer of this library"
        theirs = {there(partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        with translating():
            self._client.send_offsets_to_transaction(theirs, consumer.group_metadata())

    def commit(self) -> None:
        with translating():
            self._client.commit_transaction()

    def abort(self) -> None:
        with translating():
            self._client.abort_transaction()

    def close(self) -> None:
        self._client.close(timeout=1)


class FinishedJoin:
    """A join's future that has its result and does not say so: kafka-python then waits for it instead of joining."""

    is_done = False

    def __init__(self, task: Any) -> None:
        self._task = task

    def add_callback(self, take: Callable[[Any], Any]) -> None:
        """Call at once, if it went well."""
        self._task.add_callback(take)

    def add_errback(self, take: Callable[[Any], Any]) -> None:
        """Call at once, if it did not."""
        self._task.add_errback(take)

    def __await__(self) -> Any:
        return self._task.__await__()


class KafkaPythonConsumer(Consumer):
    """KafkaConsumer."""

    def __init__(self, bootstrap: str, settings: ConsumerSettings) -> None:
        self._client = kafka.KafkaConsumer(
            **Address.parse(bootstrap).for_kafka_python(),
            group_id=settings.group,
            group_instance_id=settings.instance_id,
            auto_offset_reset=settings.reset,
            enable_auto_commit=settings.auto_commit,
            partition_assignment_strategy=(ASSIGNORS[settings.assignor],),
            isolation_level="read_committed" if settings.read_committed else "read_uncommitted",
            session_timeout_ms=int(settings.session_timeout * 1000),
            heartbeat_interval_ms=200,
            max_poll_interval_ms=int(settings.max_poll_interval * 1000),
            fetch_max_bytes=settings.fetch_max_bytes,
            max_partition_fetch_bytes=settings.partition_max_bytes,
            fetch_max_wait_ms=settings.max_wait_ms,
            fetch_min_bytes=settings.min_bytes,
            allow_auto_create_topics=False,
            metadata_max_age_ms=500,
            metrics_enabled=False,
            **QUICK,
        )

    def group_metadata(self) -> Any:
        """What a producer needs to commit this consumer's offsets."""
        return self._client.group_metadata()

    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        with translating():
            self._client.assign([there(partition) for partition in positions])
        for partition, position in positions.items():
            if position is not None:
                self.seek(partition, position)

    def subscribe(self, topics: Sequence[str]) -> None:
        with translating():
            self._client.subscribe(topics=list(topics))

    def subscribe_pattern(self, pattern: str) -> None:
        with translating():
            self._client.subscribe(pattern=f"^{pattern}$")

    def poll(self, within: float) -> list[Received]:
        self._take_up_a_finished_join()
        with translating():
            polled = self._client.poll(timeout_ms=int(within * 1000))
        return [
            Received(
                record.topic,
                record.partition,
                record.offset,
                record.key,
                record.value,
                tuple(record.headers),
                record.timestamp,
            )
            for records in polled.values()
            for record in records
        ]

    def _take_up_a_finished_join(self) -> None:
        """Let this poll read what a join has brought since the last one.

        kafka-python 3.0 reads it only in a poll that waits at the moment when it comes. A join that is finished between
        two polls is begun again, and with it the whole group's; members that are polled by turns, as scenarios do it,
        can go on like that forever. One that began because metadata came is not even looked for (decision 37 in docs).
        """
        coordinator = self._client._coordinator
        task = None if coordinator is None else coordinator._join_task
        if task is not None and task.is_done and not isinstance(task, FinishedJoin):
            coordinator._join_task = FinishedJoin(task)
            coordinator.rejoin_needed = True

    def assignment(self) -> set[TopicPartition]:
        return {here(partition) for partition in self._client.assignment()}

    def seek(self, partition: TopicPartition, position: Position) -> None:
        with translating():
            if position == "beginning":
                self._client.seek_to_beginning(there(partition))
            elif position == "end":
                self._client.seek_to_end(there(partition))
                # Lazy otherwise: what is sent before the first poll would be skipped.
                self._client.position(there(partition))
            else:
                self._client.seek(there(partition), position)

    def position(self, partition: TopicPartition) -> int:
        with translating():
            return int(self._client.position(there(partition), timeout_ms=int(PATIENCE * 1000)))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._client.pause(*map(there, partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._client.resume(*map(there, partitions))

    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        theirs = offsets and {
            there(partition): OffsetAndMetadata(committed.offset, committed.metadata, -1)
            for partition, committed in offsets.items()
        }
        with translating():
            self._client.commit(theirs, timeout_ms=int(PATIENCE * 1000))

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        found: dict[TopicPartition, Committed | None] = {}
        for partition in partitions:
            with translating():
                theirs = self._client.committed(there(partition), metadata=True, timeout_ms=int(PATIENCE * 1000))
            found[partition] = None if theirs is None else Committed(theirs.offset, theirs.metadata)
        return found

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        with translating():
            found = self._client.offsets_for_times({there(partition): at for partition, at in times.items()})
        return {partition: found[there(partition)] and found[there(partition)].offset for partition in times}

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        with translating():
            found = self._client.beginning_offsets([there(partition) for partition in partitions])
        return {here(partition): offset for partition, offset in found.items()}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        with translating():
            found = self._client.end_offsets([there(partition) for partition in partitions])
        return {here(partition): offset for partition, offset in found.items()}

    def close(self) -> None:
        self._client.close(autocommit=True, timeout_ms=2000)


Answer = TypeVar("Answer")


class KafkaPythonAdmin(Admin):
    """KafkaAdminClient."""

    def __init__(self, bootstrap: str) -> None:
        self._client = KafkaAdminClient(
            **Address.parse(bootstrap).for_kafka_python(), request_timeout_ms=15_000, **QUICK
        )

    def topics(self) -> dict[str, int]:
        described = self._ask(self._client.describe_topics)
        return {topic["name"]: len(topic["partitions"]) for topic in described if not topic["is_internal"]}

    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        options: dict[str, object] = {"num_partitions": -1 if partitions is None else partitions}
        options |= {"replication_factor": 1, "configs": dict(configs or {})}
        self._ask(self._client.create_topics, {name: options})

    def delete_topic(self, name: str) -> None:
        self._ask(self._client.delete_topics, [name])

    def create_partitions(self, topic: str, total: int) -> None:
        self._ask(self._client.create_partitions, {topic: total})

    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        described = self._ask(self._client.describe_configs, [resource(kind, name)], config_filter="all")
        configs = described[kind][name]
        if isinstance(configs, BaseException):
            raise translated(configs)
        return {
            key: Config(
                config["value"],
                str(config["config_source"]).endswith("DEFAULT_CONFIG"),
                config["read_only"],
                config["is_sensitive"],
            )
            for key, config in configs.items()
        }

    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        operations = {key: ("DELETE", None) if value is None else ("SET", value) for key, value in changes.items()}
        answer = self._ask(
            self._client.alter_configs, [resource(kind, name, operations)], raise_on_unknown=False, incremental=True
        )
        outcome = answer[kind][name]
        if outcome != "OK":
            # Only as a sentence: "[Error 40] InvalidConfigurationError: ...".
            code = re.match(r"\[Error (\d+)\]", outcome)
            raise Refused(int(code[1]), outcome) if code else Failed(outcome)

    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        answer = self._ask(
            self._client.delete_records, {there(partition): offset for partition, offset in before.items()}
        )
        return {here(partition): result["low_watermark"] for partition, result in answer.items()}

    def groups(self) -> set[str]:
        return {group["group_id"] for group in self._ask(self._client.list_groups)}

    def describe_group(self, group: str) -> Group:
        described = self._ask(self._client.describe_groups, [group])[group]
        if described.get("error_code"):
            raise Refused(described["error_code"])
        return Group(
            described["group_state"].lower(),
            tuple(member_from(member) for member in described["members"]),
            described["protocol_data"],
        )

    def delete_group(self, group: str) -> None:
        outcome = self._ask(self._client.delete_groups, [group])[group]
        if outcome != "OK":
            raise translated(getattr(kafka.errors, outcome)())

    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        found = self._ask(self._client.list_group_offsets, group)[group]
        return {here(partition): Committed(at.offset, at.metadata) for partition, at in found.items()}

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        theirs = {there(partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        self._raise_any(self._ask(self._client.alter_group_offsets, group, theirs))

    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        self._raise_any(self._ask(self._client.delete_group_offsets, group, [there(each) for each in partitions]))

    def cluster(self) -> Cluster:
        described = self._ask(self._client.describe_cluster)
        nodes = tuple((node["broker_id"], node["host"], node["port"]) for node in described["brokers"])
        return Cluster(nodes, described["controller_id"], described["cluster_id"])

    def log_sizes(self) -> dict[TopicPartition, int]:
        described = self._ask(self._client.describe_log_dirs)
        return {
            TopicPartition(topic["name"], partition["partition_index"]): partition["partition_size"]
            for broker in described
            for folder in broker["log_dirs"]
            for topic in folder["topics"]
            for partition in topic["partitions"]
        }

    def close(self) -> None:
        self._client.close()

    def _ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with translating():
                    return call(*arguments, **named)
            except Failed as failed:
                # The admin client forgets every node when the broker goes, and says so until it has found it again.
                if not isinstance(failed.__cause__, kafka.errors.NodeNotReadyError) or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _raise_any(self, outcomes: Mapping[Any, type[BaseException]]) -> None:
        for error in outcomes.values():
            if getattr(error, "errno", 0):
                raise translated(error())


def resource(kind: ResourceKind, name: str, configs: Mapping[str, object] | None = None) -> ConfigResource:
    """The library's name for what is configured."""
    return ConfigResource(ConfigResourceType[kind.upper()], name, configs=configs)


def member_from(described: Mapping[str, Any]) -> Member:
    """A member out of a decoded DescribeGroups answer."""
    assigned = (described.get("member_assignment") or {}).get("assigned_partitions", ())
    return Member(
        described["member_id"],
        described["client_id"],
        described["group_instance_id"],
        frozenset(TopicPartition(topic["topic"], partition) for topic in assigned for partition in topic["partitions"]),
    )


class KafkaPython(Driver):
    """Nothing is shared between kafka-python's clients."""

    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        with translating():
            return KafkaPythonProducer(bootstrap, settings)

    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        with translating():
            return KafkaPythonConsumer(bootstrap, settings)

    def admin(self, bootstrap: str) -> Admin:
        with translating():
            return KafkaPythonAdmin(bootstrap)


def version() -> str:
    """The library's."""
    return str(kafka.__version__)


def open_driver() -> Driver:
    """The driver of this client. Raises ImportError when a codec's package is missing."""
    for here_is in (kafka.codec.has_snappy, kafka.codec.has_lz4, kafka.codec.has_zstd):
        if not here_is():
            raise ImportError(f"{here_is.__name__} says no")
    return KafkaPython()
