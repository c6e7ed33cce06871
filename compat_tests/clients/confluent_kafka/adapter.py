"""confluent-kafka as a scenario's client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_STORED
from confluent_kafka import TopicPartition as Theirs

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

# Its types are there, but not exported in a way that type checkers accept.
admin: Any = import_module("confluent_kafka.admin")

ASSIGNORS = {"range": "range", "roundrobin": "roundrobin", "cooperative": "cooperative-sticky"}
MAX_POLL_EXCEEDED = confluent_kafka.KafkaError._MAX_POLL_EXCEEDED
# When the broker went away librdkafka goes on asking the group's coordinator that it knew until the time is up.
OFFSETS_PATIENCE = 8.0
QUICK = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 250,
    "topic.metadata.refresh.fast.interval.ms": 50,
    # That a broker went away is the point of some scenarios, and no news on the terminal.
    "log_level": 0,
}


def translated(error: confluent_kafka.KafkaError) -> Refused | Failed:
    """The error in the contract's terms: librdkafka numbers its own errors below zero."""
    code = int(error.code())
    return Refused(code, error.str()) if code > 0 else Failed(f"{error.name()}: {error.str()}")


@contextmanager
def translating() -> Iterator[None]:
    """Raise the library's errors as Refused or Failed."""
    try:
        yield
    except confluent_kafka.KafkaException as error:
        raise translated(error.args[0]) from error


def here(partition: Theirs) -> TopicPartition:
    """The contract's pair."""
    return TopicPartition(partition.topic, partition.partition)


class ConfluentProducer(Producer):
    """Producer; a callback for each record reports its outcome."""

    def __init__(self, bootstrap: str, settings: ProducerSettings) -> None:
        options: dict[str, Any] = {
            **Address.parse(bootstrap).for_librdkafka(),
            "acks": settings.acks,
            "compression.type": settings.codec,
            "enable.idempotence": settings.idempotent,
            "linger.ms": settings.linger_ms,
            "batch.size": settings.batch_bytes,
            "message.max.bytes": settings.max_request_bytes,
            "max.in.flight.requests.per.connection": settings.in_flight,
            "message.timeout.ms": int(settings.timeout * 1000),
            "retry.backoff.ms": 50,
            **QUICK,
        }
        if settings.transactional_id is not None:
            # librdkafka wants no record to be retried for longer than its transaction may last.
            lasts = int(settings.transaction_timeout * 1000)
            options |= {"transactional.id": settings.transactional_id, "transaction.timeout.ms": lasts}
            options |= {"enable.idempotence": True, "message.timeout.ms": min(lasts, int(settings.timeout * 1000))}
        self._client = confluent_kafka.Producer(options)
        self._sent: list[Outcome | None] = []

    def send(self, topic: str, records: Sequence[Record]) -> None:
        sent = self._sent
        for record in records:
            index = len(sent)
            sent.append(None)

            def delivered(error: confluent_kafka.KafkaError | None, message: Any, index: int = index) -> None:
                sent[index] = translated(error) if error else Stored(message.partition(), message.offset())

            options: dict[str, Any] = {}
            if record.partition is not None:
                options["partition"] = record.partition
            if record.timestamp is not None:
                options["timestamp"] = record.timestamp
            while True:
                try:
                    self._client.produce(
                        topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered, **options
                    )
                except BufferError:  # librdkafka's queue is full, and shorter when some are delivered
                    self._client.poll(0.05)
                    continue
                except confluent_kafka.KafkaException as error:
                    sent[index] = translated(error.args[0])
                break
        self._client.poll(0)

    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        sent, self._sent = self._sent, []
        deadline = time.monotonic() + within
        while None in sent and time.monotonic() < deadline:
            with translating():  # it may have been fenced
                self._client.poll(0.05)
        return [Failed("no answer in time") if outcome is None else outcome for outcome in sent]

    def init_transactions(self) -> None:
        with translating():
            self._client.init_transactions(PATIENCE)

    def begin(self) -> None:
        with translating():
            self._client.begin_transaction()

    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        assert isinstance(consumer, ConfluentConsumer), "a consumer of this library"
        theirs = [Theirs(*partition, offset) for partition, offset in offsets.items()]
        with translating():
            self._client.send_offsets_to_transaction(theirs, consumer.group_metadata(), OFFSETS_PATIENCE)

    def commit(self) -> None:
        with translating():
            self._client.commit_transaction(PATIENCE)

    def abort(self) -> None:
        with translating():
            self._client.abort_transaction(PATIENCE)

    def close(self) -> None:
        self._client.purge()
        # A producer that is fenced says so once more.
        with suppress(confluent_kafka.KafkaException):
            self._client.flush(1)


