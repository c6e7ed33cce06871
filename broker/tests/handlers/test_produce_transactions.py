"""Produce in transactions: what the coordinator is asked, and what comes of its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from broker.transaction_entry import refusal
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from storage.markers import Marker, marker_batch
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.store_settings import ProducerRules, StoreSettings

NOW = 1_700_000_000_000
TopicPartition = tuple[str, int]


def batch(sequence: int = 0, *, producer_id: int = 7, epoch: int = 0, transactional: bool = True) -> bytearray:
    return build_batch(
        [RecordData(0, NOW, b"k", b"v", ())], producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence,
        transactional=transactional,
    )  # fmt: skip


class ScriptedCoordinator:
    """Says yes to every partition but those in `codes`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.codes: dict[TopicPartition, ErrorCode] = {}
        self.asked: list[tuple[str, str, int, int, list[TopicPartition]]] = []
        self.meanwhile: Any = None

    async def verify_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, ErrorCode]:
        return self._answer("verify", transactional_id, producer_id, producer_epoch, partitions)

    async def add_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, ErrorCode]:
        return self._answer("add", transactional_id, producer_id, producer_epoch, partitions)

    def _answer(
        self, question: str, transactional_id: str, producer_id: int, epoch: int, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, ErrorCode]:
        self.asked.append((question, transactional_id, producer_id, epoch, list(partitions)))
        if self.meanwhile is not None:
            self.meanwhile()
        return {named: self.codes.get(named, ErrorCode.NONE) for named in partitions}


@asynccontextmanager
async def transacting(settings: dict[str, str] | None = None) -> AsyncIterator[tuple[World, ScriptedCoordinator]]:
    """A world with a topic of three partitions, whose logs verify transactions, and a coordinator."""
    clock, entropy = SystemClock(), SeededEntropy(1)
    store = MemoryStore(clock, entropy, settings=StoreSettings(producers=ProducerRules(verify=not settings)))
    coordinator = ScriptedCoordinator()
    async with world(settings, store=store, clock=clock, entropy=entropy) as w:
        w.services.transaction_entry = cast(Any, coordinator)
        await w.cluster.create_topics([NewTopic("t", 3)])
        yield w, coordinator


async def send(w: World, version: int, batches: dict[int, bytearray], tx: str | None = "tx") -> dict[int, ErrorCode]:
    """What has become of the batch for each partition."""
    request = ProduceRequest(
        acks=-1, timeout_ms=1000, transactional_id=tx,
        topic_data=[
            TopicProduceData(
                name="t",
                partition_data=[PartitionProduceData(index=index, records=data) for index, data in batches.items()],
            )
        ],
    )  # fmt: skip
    response: ProduceResponse = await w.ask(request, version)
    return {part.index: ErrorCode(part.error_code) for part in response.responses[0].partition_responses}


@pytest.mark.parametrize("version", versions_of(ProduceRequest, before=13))
async def test_the_coordinator_is_asked_once_for_all_that_begin(version: int) -> None:
    """E16: older clients' partitions are verified, newer ones' added; what is open in its log is not asked about."""
    async with transacting() as (w, coordinator):
        assert await send(w, version, {0: batch(), 2: batch()}) == {0: ErrorCode.NONE, 2: ErrorCode.NONE}
        assert await send(w, version, {0: batch(1), 1: batch(), 2: batch(1)}) == dict.fromkeys(range(3), ErrorCode.NONE)
        assert await send(w, version, {0: batch(2), 1: batch(1)}) == {0: ErrorCode.NONE, 1: ErrorCode.NONE}
        question = "verify" if version < 12 else "add"
        assert coordinator.asked == [
            (question, "tx", 7, 0, [("t", 0), ("t", 2)]),
            (question, "tx", 7, 0, [("t", 1)]),
        ]


@pytest.mark.parametrize("version", [11, 12])
async def test_a_partition_that_the_coordinator_does_not_know_gets_nothing(version: int) -> None:
    """E16: its batch is refused, and leaves no trace; the other partitions of the request are not held back."""
    async with transacting() as (w, coordinator):
        coordinator.codes["t", 1] = ErrorCode.TRANSACTION_ABORTABLE
        outcome = await send(w, version, {0: batch(), 1: batch()})
        assert outcome == {0: ErrorCode.NONE, 1: ErrorCode.TRANSACTION_ABORTABLE}
        logs = [partition.log for index in (0, 1) if (partition := w.services.partitions.get("t", index))]
        assert [log.log_end_offset for log in logs] == [1, 0]


@pytest.mark.parametrize("version", [9, 12])
async def test_an_abort_between_the_answer_and_the_append(version: int) -> None:
    """E16: the coordinator has said yes, its marker has come, and the batch is too late: it would hang forever."""
    async with transacting() as (w, coordinator):
        partition = w.services.partitions.get("t", 0)
        assert partition is not None

        def abort() -> None:
            partition.log.begin_append([marker_batch(Marker(7, 0, 0, False), NOW)])
            coordinator.meanwhile = lambda: coordinator.codes.update({("t", 0): ErrorCode.INVALID_TXN_STATE})

        coordinator.meanwhile = abort
        assert await send(w, version, {0: batch()}) == {0: ErrorCode.INVALID_TXN_STATE}
        assert partition.log.last_stable_offset == partition.log.high_watermark == 1


