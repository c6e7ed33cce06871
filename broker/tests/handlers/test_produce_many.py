"""Produce to very many partitions: the same answers and the same logs as for few, made in slices."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from broker.context import CloseConnection, FirstPhase
from broker.coordinators.cluster import NewTopic
from broker.handlers import produce as handler
from broker.testing.contexts import World, world
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from storage.memory.engine import MemoryAppend

NOW = 1_700_000_000_000


def batch(count: int = 1, **options: Any) -> bytearray:
    return build_batch([RecordData(0, NOW, b"k", b"v" * 100, ())] * count, **options)


def request(acks: int, *, sound: bool = False) -> ProduceRequest:
    """Good batches, repeated ones, a gap in a sequence, damage, partitions and topics that do not exist."""
    numbered = {"producer_id": 7, "producer_epoch": 0}
    parts = [
        PartitionProduceData(index=0, records=batch(3)),
        PartitionProduceData(index=1, records=batch(2, base_sequence=0, **numbered)),
        PartitionProduceData(index=0, records=batch(1)),
    ]
    wrong = [
        PartitionProduceData(index=1, records=batch(2, base_sequence=0, **numbered)),
        PartitionProduceData(index=1, records=batch(1, base_sequence=9, **numbered)),
        PartitionProduceData(index=2, records=b"noise" * 20),
        PartitionProduceData(index=99, records=batch()),
    ]
    topics = [
        TopicProduceData(name="t", partition_data=parts if sound else parts + wrong),
        TopicProduceData(name="t", partition_data=[]),
    ]
    if not sound:
        topics.append(TopicProduceData(name="unknown", partition_data=[PartitionProduceData(index=0, records=batch())]))
    return ProduceRequest(acks=acks, timeout_ms=1000, topic_data=topics)


async def create(w: World) -> None:
    await w.cluster.create_topics([NewTopic("t", 3)])


async def outcome(acks: int) -> tuple[Any, list[int]]:
    """The answer, and where the logs end."""
    async with world() as w:
        await create(w)
        first = handler.handle(request(acks), w.context(9))
        assert isinstance(first, FirstPhase) == (handler.FEW == 0)
        if isinstance(first, FirstPhase):
            first = await first.coroutine
        answer = await first if hasattr(first, "send") else first
        logs = [w.services.partitions.get("t", index) for index in range(3)]
        return answer, [log.log.log_end_offset for log in logs if log is not None]


@pytest.mark.parametrize("acks", [1, -1])
async def test_the_answer_is_that_of_few(monkeypatch: pytest.MonkeyPatch, acks: int) -> None:
    """P8: each partition has its own outcome, whichever way it went."""
    few = await outcome(acks)
    monkeypatch.setattr(handler, "FEW", 0)
    assert await outcome(acks) == few
    assert few[1] == [4, 2, 0]


async def test_acks_0_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """P4: nor is it when there are many partitions, and a refusal closes the connection."""
    monkeypatch.setattr(handler, "FEW", 0)
    async with world() as w:
        await create(w)
        assert await w.ask(request(0, sound=True), 9) is None
        first = handler.handle(request(0), w.context(9))
        with pytest.raises(CloseConnection):
            await first.coroutine


async def test_acks_all_times_out_as_asked(monkeypatch: pytest.MonkeyPatch, autojump_clock: Any) -> None:
    """P3: timeout_ms bounds the wait for all of them together."""
    monkeypatch.setattr(handler, "FEW", 0)

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    async with world() as w:
        await create(w)
        monkeypatch.setattr(MemoryAppend, "durable", property(lambda self: False))
        monkeypatch.setattr(MemoryAppend, "wait_durable", never)
        monkeypatch.setattr(type(w.services.store), "wait_durable", never)
        response = await w.ask(request(-1, sound=True), 9)
        codes = {part.error_code for topic in response.responses for part in topic.partition_responses}
        assert codes == {ErrorCode.REQUEST_TIMED_OUT}