class ConfluentConsumer(Consumer):
    """Consumer."""

    def __init__(self, bootstrap: str, settings: ConsumerSettings) -> None:
        options: dict[str, Any] = {
            **Address.parse(bootstrap).for_librdkafka(),
            # librdkafka wants a group id even from those who assign by themselves.
            "group.id": settings.group or "none",
            "auto.offset.reset": "error" if settings.reset == "none" else settings.reset,
            "enable.auto.commit": settings.auto_commit,
            "partition.assignment.strategy": ASSIGNORS[settings.assignor],
            "isolation.level": "read_committed" if settings.read_committed else "read_uncommitted",
            "session.timeout.ms": int(settings.session_timeout * 1000),
            "heartbeat.interval.ms": 200,
            "max.poll.interval.ms": int(settings.max_poll_interval * 1000),
            "fetch.max.bytes": settings.fetch_max_bytes,
            "message.max.bytes": min(settings.fetch_max_bytes, 1_000_000),
            "fetch.message.max.bytes": settings.partition_max_bytes,
            "fetch.wait.max.ms": settings.max_wait_ms,
            "fetch.min.bytes": settings.min_bytes,
            "fetch.error.backoff.ms": 50,
            "topic.metadata.refresh.interval.ms": 500,
            "coordinator.query.interval.ms": 500,
            **QUICK,
        }
        if settings.protocol == "consumer":
            # librdkafka refuses what the broker decides.
            for key in ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"):
                del options[key]
            options["group.protocol"] = "consumer"
        if settings.instance_id is not None:
            options["group.instance.id"] = settings.instance_id
        self._client = confluent_kafka.Consumer(options)
        self._standing: Refused | Failed | None = None  # an error that came with records, for the next poll

    def group_metadata(self) -> Any:
        """What a producer needs to commit this consumer's offsets."""
        return self._client.consumer_group_metadata()

    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        with translating():
            self._client.assign([Theirs(*partition, offset(position)) for partition, position in positions.items()])

    def subscribe(self, topics: Sequence[str]) -> None:
        with translating():
            self._client.subscribe(list(topics))

    def subscribe_pattern(self, pattern: str) -> None:
        with translating():
            self._client.subscribe([f"^{pattern}$"])

    def poll(self, within: float) -> list[Received]:
        standing, self._standing = self._standing, None
        if standing is not None:
            raise standing
        messages: list[Any]
        with translating():
            messages = self._client.consume(1, within)
        if messages:
            try:
                messages += self._client.consume(1000, 0)
            except confluent_kafka.KafkaException as raised:
                self._standing = translated(raised.args[0])
        received = []
        message: Any
        for message in messages:
            if error := message.error():
                # Repeated while a subscribed topic is not there; said to a member that was too slow.
                if error.code() not in (confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART, MAX_POLL_EXCEEDED):
                    self._standing = self._standing or translated(error)
                continue
            received.append(
                Received(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.key(),
                    message.value(),
                    tuple(message.headers() or ()),
                    message.timestamp()[1],
                )
            )
        if self._standing is not None and not received:
            standing, self._standing = self._standing, None
            raise standing
        return received

    def assignment(self) -> set[TopicPartition]:
        return {here(partition) for partition in self._client.assignment()}

    def seek(self, partition: TopicPartition, position: Position) -> None:
        with translating():
            self._client.seek(Theirs(*partition, offset(position)))

    def position(self, partition: TopicPartition) -> int:
        with translating():
            return self._client.position([Theirs(*partition)])[0].offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        with translating():
            self._client.pause([Theirs(*partition) for partition in partitions])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        with translating():
            self._client.resume([Theirs(*partition) for partition in partitions])

    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        with translating():
            if offsets is None:
                done = self._client.commit(asynchronous=False)
            else:
                theirs = [Theirs(*partition, at.offset, at.metadata) for partition, at in offsets.items()]
                done = self._client.commit(offsets=theirs, asynchronous=False)
        for partition in done or ():
            if partition.error:
                raise translated(partition.error)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        with translating():
            found = self._client.committed([Theirs(*partition) for partition in partitions], PATIENCE)
        return {here(at): None if at.offset < 0 else Committed(at.offset, at.metadata or "") for at in found}

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        with translating():
            found = self._client.offsets_for_times([Theirs(*each, at) for each, at in times.items()], PATIENCE)
        return {here(at): None if at.offset < 0 else at.offset for at in found}

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._watermarks(partition)[0] for partition in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._watermarks(partition)[1] for partition in partitions}

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        with translating():
            low, high = self._client.get_watermark_offsets(Theirs(*partition), PATIENCE)
        return low, high

    def close(self) -> None:
        self._client.close()


