"""Blobs beside the segments of a log (`storage/blobs.py`): files of the names that their owner gives them.

A blob is written to `NAME.part` and synced; the file is renamed; the directory is synced. Cut short anywhere, there is
either the new blob of that name, whole, or what was there before. An error takes the `.part` away again, if the disk
lets it; what remains is removed when the next blob is written, as is a file that Kafka had marked `.deleted`, to remove
it a minute later.

**Reading** syncs the directory first: a name that another process was about to make durable when it was killed must
not vanish after its owner has relied on it. Reading ends in the bytes or in an error, and never in a removal.

Every file in the log's directory is a blob, except the engine's own: segments and their indexes, producers' snapshots,
epochs, the topic's id, and those in the making.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from storage.blobs import StoredBlob
from storage.engine import LogSpec
from storage.local import leader_epochs, partition_metadata
from storage.local.volume import Volume

Result = TypeVar("Result")

PART: Final = ".part"
_LEFT_OVER: Final = (PART, ".deleted")
_OWN_NAMES: Final = frozenset({leader_epochs.NAME, partition_metadata.NAME})
_OWN: Final = re.compile(r"\d{20}(?:-[^.]*)?\.(?:log|index|timeindex|txnindex|snapshot)(?:\.[a-z]+)*\Z")
_UNFINISHED: Final = (*_LEFT_OVER, ".tmp")


class BlobFile(NamedTuple):
    """A blob's name, its size, and where it lies."""

    name: str
    size: int  # bytes
    path: str


class LocalBlobs:
    """`LogBlobs` says what its methods promise."""

    def __init__(self, volume: Volume, spec: LogSpec) -> None:
        self._volume = volume
        self._disk = volume.disk
        self._directory = volume.data.path_of((spec.topic, spec.partition))

    async def stored(self) -> list[StoredBlob]:
        return await self._work("listed", self._list)

    def _list(self) -> list[StoredBlob]:
        return [StoredBlob(name, size) for name, size, _ in self.files()]

    def files(self) -> list[BlobFile]:
        """The blobs as they lie on the disk, by name. In a thread; raises OSError."""
        found = []
        for name in self._names():
            if not name.endswith(_UNFINISHED):
                size = self._disk.file_size(self._path(name))
                if size is not None:
                    found.append(BlobFile(name, size, self._path(name)))
        return sorted(found)

    def _names(self) -> list[str]:
        """The files in the directory that are not the engine's own."""
        try:
            names = self._disk.list_directory(self._directory)
        except FileNotFoundError:
            return []
        return [name for name in names if name not in _OWN_NAMES and not _OWN.match(name)]

    async def read(self, name: str) -> bytes | None:
        return await self._work("read", partial(self._read, name))

    def _read(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):  # a log that has not been written has no directory
            self._disk.sync_directory(self._directory)
        return self._disk.read_file(self._path(name))

    async def write(self, name: str, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        assert name not in _OWN_NAMES and not _OWN.match(name), f"{name} is a file of the engine's own"
        if self._volume.health.has_stopped:
            raise self._volume.health.stopped()
        await self._work("written", partial(self._write, name, pieces))

    def _write(self, name: str, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        disk, path = self._disk, self._path(name)
        for left in self._names():
            if left.endswith(_LEFT_OVER):
                disk.remove(self._path(left))
        unfinished = path + PART
        try:
            file = disk.open(unfinished, create=True)
            try:
                position = 0
                for piece in pieces():
                    file.write(position, piece)
                    position += len(piece)
                file.datasync()
            finally:
                file.close()
            disk.rename(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.remove(unfinished)
            raise
        disk.sync_directory(self._directory)

    async def remove(self, names: Sequence[str]) -> None:
        await self._work("removed", partial(self._remove, list(names)))

    def _remove(self, names: list[str]) -> None:
        for name in names:
            self._disk.remove(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    async def _work(self, done: str, work: Callable[[], Result]) -> Result:
        """Do it in a thread. Raises KafkaError for an OSError."""
        try:
            return await self._volume.offload.run(work)
        except OSError as error:
            reason = f"a file in {self._directory} cannot be {done}: {error.strerror or error}"
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason) from error
