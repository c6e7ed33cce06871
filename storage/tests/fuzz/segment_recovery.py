"""Recovery of a log from any bytes: what is whole is kept, what is torn is cut, what is damaged is left alone.

Input: a byte of flags, a byte r, a byte s, then the bytes of a log. Recovery begins at offset r below which all was
synced (bit 0 of the flags: there is no recovery point). With bit 1 the log has two segments, cut at a share of s/256
of its bytes, the second one with the offset of the first batch header found there. With bit 2, every batch that is
there as far as its length says gets a true checksum, so that mutations get behind it.

- Only what the engine expects escapes: Damaged (or Corrupt, a DamagedIndex, which it reports as the same). Then no
  `.log` file has changed, and trying again ends the same.
- What is kept are the valid batches from the start: for one segment without a recovery point, exactly those that a
  naive reader finds, and Damaged exactly if it finds another one behind them.
- What was recovered can be read, batch by batch; recovered once more, after a kill or after a clean stop, it is the
  same log with the same producers, transactions and epochs; and it can be appended to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from struct import pack_into
from typing import Any, Final

from kproto.batches.crc32c import crc32c
from kproto.batches.header import ATTRIBUTES_OFFSET, CRC_OFFSET, HEADER_SIZE, LOG_OVERHEAD, MAGIC, header_at
from kproto.errors import KafkaError
from kproto.tests.fuzz.bounds import measured
from storage.local.descriptors import Descriptors
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.recovery import Damaged, Trust, load
from storage.local.segment import MAX_RELATIVE_OFFSET, Corrupt, file_name
from storage.local.surroundings import Health, Surroundings
from storage.log_config import LogConfig
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.logging import process_lines
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import ScriptedProducer, batch, batches, joined

DIRECTORY: Final = "data/orders-0"
CONFIG: Final = LogConfig(index_interval_bytes=200)
UNKNOWN_RECOVERY_POINT, TWO_SEGMENTS, TRUE_CHECKSUMS = 1, 2, 4


def around(disk: MemoryDisk) -> Surroundings:
    """What a store gives its logs."""
    return Surroundings(disk, VirtualClock(), SeededEntropy(1), Descriptors(100), Health("."))


def recovered(disk: MemoryDisk, point: int | None, *, clean: bool = False, config: LogConfig = CONFIG) -> Log:
    """The log as an opening store finds it."""
    trust = Trust.CLEAN if clean else Trust.NONE
    return load(around(disk), DIRECTORY, config, trust=trust, recovery_point=point, log_start=0, now=0)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Say nothing of torn ends: here they are what is wanted."""
    lines = process_lines()
    levels = lines.levels()
    lines.set_levels({**levels, "storage": "error"})
    try:
        yield
    finally:
        lines.set_levels(levels)


def fuzz_segment_recovery(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) >= 3:
        with without_warnings():
            check_recovery(data)


def check_recovery(data: bytes) -> None:
    flags, least, share = data[:3]
    content = bytearray(data[3:])
    if flags & TRUE_CHECKSUMS:
        put_checksums_right(content)
    point = None if flags & UNKNOWN_RECOVERY_POINT else least
    files = as_files(bytes(content), share if flags & TWO_SEGMENTS else 0)
    disk = MemoryDisk(files)
    try:
        log = measured(lambda: recovered(MemoryDisk(files), point), len(content), bytes_per_byte=256, beside=3 << 20)
    except (Damaged, Corrupt, DamagedIndex) as error:
        again = refusal(disk, point)
        assert str(again) == str(error)
        assert {path: disk.files[path] for path in files} == files, "a log that cannot be opened was changed"
        if len(files) == 1 and not point:
            assert follows_another(bytes(content)), f"refused although nothing is wrong behind the tear: {error}"
        return
    log = recovered(disk, point)
    kept = b"".join(data for path, data in disk.files.items() if path.endswith(".log"))
    assert bytes(content).startswith(kept)
    if len(files) == 1 and not point:
        assert kept == content[: valid_prefix(bytes(content))] and not follows_another(bytes(content))
    assert log.end >= (point or 0)
    check_reading(log, kept)
    known = state_of(log)
    assert state_of(recovered(MemoryDisk(disk.files), point)) == known, "recovered again, it is another log"
    log.finish()
    stopped = MemoryDisk(disk.files)
    assert state_of(recovered(stopped, log.end, clean=True)) == known, "after a clean stop, it is another log"
    if log.end < MAX_RELATIVE_OFFSET:
        check_appending(log, disk)


def refusal(disk: MemoryDisk, point: int | None) -> Exception:
    """What recovery says of a log that it will not open."""
    try:
        recovered(disk, point)
    except (Damaged, Corrupt, DamagedIndex) as error:
        return error
    raise AssertionError("what was refused once is opened the second time")


def as_files(content: bytes, share: int) -> dict[str, bytes]:
    """One segment, or two if `share` is not 0 and a header follows the cut."""
    path = f"{DIRECTORY}/{file_name(0, '.log')}"
    cut = len(content) * share // 256
    if share and len(content) - cut >= 8:
        base = int.from_bytes(content[cut : cut + 8], "big", signed=True)
        if base > 0:
            return {path: content[:cut], f"{DIRECTORY}/{file_name(base, '.log')}": content[cut:]}
    return {path: content}


