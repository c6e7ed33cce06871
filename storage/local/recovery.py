"""Opening a log: at once if it ends where it should, with proof if not.

**After a clean stop** every log ends at its recovery point. Opening one lists its directory, reads the last index
entries, the few batch headers behind them and the newest producer snapshot. If what is found disagrees with the
recovery point, the stop was not as clean as the marker says, and the log is recovered.

**After an unclean stop** the logs that may have grown are known (`dirty_logs.py`) and recovered at the start. Any other
is opened as after a clean stop, when it is first asked for. That needs no trust in the list: a log that ends, batch
behind batch, exactly at its recovery point has nothing but bytes that were synced, and one that does not is recovered
then.

**Recovery** is, in this order:

1. What lies below the recovery point was synced; it is not read. Indexes are trusted as far as they prove themselves.
2. From the recovery point on, every batch is checked: magic, length, offsets that grow, CRC. The indexes of what was
   read are rebuilt.
3. Where the first batch fails, the log is *torn* if that is above the recovery point and no valid batch follows, in
   this file or in a later one: bytes that were being written when the power went. They are cut off; no producer has
   heard that they were durable. Anything else is *damage*: `Damaged` is raised, the partition stays offline, and
   nothing is touched, because a person may still save what a program would cut.
4. Producers are restored from the newest snapshot inside the log and replayed from there. What step 2 has read is not
   read again, if it was not too much to keep.
5. Leader epochs beyond the end are forgotten.

What was read here is in memory, not for certain on the platter: the log counts as durable only up to its recovery
point until the next sync.

Kafka cuts at the first batch that fails and deletes all later unflushed segments (LogSegment.recover,
LogLoader.recoverLog); step 3 departs from that on purpose.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from kproto.batches.crc32c import crc32c
from kproto.batches.header import ATTRIBUTES_OFFSET, CONTROL, HEADER_SIZE, LOG_OVERHEAD, MAGIC, BatchHeader, header_at
from kproto.errors import KafkaError
from storage.aborted_transactions import AbortedTransactions, CompletedTransaction
from storage.local import leader_epochs, producer_snapshot, transaction_index
from storage.local.descriptors import Descriptors
from storage.local.index_file import DamagedIndex
from storage.local.leader_epochs import LeaderEpochs
from storage.local.log import SNAPSHOT_WORTH, UNOWNED, Contents, Log, LogOwner
from storage.local.segment import MAX_RELATIVE_OFFSET, MOST_SKIMMED, Corrupt, IndexBuilder, Segment, file_name
from storage.local.surroundings import Surroundings
from storage.local.swapping import finish_interrupted
from storage.log_config import LogConfig
from storage.markers import end_marker
from storage.producers import LogProducers
from storage.seams.disk import Disk, File
from storage.seams.logging import get_logger

SCAN_BUFFER: Final = 1 << 20
REFILL_BYTES: Final = 256 << 10
"""Read backwards from a snapshot to complete the producers' windows."""

MOST_KEPT: Final = 20_000
"""Headers of producers' batches that recovery keeps of one log, so that they need not be read again."""

_NAME = re.compile(r"(\d{20})(?:-[^.]*)?\.(log|index|timeindex|txnindex|snapshot)((?:\.[a-z]+)*)\Z")


class Damaged(Exception):
    """The log cannot be opened without losing what was promised to be there. The message is one sentence."""


class Trust(Enum):
    """How a log is opened."""

    CLEAN = "after a clean stop: checked against its recovery point if there is one"
    VERIFY = "after an unclean one: it must end at its recovery point, else it is recovered"
    NONE = "it is recovered"


