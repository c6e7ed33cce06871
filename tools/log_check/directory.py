"""A data directory: the files at its top, its partitions, and what either says about the other."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from kproto.ids import format_uuid
from storage.local import checkpoints, reserve
from storage.local.checkpoints import TopicPartitionKey
from storage.local.copied_files import BACKUP_MANIFEST
from storage.local.directory import SECURED
from tools.log_check.cluster import Topics, read_topics
from tools.log_check.findings import Finding, Known
from tools.log_check.partition import Counted, PartitionCheck
from tools.log_files.lines import of_file
from tools.log_files.names import METADATA_TOPIC, Kind, directory_named, file_named

OFFSETS: Final = {
    checkpoints.RECOVERY_POINTS: "every log will be read through from its beginning",
    checkpoints.LOG_STARTS: "without it, deleted records would come back, so the broker does not start",
    checkpoints.HIGH_WATERMARKS: "Kafka takes every high watermark for 0 and moves it up again",
    checkpoints.CLEANER_OFFSETS: "compaction starts over",
}


class DirectoryCheck:
    """Checks a data directory. `counted` is known when `findings` has been used up."""

    def __init__(self, directory: Path, *, records: bool = False) -> None:
        self.directory = directory
        self.counted = Counted()
        self.running = lock_holder(directory) is not None
        self._records = records
        self._offsets: dict[str, dict[TopicPartitionKey, int] | None] = {}
        self._topics: Topics | None = None

    def findings(self) -> Iterator[Finding]:
        """Everything that is not as it should be. Raises OSError."""
        partitions: list[Path] = []
        for entry in sorted(self.directory.iterdir()):
            if entry.is_dir() and (named := directory_named(entry.name)) is not None:
                if named.state:
                    yield Finding(entry, _ON_THEIR_WAY[named.state], note=True)
                else:
                    partitions.append(entry)
            else:
                yield from self._top(entry)
        if not (self.directory / checkpoints.META_PROPERTIES).exists():
            path = self.directory / checkpoints.META_PROPERTIES
            yield Finding(path, "it is missing: whose directory this is cannot be known, and no broker starts on it")
        yield from self._strangers(partitions)
        self._topics = read_topics(self.directory)
        ids: dict[str, tuple[Path, bytes]] = {}
        for path in partitions:
            try:
                yield from self._partition(path, ids)
            except FileNotFoundError as error:
                if not self.running:
                    raise
                yield Finding(path, f"{error.filename} was removed while the check was at work", note=True)

    # -- the top -------------------------------------------------------------------------------------------------------

    def _top(self, path: Path) -> Iterator[Finding]:
        named = file_named(path.name)
        if path.name in OFFSETS:
            offsets = self._offsets[path.name] = checkpoints.decode_offsets(path.read_bytes())
            if offsets is None:
                yield Finding(path, f"it is unreadable: no whole file of this kind; {OFFSETS[path.name]}")
            else:
                for (topic, partition), offset in offsets.items():
                    if offset < 0:
                        yield Finding(path, f"it has offset {offset} for {topic}-{partition}")
        elif named is not None and named.kind is Kind.DIRTY_LOGS:
            for line in of_file(path):
                if line["type"] == "unreadable":
                    yield Finding(path, f"it is unreadable: {line['reason']}", note=True)
        elif named is not None and named.kind in (Kind.META_PROPERTIES, Kind.CLEAN_SHUTDOWN, Kind.LOCK):
            for line in of_file(path):
                if line["type"] == "unreadable":
                    yield Finding(path, f"it is unreadable: {line['reason']}")
        elif named is not None and named.kind is Kind.METADATA_SNAPSHOT:
            for line in of_file(path, records=True):
                if line["type"] in ("hole", "unreadable") or line.get("crc_valid") is False:
                    yield Finding(path, f"it is damaged: {line.get('reason', 'the CRC of a batch is wrong')}")
        elif named is not None:
            yield Finding(path, "its place is in a partition's directory; here it is not read")
        elif path.name not in (reserve.NAME, SECURED, BACKUP_MANIFEST) and not path.name.endswith(".tmp"):
            yield Finding(path, "nothing of a data directory is called so; it is left alone", note=True)

    def _strangers(self, partitions: list[Path]) -> Iterator[Finding]:
        """Checkpoint entries of logs that are not there."""
        there = {path.name for path in partitions}
        for name, offsets in self._offsets.items():
            for topic, partition in offsets or ():
                if f"{topic}-{partition}" not in there:
                    what = f"it names {topic}-{partition}, of which there is no directory"
                    yield Finding(self.directory / name, what, note=True)

    # -- partitions ----------------------------------------------------------------------------------------------------

    def _partition(self, path: Path, ids: dict[str, tuple[Path, bytes]]) -> Iterator[Finding]:
        check = PartitionCheck(path, self.known(path), records=self._records)
        yield from check.findings()
        self.counted = self.counted.plus(check.counted)
        name = directory_named(path.name)
        assert name is not None
        if check.topic_id is None or name.topic == METADATA_TOPIC:
            return
        if self._topics is not None:
            if name.topic not in self._topics.ids:
                yield Finding(path, f"the cluster has no topic {name.topic}: this is not read", note=True)
            return
        first, expected = ids.setdefault(name.topic, (path, check.topic_id))
        if check.topic_id != expected:
            yield Finding(
                path / "partition.metadata",
                f"it has topic id {format_uuid(check.topic_id)}, but {first.name} of the same topic has "
                f"{format_uuid(expected)}",
            )

    def known(self, path: Path) -> Known:
        """What this directory says about one of its logs."""
        name = directory_named(path.name)
        assert name is not None
        key = (name.topic, name.partition)

        def offset(checkpoint: str) -> int | None:
            return (self._offsets.get(checkpoint) or {}).get(key)

        topics, starts = self._topics, self._offsets.get(checkpoints.LOG_STARTS)
        if name.topic == METADATA_TOPIC:
            starts = None  # a quorum's log starts where its newest snapshot ends
        return Known(
            clean=(self.directory / checkpoints.CLEAN_SHUTDOWN).exists(),
            is_backup=(self.directory / BACKUP_MANIFEST).exists(),
            running=self.running,
            recovery_point=offset(checkpoints.RECOVERY_POINTS),
            # A log that the checkpoint does not name starts with its first segment.
            log_start=None if starts is None else starts.get(key, 0),
            high_watermark=offset(checkpoints.HIGH_WATERMARKS),
            cleaner_offset=offset(checkpoints.CLEANER_OFFSETS),
            topic_id=topics.ids.get(name.topic) if topics is not None else None,
            compacted=topics.compacted(name.topic) if topics is not None else None,
        )

    def looks_right(self) -> bool:
        """Whether this is a data directory at all. Raises OSError."""
        return any(
            directory_named(entry.name) is not None or file_named(entry.name) is not None
            for entry in self.directory.iterdir()
        )

    def read_checkpoints(self) -> None:
        """Read what `known` returns, without checking anything but one partition."""
        for name in OFFSETS:
            path = self.directory / name
            if path.exists():
                self._offsets[name] = checkpoints.decode_offsets(path.read_bytes())
        self._topics = read_topics(self.directory)


def known_of(partition: Path) -> Known:
    """What the data directory above a partition's says about it; nothing if it is none. Raises OSError."""
    above = DirectoryCheck(partition.resolve().parent)
    if not (above.directory / checkpoints.META_PROPERTIES).exists():
        return Known()
    above.read_checkpoints()
    return above.known(partition.resolve())


_ON_THEIR_WAY: Final = {
    "delete": "the log of a deleted topic; it is being removed",
    "stray": "a log of a topic that is no more, set aside for people to look at",
    "future": "a log that was being moved here from another directory",
}


def lock_holder(directory: Path) -> int | None:
    """The process that runs on a data directory, by the lock it holds; None if none does, or if that is unknown.

    The lock is asked after and not taken: a broker that starts just now must find it free.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    layout, kind, holder = ("qqihh", 3, 2) if sys.platform == "darwin" else ("hhqqi4x", 0, 4)
    fields = [0] * 5
    fields[kind] = fcntl.F_WRLCK
    with suppress(OSError):
        descriptor = os.open(directory / checkpoints.LOCK, os.O_RDONLY)
        try:
            found = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *fields)))
            return None if found[kind] == fcntl.F_UNLCK else found[holder]
        finally:
            os.close(descriptor)
    return None
