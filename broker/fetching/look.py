"""One look at the partitions of a session: what is there, and whether that is worth an answer.

**What is looked at.** The session's restless partitions, in their turn (`sessions.py`). Each is found in the cluster,
its leader epoch and last fetched epoch are compared (KIP-320, KIP-595), and what may be read of all of them is one
question to the engine (`LogStore.read_now`, or `read_many` where that must wait). Every number in the answer is that of
the last look, taken when the answer is given.

**What is found** of a partition is one of four things: the engine's `FetchedRecords`; a KafkaError, if it cannot be
read from there; `Diverging`, if the reader's last record is not in the log; `Missing`, if it was not there when the
request came.

**When that is enough** (Kafka: ReplicaManager.fetchMessages, DelayedFetch; a running one was asked):

* the client will not wait, or there is nothing to wait for: no partition at all, or only missing ones;
* `min_bytes` are there, but not more than `max_bytes`. What lies in a partition and is left out because it does not
  fit counts too, up to the partition's own limit: it will not fit any better later;
* the engine has stopped short of the limits, at the end of a file;
* a partition cannot be read (out of range, another leader epoch, storage), or is diverging, or has been deleted since
  the request came. (A start that moves beyond the reader's offset is such a reason too; Kafka sees it only when the
  time is over.)

A missing partition is no reason: it is answered with its error when the others are, so that a client which still asks
for a deleted topic does not ask all the time. What was missing stays missing until the answer, also if it is created
meanwhile.

**A topic that the client may not read** is missing, with another code. It is asked about once in a request, before
anything of the topic is looked at, so that the answer is the same whether it exists or not.

**A log that is closed** is opened in a thread before it is looked at, since a request may name thousands of
these. So the first look, which is taken at once, is left to `later` when it meets one.

**Very many partitions.** Up to `LARGE` are looked at in one piece. More are looked at `SLICE` at a time, and others get
their turn in between; in an incremental answer the look ends when `max_bytes` are used up, and what has not been looked
at stays restless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from broker.fetching.sessions import GONE, NO_SESSION, FetchSession, TopicKey, Wanted
from broker.partitions import Partition, Partitions
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_EPOCH
from storage.engine import FetchedRecords, Read
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from storage.engine import LogStore, PartitionLog

READ: Final = Operation.READ
TOPIC: Final = Resource.TOPIC
LARGE: Final = 1_000
SLICE: Final = 250


class Diverging(NamedTuple):
    """The reader's last record is not in the log: the newest epoch it may share with it, and that epoch's end."""

    leader_epoch: int
    end_offset: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int


class Missing(NamedTuple):
    """There was no such partition for this client when the request came: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID,
    or TOPIC_AUTHORIZATION_FAILED."""

    code: ErrorCode


Found = FetchedRecords | KafkaError | Diverging | Missing

_MISSING: Final = {
    code: Missing(code)
    for code in (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    )
}
_NONE_MISSING: Final[Mapping[Wanted, Missing]] = MappingProxyType({})


class Asked(NamedTuple):
    """What a request says. `size` is the number of partitions that it names, wanted and forgotten."""

    wanted: Iterable[Wanted]
    forgotten: Iterable[tuple[TopicKey, int]]
    size: int
    by_id: bool
    session_id: int
    session_epoch: int
    committed: bool
    min_bytes: int
    max_bytes: int
    max_wait_ms: int
    may: Callable[[Operation, Resource, str], bool] | None = None
    """Whether the client may do something to the resource of a name; None where it may read all topics."""
    permissions: int = 0
    """The version of the ACLs that `may` goes by."""


class Look:
    """The looks of one request. `wanted` and `found` lie side by side and are those of the last look.

    `ready` is True when a look has been finished, `enough` when its findings should be answered.
    """

    __slots__ = (
        "_given",
        "_left",
        "_partitions",
        "_permitted",
        "_reason",
        "_refused",
        "_size",
        "_store",
        "asked",
        "enough",
        "found",
        "full",
        "missing",
        "ready",
        "session",
        "wanted",
        "watches",
    )

    def __init__(
        self, session: FetchSession, full: bool, asked: Asked, partitions: Partitions, store: LogStore
    ) -> None:
        self.session = session
        self.full = full
        self.asked = asked
        self.ready = self.enough = False
        self.watches = False  # whether the partitions are to be watched also where no session is kept
        self.missing: Mapping[Wanted, Missing] = _NONE_MISSING
        self._partitions = partitions
        self._store = store
        self.wanted: list[Wanted] = []
        self.found: list[Any] = []  # Found, or during a look the Read that `_take` puts one in the place of
        self._left = asked.max_bytes
        self._size = 0  # bytes found, and bytes that are there
        self._given = False  # whether records were found
        self._reason = False  # to answer, whatever the size
        self._permitted: dict[TopicKey, bool] = {}  # of the topics that the client's permission was asked for
        self._refused = False  # some of them

    def now(self) -> bool:
        """Look for the first time, at once. Returns `ready`; if False, that takes waiting, and is left to `later`."""
        due = self.session.due()
        if len(due) <= LARGE and not self._closed(due):
            reads = self._ask(due)
            results = self._store.read_now(reads, self._left)
            if results is not None:
                self._take(0, reads, results)
                self._finish()
        return self.ready

    async def later(self) -> None:
        """Look, waiting for the disk if need be, and giving way where there is much to look at."""
        due = self.session.due()
        self._start()
        slices = Slices()
        for begin in range(0, max(1, len(due)), SLICE if len(due) > LARGE else LARGE):
            if begin:
                if not self.full and self._given and self._left == 0:
                    break  # what is left is restless still
                await slices.give_way()
            first = len(self.found)
            some = due[begin : begin + SLICE] if len(due) > LARGE else due
            if closed := self._closed(some):
                await self._store.open_logs(closed)
                slices.begin()
                self._learn_permissions(some)  # of ids that meant nothing before
            reads = self._ask(some)
            results = self._store.read_now(reads, self._left, not self._given)
            if results is None:
                results = await self._store.read_many(reads, self._left, not self._given)
            self._take(first, reads, results)
        self._finish()

    def news(self) -> Iterator[tuple[Wanted, Found]]:
        """What must be answered, in order: everything if the answer is full, else what the client was not answered yet.

        What is answered is remembered, so this is to be run through once, to its end. What was missing comes last.
        """
        found = zip(self.wanted, self.found, strict=True)
        if self.session.id == NO_SESSION:
            return chain(found, self._last()) if self.missing else found
        return self._news_of_session(found)

    def _news_of_session(self, looked_at: Iterable[tuple[Wanted, Found]]) -> Iterator[tuple[Wanted, Found]]:
        for wanted, found in looked_at:
            if isinstance(found, FetchedRecords | Diverging):
                if not self._tell(wanted, found):
                    continue
            else:
                wanted.told_high_watermark = -1  # so that the end of the error is news too
            yield wanted, found
        for wanted, missing in self._last():
            wanted.told_high_watermark = -1
            if self.full:
                self.session.end_turn(wanted)
            yield wanted, missing

    def _last(self) -> Iterator[tuple[Wanted, Missing]]:
        """What was missing, in Kafka's order: ids that mean nothing before partitions that are not there."""
        missing, nothing = self.missing.items(), _MISSING[ErrorCode.UNKNOWN_TOPIC_ID]
        if not self.asked.by_id:
            return iter(missing)
        return chain(
            (each for each in missing if each[1] is nothing), (each for each in missing if each[1] is not nothing)
        )

    def _tell(self, wanted: Wanted, found: FetchedRecords | Diverging) -> bool:
        """Whether an answer must list this partition (KIP-227); remembers that it does."""
        news = self.full
        if wanted.told_high_watermark != found.high_watermark:
            wanted.told_high_watermark = found.high_watermark
            news = True
        if wanted.told_log_start_offset != found.log_start_offset:
            wanted.told_log_start_offset = found.log_start_offset
            news = True
        if isinstance(found, Diverging):
            return True
        if len(found.records):
            if not self.full:  # Kafka makes the session of its first answer, in the order of that
                self.session.end_turn(wanted)
            return True
        if wanted.watched and wanted.fetch_offset >= (
            found.last_stable_offset if self.asked.committed else found.high_watermark
        ):
            self.session.restless.pop(wanted, None)
        return news

    def _start(self) -> None:
        """Forget the last look."""
        self.wanted, self.found = [], []
        self._left = self.asked.max_bytes
        self._size = 0
        self._given = self._reason = False

    def _finish(self) -> None:
        asked, size = self.asked, self._size
        self.ready = True
        self.enough = (
            self._reason
            or size >= asked.min_bytes
            or size >= asked.max_bytes
            or asked.max_wait_ms <= 0
            or len(self.missing) >= len(self.session.wanted)
        )

    def _closed(self, due: Sequence[Wanted]) -> list[PartitionLog]:
        """The logs of these partitions that are not open."""
        closed = []
        self._learn_permissions(due)
        for wanted in due:
            if self._refused and self._is_refused(wanted):
                continue
            partition = wanted.hosted
            if partition is None or not partition.alive:
                found = self._find(wanted)
                if not isinstance(found, Partition):
                    continue
                partition = wanted.hosted = found
            if not partition.log.is_open:
                closed.append(partition.log)
        return closed

    def _ask(self, due: Sequence[Wanted]) -> list[Read]:
        """Put the partitions into `wanted`, and into `found` what is known of each without the engine, or its read."""
        reads: list[Read] = []
        committed, missing = self.asked.committed, self.missing
        watches = self.watches or self.session.kept
        for wanted in due:
            if missing and wanted in missing:
                continue
            if self._refused and self._is_refused(wanted):
                self._not_found(wanted, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
                continue
            partition = wanted.hosted
            if partition is None or not partition.alive:
                partition_or_code = self._find(wanted)
                if not isinstance(partition_or_code, Partition):
                    self._not_found(wanted, partition_or_code)
                    continue
                partition = wanted.hosted = partition_or_code
            if watches and not wanted.watched and wanted.turn != GONE:
                wanted.watch(partition, self.session)
            self.wanted.append(wanted)
            log = partition.log
            try:
                if wanted.current_leader_epoch > NO_EPOCH:  # of Fetch alone Kafka takes any below zero for none
                    partition.check_leader_epoch(wanted.current_leader_epoch)
                if wanted.last_fetched_epoch >= 0:
                    end = log.end_of_epoch(wanted.last_fetched_epoch)
                    if end is None:
                        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
                    if end.leader_epoch < wanted.last_fetched_epoch or end.end_offset < wanted.fetch_offset:
                        numbers = log.high_watermark, log.last_stable_offset, log.log_start_offset
                        self.found.append(Diverging(end.leader_epoch, end.end_offset, *numbers))
                        self._reason = True
                        continue
                upto = log.last_stable_offset if committed else log.high_watermark
            except KafkaError as error:
                self.found.append(error.with_traceback(None))  # which would hold this frame, and all that is found
                self._reason = True
                continue
            read = Read(log, wanted.fetch_offset, wanted.max_bytes, upto, committed)
            self.found.append(read)
            reads.append(read)
        return reads

    def _learn_permissions(self, due: Sequence[Wanted]) -> None:
        """Ask whether the client may read these topics, existing or not. An id that means nothing is no secret."""
        may, permitted = self.asked.may, self._permitted
        if may is None:
            return
        for wanted in due:
            topic = wanted.topic
            if topic in permitted:
                continue
            name = topic if isinstance(topic, str) else self._partitions.name_of(topic)
            if name is not None:
                permitted[topic] = may(READ, TOPIC, name)
                self._refused |= not permitted[topic]

    def _is_refused(self, wanted: Wanted) -> bool:
        return not self._permitted.get(wanted.topic, True)

    def _find(self, wanted: Wanted) -> Partition | ErrorCode:
        """The partition in the cluster as it is now, or why there is none."""
        partitions, topic = self._partitions, wanted.topic
        if isinstance(topic, str):
            return partitions.get(topic, wanted.partition) or ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        name = partitions.name_of(topic)
        if name is not None:
            wanted.name = name
            return partitions.get(name, wanted.partition) or ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if wanted.name is None:
            return ErrorCode.UNKNOWN_TOPIC_ID
        if partitions.get(wanted.name, wanted.partition) is not None:
            return ErrorCode.INCONSISTENT_TOPIC_ID
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def _not_found(self, wanted: Wanted, code: ErrorCode) -> None:
        """A partition that is not there: missing, if it is so from the beginning, else a reason to answer."""
        if self.ready or code not in _MISSING:
            self.wanted.append(wanted)
            self.found.append(KafkaError(code))
            self._reason = True
            return
        if not isinstance(self.missing, dict):
            self.missing = {}
        self.missing[wanted] = _MISSING[code]

    def _take(self, first: int, reads: Sequence[Read], results: Sequence[FetchedRecords | KafkaError]) -> None:
        """Put the engine's answers in the place of their reads, which are among those from `first` on."""
        found = self.found
        if len(reads) == len(found):
            self.found = list(results)
        elif reads:
            following = iter(results)
            found[first:] = [next(following) if type(each) is Read else each for each in found[first:]]
        for read, result in zip(reads, results, strict=True):
            if isinstance(result, KafkaError):
                result.__traceback__ = None
                self._reason = True
            elif length := len(result.records):
                self._given = True
                self._size += length
                self._left = max(0, self._left - length)
                if result.more:
                    self._reason = True
            elif self._given and read.start < read.upto:
                self._size += max(0, min(read.max_bytes, self._left))
