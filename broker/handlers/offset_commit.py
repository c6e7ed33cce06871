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
- Partitions are answered in the order of the request; Kafka has failed ones first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import CommittingMember
from broker.requested_commits import RequestedCommits
from kproto.errors import ErrorCode
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from broker.context import RequestContext

FIRST_WITH_TOPIC_IDS: Final = 10


async def handle(request: OffsetCommitRequest, ctx: RequestContext) -> OffsetCommitResponse:
    """Find the partitions, commit those that exist."""
    found: RequestedCommits[OffsetCommitResponseTopic] = await RequestedCommits.read(
        (topic for topic in request.topics if topic.partitions),  # as Kafka
        ctx,
        OffsetCommitResponseTopic,
        OffsetCommitResponsePartition,
        by_id=ctx.api_version >= FIRST_WITH_TOPIC_IDS,
    )
    if found.commits:
        member = CommittingMember(
            request.member_id, request.group_instance_id, request.generation_id_or_member_epoch, ctx.api_version
        )
        await found.answer(await ctx.groups.commit(request.group_id, member, found.commits, request.retention_time_ms))
    return OffsetCommitResponse(topics=found.topics)


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
