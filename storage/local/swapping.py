"""Putting a rewritten segment in the place of those it was made of: a crash leaves the old ones, or the new one.

The segments [old, old, ...] become one, which has the name of the first. The steps, and what the next opening makes of
a directory in which they were the last:

====  ============================================================  ===========================================
step  what happens                                                  after a crash
====  ============================================================  ===========================================
0     the new segment and its indexes are written and synced        the old: `.cleaned` files are removed
      as `.cleaned`
1     they are renamed to `.swap`, the directory is synced          the old, while any of them is still
                                                                    `.cleaned`; from then on the new
2     the old ones' files are renamed to `.deleted`, the            the new: what is left of the old within its
      directory is synced                                           offsets is removed, then `.swap` renamed
3     `.swap` is taken off the new ones' names, the directory is    the new
      synced
====  ============================================================  ===========================================

The syncs keep the steps apart on disks that do not keep the order of renames. The files and their names are those of
Kafka, and so is what they mean, so either finishes what the other has begun.

**What cannot be read is not deleted.** Before an old segment goes because a `.swap` stands for it, the latter is read
through, checksums included; if it is damaged, the log stays offline as it is. Kafka takes its word.

Sources: org.apache.kafka.storage.internals.log.LocalLog.replaceSegments, LogLoader.{load,
removeTempFilesAndCollectSwapFiles}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.crc32c import crc32c
from kproto.batches.header import ATTRIBUTES_OFFSET, HEADER_SIZE, LOG_OVERHEAD, MAGIC, header_at
from storage.local.rewriting import CLEANED
from storage.local.segment import Corrupt, file_name
from storage.seams.disk import Disk
from storage.seams.logging import get_logger

SWAP: Final = ".swap"
DELETED: Final = ".deleted"
SUFFIXES: Final = (".log", ".index", ".timeindex", ".txnindex")

_UNFINISHED = re.compile(r"(\d{20})(\.(?:log|index|timeindex|txnindex))(\.cleaned|\.swap)\Z")
_PLAIN = re.compile(r"(\d{20})(\.(?:log|index|timeindex|txnindex))\Z")


def put_in_place(disk: Disk, directory: str, sources: Sequence[int]) -> list[str]:
    """Steps 1 to 3, for the `.cleaned` segment named after the first of `sources`, base offsets. Returns the files that
    may be removed.

    Raises NotBegun, and the old segments are as they were; OSError, and only a new opening of the log will do.
    """
    target = f"{directory}/{file_name(sources[0], '')}"
    disk.sync_directory(directory)
    try:
        for suffix in SUFFIXES:
            if disk.file_size(target + suffix + CLEANED) is not None:
                disk.rename(target + suffix + CLEANED, target + suffix + SWAP)
    except OSError as error:
        for suffix in SUFFIXES:
            disk.remove(target + suffix + SWAP)
            disk.remove(target + suffix + CLEANED)
        raise NotBegun(error) from error
    disk.sync_directory(directory)
    gone = []
    for source in sources:
        for suffix in SUFFIXES:
            path = f"{directory}/{file_name(source, suffix)}"
            if disk.file_size(path) is not None:
                disk.rename(path, path + DELETED)
                gone.append(path + DELETED)
    disk.sync_directory(directory)
    _take_off_swap(disk, directory, [file_name(sources[0], suffix) + SWAP for suffix in SUFFIXES])
    return gone


class NotBegun(Exception):
    """The exchange failed before its first rename; the disk's error is the argument."""


def remove_unfinished(disk: Disk, directory: str) -> None:
    """Remove what a rewriting has left that came to nothing."""
    for name in disk.list_directory(directory):
        if name.endswith(CLEANED) and _UNFINISHED.match(name):
            disk.remove(f"{directory}/{name}")


