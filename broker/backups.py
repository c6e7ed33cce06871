"""Backups of the running broker, and lives that begin with one: between the lives (`lifetimes.py`) and files or bytes.

What a backup is stands in `storage/portable/backup.py`. All that waits for a disk, or computes digests, is done in
threads of a lane of its own, since a backup takes as long as it is large, and nothing else should wait for it.

**Kept in memory.** A program that commands its broker from another machine has no file that both know, so a copy can be
kept here under a name (`KeptBackups`), as the bytes of its archive. Their number and size are bounded.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from kproto.batches.buffers import ReadableBuffer
from storage.engine import StoreError
from storage.portable.backup import BadBackup, archive
from storage.portable.places import Backup, backup_at, backup_in
from storage.seams.disk import Disk, SystemDisk
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from broker.lifetimes import Lifetimes
    from storage.copies import StoreCopy

Result = TypeVar("Result")

TOGETHER: Final = 1 << 20
"""Bytes that are gathered in one go of a thread."""

MOST_KEPT: Final = 32
MOST_KEPT_BYTES: Final = 256 << 20


async def stream(lifetimes: Lifetimes) -> AsyncGenerator[bytes, None]:
    """The archive of a backup, in large pieces, read while the broker goes on. Raises StoreError with a sentence; what
    was given before is then no whole backup.

    Closed by its reader (`aclosing`) if that does not read to the end.
    """
    async with lifetimes.copied() as copy:
        services = lifetimes.serving
        pieces = archive(copy, services.config.node_id, services.clock.wall_millis())
        while data := await services.offload.run(partial(_sentence, _gather, pieces), lane=Lane.BACKUP):
            yield data


def _gather(pieces: Iterator[ReadableBuffer]) -> bytes:
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= TOGETHER:
            break
    return bytes(gathered)


async def write(lifetimes: Lifetimes, path: str, *, durable: bool) -> int:
    """Write a backup to a file, which has its name only when it is whole; returns its size. With `durable`, it survives
    a power cut. Raises StoreError with a sentence."""
    async with lifetimes.copied() as copy:
        services = lifetimes.serving
        pieces = archive(copy, services.config.node_id, services.clock.wall_millis())
        work = partial(_sentence, partial(_write, SystemDisk(), path, durable), pieces)
        return await services.offload.run(work, lane=Lane.BACKUP)


def _write(disk: Disk, path: str, durable: bool, pieces: Iterator[ReadableBuffer]) -> int:
    """In a thread."""
    unfinished = f"{path}.part"
    disk.remove(unfinished)
    file = disk.open(unfinished, create=True)
    position = 0
    try:
        for piece in pieces:
            file.write(position, piece)
            position += len(piece)
        if durable:
            file.datasync()
    except BaseException:
        file.close()
        disk.remove(unfinished)
        raise
    file.close()
    disk.rename(unfinished, path)
    if durable:
        disk.sync_directory(path.rpartition("/")[0] or ".")
    return position


def _sentence(work: Callable[[Iterator[ReadableBuffer]], Result], pieces: Iterator[ReadableBuffer]) -> Result:
    try:
        return work(pieces)
    except BadBackup as error:
        raise StoreError(f"the backup is not whole: {error}") from error
    except OSError as error:
        raise StoreError(f"the backup cannot be made: {error}") from error


async def read(lifetimes: Lifetimes, path: str) -> None:
    """Begin a life with the backup in a file or a folder. Raises StoreError with a sentence; then the present one goes
    on."""
    await _restore(lifetimes, partial(backup_at, SystemDisk(), path))


async def take(lifetimes: Lifetimes, data: bytes) -> None:
    """Begin a life with the backup in an archive in memory. Raises StoreError likewise."""
    await _restore(lifetimes, partial(backup_in, data))


async def _restore(lifetimes: Lifetimes, find: Callable[[], Backup]) -> None:
    try:
        backup = await lifetimes.serving.offload.run(find, lane=Lane.BACKUP)
    except BadBackup as error:
        raise StoreError(str(error)) from error
    await lifetimes.restore(backup.copy, backup.manifest.node_id)


def first_contents(path: str, node_id: int) -> StoreCopy:
    """What a broker that starts with a backup begins with. Raises StoreError with a sentence."""
    try:
        backup = backup_at(SystemDisk(), path)
    except BadBackup as error:
        raise StoreError(str(error)) from error
    if backup.manifest.node_id != node_id:
        raise StoreError(
            f"{path} is a backup of node {backup.manifest.node_id}, and this is node {node_id}: set "
            f"node.id={backup.manifest.node_id}"
        )
    return backup.copy


class KeptBackups:
    """Backups in memory, by name: those of one process, whatever lives it lives."""

    def __init__(self, most: int = MOST_KEPT, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, bytes] = {}
        self._made = 0

    async def keep(self, lifetimes: Lifetimes, name: str | None) -> str:
        """Make a backup under this name, in place of an older one, or under a new name; returns the name. Raises
        StoreError where there is no room for it."""
        if name is None:
            self._made += 1
            name = f"snapshot-{self._made}"
        others = {other: data for other, data in self._kept.items() if other != name}
        if len(others) >= self._most:
            raise StoreError(f"{self._most} snapshots are kept, which is as many as there may be: forget one")
        room = self._most_bytes - sum(map(len, others.values()))
        data = bytearray()
        async with aclosing(stream(lifetimes)) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > room:
                    raise StoreError(
                        f"snapshots that are kept have {self._most_bytes} bytes at most, and this one has more than "
                        f"the {room} that are left: forget one, or make a backup"
                    )
        self._kept[name] = bytes(data)
        return name

    def sizes(self) -> dict[str, int]:
        """Bytes of each that is kept."""
        return {name: len(data) for name, data in self._kept.items()}

    def forget(self, name: str) -> None:
        """Give up the room of one. Raises StoreError if there is none of that name."""
        self.bytes_of(name)
        del self._kept[name]

    def bytes_of(self, name: str) -> bytes:
        """The archive. Raises StoreError if there is none of that name."""
        if name not in self._kept:
            raise StoreError(f"no snapshot is called {name!r}")
        return self._kept[name]