def load(
    around: Surroundings,
    directory: str,
    config: LogConfig,
    owner: LogOwner = UNOWNED,
    *,
    trust: Trust,
    recovery_point: int | None,
    log_start: int,
    now: int,
    scanned: Callable[[int], None] | None = None,
) -> Log:
    """Open the log in `directory`, which may be absent or empty. Raises Damaged, OSError. Safe in any thread.

    `recovery_point` is None when no checkpoint names the log; `log_start` is where it was moved to, or 0. `now` is
    monotonic time: the producers found count as seen then. `scanned` is called, now and then, with so many bytes
    checked.
    """
    if trust is not Trust.CLEAN and recovery_point is None:
        recovery_point = 0
    if around.disk.is_link(directory):
        raise Damaged(f"{directory} is a link, which is not followed: move what it leads to here, or remove it")
    try:
        names = around.disk.list_directory(directory)
    except FileNotFoundError:
        names = []
    files = _sort_files(around, directory, finish_interrupted(around.disk, directory, names))
    segments = []
    for base_offset in files["log"]:
        size = around.disk.file_size(f"{directory}/{file_name(base_offset, '.log')}")
        segments.append(Segment(around.disk, around.descriptors, directory, base_offset, size or 0))
    if not segments:
        if recovery_point:
            what = "holds no segments" if around.disk.is_directory(directory) else "is missing"
            raise Damaged(
                f"{directory} {what}, but {recovery_point} offsets had been synced: restore it, or delete the topic"
            )
        producers = LogProducers(around.producer_rules)
        nothing = Contents([], log_start, log_start, log_start, LeaderEpochs(), producers, AbortedTransactions(), [])
        return Log(around, directory, config, owner, nothing)
    start = max(log_start, segments[0].base_offset)
    clean = trust is not Trust.NONE
    if clean:
        try:
            end = _end_of_closed_segment(segments[-1], config)
        except Corrupt:
            clean = False
        else:
            if recovery_point is not None and end != recovery_point:
                clean = False
    synced_end = end if clean else recovery_point or 0
    found: _Scanned | None = None
    if not clean:
        found = _Scanned()
        found.scan(segments, synced_end, config, scanned)
        end = found.end
        for segment, position in found.unsynced:
            segment.unsynced_from(position)
        segments[-1].learn_first_timestamp()
    if start > end:
        raise Damaged(f"{directory} ends at offset {end}, but its start had been moved to {start}")
    opening = _Opening(around, directory, config, segments, start, end)
    restored = _restore_producers(opening, files["snapshot"], {*files["txnindex"]}, now, found)
    epochs = _restore_epochs(opening)
    contents = Contents(
        segments, start, end, synced_end, epochs, restored.producers, restored.aborted, restored.snapshots
    )
    log = Log(around, directory, config, owner, contents)
    if restored.needs_snapshot:
        # At once: the batches from which the producers have just been replayed may be deleted before the next roll.
        with contextlib.suppress(OSError):
            log.write_snapshot()
    if found is not None:
        found.cut(around.disk, directory)
        for segment in segments:
            segment.put_away()
    return log


class _Opening(NamedTuple):
    """A log that is being opened: what is known of it before its producers and epochs are."""

    around: Surroundings
    directory: str
    config: LogConfig
    segments: list[Segment]
    start: int
    end: int

    def segments_from(self, offset: int) -> list[Segment]:
        """The segment that holds `offset`, and those behind it."""
        return self.segments[max(0, bisect_right([segment.base_offset for segment in self.segments], offset) - 1) :]


def _sort_files(around: Surroundings, directory: str, names: list[str]) -> dict[str, list[int]]:
    """Offsets in the names of a partition's files, by kind. Finishes deletions that were under way."""
    files: dict[str, list[int]] = {kind: [] for kind in ("log", "index", "timeindex", "txnindex", "snapshot")}
    for name in names:
        match = _NAME.match(name)
        if match is None:
            continue
        offset, kind, suffix = int(match[1]), match[2], match[3]
        if not suffix:
            files[kind].append(offset)
        elif ".deleted" in suffix:
            around.disk.remove(f"{directory}/{name}")
    logs = set(files["log"])
    for kind in ("index", "timeindex", "txnindex"):
        for offset in files[kind]:
            if offset not in logs:
                around.disk.remove(f"{directory}/{file_name(offset, '.' + kind)}")
    return files


# -- after a clean stop ------------------------------------------------------------------------------------------------


def _end_of_closed_segment(segment: Segment, config: LogConfig) -> int:
    """Where the log ends, by indexes and the headers behind their last entries. Raises Corrupt."""
    if not segment.size:
        segment.offset_index.file.start_empty()
        segment.time_index.file.start_empty()
        return segment.base_offset
    try:
        end = segment.find_end()
    except DamagedIndex:
        end = segment.rebuild_indexes(config.index_interval_bytes)
    segment.learn_first_timestamp()
    return end


