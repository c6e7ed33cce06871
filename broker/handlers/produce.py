"""Produce (0): append record batches to partitions.

- v3: record batches v2.
- v5: log start offset.
- v7: zstd.
- v8: errors of single records (KIP-467).
- v9: flexible.
- v10: the current leader in refusals.
- v11: TRANSACTION_ABORTABLE.
- v12: a batch adds its partition to the transaction (KIP-890).
- v13: topic ids (KIP-516).
- acks=1 is answered after the append; when `flush.messages` is reached, as acks=-1: when the bytes are durable.
- acks=0 is never answered. An error then closes the connection, as in Kafka: the producer has no other way to learn.
- A batch that opens a transaction in its log is appended when the coordinator knows of it: see `transaction_entry.py`.
- A transactional batch in a request without transactional id, or with one that the client may not WRITE:
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED for all of it.
- A topic that the client may not WRITE: TOPIC_AUTHORIZATION_FAILED, whether it exists or not.
- A refusal has the log's start where Kafka's has it: not if it comes before the log is asked (no such partition, not
  exactly one batch, not part of its transaction), and not for the codes of `WITHOUT_LOG_START`.
- The first phase judges and appends every partition before the connection looks at the next request, so the order of a
  connection's requests is the order in the log; what is left to wait for is the disk.
- An uncompressed batch is judged by its header and CRC, and by its records if these are few; `ottla.validate.records`
  sets whether by its records always, or never.
- What a request makes the broker open and walk through is done at once as far as `AT_ONCE` goes, for all its batches
  together; the rest in threads of the lane for that, piece by piece, and the connection waits with it.
- A request for more than `FEW` partitions goes through them in slices, between which other clients are served. Its
  connection waits meanwhile, so its place in the order is kept; each partition is appended, or refused, as a whole.

Departs from Kafka: refusals carry a precise code where Kafka says -1 (see kproto/batches/validate.py).

Promises kept here: P1-P4 in docs/invariants.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import trio

from broker.context import CloseConnection, FirstPhase, Later
from broker.security.operations import Operation, Resource
from broker.transaction_entry import Entrance, NotEntered, entrance_of
from kproto.batches.header import HEADER_SIZE, is_of_transaction
from kproto.batches.record_spans import most_unpacked
from kproto.batches.record_walk import BoundExceeded, Bounds, plainly_sound
from kproto.batches.validate import (
    SMALL_BATCH,
    NotOneBatch,
    RecordsRefused,
    check_produced_batch,
    conform,
    conforms,
)
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.produce import (
    BatchIndexAndErrorMessage,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from storage.engine import Batch
from storage.seams.offload import Lane
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.partitions import Partition
    from kproto.batches.buffers import WritableBuffer
    from kproto.batches.header import BatchHeader
    from storage.engine import Append, PartitionLog, VerificationGuard
    from storage.log_config import LogConfig
    from storage.seams.offload import Pause

TOPIC_IDS_FROM = 13
ALL = -1
ACKS = (ALL, 0, 1)

WITHOUT_LOG_START = frozenset({
    ErrorCode.CORRUPT_MESSAGE, ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.RECORD_LIST_TOO_LARGE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
})  # fmt: skip
"""Refusals by a partition's log that do not say where the log starts (ReplicaManager.appendRecordsToLeader)."""

AT_ONCE_BYTES, AT_ONCE_ITEMS = 256 * 1024, 4096
"""What one request may have decompressed, and how many records and headers walked through, in the event loop: some
milliseconds."""

FEW = 32
"""Partitions that are judged and appended in one turn of the event loop."""

READY_TOGETHER = 32
"""Partitions of a long request whose logs are made ready in one go."""

ENTERED_TOGETHER = 1000
"""Partitions of a long request of which the coordinator of transactions is asked in one question."""

WRITE = Operation.WRITE
TOPIC = Resource.TOPIC
REFUSED = KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
UNKNOWN_PARTITION = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
UNKNOWN_ID = KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
INTERNAL = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
TIMED_OUT = KafkaError(ErrorCode.REQUEST_TIMED_OUT)

WALKED = {"none": 0, "small": SMALL_BATCH, "all": Bounds().items}
"""`ottla.validate.records`: batches of up to so many records have each of them looked at."""


