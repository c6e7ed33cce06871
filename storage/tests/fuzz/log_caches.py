"""Indexes, snapshots and epochs are caches (L6 in FORMAT.md): garbled in any way, the log answers as before.

Input: a byte of flags, then the content of one file of a log that is otherwise in order: thirteen batches in two
segments, idempotent and transactional ones among them, timestamps that grow. The lowest three bits choose the file; bit
3 opens the log as after a clean stop, else it is recovered; bit 4 chooses the second segment's file.

Whatever the file holds, the log opens, every record is read from every offset, and a search by time finds what it
found before. For a look-up that reports a damaged index, what the engine does is done: the index is rebuilt, and the
second look-up must answer. Producers, transactions and epochs are the same as before where the file cannot be taken for
a whole one; a well-formed file that says other things (there is no checksum in an epochs file, or the fuzzer put it
right) is believed, and must do no harm but that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, TypeVar

from kproto.batches.crc32c import crc32c
from storage.local import leader_epochs, producer_snapshot, transaction_index
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.look_ups import offset_for_time, offset_of_max_timestamp
from storage.local.recovery import Trust, load
from storage.local.segment import file_name
from storage.log_config import LogConfig
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, batch
from storage.tests.fuzz.segment_recovery import DIRECTORY, around, state_of, without_warnings

T = TypeVar("T")

CLEAN, SECOND = 8, 16
SUFFIXES: Final = (".index", ".timeindex", ".txnindex", ".snapshot", leader_epochs.NAME, ".snapshot")
CONFIG: Final = LogConfig(index_interval_bytes=150, segment_bytes=1000)
BELIEVED: Final = (".txnindex", ".snapshot", leader_epochs.NAME)
"""Files that count for what they say if they are whole."""


@cache
def pristine() -> tuple[dict[str, bytes], int]:
    """The files of a log after a clean stop, and where it ends."""
    disk = MemoryDisk()
    log = load(around(disk), DIRECTORY, CONFIG, trust=Trust.NONE, recovery_point=None, log_start=0, now=0)
    producer, other = ScriptedProducer(7), ScriptedProducer(8, epoch=3)
    parts = [
        *(batch(b"%d" % number * 40, timestamps=[EPOCH_MS + number]) for number in range(5)),
        producer.batch(b"a" * 60, b"b"),
        other.batch(b"t", transactional=True),
        producer.batch(b"d", transactional=True),
        other.marker(commit=False),
        *(batch(b"%d" % number * 40, timestamps=[EPOCH_MS + number]) for number in range(5, 9)),
        producer.marker(commit=True),
        other.batch(b"u", transactional=True),
        batch(b"last", timestamps=[EPOCH_MS + 10]),
    ]
    for part in parts:
        log.append([part])
    log.finish()
    assert len(log.segments) == 2
    return disk.files, log.end


def fuzz_log_caches(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if not data:
        return
    flags, content = data[0], data[1:]
    suffix = SUFFIXES[flags % 8 % len(SUFFIXES)]
    path = path_of(suffix, second=flags & SECOND != 0)
    if suffix == ".snapshot" and flags % 8 == 5 and len(content) >= producer_snapshot.CRC_END:
        crc = crc32c(content[producer_snapshot.CRC_END :]).to_bytes(4, "big")
        content = content[:2] + crc + content[producer_snapshot.CRC_END :]
    with without_warnings():
        check(path, suffix, content, flags & CLEAN != 0)


def path_of(suffix: str, *, second: bool) -> str:
    """One file of the log, whether or not the log in order has it."""
    if suffix == leader_epochs.NAME:
        return f"{DIRECTORY}/{suffix}"
    files, _ = pristine()
    logs = sorted(name for name in files if name.endswith(".log"))
    base = int(logs[1 if second else 0].rpartition("/")[2].removesuffix(".log"))
    return f"{DIRECTORY}/{file_name(base, suffix)}"


def check(path: str, suffix: str, content: bytes, clean: bool) -> None:
    files, end = pristine()
    log = opened(files | {path: content}, end, clean=clean)
    expected = answers(opened(files, end, clean=clean))
    assert answers(log) == expected
    if suffix not in BELIEVED or not is_whole(suffix, content):
        assert state_of(log) == state_of(opened(files, end, clean=clean))
    log.append([batch(b"next")])
    assert log.end == end + 1


def opened(files: dict[str, bytes], end: int, *, clean: bool) -> Log:
    """The log in these files; of an unclean stop, nothing below the second segment is read again."""
    point = end if clean else 5
    trust = Trust.CLEAN if clean else Trust.NONE
    return load(around(MemoryDisk(files)), DIRECTORY, CONFIG, trust=trust, recovery_point=point, log_start=0, now=0)


def is_whole(suffix: str, content: bytes) -> bool:
    """Whether the content is a well-formed file of its kind."""
    if suffix == ".txnindex":
        return transaction_index.decode(content, 0, 1 << 63) is not None
    if suffix == ".snapshot":
        return producer_snapshot.decode(content) is not None
    return leader_epochs.decode(content) is not None


def answers(log: Log) -> list[Any]:
    """What a log says to every question about its records."""
    found: list[Any] = []
    for offset in range(log.end):
        data = repaired(log, lambda offset=offset: log.read(offset, 1 << 20, log.end, True, wait=True))  # type: ignore[misc]
        found.append(bytes(data) if isinstance(data, bytes) else data.read())
    for step in range(-1, 12):
        found.append(repaired(log, lambda step=step: offset_for_time(log, EPOCH_MS + step, no_pause)))  # type: ignore[misc]
    found.append(repaired(log, lambda: offset_of_max_timestamp(log, no_pause)))
    return found


def no_pause() -> None:
    """No other task waits."""


def repaired(log: Log, look_up: Callable[[], T]) -> T:
    """The answer of a look-up; indexes that it finds damaged are rebuilt, each once."""
    for _ in range(2 * len(log.segments)):
        try:
            return look_up()
        except DamagedIndex:
            for segment in log.segments:
                log.rebuild(segment)
    return look_up()


def seeds() -> Iterator[bytes]:
    """Every file as it should be, cut, lengthened, another segment's, and empty."""
    files, _ = pristine()
    for number, suffix in enumerate(SUFFIXES):
        for flags in (0, CLEAN, SECOND, CLEAN | SECOND):
            content = files.get(path_of(suffix, second=flags & SECOND != 0), b"")
            other = files.get(path_of(suffix, second=flags & SECOND == 0), b"")
            for variant in (content, content[:-1], content + bytes(24), other, b""):
                yield bytes((number | flags,)) + variant
