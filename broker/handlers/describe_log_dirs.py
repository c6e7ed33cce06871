"""DescribeLogDirs (35): the log directories and how large the partitions in them are (KIP-113).

- v2: flexible.
- v3: an error for the whole response.
- v4: sizes of the volumes (KIP-827).
- v5: whether a directory is cordoned; none ever is.
- Null asks for all partitions. A list asks for the named ones; those that are not here are left out.
- Partitions of no topic (the cluster log, logs about to be deleted) are not shown.
- Of brokers that share a store, each describes the partitions of which it is shown as a replica: what a client adds up
  over all brokers is then what it expects, the bytes times the replication factor.
- `offset_lag` is 0 and `is_future_key` false: no replica lags behind, and no partition moves between directories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode
from kproto.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.brokers import Brokers
    from broker.context import RequestContext
    from storage.engine import LogDirectory


async def handle(request: DescribeLogDirsRequest, ctx: RequestContext) -> DescribeLogDirsResponse:
    """Every directory, with the partitions asked for."""
    asked: dict[str, set[int]] | None = None
    slices = Slices()
    if request.topics is not None:
        asked = {}
        async for topic in slices.over(request.topics):
            asked.setdefault(topic.topic, set()).update(topic.partitions)
    if ctx.brokers is not None:
        await _learn_sizes(asked, ctx, ctx.brokers, slices)
    return DescribeLogDirsResponse(
        results=[await _describe(directory, asked, ctx, slices) for directory in await ctx.store.log_directories()]
    )


async def _learn_sizes(
    asked: dict[str, set[int]] | None, ctx: RequestContext, brokers: Brokers, slices: Slices
) -> None:
    """Let the store know how large the partitions are that are shown on this broker, for others may have made and
    written them: those asked for as they are now, of all only those that it has not heard of. Raises KafkaError."""
    known = {key for directory in await ctx.store.log_directories() for key in directory.sizes} if asked is None else ()
    topics = ctx.cluster.image.topics
    wanted: list[tuple[str, int]] = []
    async for name in slices.over(list(topics if asked is None else asked)):
        topic = topics.get(name)
        if topic is None:
            continue
        async for partition in slices.over(topic.partitions if asked is None else sorted(asked[name])):
            is_shown = partition in topic.partitions and brokers.node_id in brokers.replicas(topic, partition)
            if is_shown and (name, partition) not in known:
                wanted.append((name, partition))
    await ctx.partitions.open_logs(wanted, slices)


def refuse(request: DescribeLogDirsRequest, error: ErrorCode, version: int) -> DescribeLogDirsResponse:
    """The error on the whole; before v3 there is no place for one, and no directories say it."""
    return DescribeLogDirsResponse(error_code=error)


async def _describe(
    directory: LogDirectory, asked: dict[str, set[int]] | None, ctx: RequestContext, slices: Slices
) -> DescribeLogDirsResult:
    if directory.error is not None:
        return DescribeLogDirsResult(error_code=directory.error.code, log_dir=directory.path)
    known, brokers = ctx.cluster.image.topics, ctx.brokers
    topics: dict[str, DescribeLogDirsTopic] = {}
    sizes = directory.sizes
    async for name, partition in slices.over(sorted(sizes)):
        if name in known and (asked is None or partition in asked.get(name, ())):
            if brokers is not None and brokers.node_id not in brokers.replicas(known[name], partition):
                continue
            topic = topics.get(name)
            if topic is None:
                topic = topics[name] = DescribeLogDirsTopic(name=name)
            topic.partitions.append(
                DescribeLogDirsPartition(partition_index=partition, partition_size=sizes[name, partition])
            )
    return DescribeLogDirsResult(
        log_dir=directory.path,
        topics=list(topics.values()),
        total_bytes=directory.total_bytes,
        usable_bytes=directory.usable_bytes,
    )