def ends_at(around: Surroundings, directory: str, recovery_point: int) -> bool:
    """Whether a log that is not open ends, batch behind batch, at its recovery point; False if in doubt.

    Changes nothing, and may be asked in a thread while the log is being opened: then its answer is worth nothing.
    """
    try:
        matches = [_NAME.match(name) for name in around.disk.list_directory(directory)]
        files = [match for match in matches if match is not None]
        if any(match[3] for match in files):
            return False  # something was under way
        base_offset = max([int(match[1]) for match in files if match[2] == "log"], default=None)
        if base_offset is None:
            return recovery_point == 0
        size = around.disk.file_size(f"{directory}/{file_name(base_offset, '.log')}") or 0
        segment = Segment(around.disk, Descriptors(0), directory, base_offset, size)
        if not size:
            return base_offset == recovery_point
        try:
            *_, (_, last) = segment.headers_from(recovery_point - 1)
        except DamagedIndex:
            if size > MOST_SKIMMED:
                return False
            *_, (_, last) = segment.headers(0)
        return last.next_offset == recovery_point
    except (OSError, Corrupt, ValueError):
        return False


# -- after an unclean stop ---------------------------------------------------------------------------------------------


Numbered = tuple[Segment, int, BatchHeader]
"""A batch that has a producer id: where it is, and its header."""


class _Scanned:
    """What recovery has found: where the log ends, which bytes have yet to be synced, and what is torn."""

    def __init__(self) -> None:
        self.begin = 1 << 63  # every batch from this offset on was looked at
        self.end = 0
        self.numbered: list[Numbered] = []  # batches of producers with ids, of those looked at
        self.unsynced: list[tuple[Segment, int]] = []
        self.torn: Segment | None = None
        self.empty: list[Segment] = []  # without valid batches, behind what is torn or lost

    def scan(
        self, segments: list[Segment], recovery_point: int, config: LogConfig, scanned: Callable[[int], None] | None
    ) -> None:
        """Check all batches from the recovery point on. Raises Damaged.

        A torn end is left out of `segments`, as if it were cut off already. That is done by `cut`, when nothing can go
        wrong any more: a log that turns out to be damaged elsewhere is left as it is.
        """
        first = max(0, bisect_right([segment.base_offset for segment in segments], recovery_point) - 1)
        self.end = segments[first].base_offset
        for number in range(first, len(segments)):
            segment = segments[number]
            if segment.base_offset < self.end:
                raise Damaged(
                    f"{segment.path('.log')} begins below offset {self.end}, where the segment before it ends"
                )
            before = self.end
            # Bytes in front of this one were lost, up to the end of a batch? Without valid batches it goes with them,
            # as it would behind torn ones: the log would have a hole.
            behind_a_hole = number > first and before < segment.base_offset > recovery_point
            if behind_a_hole and not any(later.size for later in segments[number:]):
                self.leave_out(segments, number)
                break
            self.end = segment.base_offset
            start = _start_of_scan(segment, recovery_point) if number == first and segment.size else 0
            if number == first and not start:
                self.begin = segment.base_offset
            if not segment.size:
                segment.offset_index.file.start_empty()
                segment.time_index.file.start_empty()
                continue
            builder = IndexBuilder(segment, config.index_interval_bytes, start)
            builder.skim()
            position = start
            least = segment.base_offset
            for position, header in _checked_batches(segment, start, scanned):
                builder.add(position, header)
                if position and position == start:
                    self.begin = header.base_offset
                if header.producer_id >= 0 and len(self.numbered) <= MOST_KEPT:
                    self.numbered.append((segment, position, header))
                least = header.base_offset + header.last_offset_delta + 1
                position += LOG_OVERHEAD + header.batch_length
            if position < segment.size:
                _judge_torn(segments, number, position, least, recovery_point)
                if behind_a_hole and not position:
                    self.end = before
                    self.leave_out(segments, number)
                    break
                segment.end_at(position)
                self.leave_out(segments, number + 1, torn=segment)
                builder.finish()
                self.end = max(least, self.end)
                self.unsynced.append((segment, start))
                break
            builder.finish()
            segment.put_away()
            self.end = max(least, self.end)
            self.unsynced.append((segment, start))
        if self.end < recovery_point:
            raise Damaged(
                f"{segments[-1].path('.log')} ends at offset {self.end}, but {recovery_point} had been synced"
            )

    def numbered_from(self, offset: int) -> list[Numbered] | None:
        """Every batch from `offset` on that has a producer id, if all of them are at hand."""
        if offset < self.begin or len(self.numbered) > MOST_KEPT:
            return None
        return [batch for batch in self.numbered if batch[2].base_offset >= offset]

    def leave_out(self, segments: list[Segment], number: int, torn: Segment | None = None) -> None:
        """Go on without segment `number` and those behind it; `torn` is the one before, if its end is."""
        self.torn = torn
        self.empty = segments[number:]
        del segments[number:]

    def cut(self, disk: Disk, directory: str) -> None:
        """Cut the torn end off its file, and take away the empty segments behind it; durably, for what is appended from
        now on may begin another segment, and a torn end with one behind it would be damage."""
        if self.torn is not None:
            file, size = self.torn.file, self.torn.size
            get_logger("storage").warning(
                "torn end of log cut off", file=self.torn.path(".log"), kept_bytes=size, cut_bytes=file.size() - size
            )
            file.truncate(size)
            file.datasync()
        for segment in self.empty:
            segment.remove_files()
        if self.empty:
            disk.sync_directory(directory)


