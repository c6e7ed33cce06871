"""Fetch (1): read record batches.

- v4: isolation level.
- v5: log start offset.
- v7: sessions (KIP-227).
- v9: leader epochs (KIP-320).
- v12: flexible; diverging epochs (KIP-595).
- v13: topic ids (KIP-516).
- v15: replica state.
- v16: node endpoints.
- v17, v18: fields for replicas.
- First phase: find the session and look at the partitions. If that gives `min_bytes`, or a reason to answer, the reply
  is ready at once and carries slices of files, not bytes. Else a coroutine waits (`broker/fetching`).
- Records below a partition's high watermark are given to read_uncommitted readers, below its last stable offset to
  read_committed ones, which also get the list of aborted transactions.
- The first partition with records gives at least one whole batch, however small `max_bytes` is (KIP-74).
- A topic that the client may not READ is TOPIC_AUTHORIZATION_FAILED for each partition, whether it exists or not.
- What was not there when the request came is answered last, as in Kafka, and keeps nothing from waiting.
- A client whose quota of bytes is used up is answered without partitions (`broker/quotas`).
- This file translates, once in and once out.

Departs from Kafka: no replica may fetch here (`replica_id` >= 0 is answered TOPIC_AUTHORIZATION_FAILED for every
partition); engines keep the copies.

Promises kept here: P5-P10 in docs/invariants.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from broker.context import FirstPhase
from broker.fetching.look import LARGE, SLICE, Asked, Diverging, Found, Look, Missing
from broker.fetching.sessions import TopicKey, Wanted
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    PartitionData,
    SnapshotId,
)
from storage.engine import FetchedRecords
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

READ_UNCOMMITTED, READ_COMMITTED = 0, 1
TOPIC_IDS_FROM = 13
_NO_EPOCH, _NO_LEADER, _NO_SNAPSHOT = EpochEndOffset(), LeaderIdAndEpoch(), SnapshotId()
"""What most partitions of most answers have in common; never changed."""
_SESSION_ERRORS = (
    ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode.INVALID_FETCH_SESSION_EPOCH,
    ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
)


def handle(request: FetchRequest, ctx: RequestContext) -> FetchResponse | Awaitable[FetchResponse] | FirstPhase:
    """Answer now if that is what the client wants, else return the wait."""
    if request.replica_id >= 0 or request.replica_state.replica_id >= 0:
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    if request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        raise KafkaError(ErrorCode.INVALID_REQUEST)  # Kafka fails with -1
    asked = _asked(request, ctx)
    if asked.size > LARGE:
        return FirstPhase(_begin_large(asked, ctx))
    look = ctx.fetches.begin(asked)
    if look.enough and len(look.wanted) <= LARGE:
        return _answer(look) if ctx.services.quotas is None else _held_back(look, ctx) or _answer(look)
    return _finish(look, ctx)


def refuse(request: FetchRequest, error: ErrorCode, version: int) -> FetchResponse:
    """The error on top (v7 and later) and on each partition asked for; alone if it is about the session, or v13."""
    about_session = error in _SESSION_ERRORS
    return FetchResponse(
        error_code=error,
        session_id=0 if about_session else request.session_id,
        responses=[
            FetchableTopicResponse(
                topic=topic.topic,
                topic_id=topic.topic_id,
                partitions=[_missing(part.partition, error) for part in topic.partitions],
            )
            for topic in request.topics
        ]
        if error == ErrorCode.TOPIC_AUTHORIZATION_FAILED or (version < TOPIC_IDS_FROM and not about_session)
        else [],
    )


async def _begin_large(asked: Asked, ctx: RequestContext) -> Awaitable[FetchResponse]:
    """The first phase of a request that names very many partitions; what is left of it."""
    return _finish(await ctx.fetches.begin_large(asked), ctx)


async def _finish(look: Look, ctx: RequestContext) -> FetchResponse:
    """Wait until there is something to answer, and translate it, giving way where that is long."""
    await ctx.fetches.finish(look)
    if ctx.services.quotas is not None and (empty := _held_back(look, ctx)) is not None:
        return empty
    news, answer, slices = iter(look.news()), FetchResponse(), Slices()
    while some := list(islice(news, SLICE)):
        _add(answer, some, look)
        await slices.give_way()
    answer.session_id = look.session.id
    return answer


def _held_back(look: Look, ctx: RequestContext) -> FetchResponse | None:
    """The answer to a client whose quota is used up: no partitions. None if there is some left, or no quota.

    Nothing has been said then, so nothing is remembered as said, and a session that the request opened is none.
    """
    quotas = ctx.services.quotas
    if quotas is None:
        return None
    size = sum([len(found.records) for found in look.found if isinstance(found, FetchedRecords)])
    delay = quotas.fetched(ctx.user, ctx.client_id or "", size, ctx.clock.monotonic_millis())
    if delay == 0:
        return None
    ctx.peer.mute(delay)
    if look.full:
        ctx.fetches.sessions.end(look.session.id)
        return FetchResponse()
    return FetchResponse(session_id=look.session.id)


def _answer(look: Look) -> FetchResponse:
    answer = FetchResponse(session_id=look.session.id)
    _add(answer, look.news(), look)
    return answer


# -- in ----------------------------------------------------------------------------------------------------------------


def _asked(request: FetchRequest, ctx: RequestContext) -> Asked:
    by_id = ctx.api_version >= TOPIC_IDS_FROM
    authorizer = ctx.services.authorizer
    size = 0
    for topic in request.topics:
        size += len(topic.partitions)
    forgotten: Iterable[tuple[TopicKey, int]] = ()
    if request.forgotten_topics_data:
        size += sum(len(topic.partitions) for topic in request.forgotten_topics_data)
        forgotten = _forgotten(request, by_id)
    most = min(request.max_bytes, ctx.config.fetch_max_bytes)
    if (quotas := ctx.services.quotas) is not None:
        left = quotas.most_fetched(ctx.user, ctx.client_id or "")
        most = most if left is None else min(most, left)
    return Asked(
        _wanted(request, by_id),
        forgotten,
        size,
        by_id,
        request.session_id,
        request.session_epoch,
        request.isolation_level == READ_COMMITTED,
        request.min_bytes,
        most,
        request.max_wait_ms,
        None if authorizer is None else ctx.may,
        0 if authorizer is None else authorizer.version,
    )


def _wanted(request: FetchRequest, by_id: bool) -> Iterator[Wanted]:
    for topic in request.topics:
        key = topic.topic_id if by_id else topic.topic
        for part in topic.partitions:
            yield Wanted(
                key,
                part.partition,
                part.fetch_offset,
                part.partition_max_bytes,
                part.current_leader_epoch,
                part.last_fetched_epoch,
            )


def _forgotten(request: FetchRequest, by_id: bool) -> Iterator[tuple[TopicKey, int]]:
    for topic in request.forgotten_topics_data:
        key = topic.topic_id if by_id else topic.topic
        for partition in topic.partitions:
            yield key, partition


# -- out ---------------------------------------------------------------------------------------------------------------


def _add(answer: FetchResponse, news: Iterable[tuple[Wanted, Found]], look: Look) -> None:
    """Put these into the answer, neighbours of one topic together."""
    topics, committed = answer.responses, look.asked.committed
    partitions: list[PartitionData] = []
    current: TopicKey | None = None
    if topics:
        partitions = topics[-1].partitions
        current = topics[-1].topic_id if look.asked.by_id else topics[-1].topic
    for wanted, found in news:
        if wanted.topic != current:
            current, partitions = wanted.topic, []
            topics.append(
                FetchableTopicResponse(topic=current, partitions=partitions)
                if isinstance(current, str)
                else FetchableTopicResponse(topic_id=current, partitions=partitions)
            )
        if isinstance(found, FetchedRecords):
            data = PartitionData(
                partition_index=wanted.partition,
                high_watermark=found.high_watermark,
                last_stable_offset=found.last_stable_offset,
                log_start_offset=found.log_start_offset,
                diverging_epoch=_NO_EPOCH,
                current_leader=_NO_LEADER,
                snapshot_id=_NO_SNAPSHOT,
                aborted_transactions=_aborted(found) if committed else None,
                records=found.records,
            )
            if wanted.hosted is not None:
                wanted.hosted.bytes_out += len(found.records)
        else:
            data = _without_records(wanted.partition, found)
        partitions.append(data)


def _without_records(partition: int, found: KafkaError | Diverging | Missing) -> PartitionData:
    if isinstance(found, Missing):
        return _missing(partition, found.code)
    if isinstance(found, Diverging):
        return PartitionData(
            partition_index=partition,
            high_watermark=found.high_watermark,
            last_stable_offset=found.last_stable_offset,
            log_start_offset=found.log_start_offset,
            diverging_epoch=EpochEndOffset(epoch=found.leader_epoch, end_offset=found.end_offset),
            aborted_transactions=None,
            records=b"",
        )
    # It was found, but cannot be read from there. Kafka then has no list of aborted transactions.
    return PartitionData(
        partition_index=partition, error_code=found.code, high_watermark=-1, aborted_transactions=None, records=b""
    )


def _aborted(found: FetchedRecords) -> list[AbortedTransaction]:
    return [AbortedTransaction(producer_id=each.producer_id, first_offset=each.first_offset) for each in found.aborted]


def _missing(partition: int, error: ErrorCode) -> PartitionData:
    """A partition that was not there. `records` is empty rather than null: older clients choke on null."""
    return PartitionData(
        partition_index=partition, error_code=error, high_watermark=-1, aborted_transactions=[], records=b""
    )