class Entry:
    """One partition of the request on its way: judged, appended, answered."""

    __slots__ = ("append", "batch", "guard", "part", "partition", "problem", "to_walk")

    def __init__(self, part: PartitionProduceData, partition: Partition | None) -> None:
        self.part = part
        self.partition = partition
        self.batch: Batch | None = None
        self.to_walk = False  # each record is to be looked at, whatever the topic says
        self.guard: VerificationGuard | None = None  # with which it opens its transaction
        self.append: Append | None = None
        self.problem: KafkaError | None = None


def handle(request: ProduceRequest, ctx: RequestContext) -> Any:
    """Judge and append; the response, None for acks=0, or what is left to wait for."""
    transactional = request.transactional_id is not None and may_write_transaction(request.transactional_id, ctx)
    if request.acks not in ACKS:
        raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
    now = ctx.clock.wall_millis()
    walked = WALKED[ctx.config.ottla_validate_records]
    to_open: list[Entry] = []
    topics = request.topic_data
    if (len(topics) != 1 or len(topics[0].partition_data) > FEW) and _are_many(topics):
        return FirstPhase(append_in_slices(request, ctx, now, walked))
    plan = []
    for topic in topics:  # no comprehensions here and in `answer`: for one partition each costs as much as its work
        entries = []
        refused = REFUSED if ctx.services.authorizer is not None and is_refused(topic, ctx) else None
        for part in topic.partition_data:
            found = refused or find(topic, part, ctx)
            entries.append(judge(part, found, ctx, now, walked, to_open, transactional))
        plan.append((topic, entries))
    if to_open:
        at_once = Bounds(AT_ONCE_BYTES, AT_ONCE_ITEMS)
        heavy = [entry for entry in to_open if not opened(entry, now, at_once)]
        if heavy:
            return FirstPhase(open_then_append(request, plan, heavy, ctx, now))
    if not _are_ready(plan):
        return FirstPhase(append_when_ready(request, plan, ctx))
    return enter_and_append(request, plan, ctx) if transactional else append(request, plan, ctx)


def _are_ready(plan: list[tuple[TopicProduceData, list[Entry]]]) -> bool:
    """Whether every log can be appended to without opening it first, or waiting for descriptors."""
    for _, entries in plan:
        for entry in entries:
            if entry.batch is not None and entry.partition is not None and not entry.partition.log.is_ready:
                return False
    return True


def _logs(entries: Iterable[Entry]) -> list[PartitionLog]:
    """The logs that are to be appended to."""
    return [
        entry.partition.log
        for entry in entries
        if entry.problem is None and entry.partition is not None and entry.partition.alive
    ]


async def append_when_ready(
    request: ProduceRequest, plan: list[tuple[TopicProduceData, list[Entry]]], ctx: RequestContext
) -> Any:
    """Append as usual when the logs are open, and there are descriptors to write with."""
    await ctx.store.make_ready(_logs(entry for _, entries in plan for entry in entries))
    if request.transactional_id is None:
        return append(request, plan, ctx)
    entered = enter_and_append(request, plan, ctx)
    return await entered.coroutine if isinstance(entered, FirstPhase) else entered


def _are_many(topics: Sequence[TopicProduceData]) -> bool:
    return len(topics) > FEW or sum([len(topic.partition_data) for topic in topics]) > FEW


def refuse(request: ProduceRequest, error: ErrorCode, version: int) -> ProduceResponse:
    """The error on every partition asked for. Raises CloseConnection if the producer reads no replies."""
    if request.acks == 0:
        raise CloseConnection(f"a produce request with acks=0 was refused with {error.name}")
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    PartitionProduceResponse(index=part.index, error_code=error, base_offset=-1)
                    for part in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )


def find(topic: TopicProduceData, part: PartitionProduceData, ctx: RequestContext) -> Partition | KafkaError:
    """The partition meant, or why it cannot be written. That the client may write the topic has been asked."""
    if ctx.api_version >= TOPIC_IDS_FROM:
        found = ctx.partitions.by_id(topic.topic_id, part.index)
        if found is None:
            known = ctx.cluster.image.topic_by_id(topic.topic_id)
            return UNKNOWN_ID if known is None else UNKNOWN_PARTITION
    else:
        found = ctx.partitions.get(topic.name, part.index)
        if found is None:
            return UNKNOWN_PARTITION
    if found.internal:
        return INTERNAL
    return found


def is_refused(topic: TopicProduceData, ctx: RequestContext) -> bool:
    """Whether the client may not write the topic, existing or not. An id that means nothing is no secret."""
    name = ctx.partitions.name_of(topic.topic_id) if ctx.api_version >= TOPIC_IDS_FROM else topic.name
    return name is not None and not ctx.may(WRITE, TOPIC, name)


