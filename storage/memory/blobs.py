"""Blobs in memory: the contract of `storage/blobs.py` in the fewest words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import trio

from kproto.batches.buffers import ReadableBuffer
from kproto.errors import ErrorCode, KafkaError
from storage.blobs import StoredBlob


class MemoryBlobs:
    """`LogBlobs` says what its methods promise."""

    def __init__(self, log_exists: Callable[[], bool] = lambda: True) -> None:
        self._log_exists = log_exists
        self.files: dict[str, bytes] = {}
        """What is there, by name; a test may change it."""

    async def stored(self) -> list[StoredBlob]:
        await trio.lowlevel.checkpoint()
        return [StoredBlob(name, len(self.files[name])) for name in sorted(self.files)]

    async def read(self, name: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.files.get(name)

    async def write(self, name: str, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        await trio.lowlevel.checkpoint()
        if not self._log_exists():
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no log that {name} could belong to")
        self.files[name] = b"".join(bytes(piece) for piece in pieces())

    async def remove(self, names: Sequence[str]) -> None:
        await trio.lowlevel.checkpoint()
        for name in names:
            self.files.pop(name, None)
