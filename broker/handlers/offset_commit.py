"""OffsetCommit (8): remember how far a group has come.

- v5: no retention time any more.
- v6: leader epochs (KIP-320).
- v7: static members (KIP-345).
- v8: flexible.
- v9: groups of the consumer protocol too (KIP-848).
- v10: topics by id.
- A topic that the client may not READ is TOPIC_AUTHORIZATION_FAILED, whether it exists or not; the rest is committed.
- An unknown topic or partition is UNKNOWN_TOPIC_OR_PARTITION, an unknown id UNKNOWN_TOPIC_ID; the rest is committed.
- A member that may not commit gets one error for all partitions: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION,
  FENCED_INSTANCE_ID or REBALANCE_IN_PROGRESS.
- A group that does not exist is created if the request names no generation; else it is GROUP_ID_NOT_FOUND, before v9
  ILLEGAL_GENERATION.
- Any offset is kept: offsets are not compared with the log.
- A partition that is named twice is answered twice, and its last offset counts.
- A commit is one batch: what does not fit into one is UNKNOWN_SERVER_ERROR for every partition. Kafka's is smaller.
- A commit of a few partitions is decided when it is read, so the order of a connection's commits is theirs in the log,
  and one that comes before another's bytes are durable shares its way to the disk.
- Partitions are answered in the order of the request; Kafka has failed ones first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from broker.context import FirstPhase, Later
from broker.coordinators.groups import CommittingMember
from broker.requested_commits import RequestedCommits
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.shards import Begun

FEW: Final = 32
"""Partitions that are committed in one turn of the event loop."""

FIRST_WITH_TOPIC_IDS: Final = 10


def handle(request: OffsetCommitRequest, ctx: RequestContext) -> Any:
    """Find the partitions, commit those that exist: a few at once, so that what is left to wait for is the disk, and
    the connection's next request is looked at meanwhile."""
    topics = [topic for topic in request.topics if topic.partitions]  # as Kafka
    if sum([len(topic.partitions) for topic in topics]) > FEW:
        return FirstPhase(_commit_many(request, topics, ctx))
    found: RequestedCommits[OffsetCommitResponseTopic] = RequestedCommits.read_few(
        topics,
        ctx,
        OffsetCommitResponseTopic,
        OffsetCommitResponsePartition,
        by_id=ctx.api_version >= FIRST_WITH_TOPIC_IDS,
    )
    if not found.commits:
        return OffsetCommitResponse(topics=found.topics)
    begun = ctx.groups.begin_commit(request.group_id, _member(request, ctx), found.commits, request.retention_time_ms)
    if begun is None:
        return FirstPhase(_commit_many(request, topics, ctx))
    return _Committed(found, begun)


class _Committed(Later):
    """The answer, once the commits are durable."""

    __slots__ = ("_begun", "_found")

    def __init__(self, found: RequestedCommits[OffsetCommitResponseTopic], begun: Begun[list[ErrorCode]]) -> None:
        self._found = found
        self._begun = begun

    def is_at_hand(self) -> bool:
        return self._begun.is_answered()

    def reply(self) -> OffsetCommitResponse:
        return self._answered(self._begun.answer())

    async def wait(self) -> OffsetCommitResponse:
        return self._answered(await self._begun.outcome())

    def _answered(self, outcome: list[ErrorCode] | KafkaError) -> OffsetCommitResponse:
        found = self._found
        found.answer_few([outcome.code] * len(found.commits) if isinstance(outcome, KafkaError) else outcome)
        return OffsetCommitResponse(topics=found.topics)


async def _commit_many(
    request: OffsetCommitRequest, topics: Sequence[OffsetCommitRequestTopic], ctx: RequestContext
) -> OffsetCommitResponse:
    """In slices; or a few for a shard that is not loaded yet."""
    found: RequestedCommits[OffsetCommitResponseTopic] = await RequestedCommits.read(
        topics,
        ctx,
        OffsetCommitResponseTopic,
        OffsetCommitResponsePartition,
        by_id=ctx.api_version >= FIRST_WITH_TOPIC_IDS,
    )
    if found.commits:
        member = _member(request, ctx)
        await found.answer(await ctx.groups.commit(request.group_id, member, found.commits, request.retention_time_ms))
    return OffsetCommitResponse(topics=found.topics)


def _member(request: OffsetCommitRequest, ctx: RequestContext) -> CommittingMember:
    return CommittingMember(
        request.member_id, request.group_instance_id, request.generation_id_or_member_epoch, ctx.api_version
    )


def refuse(request: OffsetCommitRequest, error: ErrorCode, version: int) -> OffsetCommitResponse:
    """The error for every partition asked for."""
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=partition.partition_index, error_code=error)
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
