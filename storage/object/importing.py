"""A copy of all logs (`storage/copies.py`) taken over by a cluster that has none, with everything it says.

A directory of a broker of one machine, Ottla's or Kafka's own, or a backup of one, becomes a cluster's: every log with
its topic's id, its records at their offsets, gaps that compaction has left, where it starts, its producers, its aborted
transactions, its files beside the records. Topics, groups, settings and users are records of such logs, so they come
along without being looked at.

**How.** Logs are cut into parts of whole batches, several parts share an object, and each object is *adopted* in one
commit: its parts are then the logs' ends. The last part of a log brings its start, its producers and its transactions,
so a log whose end is the copy's is complete.

**Cut short**, by Ctrl-C, a crash or a store that fails, an import is repeated with the same words and goes on where
each log ends: nothing is read twice by a consumer, since no broker serves a cluster while it is imported. What was
uploaded and not adopted is an orphan, and is collected as any other. A cluster that holds anything else is refused
(`NotEmpty`), and so is another copy than the one that was begun with.

**Checked** at the end: every log is read back, out of the bucket, and its digest held against the copy's (`verify`).

**Leader epochs** stay in the batches. What clients and committed offsets know of them must not go back, so the cluster
begins with the largest (`LEADER_EPOCH`, a setting).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, NamedTuple

import trio

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.header import BatchHeader, read_header
from kproto.errors import KafkaError, ProtocolError
from storage.copies import LogCopy, StoreCopy, whole_batches
from storage.engine import WrongEnd
from storage.object.bucket import Ambiguous, Bucket, BucketError, Unavailable
from storage.object.control_plane import (
    INLINE_BYTES,
    AbortedSpan,
    Adoption,
    Buried,
    ControlPlane,
    LogName,
    NewRun,
    OutcomeUnknown,
)
from storage.object.control_plane import Unavailable as DatabaseUnavailable
from storage.object.limits import Limits
from storage.object.loading import LEADER_EPOCH, Loading
from storage.object.object_format import StoredRun as FooterRun
from storage.object.object_format import encode_footer
from storage.object.reading_back import batches_of
from storage.object.segment_objects import Segment
from storage.seams.entropy import Entropy
from storage.seams.offload import Lane, Offload

PART_BYTES: Final = 8 << 20
"""Of one log in one object, about; a batch is never cut."""
OBJECT_BYTES: Final = 24 << 20
PARTS: Final = 1000
"""Of one object, at most."""
ATTEMPTS: Final = 8
SOURCE: Final = "import_source"

Advance = Callable[[int], None]
"""Called with how many bytes have been done since."""


class ImportFailed(Exception):
    """One sentence."""


class NotEmpty(ImportFailed):
    """The cluster has logs that are not the copy's."""


class _Part(NamedTuple):
    """Whole batches of a log, the next ones behind `expected_end`. `segment` is None where only the end is missing."""

    log: LogCopy
    expected_end: int
    end: int
    segment: Segment | None
    size: int
    is_last: bool


