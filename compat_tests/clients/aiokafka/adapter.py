"""aiokafka as a scenario's client: its coroutines run in one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import aiokafka
import aiokafka.errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import OffsetAndMetadata

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

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
Result = TypeVar("Result")


def translated(error: BaseException) -> Refused | Failed:
    """The error in the contract's terms: the classes for the broker's codes carry their number."""
    code = getattr(error, "errno", 0)
    # The library's own errors (time-outs, closed clients) have negative numbers or none; one says it with its class.
    if isinstance(error, aiokafka.errors.OffsetOutOfRangeError):
        code = 1
    return Refused(code, str(error)) if isinstance(code, int) and code > 0 else Failed(f"{error!r}")


def check(code: int, message: object = "") -> None:
    """Raise Refused for an error code out of a raw answer."""
    if code:
        raise Refused(code, str(message))


def there(partition: TopicPartition) -> aiokafka.TopicPartition:
    """The library's own pair."""
    return aiokafka.TopicPartition(*partition)


def here(partition: aiokafka.TopicPartition) -> TopicPartition:
    """The contract's pair."""
    return TopicPartition(partition.topic, partition.partition)


class Loop:
    """An event loop in a thread, and a way to wait for what runs in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A client that fails to connect logs and also calls the loop's handler; the scenario's own call reports it too.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="aiokafka", daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """Begin, and return a future of the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result], within: float = 2 * PATIENCE) -> Result:
        """The result; the library's errors as Refused or Failed."""
        future = self.start(work)
        try:
            return future.result(within)
        except TimeoutError:
            future.cancel()
            raise Failed(f"no result after {within:g} s") from None
        except aiokafka.errors.KafkaError as error:
            raise translated(error) from error

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """The result of a plain function that must run in the loop."""

        async def called() -> Result:
            return function(*arguments)

        return self.run(called())

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


class AiokafkaProducer(Producer):
    """AIOKafkaProducer; `send` waits for metadata and returns a future of the acknowledgement."""

    def __init__(self, loop: Loop, bootstrap: str, settings: ProducerSettings) -> None:
        self._loop = loop
        self._sent: list[concurrent.futures.Future[Any]] = []
        self._order: asyncio.Lock | None = None
        timeout_ms = int(settings.timeout * 1000)

        async def start() -> Any:
            client = aiokafka.AIOKafkaProducer(
                **Address.parse(bootstrap).for_aiokafka(),
                acks=settings.acks,
                compression_type=None if settings.codec == "none" else settings.codec,
                enable_idempotence=settings.idempotent or settings.transactional_id is not None,
                transactional_id=settings.transactional_id,
                transaction_timeout_ms=int(settings.transaction_timeout * 1000),
                linger_ms=settings.linger_ms,
                max_batch_size=settings.batch_bytes,
                max_request_size=settings.max_request_bytes,
                request_timeout_ms=min(timeout_ms, 10_000) if settings.idempotent else timeout_ms,
                retry_backoff_ms=50,
            )
            self._order = asyncio.Lock()
            await client.start()
            return client

        # With a transactional id its start is what takes hold of it.
        self._start = start
        self._client: Any = None
        if settings.transactional_id is None:
            self.init_transactions()

    def init_transactions(self) -> None:
        self._client = self._loop.run(self._start())

    def begin(self) -> None:
        self._loop.run(self._client.begin_transaction())

    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        assert isinstance(consumer, AiokafkaConsumer), "a consumer of this library"
        theirs = {there(partition): offset for partition, offset in offsets.items()}
        self._loop.run(self._client.send_offsets_to_transaction(theirs, consumer.group))

    def commit(self) -> None:
        self._loop.run(self._client.commit_transaction())

    def abort(self) -> None:
        self._loop.run(self._client.abort_transaction())

    def send(self, topic: str, records: Sequence[Record]) -> None:
        accepted: list[concurrent.futures.Future[Any]] = [concurrent.futures.Future() for _ in records]
        self._sent += accepted

        async def send_all() -> None:
            assert self._order is not None
            async with self._order:
                for record, outcome in zip(records, accepted, strict=True):
                    try:
                        future = await self._client.send(
                            topic,
                            value=record.value,
                            key=record.key,
                            headers=list(record.headers),
                            partition=record.partition,
                            timestamp_ms=record.timestamp,
                        )
                    except BaseException as error:
                        outcome.set_exception(error)
                        if not isinstance(error, Exception):
                            raise
                    else:
                        future.add_done_callback(lambda done, outcome=outcome: settle(done, outcome))

        self._loop.start(send_all())

    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        sent, self._sent = self._sent, []
        concurrent.futures.wait(sent, within)
        return [self._outcome(future) for future in sent]

    @staticmethod
    def _outcome(future: concurrent.futures.Future[Any]) -> Outcome:
        if not future.done():
            return Failed("no answer in time")
        if error := future.exception():
            return translated(error)
        metadata = future.result()
        # Without acknowledgements there is no metadata at all.
        return Stored(-1, -1) if metadata is None else Stored(metadata.partition, metadata.offset)

    def close(self) -> None:
        # It waits for answers of a broker that may not be there any more.
        if self._client is not None:
            with contextlib.suppress(Failed, Refused):
                self._loop.run(self._client.stop(), 3)


