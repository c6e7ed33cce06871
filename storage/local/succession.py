"""What takes the place of everything in a data directory: in one step, as far as a crash can see.

Logs that are to come are written beside those that are there, as directories `ottla-next.N`, and synced. Then one file,
`ottla-next`, says that they count. From its name on, the old logs are gone and the new ones are there, whenever the
work is cut short: it has two phases, each of which can be done again, and the start of a store does what is left.

=========  ===========================================================================================================
phase      what is done
=========  ===========================================================================================================
removing   every log's directory is renamed to `...-delete`, to be removed later; the checkpoints are removed
arriving   each `ottla-next.N` gets the name of its log; checkpoints say where the logs start and end, and
           `meta.properties` whose directory it is; then `ottla-next` is removed
=========  ===========================================================================================================

The file is JSON: `phase`, `identity` (the text of `meta.properties`, null to leave it), and `logs`, a list of topic,
partition, end and start; the N of a log is its place in that list. Without the file, directories `ottla-next.N` are
what an earlier process has not finished, and are removed. A log that has a directory elsewhere (`metadata.log.dir`)
is prepared there, since a rename does not cross file systems.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from storage.copies import LogCopy, StoreCopy
from storage.engine import StoreError
from storage.local import checkpoints, dirty_logs
from storage.local.copied_files import files_of
from storage.seams.disk import Disk, File

NAME: Final = "ottla-next"
LOG_NAME: Final = re.compile(r"([a-zA-Z0-9._-]{1,249})-(\d{1,10})\Z")
"""A directory of a log."""

_SYNCED_TOGETHER: Final = 64
"""Files that are kept open for that."""

_REMOVING: Final = "removing"
_ARRIVING: Final = "arriving"
_CHECKPOINTS: Final = (
    checkpoints.RECOVERY_POINTS,
    checkpoints.HIGH_WATERMARKS,
    checkpoints.LOG_STARTS,
    checkpoints.CLEANER_OFFSETS,
    checkpoints.CLEAN_SHUTDOWN,
    dirty_logs.NAME,
)


class Place(NamedTuple):
    """A data directory, and those that some topics have elsewhere."""

    disk: Disk
    path: str
    elsewhere: Mapping[str, str]

    def home(self, topic: str) -> str:
        """The directory in which directories of the topic's logs are."""
        return self.elsewhere.get(topic, self.path)

    @property
    def homes(self) -> list[str]:
        """All of them."""
        return [self.path, *dict.fromkeys(self.elsewhere.values())]


class Prepared(NamedTuple):
    """What is to come, and lies ready."""

    identity: str | None
    logs: Sequence[tuple[str, int, int, int]]  # topic, partition, end, start

    def encode(self, phase: str) -> bytes:
        """The text of the file, in this phase."""
        return json.dumps({"phase": phase, "identity": self.identity, "logs": self.logs}).encode("ascii")


def is_unfinished(name: str) -> bool:
    """Whether something of this name is what a preparation has left that came to nothing."""
    return name.startswith(f"{NAME}.")


# -- in threads, while the old logs are in use -------------------------------------------------------------------------


def prepare(place: Place, copy: StoreCopy | None, node_id: int) -> Prepared:
    """Write the logs that are to come, none of them without a copy. Raises OSError, StoreError.

    All are written before the first is synced: a file system then brings most of it to the platter in one go.
    """
    discard(place)
    if copy is None:
        return Prepared(None, ())
    unsynced: list[File] = []
    directories: dict[str, None] = {}
    for number, log in enumerate(copy.logs):
        directory = _prepared(place, number, log.topic)
        if written := _write_log(place.disk, directory, log):
            unsynced += written
            directories[directory] = None
        if len(unsynced) >= _SYNCED_TOGETHER:
            _sync(unsynced)
    _sync(unsynced)
    for path in (*directories, *place.homes):
        place.disk.sync_directory(path)
    identity = checkpoints.MetaProperties(copy.cluster_id, node_id, copy.directory_id).encode().decode("ascii")
    return Prepared(identity, [(log.topic, log.partition, log.end, log.start) for log in copy.logs])


def _write_log(disk: Disk, directory: str, log: LogCopy) -> list[File]:
    """Write a log's files; those that have to be synced."""
    disk.make_directory(directory)
    unsynced: list[File] = []
    for copied in files_of(log):
        file = disk.open(f"{directory}/{copied.name}", create=True)
        position = 0
        for piece in copied.pieces():
            file.write(position, piece)
            position += len(piece)
        if position != copied.size:
            raise StoreError(f"{log.topic}-{log.partition}/{copied.name} has {position} bytes, and not {copied.size}")
        if position and not copied.is_cache:
            unsynced.append(file)
        else:
            file.close()
    return unsynced


