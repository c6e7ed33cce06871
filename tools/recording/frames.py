"""Frames on a stream, both ways, within a budget of memory that all connections share.

A frame is whole before it is passed on, since it may have to be changed. Its bytes are counted against the `Budget`
from when its length is known until it has been sent, so many large frames at a time wait for each other instead of
filling the memory. Frames of `UNCOUNTED` bytes are not worth the wait. A buffer grows with what has arrived and not
with what a length claims.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from kproto.errors import FrameTooLarge
from kproto.framing import DEFAULT_MAX_FRAME

UNCOUNTED: Final = 64 * 1024
READ_BYTES: Final = 64 * 1024
BUDGET_BYTES: Final = 256 * 1024 * 1024


class Budget:
    """So many bytes of frames at a time; who comes first is served first."""

    def __init__(self, size: int = BUDGET_BYTES) -> None:
        """`size` in bytes, at least that of the largest frame."""
        self._free = size
        self._queue = trio.Lock()
        self._freed = trio.Event()

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes inside the block; waits until they are free."""
        if size <= UNCOUNTED:
            yield
            return
        async with self._queue:
            while self._free < size:
                self._freed = trio.Event()
                await self._freed.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._freed.set()


class FrameStream:
    """One end of a connection, in frames."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = bytearray()

    async def next_size(self) -> int | None:
        """The length of the next frame; None at the end of the stream. Raises FrameTooLarge, trio's BrokenResourceError
        and ClosedResourceError."""
        if not await self._fill(4):
            return None
        size = int.from_bytes(self._rest[:4], "big", signed=True)
        if not 0 <= size <= DEFAULT_MAX_FRAME:
            raise FrameTooLarge(f"a frame of {size} bytes (allowed are 0 to {DEFAULT_MAX_FRAME})", size)
        return size

    async def take(self, size: int) -> bytes | None:
        """The frame whose length `next_size` gave; None where the stream ends within it."""
        if not await self._fill(4 + size):
            return None
        frame = bytes(memoryview(self._rest)[4 : 4 + size])
        del self._rest[: 4 + size]
        return frame

    async def next(self) -> bytes | None:
        """The next frame, for a peer that is trusted to send small ones."""
        size = await self.next_size()
        return None if size is None else await self.take(size)

    async def send(self, frame: bytes) -> None:
        """Send a frame, its length before it."""
        await self._stream.send_all(len(frame).to_bytes(4, "big") + frame)

    async def close(self) -> None:
        """End the connection at once, whatever the other end does."""
        await trio.aclose_forcefully(self._stream)

    async def _fill(self, size: int) -> bool:
        while len(self._rest) < size:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                return False
            self._rest += data
        return True
