"""Files beside a log, kept in the database: they are few, small, and written as a whole (`storage/blobs.py`).

The engine keeps one of its own there, `cleaner_offset`: how far a compacted log is clean. Its name has an underscore,
as no other has, and it is shown to no caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from storage.blobs import StoredBlob
from storage.object.control_plane import ControlPlane
from storage.object.reader import asked
from storage.seams.offload import Offload

CLEANER_OFFSET: Final = "cleaner_offset"


class Numbered(Protocol):
    """A log, as its blobs know it."""

    log_id: int | None
    deleted: bool


class ObjectBlobs:
    """`LogBlobs` says what its methods promise."""

    def __init__(self, log: Numbered, control: ControlPlane, offload: Offload) -> None:
        self._log = log
        self._control = control
        self._offload = offload

    @property
    def _log_id(self) -> int | None:
        return None if self._log.deleted else self._log.log_id

    async def stored(self) -> list[StoredBlob]:
        if self._log_id is None:
            return []
        return [blob for blob in await asked(self._control.blobs(self._log_id)) if blob.name != CLEANER_OFFSET]

    async def read(self, name: str) -> bytes | None:
        return None if self._log_id is None else await asked(self._control.read_blob(self._log_id, name))

    async def write(self, name: str, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        content = await self._offload.run(lambda: b"".join(pieces()))
        if self._log_id is None or not await asked(self._control.write_blob(self._log_id, name, content)):
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no log that {name} could belong to")

    async def remove(self, names: Sequence[str]) -> None:
        if self._log_id is not None and names:
            await asked(self._control.remove_blobs(self._log_id, names))
