"""Frames out of a chopped stream: whatever the chops, the same frames come out, and nothing but FrameTooLarge escapes.

Input: a byte of flags, a byte n, n bytes of chop sizes, and the stream. Bit 0 of the flags has every frame detached (it
must then stay as it is while the reader goes on), bit 1 makes the chops 256 times as large.

The oracle is three lines of slicing over the whole stream. Besides: the window is never empty, and the buffer is never
larger than what has arrived justifies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kproto.errors import FrameTooLarge
from kproto.framing import EAGER_BYTES, KEPT_BYTES, SMALL_WINDOW, FrameReader, frame_prefix
from kproto.tests.fuzz.bounds import measured

MAX_FRAME: Final = 256 * 1024
DETACHING, COARSE = 1, 2


def fuzz_frames(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 2:
        return
    flags, count = data[0], data[1]
    unit = 256 if flags & COARSE else 1
    chops = [1 + size * unit for size in data[2 : 2 + count]]
    stream = data[2 + count :]
    # A frame that is held keeps the buffer it lies in, and each chop may come with a buffer of its own.
    held = (len(chops) + 1) * 2 * SMALL_WINDOW if flags & DETACHING else 0
    frames = measured(
        lambda: received(stream, chops, bool(flags & DETACHING)), len(data),
        bytes_per_byte=64, beside=2 * EAGER_BYTES + 2 * SMALL_WINDOW + held,
    )  # fmt: skip
    assert frames == expected(stream)


def expected(stream: bytes) -> list[bytes | str]:
    """The frames of a stream, and the word that ends it if it ends badly."""
    frames: list[bytes | str] = []
    while len(stream) >= 4:
        size = int.from_bytes(stream[:4], "big", signed=True)
        if not 0 <= size <= MAX_FRAME:
            return [*frames, "too large"]
        if 4 + size > len(stream):
            break
        frames.append(stream[4 : 4 + size])
        stream = stream[4 + size :]
    return frames


def received(stream: bytes, chops: list[int], detaching: bool) -> list[bytes | str]:
    """The frames that a reader finds."""
    reader = FrameReader(MAX_FRAME)
    held: list[memoryview] = []
    frames: list[bytes | str] = []
    at, turns = 0, iter(chops)
    while at < len(stream):
        window = reader.window()
        assert len(window) > 0, "there is always room for the next bytes"
        taken = min(len(window), len(stream) - at, next(turns, 1 << 20))
        window[:taken] = stream[at : at + taken]
        del window
        reader.received(taken)
        at += taken
        assert reader.capacity <= max(KEPT_BYTES, 2 * at + EAGER_BYTES), "the buffer grows with what arrives"
        try:
            while (frame := reader.next_frame()) is not None:
                frames.append(bytes(frame))
                if detaching:
                    held.append(frame)
        except FrameTooLarge:
            frames.append("too large")
            break
        if detaching:
            reader.detach()
    assert not detaching or [bytes(frame) for frame in held] == [frame for frame in frames if isinstance(frame, bytes)]
    return frames


def seeds() -> Iterator[bytes]:
    """Streams of good frames, of good ones and a bad one, and pieces of them."""
    small = b"".join(frame_prefix(size) + bytes(size) for size in (0, 1, 14, 200))
    large = frame_prefix(70_000) + b"r" * 70_000
    for flags in range(4):
        for chops in (b"", b"\0" * 9, b"\1\2\3\xff\0"):
            head = bytes((flags, len(chops))) + chops
            yield head + small
            yield head + small + b"\xff\xff\xff\xff" + small
            yield head + small + frame_prefix(MAX_FRAME + 1)
            yield head + small[:-3]
        yield bytes((flags, 2)) + b"\x80\xff" + frame_prefix(3000) + bytes(3000) + small
    yield bytes((COARSE, 3)) + b"\x01\xf0\x10" + large + small
