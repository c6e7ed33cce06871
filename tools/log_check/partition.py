"""One partition's directory: its files, what they say, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from kproto.ids import ZERO_UUID, format_uuid
from storage.local import leader_epochs, partition_metadata
from storage.local.checkpoints import CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS
from storage.local.segment import file_name
from tools.log_check.findings import Finding, Findings, Known, plural
from tools.log_check.quorum import quorum_findings
from tools.log_check.segments import LogScan, SegmentFiles
from tools.log_check.witnesses import (
    REBUILT,
    EpochWitness,
    OffsetIndexWitness,
    Replay,
    SnapshotWitness,
    TimeIndexWitness,
    TransactionIndexWitness,
    Witness,
)
from tools.log_files.names import FileName, Kind, directory_named, file_named

OF_A_LOG: Final = frozenset({".log", ".index", ".timeindex", ".txnindex", ".snapshot", ".checkpoint"})
ALWAYS_COMPACTED: Final = frozenset({"__consumer_offsets", "__transaction_state"})
MOST_GAPS: Final = 5


class Counted(NamedTuple):
    """How much was looked at."""

    logs: int = 0
    segments: int = 0
    batches: int = 0
    records: int = 0
    size: int = 0

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class PartitionCheck:
    """Checks one directory. `counted` is known when `findings` has been used up."""

    def __init__(self, directory: Path, known: Known, *, records: bool = False) -> None:
        self.directory = directory
        self.counted = Counted(logs=1)
        self.topic_id: bytes | None = None
        self._known = known
        self._records = records
        self._name = directory_named(directory.resolve().name)
        self._swapping = False  # compaction was replacing segments: old ones may be gone in part

    def findings(self) -> Iterator[Finding]:
        """Everything that is not as it should be. Raises OSError."""
        files: dict[Kind, list[int]] = {}
        names = sorted(entry.name for entry in self.directory.iterdir())
        for name in names:
            named = file_named(name)
            if named is None or named.state or named.kind in (Kind.META_PROPERTIES, Kind.OFFSETS, Kind.CLEAN_SHUTDOWN):
                yield from self._odd(name, named)
            else:
                files.setdefault(named.kind, []).append(named.offset or 0)
        yield from self._orphans(files)
        yield from self._metadata(names)
        yield from self._log(files, names)

    # -- names ---------------------------------------------------------------------------------------------------------

    def _odd(self, name: str, named: FileName | None) -> Iterator[Finding]:
        path = self.directory / name
        if named is None:
            endings = set(path.suffixes) & OF_A_LOG
            if endings:
                yield Finding(path, "its name does not fit: it has no offset of twenty digits in front")
            elif not name.endswith(".tmp"):
                yield Finding(path, "nothing of a log is called so; it is left alone", note=True)
        elif ".swap" in named.state:
            self._swapping = True
            words = "a compaction was interrupted while it replaced segments; the next start brings it to its end"
            yield Finding(path, words, note=not self._known.clean)
        elif named.kind is Kind.METADATA_SNAPSHOT:
            how = "was about to be removed" if ".deleted" in named.state else "did not get to its end"
            yield Finding(path, f"a snapshot that {how}; it goes when the next one is written", note=True)
        elif named.state:
            left = "removed segment" if ".deleted" in named.state else "compaction that did not get to its end"
            yield Finding(path, f"it is left of a {left}; the next start, or time, removes it", note=True)
        else:
            yield Finding(path, "its place is above the partitions' directories; here it is not read")

    def _orphans(self, files: dict[Kind, list[int]]) -> Iterator[Finding]:
        segments = files.get(Kind.SEGMENT, [])
        for kind, suffix in _BESIDE.items():
            for offset in files.get(kind, []):
                if offset not in segments:
                    path = self.directory / file_name(offset, suffix)
                    expected = self._known.running or self._swapping
                    removed = expected or (bool(segments) and offset < segments[0])
                    what = "was removed before it" if removed else "is missing"
                    yield Finding(path, f"its segment {file_name(offset, '.log')} {what}", note=removed)

    # -- partition.metadata --------------------------------------------------------------------------------------------

    def _metadata(self, names: list[str]) -> Iterator[Finding]:
        path = self.directory / partition_metadata.NAME
        if partition_metadata.NAME not in names:
            yield Finding(path, "there is none; the next opening of the log writes it", note=True)
            return
        found = partition_metadata.decode(path.read_bytes())
        self.topic_id = found
        if found is None:
            yield Finding(path, "it is unreadable; the next opening of the log writes it again")
        elif self._known.topic_id not in (None, found, ZERO_UUID):
            assert self._known.topic_id is not None
            topic = self._name.topic if self._name is not None else ""
            yield Finding(
                path,
                f"it has topic id {format_uuid(found)}, but {topic} has {format_uuid(self._known.topic_id)}: the log "
                "is of an older topic of that name, or of another cluster, and is set aside when next used",
            )

    # -- the log -------------------------------------------------------------------------------------------------------

    def _log(self, files: dict[Kind, list[int]], names: list[str]) -> Iterator[Finding]:
        known = self._known
        bases = files.get(Kind.SEGMENT, [])
        snapshots: list[SnapshotWitness] = []
        states = None
        for offset in files.get(Kind.PRODUCER_SNAPSHOT, []):
            path = self.directory / file_name(offset, ".snapshot")
            witness = SnapshotWitness(path, path.read_bytes(), offset)
            snapshots.append(witness)
            if bases and offset == bases[0]:
                states = witness.states
        whole_log: list[Witness] = [*snapshots]
        epochs = yield from self._epochs(names, bool(bases))
        if epochs is not None:
            whole_log.append(epochs)
        segments: list[SegmentFiles] = []
        for base in bases:
            segments.append((yield from self._segment(base, base == bases[-1], names)))
        replay = Replay(states or [], states is not None or bases[:1] == [0])
        scan = LogScan(segments, known, replay, whole_log, self._records)
        yield from scan.findings()
        yield from self._gaps(scan)
        if bases and not known.running:
            yield from self._bounds(scan.end)
        elif not bases and known.recovery_point:
            yield Finding(self.directory, f"it holds no segments, but {known.recovery_point} offsets had been synced")
        yield from quorum_findings(self.directory, names, bases, scan.end, known)
        size = sum(segment.size for segment in segments)
        self.counted = Counted(1, len(segments), scan.batches, scan.records, size)

    def _epochs(self, names: list[str], has_segments: bool) -> Findings[EpochWitness | None]:
        path = self.directory / leader_epochs.NAME
        if leader_epochs.NAME not in names:
            if has_segments:
                yield Finding(path, f"there is none; {REBUILT}", note=True)
            return None
        epochs = leader_epochs.decode(path.read_bytes())
        if epochs is None:
            yield Finding(path, f"it is unreadable: no whole file of this kind, or its epochs do not grow; {REBUILT}")
            return None
        # At work, a broker may have moved the start on since that was read.
        return EpochWitness(path, epochs, None if self._known.running else self._known.log_start)

    def _segment(self, base: int, newest: bool, names: list[str]) -> Findings[SegmentFiles]:
        path = self.directory / file_name(base, ".log")
        size = path.stat().st_size
        if not size and not newest:
            # Kafka leaves such a one where it has compacted all of it away (FORMAT.md, "A compacted log").
            compacted = bool(self._known.compacted or self._known.cleaner_offset)
            yield Finding(path, "it is empty, although it is not the newest segment", note=compacted)
        witnesses: list[Witness] = []
        kinds = ((OffsetIndexWitness, ".index"), (TimeIndexWitness, ".timeindex"))
        for kind, suffix in kinds:
            index = self.directory / file_name(base, suffix)
            if index.name in names:
                witnesses.append(kind(index, index.read_bytes(), base))
            elif size and not (newest and not self._known.clean):
                note = not self._known.clean or self._known.is_backup
                yield Finding(index, f"it is missing; {REBUILT}", note=note)
        aborted = self.directory / file_name(base, ".txnindex")
        data = aborted.read_bytes() if aborted.name in names else None
        return SegmentFiles(path, base, size, witnesses, TransactionIndexWitness(aborted, data, base))

    def _gaps(self, scan: LogScan) -> Iterator[Finding]:
        """Offsets without a record are what compaction leaves, and nothing else does."""
        topic = self._name.topic if self._name is not None else ""
        if scan.compacted or self._known.compacted or self._known.cleaner_offset or topic in ALWAYS_COMPACTED:
            return
        for gap in scan.gaps[:MOST_GAPS]:
            missing = f"offsets {gap.start} to {gap.end - 1} are missing: offsets are not dense"
            yield Finding(gap.path, f"{missing}, and nothing says that the log was ever compacted")
        if len(scan.gaps) > MOST_GAPS:
            yield Finding(self.directory, f"{plural(len(scan.gaps) - MOST_GAPS, 'more gap')} in its offsets")

    def _bounds(self, end: int) -> Iterator[Finding]:
        """The checkpoints' words about this log against where it ends."""
        known = self._known
        for what, checkpoint, offset, consequence in (
            ("recovery point", RECOVERY_POINTS, known.recovery_point, "records that had been synced are gone"),
            ("start", LOG_STARTS, known.log_start, "records that were not deleted are gone"),
            ("high watermark", HIGH_WATERMARKS, known.high_watermark, "records that had been readable are gone"),
            ("cleaner's offset", CLEANER_OFFSETS, known.cleaner_offset, "what it has cleaned is gone"),
        ):
            if offset is not None and offset > end:
                says = f"its {what} is {offset} (by {checkpoint}), but it ends at {end}"
                yield Finding(self.directory, f"{says}: {consequence}, or that file is of another log")
        if known.clean and known.recovery_point is not None and known.recovery_point < end:
            yield Finding(
                self.directory,
                f"its recovery point is {known.recovery_point} and it ends at {end}, although the last stop was a "
                "clean one; the next start recovers it",
            )


_BESIDE: Final = {Kind.OFFSET_INDEX: ".index", Kind.TIME_INDEX: ".timeindex", Kind.TRANSACTION_INDEX: ".txnindex"}


def is_partition(directory: Path) -> bool:
    """Whether a directory looks like a partition's: by its files or, if it has none, by its name."""
    names = [entry.name for entry in directory.iterdir()]
    if any(directory_named(name) for name in names):
        return False
    kinds = {named.kind for name in names if (named := file_named(name)) is not None}
    if kinds & {Kind.META_PROPERTIES, Kind.OFFSETS}:
        return False
    inside = {Kind.SEGMENT, Kind.PARTITION_METADATA, Kind.LEADER_EPOCHS, *_BESIDE, Kind.PRODUCER_SNAPSHOT}
    return bool(kinds & inside) or (not names and directory_named(directory.resolve().name) is not None)
