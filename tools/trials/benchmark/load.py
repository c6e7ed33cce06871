"""The load: prepared requests over one socket, a fixed number in flight, replies counted and checked.

A request is encoded once. Produce requests carry no producer id, so the broker takes the same bytes again and again;
only the reply differs, by its offset. Every reply's length must be that of the first, which was decoded and found
without error: a reply with an error message would differ.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from struct import Struct
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.brokers import pause
from tools.trials.wire.client import WireClient

PRODUCE_VERSION = 9
FETCH_VERSION = 12
CREATE_VERSION = 5
DELETE_VERSION = 5
ALTER_VERSION = 1
BROKER_RESOURCE = 4
LIST_OFFSETS_VERSION = 6
RECEIVE_BYTES = 4 << 20
DELETE_DELAY_MS = 100
_LENGTH = Struct(">i")


@dataclass(frozen=True)
class Measured:
    """One round: how much, how long, at what cost."""

    seconds: float
    cpu_seconds: float
    user_seconds: float
    requests: int
    records: int
    bytes: int
    latencies: tuple[float, ...] = ()

    @property
    def megabytes_per_second(self) -> float:
        return self.bytes / self.seconds / 1e6

    @property
    def records_per_second(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_per_gigabyte(self) -> float:
        return self.cpu_seconds / self.bytes * 1e9

    @property
    def user_per_gigabyte(self) -> float:
        """Without what the kernel spent, most of it for pages of the page cache: the same for every broker."""
        return self.user_seconds / self.bytes * 1e9

    @property
    def cpu_micros_per_request(self) -> float:
        return self.cpu_seconds / self.requests * 1e6

    def percentile(self, share: float) -> float:
        """A latency in microseconds below which `share` of all requests stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e6


def create_topic(broker: BrokerProcess, name: str, partitions: int, **configs: str) -> None:
    """Create a topic and wait until it can be written (Kafka answers before that is so)."""
    entries = [CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()]
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=entries)
    with WireClient(broker.port) as client:
        reply: Any = client.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), CREATE_VERSION)
        assert reply.topics[0].error_code == 0, reply
        for partition in range(partitions):
            while client_error(client, name, partition):
                pause(0.02)


def delete_files_soon(broker: BrokerProcess) -> None:
    """Let a deleted topic's files go at once: the broker's own default counts, and Kafka's is a minute."""
    delay = AlterableConfig(name="log.segment.delete.delay.ms", value=str(DELETE_DELAY_MS))
    everywhere = AlterConfigsResource(resource_type=BROKER_RESOURCE, resource_name="", configs=[delay])
    with WireClient(broker.port) as client:
        reply: Any = client.call(IncrementalAlterConfigsRequest(resources=[everywhere]), ALTER_VERSION)
        assert reply.responses[0].error_code == 0, reply


def delete_topic(broker: BrokerProcess, name: str) -> None:
    """Delete a topic with its files, so that one measurement does not fill the page cache of the next."""
    with WireClient(broker.port) as client:
        reply: Any = client.call(DeleteTopicsRequest(topic_names=[name], timeout_ms=30_000), DELETE_VERSION)
        assert reply.responses[0].error_code == 0, reply


def client_error(client: WireClient, topic: str, partition: int) -> int:
    """The error of asking for the end of a partition; 0 when its leader answers."""
    asked = ListOffsetsTopic(name=topic, partitions=[ListOffsetsPartition(partition_index=partition, timestamp=-1)])
    reply: Any = client.call(ListOffsetsRequest(replica_id=-1, topics=[asked]), LIST_OFFSETS_VERSION)
    error: int = reply.topics[0].partitions[0].error_code
    return error


