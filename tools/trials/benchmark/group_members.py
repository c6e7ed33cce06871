"""Members of groups over sockets of their own, all driven by one thread: what they wait for is the broker.

A member does what a client does, and no more: it joins, beats as often as it should, and answers at once where a
client would. A **classic** member asks for an id, joins with it, syncs (the leader gives each an empty assignment:
computing one is no work of the broker's), and joins again when it is told to. A **consumer** member (KIP-848) says what
it owns as soon as that changes.
"""

from __future__ import annotations

import heapq
import selectors
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

from kproto.errors import ErrorCode
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, TopicPartitions
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from kproto.schema.declare import Request
from tools.trials.benchmark.transactional_load import Unexpected, settled
from tools.trials.brokers import pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

JOIN, SYNC, HEARTBEAT, CONSUMER_HEARTBEAT, FIND = 9, 5, 4, 1, 4
CLASSIC_SECONDS: Final = 3.0
CONSUMER_SECONDS: Final = 5.0
"""Between two heartbeats: `heartbeat.interval.ms` of clients, and `group.consumer.heartbeat.interval.ms` of brokers."""
ASK_SECONDS: Final = 0.01
"""Between two looks at whether it is done: such a look goes through all members."""
SESSION_MS, REBALANCE_MS = 45_000, 300_000
AGAIN: Final = frozenset(
    {ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR}
)


class Member(ABC):
    """One member. `due` is when it beats next, on the clock of `time.perf_counter`."""

    interval: float

    def __init__(self, port: int, group: str, topic: str) -> None:
        self.client = WireClient(port, timeout=120.0)
        self.group = group
        self.topic = topic
        self.due = 0.0
        self.answers = 0

    def receive(self) -> None:
        """Take what the socket has, and act on each answer. Raises ConnectionError, Unexpected."""
        connection = self.client.connection
        count = self.client.socket.recv_into(connection.window())
        if count == 0:
            raise ConnectionError("the broker closed the connection of a member")
        connection.received(count)
        while (found := connection.next_reply()) is not None:
            self.answers += 1
            self.answered(found[1])

    def send(self, request: Request, version: int) -> None:
        """Send, and do not wait."""
        self.due = time.perf_counter() + self.interval
        self.client.socket.sendall(self.client.encode(request, version))

    @abstractmethod
    def join(self) -> None:
        """Begin."""

    @abstractmethod
    def beat(self) -> None:
        """The interval has passed."""

    @abstractmethod
    def answered(self, reply: Any) -> None:
        """Act on an answer."""


class ClassicMember(Member):
    """A member of the classic protocol. It is `settled_in` the generation whose assignment it has."""

    interval = CLASSIC_SECONDS

    def __init__(self, port: int, group: str, topic: str) -> None:
        super().__init__(port, group, topic)
        self.member_id = ""
        self.generation = -1
        self.settled_in: int | None = None
        self._waits = False

    def join(self) -> None:
        self.settled_in = None
        self._waits = True
        wishes = encode_subscription(ConsumerProtocolSubscription(topics=[self.topic]), 1)
        request = JoinGroupRequest(
            group_id=self.group, member_id=self.member_id, session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS, protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=wishes)],
        )  # fmt: skip
        self.send(request, JOIN)

    def beat(self) -> None:
        if self._waits:
            self.due = time.perf_counter() + self.interval
            return
        self._waits = True
        beat = HeartbeatRequest(group_id=self.group, generation_id=self.generation, member_id=self.member_id)
        self.send(beat, HEARTBEAT)

    def answered(self, reply: Any) -> None:
        self._waits = False
        code = ErrorCode(reply.error_code)
        if code is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = reply.member_id
            self.join()
        elif code in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION) or code in AGAIN:
            self.join()
        elif code is not ErrorCode.NONE:
            raise Unexpected(f"{type(reply).__name__}: {code.name}")
        elif hasattr(reply, "generation_id"):  # JoinGroup
            self.generation = reply.generation_id
            shares = [SyncGroupRequestAssignment(member_id=each.member_id, assignment=b"") for each in reply.members]
            self._waits = True
            request = SyncGroupRequest(
                group_id=self.group, generation_id=self.generation, member_id=self.member_id, assignments=shares,
                protocol_type=reply.protocol_type, protocol_name=reply.protocol_name,
            )  # fmt: skip
            self.send(request, SYNC)
        elif hasattr(reply, "assignment"):  # SyncGroup
            self.settled_in = self.generation


