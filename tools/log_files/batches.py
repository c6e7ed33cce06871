"""Walking through the batches of a file, sound or not.

A file of batches has nothing between them, so each shows where the next one begins. Where there is no batch, the walk
says so once and goes on with the next place where one checks out: what lies behind damage is found too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from kproto.batches.header import HEADER_SIZE, MAGIC, MAGIC_OFFSET, BatchHeader, has_valid_crc, read_header
from kproto.batches.legacy import legacy_magic
from kproto.errors import KafkaError
from storage.local.recovery import find_batch
from storage.seams.disk import File

WINDOW: Final = 1 << 20
MAX_OFFSET: Final = 1 << 63


class Stored(NamedTuple):
    """A batch, or what looks like one, at `position`. `data` is valid until the walk goes on."""

    position: int
    header: BatchHeader
    data: memoryview
    crc_valid: bool


class Hole(NamedTuple):
    """Bytes that are no batch, from `position` on. `last`: nothing that checks out follows in the file."""

    position: int
    size: int
    reason: str
    last: bool


def walk(file: File, size: int, position: int = 0) -> Iterator[Stored | Hole]:
    """What lies in the first `size` bytes of `file` from `position` on. Raises OSError."""
    window = memoryview(b"")
    start = 0  # of the window
    while position < size:
        wanted = HEADER_SIZE
        while True:
            if not start <= position or position + wanted > start + len(window):
                start = position
                window = memoryview(file.read(start, min(max(WINDOW, wanted), size - start)))
            at = position - start
            header, reason = _header_at(window, at, size - position)
            if header is None or header.size <= len(window) - at:
                break
            wanted = header.size
        if header is not None:
            data = window[at : at + header.size]
            valid = has_valid_crc(header, data)
            if valid or _goes_on(file, size, position + header.size, header.last_offset):
                yield Stored(position, header, data, valid)
                position += header.size
                continue
            reason = "the CRC is wrong, and where the batch should end by its length, none begins"
        following = find_batch(file, position + 1, size, range(MAX_OFFSET))
        end = size if following is None else following
        yield Hole(position, end - position, reason, following is None)
        position = end


def _goes_on(file: File, size: int, position: int, last_offset: int) -> bool:
    """Whether a later batch, or nothing, is at `position`: then the length that led there can be believed."""
    head = file.read(position, HEADER_SIZE) if position < size else b""
    if len(head) < HEADER_SIZE:
        return position == size
    following, _ = _header_at(memoryview(head), 0, size - position)
    return following is not None and following.base_offset > last_offset


def _header_at(window: memoryview, at: int, left: int) -> tuple[BatchHeader | None, str]:
    """The header at `window[at:]`, or None and why there is none. `left` bytes of the file are left from there."""
    if left < HEADER_SIZE:
        return None, f"only {left} bytes are left, a batch header takes {HEADER_SIZE}"
    if not any(window[at : at + HEADER_SIZE]):
        return None, "zeros"
    try:
        header = read_header(window, at)
    except KafkaError as error:
        magic = legacy_magic(window, at)
        if magic is not None and window[at + MAGIC_OFFSET] != MAGIC:
            return None, f"magic {magic}: damage, or a message set of before Kafka 0.11, which Kafka 4 does not read"
        return None, error.message or "no batch"
    if header.size > left:
        return None, f"a batch of {header.size} bytes is announced, only {left} are left"
    if header.last_offset_delta < 0 or header.record_count < 0 or header.base_offset < 0:
        return None, (
            f"a header with base offset {header.base_offset}, last offset delta {header.last_offset_delta} and "
            f"{header.record_count} records"
        )
    return header, ""
