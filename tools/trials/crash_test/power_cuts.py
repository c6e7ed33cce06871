"""The power goes: what the settings promise is there afterwards, and where they promise nothing, some of it is gone.

A store lives on a simulated disk (`storage/testing/disks/simulated.py`) which stops at one of its operations. What was
not synced by then is kept, or not, as one of four modes says:

* `nothing`: all of it is gone, names of files too;
* `prefix`: of each file a prefix of its writes is there, in order, of each directory a prefix of its changes;
* `torn`: the last write there is torn at a sector, or the file has its size and zeros where the bytes should be;
* `reorder`: of each file any of its writes, in whatever order the disk had them.

And five configurations say what an acknowledgement is worth:

====================  ================================================================================================
`acks=all`            every record acknowledged is there
`flush.messages=1`    likewise, with acks=1
`flush.messages=100`  at most 99 acknowledged records of a log are missing
`flush.ms=200`        none is missing that was acknowledged more than 200 ms (and the time of a sync) before the cut
`defaults`            acks=1: nothing is promised, and the tier must *see* records go missing, or it cuts no power
====================  ================================================================================================

In each of them one append in ten is acks=all, which is promised always. Whatever the mode: records that are there are
those that were sent, once, in their order, without gaps.

Two things are allowed besides, and counted, where the disk has written later bytes and not earlier ones: in the mode
`reorder`, and where the power went in the moment between the beginning of a new segment and the sync of the old one. A
log may then be offline, since a hole in the middle looks like damage (decision 16); what was promised has to
be in its files, untouched. Or the end of the old segment is missing, cleanly, and the offsets have a gap there.

The store that starts after a cut loses power again while it recovers, now and then, and again while it lives on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

import trio
import trio.testing

from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogSpec, Read
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.local.segment import file_name
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.simulated import PowerCut, SimulatedDisk, until_the_power_goes
from storage.testing.log_builder import ScriptedProducer, batch, content, spec, values, whole_batches
from tools.trials.crash_test.outcome import Outcome, Plan

MODES: Final[dict[str, tuple[str, ...]]] = {
    "nothing": ("none",),
    "prefix": ("none", "all", "prefix", "prefix"),
    "torn": ("torn", "torn", "zeros"),
    "reorder": ("subset",),
}
PARTITIONS: Final = 2
ROUNDS: Final = 3
APPENDS: Final = 60
LONGEST_PAUSE: Final = 0.04
LONGEST_SYNC: Final = 0.004
SLACK: Final = 0.03
"""Seconds that a sync may take, with the one before it, beyond `flush.ms`."""


class Configuration(NamedTuple):
    """How logs are kept, and which acknowledged records may be missing: at most `records` of a log, none older than
    `seconds`."""

    name: str
    settings: dict[str, Any]
    acks_all: bool = False
    records: int | None = None
    seconds: float | None = None


CONFIGURATIONS: Final = (
    Configuration("acks=all", {}, acks_all=True),
    Configuration("flush.messages=1", {"flush_messages": 1}, records=0),
    Configuration("flush.messages=100", {"flush_messages": 100}, records=99),
    Configuration("flush.ms=200", {"flush_ms": 200}, seconds=0.2 + SLACK),
    Configuration("defaults", {}),
)


class Acknowledged(NamedTuple):
    """A batch that was acknowledged, when, and with acks=all or not."""

    base_offset: int
    values: list[bytes]
    when: float
    promised: bool


@dataclass
class Answered:
    """What the clients of one log know."""

    sent: dict[bytes, int] = field(default_factory=dict)  # value -> its number
    acknowledged: list[Acknowledged] = field(default_factory=list)
    gaps: set[int] = field(default_factory=set)  # offsets after a gap that an earlier cut has left


@dataclass
class Life:
    """One disk through several cuts."""

    configuration: Configuration
    mode: str
    seed: int
    outcome: Outcome
    chance: random.Random
    answered: list[Answered] = field(default_factory=lambda: [Answered() for _ in range(PARTITIONS)])
    cut_at: float = 0.0
    rolled: set[int] = field(default_factory=set)
    """Logs whose last segment was begun, and the one before it not synced, when the power went."""

    @property
    def where(self) -> str:
        """What to play again."""
        return f"seed {self.seed}, {self.configuration.name}, mode {self.mode}"

    def log(self, store: LocalStore, partition: int) -> LocalLog:
        """One of the two logs."""
        return store.log(self.spec(partition))

    def spec(self, partition: int) -> LogSpec:
        """Small segments, so that cuts meet rolls."""
        return spec("cut", partition, segment_bytes=3000, index_interval_bytes=300, **self.configuration.settings)

    def store(self, disk: SimulatedDisk) -> LocalStore:
        """A store on this disk, whose work in threads takes a moment."""
        return LocalStore(
            "/data", node_id=1, disk=disk, clock=VirtualClock(), entropy=SeededEntropy(self.chance.randrange(1 << 30)),
            offload=InlineOffload(lambda: self.chance.random() * LONGEST_SYNC),
        )  # fmt: skip

    # -- living --------------------------------------------------------------------------------------------------------

    async def live(self, store: LocalStore, disk: SimulatedDisk) -> None:
        """Writers and upkeep beside each other, until the power goes or all is written."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.maintain)
            async with trio.open_nursery() as writers:
                for partition in range(PARTITIONS):
                    for _ in range(2):
                        writers.start_soon(self.write, store, disk, partition)
            nursery.cancel_scope.cancel()

    async def write(self, store: LocalStore, disk: SimulatedDisk, partition: int) -> None:
        """Appends, acknowledged as the broker's Produce does."""
        chance, answered = self.chance, self.answered[partition]
        producer = ScriptedProducer(chance.randrange(1, 1 << 40))
        try:
            for _ in range(APPENDS):
                log = self.log(store, partition)
                size = chance.randrange(1, 12)
                words = [b"%x:" % chance.getrandbits(60) + b"x" * chance.randrange(120) for _ in range(size)]
                for value in words:
                    answered.sent[value] = len(answered.sent)
                acks_all = self.configuration.acks_all or chance.random() < 0.1
                made = producer.batch(*words) if chance.random() < 0.5 else batch(*words)
                begun = log.begin_append([made])
                if not begun.durable and (acks_all or begun.durable_on_ack):
                    await begun.wait_durable()
                answered.acknowledged.append(Acknowledged(begun.base_offset, words, trio.current_time(), acks_all))
                if chance.random() < 0.02:
                    await store.volume.write_recovery_points()
                await trio.sleep(chance.random() * LONGEST_PAUSE)
        except (PowerCut, trio.Cancelled):
            self.cut_at = min(self.cut_at, trio.current_time())
            raise
        except KafkaError as error:
            # A sync that has begun and not ended counts as failed, whatever ended it. If that was the power, no client
            # hears of the refusal: the PowerCut is on its way to end this life, too.
            if not disk.power_is_gone or error.code is not ErrorCode.KAFKA_STORAGE_ERROR:
                raise

    def note_rolled(self, store: LocalStore, disk: SimulatedDisk) -> None:
        """Which logs had a new segment, if only its file, behind one with unsynced bytes, when the power went."""
        for partition in range(PARTITIONS):
            opened = self.log(store, partition).opened
            if opened is None or not opened.segments:
                continue
            begun = disk.file_size(f"/data/cut-{partition}/{file_name(opened.end, '.log')}") is not None
            behind = opened.segments if begun else opened.segments[:-1]
            if any(segment.synced_size < segment.size for segment in behind):
                self.rolled.add(partition)

    # -- checking ------------------------------------------------------------------------------------------------------

    async def check(self, store: LocalStore, disk: SimulatedDisk) -> bool:
        """Compare what is there with what was answered; False if a log is offline."""
        online = True
        for partition, answered in enumerate(self.answered):
            log = self.log(store, partition)
            try:
                found = await read_from_start(store, log)
            except KafkaError:
                online = False
                self.judge_offline(disk, partition, answered)
                continue
            self.judge(partition, answered, found, log.log_end_offset)
        return online

    def judge(self, partition: int, answered: Answered, found: list[tuple[int, bytes]], end: int) -> None:
        """One log. If a new segment has survived, empty, and not the end of the old one, the gap is at the end."""
        outcome, where = self.outcome, f"{self.where}, partition {partition}"
        offsets = [offset for offset, _ in found]
        outcome.require(offsets == sorted(set(offsets)), f"{where}: the offsets do not grow")
        gaps = {after for before, after in pairwise([-1, *offsets, end]) if after != before + 1}
        for gap in sorted(gaps - answered.gaps):
            outcome.count("gaps where a segment begins that was rolled but not synced")
            allowed = self.mode == "reorder" or partition in self.rolled
            outcome.require(allowed, f"{where}: the offsets have a gap before {gap}")
        answered.gaps = gaps
        strange = [value for _, value in found if value not in answered.sent]
        outcome.require(not strange, f"{where}: {len(strange)} records that were never sent, as {strange[:1]}")
        outcome.require(len({value for _, value in found}) == len(found), f"{where}: a record is there twice")
        there = dict(found)
        missing = [entry for entry in answered.acknowledged if not is_there(entry, there)]
        self.judge_missing(where, missing)
        outcome.count(
            f"{self.configuration.name}: acknowledged", sum(len(entry.values) for entry in answered.acknowledged)
        )
        outcome.count(f"{self.configuration.name}: of them missing", sum(len(entry.values) for entry in missing))
        answered.acknowledged = [
            entry._replace(promised=True) for entry in answered.acknowledged if is_there(entry, there)
        ]  # what has survived a cut is on the platter, and has to stay there

    def judge_missing(self, where: str, missing: list[Acknowledged]) -> None:
        """What is missing may be missing, or not."""
        promise, outcome = self.configuration, self.outcome
        for entry in missing:
            outcome.require(
                not entry.promised, f"{where}: offset {entry.base_offset}, acknowledged with acks=all, is missing"
            )
            if promise.seconds is not None:
                age = self.cut_at - entry.when
                words = f"{where}: offset {entry.base_offset} is missing, {age:.3f} s after its acknowledgement"
                outcome.require(age <= promise.seconds, words)
        if promise.records is not None:
            count = sum(len(entry.values) for entry in missing)
            words = f"{where}: {count} acknowledged records are missing, {promise.records} may be"
            outcome.require(count <= promise.records, words)

    def judge_offline(self, disk: SimulatedDisk, partition: int, answered: Answered) -> None:
        """A log that cannot be opened: allowed where writes were reordered, and its files have what was promised."""
        where = f"{self.where}, partition {partition}"
        if self.mode == "reorder":
            self.outcome.count("logs offline after reordered writes")
        else:
            self.outcome.count("logs offline after a cut between a roll and its sync")
            if not self.outcome.require(partition in self.rolled, f"{where}: offline"):
                return
        path = f"/data/cut-{partition}"
        names = [name for name in disk.list_directory(path) if name.endswith(".log")]
        kept = b"".join(disk.read_file(f"{path}/{name}") or b"" for name in names)
        gone = [entry for entry in answered.acknowledged if entry.promised and not all(v in kept for v in entry.values)]
        self.outcome.require(not gone, f"{where}: offline, and {len(gone)} promised batches are not in its files")


