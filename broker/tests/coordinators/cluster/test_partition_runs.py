"""Partitions by the thousand: what is written and known is the same as if they had been decided on one by one."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from broker.coordinators.cluster import NewPartitions, NewTopic, coordinator
from broker.coordinators.cluster.coordinator import METADATA_LOG
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.partition_runs import prepare
from broker.coordinators.cluster.topics import decide_growth
from broker.coordinators.machine import Promise
from broker.observe.turns import Turns
from broker.testing.contexts import world
from broker.tests.coordinators.cluster.decided import RULES, Cluster, id_of
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, iter_records
from kproto.formats.cluster_metadata import PartitionRecord, TopicRecord
from storage.engine import Read
from storage.seams.slices import Slices

COUNT = 1000


async def made(many: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[RecordData], Any, Any]:
    """A topic that is made with partitions, and grown by as many: the records of the log, the state of the machine, and
    that of one which has only replayed the log."""
    monkeypatch.setattr(coordinator, "MANY", many)
    async with world() as w:
        [topic] = await w.cluster.create_topics([NewTopic("t", COUNT, configs={"retention.ms": "1000"})])
        assert not isinstance(topic, Exception)
        await w.cluster.create_partitions([NewPartitions("t", 2 * COUNT)])
        assert w.cluster.image.topics["t"].partition_count == 2 * COUNT
        machine = w.cluster._runtime.machine
        assert machine is not None
        [found] = await w.services.store.read_many(
            [Read(w.services.store.log(METADATA_LOG), 0, 1 << 30, 1 << 40)], 1 << 30
        )
        assert not isinstance(found, Exception)
        given = found.records
        data, records = memoryview(given if isinstance(given, bytes | memoryview) else given.read()), []
        while data:
            records += list(iter_records(data))
            data = data[read_header(data).size :]
        replayed = ClusterMachine()
        for record in records:
            decoded = replayed.decode(record)
            if decoded is not None:
                replayed.replay(decoded)
        machine.check()
        return records, known(machine), known(replayed)


def known(machine: ClusterMachine) -> Any:
    """What a machine knows of the topic."""
    topic = machine.topic("t")
    assert topic is not None
    places = machine._topics[topic.topic_id].placements
    return [
        topic.partition_count,
        machine.partition_count,
        [(places.of(number), places.partition_epoch(number)) for number in topic.partitions],
    ]


async def test_what_is_written_and_known_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """M1: the log of partitions that were prepared is that of others, to the byte, and so is the state."""
    prepared, state, replayed = await made(1, monkeypatch)
    plain, other, _ = await made(1 << 30, monkeypatch)
    there, here = topic_id(plain), topic_id(prepared)
    assert [record.value for record in prepared if record.value] == [
        record.value.replace(there, here) for record in plain if record.value
    ]
    assert state == other == replayed


def topic_id(records: list[RecordData]) -> bytes:
    """Of the topic in this log: ids are given by chance."""
    decoded = [ClusterMachine().decode(each) for each in records]
    [found] = [each.topic_id for each in decoded if isinstance(each, TopicRecord) and each.name == "t"]
    return bytes(found)


@pytest.fixture
def _no_searches() -> Iterator[None]:
    """A search for cycles among the objects of all tests would be blamed on whatever runs."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_searches")
@pytest.mark.parametrize("change", ["create", "grow"])
def test_ten_thousand_partitions_hold_up_no_other_client(change: str) -> None:
    """C15: not even the one decision that they are."""

    async def main() -> None:
        async with world() as w:
            turns = Turns()
            await w.cluster.create_topics([NewTopic("warm", 300)])
            if change == "grow":
                await w.cluster.create_topics([NewTopic("t", 1)])
            trio.lowlevel.add_instrument(turns)
            await trio.lowlevel.checkpoint()
            if change == "grow":
                await w.cluster.create_partitions([NewPartitions("t", 9_990)])
            else:
                await w.cluster.create_topics([NewTopic("t", 9_990)])
            await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(turns)
            assert w.cluster.image.topics["t"].partition_count == 9_990
            assert turns.statistics().too_long == 0, turns.statistics()

    trio.run(main)


@pytest.mark.parametrize("wrong", ["id", "partitions", "level", "place"])
async def test_what_was_prepared_for_another_state_is_not_used(wrong: str) -> None:
    """The topic has grown meanwhile, or the level of records has changed: the decision makes them itself."""
    cluster = Cluster()
    topic = cluster.create("t", 1)
    level = cluster.machine.metadata_version
    run = await prepare(
        id_of(1) if wrong == "id" else topic.topic_id,
        range(5, 10) if wrong == "partitions" else range(2, 10),
        RULES.brokers,
        metadata_version=level - 1 if wrong == "level" else level,
        first=0 if wrong == "place" else 1,
        slices=Slices(),
    )
    decision = decide_growth(cluster.machine, NewPartitions("t", 10), RULES, Promise(), False, run)
    assert decision.encoded is None
    assert [type(record) for record in decision.records] == [PartitionRecord] * 9
