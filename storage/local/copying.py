"""Copies of all logs at one moment (`storage/copies.py`), taken while they are written.

Bytes of a log that have been appended never change; only their names do, when retention, compaction or a deletion takes
them away. So a copy needs no bytes at first: every segment and every blob gets a second name (a hard link) in a
directory of the copy's own, `ottla-copy.N`, and how long each segment was at the moment of the copy is remembered. From
then on the copy is read at leisure. What is appended to a linked file meanwhile lies behind that length.

Where a file system has no hard links, or a log is on another one, the bytes are copied instead, while no log can be
deleted or cleaned.

**The moment** is one step of the event loop: offsets, producers, aborted transactions and epochs of all open logs. So
every log is opened before, and kept open until then. It takes some microseconds for each log. Names are linked before
any can be changed, which `reshaping` (K1) keeps; files of an open log only grow.

**Blobs** come and go without a lock. A snapshot of the cluster's log lets the log start later, so they are linked
before the moment, and if there are others afterwards, all of it is done once more: the copy then holds blobs and a log
that go together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, NamedTuple

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.copies import BlobCopy, LogCopy, SegmentCopy, StoreCopy
from storage.engine import LogSpec, PartitionLog
from storage.local.blobs import BlobFile, LocalBlobs
from storage.local.catalog import Catalog, EveryLog
from storage.local.copied_files import PIECE, read_file
from storage.local.partition_log import LocalLog
from storage.local.volume import Volume
from storage.seams.disk import Disk
from storage.seams.slices import Slices

ATTEMPTS: Final = 10


class _Cut(NamedTuple):
    """A log at the moment of the copy, and its segments: base offset, size, path."""

    log: LogCopy
    segments: Sequence[tuple[int, int, str]]


class Copies:
    """Takes copies of the logs of one directory."""

    def __init__(
        self, volume: Volume, catalog: Catalog, open_logs: Callable[[Sequence[PartitionLog]], Awaitable[None]]
    ) -> None:
        self._volume = volume
        self._catalog = catalog
        self._open_logs = open_logs
        self._directories: dict[int, str] = {}  # of the copies that are held, by identity

    async def copy(self, every_log: EveryLog | None) -> StoreCopy:
        """`Copyable.copy`."""
        volume = self._volume
        identity = volume.data.identity
        assert identity is not None, "the store must be open"
        directory = volume.data.copy_directory()
        try:
            for attempt in range(ATTEMPTS):
                logs = await self._attempt(every_log, f"{directory}/{attempt}")
                if logs is not None:
                    copy = StoreCopy(identity.cluster_id, identity.directory_id, logs)
                    self._directories[id(copy.logs)] = directory
                    return copy
        except OSError as error:
            await self._remove(directory)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the logs cannot be copied: {error}") from error
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._remove(directory)
            raise
        await self._remove(directory)
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the logs change too quickly to be copied: try again")

    async def let_go(self, copy: StoreCopy) -> None:
        """`Copyable.let_go`."""
        directory = self._directories.pop(id(copy.logs), None)
        if directory is not None:
            await self._remove(directory)

    async def _remove(self, directory: str) -> None:
        with suppress(OSError):  # the next start removes it
            await self._volume.offload.run(self._volume.disk.remove_tree, directory)

    async def _attempt(self, every_log: EveryLog | None, directory: str) -> list[LogCopy] | None:
        """A copy whose links are in `directory`; None if something has changed while it was made. Raises KafkaError,
        OSError."""
        volume, disk = self._volume, self._volume.disk
        with ExitStack() as pinned:
            faces = await self._opened(every_log, pinned)
            async with volume.reshaping:
                faces = [face for face in faces if not face.is_deleted]
                specs = [face.spec for face in faces]
                blobs = await volume.offload.run(self._link_blobs, specs, directory)
                if any(face.opened is None and not face.is_deleted for face in faces):
                    return None
                cuts = [_cut(face) for face in faces if not face.is_deleted]
                logs = await volume.offload.run(_link_segments, disk, cuts, directory)
                if blobs != await volume.offload.run(self._blobs, specs):
                    return None
        found = {(spec.topic, spec.partition): mine for spec, mine in zip(specs, blobs, strict=True)}
        links = dict(_blob_links(blobs, directory))
        return [
            log._replace(
                blobs=[
                    BlobCopy(blob.name, blob.size, partial(read_file, disk, links[blob.path], blob.size))
                    for blob in found[log.topic, log.partition]
                ]
            )
            for log in logs
        ]

    async def _opened(self, every_log: EveryLog | None, pinned: ExitStack) -> list[LocalLog]:
        """Every log that has a directory, open and kept so. Raises KafkaError if one is not there to be read."""
        present = self._volume.data.present
        faces: list[LocalLog] = []
        known = {face.spec[:3]: face for face in self._catalog if not face.is_deleted}
        async for spec in Slices().over([*(face.spec for face in known.values()), *(every_log() if every_log else ())]):
            if spec[:3] not in known and (face := self._catalog.look_up(spec)) is not None:
                known[spec[:3]] = face
        for face in known.values():
            if face.key in present:
                pinned.enter_context(face.pinned())
                faces.append(face)
        await self._open_logs(faces)
        for face in faces:
            if face.opened is None and not face.is_deleted:
                face.open()  # says why not
            if face.opened is not None and face.opened.failure is not None:
                raise face.opened.broken()
        return faces

    # -- in threads ----------------------------------------------------------------------------------------------------

    def _blobs(self, specs: Sequence[LogSpec]) -> list[list[BlobFile]]:
        """Of each log."""
        return [LocalBlobs(self._volume, spec).files() for spec in specs]

    def _link_blobs(self, specs: Sequence[LogSpec], directory: str) -> list[list[BlobFile]]:
        self._volume.disk.make_directory(directory)
        found = self._blobs(specs)
        for path, link in _blob_links(found, directory):
            _link(self._volume.disk, path, link, None)
        return found


def _blob_links(blobs: Iterable[Sequence[BlobFile]], directory: str) -> Iterator[tuple[str, str]]:
    paths = [blob.path for mine in blobs for blob in mine]
    for number, path in enumerate(paths):
        yield path, f"{directory}/blob-{number}"


def _cut(face: LocalLog) -> _Cut:
    """The log at this moment, without the bytes."""
    log = face.opened
    assert log is not None, "what is copied is open"
    spec = face.spec
    return _Cut(
        LogCopy(
            spec.topic, spec.topic_id, spec.partition, log.start, log.end, (),
            producers=log.producers.snapshot(),
            aborted=log.aborted.ending_in(0, log.end),
            epochs=tuple(log.epochs.entries),
        ),
        [(segment.base_offset, segment.size, segment.path(".log")) for segment in log.segments],
    )  # fmt: skip


def _link_segments(disk: Disk, cuts: Sequence[_Cut], directory: str) -> list[LogCopy]:
    logs: list[LogCopy] = []
    for number, cut in enumerate(cuts):
        segments = []
        for base_offset, size, path in cut.segments:
            link = f"{directory}/{number}-{base_offset}"
            _link(disk, path, link, size)
            segments.append(SegmentCopy(base_offset, size, partial(read_file, disk, link, size)))
        logs.append(cut.log._replace(segments=segments))
    return logs


def _link(disk: Disk, path: str, link: str, size: int | None) -> None:
    """Give a file another name; if that cannot be, write its bytes there, `size` of them or all. Raises OSError."""
    try:
        disk.link(path, link)
    except FileNotFoundError:
        raise
    except OSError:
        source, target = disk.open_read(path), disk.open(link, create=True)
        position, end = 0, source.size() if size is None else size
        while position < end and (data := source.read(position, min(PIECE, end - position))):
            target.write(position, data)
            position += len(data)
        source.close()
        target.close()
