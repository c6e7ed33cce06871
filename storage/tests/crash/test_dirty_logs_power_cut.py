"""The power goes at every operation of a life, in turn, in which logs come onto the list and leave it again.

What is found afterwards is opened twice: with the list of dirty logs as the cut left it, and without any list, so that
every log is visited. Both must say the same, and neither may lack what was acknowledged as durable.
"""

from __future__ import annotations

import random

import pytest

from kproto.errors import KafkaError
from storage.local import dirty_logs
from storage.local.engine import LocalStore
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes
from storage.testing.log_builder import batch
from storage.tests.crash.test_power_cut import open_store
from storage.tests.local.local_lab import log_of, values_of

LOGS = 5
SAME = ("all", "none")


async def live(store: LocalStore, durable: dict[int, int], chance: random.Random) -> None:
    """Appends, durable or not, checkpoints, syncs of the list; a log is deleted and made again."""
    for number in range(30):
        partition = chance.randrange(LOGS)
        log = log_of(store, partition=partition, segment_bytes=600)
        done = log.begin_append([batch(b"%d" % number, b"x" * 50)])
        if chance.random() < 0.4:
            await done.wait_durable()
            durable[partition] = max(durable.get(partition, 0), done.last_offset + 1)
        if number % 7 == 6:
            await store.volume.write_recovery_points()
        if chance.random() < 0.1:
            store.data.dirty_logs.sync()
        if number == 20:
            durable.pop(0, None)
            await store.delete_logs([log_of(store).spec])


async def contents(disk: SimulatedDisk) -> list[list[bytes | None] | str]:
    """What each log says to a store that starts on this disk; "offline" of one that says nothing."""
    store = open_store(disk, 3)
    await store.open()
    found: list[list[bytes | None] | str] = []
    for partition in range(LOGS):
        try:
            log = log_of(store, partition=partition)
            found.append(await values_of(store, log))
        except KafkaError:
            found.append("offline")
    await store.close()
    return found


@pytest.mark.parametrize("seed", range(2))
async def test_the_list_never_changes_what_is_found(seed: int) -> None:
    """L17, at every operation."""
    counting = SimulatedDisk()
    await play(counting, seed, {})
    visited_less = 0
    for moment in range(5, counting.operations, 2):
        disk, durable = SimulatedDisk(stop_after=moment), dict[int, int]()
        with until_the_power_goes():
            await play(disk, seed, durable)
        for fate in range(2):
            twins = [disk.after_power_cut(random.Random(moment * 2 + fate)) for _ in SAME]
            twins[1].remove(f"/data/{dirty_logs.NAME}")
            visited_less += twins[0].file_size(f"/data/{dirty_logs.NAME}") is not None
            with_list, without = [await contents(twin) for twin in twins]
            case = f"operation {moment}, seed {seed}"
            assert with_list == without, case
            for partition, end in durable.items():
                # A disk may have the beginning of a segment and not the end of the one before it: that is for a person.
                assert with_list[partition] == "offline" or len(with_list[partition]) >= end, case
    assert visited_less > 20


async def play(disk: SimulatedDisk, seed: int, durable: dict[int, int]) -> None:
    """A store's life on this disk."""
    store = open_store(disk, seed)
    await store.open()
    await live(store, durable, random.Random(seed))
    await store.close()
