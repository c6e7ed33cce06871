"""What a scenario holds in its hands: a client library bound to a broker, and names of its own.

A `Session` opens producers, consumers and admin clients and closes what is left open at the end. Topics and groups get
names that no other scenario has, so one broker serves them all. A client that cannot create topics is given them by
another one: creating is then not what the scenario is about.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compat_tests.brokers import OwnedBroker, Unable
from compat_tests.clients.contract import (
    PATIENCE,
    Admin,
    Consumer,
    ConsumerSettings,
    Copier,
    Driver,
    Failed,
    Position,
    Producer,
    ProducerSettings,
    Received,
    Refused,
    TopicPartition,
)
from compat_tests.dying import DyingMember

# The broker's error codes that scenarios expect, from Kafka's protocol.
OFFSET_OUT_OF_RANGE = 1
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE_TOO_LARGE = 10
INVALID_TOPIC_EXCEPTION = 17
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_CONFIG = 40
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
GROUP_SUBSCRIBED_TO_TOPIC = 86
INVALID_RECORD = 87


class Session:
    """One scenario's view of one client and one broker."""

    def __init__(
        self,
        driver: Driver,
        cannot: Mapping[str, str],
        topic_maker: Driver,
        broker: Any,
        scenario: str,
        client: str = "",
    ) -> None:
        """`client` is the folder of the client under test, for what runs in a process of its own."""
        self.driver = driver
        self.cannot = cannot
        self.broker = broker
        self.bootstrap: str = broker.bootstrap
        self.client = client
        self._topic_maker = topic_maker
        self._scenario = scenario
        self._open: list[Producer | Consumer | Admin | Copier] = []
        self._admin: Admin | None = None

    @property
    def owned_broker(self) -> OwnedBroker:
        """The broker as a process that may be killed. Raises Unable."""
        if not isinstance(self.broker, OwnedBroker):
            raise Unable("the broker is not ours to stop")
        return self.broker

    def connect_to(self, address: str) -> None:
        """Let the clients opened from here on connect there: another listener of the same broker, perhaps secured."""
        self.bootstrap = address

    def name(self, kind: str = "topic") -> str:
        """An unused name."""
        return f"{self._scenario}-{kind}-{uuid.uuid4().hex[:12]}"

    def topic(self, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        """A new topic, which all clients can see."""
        name = self.name()
        admin = self._topic_maker.admin(self.bootstrap)
        try:
            admin.create_topic(name, partitions, configs)
            eventually(lambda: admin.topics().get(name) == partitions, f"{name} to be there")
        finally:
            admin.close()
        return name

    def partition(self, configs: Mapping[str, str] | None = None) -> TopicPartition:
        """The one partition of a new topic."""
        return TopicPartition(self.topic(1, configs), 0)

    def group(self) -> str:
        """An unused name of a group."""
        return self.name("group")

    def producer(self, **settings: Any) -> Producer:
        """A producer with these ProducerSettings."""
        producer = self.driver.producer(self.bootstrap, ProducerSettings(**settings))
        self._open.append(producer)
        return producer

    def consumer(self, group: str | None = None, **settings: Any) -> Consumer:
        """A consumer with these ConsumerSettings."""
        consumer = self.driver.consumer(self.bootstrap, ConsumerSettings(group, **settings))
        self._open.append(consumer)
        return consumer

    def member(self, group: str, topics: Sequence[str], **settings: Any) -> Consumer:
        """A consumer that is about to join a group."""
        consumer = self.consumer(group, **settings)
        consumer.subscribe(topics)
        return consumer

    def dying_member(
        self, group: str, topic: str, *, protocol: str = "classic", session_timeout: float = 10.0
    ) -> DyingMember:
        """A member in a process of its own, which may be killed; to be used in a `with`."""
        return DyingMember(
            self.client, self.bootstrap, group, topic, protocol=protocol, session_timeout=session_timeout
        )

    def reader(self, *partitions: TopicPartition, at: Position = "beginning", **settings: Any) -> Consumer:
        """A consumer assigned to these partitions from the same position."""
        consumer = self.consumer(**settings)
        consumer.assign(dict.fromkeys(partitions, at))
        return consumer

    @property
    def admin(self) -> Admin:
        """The scenario's admin client."""
        if self._admin is None:
            self._admin = self.driver.admin(self.bootstrap)
            self._open.append(self._admin)
        return self._admin

    def also_close(self, opened: Copier) -> None:
        """Close this with the others."""
        self._open.append(opened)

    def close(self, opened: Producer | Consumer | Admin | Copier) -> None:
        """Close one of what this session has opened, now."""
        self._open.remove(opened)
        opened.close()

    def close_all(self) -> None:
        """Close what is left, all of it also where closing one raises."""
        with contextlib.ExitStack() as closing:
            for opened in self._open:
                closing.callback(opened.close)
            self._open.clear()


def eventually(condition: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """Wait until the condition holds; an error of the client while asking means that it does not hold yet."""
    deadline = time.monotonic() + within
    while True:
        error: Exception | None = None
        try:
            if condition():
                return
        except (Refused, Failed) as raised:
            error = raised
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain for {what}") from error
        time.sleep(0.02)


def read(consumer: Consumer, count: int, within: float = PATIENCE) -> list[Received]:
    """Poll until `count` records have come; more or fewer than that is a failure."""
    received: list[Received] = []
    deadline = time.monotonic() + within
    while len(received) < count:
        assert time.monotonic() < deadline, f"{len(received)} of {count} records after {within:g} s: {received[-3:]}"
        received += consumer.poll(min(1.0, within))
    assert len(received) == count, f"{len(received)} records instead of {count}"
    return received


def read_distinct(consumer: Consumer, count: int, within: float = PATIENCE) -> list[Received]:
    """Poll until records of `count` different values have come, the first of each value.

    For many partitions written without idempotence: a client may send again what only some of them refused.
    """
    received: dict[bytes | None, Received] = {}
    deadline = time.monotonic() + within
    while len(received) < count:
        assert time.monotonic() < deadline, f"{len(received)} of {count} values after {within:g} s"
        for record in consumer.poll(1.0):
            received.setdefault(record.value, record)
    assert len(received) == count, f"{len(received)} values instead of {count}"
    return list(received.values())


def drive(
    consumers: Sequence[Consumer], until: Callable[[], object], what: str, *, whatever_errors: bool = False
) -> list[list[Received]]:
    """Poll all of them by turns, as members of a group must be, until the condition holds; what each received.

    An error of a poll is the scenario's failure, unless it allows `whatever_errors`: after the broker was killed a
    client may report that, to each member and more than once, and go on.
    """
    received: list[list[Received]] = [[] for _ in consumers]
    deadline = time.monotonic() + PATIENCE
    error: Exception | None = None
    while not until():
        shares = [sorted(consumer.assignment()) for consumer in consumers]
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:g} s in vain for {what}; they have {shares}") from error
        for consumer, so_far in zip(consumers, received, strict=True):
            try:
                so_far += consumer.poll(0.05)
            except (Refused, Failed) as raised:
                if not whatever_errors:
                    raise
                error = raised
    return received


def values(received: Sequence[Received]) -> list[bytes | None]:
    """Just the values, in order."""
    return [record.value for record in received]