def put_checksums_right(content: bytearray) -> None:
    at = 0
    while at + HEADER_SIZE <= len(content):
        size = LOG_OVERHEAD + int.from_bytes(content[at + 8 : at + 12], "big", signed=True)
        if size < HEADER_SIZE or at + size > len(content):
            return
        pack_into(">I", content, at + CRC_OFFSET, crc32c(content[at + ATTRIBUTES_OFFSET : at + size]))
        at += size


def batch_at(content: bytes, at: int, least: int) -> tuple[int, int] | None:
    """(where it ends, the offset behind it) of a valid batch with an offset from `least` on; the naive reader."""
    if at + HEADER_SIZE > len(content):
        return None
    header = header_at(content, at)
    end = at + LOG_OVERHEAD + header.batch_length
    if header.magic != MAGIC or not at + HEADER_SIZE <= end <= len(content) or header.last_offset_delta < 0:
        return None
    if not least <= header.base_offset <= MAX_RELATIVE_OFFSET - header.last_offset_delta:
        return None
    return (
        (end, header.base_offset + header.last_offset_delta + 1)
        if crc32c(content[at + ATTRIBUTES_OFFSET : end]) == header.crc
        else None
    )


def valid_prefix(content: bytes) -> int:
    """Where the valid batches from the start end."""
    at = least = 0
    while (found := batch_at(content, at, least)) is not None:
        at, least = found
    return at


def follows_another(content: bytes) -> bool:
    """Whether a valid batch lies behind the first tear, at any byte; right at the tear, with any offset."""
    at = least = 0
    while (found := batch_at(content, at, least)) is not None:
        at, least = found
    if batch_anywhere(content, at, -(1 << 63), 1 << 63):
        return True
    return any(batch_anywhere(content, later, least, 1 << 31) for later in range(at + 1, len(content)))


def batch_anywhere(content: bytes, at: int, low: int, high: int) -> bool:
    if at + HEADER_SIZE > len(content) or content[at + 16] != MAGIC:
        return False
    header = header_at(content, at)
    end = at + LOG_OVERHEAD + header.batch_length
    if (
        not at + HEADER_SIZE <= end <= len(content)
        or header.last_offset_delta < 0
        or not low <= header.base_offset < high
    ):
        return False
    return bool(crc32c(content[at + ATTRIBUTES_OFFSET : end]) == header.crc)


def check_reading(log: Log, kept: bytes) -> None:
    """A consumer that goes on from where each answer ends sees every batch once."""
    found, offset = b"", log.start
    while offset < log.end:
        answer = log.read(offset, 1 << 20, log.end, True, wait=True)
        data = answer if isinstance(answer, bytes) else answer.read()
        if not data:
            break  # a gap: the last segment is empty and begins far behind the others
        found += data
        at = 0
        while at < len(data):
            header = header_at(data, at)
            at += LOG_OVERHEAD + header.batch_length
            offset = header.base_offset + header.last_offset_delta + 1
    assert found == kept


def state_of(log: Log) -> dict[str, Any]:
    """All that a log knows."""
    return {
        "start": log.start,
        "end": log.end,
        "stable": log.stable,
        "segments": [(segment.base_offset, segment.size) for segment in log.segments],
        # The last batch of each producer. Those before it in the window are gathered in two ways that differ where a
        # marker has an older epoch than its producer, as no broker writes it.
        "producers": {state.producer_id: state for state in log.producers.snapshot()},
        "aborted": log.aborted.overlapping(log.start, log.end),
        "epochs": list(log.epochs.entries),
    }


def check_appending(log: Log, disk: MemoryDisk) -> None:
    """One more batch has its place behind the others, and is found by the next recovery."""
    end = log.end
    try:
        log.append([batch(b"next")])
    except KafkaError as error:
        raise AssertionError(f"nothing can be appended: {error}") from error
    assert log.end == end + 1
    assert recovered(MemoryDisk(disk.files), None).end == end + 1


def seeds() -> Iterator[bytes]:
    """Logs of plain, idempotent and transactional batches; whole, torn, damaged, in one segment or two."""
    random = Random(5)
    producer = ScriptedProducer(7)
    other = ScriptedProducer(8, epoch=3)
    parts = [
        *batches(4, size=30, records=3),
        producer.batch(b"a", b"b"),
        producer.batch(b"c"),
        other.batch(b"t", transactional=True),
        producer.batch(b"d", transactional=True),
        other.marker(commit=False),
        producer.marker(commit=True),
        other.batch(b"u", transactional=True),
        batch(b"last"),
    ]
    whole = joined(parts)
    for flags in range(8):
        for least in (0, 4, 12):
            head = bytes((flags, least, 128))
            yield head + whole
            yield head + whole[: -random.randrange(1, 70)]
            damaged = bytearray(whole)
            damaged[random.randrange(len(whole))] ^= 1 << random.randrange(8)
            yield head + damaged
    yield b"\0\0\0" + whole + bytes(200)
    yield b"\0\0\0"