def may_write_transaction(transactional_id: str, ctx: RequestContext) -> bool:
    """Whether the request may have batches of a transaction."""
    return ctx.services.authorizer is None or ctx.may(Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id)


def judge(
    part: PartitionProduceData, found: Partition | KafkaError, ctx: RequestContext, now: int, walked: int,
    to_open: list[Entry], transactional: bool,
) -> Entry:  # fmt: skip
    """Check the batch by its header and checksum, and a few plain records; add it to `to_open` if there is more to do.

    Batches of up to `walked` records have each of them looked at. `transactional`: the request has a transactional id,
    by which the client may write; else a batch of a transaction is a KafkaError for all of the request.
    """
    if isinstance(found, KafkaError):
        if not transactional and is_of_transaction(part.records):
            raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        entry = Entry(part, None)
        entry.problem = found
        return entry
    entry = Entry(part, found)
    rules = found.config
    try:
        records: Any = part.records
        header = check_produced_batch(records, rules, api_version=ctx.api_version, has_transactional_id=transactional)
    except KafkaError as error:
        if error.code is ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            raise
        entry.problem = error
        return entry
    size = header.size
    data = records if size == len(records) else records[:size]
    entry.batch = Batch(header, data if type(data) is memoryview else memoryview(data))
    fits, count = conforms(header, rules, now), header.record_count
    if count <= walked and not (fits and count <= SMALL_BATCH and plainly_sound(header, data, HEADER_SIZE)):
        entry.to_walk = True
        to_open.append(entry)
    elif not fits:
        to_open.append(entry)
    return entry


def opened(entry: Entry, now: int, at_once: Bounds) -> bool:
    """Bring a batch into the form its topic wants, if what is left of `at_once` reaches for that."""
    assert entry.partition is not None and entry.batch is not None
    header, data = entry.batch
    try:
        header, made = conform(header, data, entry.partition.config, now, look_inside=entry.to_walk, bounds=at_once)
        entry.batch = Batch(header, memoryview(made))
    except BoundExceeded:
        return False
    except KafkaError as error:
        entry.problem = error
    return True


async def open_then_append(
    request: ProduceRequest, plan: list[tuple[TopicProduceData, list[Entry]]], heavy: list[Entry], ctx: RequestContext,
    now: int,
) -> Any:  # fmt: skip
    """Open the heavy batches in a thread, then append as usual."""
    await open_heavy(heavy, ctx, now)
    return await append_when_ready(request, plan, ctx)


async def open_heavy(heavy: Sequence[Entry], ctx: RequestContext, now: int) -> None:
    """Bring heavy batches into the form their topics want, in a thread, one after the other."""
    for entry in heavy:
        assert entry.partition is not None and entry.batch is not None
        rules, batch = entry.partition.config, entry.batch
        opening = partial(_conformed, batch, rules, now, entry.to_walk)
        try:
            header, data = await ctx.offload.compute(opening, lane=Lane.BATCHES)
            entry.batch = Batch(header, memoryview(data))
        except KafkaError as error:
            entry.problem = error


def entrance(plan: list[tuple[TopicProduceData, list[Entry]]], ctx: RequestContext) -> tuple[list[Entry], Entrance]:
    """The batches of a transaction, as far as they are sound, and their entrance into it."""
    entering = []
    batches = []
    for _, entries in plan:
        for entry in entries:
            batch, partition = entry.batch, entry.partition
            if entry.problem is not None or batch is None or partition is None:
                continue
            if batch.header.is_transactional and batch.header.producer_id >= 0:  # without a producer it is a plain one
                entering.append(entry)
                batches.append((partition, batch.header))
    verify = ctx.config.transaction_partition_verification_enable
    return entering, entrance_of(batches, version=ctx.api_version, verify=verify)


def enter_and_append(
    request: ProduceRequest, plan: list[tuple[TopicProduceData, list[Entry]]], ctx: RequestContext
) -> Any:
    """Let the batches enter their transaction, then append as usual; a FirstPhase if the coordinator is asked."""
    entering, into = entrance(plan, ctx)

    def finish() -> Any:
        note_outcomes(entering, into)
        return append(request, plan, ctx)

    async def ask() -> Any:
        await ask_coordinator(request, into, ctx)
        await ctx.store.make_ready(_logs(entering))
        return finish()

    return FirstPhase(ask()) if into.asks else finish()


