"""DescribeLogDirs, as Kafka answers it."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.messages.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)
from storage.engine import Batch


async def populate(w: World) -> int:
    """Topics a (2 partitions) and b; returns the bytes written to a-1."""
    await w.cluster.create_topics([NewTopic("a", 2, 1), NewTopic("b", 1, 1)])
    data = build_batch([RecordData(0, 1_700_000_000_000, None, b"x" * 100, ())])
    partition = w.services.partitions.get("a", 1)
    assert partition is not None
    partition.log.begin_append([Batch(read_header(data), memoryview(data))])
    return len(data)


def described(response: DescribeLogDirsResponse) -> dict[tuple[str, int], int]:
    return {
        (topic.name, part.partition_index): part.partition_size
        for directory in response.results
        for topic in directory.topics
        for part in topic.partitions
    }


@pytest.mark.parametrize("version", versions_of(DescribeLogDirsRequest))
async def test_every_version_has_the_size_of_every_partition(version: int) -> None:
    """Null asks for all; what belongs to no topic is not shown."""
    async with world() as w:
        size = await populate(w)
        response = await w.ask(DescribeLogDirsRequest(topics=None), version)
        assert described(response) == {("a", 0): 0, ("a", 1): size, ("b", 0): 0}
        for directory in response.results:
            assert directory.error_code == 0
            assert directory.log_dir
            for topic in directory.topics:
                assert all(part.offset_lag == 0 and not part.is_future_key for part in topic.partitions)


async def test_only_requested_partitions_that_are_here_are_described() -> None:
    """Others are left out; an empty list gets the directories alone."""
    async with world() as w:
        await populate(w)
        topics = [
            DescribableLogDirTopic(topic="a", partitions=[0, 99]),
            DescribableLogDirTopic(topic="none", partitions=[0]),
        ]
        assert described(await w.ask(DescribeLogDirsRequest(topics=topics), 4)) == {("a", 0): 0}
        nothing = await w.ask(DescribeLogDirsRequest(topics=[]), 4)
        assert (described(nothing), len(nothing.results)) == ({}, len(await w.services.store.log_directories()))