class ConsumerMember(Member):
    """A member of the consumer protocol."""

    interval = CONSUMER_SECONDS

    def __init__(self, port: int, group: str, topic: str, number: int) -> None:
        super().__init__(port, group, topic)
        self.member_id = f"member-{number}"
        self.epoch = 0
        self.owns: list[tuple[bytes, list[int]]] = []
        self._waits = False

    @property
    def partitions(self) -> list[int]:
        """What it owns; all of one topic."""
        return [partition for _, partitions in self.owns for partition in partitions]

    def join(self) -> None:
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group, member_id=self.member_id, member_epoch=0, rebalance_timeout_ms=REBALANCE_MS,
            subscribed_topic_names=[self.topic], topic_partitions=[],
        )  # fmt: skip
        self.send(request, CONSUMER_HEARTBEAT)

    def send(self, request: Request, version: int) -> None:
        self._waits = True
        super().send(request, version)

    def beat(self) -> None:
        if self._waits:  # clients have one heartbeat under way; the epoch of a second one would be an old one
            self.due = time.perf_counter() + self.interval
            return
        if not self.epoch:  # not in the group yet: a client says again all that joining takes
            self.join()
            return
        beat = ConsumerGroupHeartbeatRequest(group_id=self.group, member_id=self.member_id, member_epoch=self.epoch)
        self.send(beat, CONSUMER_HEARTBEAT)

    def answered(self, reply: Any) -> None:
        self._waits = False
        code = ErrorCode(reply.error_code)
        if code in AGAIN:
            self.join()
            return
        if code is not ErrorCode.NONE:
            raise Unexpected(f"ConsumerGroupHeartbeat: {code.name} {reply.error_message}")
        self.epoch = reply.member_epoch
        if reply.assignment is None:
            return
        self.owns = [(each.topic_id, each.partitions) for each in reply.assignment.topic_partitions]
        owned = [TopicPartitions(topic_id=topic_id, partitions=partitions) for topic_id, partitions in self.owns]
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group, member_id=self.member_id, member_epoch=self.epoch, topic_partitions=owned
        )
        self.send(request, CONSUMER_HEARTBEAT)


def classic_is_stable(members: Sequence[ClassicMember]) -> bool:
    """Whether all have the assignment of one generation."""
    return members[0].settled_in is not None and len({member.settled_in for member in members}) == 1


def consumer_is_stable(members: Sequence[ConsumerMember], partitions: int) -> bool:
    """Whether all are at one epoch, and each partition is owned by one of them."""
    if len({member.epoch for member in members}) != 1:
        return False
    owned = [partition for member in members for partition in member.partitions]
    return len(owned) == partitions and len(set(owned)) == partitions


def drive(members: Sequence[Member], done: Callable[[], bool], *, seconds: float) -> float:
    """Let the members live until `done`, which is asked when answers have come; how long that took.

    Raises TimeoutError after so many seconds, ConnectionError, Unexpected.
    """
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for member in members:
            selector.register(member.client.socket, selectors.EVENT_READ, member)
        ask_at = began
        beats = [(member.due, number) for number, member in enumerate(members)]
        heapq.heapify(beats)
        while True:
            now = time.perf_counter()
            if now - began > seconds:
                raise TimeoutError(f"not so within {seconds:g} s")
            while beats and beats[0][0] <= now:
                member = members[beats[0][1]]
                if member.due <= now:
                    member.beat()
                heapq.heapreplace(beats, (member.due, beats[0][1]))
            for key, _ in selector.select(max(0.0, min(beats[0][0] - now, 0.1))):
                key.data.receive()
            if (now := time.perf_counter()) >= ask_at:
                if done():
                    return now - began
                ask_at = now + ASK_SECONDS


def find_coordinator(port: int, groups: Sequence[str]) -> None:
    """Return when the coordinator of these groups answers."""
    with WireClient(port) as client:
        for group in groups:
            settled(client, FindCoordinatorRequest(key_type=0, coordinator_keys=[group]), FIND)
            while wire.committed_error(client, group):  # Kafka names a coordinator that has not loaded its groups yet
                pause(0.02)


def part(members: Sequence[Member]) -> None:
    """Let go of their connections; the members stay until their sessions end."""
    for member in members:
        member.client.close()