def settle(done: asyncio.Future[Any], outcome: concurrent.futures.Future[Any]) -> None:
    """Hand a finished future of the loop on to the thread that waits outside."""
    if done.cancelled():
        outcome.set_exception(Failed("cancelled"))
    elif error := done.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())


class AiokafkaConsumer(Consumer):
    """AIOKafkaConsumer. Joining a group happens in its background, polled or not."""

    def __init__(self, loop: Loop, bootstrap: str, settings: ConsumerSettings) -> None:
        self._loop = loop
        self.group = settings.group

        async def start() -> Any:
            client = aiokafka.AIOKafkaConsumer(
                **Address.parse(bootstrap).for_aiokafka(),
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
                metadata_max_age_ms=500,
                retry_backoff_ms=50,
            )
            await client.start()
            return client

        self._client = loop.run(start())
        self._polling: asyncio.Future[Any] | None = None

    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        self._loop.call(self._client.assign, [there(partition) for partition in positions])
        for partition, position in positions.items():
            if position is not None:
                self.seek(partition, position)

    def subscribe(self, topics: Sequence[str]) -> None:
        self._loop.call(lambda: self._client.subscribe(topics=list(topics)))

    def subscribe_pattern(self, pattern: str) -> None:
        self._loop.call(lambda: self._client.subscribe(pattern=f"^{pattern}$"))

    def poll(self, within: float) -> list[Received]:
        async def poll_bounded() -> Any:
            # While its group rebalances `getmany` waits for the end of that, whatever its time-out. It must not be
            # cancelled: it would count as polling forever. So the next poll goes on with it.
            if self._polling is None:
                self._polling = asyncio.ensure_future(self._client.getmany(timeout_ms=int(within * 1000)))
            done, _ = await asyncio.wait({self._polling}, timeout=within + 0.2)
            if not done:
                return {}
            polling, self._polling = self._polling, None
            return await polling

        polled = self._loop.run(poll_bounded())
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

    def assignment(self) -> set[TopicPartition]:
        return {here(partition) for partition in self._client.assignment()}

    def seek(self, partition: TopicPartition, position: Position) -> None:
        if position == "beginning":
            self._loop.run(self._client.seek_to_beginning(there(partition)))
        elif position == "end":
            self._loop.run(self._client.seek_to_end(there(partition)))
        else:
            self._loop.call(self._client.seek, there(partition), position)

    def position(self, partition: TopicPartition) -> int:
        return int(self._loop.run(self._client.position(there(partition))))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._loop.call(self._client.pause, *map(there, partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._loop.call(self._client.resume, *map(there, partitions))

    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        theirs: dict[Any, tuple[int, str]] | None = None
        if offsets is not None:
            theirs = {there(partition): (at.offset, at.metadata) for partition, at in offsets.items()}
        self._loop.run(self._client.commit(theirs))

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        found: dict[TopicPartition, Committed | None] = {}
        for partition in partitions:
            offset = self._loop.run(self._client.committed(there(partition)))
            found[partition] = None if offset is None else Committed(offset, "")
        return found

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        asked = {there(partition): at for partition, at in times.items()}
        found = self._loop.run(self._client.offsets_for_times(asked))
        return {here(partition): at and at.offset for partition, at in found.items()}

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found = self._loop.run(self._client.beginning_offsets([there(partition) for partition in partitions]))
        return {here(partition): offset for partition, offset in found.items()}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found = self._loop.run(self._client.end_offsets([there(partition) for partition in partitions]))
        return {here(partition): offset for partition, offset in found.items()}

    def close(self) -> None:
        # It waits for answers of a broker that may not be there any more.
        with contextlib.suppress(Failed, Refused):
            self._loop.run(self._client.stop(), 5)
        if self._polling is not None:
            self._loop.call(self._polling.cancel)


class AiokafkaAdmin(Admin):
    """AIOKafkaAdminClient; many calls return the answer as it is."""

    def __init__(self, loop: Loop, bootstrap: str) -> None:
        self._loop = loop

        async def start() -> Any:
            client = AIOKafkaAdminClient(
                **Address.parse(bootstrap).for_aiokafka(), request_timeout_ms=15_000, retry_backoff_ms=50
            )
            await client.start()
            return client

        self._client = loop.run(start())

    def topics(self) -> dict[str, int]:
        described = self._loop.run(self._client.describe_topics())
        return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["is_internal"]}

    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        topic = NewTopic(name, -1 if partitions is None else partitions, 1, topic_configs=dict(configs or {}))
        for _, code, *message in self._loop.run(self._client.create_topics([topic])).topic_errors:
            check(code, *message)

    def delete_topic(self, name: str) -> None:
        for _, code in self._loop.run(self._client.delete_topics([name])).topic_error_codes:
            check(code)

    def create_partitions(self, topic: str, total: int) -> None:
        self._loop.run(self._client.create_partitions({topic: NewPartitions(total)}))

    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        asked = ConfigResource(ConfigResourceType[kind.upper()], name)
        found: dict[str, Config] = {}
        for answer in self._loop.run(self._client.describe_configs([asked])):
            for code, message, _, _, entries in answer.resources:
                check(code, message)
                for key, value, read_only, source, sensitive, *_ in entries:
                    # The sources from 5 on, and the true of version 0, are defaults.
                    found[key] = Config(value, source is True or int(source) >= 5, read_only, sensitive)
        return found

    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        raise NotImplementedError

    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        asked = {there(partition): RecordsToDelete(offset) for partition, offset in before.items()}
        found = self._loop.run(self._client.delete_records(asked))
        return {here(partition): offset for partition, offset in found.items()}

    def groups(self) -> set[str]:
        return {group for group, *_ in self._loop.run(self._client.list_consumer_groups())}

    def describe_group(self, group: str) -> Group:
        answers = self._loop.run(self._client.describe_consumer_groups([group]))
        code, _, state, _, protocol, members, *_ = answers[0].groups[0]
        check(code)
        return Group(
            state.lower(),
            tuple(
                Member(member_id, client_id, None, assigned(assignment))
                for member_id, client_id, _, _, assignment in members
            ),
            protocol,
        )

    def delete_group(self, group: str) -> None:
        raise NotImplementedError

    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        found = self._loop.run(self._client.list_consumer_group_offsets(group))
        return {here(partition): committed_from(at) for partition, at in found.items()}

    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        raise NotImplementedError

    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        raise NotImplementedError

    def cluster(self) -> Cluster:
        described = self._loop.run(self._client.describe_cluster())
        nodes = tuple((node["node_id"], node["host"], node["port"]) for node in described["brokers"])
        return Cluster(nodes, described["controller_id"], described.get("cluster_id"))

    def log_sizes(self) -> dict[TopicPartition, int]:
        raise NotImplementedError

    def close(self) -> None:
        self._loop.run(self._client.close())


def committed_from(at: OffsetAndMetadata) -> Committed:
    """The contract's pair."""
    return Committed(int(at.offset), str(at.metadata))


def assigned(assignment: bytes) -> frozenset[TopicPartition]:
    """What a member of a group was given; empty while the group rebalances."""
    if not assignment:
        return frozenset()
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    return frozenset(TopicPartition(topic, each) for topic, partitions in decoded.assignment for each in partitions)


class Aiokafka(Driver):
    """One event loop for all clients."""

    def __init__(self) -> None:
        self._loop = Loop()

    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        return AiokafkaProducer(self._loop, bootstrap, settings)

    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        return self._patiently(lambda: AiokafkaConsumer(self._loop, bootstrap, settings))

    def admin(self, bootstrap: str) -> Admin:
        return self._patiently(lambda: AiokafkaAdmin(self._loop, bootstrap))

    def _patiently(self, opened: Callable[[], Result]) -> Result:
        """aiokafka does not wait for a broker that is just coming back; who starts it then tries again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return opened()
            except Failed:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def close(self) -> None:
        self._loop.close()


def version() -> str:
    """The library's."""
    return str(aiokafka.__version__)


def open_driver() -> Driver:
    """The driver of this client."""
    return Aiokafka()
