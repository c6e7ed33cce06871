"""ListOffsets (2): offsets by time.

- v2: isolation level.
- v4: leader epochs.
- v6: flexible.
- v7: -3, the record with the largest timestamp (KIP-734).
- v8: -4, the earliest offset on local disk; here the earliest offset.
- v9: -5, the latest tiered offset (KIP-1005); there is none.
- v10: a time-out for slow look-ups. What is not found within that, or `LOOK_UP_SECONDS`, is REQUEST_TIMED_OUT; what the
  look-up has learned by then is of use to the next one.
- v11: -6, the earliest offset pending upload (KIP-1023); there is none.
- A timestamp >= 0 finds the first record at or after it: the record, not its batch.
- -1 is the latest offset (the last stable offset for read_committed), -2 the earliest.
- A topic that the client may not DESCRIBE is TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- Not found is offset -1 without an error. A record that the reader may not see yet is not found.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from broker.security.operations import REFUSAL, Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from storage.engine import TimestampOffset
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6
SINCE_VERSION = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
TIMEOUT_SINCE_VERSION = 10
LOOK_UP_SECONDS = 30.0
"""How long the look-ups of one request may take: as long as a client waits by default."""


async def handle(request: ListOffsetsRequest, ctx: RequestContext) -> ListOffsetsResponse:
    """Look up each partition. One that is named twice is refused, once; topics without partitions are left out."""
    if request.replica_id >= 0:
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    if request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        raise KafkaError(ErrorCode.INVALID_REQUEST)  # Kafka fails with -1
    slices = Slices()
    names = (topic.name for topic in request.topics)
    permitted = await ctx.permitted(Operation.DESCRIBE, Resource.TOPIC, names, slices)
    named: Counter[tuple[str, int]] = Counter()
    async for topic in slices.over(request.topics):
        if topic.name not in permitted:
            continue
        async for part in slices.over(topic.partitions):
            named[topic.name, part.partition_index] += 1
    await ctx.partitions.open_logs(named, slices)
    patience = LOOK_UP_SECONDS
    if ctx.api_version >= TIMEOUT_SINCE_VERSION and request.timeout_ms > 0:
        patience = min(patience, request.timeout_ms / 1000)
    deadline = trio.current_time() + patience
    answers: dict[str, list[ListOffsetsPartitionResponse]] = {}
    async for topic in slices.over(request.topics):
        if topic.name not in permitted:
            refused = [_failed(part, REFUSAL[Resource.TOPIC]) async for part in slices.over(topic.partitions)]
            answers.setdefault(topic.name, []).extend(refused)
            continue
        async for part in slices.over(topic.partitions):
            times = named.pop((topic.name, part.partition_index), 0)
            if times == 0:
                continue
            try:
                if times > 1:
                    raise KafkaError(ErrorCode.INVALID_REQUEST)
                answer = await _look_up(topic.name, part, request.isolation_level, deadline, ctx)
            except KafkaError as error:
                answer = _failed(part, error.code)
            answers.setdefault(topic.name, []).append(answer)
    return ListOffsetsResponse(
        topics=[ListOffsetsTopicResponse(name=name, partitions=found) for name, found in answers.items()]
    )


def refuse(request: ListOffsetsRequest, error: ErrorCode, version: int) -> ListOffsetsResponse:
    """The error on every partition asked for."""
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(name=topic.name, partitions=[_failed(part, error) for part in topic.partitions])
            for topic in request.topics
        ]
    )


def _failed(part: ListOffsetsPartition, error: ErrorCode) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(partition_index=part.partition_index, error_code=error)


async def _look_up(
    topic: str, part: ListOffsetsPartition, isolation_level: int, deadline: float, ctx: RequestContext
) -> ListOffsetsPartitionResponse:
    timestamp = part.timestamp
    if timestamp < EARLIEST and ctx.api_version < SINCE_VERSION.get(timestamp, 1 << 15):
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    partition = ctx.partitions.get(topic, part.partition_index)
    if partition is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    partition.check_leader_epoch(part.current_leader_epoch)
    log = partition.log
    visible = log.last_stable_offset if isolation_level == READ_COMMITTED else log.high_watermark
    found: TimestampOffset | None
    if timestamp == LATEST:
        found = TimestampOffset(-1, visible, log.leader_epoch)
    elif timestamp in (EARLIEST, EARLIEST_LOCAL):
        found = TimestampOffset(-1, log.log_start_offset, log.leader_epoch)
    elif timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        found = None
    else:
        found = None
        with trio.move_on_at(deadline) as scope:
            found = await (
                log.offset_of_max_timestamp() if timestamp == MAX_TIMESTAMP else log.offset_for_time(timestamp)
            )
        if scope.cancelled_caught:
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT)
        if found is not None and found.offset >= visible:
            found = None
    if found is None:
        return ListOffsetsPartitionResponse(partition_index=part.partition_index)
    return ListOffsetsPartitionResponse(
        partition_index=part.partition_index,
        timestamp=found.timestamp,
        offset=found.offset,
        leader_epoch=found.leader_epoch if ctx.api_version >= 4 else -1,
    )
