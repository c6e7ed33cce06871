"""The data directory itself: whose it is, who holds it, which logs lie in it, and its checkpoints.

Synchronous and unaware of open logs; the engine above calls it in threads where it waits for the disk.

**A log is where its directory is.** `present` is filled by one listing at the start and kept up with what is made,
renamed and removed since, so that a start costs one system call however many logs there are.

**A topic may be kept elsewhere**, as Kafka's `metadata.log.dir` has it for the cluster's log: its logs are then looked
for, made and renamed in a directory of their own, which has a lock and a `meta.properties` too. Checkpoints of all logs
stay here. The two must name the same cluster, and a log that lies in the wrong one of them stops the start: to begin an
empty one in its place would serve an empty cluster.

**Offsets of logs that are gone are forgotten before their names are.** A recovery point or log start that outlived its
log would accuse a new log of the same name of having lost records. So they are dropped, durably, before a directory is
renamed, and when a new topic's log is made. A recovery point without a directory is therefore a log that was removed
under us: it is not a new one, and stays offline until it is restored or its topic deleted.

**The directory stays ours** as long as its path leads to what was locked. Before a checkpoint is written that is looked
at (`strayed`): a directory that was removed, or exchanged for another broker's, gets nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from kproto.batches.crc32c import crc32c
from kproto.ids import ZERO_UUID, format_uuid
from storage.engine import StoreError
from storage.local import checkpoints, dirty_logs, partition_metadata, reserve, succession
from storage.local.copied_files import BACKUP_MANIFEST
from storage.local.dirty_logs import DirtyLogs
from storage.local.reserve import Reserve
from storage.local.succession import LOG_NAME, Place
from storage.seams.clock import AHEAD_FILE
from storage.seams.disk import Disk, InUse, Lock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger

MAX_NAME: Final = 255

COPY: Final = "ottla-copy"
"""How directories begin in which a copy of all logs has its links (`copying.py`)."""

SECURED: Final = "secure"
"""The folder of keys and certificates that `ottla serve --secure` makes here. Nothing of it is read by the store."""

NAMED: Final = 5
"""Names in a log line about many."""

_LEFTOVER = re.compile(r".*\.[0-9a-f]{32}-(delete|stray|future)\Z")
_KNOWN = frozenset(
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
        SECURED,
        BACKUP_MANIFEST,
        AHEAD_FILE,
    }
)

Key = tuple[str, int]
"""Topic and partition: what a log is called in names and checkpoints."""


class DataDirectory:
    """One directory of logs, and those that some topics have elsewhere."""

    def __init__(
        self,
        path: str,
        disk: Disk,
        entropy: Entropy,
        node_id: int,
        cluster_id: str | None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path.rstrip("/") or "/"
        self.elsewhere = {topic: other.rstrip("/") or "/" for topic, other in (elsewhere or {}).items()}
        """The directories of topics whose logs are not kept in `path`."""
        self._disk = disk
        self._entropy = entropy
        self._node_id = node_id
        self._wanted_cluster_id = cluster_id
        self._locks: list[Lock] = []
        self._log = get_logger("storage")
        self.identity: checkpoints.MetaProperties | None = None
        self.present: dict[Key, bytes | None] = {}
        """The logs there are; the topic id of each that has been looked at."""
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
        that are there; None when that is not known."""
        self.leftovers: list[str] = []
        """Directories of logs that an earlier run has deleted and not yet removed."""

    # -- possession ----------------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """True between `take_possession` and `give_up`."""
        return bool(self._locks)

    def take_possession(self) -> bool:
        """Lock, identify and list the directory; make it if it is new. True if no log needs recovery.

        Raises InUse, StoreError, OSError; `give_up` then lets go of the lock.
        """
        disk, path = self._disk, self.path
        names = self._occupy(path)
        changed = succession.finish(self.place, lambda topic, partition: self.name_aside((topic, partition), "delete"))
        if changed:
            names = disk.list_directory(path)
        is_new = checkpoints.META_PROPERTIES not in names
        self.identity = self._identify(path, names, self._wanted_cluster_id)
        self.reserve.make()
        self.recovery_points = self._read_checkpoint(checkpoints.RECOVERY_POINTS)
        self.checksum = crc32c(disk.read_file(f"{path}/{checkpoints.RECOVERY_POINTS}") or b"")
        listed = self.dirty_logs.read(self.checksum)
        self.log_starts = self._read_checkpoint(checkpoints.LOG_STARTS)
        self.clean_offsets = self._read_checkpoint(checkpoints.CLEANER_OFFSETS)
        marked = checkpoints.CLEAN_SHUTDOWN in names
        clean = marked or changed
        foreign: list[str] = []
        misplaced: list[str] = []
        for name in names:
            match = LOG_NAME.match(name)
            if match and match[1] in self.elsewhere:
                misplaced.append(name)
            elif match:
                self.present[match[1], int(match[2])] = None
            elif match := _LEFTOVER.match(name):
                if match[1] == "delete":
                    self.leftovers.append(f"{path}/{name}")
            elif succession.is_unfinished(name) or name.startswith(f"{COPY}."):
                self.leftovers.append(f"{path}/{name}")
            elif name not in _KNOWN and not name.endswith(".tmp"):
                foreign.append(name)
        self._report("left alone: logs that are kept elsewhere", misplaced)
        self._report("left alone: nothing of ours", foreign)
        for topic, other in self.elsewhere.items():
            self._look_elsewhere(topic, other, names, is_new)
        self._look_for_missing()
        if not clean and self.present:
            self.listed = None if listed is None else listed & self.present.keys()
            return False
        self.replace_dirty_logs(set())
        if marked:
            disk.remove(f"{path}/{checkpoints.CLEAN_SHUTDOWN}")
            disk.sync_directory(path)
        return True

    def _report(self, event: str, names: list[str]) -> None:
        """One log line for all names of a kind: there may be ten thousand."""
        if names:
            self._log.warning(event, directory=self.path, count=len(names), names=names[:NAMED])

    def _look_for_missing(self) -> None:
        """Compare the checkpoints with the logs that there are.

        A deletion forgets a log's offsets before it takes away the directory (`rename_all`). So where offsets had been
        synced and the directory is not there, it was another program, or a person, and the records that were promised
        to be there are gone. The offsets stay: they are what distinguishes that log from a new one when it is opened.
        """
        missing = [key for key, synced in self.recovery_points.items() if synced and key not in self.present]
        if missing:
            names = [f"{topic}-{partition}" for topic, partition in missing[:NAMED]]
            self._log.error(
                "directories of logs are missing: restore them, or delete their topics",
                directory=self.path, count=len(missing), names=names,
            )  # fmt: skip
        offsets = (*self.recovery_points, *self.log_starts, *self.clean_offsets)
        kept = {*self.present, *missing}
        self.drop_offsets([key for key in offsets if key not in kept])

    def strayed(self) -> str | None:
        """None as long as this directory is the one that was taken possession of; else what has become of it."""
        return next((wrong for lock in self._locks if (wrong := lock.strayed()) is not None), None)

    def _occupy(self, path: str) -> list[str]:
        """Make a directory if it is new, lock it, and list it. Raises InUse, OSError."""
        self._make_durably(path)
        self._locks.append(self._disk.lock(f"{path}/{checkpoints.LOCK}"))
        return self._disk.list_directory(path)

    def _look_elsewhere(self, topic: str, path: str, names: list[str], is_new: bool) -> None:
        """Take the logs of a topic that is kept in another directory. `names` are those of this one.

        Raises StoreError where the logs lie here instead, or where there and here do not belong together.
        """
        try:
            there = self._occupy(path)
        except InUse:
            raise StoreError(f"the directory {path} is in use by another process, or is {self.path} itself") from None
        found = {name: int(match[2]) for name in there if (match := LOG_NAME.match(name)) and match[1] == topic}
        misplaced = next((name for name in names if (match := LOG_NAME.match(name)) and match[1] == topic), None)
        if misplaced is not None and not found:
            raise StoreError(
                f"the log {misplaced} is in {self.path}, but {path} is named for it: move it there, or name {self.path}"
            )
        if found and is_new:
            raise StoreError(
                f"{path} holds the log {next(iter(found))}, but the data directory {self.path} is new: name the one "
                "that belongs to it"
            )
        assert self.identity is not None
        self._identify(path, there, self.identity.cluster_id)
        self.present |= {(topic, partition): None for partition in found.values()}
        removed = [name for name in there if name.startswith(f"{topic}-") and _is_being_removed(name)]
        removed += [name for name in there if succession.is_unfinished(name)]
        self.leftovers += [f"{path}/{name}" for name in removed]

    def _make_durably(self, path: str) -> None:
        """Make a directory and those above it, so that their names survive a power cut."""
        if not self._disk.is_directory(path):
            above = path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")
            if above != ".":
                self._make_durably(above)
            try:
                self._disk.make_directory(path)
            except (FileExistsError, NotADirectoryError):
                raise StoreError(f"{path} is a file, and a directory is needed there: name another place") from None
            self._disk.sync_directory(above)

    def give_up(self) -> None:
        """Let another process have the directory."""
        while self._locks:
            self._locks.pop().release()

    def mark_clean(self) -> None:
        """Every log is synced to its end and the recovery points say so: the next start may believe them."""
        self.dirty_logs.remove()
        self._disk.write_file_atomically(f"{self.path}/{checkpoints.CLEAN_SHUTDOWN}", checkpoints.CLEAN_SHUTDOWN_TEXT)

    def _identify(self, directory: str, names: list[str], cluster_id: str | None) -> checkpoints.MetaProperties:
        """Read whose directory this is; make a new one ours, and of this cluster if one is named. Raises StoreError."""
        path = f"{directory}/{checkpoints.META_PROPERTIES}"
        data = self._disk.read_file(path)
        if data is not None:
            try:
                identity = checkpoints.decode_meta_properties(data)
            except checkpoints.Unreadable as error:
                raise StoreError(f"{path} cannot be read: {error}") from None
            if identity.node_id != self._node_id:
                raise StoreError(
                    f"the data directory {directory} belongs to node {identity.node_id}, this is node "
                    f"{self._node_id}: set node.id={identity.node_id} or name another directory"
                )
            if cluster_id is not None and identity.cluster_id != cluster_id:
                whose = "" if directory == self.path or self._wanted_cluster_id else f", to which {self.path} belongs"
                raise StoreError(
                    f"the data directory {directory} belongs to cluster {identity.cluster_id}, not to "
                    f"{cluster_id}{whose}"
                )
            return identity
        foreign = next((name for name in names if LOG_NAME.match(name)), None)
        if foreign is not None:
            raise StoreError(
                f"{directory} holds logs ({foreign}) but no {checkpoints.META_PROPERTIES}: restore that file, or "
                "name another directory"
            )
        identity = checkpoints.MetaProperties(
            cluster_id or format_uuid(self._entropy.uuid()), self._node_id, format_uuid(self._entropy.uuid())
        )
        self._disk.write_file_atomically(path, identity.encode())
        return identity

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
        return f"{self._home(key)}/{key[0]}-{key[1]}"

    def _home(self, key: Key) -> str:
        """The directory in which a log's directory is."""
        return self.elsewhere.get(key[0], self.path)

    def _sync_homes(self, keys: Iterable[Key]) -> None:
        """Bring to disk which logs' directories there are."""
        for home in {self._home(key) for key in keys}:
            self._disk.sync_directory(home)

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
        made: list[Key] = []
        logs = list(logs)
        self.drop_offsets(
            [key for key, _ in logs if key not in self.present]
        )  # of an older topic, whose log is missing
        for key, topic_id in logs:
            if self.belongs_to_another(key, topic_id):
                self.set_aside(key)
            if self._disk.is_link(self.path_of(key)):
                self._log.error("links are not followed: the log is offline", path=self.path_of(key))
            elif key not in self.present:
                self._disk.make_directory(self.path_of(key))
                self.note_topic(key, topic_id)
                made.append(key)
        self._sync_homes(made)

    def set_aside(self, key: Key) -> None:
        """A log belongs to an older topic of the same name, whose deletion was cut short: keep it, renamed."""
        aside = self.name_aside(key, "stray")
        self.drop_offsets([key])
        self._disk.rename(self.path_of(key), aside)
        self._sync_homes([key])
        topic_id = self.present.pop(key) or ZERO_UUID
        self._log.warning("a log of a topic that is no more is set aside", topic_id=format_uuid(topic_id), path=aside)

    def name_aside(self, key: Key, why: str) -> str:
        """A new name for a log's directory, as Kafka forms it: marked with `why`, no longer than names may be."""
        identifier: bytes = self._entropy.uuid()
        suffix = f"-{key[1]}.{identifier.hex()}-{why}"
        return f"{self._home(key)}/{key[0][: MAX_NAME - len(suffix)]}{suffix}"

    @property
    def place(self) -> Place:
        """Where this directory is, for what takes the place of all that is in it."""
        return Place(self._disk, self.path, self.elsewhere)

    def copy_directory(self) -> str:
        """A new path for the links of a copy."""
        identifier: bytes = self._entropy.uuid()
        return f"{self.path}/{COPY}.{identifier.hex()}"

    def rename_all(self, doomed: Iterable[tuple[Key, str]]) -> None:
        """Rename logs that are to be removed: afterwards their names are free, whatever happens."""
        doomed = list(doomed)
        self.drop_offsets([key for key, _ in doomed])
        for key, path in doomed:
            self._disk.rename(self.path_of(key), path)
        self._sync_homes(key for key, _ in doomed)

    def sizes_of(self, keys: Iterable[Key]) -> dict[Key, int]:
        """`size_of` each: for a thread, since every directory is listed."""
        return {key: self.size_of(key) for key in keys}

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
            # Only Kafka reads it, and works without: not worth a deletion that would make room.
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


def _is_being_removed(name: str) -> bool:
    match = _LEFTOVER.match(name)
    return match is not None and match[1] == "delete"


def segments_of(disk: Disk, directory: str) -> list[int]:
    """Base offsets of the segments in a log's directory, those that are being exchanged included."""
    try:
        names = disk.list_directory(directory)
    except FileNotFoundError:
        return []
    return [int(name[:20]) for name in names if name[:20].isdecimal() and name[20:] in (".log", ".log.swap")]