def finish_interrupted(disk: Disk, directory: str, names: Sequence[str]) -> list[str]:
    """Bring a log's directory to rights in which an exchange may have been cut short; the names there are afterwards.

    To be called before anything else looks at the files, and before any `.deleted` one is removed. Raises Corrupt when
    a `.swap` segment is damaged, OSError; nothing has been deleted then that it would take the place of.
    """
    cleaned: list[tuple[int, str]] = []
    swaps: list[tuple[int, str]] = []
    for name in names:
        match = _UNFINISHED.match(name)
        if match is not None:
            (cleaned if match[3] == CLEANED else swaps).append((int(match[1]), match[2]))
    if not cleaned and not swaps:
        return list(names)
    plain = sorted((int(match[1]), match[2]) for name in names if (match := _PLAIN.match(name)))
    log = get_logger("storage")
    undone = _not_begun(disk, directory, cleaned, swaps, [offset for offset, suffix in plain if suffix == ".log"])
    for offset, suffix in swaps:
        if offset in undone:
            disk.remove(f"{directory}/{file_name(offset, suffix)}{SWAP}")
    swaps = [(offset, suffix) for offset, suffix in swaps if offset not in undone]
    for offset, suffix in swaps:
        if suffix == ".log":
            path = f"{directory}/{file_name(offset, suffix)}{SWAP}"
            end = _read_through(disk, path, offset)
            log.warning("an exchange of segments was cut short: completed", file=path)
            for old, kind in plain:
                if offset <= old < max(end, offset + 1):
                    disk.remove(f"{directory}/{file_name(old, kind)}")
    if swaps:
        disk.sync_directory(directory)
        _take_off_swap(disk, directory, [file_name(offset, suffix) + SWAP for offset, suffix in swaps])
    for offset, suffix in cleaned:
        disk.remove(f"{directory}/{file_name(offset, suffix)}{CLEANED}")
    return disk.list_directory(directory)


def _not_begun(
    disk: Disk, directory: str, cleaned: list[tuple[int, str]], swaps: list[tuple[int, str]], logs: list[int]
) -> set[int]:
    """Base offsets of `.swap` segments that are no more than a preparation, since the old ones are all there.

    So it is while a file of the same segment is still `.cleaned`. In a Kafka that was splitting a segment, later parts
    are `.swap` while earlier ones are `.cleaned`. What says that the old segment is there, is the old segment.
    """
    unfinished = {offset for offset, _ in cleaned}
    undone = set()
    for offset in {offset for offset, _ in swaps}:
        before = max([base for base in logs if base <= offset], default=None)
        if before == offset:
            if offset in unfinished:
                undone.add(offset)
        elif (
            before is not None
            and min(unfinished, default=offset) < offset
            and _read_through(disk, f"{directory}/{file_name(before, '.log')}", before) > offset
        ):
            undone.add(offset)
    return undone


def _take_off_swap(disk: Disk, directory: str, names: Sequence[str]) -> None:
    for name in sorted(names, key=lambda name: not name.endswith(".log" + SWAP)):
        path = f"{directory}/{name}"
        if disk.file_size(path) is not None:
            disk.rename(path, path.removesuffix(SWAP))
    disk.sync_directory(directory)


def _read_through(disk: Disk, path: str, base_offset: int) -> int:
    """The offset after the last one in a segment that has to be whole. Raises Corrupt."""
    file = disk.open_read(path)
    position, end, size = 0, base_offset, file.size()
    while position < size:
        head = file.read(position, HEADER_SIZE)
        if len(head) < HEADER_SIZE:
            raise Corrupt(path, position, f"only {len(head)} bytes are left")
        header = header_at(head)
        length = LOG_OVERHEAD + header.batch_length
        if header.magic != MAGIC or length < HEADER_SIZE or header.last_offset_delta < 0 or header.base_offset < end:
            raise Corrupt(path, position, "magic, length or offset is wrong")
        batch: ReadableBuffer = file.read(position, length)
        if len(batch) < length or crc32c(memoryview(batch)[ATTRIBUTES_OFFSET:]) != header.crc:
            raise Corrupt(path, position, "the checksum is wrong")
        end = header.base_offset + header.last_offset_delta + 1
        position += length
    file.close()
    return end
