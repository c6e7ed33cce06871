"""Engines of a cluster under virtual time, over a database and a bucket that fail: seeds in, the same history out.

Brokers of one process share a database and a bucket in memory (`storage/testing`). On the way to the database what is
asked or answered is lost, comes late or is refused; puts are lost, late or refused; either is away altogether for some
seconds now and then; and a broker is replaced by a new process of its node id, while the old one lives on as a zombie
and does not know it. Idempotent producers, each with a lane of its own, send a batch until it is acknowledged, through
any broker; upkeep merges, trims and collects all the while.

In the end, when everything works again, each log has what was acknowledged, once, in each producer's order, and
nothing else; the rows keep their promises; and after some hours of upkeep each object in the bucket is one that
records lie in.

    python -m tools.trials simulate-cluster --seeds 1 2 3 --minutes 30

A line for each seed: batches, what failed, simulated minutes a minute, and a digest of the history, which is the same
for the same seed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import trio
import trio.testing

from kproto.batches.records import iter_records
from kproto.errors import KafkaError
from storage.engine import PartitionLog, Read
from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.seams import slices
from storage.seams.clock import Instant
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.bucket import Fault, MemoryBucket
from storage.testing.control_plane import Line, MemoryControlPlane
from storage.testing.database import MemoryDatabase
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch, content, spec, whole_batches

BROKERS = 3
LOGS = [spec("left"), spec("right", 1), spec("__internal")]
LIMITS = Limits(upkeep_ms=60_000, merge_from=8, cache_bytes=100_000, poll_ms=5_000)
PER_THOUSAND = 25
PUT_FAULTS = (Fault.BUSY, Fault.LOST, Fault.LATE)


class _Time:
    """Wall and monotonic time that go with trio's clock."""

    def wall_millis(self) -> int:
        return EPOCH_MS + self.monotonic_millis()

    def monotonic_millis(self) -> int:
        return round(trio.current_time() * 1000)

    def now(self) -> Instant:
        return Instant(self.wall_millis(), self.monotonic_millis())


