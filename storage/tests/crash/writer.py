"""A process that appends until it is killed, and says on stdout what was acknowledged: `topic-partition base count`.

    python writer.py DIRECTORY SEED

Run by `test_kill.py`. Every record's value is its own offset, so that a reader can tell.
"""

from __future__ import annotations

import random
import sys

import trio

from storage.engine import LogSpec
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.log_config import LogConfig
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import ThreadOffload
from storage.testing.log_builder import batch

PARTITIONS = 3


async def write(store: LocalStore, log: LocalLog, chance: random.Random) -> None:
    while True:
        count = chance.randrange(1, 20)
        values = [b"%d" % (log.log_end_offset + index) for index in range(count)]
        done = log.begin_append([batch(*values)])
        if chance.random() < 0.7:  # acks=all; the others are acks=1, which a kill must not lose either
            await done.wait_durable()
        else:
            await trio.lowlevel.checkpoint()
        sys.stdout.write(f"{log.spec.partition} {done.base_offset} {count}\n")
        sys.stdout.flush()
        if chance.random() < 0.01:
            await log.delete_before(chance.randrange(log.log_start_offset, done.base_offset + 1))


async def main() -> None:
    chance = random.Random(sys.argv[2])
    store = LocalStore(
        sys.argv[1],
        node_id=1,
        disk=SystemDisk(),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        offload=ThreadOffload(),
    )
    await store.open()
    config = LogConfig(segment_bytes=20_000, index_interval_bytes=500)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.maintain)
        for partition in range(PARTITIONS):
            log = store.log(LogSpec("killed", bytes(15) + b"\1", partition, config))
            nursery.start_soon(write, store, log, random.Random(chance.random()))


if __name__ == "__main__":
    trio.run(main)
