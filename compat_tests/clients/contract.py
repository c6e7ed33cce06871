"""What a scenario may ask of any client, in terms that every client has.

A `Driver` is one client library (or program) for the length of a test run: what is costly to have, such as an event
loop or a worker process, belongs to it. It opens producers, consumers and admin clients against a broker's address.
Everything is synchronous and bounded in time: a call returns, or raises `Refused` (the broker's error code, by its
number in Kafka's protocol) or `Failed` (the client gave up by itself: a time-out, a check of its own).

What a client cannot do is named in its `CANNOT`, by the names in compat_tests/capabilities.py, each with its reason;
a scenario that needs it is skipped with that reason, so the methods here never have to say no.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Headers = tuple[tuple[str, bytes | None], ...]
Position = int | Literal["beginning", "end"]
ResourceKind = Literal["topic", "broker"]

# How long an operation that should succeed may take on a busy machine; not how long it does take.
PATIENCE = 30.0


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True)
class Record:
    """A record to be sent. `partition` None leaves the choice to the client; `timestamp` is in milliseconds."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int | None = None


@dataclass(frozen=True)
class Stored:
    """An acknowledgement: where the record is. With acks=0 that is unknown, and `offset` is -1 or a guess."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Received:
    """A record as a consumer got it; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class Refused(Exception):
    """The broker said no: `code` is the error code in Kafka's protocol."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(f"error {code}: {message}")
        self.code = code


class Failed(Exception):
    """The client said no, or gave up, without an error code of the broker's."""


Outcome = Stored | Refused | Failed


@dataclass(frozen=True)
class ProducerSettings:
    """`timeout` in seconds is how long a record may be retried. `in_flight` requests may wait for their answers.

    With a `transactional_id` the producer sends in transactions only; the broker aborts one that stays open for longer
    than `transaction_timeout` seconds.
    """

    acks: Literal[0, 1, "all"] = "all"
    codec: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    idempotent: bool = False
    linger_ms: int = 0
    batch_bytes: int = 16_384
    max_request_bytes: int = 1_048_576
    in_flight: int = 5
    timeout: float = PATIENCE
    transactional_id: str | None = None
    transaction_timeout: float = 60.0


@dataclass(frozen=True)
class ConsumerSettings:
    """Without a `group` the consumer can only be assigned partitions. `reset` says where to begin without an offset.

    In the `protocol` "consumer" (KIP-848) the broker assigns and says how often members beat: `assignor` and
    `session_timeout` play no part.
    """

    group: str | None = None
    instance_id: str | None = None
    reset: Literal["earliest", "latest", "none"] = "earliest"
    auto_commit: bool = False
    assignor: Literal["range", "roundrobin", "cooperative"] = "range"
    protocol: Literal["classic", "consumer"] = "classic"
    read_committed: bool = False
    session_timeout: float = 10.0
    max_poll_interval: float = 300.0
    fetch_max_bytes: int = 52_428_800
    partition_max_bytes: int = 1_048_576
    max_wait_ms: int = 100
    min_bytes: int = 1


class Committed(NamedTuple):
    """What a group has committed for a partition."""

    offset: int
    metadata: str


@dataclass(frozen=True)
class Config:
    """One setting of a topic or broker. `default`: it is not set for this resource."""

    value: str | None
    default: bool
    read_only: bool
    sensitive: bool


@dataclass(frozen=True)
class Member:
    """A member of a group, as an admin client sees it."""

    member_id: str
    client_id: str
    instance_id: str | None
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True)
class Group:
    """A group, as an admin client sees it; `state` in Kafka's words, in lower case without underscores."""

    state: str
    members: tuple[Member, ...]
    protocol: str = ""


@dataclass(frozen=True)
class Cluster:
    """The nodes as (id, host, port), which of them is the controller, and the cluster's id."""

    nodes: tuple[tuple[int, str, int], ...]
    controller: int
    cluster_id: str | None


