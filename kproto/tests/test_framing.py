"""Frames survive any chopping of the stream, cost no more memory than has arrived, and never overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.errors import FrameTooLarge
from kproto.framing import EAGER_BYTES, SMALL_WINDOW, FrameReader, frame_prefix


def feed(reader: FrameReader, data: bytes) -> None:
    """Receive exactly `data`; the reader's window must have room for it."""
    window = reader.window()
    assert len(window) >= len(data)
    window[: len(data)] = data
    reader.received(len(data))


def stream_of(frames: list[bytes]) -> bytes:
    return b"".join(frame_prefix(len(frame)) + frame for frame in frames)


def read_all(reader: FrameReader, stream: bytes, sizes: list[int]) -> list[bytes]:
    """Push a stream through in receives of at most the given sizes (then whatever the window takes)."""
    frames, at, turns = [], 0, iter(sizes)
    while at < len(stream):
        window = reader.window()
        assert len(window) > 0
        count = min(len(window), len(stream) - at, next(turns, 1 << 30))
        window[:count] = stream[at : at + count]
        reader.received(count)
        at += count
        while (frame := reader.next_frame()) is not None:
            frames.append(bytes(frame))
    return frames


@given(
    st.lists(st.integers(0, 200_000).map(lambda size: bytes([size & 0xFF]) * size), max_size=6),
    st.lists(st.integers(1, 100_000), max_size=30),
)
def test_any_chopping_of_the_stream_gives_the_same_frames(frames: list[bytes], sizes: list[int]) -> None:
    """Frames do not depend on how TCP cuts the stream."""
    assert read_all(FrameReader(), stream_of(frames), sizes) == frames


def test_byte_by_byte() -> None:
    """The slowest peer is understood too."""
    frames = [b"", b"a", b"hello", b"x" * 300]
    stream = stream_of(frames)
    assert read_all(FrameReader(), stream, [1] * len(stream)) == frames


@pytest.mark.parametrize("size", [-1, -(2**31), 101])
def test_a_length_outside_the_limits_is_refused(size: int) -> None:
    """A negative or oversized length breaks the wire; nothing is allocated for it."""
    reader = FrameReader(max_frame=100)
    feed(reader, size.to_bytes(4, "big", signed=True))
    with pytest.raises(FrameTooLarge):
        reader.next_frame()


def test_a_claimed_length_allocates_only_what_has_arrived() -> None:
    """C7: 100 MiB announced and a few bytes sent hold 128 KiB."""
    reader = FrameReader()
    feed(reader, frame_prefix(100 * 1024 * 1024) + b"start")
    assert reader.next_frame() is None
    reader.window()
    assert reader.capacity <= EAGER_BYTES


def test_a_large_frame_is_not_followed_by_another_in_one_window() -> None:
    """While a large frame arrives, the window ends where it ends: the next one need not be moved."""
    reader = FrameReader()
    size = SMALL_WINDOW + 30_000
    feed(reader, frame_prefix(size) + bytes(1000))
    assert reader.next_frame() is None
    assert len(reader.window()) == size - 1000


def test_the_buffer_is_used_again() -> None:
    """A steady stream of frames costs one buffer."""
    reader = FrameReader()
    before = reader.window().obj
    for _ in range(100):
        feed(reader, frame_prefix(1000) + bytes(1000))
        assert reader.next_frame() is not None
    assert reader.window().obj is before


def test_a_detached_frame_stays_what_it_was() -> None:
    """After detach the bytes given out belong to their holder, and what had arrived beyond them is kept."""
    reader = FrameReader()
    feed(reader, frame_prefix(5) + b"first" + frame_prefix(6) + b"sec")
    first = reader.next_frame()
    assert first is not None
    reader.detach()
    feed(reader, b"ond")
    second = reader.next_frame()
    feed(reader, frame_prefix(5) + b"other")
    third = reader.next_frame()
    assert second is not None and third is not None
    assert (bytes(first), bytes(third)) == (b"first", b"other")


def test_a_buffer_that_grew_for_one_giant_frame_is_let_go() -> None:
    """One 10 MiB request does not make a connection hold 10 MiB for ever."""
    reader = FrameReader()
    assert len(read_all(reader, stream_of([bytes(10 * 1024 * 1024)]), [])) == 1
    reader.window()
    assert reader.capacity == SMALL_WINDOW
