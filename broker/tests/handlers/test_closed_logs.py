"""No request opens a log in the event loop, however many closed ones it names.

Opening a log lists a directory and reads the ends of files: half a millisecond when nothing is wrong, and no bound when
something is. A request may name thousands. The tests take a directory full of logs that are closed and watch which
thread each is opened in.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.testing.contexts import World, world
from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from storage.local import loading
from storage.local.engine import LocalStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import ThreadOffload
from storage.tests.local.local_lab import HurriedDisk

PARTITIONS = 100
TOPIC = "many"


class Openings:
    """How many logs were opened, by whether that was in the event loop."""

    def __init__(self) -> None:
        self.in_loop: list[str] = []
        self.elsewhere: list[str] = []

    def clear(self) -> None:
        self.in_loop, self.elsewhere = [], []

    def note(self, topic: str) -> None:
        mine = threading.current_thread() is threading.main_thread()
        (self.in_loop if mine else self.elsewhere).append(topic)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Openings]:
    """Every opening of a log of `TOPIC`."""
    found, opens = Openings(), loading.Loader._open

    def noted(self: loading.Loader, spec: Any, owner: Any, now: int) -> Any:
        if spec.topic == TOPIC:
            found.note(spec.topic)
        return opens(self, spec, owner, now)

    monkeypatch.setattr(loading.Loader, "_open", noted)
    yield found


def local_store(directory: Path) -> LocalStore:
    """A store of this directory, with real threads."""
    return LocalStore(
        str(directory),
        node_id=1,
        disk=HurriedDisk(),
        clock=SystemClock(),
        entropy=SeededEntropy(1),
        offload=ThreadOffload(),
    )


@asynccontextmanager
async def closed_logs(directory: Path) -> AsyncIterator[World]:
    """A broker with a record in each of many partitions, whose logs are all closed."""
    for run in ("fill", "use"):
        store = local_store(directory)
        await store.open()
        try:
            async with world(store=store) as w:
                if run == "use":
                    yield w
                    return
                topic = CreatableTopic(name=TOPIC, num_partitions=PARTITIONS, replication_factor=1)
                await w.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000), version=5)
                await produce(w)
        finally:
            await store.close()


async def produce(w: World) -> None:
    """A record to each partition."""
    batch = bytes(build_batch([RecordData(0, 0, None, b"value")]))
    parts = [PartitionProduceData(index=index, records=batch) for index in range(PARTITIONS)]
    request = ProduceRequest(
        acks=-1, timeout_ms=10_000, topic_data=[TopicProduceData(name=TOPIC, partition_data=parts)]
    )
    answer = await w.ask(request, version=9)
    assert {part.error_code for part in answer.responses[0].partition_responses} == {0}


async def test_produce(tmp_path: Path, openings: Openings) -> None:
    async with closed_logs(tmp_path) as w:
        openings.clear()
        await produce(w)
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, PARTITIONS)


async def test_produce_to_one(tmp_path: Path, openings: Openings) -> None:
    """Also a single log: it may be large, or one that has to be recovered."""
    async with closed_logs(tmp_path) as w:
        openings.clear()
        batch = bytes(build_batch([RecordData(0, 0, None, b"value")]))
        part = PartitionProduceData(index=3, records=batch)
        topic = TopicProduceData(name=TOPIC, partition_data=[part])
        await w.ask(ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic]), version=9)
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, 1)


async def test_fetch(tmp_path: Path, openings: Openings) -> None:
    async with closed_logs(tmp_path) as w:
        openings.clear()
        parts = [
            FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=1000) for index in range(PARTITIONS)
        ]
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=1,
            max_bytes=1 << 20,
            session_epoch=-1,
            topics=[FetchTopic(topic=TOPIC, partitions=parts)],
        )
        answer = await w.ask(request, version=11)
        assert [len(part.records) > 0 for part in answer.responses[0].partitions] == [True] * PARTITIONS
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, PARTITIONS)


async def test_list_offsets(tmp_path: Path, openings: Openings) -> None:
    async with closed_logs(tmp_path) as w:
        openings.clear()
        parts = [ListOffsetsPartition(partition_index=index, timestamp=-1) for index in range(PARTITIONS)]
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=TOPIC, partitions=parts)])
        answer = await w.ask(request, version=6)
        assert {part.offset for part in answer.topics[0].partitions} == {1}
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, PARTITIONS)


async def test_offset_for_leader_epoch(tmp_path: Path, openings: Openings) -> None:
    async with closed_logs(tmp_path) as w:
        openings.clear()
        parts = [OffsetForLeaderPartition(partition=index, leader_epoch=0) for index in range(PARTITIONS)]
        request = OffsetForLeaderEpochRequest(
            replica_id=-1, topics=[OffsetForLeaderTopic(topic=TOPIC, partitions=parts)]
        )
        answer = await w.ask(request, version=4)
        assert {part.end_offset for part in answer.topics[0].partitions} == {1}
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, PARTITIONS)


async def test_delete_records(tmp_path: Path, openings: Openings) -> None:
    async with closed_logs(tmp_path) as w:
        openings.clear()
        parts = [DeleteRecordsPartition(partition_index=index, offset=0) for index in range(PARTITIONS)]
        request = DeleteRecordsRequest(timeout_ms=1000, topics=[DeleteRecordsTopic(name=TOPIC, partitions=parts)])
        await w.ask(request, version=2)
        assert (len(openings.in_loop), len(openings.elsewhere)) == (0, PARTITIONS)