def offset(position: Position | None) -> int:
    """librdkafka's number for a position."""
    if position is None:
        return OFFSET_STORED
    if isinstance(position, int):
        return position
    return OFFSET_BEGINNING if position == "beginning" else OFFSET_END


class ConfluentAdmin(Admin):
    """AdminClient; each call returns futures."""

    def __init__(self, bootstrap: str) -> None:
        self._client = admin.AdminClient({**Address.parse(bootstrap).for_librdkafka(), **QUICK})

    def topics(self) -> dict[str, int]:
        with translating():
            listed = self._client.list_topics(timeout=PATIENCE).topics
        return {name: len(topic.partitions) for name, topic in listed.items() if not name.startswith("__")}

    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        topic = admin.NewTopic(name, -1 if partitions is None else partitions, 1, config=dict(configs or {}))
        self._wait(self._client.create_topics([topic]))

    def delete_topic(self, name: str) -> None:
        self._wait(self._client.delete_topics([name]))

    def create_partitions(self, topic: str, total: int) -> None:
        self._wait(self._client.create_partitions([admin.NewPartitions(topic, total)]))

    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        described = self._wait(self._client.describe_configs([resource(kind, name)]))
        return {
            key: Config(entry.value, entry.is_default, entry.is_read_only, entry.is_sensitive)
            for key, entry in described.items()
        }

    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        entries = [
            admin.ConfigEntry(
                key,
                value,
                incremental_operation=admin.AlterConfigOpType.DELETE if value is None else admin.AlterConfigOpType.SET,
            )
            for key, value in changes.items()
        ]
        self._wait(self._client.incremental_alter_configs([resource(kind, name, entries)]))

    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        with translating():
            answers = self._client.delete_records([Theirs(*partition, at) for partition, at in before.items()])
            return {here(partition): future.result().low_watermark for partition, future in answers.items()}

    def groups(self) -> set[str]:
        with translating():
            listed = self._client.list_consumer_groups().result(PATIENCE)
        for error in listed.errors:
            raise translated(error)
        return {group.group_id for group in listed.valid}

    def describe_group(self, group: str) -> Group:
        described = self._wait(self._client.describe_consumer_groups([group]))
        return Group(
            described.state.name.lower().replace("_", ""),
            tuple(
                Member(
                    member.member_id,
                    member.client_id,
                    member.group_instance_id or None,
                    frozenset(here(each) for each in member.assignment.topic_partitions),
                )
                for member in described.members
            ),
            described.partition_assignor,
        )

    def delete_group(self, group: str) -> None:
        self._wait(self._client.delete_consumer_groups([group]))

    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        question = confluent_kafka.ConsumerGroupTopicPartitions(group)
        answer = self._wait(self._client.list_consumer_group_offsets([question]))
        for at in answer.topic_partitions:
            if at.error:
                raise translated(at.error)
        # Not the metadata: librdkafka copies it without the zero at its end, and reading runs on into other memory.
        return {here(at): Committed(at.offset, "") for at in answer.topic_partitions}

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        theirs = [Theirs(*partition, at) for partition, at in offsets.items()]
        question = confluent_kafka.ConsumerGroupTopicPartitions(group, theirs)
        answer = self._wait(self._client.alter_consumer_group_offsets([question]))
        for at in answer.topic_partitions:
            if at.error:
                raise translated(at.error)

    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        raise NotImplementedError

    def cluster(self) -> Cluster:
        with translating():
            described = self._client.describe_cluster().result(PATIENCE)
        nodes = tuple((node.id, node.host, node.port) for node in described.nodes)
        return Cluster(nodes, described.controller.id, described.cluster_id)

    def log_sizes(self) -> dict[TopicPartition, int]:
        raise NotImplementedError

    def close(self) -> None:
        """The library closes it when nothing refers to it any more."""

    def _wait(self, futures: Mapping[Any, Any]) -> Any:
        """The one answer to a question about one thing."""
        with translating():
            return next(iter(futures.values())).result(PATIENCE)


def resource(kind: ResourceKind, name: str, entries: list[Any] | None = None) -> Any:
    """The library's name for what is configured."""
    return admin.ConfigResource(admin.ResourceType[kind.upper()], name, incremental_configs=entries)


class Confluent(Driver):
    """Nothing is shared between librdkafka's clients."""

    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        return ConfluentProducer(bootstrap, settings)

    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        return ConfluentConsumer(bootstrap, settings)

    def admin(self, bootstrap: str) -> Admin:
        return ConfluentAdmin(bootstrap)


def version() -> str:
    """The library's, and that of librdkafka in it."""
    return f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})"


def open_driver() -> Driver:
    """The driver of this client."""
    return Confluent()
