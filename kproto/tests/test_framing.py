"""Frames survive any chopping of the stream, cost no more memory than has arrived, and never overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.errors import FrameTooLarge
from kproto.framing import ASIDE_BYTES, EAGER_BYTES, SMALL_WINDOW, SPARE_BUFFERS, BufferPool, FrameReader, frame_prefix


def feed(reader: FrameReader, data: bytes) -> None:
    """Receive exactly `data`; the reader's window must have room for it."""
    window = reader.window()
    assert len(window) >= len(data)
    window[: len(data)] = data
    reader.received(len(data))


def next_frame(reader: FrameReader) -> bytes | None:
    """A copy of the next frame."""
    frame = reader.next_frame()
    return None if frame is None else bytes(frame)


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


@given(
    st.lists(st.integers(0, 200_000).map(lambda size: bytes([size & 0xFF]) * size), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(["go on", "rest", "shrink"]), st.integers(1, 100_000)), max_size=40),
)
def test_waiting_anywhere_changes_no_frame(frames: list[bytes], turns: list[tuple[str, int]]) -> None:
    """Two readers of one pool, by turns, each resting or shrinking wherever it likes, give the frames of its stream."""
    pool = BufferPool()
    streams = [stream_of(frames), stream_of([bytes([byte ^ 0xFF for byte in frame[:1]]) + frame for frame in frames])]
    readers = [FrameReader(pool=pool), FrameReader(pool=pool)]
    found: list[list[bytes]] = [[], []]
    places = [0, 0]
    turn = 0
    while any(place < len(stream) for place, stream in zip(places, streams, strict=True)):
        for number, (reader, stream) in enumerate(zip(readers, streams, strict=True)):
            then, most = turns[turn] if turn < len(turns) else ("go on", 1 << 30)
            turn += 1
            window = reader.window()
            assert len(window) > 0
            count = min(len(window), len(stream) - places[number], most)
            window[:count] = stream[places[number] : places[number] + count]
            reader.received(count)
            places[number] += count
            while (frame := reader.next_frame()) is not None:
                found[number].append(bytes(frame))
            if then == "rest":
                reader.rest()
            elif then == "shrink":
                reader.shrink()
                assert reader.capacity <= max(2 * reader.pending, EAGER_BYTES)
    assert found[0] == frames
    assert [frame[1:] for frame in found[1]] == frames


def test_a_reader_at_rest_holds_no_buffer() -> None:
    """Many readers of one pool that wait hold what has arrived of a frame, no more."""
    pool = BufferPool()
    readers = [FrameReader(pool=pool) for _ in range(100)]
    for reader in readers:
        feed(reader, frame_prefix(5) + b"whole" + frame_prefix(500) + b"part")
        assert next_frame(reader) == b"whole"
        assert reader.next_frame() is None
        reader.rest()
    assert sum(reader.capacity for reader in readers) == 100 * len(frame_prefix(500) + b"part")
    feed(readers[7], bytes(496))
    assert next_frame(readers[7]) == b"part" + bytes(496)


def test_a_pool_keeps_few_buffers() -> None:
    """A rush of many connections does not fix what the broker holds ever after."""
    pool = BufferPool()
    buffers = [pool.take() for _ in range(SPARE_BUFFERS + 5)]
    for buffer in buffers:
        pool.give_back(buffer)
    assert len({id(pool.take()) for _ in range(SPARE_BUFFERS + 5)} & set(map(id, buffers))) == SPARE_BUFFERS


def test_a_reader_that_waits_for_much_keeps_its_buffer_until_it_shrinks() -> None:
    """More than ASIDE_BYTES are not copied at every wait, but a peer that is still for long holds only what it sent."""
    reader = FrameReader()
    feed(reader, frame_prefix(60_000) + bytes(ASIDE_BYTES))
    assert reader.next_frame() is None
    reader.rest()
    assert reader.capacity == SMALL_WINDOW
    reader.shrink()
    assert reader.capacity == ASIDE_BYTES + 4
    feed(reader, bytes(60_000 - ASIDE_BYTES))
    assert next_frame(reader) == bytes(60_000)


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
    """C7: 100 MiB announced and a few bytes sent hold the window that every reader has."""
    reader = FrameReader()
    feed(reader, frame_prefix(100 * 1024 * 1024) + b"start")
    assert reader.next_frame() is None
    reader.window()
    assert reader.capacity == SMALL_WINDOW


@pytest.mark.parametrize("step", [SMALL_WINDOW, 1000])
def test_a_frame_is_not_copied_each_time_when_some_of_it_arrives(step: int) -> None:
    """In however small pieces it comes, its buffer doubles."""
    reader = FrameReader()
    frame = bytes(1 << 20)
    stream, at = stream_of([frame]), 0
    buffers: list[object] = []
    while at < len(stream):
        window = reader.window()
        if not buffers or window.obj is not buffers[-1]:
            buffers.append(window.obj)
        count = min(step, len(window), len(stream) - at)
        window[:count] = stream[at : at + count]
        reader.received(count)
        at += count
        found = next_frame(reader)
    assert found == frame
    assert len(buffers) <= 6


@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(["go on", "rest", "shrink"]), st.integers(1, 100_000)), max_size=40),
)
def test_the_buffer_is_as_large_as_was_said(sizes: list[int], turns: list[tuple[str, int]]) -> None:
    """C7: `grown` says what the next window brings the buffer to, so that it can be accounted for, and that is never
    much more than what has arrived."""
    reader = FrameReader()
    stream, at, turn = stream_of([bytes(size) for size in sizes]), 0, iter(turns)
    most = 0
    while at < len(stream):
        said = reader.grown()
        pending = reader.pending
        window = reader.window()
        assert reader.capacity == max(said, SMALL_WINDOW)
        assert said <= max(EAGER_BYTES if pending else 0, 2 * pending, most)
        most = max(most, said)
        then, step = next(turn, ("go on", 1 << 30))
        count = min(len(window), len(stream) - at, step)
        window[:count] = stream[at : at + count]
        reader.received(count)
        at += count
        while reader.next_frame() is not None:
            pass
        if then == "rest":
            reader.rest()
        elif then == "shrink":
            reader.shrink()


def test_a_large_frame_is_not_followed_by_another_in_one_window() -> None:
    """While a large frame arrives, the window ends where it ends: the next one need not be moved."""
    reader = FrameReader()
    size = SMALL_WINDOW + 30_000
    feed(reader, frame_prefix(size) + bytes(40_000))
    assert reader.next_frame() is None
    assert len(reader.window()) == size - 40_000


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
    """One 10 MiB request does not make a connection hold 10 MiB forever."""
    reader = FrameReader()
    assert len(read_all(reader, stream_of([bytes(10 * 1024 * 1024)]), [])) == 1
    reader.window()
    assert reader.capacity == SMALL_WINDOW