def _start_of_scan(segment: Segment, recovery_point: int) -> int:
    """Where to begin checking: at the indexed batch before the recovery point, or at 0 if the indexes are no help."""
    try:
        if segment.time_index.last is None:
            return 0
        # The batch where a look-up begins has proved its entry. Another look-up of what this one has found might find
        # another entry, in a damaged index.
        position, _ = next(segment.headers_from(recovery_point - 1))
        return position
    except (DamagedIndex, Corrupt, StopIteration):
        return 0


def _checked_batches(
    segment: Segment, position: int, scanned: Callable[[int], None] | None = None
) -> Iterator[tuple[int, BatchHeader]]:
    """(position, header) of each valid batch from `position`; ends at the first that is not."""
    file, size, least = segment.file, segment.size, segment.base_offset
    farthest = least + MAX_RELATIVE_OFFSET
    buffer = bytearray(min(SCAN_BUFFER, size - position))
    while position < size:
        got = file.read_into(position, memoryview(buffer)[: min(len(buffer), size - position)])
        view = memoryview(buffer)[:got]
        start, offset = position, 0
        while offset + HEADER_SIZE <= got:
            header = header_at(buffer, offset)
            length = LOG_OVERHEAD + header.batch_length
            if header.magic != MAGIC or length < HEADER_SIZE or header.last_offset_delta < 0:
                return
            if not least <= header.base_offset <= farthest - header.last_offset_delta:
                return
            if offset + length > got:
                break
            if crc32c(view[offset + ATTRIBUTES_OFFSET : offset + length]) != header.crc:
                return
            yield start + offset, header
            least = header.base_offset + header.last_offset_delta + 1
            offset += length
        view.release()
        position += offset
        if scanned is not None:
            scanned(offset)
        if offset == 0:
            if got < HEADER_SIZE or position + length > size:
                return
            buffer = bytearray(length)  # a batch larger than the buffer


def _judge_torn(segments: list[Segment], number: int, position: int, least: int, recovery_point: int) -> None:
    """There is no valid batch at `position`. Raises Damaged unless that is how a write that was under way looks."""
    segment = segments[number]
    where = f"{segment.path('.log')} has no valid batch at byte {position} (offset {least})"
    if least < recovery_point:
        raise Damaged(f"{where}, but everything below offset {recovery_point} had been synced")
    for later in segments[number + 1 :]:
        if later.size:
            raise Damaged(f"{where}, but later segments hold records")
    following = find_batch(segment.file, position, segment.size, range(least, segment.base_offset + (1 << 31)))
    if following is not None:
        raise Damaged(f"{where}, but valid ones follow at byte {following}")


