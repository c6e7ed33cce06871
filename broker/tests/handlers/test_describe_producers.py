"""DescribeProducers: what partitions remember of their producers."""

from __future__ import annotations

from typing import Any

import pytest

from broker.coordinators.cluster import NewTopic
from broker.handlers import describe_producers as handler
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.messages.describe_producers import DescribeProducersRequest, TopicRequest
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer


async def described(w: World, *wanted: tuple[str, list[int]]) -> Any:
    topics = [TopicRequest(name=name, partition_indexes=indexes) for name, indexes in wanted]
    return await w.ask(DescribeProducersRequest(topics=topics), 0)


async def fill(w: World, *producers: ScriptedProducer, index: int = 0) -> None:
    """Let each of these write a batch of a transaction."""
    partition = w.services.partitions.get("t", index)
    assert partition is not None
    for producer in producers:
        partition.log.begin_append([producer.batch(b"a", b"b", transactional=True)])


async def test_a_producer_as_its_transaction_goes_on() -> None:
    """Where it is open, and that it is not once the marker is in; the producer itself stays."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 2)])
        producer = ScriptedProducer(7, epoch=3)
        await fill(w, ScriptedProducer(8), producer)
        answer = await described(w, ("t", [0, 1]))
        [first, second] = answer.topics[0].partitions
        found = first.active_producers[1]
        assert (found.producer_id, found.producer_epoch, found.last_sequence) == (7, 3, 1)
        assert (found.last_timestamp, found.coordinator_epoch, found.current_txn_start_offset) == (EPOCH_MS, -1, 2)
        assert (first.error_code, second.error_code, second.active_producers) == (0, 0, [])
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        partition.log.begin_append([producer.marker(commit=True, coordinator_epoch=5)])
        found = (await described(w, ("t", [0]))).topics[0].partitions[0].active_producers[1]
        assert (found.last_sequence, found.coordinator_epoch, found.current_txn_start_offset) == (1, 5, -1)


async def test_partitions_that_cannot_be_described() -> None:
    """Each has its own code; the others of the request are answered."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1)])
        answer = await described(w, ("none", [0]), ("t", [0, 1, -1]), ("no/topic", [0]))
        codes = [[ErrorCode(part.error_code) for part in topic.partitions] for topic in answer.topics]
        assert codes == [
            [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
            [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
            [ErrorCode.INVALID_TOPIC_EXCEPTION],
        ]


async def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small request may name a partition that is full of producers very often."""
    monkeypatch.setattr(handler, "MOST", 4)
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 1)])
        await fill(w, ScriptedProducer(1), ScriptedProducer(2), ScriptedProducer(3))
        answer = await described(w, ("t", [0] * 50))
        listed = sum(len(part.active_producers) for part in answer.topics[0].partitions)
        codes = {ErrorCode(part.error_code) for part in answer.topics[0].partitions[2:]}
        assert (listed, codes) == (6, {ErrorCode.POLICY_VIOLATION})
