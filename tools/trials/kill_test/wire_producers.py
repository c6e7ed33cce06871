"""Producers that speak the protocol themselves, so that they know exactly what they did and what was answered.

Both send batches of one size to one partition, two in flight, each batch in one request.

`SingleAttemptProducer` sends each batch once, with acks=1 and without a producer id. What was not answered is unknown
and stays so: it is in the log once, or not at all, and never after an error that says that it was not appended.

`IdempotentWireProducer` has a producer id and keeps the last five batches that were acknowledged. On each new
connection, which is mostly to a broker that has just been killed, it

1. sends again those of the five that are certainly among the broker's last five, whatever became of the batches without
   an answer: they must be answered with their first offsets, by a broker that has read them from the disk only;
2. sends the batches without an answer again, and has them acknowledged;
3. sends all the last five again.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, ProtocolError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, TopicPartition
from tools.trials.kill_test.ledger import (
    Acknowledged,
    Complaint,
    LedgerWriter,
    Producer,
    ProducerIdGiven,
    Refused,
    Resent,
    Sent,
)
from tools.trials.kill_test.values import BATCH_RECORDS, make_value
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

IN_FLIGHT = 2
WINDOW = 5
"""Batches per producer and partition whose repetition a broker must know (max.in.flight of an idempotent producer)."""

RECONNECT_SECONDS = 0.02
ANSWER_SECONDS = 60.0

NOT_APPENDED = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
}
"""What a broker that has just started may say: nothing was done, ask again."""


class SentBatch(NamedTuple):
    """A batch as it was sent, and where it is (-1 while that is unknown)."""

    sequence: int
    data: bytes
    offset: int


class WireProducer(threading.Thread, ABC):
    """Connects, sends at a steady pace, connects again. `until` is set when no more is to be sent."""

    acks = -1

    def __init__(
        self,
        name: str,
        kind: str,
        place: TopicPartition,
        port: int,
        ledger: LedgerWriter,
        until: threading.Event,
        records_per_second: float,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.place = place
        self.ledger = ledger
        self._port = port
        self._until = until
        self._pause = BATCH_RECORDS / records_per_second
        self.next_sequence = 0
        ledger.write(Producer(name, kind))

    def run(self) -> None:
        """Until the end is asked for, and nothing is left to be asked again."""
        while not self._until.is_set() or self.unfinished():
            try:
                with WireClient(self._port, timeout=ANSWER_SECONDS) as client:
                    self.begin(client)
                    self._send_at_a_pace(client)
            except TimeoutError:
                self.ledger.write(Complaint(self.name, f"no answer within {ANSWER_SECONDS:g} s"))
                break
            except (OSError, ProtocolError):
                time.sleep(RECONNECT_SECONDS)
            except wire.Refusal as refusal:
                if refusal.code not in NOT_APPENDED:
                    self.ledger.write(Complaint(self.name, str(refusal)))
                    break
                time.sleep(RECONNECT_SECONDS)
        self.ledger.write(Sent(self.name, *self.place, self.next_sequence))

    def _send_at_a_pace(self, client: WireClient) -> None:
        while not self._until.is_set():
            batches = []
            for _ in range(IN_FLIGHT):
                batch = SentBatch(self.next_sequence, self._encode(self.next_sequence), -1)
                self.next_sequence += BATCH_RECORDS
                self.sending(batch)
                batches.append(batch)
                client.socket.sendall(wire.produce_request(client, self.place, batch.data, self.acks))
            for batch in batches:
                error, offset = wire.produced(client)
                self.answered(batch, ErrorCode(error), offset)
            self._until.wait(self._pause * IN_FLIGHT)

    def _encode(self, first: int) -> bytes:
        now = int(time.time() * 1000)
        values = (make_value(self.name, *self.place, sequence) for sequence in range(first, first + BATCH_RECORDS))
        producer_id, epoch, base = self.identity(first)
        return bytes(
            build_batch(
                (RecordData(0, now, None, value) for value in values),
                producer_id=producer_id,
                producer_epoch=epoch,
                base_sequence=base,
            )
        )

    def acknowledge(self, batch: SentBatch, offset: int) -> None:
        """Note that a batch is in the log."""
        now = time.monotonic()
        self.ledger.write(Acknowledged(self.name, *self.place, batch.sequence, BATCH_RECORDS, offset, now))

    @abstractmethod
    def identity(self, sequence: int) -> tuple[int, int, int]:
        """(producer id, epoch, base sequence) of a batch."""

    @abstractmethod
    def begin(self, client: WireClient) -> None:
        """What a new connection begins with."""

    @abstractmethod
    def sending(self, batch: SentBatch) -> None:
        """A batch is about to be sent for the first time."""

    @abstractmethod
    def answered(self, batch: SentBatch, error: ErrorCode, offset: int) -> None:
        """The answer to a batch sent for the first time. Raises Refusal to start over with a new connection."""

    @abstractmethod
    def unfinished(self) -> bool:
        """Whether something is left to do when no new batches are to be sent."""


class SingleAttemptProducer(WireProducer):
    """acks=1, no producer id, nothing is sent twice."""

    acks = 1

    def identity(self, sequence: int) -> tuple[int, int, int]:
        """None."""
        return NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE

    def begin(self, client: WireClient) -> None:
        """Nothing to catch up on."""

    def sending(self, batch: SentBatch) -> None:
        """Nothing to remember."""

    def answered(self, batch: SentBatch, error: ErrorCode, offset: int) -> None:
        """Note what was said, and go on."""
        if error == ErrorCode.NONE:
            self.acknowledge(batch, offset)
        else:
            definite = error in NOT_APPENDED
            where = (self.name, *self.place, batch.sequence, BATCH_RECORDS)
            self.ledger.write(Refused(*where, error.name, definite))
            if not definite:
                raise wire.Refusal(f"Produce of #{batch.sequence}", error)

    def unfinished(self) -> bool:
        """Never: what is unknown stays so."""
        return False


class IdempotentWireProducer(WireProducer):
    """acks=all with a producer id: every batch is acknowledged in the end, and repetitions are put to the test."""

    def __init__(
        self,
        name: str,
        kind: str,
        place: TopicPartition,
        port: int,
        ledger: LedgerWriter,
        until: threading.Event,
        records_per_second: float,
    ) -> None:
        super().__init__(name, kind, place, port, ledger, until, records_per_second)
        self._producer_id = NO_PRODUCER_ID
        self._epoch = NO_PRODUCER_EPOCH
        self._window: deque[SentBatch] = deque(maxlen=WINDOW)
        self._unanswered: deque[SentBatch] = deque()

    def identity(self, sequence: int) -> tuple[int, int, int]:
        """The producer's own."""
        return self._producer_id, self._epoch, sequence

    def begin(self, client: WireClient) -> None:
        """Get an id the first time; later, put what the broker remembers to the test, and finish what was begun."""
        if self._producer_id == NO_PRODUCER_ID:
            self._producer_id, self._epoch = wire.init_producer_id(client)
            self.ledger.write(ProducerIdGiven(self.name, self._producer_id, self._epoch))
            return
        # One more id, for no producer: a broker that forgets which ones it gave out shows it here.
        self.ledger.write(ProducerIdGiven(self.name, *wire.init_producer_id(client)))
        certain = max(0, WINDOW - len(self._unanswered))
        for batch in list(self._window)[len(self._window) - min(certain, len(self._window)) :]:
            self._repeat(client, batch)
        while self._unanswered:
            batch = self._unanswered[0]
            error, offset = self._ask(client, batch)
            wire.accept(f"Produce of #{batch.sequence} again", error)
            self._settle(batch, offset)
        for batch in list(self._window):
            self._repeat(client, batch)

    def sending(self, batch: SentBatch) -> None:
        """Without an answer until there is one."""
        self._unanswered.append(batch)

    def answered(self, batch: SentBatch, error: ErrorCode, offset: int) -> None:
        """Settle the batch, or start over with it."""
        if error != ErrorCode.NONE:
            raise wire.Refusal(f"Produce of #{batch.sequence}", error)
        self._settle(batch, offset)

    def _settle(self, batch: SentBatch, offset: int) -> None:
        assert self._unanswered[0] is batch, "answers come in the order of requests"
        self._unanswered.popleft()
        self._window.append(batch._replace(offset=offset))
        self.acknowledge(batch, offset)

    def _repeat(self, client: WireClient, batch: SentBatch) -> None:
        error, offset = self._ask(client, batch)
        if ErrorCode(error) in NOT_APPENDED:
            raise wire.Refusal(f"Produce of #{batch.sequence} again", error)
        self.ledger.write(Resent(self.name, *self.place, batch.sequence, batch.offset, error, offset))

    def _ask(self, client: WireClient, batch: SentBatch) -> tuple[int, int]:
        client.socket.sendall(wire.produce_request(client, self.place, batch.data, self.acks))
        return wire.produced(client)

    def unfinished(self) -> bool:
        """Batches without an answer must be asked about."""
        return bool(self._unanswered)
