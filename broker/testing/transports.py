"""A connection without a network: what `broker.network.listener.Transport` asks for, in memory and under virtual time.

The test plays the peer: `deliver` bytes, `end` the stream, look at `sent_bytes`. `takes` limits how many more bytes
the peer will take, so that a slow reader can be played too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from broker.network.listener import PeerSide


class MemoryTransport:
    """One end of a connection; the other end is the test."""

    def __init__(self, *, takes: int | None = None) -> None:
        self.peer = ("192.0.2.1", 50_000)
        self.local = ("192.0.2.2", 9092)
        self.received = 0
        self.sent = 0
        self.sends = 0
        """How often something was given to it to send."""
        self.closed = False
        self.has_closed = trio.Event()
        self.resets = False  # the peer has gone without a word
        self.sent_bytes = bytearray()
        self._takes = takes
        self._incoming = bytearray()
        self._ended = False
        self._readable = trio.Event()
        self._writable = trio.Event()

    # --- the broker's side

    def receive_now(self, window: memoryview) -> int | None:
        if self.closed:
            raise trio.ClosedResourceError
        if self._incoming:
            count = min(len(window), len(self._incoming))
            window[:count] = self._incoming[:count]
            del self._incoming[:count]
            self.received += count
            return count
        return 0 if self._ended else None

    async def wait_readable(self) -> None:
        self._readable = trio.Event()
        if not self._incoming and not self._ended:
            await self._readable.wait()

    def has_more(self) -> bool:
        return bool(self._incoming) or self._ended

    def peer_side(self) -> PeerSide:
        if self.resets:
            return PeerSide.GONE
        return PeerSide.ENDED if self._ended else PeerSide.OPEN

    def send_now(self, buffers: Sequence[Any]) -> Sequence[Any]:
        self.sends += 1
        if self.closed:
            raise trio.ClosedResourceError
        for index, buffer in enumerate(buffers):
            data = memoryview(buffer if isinstance(buffer, bytes | bytearray | memoryview) else buffer.read())
            count = len(data) if self._takes is None else min(len(data), self._takes)
            self.sent_bytes += data[:count]
            self.sent += count
            if self._takes is not None:
                self._takes -= count
            if count < len(data):
                return [data[count:], *buffers[index + 1 :]]
        return ()

    async def send(self, buffers: Sequence[Any]) -> None:
        left = self.send_now(buffers)
        while left:
            self._writable = trio.Event()
            await self._writable.wait()
            left = self.send_now(left)

    def close(self) -> None:
        self.closed = True
        self.has_closed.set()

    # --- the peer's side

    def deliver(self, data: bytes) -> None:
        """Bytes arrive at the broker."""
        self._incoming += data
        self._readable.set()

    def end(self) -> None:
        """The peer closes its side."""
        self._ended = True
        self._readable.set()

    def take(self, count: int) -> None:
        """The peer takes `count` more bytes."""
        assert self._takes is not None
        self._takes += count
        self._writable.set()