def _sync(files: list[File]) -> None:
    while files:
        file = files.pop()
        file.datasync()
        file.close()


def discard(place: Place) -> None:
    """Remove what an earlier preparation has written. Raises OSError."""
    for home in place.homes:
        for name in place.disk.list_directory(home):
            if is_unfinished(name):
                place.disk.remove_tree(f"{home}/{name}")


# -- the change --------------------------------------------------------------------------------------------------------


def begin(place: Place, prepared: Prepared) -> None:
    """From here on the old logs are gone. Raises OSError; then they are not."""
    place.disk.write_file_atomically(f"{place.path}/{NAME}", prepared.encode(_REMOVING))


def finish(place: Place, name_aside: Callable[[str, int], str]) -> bool:
    """Do what is left of a change that has begun; False if none has. `name_aside` names a log that is to be removed.
    Raises OSError, StoreError."""
    path = f"{place.path}/{NAME}"
    data = place.disk.read_file(path)
    if data is None:
        return False
    try:
        found = json.loads(data)
        prepared = Prepared(
            found["identity"], [(str(log[0]), int(log[1]), int(log[2]), int(log[3])) for log in found["logs"]]
        )
        phase = found["phase"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise StoreError(f"{path} cannot be read: it says what takes the place of the logs here") from None
    if phase == _REMOVING:
        _remove(place, name_aside)
        if prepared.logs or prepared.identity is not None:
            place.disk.write_file_atomically(path, prepared.encode(_ARRIVING))
    _arrive(place, prepared)
    place.disk.remove(path)
    place.disk.sync_directory(place.path)
    return True


def _remove(place: Place, name_aside: Callable[[str, int], str]) -> None:
    for home in place.homes:
        for name in place.disk.list_directory(home):
            log = LOG_NAME.match(name)
            if log is not None and place.home(log[1]) == home:
                place.disk.rename(f"{home}/{name}", name_aside(log[1], int(log[2])))
        if home != place.path:
            place.disk.sync_directory(home)
    for name in _CHECKPOINTS:
        place.disk.remove(f"{place.path}/{name}")


def _arrive(place: Place, prepared: Prepared) -> None:
    disk = place.disk
    for number, (topic, partition, _, _) in enumerate(prepared.logs):
        source = _prepared(place, number, topic)
        if disk.is_directory(source):
            disk.rename(source, f"{place.home(topic)}/{topic}-{partition}")
    if prepared.identity is not None:
        for home in place.homes:
            _identify(disk, home, prepared.identity.encode("ascii"), exactly=home == place.path)
    ends = _offsets((topic, partition, end) for topic, partition, end, _ in prepared.logs)
    if ends:
        _replace(disk, f"{place.path}/{checkpoints.RECOVERY_POINTS}", checkpoints.encode_offsets(ends))
    starts = _offsets((topic, partition, start) for topic, partition, _, start in prepared.logs)
    if starts:
        _replace(disk, f"{place.path}/{checkpoints.LOG_STARTS}", checkpoints.encode_offsets(starts))
    for home in place.homes[1:]:
        disk.sync_directory(home)


def _identify(disk: Disk, home: str, identity: bytes, *, exactly: bool) -> None:
    """Let a directory be of that cluster; if not `exactly`, the id that it has stays its own."""
    path = f"{home}/{checkpoints.META_PROPERTIES}"
    present = disk.read_file(path)
    if present is not None and not exactly:
        found, wanted = checkpoints.decode_meta_properties(present), checkpoints.decode_meta_properties(identity)
        if found[:2] == wanted[:2]:
            return
    _replace(disk, path, identity)


def _offsets(logs: Iterable[tuple[str, int, int]]) -> list[tuple[tuple[str, int], int]]:
    return [((topic, partition), offset) for topic, partition, offset in logs if offset]


def _replace(disk: Disk, path: str, data: bytes) -> None:
    """Write a small file, if it says something else."""
    if disk.read_file(path) != data:
        disk.write_file_atomically(path, data)


def _prepared(place: Place, number: int, topic: str) -> str:
    return f"{place.home(topic)}/{NAME}.{number}"
