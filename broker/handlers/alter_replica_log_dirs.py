"""AlterReplicaLogDirs (34): move partitions between the log directories of this broker (KIP-113).

- v2: flexible.
- There is one directory, so a partition can only be sent to where it is, which succeeds. The directory is called as
  DescribeLogDirs calls it, to the letter; any other is LOG_DIR_NOT_FOUND, before it is looked whether the partition
  exists.
- Of a partition that is named twice the last mention counts, as in Kafka, which makes a map of the request.
- Kafka names the directory of a partition on the move after its topic, and refuses topics for which that name would be
  too long. Such a topic is refused here too, before anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.errors import ErrorCode
from kproto.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

LONGEST_DIRECTORY_NAME: Final = 255
ON_THE_MOVE: Final = len("-") + len(".") + 32 + len("-future")
"""Characters around topic and partition in the name of such a directory; 32 are those of an id."""


async def handle(request: AlterReplicaLogDirsRequest, ctx: RequestContext) -> AlterReplicaLogDirsResponse:
    """Say of each partition whether it is in the directory that it is to be in."""
    slices = Slices()
    wanted: dict[tuple[str, int], str] = {}
    async for directory in slices.over(request.dirs):
        async for topic in slices.over(directory.topics):
            async for partition in slices.over(topic.partitions):
                wanted[topic.name, partition] = directory.path
    errors = {each.path: each.error for each in await ctx.store.log_directories()} if wanted else {}
    results: dict[str, AlterReplicaLogDirTopicResult] = {}
    async for (name, partition), path in slices.over(wanted.items()):
        found = ctx.cluster.image.topics.get(name)
        if len(name) + len(str(partition)) + ON_THE_MOVE > LONGEST_DIRECTORY_NAME:
            code = ErrorCode.INVALID_TOPIC_EXCEPTION
        elif path not in errors:
            code = ErrorCode.LOG_DIR_NOT_FOUND
        elif (problem := errors[path]) is not None:
            code = problem.code
        elif found is None or partition not in found.partitions:
            code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        else:
            code = ErrorCode.NONE
        if name not in results:
            results[name] = AlterReplicaLogDirTopicResult(topic_name=name)
        results[name].partitions.append(AlterReplicaLogDirPartitionResult(partition_index=partition, error_code=code))
    return AlterReplicaLogDirsResponse(results=list(results.values()))


def refuse(request: AlterReplicaLogDirsRequest, error: ErrorCode, version: int) -> AlterReplicaLogDirsResponse:
    """The error on every partition."""
    results: dict[str, AlterReplicaLogDirTopicResult] = {}
    for directory in request.dirs:
        for topic in directory.topics:
            result = results.setdefault(topic.name, AlterReplicaLogDirTopicResult(topic_name=topic.name))
            result.partitions += [
                AlterReplicaLogDirPartitionResult(partition_index=partition, error_code=error)
                for partition in topic.partitions
            ]
    return AlterReplicaLogDirsResponse(results=list(results.values()))