class Simulation:
    """One history."""

    def __init__(self, seed: int, minutes: float) -> None:
        self.dice = random.Random(seed)
        self.seconds = minutes * 60
        self.clock = _Time()
        self.entropy = SeededEntropy(seed)
        self.database = MemoryDatabase(self.clock, self.entropy)
        self.faulty = True
        self.bucket = MemoryBucket(delay=self._bucket_delay, chance=self._bucket_fault, late=20.0)
        self.stores: list[ObjectStore] = []
        self.lines: list[Line] = []
        self.lives = 0
        self.acknowledged: dict[str, list[bytes]] = {log.topic: [] for log in LOGS}
        self.seen: Counter[str] = Counter()
        self.history = hashlib.sha256()
        self.wrong: list[str] = []

    def note(self, event: str) -> None:
        """Something has happened; the digest of the history has it, with its time."""
        self.seen[event.partition(" ")[0]] += 1
        self.history.update(f"{trio.current_time():.3f} {event}\n".encode())

    def _bucket_delay(self, kind: str, size: int) -> float:
        return self.dice.random() * 0.15

    def _bucket_fault(self, kind: str) -> Fault | None:
        if not self.faulty or self.dice.randrange(1000) >= PER_THOUSAND:
            return None
        return self.dice.choice(PUT_FAULTS) if kind in ("put", "delete") else Fault.BUSY

    async def start(self, node_id: int, nursery: trio.Nursery) -> ObjectStore:
        """A process of this node id, in the place of the one before."""
        self.lives += 1
        line = Line()
        line.delay_ms = lambda operation: self.dice.random() * 10
        control = MemoryControlPlane(self.database, node_id, self.lives.to_bytes(16, "big"), line=line)
        store = ObjectStore(
            control, self.bucket, clock=self.clock, entropy=self.entropy, offload=InlineOffload(), limits=LIMITS
        )
        await store.open()
        line.chance(self.entropy, PER_THOUSAND if self.faulty else 0)
        self.lines.append(line)
        nursery.start_soon(store.maintain, lambda: LOGS)
        return store

    # -- what goes on --------------------------------------------------------------------------------------------------

    async def produce(self, number: int) -> None:
        """One lane: a batch until it is acknowledged, then the next."""
        where = LOGS[number % len(LOGS)]
        producer = ScriptedProducer(number)
        count = 0
        while trio.current_time() < self.seconds:
            values = [b"%d-%d" % (number, count + place) for place in range(self.dice.randint(1, 3))]
            count += len(values)
            padding = b"." * self.dice.choice((0, 0, 100, 3000))
            sent = bytes(producer.batch(*[value + b"|" + padding for value in values]).data)
            while True:
                store = self.stores[self.dice.randrange(BROKERS)]
                log = store.log(where)
                try:
                    await store.make_ready([log])
                    append = log.begin_append([as_batch(sent)])
                    await append.wait_durable()
                    break
                except KafkaError as error:
                    self.note(f"refused {number} {error.code.name}")
                    await trio.sleep(self.dice.random())
            self.note(f"acknowledged {number} {append.base_offset} {append.duplicate}")
            self.acknowledged[where.topic] += values
            await trio.sleep(self.dice.random() * 2)

    async def trouble(self, nursery: trio.Nursery) -> None:
        """Something larger now and then."""
        while True:
            await trio.sleep(20 + self.dice.random() * 40)
            place = self.dice.randrange(BROKERS)
            what = self.dice.choice(("replace", "database", "bucket"))
            self.note(f"{what} {place}")
            if what == "replace":
                self.stores[place] = await self.start(place + 1, nursery)
            elif what == "bucket":
                self.bucket.down = True
                await trio.sleep(self.dice.random() * 8)
                self.bucket.down = False
            else:
                line = self.lines[-1 - self.dice.randrange(BROKERS)]
                line.down = True
                await trio.sleep(self.dice.random() * 8)
                line.down = False

    async def run(self) -> None:
        """All of it."""
        async with trio.open_nursery() as nursery:
            self.stores = [await self.start(node_id, nursery) for node_id in range(1, BROKERS + 1)]
            await self.stores[0].create_logs(LOGS)
            async with trio.open_nursery() as trouble:
                trouble.start_soon(self.trouble, nursery)
                async with trio.open_nursery() as lanes:
                    for number in range(2 * len(LOGS)):
                        lanes.start_soon(self.produce, number)
                trouble.cancel_scope.cancel()
            self.faulty = False
            self.bucket.down = False
            for line in self.lines:
                line.heal()
            await trio.sleep(60)
            for where in LOGS:
                for store in self.stores:
                    self.compare(where.topic, await self.read(store, store.log(where)))
            self.database.check()
            await trio.sleep(4 * 3600)
            self.database.check()
            self.audit()
            nursery.cancel_scope.cancel()

    # -- what must be so -----------------------------------------------------------------------------------------------

    async def read(self, store: ObjectStore, log: PartitionLog) -> list[bytes]:
        """All values of a log, as a consumer gets them."""
        await store.refresh([log])
        found: list[bytes] = []
        position = 0
        while position < log.high_watermark:
            [answer] = await store.read_many([Read(log, position, 1 << 20, log.high_watermark)], 1 << 20)
            batches = whole_batches(content(answer))
            for header, data in batches:
                if header.base_offset != position:
                    self.wrong.append(f"{log.spec.topic}: a gap from {position} to {header.base_offset}")
                found += [(record.value or b"").partition(b"|")[0] for record in iter_records(data)]
                position = header.next_offset
        return found

    def compare(self, topic: str, found: Sequence[bytes]) -> None:
        """Once each, in each lane's order, and nothing else."""
        expected = self.acknowledged[topic]
        if Counter(found) != Counter(expected):
            lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
            self.wrong.append(f"{topic}: lost {lost.total()}, as {sorted(lost)[:5]}")
            self.wrong.append(f"{topic}: more {more.total()}, as {sorted(more)[:5]}")
        for lane in {value.partition(b"-")[0] for value in found}:
            numbers = [int(value.partition(b"-")[2]) for value in found if value.partition(b"-")[0] == lane]
            if numbers != sorted(numbers):
                self.wrong.append(f"{topic}: lane {lane.decode()} is out of order")

    def audit(self) -> None:
        """Each object in the bucket is one that records lie in, and each of those is there."""
        live = {key for key, stored in self.database.objects.items() if stored.live > 0}
        there = set(self.bucket.objects)
        if live - there:
            self.wrong.append(f"{len(live - there)} objects are gone that records lie in")
        if there - live:
            self.wrong.append(f"{len(there - live)} objects are left without records: {sorted(there - live)[:3]}")


def play(seed: int, minutes: float) -> list[str]:
    """One seed; what is wrong. Prints a line."""
    simulation = Simulation(seed, minutes)
    begun = time.perf_counter()
    scheduler: Any = trio._core._run  # trio has a seed for its scheduler, and no public name for it
    pace: Any = slices  # tasks that give way by the machine's time would do so elsewhere in each run
    before, slice_seconds = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, pace.SLICE_SECONDS
    pace.SLICE_SECONDS = float("inf")
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        trio.run(simulation.run, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
        pace.SLICE_SECONDS = slice_seconds
    took = time.perf_counter() - begun
    simulated = simulation.seconds / 60 + 4 * 60
    print(
        f"seed {seed}: {simulation.seen['acknowledged']} batches, {simulation.seen['refused']} refusals, "
        f"{simulation.seen['replace']} replaced brokers, {simulated:.0f} simulated minutes in {took:.0f} s "
        f"({simulated * 60 / took:.0f} a minute), history {simulation.history.hexdigest()[:16]}, "
        f"wrong: {len(simulation.wrong)}",
        flush=True,
    )
    return [f"seed {seed}: {wrong}" for wrong in simulation.wrong]


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="simulate-cluster", description="engines under virtual time and faults")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=30, help="simulated, of producing")
    options = parser.parse_args(arguments)
    wrong = [line for seed in options.seeds for line in play(seed, options.minutes)]
    for line in wrong:
        print(line)
    return 1 if wrong else 0
