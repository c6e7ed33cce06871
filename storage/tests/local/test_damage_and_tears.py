"""Logs that are torn in one place and damaged, or odd, in another: found by fuzzing recovery with arbitrary files."""

from __future__ import annotations

from kproto.batches.header import CONTROL
from kproto.batches.records import RecordData, build_batch
from storage.local.descriptors import Descriptors
from storage.local.log import Log
from storage.local.offset_index import LAYOUT as OFFSETS
from storage.local.recovery import Trust, load
from storage.local.segment import Corrupt, file_name
from storage.local.surroundings import Health, Surroundings
from storage.local.time_index import LAYOUT as TIMES
from storage.log_config import LogConfig
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import ScriptedProducer, batches, joined

FIRST, SECOND = f"orders-0/{file_name(0, '.log')}", f"orders-0/{file_name(4, '.log')}"


def opened(disk: MemoryDisk, recovery_point: int, *, clean: bool = False) -> Log:
    """The log on this disk."""
    around = Surroundings(disk, VirtualClock(), SeededEntropy(1), Descriptors(10), Health("."))
    trust = Trust.CLEAN if clean else Trust.NONE
    return load(around, "orders-0", LogConfig(), trust=trust, recovery_point=recovery_point, log_start=0, now=0)


def test_a_torn_end_stays_if_the_log_is_damaged_elsewhere() -> None:
    """The end was cut before the damage in front of the recovery point was noticed, in a log that then stayed offline;
    of such a log nothing is touched."""
    first, second = bytearray(joined(batches(4))), joined(batches(4), base_offset=4)
    first[len(first) // 4 + 16] = 0  # the magic of the second batch
    files = {FIRST: bytes(first), SECOND: second[:-1]}
    disk = MemoryDisk(files)
    for _ in range(2):
        try:
            opened(disk, 4)
        except Corrupt:
            pass
        else:
            raise AssertionError("a log without its second batch was opened")
        assert {path: disk.files[path] for path in files} == files


def test_a_torn_end_is_cut_if_all_else_is_well() -> None:
    """The same log without the damage."""
    disk = MemoryDisk({FIRST: joined(batches(4)), SECOND: joined(batches(4), base_offset=4)[:-1]})
    assert opened(disk, 4).end == 7
    assert disk.files[SECOND] == joined(batches(3), base_offset=4)


def test_control_batches_complete_no_producer_s_window() -> None:
    """A control batch that bears a sequence number, which no broker writes, was taken for one of the last five batches
    of its producer after a clean stop, and for none after a kill."""
    producer = ScriptedProducer(7, sequence=1)
    odd = build_batch([RecordData(key=b"", value=b"")], producer_id=7, producer_epoch=0, base_sequence=0, control=True)
    log = joined([producer.batch(b"a")], base_offset=1)
    disk = MemoryDisk({FIRST: bytes(odd) + log})
    killed = opened(disk, 0)
    assert odd[22] & CONTROL
    killed.finish()
    assert opened(disk, 2, clean=True).producers.snapshot() == killed.producers.snapshot()


def test_recovery_does_not_begin_where_a_garbled_index_points() -> None:
    """One look-up in an index whose entries do not grow found an entry, a second one another, which proved itself; the
    first was believed, and a log without fault stayed offline."""
    entries = [(255, -232), (0, 0), (151_042, 216), (4, 432), (0, -671_088_640), (67_108_871, 677)]
    index = b"".join(OFFSETS.pack(*entry) for entry in entries)
    files = {FIRST: joined(batches(6)), f"orders-0/{file_name(0, '.index')}": index}
    files[f"orders-0/{file_name(0, '.timeindex')}"] = TIMES.pack(1, 0)
    assert opened(MemoryDisk(files), 5).end == 6


def test_epochs_that_no_batch_can_bear_are_not_believed() -> None:
    """With an epoch of more than 32 bits in its file, a log could be read, but nothing could be appended to it."""
    for text in (b"0\n1\n2147483648 0\n", b"0\n1\n-2 0\n", b"0\n2\n1 0\n2 9223372036854775808\n"):
        files = {FIRST: joined(batches(2), leader_epoch=3), "orders-0/leader-epoch-checkpoint": text}
        log = opened(MemoryDisk(files), 0)
        assert (log.epoch, log.end) == (3, 2)
        log.append(batches(1))