async def ask_coordinator(request: ProduceRequest, into: Entrance, ctx: RequestContext) -> None:
    """Ask the coordinator of the request's transaction what there is to ask."""
    assert request.transactional_id is not None
    await into.ask(ctx.transaction_entry, request.transactional_id)


def note_outcomes(entering: Sequence[Entry], into: Entrance) -> None:
    """What has come of their entrance."""
    for entry, outcome in zip(entering, into.outcome, strict=True):
        if isinstance(outcome, NotEntered):
            entry.problem = outcome
        else:
            entry.guard = outcome


def _conformed(
    batch: Batch, rules: LogConfig, now: int, look_inside: bool, pause: Pause
) -> tuple[BatchHeader, WritableBuffer]:
    """In a thread, perhaps twice, each time with whole bounds."""
    bounds = Bounds(most_unpacked(batch.header.size)) if rules.compact else Bounds()
    return conform(batch.header, batch.data, rules, now, look_inside=look_inside, bounds=bounds, pause=pause)


def append_one(entry: Entry, acks: int) -> bool:
    """Append a batch that is sound; True if its answer must wait for the disk."""
    partition, batch = entry.partition, entry.batch
    assert partition is not None and batch is not None
    if not partition.alive:
        entry.problem = UNKNOWN_PARTITION
        return False
    try:
        entry.append = begun = partition.log.begin_append((batch,), guard=entry.guard)
    except KafkaError as error:
        entry.problem = error
        return False
    partition.messages_in += batch.header.record_count
    partition.bytes_in += len(batch.data)
    return not begun.durable and (acks == ALL or begun.durable_on_ack)


def append(request: ProduceRequest, plan: list[tuple[TopicProduceData, list[Entry]]], ctx: RequestContext) -> Any:
    """Append every partition, in the order of the request."""
    waits = False
    for _, entries in plan:
        for entry in entries:
            if entry.problem is None and append_one(entry, request.acks):
                waits = True
    if request.acks == 0:
        for _, entries in plan:
            for entry in entries:
                if entry.problem is not None:
                    raise CloseConnection(f"a batch with acks=0 was refused with {entry.problem.code.name}")
        return None
    return Acknowledgement(request, plan, ctx) if waits else answer(plan)


class Acknowledgement(Later):
    """The answer once the batches are durable; or when the time is over that the producer has given."""

    __slots__ = ("_plan", "_store", "_timeout_ms")

    def __init__(
        self, request: ProduceRequest, plan: list[tuple[TopicProduceData, list[Entry]]], ctx: RequestContext
    ) -> None:
        self._plan = plan
        self._store = ctx.store
        self._timeout_ms = request.timeout_ms

    def is_at_hand(self) -> bool:
        for _, some in self._plan:
            for entry in some:
                if entry.append is not None and not entry.append.durable:
                    return False
        return True

    def reply(self) -> ProduceResponse:
        return answer(self._plan)

    async def wait(self) -> ProduceResponse:
        entries = [entry for _, some in self._plan for entry in some if entry.append is not None]
        with trio.move_on_after(max(self._timeout_ms, 0) / 1000) as scope:
            if len(entries) > 1:
                with suppress(KafkaError):  # of one of them: each is asked below
                    await self._store.wait_durable([entry.append for entry in entries if entry.append is not None])
            for entry in entries:
                if entry.append is not None and not entry.append.durable:
                    try:
                        await entry.append.wait_durable()
                    except KafkaError as error:
                        entry.problem = error
        if scope.cancelled_caught:
            for entry in (entry for _, entries in self._plan for entry in entries):
                if entry.problem is None and entry.append is not None and not entry.append.durable:
                    entry.problem = TIMED_OUT
        return answer(self._plan)


def answer(plan: list[tuple[TopicProduceData, list[Entry]]]) -> ProduceResponse:
    """The response to what has become of each partition."""
    topics = []
    for topic, entries in plan:
        partitions = []
        for entry in entries:
            partitions.append(_answer_partition(entry))
        topics.append(TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=partitions))
    return ProduceResponse(responses=topics)


