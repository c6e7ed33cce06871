"""The data directory itself: whose it is, who holds it, which logs lie in it, and its checkpoints.

Synchronous and unaware of open logs; the engine above calls it in threads where it waits for the disk.

**A log is where its directory is.** `present` is filled by one listing at the start and kept up with what is made,
renamed and removed since, so that a start costs one system call however many logs there are.

**Offsets of logs that are gone are forgotten before their names are.** A recovery point or log start that outlived its
log would accuse a new log of the same name of having lost records. So they are dropped, durably, before a directory is
renamed, and again at the start for directories that somebody removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from kproto.batches.crc32c import crc32c
from kproto.ids import ZERO_UUID, format_uuid
from storage.engine import StoreError
from storage.local import checkpoints, dirty_logs, partition_metadata, reserve
from storage.local.dirty_logs import DirtyLogs
from storage.local.reserve import Reserve
from storage.seams.disk import Disk, Lock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger

MAX_NAME: Final = 255

_LOG = re.compile(r"([a-zA-Z0-9._-]{1,249})-(\d{1,10})\Z")
_LEFTOVER = re.compile(r".*\.[0-9a-f]{32}-(delete|stray|future)\Z")
_KNOWN_FILES = frozenset(
    {
        checkpoints.RECOVERY_POINTS,
        checkpoints.LOG_STARTS,
        checkpoints.HIGH_WATERMARKS,
        checkpoints.CLEANER_OFFSETS,
        checkpoints.META_PROPERTIES,
        checkpoints.CLEAN_SHUTDOWN,
        checkpoints.LOCK,
        dirty_logs.NAME,
        reserve.NAME,
        "bootstrap.checkpoint",
    }
)

Key = tuple[str, int]
"""Topic and partition: what a log is called in names and checkpoints."""


class DataDirectory:
    """One directory of logs."""

    def __init__(self, path: str, disk: Disk, entropy: Entropy, node_id: int, cluster_id: str | None) -> None:
        self.path = path.rstrip("/") or "/"
        self._disk = disk
        self._entropy = entropy
        self._node_id = node_id
        self._wanted_cluster_id = cluster_id
        self._lock: Lock | None = None
        self._log = get_logger("storage")
        self.identity: checkpoints.MetaProperties | None = None
        self.present: dict[Key, bytes | None] = {}
        """The logs there are; the topic id of each, once somebody has looked."""
        self.recovery_points: dict[Key, int] = {}
        self.log_starts: dict[Key, int] = {}
        self.clean_offsets: dict[Key, int] = {}
        """Up to where each compacted log is clean."""
        self.dirty_logs = DirtyLogs(disk, self.path)
        self.reserve = Reserve(disk, self.path)
        self.checksum = 0
        """Of the recovery-point file, as it was last written or read."""
        self.listed: set[Key] | None = None
        """After an unclean stop: the logs that may have grown since their recovery points were written, those of them
        that are there; None when nobody knows."""
        self.leftovers: list[str] = []
        """Directories of logs that an earlier run has deleted and not yet removed."""

    # -- possession ----------------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """True between `take_possession` and `give_up`."""
        return self._lock is not None

    def take_possession(self) -> bool:
        """Lock, identify and list the directory; make it if it is new. True if no log needs recovery.

        Raises InUse, StoreError, OSError; `give_up` then lets go of the lock.
        """
        disk, path = self._disk, self.path
        self._make_durably(path)
        self._lock = disk.lock(f"{path}/{checkpoints.LOCK}")
        names = disk.list_directory(path)
        self._identify(names)
        self.reserve.make()
        self.recovery_points = self._read_checkpoint(checkpoints.RECOVERY_POINTS)
        self.checksum = crc32c(disk.read_file(f"{path}/{checkpoints.RECOVERY_POINTS}") or b"")
        listed = self.dirty_logs.read(self.checksum)
        self.log_starts = self._read_checkpoint(checkpoints.LOG_STARTS)
        self.clean_offsets = self._read_checkpoint(checkpoints.CLEANER_OFFSETS)
        clean = checkpoints.CLEAN_SHUTDOWN in names
        for name in names:
            if match := _LOG.match(name):
                self.present[match[1], int(match[2])] = None
            elif match := _LEFTOVER.match(name):
                if match[1] == "delete":
                    self.leftovers.append(f"{path}/{name}")
            elif name not in _KNOWN_FILES and not name.endswith(".tmp"):
                self._log.warning("left alone: nothing of ours", path=f"{path}/{name}")
        offsets = (*self.recovery_points, *self.log_starts, *self.clean_offsets)
        self.drop_offsets([key for key in offsets if key not in self.present])
        if not clean and self.present:
            self.listed = None if listed is None else listed & self.present.keys()
            return False
        self.replace_dirty_logs(set())
        if clean:
            disk.remove(f"{path}/{checkpoints.CLEAN_SHUTDOWN}")
            disk.sync_directory(path)
        return True

    def _make_durably(self, path: str) -> None:
        """Make a directory and those above it, so that their names survive a power cut."""
        if not self._disk.is_directory(path):
            above = path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")
            if above != ".":
                self._make_durably(above)
            self._disk.make_directory(path)
            self._disk.sync_directory(above)

    def give_up(self) -> None:
        """Let somebody else have the directory."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def mark_clean(self) -> None:
        """Every log is synced to its end and the recovery points say so: the next start may believe them."""
        self.dirty_logs.remove()
        self._disk.write_file_atomically(f"{self.path}/{checkpoints.CLEAN_SHUTDOWN}", checkpoints.CLEAN_SHUTDOWN_TEXT)

    def _identify(self, names: list[str]) -> None:
        """Read whose directory this is; make a new one ours. Raises StoreError."""
        path = f"{self.path}/{checkpoints.META_PROPERTIES}"
        data = self._disk.read_file(path)
        if data is not None:
            try:
                identity = checkpoints.decode_meta_properties(data)
            except checkpoints.Unreadable as error:
                raise StoreError(f"{path} cannot be read: {error}") from None
            if identity.node_id != self._node_id:
                raise StoreError(
                    f"the data directory {self.path} belongs to node {identity.node_id}, this is node "
                    f"{self._node_id}: set node.id={identity.node_id} or name another directory"
                )
            if self._wanted_cluster_id is not None and identity.cluster_id != self._wanted_cluster_id:
                raise StoreError(
                    f"the data directory {self.path} belongs to cluster {identity.cluster_id}, not to "
                    f"{self._wanted_cluster_id}"
                )
            self.identity = identity
            return
        foreign = next((name for name in names if _LOG.match(name)), None)
        if foreign is not None:
            raise StoreError(
                f"{self.path} holds logs ({foreign}) but no {checkpoints.META_PROPERTIES}: restore that file, or "
                "name another directory"
            )
        self.identity = checkpoints.MetaProperties(
            self._wanted_cluster_id or format_uuid(self._entropy.uuid()),
            self._node_id,
            format_uuid(self._entropy.uuid()),
        )
        self._disk.write_file_atomically(path, self.identity.encode())

    def _read_checkpoint(self, name: str) -> dict[Key, int]:
        data = self._disk.read_file(f"{self.path}/{name}")
        offsets = checkpoints.decode_offsets(data) if data is not None else {}
        if offsets is None:
            if name == checkpoints.LOG_STARTS:
                raise StoreError(
                    f"{self.path}/{name} is damaged: without it, deleted records would come back; restore it, or "
                    "remove it to accept that"
                )
            self._log.warning("checkpoint damaged, every log will be read through", path=f"{self.path}/{name}")
            return {}
        return offsets

    # -- logs ----------------------------------------------------------------------------------------------------------

    def path_of(self, key: Key) -> str:
        """The directory of a log, whether or not there is one."""
        return f"{self.path}/{key[0]}-{key[1]}"

    def topic_id_of(self, key: Key) -> bytes | None:
        """The topic id that a log's directory names; None if it names none."""
        topic_id = self.present.get(key)
        if topic_id is None:
            data = self._disk.read_file(f"{self.path_of(key)}/{partition_metadata.NAME}")
            topic_id = partition_metadata.decode(data) if data is not None else None
            if topic_id is not None:
                self.present[key] = topic_id
        return topic_id

    def belongs_to_another(self, key: Key, topic_id: bytes) -> bool:
        """Whether there is a log of this name that belongs to another topic."""
        if key not in self.present:
            return False
        found = self.topic_id_of(key)
        return found is not None and found != topic_id and ZERO_UUID not in (found, topic_id)

    def note_topic(self, key: Key, topic_id: bytes) -> None:
        """The log's directory is there and belongs to this topic: write that down in it."""
        self._disk.write_file(f"{self.path_of(key)}/{partition_metadata.NAME}", partition_metadata.encode(topic_id))
        self.present[key] = topic_id

    def make(self, logs: Iterable[tuple[Key, bytes]]) -> None:
        """Make these logs' directories, durably, where there are none of these topic ids."""
        made = False
        for key, topic_id in logs:
            if self.belongs_to_another(key, topic_id):
                self.set_aside(key)
            if key not in self.present:
                self._disk.make_directory(self.path_of(key))
                self.note_topic(key, topic_id)
                made = True
        if made:
            self._disk.sync_directory(self.path)

    def set_aside(self, key: Key) -> None:
        """A log belongs to an older topic of the same name, whose deletion was cut short: keep it, renamed."""
        aside = self.name_aside(key, "stray")
        self.drop_offsets([key])
        self._disk.rename(self.path_of(key), aside)
        self._disk.sync_directory(self.path)
        topic_id = self.present.pop(key) or ZERO_UUID
        self._log.warning("a log of a topic that is no more is set aside", topic_id=format_uuid(topic_id), path=aside)

    def name_aside(self, key: Key, why: str) -> str:
        """A new name for a log's directory, as Kafka forms it: marked with `why`, no longer than names may be."""
        identifier: bytes = self._entropy.uuid()
        suffix = f"-{key[1]}.{identifier.hex()}-{why}"
        return f"{self.path}/{key[0][: MAX_NAME - len(suffix)]}{suffix}"

    def rename_all(self, doomed: Iterable[tuple[Key, str]]) -> None:
        """Rename logs that are to be removed: afterwards their names are free, whatever happens."""
        doomed = list(doomed)
        self.drop_offsets([key for key, _ in doomed])
        for key, path in doomed:
            self._disk.rename(self.path_of(key), path)
        self._disk.sync_directory(self.path)

    def size_of(self, key: Key) -> int:
        """Bytes of a log's segments, counted in its directory."""
        path = self.path_of(key)
        try:
            names = self._disk.list_directory(path)
        except OSError:
            return 0
        return sum([self._disk.file_size(f"{path}/{name}") or 0 for name in names if name.endswith(".log")])

    # -- offsets -------------------------------------------------------------------------------------------------------

    def drop_offsets(self, keys: Iterable[Key]) -> None:
        """Forget the offsets of logs that are gone, durably."""
        keys = list(keys)
        if [key for key in keys if self.clean_offsets.pop(key, None) is not None]:
            self.write_clean_offsets()
        if [key for key in keys if self.recovery_points.pop(key, None) is not None]:
            self.write_recovery_points()
        if [key for key in keys if self.log_starts.pop(key, None) is not None]:
            self.write_log_starts()

    def write_recovery_points(self) -> None:
        """Bring the recovery points to disk. With one copy of the data they are also the high watermarks."""
        text = checkpoints.encode_offsets(list(self.recovery_points.items()))
        self.checksum = crc32c(text)
        self.dirty_logs.expect(self.checksum)
        self._write(checkpoints.RECOVERY_POINTS, text)
        try:
            self._write(checkpoints.HIGH_WATERMARKS, text)
        except OSError as error:
            if error.errno not in reserve.NO_ROOM:
                raise
            # Nobody but Kafka reads it, and works without: not worth a deletion that would make room.
            self._log.warning("disk full: checkpoint not written", file=checkpoints.HIGH_WATERMARKS)

    def replace_dirty_logs(self, keys: set[Key]) -> None:
        """Begin another list of dirty logs, with these. It is not worth an error: without one a start is slow."""
        try:
            self.dirty_logs.replace(keys, self.checksum)
        except OSError as error:
            self._log.warning("the list of dirty logs could not be written", reason=str(error))

    def write_log_starts(self) -> None:
        """Bring the starts of logs to disk."""
        text = checkpoints.encode_offsets(list(self.log_starts.items()))
        self._write(checkpoints.LOG_STARTS, text)

    def write_clean_offsets(self) -> None:
        """Bring the cleaner's offsets to disk."""
        text = checkpoints.encode_offsets(list(self.clean_offsets.items()))
        self._write(checkpoints.CLEANER_OFFSETS, text)

    def _write(self, name: str, text: bytes) -> None:
        """Replace a checkpoint: without some of them nothing can be deleted, and a full disk stays full."""
        path = f"{self.path}/{name}"
        self.reserve.help(lambda: self._disk.write_file_atomically(path, text))


def segments_of(disk: Disk, directory: str) -> list[int]:
    """Base offsets of the segments in a log's directory, those that are being exchanged included."""
    try:
        names = disk.list_directory(directory)
    except FileNotFoundError:
        return []
    return [int(name[:20]) for name in names if name[:20].isdecimal() and name[20:] in (".log", ".log.swap")]
