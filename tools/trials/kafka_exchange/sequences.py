"""An idempotent producer that goes on where it was after its log has moved to another broker.

Numbers are kept per partition, so the broker that serves the log has to know them, from the producer snapshot or from
the batches: a batch sent again is answered with the offset it has, a gap is refused, the next one is appended. The
batches are of today, as Kafka forgets producers by the timestamps of what they wrote.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.wire.client import WireClient

TOPIC = "sequences"
BATCHES = 4
RECORDS = 3
WAIT_SECONDS = 60.0


class Numbered(NamedTuple):
    """A producer id and how many of its batches are in the log, each of `RECORDS` records."""

    producer_id: int
    epoch: int
    sent: int
    begun: int
    """When, in milliseconds: the timestamp of the first batch."""


def begin(port: int) -> Numbered:
    """Write the first batches of a new producer."""
    with WireClient(port) as client:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer = client.call(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000), 4)
            if answer.error_code != ErrorCode.COORDINATOR_LOAD_IN_PROGRESS or time.monotonic() > deadline:
                break  # Kafka has no numbers to give out yet, right after its start
            time.sleep(0.2)
        if answer.error_code:
            raise ConnectionError(f"InitProducerId was answered with error {answer.error_code}")
        producer = Numbered(answer.producer_id, answer.producer_epoch, BATCHES, int(time.time() * 1000))
        for number in range(BATCHES):
            assert _send(client, producer, number) == (0, number * RECORDS), "the topic must be empty at first"
        return producer


def go_on(port: int, producer: Numbered, name: str) -> list[str]:
    """Repeat, leave a gap, go on: what is not as it should be, a sentence each."""
    wrong = []
    with WireClient(port) as client:
        last = producer.sent - 1
        for number, batch, expected in (
            ("the last batch, sent again", last, (0, last * RECORDS)),
            ("a batch behind a gap", producer.sent + 1, (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1)),
            ("the next batch", producer.sent, (0, producer.sent * RECORDS)),
            ("that one, sent again", producer.sent, (0, producer.sent * RECORDS)),
        ):
            answer = _send(client, producer, batch)
            if answer != expected:
                wrong.append(f"{name} answers {number} with error and offset {answer} instead of {expected}")
    return wrong


def _send(client: WireClient, producer: Numbered, number: int) -> tuple[int, int]:
    records = [RecordData(timestamp=producer.begun + number, value=b"%d" % number)] * RECORDS
    batch = build_batch(
        records,
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=number * RECORDS,
    )
    data = [TopicProduceData(name=TOPIC, partition_data=[PartitionProduceData(index=0, records=batch)])]
    answer = client.call(ProduceRequest(transactional_id=None, acks=-1, timeout_ms=30_000, topic_data=data), 9)
    partition = answer.responses[0].partition_responses[0]
    return partition.error_code, partition.base_offset
