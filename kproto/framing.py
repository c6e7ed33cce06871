"""Frames out of a byte stream: a four-byte length, then so many bytes (Kafka protocol guide, "Common request and
response structure").

`FrameReader` owns the receive buffer. Its user asks for a writable window (`window`), reads a socket into it, says how
much came (`received`) and takes whole frames (`next_frame`) as memoryviews of the buffer: nothing is copied on the
way, and the records of a Produce request stay where the kernel put them until they are written to the log.

Rules, and their reasons:

- The length field is a claim, not a fact. The buffer grows with the bytes that have arrived, never in one step to what
  a peer announces; it doubles when it is nearly full, so a peer that sends byte by byte does not have its bytes copied
  each time. Before it grows, `grown` says to what size, so that the reader's user can account for it first, or wait
  until there is room.
- Inside a large frame the window ends where the frame ends, so that frame is not followed by the start of another that
  would have to be moved. Only small tails are ever moved.
- When all frames of the buffer are taken, the buffer is used again from its start. A frame that must outlive this (its
  handler waits before it has used the bytes) is saved by `detach`: the reader goes on with a new buffer.
- A connection that waits for its peer holds no buffer. `rest` puts it back into the pool that connections share, and
  the next `window` takes one from there: buffers are as many as connections are being read at the same moment, not as
  many as there are connections. A few bytes of an unfinished frame are kept aside meanwhile.
"""

from __future__ import annotations

from struct import Struct

from kproto.errors import FrameTooLarge

DEFAULT_MAX_FRAME = 100 * 1024 * 1024
"""Kafka's socket.request.max.bytes."""

SMALL_WINDOW = 64 * 1024
"""What one read takes when no large frame is under way."""

EAGER_BYTES = 128 * 1024
"""The first size of a buffer that has to grow, unless the frame is smaller; then it doubles, and is kept."""

ROOM_BYTES = SMALL_WINDOW // 2
"""A buffer in which a frame does not fit grows when there is room for less."""

KEPT_BYTES = 4 * 1024 * 1024
"""A buffer that had to grow beyond this is not kept for the next frame."""

ASIDE_BYTES = 4 * 1024
"""As much of an unfinished frame is copied aside by `rest`; with more in it the buffer stays with its connection."""

SPARE_BUFFERS = 16
"""How many buffers a pool keeps for the next who asks."""

_NOTHING = memoryview(b"")
_LENGTH = Struct(">i")
_read_length = _LENGTH.unpack_from


class BufferPool:
    """Buffers of SMALL_WINDOW bytes, for readers that share it. What is left in one by another reader is never read."""

    __slots__ = ("spare",)

    def __init__(self) -> None:
        self.spare: list[memoryview] = []
        """Views of whole buffers, at most SPARE_BUFFERS. On every request's way, so readers take from it themselves."""

    def take(self) -> memoryview:
        """The whole of a buffer."""
        return self.spare.pop() if self.spare else memoryview(bytearray(SMALL_WINDOW))

    def give_back(self, view: memoryview) -> None:
        """Keep the whole of a buffer for the next reader, unless there are enough."""
        if len(self.spare) < SPARE_BUFFERS:
            self.spare.append(view)