def find_batch(file: File, position: int, size: int, offsets: range) -> int | None:
    """Where the first valid batch begins, at any byte from `position` on.

    It must have one of `offsets`: a record's value may hold a batch of another log, and a torn one with such a value is
    torn all the same. Not so at `position` itself: offsets lie outside the CRC, and one with a flipped bit must not
    make the rest look torn.
    """
    first = position
    window = 1 << 20
    overlap = HEADER_SIZE - 1
    while position + HEADER_SIZE <= size:
        data = file.read(position, min(window, size - position))
        at = data.find(MAGIC, 16)
        while at >= 0 and at - 16 + HEADER_SIZE <= len(data):
            begin = at - 16
            header = header_at(data, begin)
            length = LOG_OVERHEAD + header.batch_length
            if (
                HEADER_SIZE <= length <= size - position - begin
                and header.last_offset_delta >= 0
                and (header.base_offset in offsets or position + begin == first)
                and crc32c(file.read(position + begin + ATTRIBUTES_OFFSET, length - ATTRIBUTES_OFFSET)) == header.crc
            ):
                return position + begin
            at = data.find(MAGIC, at + 1)
        position += max(1, len(data) - overlap)
    return None


# -- producers and epochs ----------------------------------------------------------------------------------------------


class _Restored(NamedTuple):
    """What a log knows of its producers."""

    producers: LogProducers
    aborted: AbortedTransactions
    snapshots: list[int]  # offsets of those that are there and may be used
    needs_snapshot: bool  # the newest snapshot could not be read, or there was none, or it was far away


def _restore_producers(
    opening: _Opening, snapshots: list[int], indexed_segments: set[int], now: int, scanned: _Scanned | None
) -> _Restored:
    """The log's producers and aborted transactions, from its files and the batches behind the newest snapshot."""
    around, directory, end = opening.around, opening.directory, opening.end
    for offset in [offset for offset in snapshots if offset > end]:
        around.disk.remove(f"{directory}/{file_name(offset, '.snapshot')}")
    snapshots = [offset for offset in snapshots if offset <= end]
    indexed = _read_transaction_indexes(opening, indexed_segments)
    begin = opening.segments[0].base_offset
    # Without the transaction indexes all of the log is replayed, from a snapshot at its first segment if there is one.
    usable = [offset for offset in snapshots if offset >= begin and (indexed is not None or offset == begin)]
    producers = LogProducers(around.producer_rules)
    unreadable = False
    for offset in reversed(usable):
        data = around.disk.read_file(f"{directory}/{file_name(offset, '.snapshot')}")
        states = producer_snapshot.decode(data or b"")
        if states is not None:
            producers.restore(states, now)
            _refill(producers, opening, offset)
            begin = offset
            break
        snapshots.remove(offset)
        unreadable = True
    known = indexed[-1].last_offset if indexed else -1
    news: list[CompletedTransaction] = []
    if begin < end:
        batches = None if scanned is None else scanned.numbered_from(begin)
        for completed in _replay(producers, batches if batches is not None else _numbered(opening, begin), now):
            if completed.aborted and completed.last_offset > known:
                news.append(completed)
    spans = [*(indexed or ()), *news]
    aborted = AbortedTransactions(spans)
    aborted.drop_before(opening.start)
    if news or indexed is None:
        _write_transaction_indexes(opening, spans)
    needs_snapshot = unreadable or (not usable and len(producers) > 0) or _is_far(opening, begin)
    return _Restored(producers, aborted, snapshots, needs_snapshot)


def _is_far(opening: _Opening, begin: int) -> bool:
    """Whether so much lies behind offset `begin` that the next opening should have a snapshot behind it."""
    size = 0
    for segment in opening.segments_from(begin):
        size += segment.size
        if begin > segment.base_offset:
            with contextlib.suppress(DamagedIndex):
                size -= segment.position_at(begin)
    return size >= SNAPSHOT_WORTH


def _replay(producers: LogProducers, batches: Iterable[Numbered], now: int) -> Iterator[CompletedTransaction]:
    """Let the producers have sent these batches; the transactions that ended meanwhile."""
    for segment, position, header in batches:
        if not header.attributes & CONTROL:
            producers.apply(header, header.base_offset, now)
            continue
        try:
            marker = end_marker(header, segment.read_batch(position, header))
        except KafkaError:
            continue
        if marker is not None:
            completed = producers.apply_marker(header, marker, header.base_offset, now)
            if completed is not None:
                yield completed


