"""One operation of the disk fails, each in turn: nothing that was acknowledged is lost, and nothing breaks for good.

A scripted life of two logs is played again and again. The first time its operations are counted; then operation 1, 2, 3
… fails, once with "no space left", once with "input/output error". Whatever exceptions the script gets, it goes on as a
broker would. Afterwards a sound disk opens the directory: after the stop, and as a kill would have left it.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from kproto.errors import KafkaError
from storage.engine import StoreError
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.log_builder import ScriptedProducer, batch, spec, values
from storage.tests.local.local_lab import HurriedDisk, Place, log_of, read_all

CHANGING = frozenset(
    {"create", "write", "truncate", "datasync", "sync_directory", "rename", "remove", "remove_tree", "make_directory",
     "write_file", "write_file_atomically"}
)  # fmt: skip


class FailingDisk(FaultyDisk):
    """Fails the operation of a given number, and a while of those that follow it."""

    def __init__(self, number: int, code: int, lasting: int) -> None:
        super().__init__(HurriedDisk())
        self.number = number
        self.code = code
        self.lasting = lasting
        self.count = 0

    def note(self, operation: str, path: str):  # type: ignore[no-untyped-def]
        if operation in CHANGING:
            self.count += 1
            if self.number <= self.count < self.number + self.lasting:
                self.heal()
                self.fail(operation, self.code, path=path, times=1, short=17)
        return super().note(operation, path)


class Life:
    """What the script was answered."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, list[tuple[int, bytes]]] = {0: [], 1: []}
        self.attempted: dict[int, set[bytes]] = {0: set(), 1: set()}
        self.starts = {0: 0, 1: 0}
        self.asked_starts = {0: 0, 1: 0}


async def live(place: Place, disk: FaultyDisk, life: Life) -> None:
    """The script: two rounds of a store's life, with everything that logs go through."""
    settings = {"segment_bytes": 700, "index_interval_bytes": 100}
    producers = {partition: ScriptedProducer(partition + 1) for partition in (0, 1)}
    for round_number in range(2):
        store = place.store(disk)
        try:
            await store.open()
        except StoreError:
            continue
        try:
            if round_number == 0:
                await store.create_logs([log_of(store).spec])
        except KafkaError:
            pass
        for number in range(12):
            partition = number % 3 % 2
            log = log_of(store, partition=partition, **settings)  # type: ignore[arg-type]
            value = b"%d.%d.%d:" % (round_number, number, partition) + b"x" * 60
            life.attempted[partition].add(value)
            try:
                made = batch(value) if number % 2 else producers[partition].batch(value)
                done = log.begin_append([made])
                await done.wait_durable()
                life.acknowledged[partition].append((done.base_offset, value))
            except KafkaError:
                producers[partition].bump()
            if number == 7:
                try:
                    life.asked_starts[partition] = max(life.asked_starts[partition], log.log_end_offset - 2)
                    life.starts[partition] = await log.delete_before(log.log_end_offset - 2)
                except KafkaError:
                    pass
        await store.close()


async def check(place: Place, life: Life, case: str) -> None:
    """Everything acknowledged is there, at its place, once; and the logs take more."""
    async with place.open(HurriedDisk()) as store:
        for partition, acknowledged in life.acknowledged.items():
            log = store.log(spec("orders", partition))
            assert life.starts[partition] <= log.log_start_offset <= life.asked_starts[partition], case
            found = values(await read_all(store, log)) if log.log_end_offset else []
            for offset, value in acknowledged:
                if offset >= life.asked_starts[partition]:
                    assert found.count(value) == 1, f"{case}: offset {offset} is missing or there twice"
            assert set(found) <= life.attempted[partition], case
            done = log.begin_append([batch(b"more")])
            await done.wait_durable()
            assert done.base_offset >= max([offset for offset, _ in acknowledged], default=-1) + 1, case


@pytest.mark.parametrize("lasting", [1, 4])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_every_fault(tmp_path: Path, code: int, lasting: int, autojump_clock: trio.testing.MockClock) -> None:
    """Each operation that changes the disk fails in turn, alone or with the next three: here every other one."""
    counting = FailingDisk(0, code, 0)
    await live(Place(tmp_path / "sound"), counting, Life())
    assert counting.count > 100
    for number in range(1 + (lasting + code) % 2, counting.count + 1, 2):
        place, life = Place(tmp_path / f"data{number}"), Life()
        disk = FailingDisk(number, code, lasting)
        await live(place, disk, life)
        case = f"operation {number} of {counting.count}: {disk.trace[-1]}"
        await check(place.as_killed(f"killed{number}"), life, case)
        await check(place, life, case)