def produce_request(
    client: WireClient, topic: str, *, partitions: int, records: int, record_bytes: int, acks: int
) -> bytes:
    """A Produce request with one batch of `records` records for each partition."""
    now = int(time.time() * 1000)
    value = bytes(range(256)) * (record_bytes // 256 + 1)
    batch = bytes(build_batch([RecordData(index, now, None, value[:record_bytes], ()) for index in range(records)]))
    data = [PartitionProduceData(index=index, records=batch) for index in range(partitions)]
    request = ProduceRequest(
        acks=acks, timeout_ms=30_000, topic_data=[TopicProduceData(name=topic, partition_data=data)]
    )
    return client.encode(request, PRODUCE_VERSION)


def produce(
    broker: BrokerProcess,
    topic: str,
    *,
    seconds: float,
    partitions: int = 1,
    records: int,
    record_bytes: int,
    acks: int = 1,
    in_flight: int = 5,
) -> Measured:
    """Send the same Produce request for about `seconds`, `in_flight` at a time."""
    with broker.connect() as client:
        request = produce_request(
            client, topic, partitions=partitions, records=records, record_bytes=record_bytes, acks=acks
        )
        client.socket.sendall(request)
        reply: Any = client.reply()
        errors = {part.error_code for topic_reply in reply.responses for part in topic_reply.partition_responses}
        assert errors == {0}, reply
        client.socket.sendall(request)
        size = _reply_size(client)
        carried = records * partitions
        return _pump(broker, client, request, size, seconds, in_flight, carried, carried * record_bytes)


def _reply_size(client: WireClient) -> int:
    """Receive one reply; its size with the length before it."""
    head = _receive_exactly(client, 4)
    body: int = _LENGTH.unpack(head)[0]
    _receive_exactly(client, body)
    return 4 + body


def _receive_exactly(client: WireClient, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        received = client.socket.recv(count - len(data))
        if not received:
            raise ConnectionError("the broker closed the connection")
        data += received
    return bytes(data)


def _pump(
    broker: BrokerProcess,
    client: WireClient,
    request: bytes,
    reply_size: int,
    seconds: float,
    in_flight: int,
    records: int,
    payload: int,
) -> Measured:
    sock, clock = client.socket, time.perf_counter
    buffer = bytearray(RECEIVE_BYTES)
    sent = answered = partial = 0
    sent_at: list[float] = []
    latencies: list[float] = []
    cpu_before, user_before, began = broker.cpu_seconds(), broker.user_seconds(), clock()
    until = began + seconds
    now = began
    while now < until or answered < sent:
        while now < until and sent - answered < in_flight:
            sent_at.append(now)
            sock.sendall(request)
            sent += 1
        count = sock.recv_into(buffer)
        if count == 0:
            raise ConnectionError("the broker closed the connection")
        now = clock()
        partial += count
        while partial >= reply_size:
            partial -= reply_size
            latencies.append(now - sent_at[answered])
            answered += 1
    assert partial == 0, "a reply differs in length from the first: an error?"
    spent, user = broker.cpu_seconds() - cpu_before, broker.user_seconds() - user_before
    return Measured(clock() - began, spent, user, answered, answered * records, answered * payload, tuple(latencies))


def fill(broker: BrokerProcess, topic: str, total_bytes: int, *, record_bytes: int = 1000) -> int:
    """Write about `total_bytes` into partition 0; returns the end offset."""
    with WireClient(broker.port) as client:
        request = produce_request(client, topic, partitions=1, records=100, record_bytes=record_bytes, acks=1)
        for _ in range(total_bytes // (100 * record_bytes)):
            client.socket.sendall(request)
            _reply_size(client)
    return total_bytes // (100 * record_bytes) * 100


def fetch(broker: BrokerProcess, topic: str, end: int, *, seconds: float, max_bytes: int = 1 << 20) -> Measured:
    """Read partition 0 from its start, again and again, as one consumer would: a request when the last reply is
    here.
    """
    with broker.connect() as client:
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        record_bytes_total = requests = 0
        offset = records = 0
        cpu_before, user_before, began = broker.cpu_seconds(), broker.user_seconds(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            part = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
            request = FetchRequest(
                max_wait_ms=500, min_bytes=1, max_bytes=50 << 20, topics=[FetchTopic(topic=topic, partitions=[part])]
            )
            client.socket.sendall(client.encode(request, FETCH_VERSION, expect_reply=False))
            size, batches = _receive_fetched(client, buffer)
            record_bytes_total += size
            requests += 1
            offset += batches
            records += batches
            if offset >= end:
                offset = 0
        spent, user = broker.cpu_seconds() - cpu_before, broker.user_seconds() - user_before
        return Measured(time.perf_counter() - began, spent, user, requests, records, record_bytes_total)


def _receive_fetched(client: WireClient, buffer: memoryview) -> tuple[int, int]:
    """(bytes of one Fetch reply, records in the whole batches of it). Looks at batch headers only."""
    got, wanted = 0, 4
    while got < wanted:
        count = client.socket.recv_into(buffer[got:])
        if count == 0:
            raise ConnectionError("the broker closed the connection")
        got += count
        if wanted == 4 and got >= 4:
            wanted = 4 + int(_LENGTH.unpack_from(buffer)[0])
    at = wanted - _records_length(buffer, wanted)
    records = 0
    while at + 61 <= wanted:
        length: int = _LENGTH.unpack_from(buffer, at + 8)[0]
        if at + 12 + length > wanted - 3:
            break
        records += int(_LENGTH.unpack_from(buffer, at + 57)[0])
        at += 12 + length
    assert records > 0, "a fetch found nothing where there are records"
    return wanted, records


def _records_length(buffer: memoryview, end: int) -> int:
    """How far before the end the records of a one-partition reply (v12) begin."""
    from kproto.messages.fetch import FetchResponse
    from kproto.schema.compile import decode

    reply: FetchResponse = decode(FetchResponse, FETCH_VERSION, buffer[9:end])
    partition = reply.responses[0].partitions[0]
    assert partition.error_code == 0, partition.error_code
    return len(partition.records or b"") + 3  # three empty tag sections follow: partition, topic, message
