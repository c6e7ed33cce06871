"""Producers that offer more than their quota: each a connection and a thread, that notes what was acknowledged when.

All send under one client id, so they share its quota. What counts is a request's bytes, as the broker counts them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.messages.alter_client_quotas import AlterClientQuotasRequest, EntityData, OpData, RequestEntryData
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.load import PRODUCE_VERSION
from tools.trials.brokers import pause
from tools.trials.wire.client import WireClient

CLIENT_ID = "held-back"
RECORDS, RECORD_BYTES = 250, 1000
SAMPLE_SECONDS = 0.25
AHEAD_SECONDS = 1.0


@dataclass
class Series:
    """What one broker did: (seconds since the start, bytes) of each acknowledgement, and of its memory."""

    broker: str
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, start: float, seconds: float) -> float:
        """Bytes a second, over so many seconds from `start` on."""
        return sum(size for at, size in self.acknowledged if start <= at < start + seconds) / seconds


def set_quota(broker: BrokerProcess, rate: float | None) -> None:
    """Let the producers together send so many bytes a second; None for no limit."""
    entity = [EntityData(entity_type="client-id", entity_name=CLIENT_ID)]
    change = OpData(key="producer_byte_rate", value=rate or 0.0, remove=rate is None)
    with WireClient(broker.port) as client:
        reply: Any = client.call(AlterClientQuotasRequest(entries=[RequestEntryData(entity=entity, ops=[change])]), 1)
        assert reply.entries[0].error_code == 0, reply


def hold_back(brokers: list[BrokerProcess], topic: str, producers: int, offered: float, seconds: float) -> list[Series]:
    """Have `producers` for each broker offer `offered` bytes a second together, at all brokers at the same time."""
    found = [Series(broker.name) for broker in brokers]
    began = time.perf_counter()

    def clock() -> float:
        return time.perf_counter() - began

    threads = [
        threading.Thread(
            target=_produce, args=(broker, topic, offered / producers, seconds, clock, series), daemon=True
        )
        for broker, series in zip(brokers, found, strict=True)
        for _ in range(producers)
    ]
    for thread in threads:
        thread.start()
    while (now := clock()) < seconds:
        for broker, series in zip(brokers, found, strict=True):
            series.memory.append((now, broker.resident_bytes()))
        pause(SAMPLE_SECONDS)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a producer was held back for a minute"
    return found


def _produce(
    broker: BrokerProcess, topic: str, offered: float, seconds: float, clock: Callable[[], float], series: Series
) -> None:
    batch = build_batch([RecordData(index, 0, None, bytes(RECORD_BYTES), ()) for index in range(RECORDS)])
    parts = [PartitionProduceData(index=0, records=batch)]
    request = ProduceRequest(acks=1, timeout_ms=30_000, topic_data=[TopicProduceData(name=topic, partition_data=parts)])
    with WireClient(broker.port, timeout=60, client_id=CLIENT_ID) as client:
        turn, step = clock(), 0.0
        while (now := clock()) < seconds:
            if now < turn:
                pause(turn - now)
            turn = max(turn, now - AHEAD_SECONDS) + step  # what was held back for longer is not offered any more
            data = client.encode(request, PRODUCE_VERSION)
            client.socket.sendall(data)
            reply: Any = client.reply()
            assert reply.responses[0].partition_responses[0].error_code == 0, reply
            series.acknowledged.append((clock(), len(data)))
            step = len(data) / offered