class Producer(ABC):
    """Sends records and collects what became of them."""

    @abstractmethod
    def send(self, topic: str, records: Sequence[Record]) -> None:
        """Hand the records over, in order, without waiting for their acknowledgements."""

    @abstractmethod
    def outcomes(self, within: float = PATIENCE) -> list[Outcome]:
        """Wait until each record sent since the last call is acknowledged or given up; in the order of sending."""

    @abstractmethod
    def init_transactions(self) -> None:
        """Take hold of the transactional id: the producer that had it is fenced, and its open transaction aborted."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction; what is sent from now on belongs to it."""

    @abstractmethod
    def send_offsets(self, offsets: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        """Commit offsets of the consumer's group as a part of the transaction. The consumer is one of this driver's."""

    @abstractmethod
    def commit(self) -> None:
        """Commit the transaction, and wait until that is decided."""

    @abstractmethod
    def abort(self) -> None:
        """Abort the transaction, and wait until that is decided."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, waiting for little. A transaction that is open stays open, or is aborted."""

    def produce(self, topic: str, records: Iterable[Record], within: float = PATIENCE) -> list[Stored]:
        """Send and wait; raises the first failure."""
        self.send(topic, list(records))
        stored = []
        for outcome in self.outcomes(within):
            if not isinstance(outcome, Stored):
                raise outcome
            stored.append(outcome)
        return stored


class Consumer(ABC):
    """Reads records, alone or as a member of a group. A group's member must be polled to stay one."""

    @abstractmethod
    def assign(self, positions: Mapping[TopicPartition, Position | None]) -> None:
        """Read these partitions from these positions; None: from the committed offset, else by `reset`."""

    @abstractmethod
    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group and read what it assigns; replaces an earlier subscription."""

    @abstractmethod
    def subscribe_pattern(self, pattern: str) -> None:
        """The same for every topic whose whole name the regular expression matches."""

    @abstractmethod
    def poll(self, within: float) -> list[Received]:
        """Records as soon as there are any, or nothing after `within` seconds. Raises Refused, Failed.

        An error never costs the records that came with it: they are returned, and the next poll raises the error.
        """

    @abstractmethod
    def assignment(self) -> set[TopicPartition]:
        """The partitions that are this consumer's now."""

    @abstractmethod
    def seek(self, partition: TopicPartition, position: Position) -> None:
        """Go on from there."""

    @abstractmethod
    def position(self, partition: TopicPartition) -> int:
        """The offset of the record that comes next."""

    @abstractmethod
    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these until they are resumed."""

    @abstractmethod
    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these again."""

    @abstractmethod
    def commit(self, offsets: Mapping[TopicPartition, Committed] | None = None) -> None:
        """Commit these, or the positions of what was polled, and wait for the answer."""

    @abstractmethod
    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """What the group has committed; None where it has not."""

    @abstractmethod
    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The offset of the first record at or after each time (ms); None where there is none."""

    @abstractmethod
    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the oldest record there is, or of the next one."""

    @abstractmethod
    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that the next record will have."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group (a static member does not) and let go of everything."""


@dataclass(frozen=True)
class CopySettings:
    """What a copier reads as which group, and where to it writes. `timeout` in seconds, that of its transactions."""

    transactional_id: str
    group: str
    source: str
    target: str
    timeout: float = 60.0
    session_timeout: float = 10.0


class Copier(ABC):
    """Consumes, and produces what it has consumed in one transaction with the offsets: exactly once, it is promised.

    An error ends it. What the transaction held is then not committed, and the next copier with the same settings reads
    it again.
    """

    @abstractmethod
    def copy(self, within: float, *, commit: bool = True) -> int:
        """Copy what there is, each record to the partition of the same number, and return how many records it was.

        Waits for records for at most `within` seconds. Without `commit` the transaction is aborted in the end, and the
        same records come again. Raises Refused, Failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, waiting for little."""


class PlainCopier(Copier):
    """A copier made of a consumer and a producer, for libraries that have nothing better."""

    def __init__(self, driver: Driver, bootstrap: str, settings: CopySettings) -> None:
        self._producer = driver.producer(
            bootstrap,
            ProducerSettings(
                idempotent=True, transactional_id=settings.transactional_id, transaction_timeout=settings.timeout
            ),
        )
        self._target = settings.target
        reading = ConsumerSettings(settings.group, read_committed=True, session_timeout=settings.session_timeout)
        self._consumer = driver.consumer(bootstrap, reading)
        self._producer.init_transactions()
        self._consumer.subscribe([settings.source])

    def copy(self, within: float, *, commit: bool = True) -> int:
        received = self._consumer.poll(within)
        if not received:
            return 0
        first: dict[TopicPartition, int] = {}
        behind: dict[TopicPartition, int] = {}
        for record in received:
            place = TopicPartition(record.topic, record.partition)
            first.setdefault(place, record.offset)
            behind[place] = record.offset + 1
        self._producer.begin()
        copies = [Record(each.value, each.key, each.headers, each.partition) for each in received]
        self._producer.produce(self._target, copies)
        self._producer.send_offsets(behind, self._consumer)
        if commit:
            self._producer.commit()
            return len(received)
        self._producer.abort()
        for place, offset in first.items():
            self._consumer.seek(place, offset)
        return len(received)

    def close(self) -> None:
        self._producer.close()
        self._consumer.close()


class Admin(ABC):
    """Topics, configs, groups and the cluster."""

    @abstractmethod
    def topics(self) -> dict[str, int]:
        """Every topic's number of partitions, internal topics left out where the client can tell."""

    @abstractmethod
    def create_topic(self, name: str, partitions: int | None = None, configs: Mapping[str, str] | None = None) -> None:
        """Make a topic of replication factor 1; `partitions` None leaves it to the broker."""

    @abstractmethod
    def delete_topic(self, name: str) -> None:
        """Delete a topic."""

    @abstractmethod
    def create_partitions(self, topic: str, total: int) -> None:
        """Grow a topic to `total` partitions."""

    @abstractmethod
    def describe_configs(self, kind: ResourceKind, name: str) -> dict[str, Config]:
        """Every setting of a topic, or of the broker with the id `name`."""

    @abstractmethod
    def alter_configs(self, kind: ResourceKind, name: str, changes: Mapping[str, str | None]) -> None:
        """Set these, and unset those that are None, leaving the rest as it is."""

    @abstractmethod
    def delete_records(self, before: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Delete what is before each offset (-1: everything); the new beginning of each partition."""

    @abstractmethod
    def groups(self) -> set[str]:
        """The groups there are."""

    @abstractmethod
    def describe_group(self, group: str) -> Group:
        """A group's state and members."""

    @abstractmethod
    def delete_group(self, group: str) -> None:
        """Delete a group and its offsets."""

    @abstractmethod
    def group_offsets(self, group: str) -> dict[TopicPartition, Committed]:
        """All that a group has committed."""

    @abstractmethod
    def alter_group_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a group without members."""

    @abstractmethod
    def delete_group_offsets(self, group: str, partitions: Iterable[TopicPartition]) -> None:
        """Forget what a group has committed for partitions that it does not read."""

    @abstractmethod
    def cluster(self) -> Cluster:
        """The brokers there are."""

    @abstractmethod
    def log_sizes(self) -> dict[TopicPartition, int]:
        """The size in bytes of each partition that some log directory has."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""


class Driver(ABC):
    """One client library or program for a whole test run."""

    @abstractmethod
    def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
        """A producer of its own connections."""

    @abstractmethod
    def consumer(self, bootstrap: str, settings: ConsumerSettings) -> Consumer:
        """A consumer of its own connections."""

    @abstractmethod
    def admin(self, bootstrap: str) -> Admin:
        """An admin client of its own connections."""

    def copier(self, bootstrap: str, settings: CopySettings) -> Copier:
        """A copier, which takes hold of its transactional id and joins its group."""
        return PlainCopier(self, bootstrap, settings)

    def close(self) -> None:  # noqa: B027  (most libraries have nothing to let go of)
        """Let go of what the driver itself has."""