def _numbered(opening: _Opening, begin: int) -> Iterator[Numbered]:
    """Every batch from offset `begin` on that has a producer id."""
    for segment in opening.segments_from(begin):
        for position, header in _headers_from(opening, segment, begin):
            if header.base_offset >= begin and header.producer_id >= 0:
                yield segment, position, header


def _headers_from(opening: _Opening, segment: Segment, offset: int) -> Iterator[tuple[int, BatchHeader]]:
    if not segment.size:
        return iter(())
    try:
        if offset > segment.base_offset:
            next(segment.headers_from(offset), None)
            return segment.headers_from(offset)
    except DamagedIndex:
        segment.rebuild_indexes(opening.config.index_interval_bytes)
        return segment.headers_from(offset)
    return segment.headers(0)


def _refill(producers: LogProducers, opening: _Opening, offset: int) -> None:
    """Complete the windows of restored producers from the batches just before `offset`."""
    if not producers.wants_refill:
        return
    segment = opening.segments_from(offset - 1)[0]
    if not segment.size:
        return
    try:
        position = segment.find(offset)
        far = position > REFILL_BYTES
        headers = [
            header
            for _, header in (segment.headers_near(position - REFILL_BYTES) if far else segment.headers(0))
            if header.base_offset < offset and not header.attributes & CONTROL
        ]
    except (DamagedIndex, Corrupt):
        return  # the windows stay short, as Kafka's do
    producers.refill(reversed(headers))


def _read_transaction_indexes(opening: _Opening, indexed_segments: set[int]) -> list[CompletedTransaction] | None:
    """The aborted transactions that the indexes know; None when one of them is damaged."""
    spans: list[CompletedTransaction] = []
    for segment in opening.segments:
        if segment.base_offset in indexed_segments:
            data = opening.around.disk.read_file(segment.path(".txnindex")) or b""
            entries = transaction_index.decode(data, segment.base_offset, 1 << 63)
            if not entries or (spans and entries[0].last_offset <= spans[-1].last_offset):
                return None
            spans += [entry for entry in entries if entry.last_offset < opening.end]
    return spans


def _write_transaction_indexes(opening: _Opening, spans: list[CompletedTransaction]) -> None:
    segments, disk = opening.segments, opening.around.disk
    for number, segment in enumerate(segments):
        end = segments[number + 1].base_offset if number + 1 < len(segments) else opening.end
        mine = [done for done in spans if segment.base_offset <= done.last_offset < end]
        if mine:
            disk.write_file(segment.path(".txnindex"), transaction_index.encode(mine))
        else:
            disk.remove(segment.path(".txnindex"))


def _restore_epochs(opening: _Opening) -> LeaderEpochs:
    """The log's leader epochs, from their file or, if that is missing or damaged, from the batches."""
    disk, path = opening.around.disk, f"{opening.directory}/{leader_epochs.NAME}"
    data = disk.read_file(path)
    epochs = leader_epochs.decode(data) if data is not None else None
    if epochs is not None and (epochs.entries or opening.end == opening.start):
        epochs.truncate_end(max(opening.end, 1))
        return epochs
    epochs = _read_epochs(opening)
    with contextlib.suppress(OSError):
        disk.write_file(path, epochs.encode())
    return epochs


def _read_epochs(opening: _Opening) -> LeaderEpochs:
    """The leader epochs that the batches bear."""
    epochs = LeaderEpochs()
    filled = [segment for segment in opening.segments if segment.size]
    if filled:  # mostly there has been one epoch only, and the two ends show it
        _, first = next(filled[0].headers(0))
        *_, (_, last) = _headers_from(opening, filled[-1], opening.end - 1)
        if first.partition_leader_epoch == last.partition_leader_epoch:
            epochs.assign(first.partition_leader_epoch, first.base_offset)
            return epochs
    for segment in filled:
        for _, header in segment.headers(0):
            epochs.assign(header.partition_leader_epoch, header.base_offset)
    return epochs
