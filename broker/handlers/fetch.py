"""Fetch (1): read record batches.

v4 isolation level, v5 log start offset, v7 sessions (KIP-227), v9 leader epochs (KIP-320), v12 flexible and diverging
epochs (KIP-595), v13 topic ids (KIP-516), v15 replica state, v16 node endpoints, v17 and v18 fields for replicas.

First phase: find the session, look at every partition. If that gives `min_bytes`, or an error, or the client will not
wait, the answer is ready at once and carries slices of files, not bytes. Else a coroutine waits until an append wakes
it or `max_wait_ms` is over, and looks again. Records below a partition's high watermark are given to read_uncommitted
readers, below its last stable offset to read_committed ones, who also get the list of aborted transactions.

The first partition with records gives at least one whole batch, however small `max_bytes` is (KIP-74).

Departs from Kafka: no replica may fetch here (`replica_id` >= 0 is answered TOPIC_AUTHORIZATION_FAILED for every
partition); engines keep the copies. Promises kept here: P5-P10 in docs/invariants.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

import trio

from broker.fetching.sessions import FetchSession, Wanted
from broker.partitions import Partition, Waiter
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH
from kproto.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from storage.engine import FetchedRecords, Read

if TYPE_CHECKING:
    from broker.context import RequestContext

READ_UNCOMMITTED, READ_COMMITTED = 0, 1
TOPIC_IDS_FROM = 13
_NONE = ErrorCode.NONE
_SESSION_ERRORS = (
    ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode.INVALID_FETCH_SESSION_EPOCH,
    ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
)

Plan = list[tuple[Wanted, Partition | PartitionData]]
"""Each partition wanted, and where to read it, or what to answer for it."""


def handle(request: FetchRequest, ctx: RequestContext) -> FetchResponse | Awaitable[FetchResponse]:
    """Answer now if that is what the client wants, else return the wait."""
    if request.replica_id >= 0 or request.replica_state.replica_id >= 0:
        return refuse(request, ErrorCode.TOPIC_AUTHORIZATION_FAILED, ctx.api_version)
    if request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        raise KafkaError(ErrorCode.INVALID_REQUEST)  # Kafka fails with -1
    by_id = ctx.api_version >= TOPIC_IDS_FROM
    session, full = ctx.fetch_sessions.begin(
        request.session_id,
        request.session_epoch,
        _asked(request, by_id),
        _forgotten(request, by_id),
        by_id=by_id,
        now=ctx.clock.monotonic_millis(),
    )
    look = _Look(request, session, ctx)
    found = look.now()
    if found is not None and not look.aborted_needed:
        if look.is_enough(found):
            return look.answer(found, full)
        return _wait(request, full, look)
    return _look_again(request, full, look)


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
                partitions=[_failed(part.partition, error) for part in topic.partitions],
            )
            for topic in request.topics
        ]
        if error == ErrorCode.TOPIC_AUTHORIZATION_FAILED or (version < TOPIC_IDS_FROM and not about_session)
        else [],
    )


async def _look_again(request: FetchRequest, full: bool, look: _Look) -> FetchResponse:
    """The first look needed the disk."""
    found = await look.later()
    return look.answer(found, full) if look.is_enough(found) else await _wait(request, full, look)


async def _wait(request: FetchRequest, full: bool, look: _Look) -> FetchResponse:
    """There was too little: wait until there is enough or the time is over."""
    waiter = Waiter(look.partitions())
    try:
        found = await look.later()  # after joining the waiters: an append in between is seen or wakes
        with trio.move_on_after(request.max_wait_ms / 1000):
            while not look.is_enough(found):
                await waiter.changed()
                found = await look.later()
    finally:
        waiter.leave()
    return look.answer(found, full)


def _asked(request: FetchRequest, by_id: bool) -> list[Wanted]:
    return [
        Wanted(
            topic.topic_id if by_id else topic.topic,
            part.partition,
            part.fetch_offset,
            part.partition_max_bytes,
            part.current_leader_epoch,
            part.last_fetched_epoch,
        )
        for topic in request.topics
        for part in topic.partitions
    ]


def _forgotten(request: FetchRequest, by_id: bool) -> list[tuple[str | bytes, int]]:
    return [
        (topic.topic_id if by_id else topic.topic, partition)
        for topic in request.forgotten_topics_data
        for partition in topic.partitions
    ]


def _failed(partition: int, error: ErrorCode) -> PartitionData:
    """A partition that cannot be found. `records` is empty rather than null: older clients choke on null."""
    return PartitionData(
        partition_index=partition, error_code=error, high_watermark=-1, aborted_transactions=[], records=b""
    )


def _unreadable(partition: int, error: ErrorCode) -> PartitionData:
    """A partition that was found, but cannot be read from there. Kafka then has no list of aborted transactions."""
    return PartitionData(
        partition_index=partition, error_code=error, high_watermark=-1, aborted_transactions=None, records=b""
    )


class _Look:
    """One look at all partitions of a session: what is there, and whether that is enough to answer."""

    __slots__ = (
        "_by_id",
        "_committed",
        "_ctx",
        "_max_bytes",
        "_min_bytes",
        "_patient",
        "_plan",
        "_session",
        "aborted_needed",
    )

    def __init__(self, request: FetchRequest, session: FetchSession, ctx: RequestContext) -> None:
        self._session = session
        self._ctx = ctx
        self._by_id = ctx.api_version >= TOPIC_IDS_FROM
        self._committed = request.isolation_level == READ_COMMITTED
        self._max_bytes = min(request.max_bytes, ctx.config.fetch_max_bytes)
        self._min_bytes = min(request.min_bytes, self._max_bytes)
        self._patient = request.max_wait_ms > 0
        self._plan: Plan = []  # of the last look that was finished
        self.aborted_needed = False

    def _prepare(self) -> tuple[Plan, list[Read]]:
        """Resolve each wanted partition to a read or to its error. One that is offline does not spoil the others."""
        plan: Plan = []
        reads: list[Read] = []
        partitions = self._ctx.partitions
        find = partitions.by_id if self._by_id else partitions.get
        unknown = ErrorCode.UNKNOWN_TOPIC_ID if self._by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        for wanted in self._session.wanted.values():
            partition = find(wanted.topic, wanted.partition)  # type: ignore[arg-type]  # by_id says which of the two
            if partition is None:
                image = self._ctx.cluster.image
                known = isinstance(wanted.topic, bytes) and image.topic_by_id(wanted.topic) is not None
                code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if known else unknown
                plan.append((wanted, _failed(wanted.partition, code)))
                continue
            log = partition.log
            try:
                problem = _epoch_problem(wanted, partition)
                upto = log.last_stable_offset if self._committed else log.high_watermark
            except KafkaError as error:
                problem = _unreadable(wanted.partition, error.code)
            if problem is not None:
                plan.append((wanted, problem))
                continue
            reads.append(Read(log, wanted.fetch_offset, wanted.max_bytes, upto))
            plan.append((wanted, partition))
        return plan, reads

    def partitions(self) -> list[Partition]:
        """The partitions being read: who may wake us."""
        return [found for _, found in self._plan if isinstance(found, Partition)]

    def now(self) -> list[PartitionData] | None:
        """What is there, or None if finding out needs waiting."""
        plan, reads = self._prepare()
        found = self._ctx.store.read_now(reads, self._max_bytes)
        if found is None:
            return None
        self.aborted_needed = self._committed and any(
            partition.log.has_aborted_transactions for _, partition in plan if isinstance(partition, Partition)
        )
        self._plan = plan
        return self._merge(plan, found)

    async def later(self) -> list[PartitionData]:
        """What is there, waiting for the disk if need be."""
        plan, reads = self._prepare()
        found = self._ctx.store.read_now(reads, self._max_bytes)
        if found is None:
            found = await self._ctx.store.read_many(reads, self._max_bytes)
        merged = self._merge(plan, found)
        if self._committed:
            await self._add_aborted(plan, merged)
        self._plan = plan  # not before: a look that time cut short leaves no trace
        return merged

    async def _add_aborted(self, plan: Plan, merged: list[PartitionData]) -> None:
        for (wanted, partition), data in zip(plan, merged, strict=True):
            if isinstance(partition, Partition) and data.records and partition.log.has_aborted_transactions:
                aborted = await partition.log.aborted_transactions(wanted.fetch_offset, data.last_stable_offset)
                data.aborted_transactions = [
                    AbortedTransaction(producer_id=each.producer_id, first_offset=each.first_offset) for each in aborted
                ]

    def _merge(self, plan: Plan, results: Sequence[FetchedRecords | KafkaError]) -> list[PartitionData]:
        """One PartitionData for each wanted partition, in order."""
        merged = []
        following = iter(results)
        for wanted, partition in plan:
            if isinstance(partition, PartitionData):
                merged.append(partition)
                continue
            result = next(following)
            if isinstance(result, KafkaError):
                merged.append(_unreadable(wanted.partition, result.code))
                continue
            merged.append(
                PartitionData(
                    partition_index=wanted.partition,
                    high_watermark=result.high_watermark,
                    last_stable_offset=result.last_stable_offset,
                    log_start_offset=result.log_start_offset,
                    aborted_transactions=[] if self._committed else None,
                    records=result.records,
                )
            )
        return merged

    def is_enough(self, merged: list[PartitionData]) -> bool:
        """True if there is a reason to answer now (Kafka: ReplicaManager.fetchMessages)."""
        if not self._patient or not merged:
            return True
        size = 0
        for data in merged:
            if data.error_code != _NONE or data.diverging_epoch.epoch >= 0:
                return True
            size += len(data.records)  # type: ignore[arg-type]  # never None here
        return size >= self._min_bytes

    def answer(self, merged: list[PartitionData], full: bool) -> FetchResponse:
        """The response; in an incremental session only partitions with news."""
        session = self._session
        topics: list[FetchableTopicResponse] = []
        current: str | bytes | None = None
        moved: list[Wanted] = []
        for (wanted, _), data in zip(self._plan, merged, strict=True):
            has_records = len(data.records) > 0  # type: ignore[arg-type]
            if session.id and not _has_news(wanted, data, has_records) and not full:
                continue
            if has_records:
                moved.append(wanted)
            if wanted.topic != current:
                current = wanted.topic
                topics.append(
                    FetchableTopicResponse(topic_id=current, partitions=[])
                    if isinstance(current, bytes)
                    else FetchableTopicResponse(topic=current, partitions=[])
                )
            topics[-1].partitions.append(data)
        if session.id:
            for wanted in moved:
                session.answered(wanted, gave_records=True)
        return FetchResponse(session_id=session.id, responses=topics)


def _has_news(wanted: Wanted, data: PartitionData, has_records: bool) -> bool:
    """Whether an incremental answer must list this partition; remembers what is told (KIP-227)."""
    news = has_records or data.diverging_epoch.epoch >= 0
    if data.error_code != _NONE:
        wanted.told_high_watermark = -1  # so that the end of the error is news too
        return True
    if wanted.told_high_watermark != data.high_watermark:
        wanted.told_high_watermark = data.high_watermark
        news = True
    if wanted.told_log_start_offset != data.log_start_offset:
        wanted.told_log_start_offset = data.log_start_offset
        news = True
    return news


def _epoch_problem(wanted: Wanted, partition: Partition) -> PartitionData | None:
    """A reader with another idea of the leader (KIP-320), or whose last record is not in our log (KIP-595)."""
    log = partition.log
    try:
        # Kafka's consumers say -1; of Fetch alone it takes any epoch below zero for none.
        partition.check_leader_epoch(max(wanted.current_leader_epoch, NO_EPOCH))
    except KafkaError as error:
        return _unreadable(wanted.partition, error.code)
    if wanted.last_fetched_epoch < 0:
        return None
    end = log.end_of_epoch(wanted.last_fetched_epoch)
    if end is None:
        return _unreadable(wanted.partition, ErrorCode.OFFSET_OUT_OF_RANGE)
    if end.leader_epoch < wanted.last_fetched_epoch or end.end_offset < wanted.fetch_offset:
        return PartitionData(
            partition_index=wanted.partition,
            high_watermark=log.high_watermark,
            last_stable_offset=log.last_stable_offset,
            log_start_offset=log.log_start_offset,
            diverging_epoch=EpochEndOffset(epoch=end.leader_epoch, end_offset=end.end_offset),
            aborted_transactions=None,
            records=b"",
        )
    return None
