"""Transactional producers over sockets of their own, all driven by one thread: what they wait for is the broker.

A producer does what a client of `transaction.version` 2 does (KIP-890): Produce, which adds the partitions, waits for
the answer; EndTxn, waits for the answer, which brings the next epoch; and again. While the markers of the transaction
before are being written a broker may answer CONCURRENT_TRANSACTIONS (to Produce: NOT_ENOUGH_REPLICAS); then the request
is sent again after `AGAIN_SECONDS`, as clients do it. Everything but producer id, epoch and checksum of a batch is made
once.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack_into
from typing import Any, Final

from kproto.batches.header import compute_crc
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.end_txn import EndTxnRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.declare import Request
from tools.trials.brokers import pause
from tools.trials.wire.client import WireClient

PRODUCE, END_TXN, INIT, FIND, LIST_OFFSETS = 12, 5, 4, 4, 6
AGAIN_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 60.0
CRC_AT, PRODUCER_AT, SEQUENCE_AT = 17, 43, 53
NOT_YET: Final = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR,
    }
)  # fmt: skip


class Unexpected(Exception):
    """The broker answered with an error that no client would go on after."""


@dataclass
class Rounds:
    """What one producer has done: the seconds that each transaction took, and each of its ends."""

    transactions: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    again: int = 0


class Producer:
    """One producer. `name` None: idempotent only, and a round is a Produce."""

    def __init__(
        self, port: int, topic: str, name: str | None, *, partitions: Sequence[int], records: int, record_bytes: int
    ) -> None:
        self.client = WireClient(port)
        self.rounds = Rounds()
        self._topic = topic
        self._name = name
        self._partitions = partitions
        value = (b"0123456789abcdef" * (record_bytes // 16 + 1))[:record_bytes]
        now = int(time.time() * 1000)
        self._batch = build_batch(
            [RecordData(number, now, None, value, ()) for number in range(records)],
            producer_id=0, producer_epoch=0, base_sequence=0, transactional=name is not None,
        )  # fmt: skip
        self._records = records
        self._sequence = 0
        self._began = self._asked = 0.0
        self._ending = False
        if name is not None:
            settled(self.client, FindCoordinatorRequest(key_type=1, coordinator_keys=[name]), FIND)
        reply = settled(self.client, InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=60_000), INIT)
        self.producer_id, self.epoch = reply.producer_id, reply.producer_epoch

    def begin(self) -> None:
        """Send the first request of a round."""
        self._began = self._asked = time.perf_counter()
        self._ending = False
        self._send(self._produce())

    def answered(self) -> bool:
        """Take what the socket has; True when a round has ended. Raises ConnectionError, Unexpected."""
        count = self.client.socket.recv_into(self.client.connection.window())
        if count == 0:
            raise ConnectionError("the broker closed the connection")
        self.client.connection.received(count)
        found = self.client.connection.next_reply()
        return found is not None and self._take(found[1])

    def _take(self, reply: Any) -> bool:
        codes = {reply.error_code} if self._ending else {
            part.error_code for topic in reply.responses for part in topic.partition_responses
        }  # fmt: skip
        codes.discard(0)
        if codes:
            if not codes <= NOT_YET:
                raise Unexpected(f"{type(reply).__name__}: {[ErrorCode(code).name for code in codes]}")
            self.rounds.again += 1
            pause(AGAIN_SECONDS)
            self._send(self._end() if self._ending else self._produce())
            return False
        now = time.perf_counter()
        if self._name is None:
            self._sequence += self._records
        elif not self._ending:
            self._ending, self._asked = True, now
            self._send(self._end())
            return False
        else:
            self.producer_id, self.epoch = reply.producer_id, reply.producer_epoch
            self.rounds.ends.append(now - self._asked)
        self.rounds.transactions.append(now - self._began)
        return True

    def _send(self, request: tuple[Request, int]) -> None:
        self.client.socket.sendall(self.client.encode(*request))

    def _produce(self) -> tuple[Request, int]:
        batch = self._batch
        pack_into(">qh", batch, PRODUCER_AT, self.producer_id, self.epoch)
        pack_into(">i", batch, SEQUENCE_AT, self._sequence)
        pack_into(">I", batch, CRC_AT, compute_crc(batch, 0, len(batch)))
        parts = [PartitionProduceData(index=index, records=batch) for index in self._partitions]
        data = [TopicProduceData(name=self._topic, partition_data=parts)]
        return ProduceRequest(transactional_id=self._name, acks=-1, timeout_ms=30_000, topic_data=data), PRODUCE

    def _end(self) -> tuple[Request, int]:
        request = EndTxnRequest(
            transactional_id=self._name or "", producer_id=self.producer_id, producer_epoch=self.epoch, committed=True
        )
        return request, END_TXN


def drive(producers: Sequence[Producer], seconds: float) -> float:
    """Let all of them go round for about so long; how many seconds it was until the last round ended."""
    began = time.perf_counter()
    until = began + seconds
    with selectors.DefaultSelector() as selector:
        for producer in producers:
            producer.rounds = Rounds()
            selector.register(producer.client.socket, selectors.EVENT_READ, producer)
            producer.begin()
        while selector.get_map():
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE_SECONDS:g} s")
            for key, _ in ready:
                producer = key.data
                if producer.answered():
                    if time.perf_counter() < until:
                        producer.begin()
                    else:
                        selector.unregister(producer.client.socket)
    return time.perf_counter() - began


def ends_visible(producer: Producer, reader: WireClient, topic: str, partitions: Sequence[int]) -> tuple[float, float]:
    """One round: seconds that EndTxn took, and seconds from its answer until readers see the end everywhere."""
    producer.begin()
    while not producer.answered():
        pass
    answered = time.perf_counter()
    wait_until(lambda: stable(reader, topic, partitions))
    return producer.rounds.ends[-1], time.perf_counter() - answered


def wait_until(done: Callable[[], bool]) -> None:
    """Ask again and again, without a pause. Raises TimeoutError."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not done():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not so within {PATIENCE_SECONDS:g} s")


def stable(reader: WireClient, topic: str, partitions: Sequence[int]) -> bool:
    """Whether no transaction holds readers of committed records back, in any of the partitions."""
    return ends(reader, topic, partitions, 1) == ends(reader, topic, partitions, 0)


def ends(reader: WireClient, topic: str, partitions: Sequence[int], level: int) -> list[int]:
    """Where the partitions end for readers of an isolation level."""
    asked = [ListOffsetsPartition(partition_index=index, timestamp=-1) for index in partitions]
    topics = [ListOffsetsTopic(name=topic, partitions=asked)]
    reply: Any = reader.call(ListOffsetsRequest(replica_id=-1, isolation_level=level, topics=topics), LIST_OFFSETS)
    found = {part.partition_index: part.offset for part in reply.topics[0].partitions}
    return [found[index] for index in partitions]


def settled(client: WireClient, request: Request, version: int) -> Any:
    """The first answer that does not say: not yet. Raises TimeoutError, Unexpected."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        reply = client.call(request, version)
        first = reply.coordinators[0] if hasattr(reply, "coordinators") else reply
        if first.error_code == 0:
            return reply
        if first.error_code not in NOT_YET:
            raise Unexpected(f"{type(reply).__name__}: {ErrorCode(first.error_code).name}")
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{ErrorCode(first.error_code).name} for {PATIENCE_SECONDS:g} s")
        pause(0.05)
