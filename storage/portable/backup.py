"""A backup: a copy of all logs (`storage/copies.py`) as a data directory of Kafka's after a clean stop.

It is a tar file, or the same unpacked in a folder:

====================================  ================================================================================
`meta.properties`                     whose it is: cluster, node, directory
`.kafka_cleanshutdown`                every log ends at its recovery point
`recovery-point-offset-checkpoint`    where each log ends
`replication-offset-checkpoint`       the same, for Kafka
`log-start-offset-checkpoint`         where logs start, if not with their first segment
`<topic>-<partition>/`                a log: segments, transaction indexes, producers at its end, leader epochs, the
                                      topic's id, blobs (`storage/local/FORMAT.md`); offset and time indexes are
                                      missing, and made by the first opening
`ottla-backup.json`                   the manifest
====================================  ================================================================================

So what is unpacked can be served as it is, by this broker or by Kafka, and looked at with the tools of either.

**The manifest** is JSON: `format` ("ottla-backup"), `version` (1), `cluster_id`, `directory_id`, `node_id`, `made_ms`
(when, in milliseconds since 1970) and `files`, which maps each path to its `bytes` and its `sha256`. It is the last
member of the archive: digests are known when the bytes have gone by, and what was cut short has none. A file that the
manifest does not name is not looked at; one that is missing, or is not what it says, is refused (`BadBackup`), before
anything of it is used.

**Writing** is a stream: nothing is held but one piece. The archive is uncompressed; what is in it was compressed by its
producers, or can be by whatever carries it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from kproto.batches.buffers import ReadableBuffer
from storage.copies import LogCopy, Pieces, StoreCopy
from storage.local import checkpoints
from storage.local.copied_files import BACKUP_MANIFEST, CopiedFile, NotALog, files_of, log_of
from storage.local.succession import LOG_NAME

MANIFEST: Final = BACKUP_MANIFEST
FORMAT: Final = "ottla-backup"
VERSION: Final = 1
LARGEST_MANIFEST: Final = 256 << 20
"""Bytes: a few million files."""

_BLOCK: Final = 512


class BadBackup(Exception):
    """It is not a backup, or not all of one; the message is one sentence."""


class Manifest(NamedTuple):
    """What a backup says of itself. `files` has bytes and SHA-256 of each."""

    cluster_id: str
    directory_id: str
    node_id: int
    made_ms: int
    files: Mapping[str, tuple[int, str]]

    def encode(self) -> bytes:
        """The text of the file."""
        text = {
            "format": FORMAT,
            "version": VERSION,
            "cluster_id": self.cluster_id,
            "directory_id": self.directory_id,
            "node_id": self.node_id,
            "made_ms": self.made_ms,
            "files": {path: {"bytes": size, "sha256": digest} for path, (size, digest) in self.files.items()},
        }
        return json.dumps(text, indent=1).encode("ascii") + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Read the text. Raises BadBackup."""
    try:
        text = json.loads(data)
        if text["format"] != FORMAT:
            raise ValueError(text["format"])
        if text["version"] != VERSION:
            raise BadBackup(f"it is a backup of version {text['version']}, and only {VERSION} is known")
        files = {str(path): (int(each["bytes"]), str(each["sha256"])) for path, each in text["files"].items()}
        return Manifest(
            str(text["cluster_id"]), str(text["directory_id"]), int(text["node_id"]), int(text["made_ms"]), files
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadBackup(f"its {MANIFEST} cannot be read") from None


# -- writing -----------------------------------------------------------------------------------------------------------


def files_of_copy(copy: StoreCopy, node_id: int) -> Iterator[CopiedFile]:
    """The files of the directory, by path, without the manifest. Their pieces may wait for the disk."""
    meta = checkpoints.MetaProperties(copy.cluster_id, node_id, copy.directory_id)
    ends = [((log.topic, log.partition), log.end) for log in copy.logs if log.end]
    starts = [((log.topic, log.partition), log.start) for log in copy.logs if log.start]
    yield _small(checkpoints.META_PROPERTIES, meta.encode())
    yield _small(checkpoints.RECOVERY_POINTS, checkpoints.encode_offsets(ends))
    yield _small(checkpoints.HIGH_WATERMARKS, checkpoints.encode_offsets(ends))
    yield _small(checkpoints.LOG_STARTS, checkpoints.encode_offsets(starts))
    for log in copy.logs:
        for file in files_of(log):
            yield file._replace(name=f"{log.topic}-{log.partition}/{file.name}")
    yield _small(checkpoints.CLEAN_SHUTDOWN, checkpoints.CLEAN_SHUTDOWN_TEXT)


def _small(name: str, data: bytes) -> CopiedFile:
    return CopiedFile(name, len(data), lambda: iter((data,)))


def archive(copy: StoreCopy, node_id: int, made_ms: int) -> Iterator[ReadableBuffer]:
    """The bytes of the archive, one after the other. Raises OSError, and BadBackup where a file of the copy has become
    shorter than it was."""
    files: dict[str, tuple[int, str]] = {}
    for file in files_of_copy(copy, node_id):
        yield _header(file.name, file.size, made_ms)
        digest, seen = hashlib.sha256(), 0
        for piece in file.pieces():
            digest.update(piece)
            seen += len(piece)
            yield piece
        if seen != file.size:
            raise BadBackup(f"{file.name} has {seen} bytes, and had {file.size}")
        yield bytes(-seen % _BLOCK)
        files[file.name] = seen, digest.hexdigest()
    manifest = Manifest(copy.cluster_id, copy.directory_id, node_id, made_ms, files).encode()
    yield _header(MANIFEST, len(manifest), made_ms)
    yield manifest
    yield bytes(-len(manifest) % _BLOCK + 2 * _BLOCK)


def _header(name: str, size: int, made_ms: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, made_ms // 1000
    return member.tobuf(tarfile.PAX_FORMAT)


# -- reading -----------------------------------------------------------------------------------------------------------


ReadAt = Callable[[int, int], bytes]
"""Bytes at a position, as many as asked for, fewer only at the end."""

_PIECE: Final = 1 << 20


def files_in_archive(read: ReadAt) -> dict[str, CopiedFile]:
    """The files of an archive, none of which is read. Raises BadBackup, OSError."""
    files: dict[str, CopiedFile] = {}
    position = 0
    pax: dict[str, str] = {}
    while True:
        block = read(position, _BLOCK)
        if len(block) < _BLOCK:
            raise BadBackup("it is cut short, or no backup")
        if not any(block):
            return files
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise BadBackup("it is no archive of a backup") from None
        position += _BLOCK
        if member.type == tarfile.XHDTYPE:
            pax = _pax(read(position, min(member.size, 1 << 16)))
        elif member.isreg():
            name, size = pax.get("path", member.name), int(pax.get("size", member.size))
            files[name] = CopiedFile(name, size, _reader(read, position, size))
            pax = {}
            position += size + -size % _BLOCK
            continue
        position += member.size + -member.size % _BLOCK


def _pax(data: bytes) -> dict[str, str]:
    """The extended header in front of a member: lines of LENGTH KEY=VALUE."""
    found: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or int(length) <= len(length) + 1:
            raise BadBackup("a header of the archive cannot be read")
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[int(length) :]
    return found


def _reader(read: ReadAt, start: int, size: int) -> Pieces:
    def pieces() -> Iterator[bytes]:
        position = 0
        while position < size:
            data = read(start + position, min(_PIECE, size - position))
            if not data:
                raise BadBackup("it is cut short")
            yield data
            position += len(data)

    return pieces


def check(files: Mapping[str, CopiedFile]) -> Manifest:
    """Read all of a backup and hold it against its manifest. Raises BadBackup, OSError."""
    found = files.get(MANIFEST)
    if found is None or found.size > LARGEST_MANIFEST:
        raise BadBackup(f"it has no {MANIFEST}: it is not a backup, or was not finished")
    manifest = decode_manifest(b"".join(found.pieces()))
    for path, (size, digest) in manifest.files.items():
        if path.startswith("/") or ".." in path.split("/"):
            raise BadBackup(f"it names {path}, which is not a path inside of it")
        file = files.get(path)
        if file is None:
            raise BadBackup(f"{path} is missing")
        seen = hashlib.sha256()
        for piece in file.pieces():
            seen.update(piece)
        if file.size != size or seen.hexdigest() != digest:
            raise BadBackup(f"{path} is not what was backed up: its digest is another one")
    return manifest


def copy_in(files: Mapping[str, CopiedFile], manifest: Manifest) -> StoreCopy:
    """The copy that a backup is, which is read from it as it is used. Raises BadBackup, OSError."""
    kept = {path: file for path, file in files.items() if path in manifest.files}
    ends = _offsets(kept, checkpoints.RECOVERY_POINTS)
    starts = _offsets(kept, checkpoints.LOG_STARTS)
    by_log: dict[tuple[str, int], dict[str, CopiedFile]] = {}
    for path, file in kept.items():
        directory, _, name = path.rpartition("/")
        log = LOG_NAME.match(directory)
        if log is not None:
            by_log.setdefault((log[1], int(log[2])), {})[name] = file._replace(name=name)
    logs: list[LogCopy] = []
    try:
        for (topic, partition), mine in by_log.items():
            key = topic, partition
            logs.append(log_of(topic, partition, mine, ends.get(key, 0), starts.get(key)))
    except NotALog as error:
        raise BadBackup(str(error)) from None
    return StoreCopy(manifest.cluster_id, manifest.directory_id, logs)


def _offsets(files: Mapping[str, CopiedFile], name: str) -> dict[tuple[str, int], int]:
    file = files.get(name)
    offsets = None if file is None else checkpoints.decode_offsets(b"".join(file.pieces()))
    if offsets is None:
        raise BadBackup(f"its {name} cannot be read")
    return offsets