class Import:
    """One copy on its way into one cluster, whose control plane is open. `is_internal` says of a topic's name whether
    coordinators keep their state there."""

    def __init__(
        self,
        copy: StoreCopy,
        control: ControlPlane,
        bucket: Bucket,
        *,
        entropy: Entropy,
        offload: Offload,
        is_internal: Callable[[str], bool],
        advance: Advance = lambda size: None,
    ) -> None:
        self._copy = copy
        self._control = control
        self._bucket = bucket
        self._entropy = entropy
        self._offload = offload
        self._is_internal = is_internal
        self._advance = advance
        self._loading = Loading(bucket, offload, Limits())
        self._ids: dict[tuple[bytes, int], int] = {}

    async def run(self) -> None:
        """Take everything over that is not there yet. Raises ImportFailed, ControlPlaneError, KafkaError (a log of the
        copy cannot be read)."""
        await self._make_logs()
        ids = list(self._ids.values())
        positions = await self._control.positions(ids)
        ends = {log_id: where.end_offset for log_id, where in zip(ids, positions, strict=True) if where is not None}
        parts = self._parts({key: ends.get(log_id, 0) for key, log_id in self._ids.items()})
        while gathered := await self._offload.run(_gather, parts, lane=Lane.BUCKET_UPKEEP):
            await self._adopt(gathered)
            self._advance(sum(part.size for part in gathered))

    async def verify(self) -> str:
        """Read every log back and hold its batches against the copy's; the digest of all. Raises ImportFailed."""
        whole = hashlib.sha256()
        for log in self._copy.logs:
            wanted = await self._offload.run(_digest_of_copy, log, lane=Lane.BUCKET_UPKEEP)
            found = hashlib.sha256()
            log_id = self._ids[log.topic_id, log.partition]
            async with aclosing(batches_of(self._control, self._loading, log_id, 0, log.end)) as pieces:
                async for batch in pieces:
                    found.update(batch)
                    self._advance(len(batch))
            if found.digest() != wanted:
                raise ImportFailed(f"{log.topic}-{log.partition} in the cluster is not what was imported")
            whole.update(wanted)
        return whole.hexdigest()

    async def _make_logs(self) -> None:
        """Make all logs exist, unless the cluster is another's, and what lies beside them."""
        source = f"{self._copy.cluster_id} {self._copy.directory_id}".encode()
        wanted = {(log.topic_id, log.partition) for log in self._copy.logs}
        there = {(row.name.topic_id, row.name.partition) for row in await self._control.list_logs()}
        if await self._control.setting(SOURCE) is None and there:
            raise NotEmpty(f"the cluster has {len(there)} logs already; an import goes into an empty one")
        if await self._control.settle(SOURCE, source) != source:
            raise NotEmpty("another directory has been imported into the cluster, or part of it")
        if there - wanted:
            raise NotEmpty(f"the cluster has {len(there - wanted)} logs that are not of this directory")
        epochs = [epoch for log in self._copy.logs for epoch, _ in log.epochs]
        await self._control.settle(LEADER_EPOCH, str(max(epochs, default=0)).encode())
        names = [
            LogName(log.topic, log.topic_id, log.partition, self._is_internal(log.topic)) for log in self._copy.logs
        ]
        for start in range(0, len(names), PARTS):
            some = names[start : start + PARTS]
            for name, log_id in zip(some, await self._control.create_logs(some), strict=True):
                self._ids[name.topic_id, name.partition] = log_id
        for log in self._copy.logs:
            for blob in log.blobs:
                content = b"".join(blob.pieces())
                await self._control.write_blob(self._ids[log.topic_id, log.partition], blob.name, content)

    def _parts(self, ends: dict[tuple[bytes, int], int]) -> Iterator[_Part]:
        """Everything that is missing. In a thread."""
        for log in self._copy.logs:
            end = ends[log.topic_id, log.partition]
            if end < log.end:
                yield from _parts_of(log, end)

    async def _adopt(self, parts: Sequence[_Part]) -> None:
        """Bring these parts into the cluster: bytes first, then the commit."""
        hour = datetime.fromtimestamp(self._control.wall_millis() / 1000, UTC).strftime("%Y%m%d%H")
        key = f"m/{hour}/import-{self._entropy.uuid().hex()}"
        pieces: list[ReadableBuffer] = []
        footer: list[FooterRun] = []
        adoptions = []
        length = 0
        for part in parts:
            log, segment = part.log, part.segment
            runs: list[NewRun] = []
            if segment is not None:
                run = NewRun(segment.base_offset, segment.last_offset, length, segment.length, segment.latest)
                if segment.length <= INLINE_BYTES:
                    runs = [run._replace(position=0, inline=b"".join(segment.pieces))]
                else:
                    offsets = segment.last_offset + 1 - segment.base_offset
                    footer.append(
                        FooterRun(
                            log.topic, log.topic_id, log.partition, length, segment.length, segment.base_offset,
                            offsets, segment.latest, segment.index.index(),
                        )
                    )  # fmt: skip
                    runs = [run]
                    pieces += segment.pieces
                    length += segment.length
            adoptions.append(self._adoption(part, runs))
        if footer:
            tail = encode_footer(footer)
            pieces.append(tail)
            length += len(tail)
            await self._put(key, pieces)
        outcome = await self._ask(key, length, adoptions)
        if isinstance(outcome, Buried):
            raise ImportFailed("an object was given up while it was imported; try again")
        for part, refused in zip(parts, outcome, strict=True):
            if refused is not None:
                raise ImportFailed(f"{part.log.topic}-{part.log.partition} was changed meanwhile: {refused}")

    def _adoption(self, part: _Part, runs: Sequence[NewRun]) -> Adoption:
        log = part.log
        log_id = self._ids[log.topic_id, log.partition]
        if not part.is_last:
            return Adoption(log_id, part.expected_end, runs, part.end, min(log.start, part.end))
        aborted = [
            AbortedSpan(each.producer_id, each.first_offset, each.last_offset) for each in log.aborted if each.aborted
        ]
        return Adoption(log_id, part.expected_end, runs, part.end, log.start, log.producers, aborted)

    async def _put(self, key: str, pieces: Sequence[ReadableBuffer]) -> None:
        """Put an object, again and again while its store is busy. Raises ImportFailed."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._bucket.put(key, pieces, background=True)
            except (Unavailable, Ambiguous) as error:
                if attempt == ATTEMPTS - 1:
                    raise ImportFailed(str(error)) from None
            except BucketError as error:
                raise ImportFailed(str(error)) from None
            await trio.sleep(0.1 * 2**attempt)

    async def _ask(
        self, key: str, size: int, adoptions: Sequence[Adoption]
    ) -> list[WrongEnd | KafkaError | None] | Buried:
        """Adopt, asking the same again until there is an answer."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._control.adopt(key, size, adoptions)
            except (DatabaseUnavailable, OutcomeUnknown):
                if attempt == ATTEMPTS - 1:
                    raise
            await trio.sleep(0.1 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def _gather(parts: Iterator[_Part]) -> list[_Part]:
    """Parts for one object, which have been read; none if there are no more. In a thread."""
    gathered: list[_Part] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += part.size
        if size >= OBJECT_BYTES or len(gathered) == PARTS:
            break
    return gathered


def _parts_of(log: LogCopy, expected_end: int) -> Iterator[_Part]:
    """The batches of a log from this offset on, in parts; the last one reaches the log's end. In a thread."""
    batches: list[tuple[BatchHeader, bytearray]] = []
    size, end = 0, expected_end
    for header, batch in _batches(log):
        last_offset = header.base_offset + header.last_offset_delta
        if last_offset < expected_end:
            continue
        if batches and size + len(batch) > PART_BYTES:
            yield _part(log, end, batches, batches[-1][0])
            end = batches[-1][0].base_offset + batches[-1][0].last_offset_delta + 1
            batches, size = [], 0
        batches.append((header, batch))
        size += len(batch)
    if not batches:
        yield _Part(log, end, log.end, None, 0, is_last=True)
        return
    yield _part(log, end, batches, None)


def _part(
    log: LogCopy, expected_end: int, batches: Sequence[tuple[BatchHeader, bytearray]], last: BatchHeader | None
) -> _Part:
    """These batches; the last of the log if `last` is None. Runs leave no gap between each other: one that compaction
    has made belongs to the run behind it."""
    first = batches[0][0].base_offset
    end = log.end if last is None else last.base_offset + last.last_offset_delta + 1
    segment = Segment(expected_end if expected_end else min(first, log.start), end - 1)
    for header, batch in batches:
        segment.add(header, batch)
    return _Part(log, expected_end, end, segment, segment.length, is_last=last is None)


def _batches(log: LogCopy) -> Iterator[tuple[BatchHeader, bytearray]]:
    for segment in log.segments:
        try:
            for batch in whole_batches(segment.pieces()):
                yield read_header(batch), batch
        except ProtocolError as error:
            place = f"{log.topic}-{log.partition} cannot be read at {segment.base_offset}"
            raise ImportFailed(f"{place}: {error}") from None


def _digest_of_copy(log: LogCopy) -> bytes:
    digest = hashlib.sha256()
    for _, batch in _batches(log):
        digest.update(batch)
    return digest.digest()