async def append_in_slices(request: ProduceRequest, ctx: RequestContext, now: int, walked: int) -> Any:
    """The same for a request of very many partitions, giving way to others. What `handle` would have returned."""
    slices, entries, to_open = Slices(), list[Entry](), list[Entry]()
    transactional = request.transactional_id is not None and may_write_transaction(request.transactional_id, ctx)
    async for topic in slices.over(request.topic_data):
        refused = REFUSED if is_refused(topic, ctx) else None
        async for part in slices.over(topic.partition_data):
            entry = judge(part, refused or find(topic, part, ctx), ctx, now, walked, to_open, transactional)
            entries.append(_without_frames(entry))
    heavy = [
        entry
        async for entry in slices.over(to_open)
        if not opened(entry, now, Bounds(AT_ONCE_BYTES // FEW, AT_ONCE_ITEMS // FEW))
    ]
    await open_heavy(heavy, ctx, now)
    if transactional:
        for start in range(0, len(entries), ENTERED_TOGETHER):
            part_of_it = entries[start : start + ENTERED_TOGETHER]
            await ctx.store.open_logs(_logs(part_of_it))
            entering, into = entrance([(request.topic_data[0], part_of_it)], ctx)
            if into.asks:
                await ask_coordinator(request, into, ctx)
            note_outcomes(entering, into)
            await slices.give_way()
    waits = False
    for start in range(0, len(entries), READY_TOGETHER):
        await ctx.store.make_ready(_logs(entries[start : start + READY_TOGETHER]))
        async for entry in slices.over(entries[start : start + READY_TOGETHER]):
            if entry.problem is None:
                assert entry.partition is not None
                if not entry.partition.log.is_ready:  # any more: others run in between
                    await ctx.store.make_ready([entry.partition.log])
                if append_one(entry, request.acks):
                    waits = True
            _without_frames(entry)
    if request.acks == 0:
        async for entry in slices.over(entries):
            if entry.problem is not None:
                raise CloseConnection(f"a batch with acks=0 was refused with {entry.problem.code.name}")
        return None
    return _answer_in_slices(request, entries, ctx, waits)


def _without_frames(entry: Entry) -> Entry:
    """An error that was raised holds the frames that it came through: megabytes, for thousands of errors."""
    if entry.problem is not None:
        entry.problem.__traceback__ = entry.problem.__context__ = None
    return entry


async def _answer_in_slices(
    request: ProduceRequest, entries: Sequence[Entry], ctx: RequestContext, waits: bool
) -> ProduceResponse:
    """Wait for the disk if the producer wants that, and answer."""
    slices = Slices()
    if waits:
        appends = [entry.append async for entry in slices.over(entries) if entry.append is not None]
        with trio.move_on_after(max(request.timeout_ms, 0) / 1000) as scope:
            with suppress(KafkaError):  # of one of them: each is asked below
                await ctx.store.wait_durable(appends)
            async for entry in slices.over(entries):
                if entry.append is not None and not entry.append.durable:
                    try:
                        await entry.append.wait_durable()
                    except KafkaError as error:
                        entry.problem = error
                        _without_frames(entry)
        if scope.cancelled_caught:
            async for entry in slices.over(entries):
                if entry.problem is None and entry.append is not None and not entry.append.durable:
                    entry.problem = TIMED_OUT
    answers = iter(entries)
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    _answer_partition(entry) async for entry in slices.over(islice(answers, len(topic.partition_data)))
                ],
            )
            async for topic in slices.over(request.topic_data)
        ]
    )


def _answer_partition(entry: Entry) -> PartitionProduceResponse:
    problem = entry.problem
    if problem is None:
        partition, begun, batch = entry.partition, entry.append, entry.batch
        assert partition is not None and begun is not None and batch is not None
        told_time = partition.config.log_append_time or begun.duplicate  # of a duplicate Kafka remembers the time
        return PartitionProduceResponse(
            index=entry.part.index,
            base_offset=begun.base_offset,
            log_append_time_ms=batch.header.max_timestamp if told_time else -1,
            log_start_offset=_log_start_offset(partition),
        )
    response = PartitionProduceResponse(
        index=entry.part.index, error_code=problem.code, base_offset=-1, error_message=problem.message
    )
    if isinstance(problem, RecordsRefused):
        response.record_errors = [
            BatchIndexAndErrorMessage(batch_index=each.batch_index, batch_index_error_message=each.message)
            for each in problem.record_errors
        ]
    asked_its_log = entry.partition is not None and not isinstance(problem, NotOneBatch | NotEntered)
    if asked_its_log and problem.code not in WITHOUT_LOG_START:
        assert entry.partition is not None
        response.log_start_offset = _log_start_offset(entry.partition)
    return response


def _log_start_offset(partition: Partition) -> int:
    """-1 for a log that has gone offline, or was deleted while the disk was waited for: an error raised here would be
    that of the whole request, also of the partitions that were appended."""
    try:
        return partition.log.log_start_offset
    except KafkaError:
        return -1