class FrameReader:
    """Splits received bytes into frames. Raises FrameTooLarge for a length below zero or above `max_frame`.

    It begins at rest: without a buffer until the first `window`.
    """

    __slots__ = ("_end", "_frame_end", "_max_frame", "_pool", "_spare", "_start", "_view")

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME, pool: BufferPool | None = None) -> None:
        self._max_frame = max_frame
        self._pool = BufferPool() if pool is None else pool
        self._spare = self._pool.spare
        self._view = _NOTHING  # all of the buffer
        self._start = 0  # first byte not yet given out
        self._end = 0  # first byte not yet received
        self._frame_end = -1  # where the frame under way ends, once its length is known

    @property
    def pending(self) -> int:
        """Bytes received of a frame that is not complete yet."""
        return self._end - self._start

    @property
    def capacity(self) -> int:
        """Bytes of buffer held now."""
        return len(self._view)

    def grown(self) -> int:
        """Bytes of buffer that the next `window` leaves the reader with; 0 where SMALL_WINDOW is enough."""
        size = len(self._view)
        start = self._start
        if start == self._end:
            return size if SMALL_WINDOW < size <= KEPT_BYTES else 0
        if size < SMALL_WINDOW:  # at rest
            size = SMALL_WINDOW
        if (frame := self._frame_end - start) > size and size - self._end < ROOM_BYTES:
            size = self._size_for(frame)
        return size if size > SMALL_WINDOW else 0

    def rest(self) -> None:
        """Give the buffer back before a wait; `window` takes another. All frames given out must be done with.

        A buffer that has grown, or that holds more than ASIDE_BYTES of an unfinished frame, is kept for what follows.
        """
        view = self._view
        if len(view) == SMALL_WINDOW:
            pending = self._end - self._start
            if not pending:
                self._view = _NOTHING
                if len(self._spare) < SPARE_BUFFERS:
                    self._spare.append(view)
            elif pending <= ASIDE_BYTES:
                self._set_aside()

    def shrink(self) -> None:
        """Hold no more than what has arrived, as a reader does whose peer has been still for a while.

        All frames given out must be done with. An unfinished frame above SMALL_WINDOW stays where it is: its buffer is
        at most twice as large as what has arrived.
        """
        if self._end - self._start <= SMALL_WINDOW and len(self._view) > self._end - self._start:
            self._set_aside()

    def _set_aside(self) -> None:
        """Leave the buffer to the pool; what is left of an unfinished frame goes into one of just its size."""
        view, start = self._view, self._start
        self._view = memoryview(bytearray(view[start : self._end]))
        self._start, self._end = 0, self._end - start
        if self._frame_end >= 0:
            self._frame_end -= start
        if len(view) == SMALL_WINDOW:
            self._pool.give_back(view)

    def window(self) -> memoryview:
        """Where the next bytes belong. Never empty. All frames given out before must be done with (or detached)."""
        start, end = self._start, self._end
        size = len(self._view)
        if start == end:
            self._start = self._end = 0
            if size == SMALL_WINDOW:
                return self._view
            if SMALL_WINDOW < size <= KEPT_BYTES:
                return self._view[:SMALL_WINDOW]
            self._view = view = self._spare.pop() if self._spare else memoryview(bytearray(SMALL_WINDOW))
            return view
        if size < SMALL_WINDOW:  # the reader was at rest
            self._move_to_front(SMALL_WINDOW)
            start, end = self._start, self._end
        wanted = self._frame_end
        if wanted < 0:  # not even the length is there
            if len(self._view) - end < 4:
                self._move_to_front(SMALL_WINDOW)
            return self._view[self._end : self._end + SMALL_WINDOW]
        size = wanted - start
        if wanted > len(self._view):
            if size <= len(self._view):
                self._move_to_front(len(self._view))
            elif len(self._view) - end < ROOM_BYTES:
                self._move_to_front(self._size_for(size), replace=True)
            end = self._end
            wanted = self._frame_end
        if size > SMALL_WINDOW:
            return self._view[end : min(wanted, len(self._view))]
        return self._view[end : max(wanted, end + SMALL_WINDOW)]

    def received(self, count: int) -> None:
        """`count` bytes have been written to the start of the last window."""
        self._end += count
        assert self._end <= len(self._view)

    def next_frame(self) -> memoryview | None:
        """The next complete frame without its length, or None. Valid until `window` is called again."""
        start = self._start
        have = self._end - start
        if have < 4:
            return None
        size: int = _read_length(self._view, start)[0]
        if size < 0 or size > self._max_frame:
            raise FrameTooLarge(f"a frame of {size} bytes (allowed are 0 to {self._max_frame})", size)
        frame_end = start + 4 + size
        if frame_end > self._end:
            self._frame_end = frame_end
            return None
        self._frame_end = -1
        self._start = frame_end
        return self._view[start + 4 : frame_end]

    def detach(self) -> None:
        """Leave the frames given out so far to their holders, and go on in a new buffer."""
        self._move_to_front(SMALL_WINDOW, replace=True)

    def _replace(self, size: int) -> None:
        self._view = self._pool.take() if size == SMALL_WINDOW else memoryview(bytearray(size))

    def _move_to_front(self, size: int, replace: bool = False) -> None:
        """Bring the bytes not given out yet to the front of a buffer of at least `size` bytes."""
        start, length = self._start, self._end - self._start
        pending = self._view[start : self._end]
        if replace or size > len(self._view) or length > start:
            # In place only where source and target do not overlap.
            self._replace(max(size, length + 4))
        self._view[:length] = pending
        if self._frame_end >= 0:
            self._frame_end -= start
        self._start, self._end = 0, length

    def _size_for(self, frame: int) -> int:
        """The size of a new buffer for a frame of so many bytes, as far as what has arrived justifies."""
        arrived = self._end - self._start
        return max(SMALL_WINDOW, arrived + 4, min(frame, max(EAGER_BYTES, 2 * arrived)))


def frame_prefix(length: int) -> bytes:
    """The four bytes before a frame of `length` bytes."""
    return _LENGTH.pack(length)
