"""All brokers of a cluster, asked one question at a time: which broker answers what, in which version.

    with Cluster(properties) as cluster:
        reply = cluster.ask(DescribeClusterRequest())                      any broker
        reply = cluster.ask(ListGroupsRequest(), node=3)                   that broker
        reply = cluster.ask_coordinator("payments", request, error_of)     the one that owns the group

A request goes in the newest version that both sides speak, or the newest that its caller can read (`newest`). Answers
that mean "ask again, or ask another broker" are followed until the time of `--timeout-ms` is over: a coordinator that
reads its log, a leader that has moved. Every other error is for the caller, who knows what it is an error of.

A client library is not used for this. None has all APIs; each maps some of them to less than the broker says; and the
codec is here anyway (docs/decisions/0080-administration-through-our-own-codec.md). Records are the library's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Self

from kproto.errors import ErrorCode, ProtocolError
from kproto.ids import TopicPartition
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.schema.declare import Request
from tools.client.connection import BrokerConnection, Security
from tools.client.properties import Address, ClientProperties
from tools.failures import Failed

GROUP, TRANSACTION = 0, 1
EARLIEST, LATEST, LARGEST_TIMESTAMP = -2, -1, -3

ASK_AGAIN: Final = frozenset({
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR,
    ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.LEADER_NOT_AVAILABLE, ErrorCode.CONCURRENT_TRANSACTIONS,
})  # fmt: skip


class Refused(Failed):
    """A broker has answered with an error code. The text is the broker's own sentence, or the code's."""

    def __init__(self, code: int, message: str | None = None, what: str = "") -> None:
        try:
            self.code = ErrorCode(code)
        except ValueError:  # of a release to come
            self.code = ErrorCode.UNKNOWN_SERVER_ERROR
        text = message or f"{self.code.name}: {self.code.sentence}"
        super().__init__(f"{what}: {text}" if what else text)


def check(code: int, message: str | None = None, what: str = "") -> None:
    """Raise Refused unless `code` is 0; `what` goes in front of the sentence."""
    if code:
        raise Refused(code, message, what)


class Node(NamedTuple):
    """A broker as clients hear of it."""

    id: int
    host: str
    port: int
    rack: str | None


class FoundOffset(NamedTuple):
    """What a leader answers to ListOffsets. `offset` is -1 where nothing is as late as the time asked for."""

    offset: int
    timestamp: int
    error: int


class Cluster:
    """The cluster behind the bootstrap servers. Connections are made when they are needed and kept until `close`."""

    def __init__(self, properties: ClientProperties) -> None:
        """Raises Misunderstood for certificates and credentials that cannot be used."""
        self._properties = properties
        self._security = Security.of(properties)
        self._open: dict[Address, BrokerConnection] = {}
        self._nodes: dict[int, Node] = {}
        self._first: Address | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def ask(self, request: Request, *, node: int | None = None, newest: int | None = None) -> Any:
        """One question to a broker, any one if no node is named. Raises Failed when there is no answer."""
        connection = self._bootstrap() if node is None else self._connect(self._address_of(node))
        try:
            return connection.call(request, newest)
        except (OSError, ProtocolError) as error:
            self._forget(connection)
            raise Failed(f"the broker at {connection.name} does not answer: {error}") from None

    def serves(self, request: type[Request]) -> bool:
        """Whether the bootstrap broker knows this API."""
        return request.api_key in self._bootstrap().versions

    def newest(self, request: type[Request]) -> int:
        """The newest version of a request that the bootstrap broker and this client speak. Raises Failed if none."""
        return self._bootstrap().version_of(request)

    def ask_all(self, request: Request, *, newest: int | None = None) -> dict[int, Any]:
        """The same question to every broker; node id -> reply."""
        return {node.id: self.ask(request, node=node.id, newest=newest) for node in self.nodes()}

    def ask_coordinator(
        self,
        key: str,
        request: Request,
        error_of: Callable[[Any], int],
        *,
        kind: int = GROUP,
        newest: int | None = None,
    ) -> Any:
        """A question to the coordinator of a group or a transactional id. `error_of` finds in a reply the code that
        says whether to ask again."""
        return self.settled(
            lambda: self.ask(request, node=self.coordinator(key, kind), newest=newest), lambda reply: error_of(reply)
        )

    def coordinator(self, key: str, kind: int = GROUP) -> int:
        """The node that coordinates a group, or with TRANSACTION a transactional id. Raises Refused."""
        if self.newest(FindCoordinatorRequest) >= 4:
            request = FindCoordinatorRequest(key_type=kind, coordinator_keys=[key])
        else:
            request = FindCoordinatorRequest(key=key, key_type=kind)
        reply = self.settled(lambda: self._found(self.ask(request)), lambda found: found.error_code)
        check(reply.error_code, reply.error_message)
        self._nodes.setdefault(reply.node_id, Node(reply.node_id, reply.host, reply.port, None))
        found: int = reply.node_id
        return found

    @staticmethod
    def _found(reply: Any) -> Any:
        return reply.coordinators[0] if reply.coordinators else reply  # before version 4 the reply is the coordinator

    def settled(self, ask: Callable[[], Any], error_of: Callable[[Any], int]) -> Any:
        """The reply to `ask` once it is none of those after which a client asks again, or the last one in time."""
        deadline = time.monotonic() + self._properties.timeout
        pause = 0.05
        while True:
            reply = ask()
            if error_of(reply) not in ASK_AGAIN or time.monotonic() + pause > deadline:
                return reply
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    def nodes(self) -> list[Node]:
        """All brokers, by their ids."""
        self.metadata([])
        return sorted(self._nodes.values())

    def metadata(self, topics: Iterable[str] | None = None) -> Any:
        """A Metadata reply about these topics, or all; none is created by being asked for."""
        asked = None if topics is None else [MetadataRequestTopic(name=name) for name in topics]
        reply = self.ask(MetadataRequest(topics=asked, allow_auto_topic_creation=False))
        self._nodes = {each.node_id: Node(each.node_id, each.host, each.port, each.rack) for each in reply.brokers}
        return reply

    def partitions_of(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """Topic -> its partitions, in order. Raises Failed for a topic that is not there."""
        found = {}
        for topic in self.metadata(list(topics)).topics:
            if topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise Refused(topic.error_code, f"Topic '{topic.name}' does not exist as expected")
            check(topic.error_code, what=f"topic {topic.name}")
            found[topic.name] = sorted(each.partition_index for each in topic.partitions)
        return found

    def leaders_of(self, places: Iterable[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """Node -> those of the partitions that it leads; under -1 those without a leader, or that are not there."""
        wanted = set(places)
        leader = {}
        for topic in self.metadata(sorted({place.topic for place in wanted})).topics:
            for each in topic.partitions:
                leader[TopicPartition(topic.name, each.partition_index)] = each.leader_id
        led: dict[int, list[TopicPartition]] = {}
        for place in sorted(wanted):
            led.setdefault(leader.get(place, -1), []).append(place)
        return led

    def offsets(
        self, wanted: Mapping[TopicPartition, int], *, committed_only: bool = False
    ) -> dict[TopicPartition, FoundOffset]:
        """For each partition the offset that belongs to a time in milliseconds, EARLIEST, LATEST or
        LARGEST_TIMESTAMP."""
        deadline = time.monotonic() + self._properties.timeout
        left, found = dict(wanted), dict[TopicPartition, FoundOffset]()
        while left:
            for node, places in self.leaders_of(left).items():
                if node == -1:
                    unled = FoundOffset(-1, -1, int(ErrorCode.LEADER_NOT_AVAILABLE))
                    found.update(dict.fromkeys(places, unled))
                else:
                    found.update(self._offsets_at(node, {place: left[place] for place in places}, committed_only))
            left = {place: left[place] for place in left if found[place].error in ASK_AGAIN}
            if left and time.monotonic() > deadline:
                break
            if left:
                time.sleep(0.1)
        return found

    def _offsets_at(
        self, node: int, wanted: Mapping[TopicPartition, int], committed_only: bool
    ) -> dict[TopicPartition, FoundOffset]:
        topics: dict[str, ListOffsetsTopic] = {}
        for place, timestamp in wanted.items():
            topic = topics.setdefault(place.topic, ListOffsetsTopic(name=place.topic, partitions=[]))
            topic.partitions.append(ListOffsetsPartition(partition_index=place.partition, timestamp=timestamp))
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=int(committed_only),
            topics=list(topics.values()),
            timeout_ms=int(self._properties.timeout * 1000),
        )
        return {
            TopicPartition(topic.name, each.partition_index): FoundOffset(each.offset, each.timestamp, each.error_code)
            for topic in self.ask(request, node=node).topics
            for each in topic.partitions
        }

    def _address_of(self, node: int) -> Address:
        if node not in self._nodes:
            self.nodes()
        found = self._nodes.get(node)
        if found is None:
            raise Failed(f"the cluster has no broker {node}")
        return found.host, found.port

    def _bootstrap(self) -> BrokerConnection:
        """A connection to the first bootstrap server that answers."""
        if self._first is not None and self._first in self._open:
            return self._open[self._first]
        failure: Failed | None = None
        for address in self._properties.bootstrap:
            try:
                connection = self._connect(address)
            except Failed as error:
                failure = failure or error
                continue
            self._first = address
            return connection
        assert failure is not None, "there is at least one bootstrap server"
        raise failure

    def _connect(self, address: Address) -> BrokerConnection:
        if address not in self._open:
            self._open[address] = BrokerConnection.make(address, self._security, self._properties.timeout)
        return self._open[address]

    def _forget(self, connection: BrokerConnection) -> None:
        connection.close()
        self._open = {address: each for address, each in self._open.items() if each is not connection}
