"""TxnOffsetCommit (28): remember how far a group has come, if the transaction commits (KIP-98).

- v2: leader epochs. Before: COORDINATOR_NOT_AVAILABLE instead of COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296).
- v3: flexible; member and generation, so that a member that has been replaced cannot commit (KIP-447).
- v4: TRANSACTION_ABORTABLE, which is INVALID_TXN_STATE before.
- v5: the group's offsets join the transaction by this request (KIP-890); before, AddOffsetsToTxn has to come first.
- v6: topics by id (KIP-1319).
- A topic that the client may not READ is TOPIC_AUTHORIZATION_FAILED, whether it exists or not; the rest is committed.
- An unknown topic or partition is UNKNOWN_TOPIC_OR_PARTITION, an unknown id UNKNOWN_TOPIC_ID; the rest is committed.
- A client outside of any membership may commit into a group with members, and during a rebalance too: what it has read
  is the transaction's affair.
- An empty group id: INVALID_GROUP_ID.
- The coordinator of the transaction is asked as for a batch of Produce: see `transaction_entry.py`.
- An old epoch of the producer is INVALID_PRODUCER_EPOCH. What else the coordinator of the transaction says no with is
  answered as it is, but for "try again", which is COORDINATOR_NOT_AVAILABLE here: clients then look it up again; and
  where it could not be asked, COORDINATOR_LOAD_IN_PROGRESS: older clients know no NETWORK_EXCEPTION, and would abort.
- What is pending shows nowhere, but makes the offset unstable (OffsetFetch).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from broker.coordinators.groups import CommittingMember, OffsetToCommit
from broker.coordinators.machine import InTransaction
from broker.requested_commits import RequestedCommits
from broker.transaction_entry import Entering, Entrance, NotEntered
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_SEQUENCE, TopicPartition
from kproto.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from broker.context import RequestContext
    from storage.engine import PartitionLog

KNOWS_LOADING: Final = 2
SAYS_ABORTABLE: Final = 4
ADDS_OFFSETS: Final = 5
FIRST_WITH_TOPIC_IDS: Final = 6

AGAIN: Final = frozenset(
    {ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR}
)


async def handle(request: TxnOffsetCommitRequest, ctx: RequestContext) -> TxnOffsetCommitResponse:
    """Find the partitions, commit those that exist."""
    found: RequestedCommits[TxnOffsetCommitResponseTopic] = await RequestedCommits.read(
        request.topics,
        ctx,
        TxnOffsetCommitResponseTopic,
        TxnOffsetCommitResponsePartition,
        by_id=ctx.api_version >= FIRST_WITH_TOPIC_IDS,
    )
    if found.commits:
        await found.answer(await _commit(request, found.commits, ctx))
    return TxnOffsetCommitResponse(topics=found.topics)


async def _commit(
    request: TxnOffsetCommitRequest, commits: list[OffsetToCommit], ctx: RequestContext
) -> list[ErrorCode]:
    if not request.group_id:
        return [ErrorCode.INVALID_GROUP_ID] * len(commits)
    member = CommittingMember(
        request.member_id,
        request.group_instance_id,
        request.generation_id_or_member_epoch,
        ctx.api_version,
        transactional=True,
    )

    async def enter(place: TopicPartition, log: PartitionLog) -> InTransaction:
        """Let the offsets enter the transaction. Raises KafkaError."""
        entrance = Entrance(
            request.producer_id,
            request.producer_epoch,
            [Entering(place, log, NO_SEQUENCE)],
            adds=ctx.api_version >= ADDS_OFFSETS,
            refusal=partial(_as_group, version=ctx.api_version),
        )
        if entrance.asks:
            await entrance.ask(ctx.transaction_entry, request.transactional_id)
        [outcome] = entrance.outcome
        if isinstance(outcome, NotEntered):
            raise outcome
        return InTransaction(request.producer_id, request.producer_epoch, outcome)

    try:
        codes = await ctx.groups.commit_in_transaction(request.group_id, member, commits, enter)
    except KafkaError as error:
        codes = [error.code] * len(commits)
    return [_known_to(ctx.api_version, code) for code in codes]


def _as_group(error: ErrorCode, version: int) -> NotEntered:
    """What the transaction's coordinator has said, in the words of a group's coordinator."""
    if error is ErrorCode.PRODUCER_FENCED:
        return NotEntered(ErrorCode.INVALID_PRODUCER_EPOCH)
    if error is ErrorCode.TRANSACTION_ABORTABLE and version < SAYS_ABORTABLE:
        return NotEntered(ErrorCode.INVALID_TXN_STATE)
    if error is ErrorCode.NETWORK_EXCEPTION:
        return NotEntered(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    return NotEntered(ErrorCode.COORDINATOR_NOT_AVAILABLE if error in AGAIN else error)


def _known_to(version: int, error: ErrorCode) -> ErrorCode:
    if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and version < KNOWS_LOADING:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return error


def refuse(request: TxnOffsetCommitRequest, error: ErrorCode, version: int) -> TxnOffsetCommitResponse:
    """The error for every partition asked for."""
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    TxnOffsetCommitResponsePartition(
                        partition_index=partition.partition_index, error_code=_known_to(version, error)
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
