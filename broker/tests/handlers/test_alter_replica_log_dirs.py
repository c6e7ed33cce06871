"""AlterReplicaLogDirs: there is one directory, and every partition is in it."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from kproto.messages.describe_log_dirs import DescribeLogDirsRequest

VERSIONS = versions_of(AlterReplicaLogDirsRequest)
NONE, ELSEWHERE = ErrorCode.NONE, ErrorCode.LOG_DIR_NOT_FOUND
UNKNOWN, TOO_LONG = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.INVALID_TOPIC_EXCEPTION


async def here(w: World) -> str:
    """The directory as DescribeLogDirs calls it."""
    reply = await w.ask(DescribeLogDirsRequest(topics=[]), versions_of(DescribeLogDirsRequest)[-1])
    path: str = reply.results[0].log_dir
    return path


async def codes(
    w: World, *moves: tuple[str, str, list[int]], version: int = VERSIONS[-1]
) -> dict[tuple[str, int], ErrorCode]:
    """(topic, partition) -> its error."""
    dirs = [
        AlterReplicaLogDir(path=path, topics=[AlterReplicaLogDirTopic(name=name, partitions=partitions)])
        for path, name, partitions in moves
    ]
    reply = await w.ask(AlterReplicaLogDirsRequest(dirs=dirs), version)
    return {(t.topic_name, p.partition_index): ErrorCode(p.error_code) for t in reply.results for p in t.partitions}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_partition_may_go_where_it_is_and_nowhere_else(version: int) -> None:
    """The directory is named to the letter; and it is looked at before the partition is."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 2)])
        path = await here(w)
        moves = [(path, "t", [0, 2]), (path + "/", "t", [1]), ("", "u", [0]), (path, "v", [0])]
        assert await codes(w, *moves, version=version) == {
            ("t", 0): NONE, ("t", 2): UNKNOWN, ("t", 1): ELSEWHERE, ("u", 0): ELSEWHERE, ("v", 0): UNKNOWN,
        }  # fmt: skip


async def test_of_two_mentions_of_a_partition_the_last_counts() -> None:
    """Kafka makes a map of the request; what names no partition is not answered."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t", 2)])
        path = await here(w)
        assert await codes(w, (path, "t", [0, 0]), ("/no", "t", [0, 1])) == {("t", 0): ELSEWHERE, ("t", 1): ELSEWHERE}
        assert await codes(w, ("/no", "t", [0]), (path, "t", [0, 1])) == {("t", 0): NONE, ("t", 1): NONE}
        assert await codes(w, (path, "t", [])) == {}


async def test_a_topic_whose_name_leaves_no_room_for_a_move_is_refused_first() -> None:
    """255 characters are what a file system takes; Kafka needs 43 of them, and the partition's number."""
    async with world() as w:
        for length, partition, code in ((212, 0, UNKNOWN), (213, 0, UNKNOWN), (214, 0, TOO_LONG), (213, 10, TOO_LONG)):
            path = "/no" if code is TOO_LONG else await here(w)
            assert await codes(w, (path, "x" * length, [partition])) == {("x" * length, partition): code}, length