def is_there(entry: Acknowledged, there: dict[int, bytes]) -> bool:
    """Whether all records of a batch are at their offsets."""
    return all(there.get(entry.base_offset + index) == value for index, value in enumerate(entry.values))


async def read_from_start(store: LocalStore, log: LocalLog) -> list[tuple[int, bytes]]:
    """(offset, value) of every record that a consumer gets to see. Raises KafkaError."""
    position, found = log.log_start_offset, list[tuple[int, bytes]]()
    while True:
        [answer] = await store.read_many([Read(log, position, 1 << 20, log.high_watermark)], 1 << 20)
        step = whole_batches(content(answer))
        if not step:
            return found
        for header, data in step:
            found += ((header.base_offset + index, value or b"") for index, value in enumerate(values(data)))
        position = step[-1][0].next_offset


def run(plan: Plan, disk_type: Callable[[], SimulatedDisk] = SimulatedDisk) -> Outcome:
    """Cut the power `plan.count` times, over all modes and configurations in turn."""
    outcome = Outcome("power-cuts", {"power cuts": 0, "of them during recovery": 0, "lives": 0})
    number = 0
    whole_rounds = len(MODES) * len(CONFIGURATIONS)
    while outcome.counts["power cuts"] < (plan.count or 2000) or number % whole_rounds:
        configuration = CONFIGURATIONS[number % len(CONFIGURATIONS)]
        mode = list(MODES)[number // len(CONFIGURATIONS) % len(MODES)]
        seed = plan.seed * 1_000_003 + number
        live_once(Life(configuration, mode, seed, outcome, random.Random(seed)), disk_type)
        number += 1
        if number % 100 == 0:
            plan.say(f"{outcome.counts['power cuts']} power cuts")
    outcome.require(
        outcome.counts.get("defaults: of them missing", 0) > 0,
        "acks=1 lost nothing in any of these power cuts, though nothing was promised: the test is broken",
    )
    return outcome


def live_once(life: Life, disk_type: Callable[[], SimulatedDisk]) -> None:
    """A few rounds of life and power cuts on one disk, in virtual time. The same seed is the same life."""
    scheduler: Any = trio._core._run  # trio has a seed for its scheduler, and no public name for it
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(life.seed)
    try:
        trio.run(partial(_rounds, life, disk_type()), clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before


async def _rounds(life: Life, disk: SimulatedDisk) -> None:
    chance, outcome, fates = life.chance, life.outcome, MODES[life.mode]
    outcome.count("lives")
    for number in range(ROUNDS + 1):
        # Now and then a start that is cut short, before one that is not.
        for patience in (chance.randrange(1, 14), None) if number and chance.random() < 0.5 else (None,):
            disk.operations, disk.stop_after = 0, patience
            store = life.store(disk)
            with until_the_power_goes():
                await store.open()
                if patience is None:
                    break
                await store.loader.sync_recovered()
            disk = disk.after_power_cut(chance, fates=fates)
            outcome.count("power cuts")
            outcome.count("of them during recovery")
        disk.stop_after = None
        if number and not await life.check(store, disk):
            return
        if number == ROUNDS:
            return
        life.cut_at, life.rolled = float("inf"), set()
        disk.operations, disk.stop_after = 0, chance.randrange(5, 250)
        with until_the_power_goes():
            await life.live(store, disk)
            life.cut_at = trio.current_time()
        life.note_rolled(store, disk)
        disk = disk.after_power_cut(chance, fates=fates)
        outcome.count("power cuts")