@pytest.mark.parametrize(("markers", "outcome"), [(2, ErrorCode.NONE), (3, ErrorCode.CONCURRENT_TRANSACTIONS)])
async def test_a_marker_of_the_transaction_before(markers: int, outcome: ErrorCode) -> None:
    """The coordinator says yes when its last transaction is complete, whose marker has come to the log by then: it is
    asked again, as the batch belongs to the next one; but not forever."""
    async with transacting() as (w, coordinator):
        partition = w.services.partitions.get("t", 0)
        assert partition is not None

        def end() -> None:
            if len(coordinator.asked) <= markers:
                partition.log.begin_append([marker_batch(Marker(7, 0, 0, True), NOW)])

        coordinator.meanwhile = end
        assert await send(w, 12, {0: batch(), 1: batch()}) == {0: outcome, 1: ErrorCode.NONE}
        assert [asked[-1] for asked in coordinator.asked] == [[("t", 0), ("t", 1)], [("t", 0)], [("t", 0)]]


async def test_a_transaction_without_a_producer() -> None:
    """Apache Kafka appends it as if it were plain: there is nothing that could open a transaction."""
    async with transacting() as (w, coordinator):
        assert await send(w, 12, {0: batch(-1, producer_id=-1, epoch=-1)}) == {0: ErrorCode.NONE}
        partition = w.services.partitions.get("t", 0)
        assert partition is not None and partition.log.last_stable_offset == 1
        assert coordinator.asked == []


async def test_verification_can_be_switched_off() -> None:
    """transaction.partition.verification.enable=false: older clients are believed; newer ones have no other way in."""
    async with transacting({"transaction.partition.verification.enable": "false"}) as (w, coordinator):
        assert await send(w, 11, {0: batch()}) == {0: ErrorCode.NONE}
        assert coordinator.asked == []
        assert await send(w, 12, {1: batch()}) == {1: ErrorCode.NONE}
        assert len(coordinator.asked) == 1


@pytest.mark.parametrize("version", [11, 12])
async def test_a_zombie_is_not_asked_about(version: int) -> None:
    """An epoch that the log knows to be old is refused with INVALID_PRODUCER_EPOCH, as Kafka does it."""
    async with transacting() as (w, coordinator):
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        partition.log.begin_append([marker_batch(Marker(7, 5, 0, False), NOW)])
        assert await send(w, version, {0: batch(epoch=4)}) == {0: ErrorCode.INVALID_PRODUCER_EPOCH}
        assert coordinator.asked == []


async def test_one_producer_per_request() -> None:
    """A request is one transaction's."""
    async with transacting() as (w, _):
        outcome = await send(w, 12, {0: batch(), 1: batch(producer_id=8)})
        assert outcome == dict.fromkeys((0, 1), ErrorCode.INVALID_PRODUCER_ID_MAPPING)


async def test_a_transaction_without_an_id() -> None:
    """Apache Kafka refuses the request as a whole, sound partitions too: it checks a right that belongs to the id."""
    async with transacting() as (w, _):
        outcome = await send(w, 12, {0: batch(transactional=False), 1: batch()}, tx=None)
        assert outcome == dict.fromkeys((0, 1), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        partition = w.services.partitions.get("t", 0)
        assert partition is not None and partition.log.log_end_offset == 0


async def test_an_id_without_a_transaction() -> None:
    """Batches outside any transaction may come with a transactional id; the coordinator has no part in them."""
    async with transacting() as (w, coordinator):
        assert await send(w, 12, {0: batch(transactional=False)}) == {0: ErrorCode.NONE}
        assert coordinator.asked == []


@pytest.mark.parametrize(
    ("said", "version", "told"),
    [
        (ErrorCode.PRODUCER_FENCED, 12, ErrorCode.INVALID_PRODUCER_EPOCH),
        (ErrorCode.NOT_COORDINATOR, 12, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, 5, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.CONCURRENT_TRANSACTIONS, 11, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.CONCURRENT_TRANSACTIONS, 12, ErrorCode.CONCURRENT_TRANSACTIONS),
        (ErrorCode.TRANSACTION_ABORTABLE, 10, ErrorCode.INVALID_TXN_STATE),
        (ErrorCode.TRANSACTION_ABORTABLE, 11, ErrorCode.TRANSACTION_ABORTABLE),
        (ErrorCode.INVALID_PRODUCER_ID_MAPPING, 11, ErrorCode.INVALID_PRODUCER_ID_MAPPING),
    ],
)
def test_what_a_producer_is_told(said: ErrorCode, version: int, told: ErrorCode) -> None:
    """The coordinator's codes, as far as an answer to Produce may have them."""
    assert refusal(said, version).code is told
