"""Answering a fetch: where the records are, and whether sending them would wait for the disk.

The same code answers in the event loop and in a thread. In the event loop it must not wait, so a look-up that would
raises WouldWait, and so does a slice whose bytes are not in memory; the whole question then goes to a thread, which
waits, reads the bytes once into a buffer that is thrown away, and so brings them into memory for `sendfile`.

A damaged index stops either (DamagedIndex). Indexes of closed segments are rebuilt in the thread; that of the segment
being written belongs to the event loop (`rebuild_written`). If that does not help, the partition cannot be read, and
the others are answered all the same.

A slice keeps its file open until it has been sent, which is up to the peer. So there is a share of descriptors for
replies (`Volume.may_lend`); when it is used up, records are read into memory, where they are counted
(broker/request_memory.py), and the file is let go of.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Final

from kproto.errors import KafkaError
from storage.engine import AbortedTransaction, FetchedRecords, Read
from storage.local.index_file import DamagedIndex, WouldWait
from storage.local.partition_log import own
from storage.local.segment import Corrupt, FileSlice

WARM_BUFFER: Final = 256 << 10

Answers = list[FetchedRecords | KafkaError]


def answer(
    reads: Sequence[Read],
    max_bytes: int,
    whole_batch: bool,
    may_lend: Callable[[], bool],
    *,
    wait: bool,
    last_attempt: bool = False,
) -> Answers:
    """Answer `reads` as `LogStore.read_now` says, with slices of files as long as `may_lend` says so.

    Raises WouldWait unless `wait` is set; DamagedIndex unless it is the `last_attempt`.
    """
    answers: Answers = []
    for read in reads:
        face = own(read.log)
        try:
            records = face.read(read, max_bytes, whole_batch, wait=wait)
            log = face.opened
            if log is None:
                raise face.gone()
            more = False
            if isinstance(records, FileSlice):
                if not wait and not records.is_resident():
                    raise WouldWait
                whole_batch = False
                more = records.more
                max_bytes = max(0, max_bytes - len(records))
            aborted: Sequence[AbortedTransaction] = ()
            if read.committed and len(log.aborted) and isinstance(records, FileSlice):
                aborted = log.aborted_in(read.start, records, wait=wait)
            stable = log.stable  # first: by the time the end is asked for, it may have grown
            if isinstance(records, FileSlice) and not may_lend():
                if not wait:
                    raise WouldWait
                records = _in_memory(records)
            answers.append(FetchedRecords(records, log.end, stable, log.start, more, aborted))
        except KafkaError as error:
            answers.append(error)
        except (Corrupt, OSError) as error:
            answers.append(face.unreadable(str(error)))
        except DamagedIndex as error:
            if not last_attempt:
                raise
            answers.append(face.unreadable(f"{error} stays damaged"))
    return answers


def _in_memory(records: FileSlice) -> bytes:
    """The bytes of a slice. Raises OSError where the file has been cut."""
    data = records.read()
    if len(data) < len(records):
        raise OSError(errno.EIO, f"a segment ends {len(records) - len(data)} bytes before its last batch")
    return data


def answer_and_warm(
    reads: Sequence[Read], max_bytes: int, whole_batch: bool, may_lend: Callable[[], bool], last_attempt: bool
) -> Answers:
    """In a thread: find the records and bring them into memory, so that sending them waits for no disk.

    Raises DamagedIndex if that is the index of a segment being written, unless it is the `last_attempt`.
    """
    repaired: set[str] = set()
    while True:
        try:
            answers = answer(reads, max_bytes, whole_batch, may_lend, wait=True, last_attempt=last_attempt)
            break
        except DamagedIndex as error:
            path = str(error)
            if path in repaired or not _rebuild_closed(reads, path):
                raise
            repaired.add(path)
    buffer: bytearray | None = None
    for number, found in enumerate(answers):
        if not isinstance(found, FetchedRecords) or not isinstance(found.records, FileSlice):
            continue
        records = found.records
        try:
            if records.is_resident():
                continue
            buffer = buffer or bytearray(WARM_BUFFER)
            end = records.position + len(records)
            for position in range(records.position, end, WARM_BUFFER):
                records.file.read_into(position, memoryview(buffer)[: min(WARM_BUFFER, end - position)])
        except OSError as error:
            answers[number] = own(reads[number].log).unreadable(str(error))
    return answers


def _rebuild_closed(reads: Sequence[Read], path: str) -> bool:
    """Rebuild the indexes that `path` is one of, if no append changes them; False otherwise."""
    for read in reads:
        log = own(read.log).opened
        if log is not None:
            for segment in log.segments[:-1]:
                if segment.owns(path):
                    try:
                        log.rebuild(segment)
                    except (Corrupt, OSError):
                        return False
                    return True
    return False


def rebuild_written(reads: Sequence[Read], path: str) -> None:
    """Rebuild the indexes that `path` is one of, of a segment being written. In the event loop only."""
    for read in reads:
        log = own(read.log).opened
        if log is not None and log.segments and log.segments[-1].owns(path):
            try:
                log.rebuild(log.segments[-1])
            except (Corrupt, OSError) as error:
                own(read.log).unreadable(str(error))
            return
