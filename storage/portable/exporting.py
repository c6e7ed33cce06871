"""All logs of a cluster as a data directory of Kafka's after a clean stop: the way back to one machine.

What is written is what a backup is (`storage/portable/backup.py`), unpacked: segments with their batches at their
offsets, transaction indexes, producers, leader epochs, files beside the records, checkpoints. Ottla and Kafka serve it
as it is.

**One moment.** The ends of all logs are asked for in one question, first of all, and noted in the directory (`PLAN`);
nothing behind them is exported. Brokers may go on meanwhile. For a directory in which groups and transactions are just
where the records are, stop them before.

**Cut short**, it goes on with the same ends: a log's folder is whole when it has its `partition.metadata`, which is
written last; one that is not is begun again. The mark of a clean stop is written when everything else is there, and
the plan removed. A directory that holds anything else is refused.

**Checked** at the end: every log is read once more, out of the cluster and out of the files (`verify`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from kproto.batches.header import read_header
from kproto.ids import format_uuid
from storage.aborted_transactions import CompletedTransaction
from storage.copies import BlobCopy, LogCopy, SegmentCopy, StoreCopy, whole_batches
from storage.local import partition_metadata
from storage.local.checkpoints import CLEAN_SHUTDOWN
from storage.local.copied_files import CopiedFile, file_name, files_of
from storage.object.bucket import Bucket
from storage.object.control_plane import ControlPlane, LogName
from storage.object.limits import Limits
from storage.object.loading import Loading
from storage.object.reading_back import batches_of
from storage.portable.backup import files_of_copy
from storage.seams.disk import Disk
from storage.seams.entropy import Entropy
from storage.seams.offload import Lane, Offload

PLAN: Final = "ottla-export.json"
SEGMENT_BYTES: Final = 1 << 30
PIECE: Final = 1 << 20

Advance = Callable[[int], None]
"""Called with how many bytes have been done since."""


class ExportFailed(Exception):
    """One sentence."""


class _Planned(NamedTuple):
    """A log, as far as it is exported."""

    name: LogName
    log_id: int
    start: int
    end: int
    size: int

    @property
    def folder(self) -> str:
        return f"{self.name.topic}-{self.name.partition}"


class Export:
    """One cluster on its way into one directory; its control plane is open."""

    def __init__(
        self,
        control: ControlPlane,
        bucket: Bucket,
        path: str,
        *,
        node_id: int,
        disk: Disk,
        entropy: Entropy,
        offload: Offload,
    ) -> None:
        self._control = control
        self._path = path
        self._node_id = node_id
        self._disk = disk
        self._entropy = entropy
        self._offload = offload
        self._advance: Advance = lambda size: None
        self._loading = Loading(bucket, offload, Limits())
        self._logs: list[_Planned] = []
        self._directory_id = ""

    async def plan(self) -> int:
        """Say what is to be exported, or read what was said before; bytes. Raises ExportFailed, ControlPlaneError."""
        await self._loading.learn_epoch(self._control)
        try:
            known = self._disk.read_file(self._at(PLAN))
            if known is None:
                if self._disk.is_directory(self._path) and self._disk.list_directory(self._path):
                    raise ExportFailed(f"{self._path} is not empty; an export makes a new directory")
                self._disk.make_directory(self._path)
                known = await self._new_plan()
                self._disk.write_file_atomically(self._at(PLAN), known)
            self._read_plan(known)
        except OSError as error:
            raise ExportFailed(f"{self._path} cannot be used: {error.strerror or error}") from None
        return sum(log.size for log in self._logs)

    async def run(self, advance: Advance = lambda size: None) -> None:
        """Write everything that is not there yet, after `plan`. Raises ExportFailed, ControlPlaneError, KafkaError."""
        self._advance = advance
        copies = []
        try:
            for log in self._logs:
                copies.append(await self._write_log(log))
            await self._offload.run(self._finish, copies, lane=Lane.DISK)
        except OSError as error:
            raise ExportFailed(f"{self._path} cannot be written: {error.strerror or error}") from None

    async def verify(self) -> str:
        """Hold what was written against the cluster; the digest of all. Raises ExportFailed."""
        whole = hashlib.sha256()
        for log in self._logs:
            wanted = hashlib.sha256()
            async with aclosing(batches_of(self._control, self._loading, log.log_id, log.start, log.end)) as pieces:
                async for batch in pieces:
                    wanted.update(batch)
                    self._advance(len(batch))
            found = await self._offload.run(self._digest_of, log, lane=Lane.DISK)
            if found != wanted.digest():
                raise ExportFailed(f"{self._at(log.folder)} is not what the cluster has")
            whole.update(found)
        return whole.hexdigest()

    def _at(self, *names: str) -> str:
        return "/".join((self._path, *names))

    # -- the plan ------------------------------------------------------------------------------------------------------

    async def _new_plan(self) -> bytes:
        rows = await self._control.list_logs()
        positions = await self._control.positions([row.log_id for row in rows])
        logs = [
            [row.name.topic, row.name.topic_id.hex(), row.name.partition, row.log_id, *where[:2], where.size]
            for row, where in zip(rows, positions, strict=True)
            if where is not None
        ]
        plan = {"cluster_id": self._control.cluster_id, "directory_id": format_uuid(self._entropy.uuid()), "logs": logs}
        return json.dumps(plan).encode()

    def _read_plan(self, data: bytes) -> None:
        try:
            plan: dict[str, Any] = json.loads(data)
            self._directory_id = str(plan["directory_id"])
            self._logs = [
                _Planned(LogName(topic, bytes.fromhex(topic_id), partition), log_id, start, end, size)
                for topic, topic_id, partition, log_id, start, end, size in plan["logs"]
            ]
        except (ValueError, KeyError, TypeError):
            raise ExportFailed(f"{self._at(PLAN)} cannot be read; begin with an empty directory") from None
        if plan["cluster_id"] != self._control.cluster_id:
            raise ExportFailed(f"{self._path} is the export of another cluster, {plan['cluster_id']}")

    # -- logs ----------------------------------------------------------------------------------------------------------

    async def _write_log(self, log: _Planned) -> LogCopy:
        """One log's folder, unless it is there; what it holds, without the bytes of segments."""
        whole = self._at(log.folder, partition_metadata.NAME)
        is_there = self._disk.read_file(whole) is not None
        segments: list[SegmentCopy] = []
        epochs: list[tuple[int, int]] = []
        if is_there:
            self._advance(log.size)
        else:
            await self._offload.run(self._new_folder, log, lane=Lane.DISK)
            segments, epochs = await self._write_segments(log)
        copy = LogCopy(
            log.name.topic, log.name.topic_id, log.name.partition, log.start, log.end, segments,
            producers=[each for each in await self._control.producers(log.log_id) if each.last_offset < log.end],
            aborted=await self._aborted(log),
            epochs=epochs,
            blobs=[] if is_there else await self._blobs(log),
        )  # fmt: skip
        if not is_there:
            await self._offload.run(self._write_beside, log, copy, lane=Lane.DISK)
        return copy

    def _new_folder(self, log: _Planned) -> None:
        if self._disk.is_directory(self._at(log.folder)):
            self._disk.remove_tree(self._at(log.folder))
        self._disk.make_directory(self._at(log.folder))

    async def _write_segments(self, log: _Planned) -> tuple[list[SegmentCopy], list[tuple[int, int]]]:
        """The segments, and the leader epochs that begin in them."""
        segments: list[SegmentCopy] = []
        epochs: list[tuple[int, int]] = []
        writer: _Segment | None = None
        async with aclosing(batches_of(self._control, self._loading, log.log_id, log.start, log.end)) as pieces:
            async for batches in pieces:
                if writer is None or writer.size + len(batches) > SEGMENT_BYTES:
                    first = read_header(batches).base_offset
                    if writer is not None:
                        segments.append(await self._offload.run(writer.finish, lane=Lane.DISK))
                    base = first if segments else min(first, log.start)
                    path = self._at(log.folder, file_name(base, ".log"))
                    writer = await self._offload.run(_Segment, self._disk, path, base, lane=Lane.DISK)
                await self._offload.run(writer.add, batches, epochs, lane=Lane.DISK)
                self._advance(len(batches))
        if writer is not None:
            segments.append(await self._offload.run(writer.finish, lane=Lane.DISK))
        elif log.end:
            path = self._at(log.folder, file_name(log.end, ".log"))
            writer = await self._offload.run(_Segment, self._disk, path, log.end, lane=Lane.DISK)
            segments.append(await self._offload.run(writer.finish, lane=Lane.DISK))
        return segments, epochs

    async def _aborted(self, log: _Planned) -> list[CompletedTransaction]:
        """As the transaction index has them. Where stable data ended after each is not kept by a cluster; what no later
        line overlaps does as well."""
        spans = [each for each in await self._control.aborted(log.log_id, 0, log.end) if each.last_offset < log.end]
        found: list[CompletedTransaction] = []
        earliest = log.end
        for span in reversed(spans):
            stable = min(span.last_offset + 1, earliest)
            found.append(CompletedTransaction(span.producer_id, span.first_offset, span.last_offset, True, stable))
            earliest = min(earliest, span.first_offset)
        return found[::-1]

    async def _blobs(self, log: _Planned) -> list[BlobCopy]:
        found = []
        for blob in await self._control.blobs(log.log_id):
            content = await self._control.read_blob(log.log_id, blob.name)
            if content is not None and "_" not in blob.name:  # an underscore: the engine's own
                found.append(BlobCopy(blob.name, len(content), lambda content=content: iter((content,))))  # type: ignore[misc]  # mypy sees no default
        return found

    def _write_beside(self, log: _Planned, copy: LogCopy) -> None:
        """Everything but the segments; last what says that the folder is whole."""
        files = [file for file in files_of(copy) if not file.name.endswith(".log")]
        for file in sorted(files, key=lambda each: each.name == partition_metadata.NAME):
            self._write_file(self._at(log.folder, file.name), file)
        self._disk.sync_directory(self._at(log.folder))

    def _finish(self, logs: Sequence[LogCopy]) -> None:
        """The files of the directory itself, and last the mark of a clean stop."""
        copy = StoreCopy(self._control.cluster_id, self._directory_id, logs)
        files = [file for file in files_of_copy(copy, self._node_id) if "/" not in file.name]
        for file in sorted(files, key=lambda each: each.name == CLEAN_SHUTDOWN):
            self._write_file(self._at(file.name), file)
        self._disk.remove(self._at(PLAN))
        self._disk.sync_directory(self._path)

    def _write_file(self, path: str, file: CopiedFile) -> None:
        self._disk.write_file_atomically(path, b"".join(file.pieces()))

    def _digest_of(self, log: _Planned) -> bytes:
        digest = hashlib.sha256()
        folder = self._at(log.folder)
        for name in sorted(each for each in self._disk.list_directory(folder) if each.endswith(".log")):
            for piece in _pieces(self._disk, f"{folder}/{name}"):
                digest.update(piece)
        return digest.digest()


class _Segment:
    """A segment's file in the making. In threads."""

    def __init__(self, disk: Disk, path: str, base_offset: int) -> None:
        self._file = disk.open(path, create=True)
        self._base_offset = base_offset
        self.size = 0

    def add(self, batches: memoryview, epochs: list[tuple[int, int]]) -> None:
        """Append these; their leader epochs, where one begins, go to `epochs`."""
        for batch in whole_batches(iter((batches,))):
            header = read_header(batch)
            if not epochs or header.partition_leader_epoch > epochs[-1][0]:
                epochs.append((header.partition_leader_epoch, header.base_offset))
        self._file.write(self.size, batches)
        self.size += len(batches)

    def finish(self) -> SegmentCopy:
        """Make it durable."""
        self._file.datasync()
        self._file.close()
        return SegmentCopy(self._base_offset, self.size, lambda: iter(()))


def _pieces(disk: Disk, path: str) -> Iterator[bytes]:
    file = disk.open_read(path)
    try:
        position = 0
        while data := file.read(position, PIECE):
            yield data
            position += len(data)
    finally:
        file.close()
