"""Bits flip, files end early, blocks are zeroed, doubled, swapped and stale: what does a start make of it?

A segment of 64 KiB with 40 batches is damaged in one place, and its log is opened as after an unclean stop. Each damage
is tried

* `above`: with nothing known to be synced (recovery point 0);
* `below`: with everything synced (the recovery point is the end), and without indexes, so that all of it is read;
* `unread` (every seventh): synced up to its middle, with indexes, so that recovery begins in the middle.

What may happen, and nothing else:

* the log is opened and ends where the first damaged batch began (**cut**): only above the recovery point, and only if
  no sound batch follows;
* the log stays **offline**, and no byte of its file has changed;
* the log is opened as it is, and the damage is in bytes that no checksum covers (a batch's base offset and leader
  epoch, which a broker may change): **not covered**. Kafka's format has no way to see it;
* likewise, and the damage lies where recovery had no reason to read (`unread`): it is **left to the reader**, whose
  check of the batch's checksum must fail. `ottla check-log` finds it too.

Every thousandth case is played by a whole store, in which another log must go on serving; and of every hundredth that
was opened, something is appended and it is opened once more.

Then files: each file of a data directory that is not a `.log` is deleted in its turn, after a clean stop and after an
unclean one, and has to be there again, the same to the byte, when the directory has been opened, looked at and closed.
`KEPT_FOR_GOOD` has those of which this is not true, and why.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import trio

from kproto.batches.crc32c import crc32c
from kproto.batches.header import ATTRIBUTES_OFFSET, HEADER_SIZE, read_header
from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogSpec, StoreError
from storage.local import checkpoints, recovery
from storage.local.descriptors import Descriptors
from storage.local.engine import LocalStore
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.segment import Corrupt, file_name
from storage.local.surroundings import Health, Surroundings
from storage.log_config import LogConfig
from storage.seams.clock import VirtualClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, batch, batches, joined, spec
from tools.trials.crash_test.outcome import Outcome, Plan
from tools.trials.crash_test.power_cuts import read_from_start
from tools.trials.crash_test.syscalls import in_memory

SIZE: Final = 64 << 10
BATCHES: Final = 40
BLOCKS: Final = (512, 4096)
PAIRS: Final = 2000
"""Pairs of 512-byte blocks that are doubled and swapped; of 4 KiB blocks it is all pairs."""

PATH: Final = f"orders-0/{file_name(0, '.log')}"
UNREAD_EVERY, STORE_EVERY, APPEND_EVERY = 7, 1000, 100
OPEN_OFFSETS = range(8)
"""Bytes of a batch that its checksum does not cover, and that are not otherwise checked: the base offset ..."""
OPEN_EPOCH = range(12, 16)
"""... and the leader epoch."""


class Original(NamedTuple):
    """The segment before anything happened to it."""

    data: bytes
    positions: list[int]  # where each batch begins; and the end
    offsets: list[int]  # likewise
    indexes: dict[str, bytes]


class Damage(NamedTuple):
    """One accident: what the file holds afterwards."""

    what: str
    kind: str
    data: bytes


class Accident(NamedTuple):
    """One that has not happened yet: there are a hundred thousand, of 64 KiB each."""

    what: str
    kind: str
    happen: Callable[[], bytes]

    def damage(self) -> Damage:
        """Let it happen."""
        return Damage(self.what, self.kind, self.happen())


def build(seed: int) -> Original:
    """A segment of about 64 KiB. Its payload is noise, so that every bit of it matters."""
    chance = random.Random(seed)
    producer = ScriptedProducer(5)
    parts = []
    left = SIZE
    for number in range(BATCHES):
        size = left // (BATCHES - number) - HEADER_SIZE - 60
        words = [chance.randbytes(max(1, size // 4 + chance.randrange(-20, 20))) for _ in range(4)]
        parts.append(producer.batch(*words) if number % 3 == 0 else batch(*words))
        left -= len(parts[-1].data)
    data = joined(parts)
    positions, offsets = [0], [0]
    while positions[-1] < len(data):
        header = read_header(data, positions[-1])
        positions.append(positions[-1] + header.size)
        offsets.append(header.next_offset)
    disk = MemoryDisk({PATH: data})
    log = load(disk, 0)
    log.finish()
    return Original(data, positions, offsets, {path: text for path, text in disk.files.items() if path != PATH})


def load(disk: MemoryDisk, recovery_point: int) -> Log:
    """Open the log as after an unclean stop. Raises Damaged, Corrupt, DamagedIndex."""
    around = Surroundings(disk, VirtualClock(), SeededEntropy(1), Descriptors(10), Health("."))
    config = LogConfig(index_interval_bytes=4096)
    return recovery.load(around, "orders-0", config, trust=recovery.Trust.NONE,
                         recovery_point=recovery_point, log_start=0, now=0)  # fmt: skip


def accidents(original: Original, seed: int) -> Iterator[Accident]:
    """Every one there is."""
    data, size = original.data, len(original.data)
    for number, position in enumerate(original.positions[:-1]):
        for bit in range(8 * HEADER_SIZE):
            yield flip(data, position + bit // 8, bit % 8, f"header of batch {number}", "header bits")
    bit = 0
    for start, end in zip(original.positions, original.positions[1:], strict=False):
        for position in range(start + HEADER_SIZE, end):
            yield flip(data, position, bit, "payload", "payload bits")
            bit = (bit + 3) % 8
    for length in range(size):
        yield Accident(f"cut to {length} bytes", "truncations", partial(cut, data, length))
    stale = build(seed + 1).data.ljust(size, b"\0")
    chance = random.Random(seed)
    for block in BLOCKS:
        starts = range(0, size - block + 1, block)
        for start in starts:
            yield overwrite(data, {start: bytes(block)}, "zeroed")
            yield overwrite(data, {start: stale[start : start + block]}, "stale")
        pairs = [(one, other) for one in starts for other in starts if one != other]
        for one, other in pairs if len(pairs) <= PAIRS else chance.sample(pairs, PAIRS):
            first, second = data[one : one + block], data[other : other + block]
            yield overwrite(data, {other: first}, "doubled")
            yield overwrite(data, {other: first, one: second}, "swapped")


def flip(data: bytes, position: int, bit: int, where: str, kind: str) -> Accident:
    """One bit of one byte."""
    return Accident(f"bit {bit} of byte {position} ({where})", kind, partial(flipped, data, position, bit))


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def cut(data: bytes, length: int) -> bytes:
    """The file ends there."""
    return data[:length]


def overwrite(data: bytes, blocks: dict[int, bytes], how: str) -> Accident:
    """Blocks have other bytes, by position."""
    size = len(next(iter(blocks.values())))
    what = f"{size} bytes at {' and '.join(map(str, blocks))} {how}"
    return Accident(what, f"blocks {how}", partial(overwritten, data, blocks))


def overwritten(data: bytes, blocks: dict[int, bytes]) -> bytes:
    changed = bytearray(data)
    for position, block in blocks.items():
        changed[position : position + len(block)] = block
    return bytes(changed)


# -- judging -----------------------------------------------------------------------------------------------------------


class Judge:
    """Says of each case what happened, and whether it may."""

    def __init__(self, original: Original, outcome: Outcome) -> None:
        self.original = original
        self.outcome = outcome
        self._whole = [
            original.data[start:end] for start, end in zip(original.positions, original.positions[1:], strict=False)
        ]

    def sound(self, data: bytes) -> list[bool]:
        """Of each batch, whether it is where it was, to the byte."""
        return [
            data.startswith(whole, position)
            for position, whole in zip(self.original.positions, self._whole, strict=False)
        ]

    def try_one(self, damage: Damage, where: str, number: int) -> None:
        """One case."""
        outcome, original = self.outcome, self.original
        recovery_point = {"above": 0, "below": original.offsets[-1], "unread": original.offsets[BATCHES // 2]}[where]
        files = {PATH: damage.data, **(original.indexes if where == "unread" else {})}
        disk = MemoryDisk(files)
        case = f"{damage.what}, {where} the recovery point" if where != "unread" else f"{damage.what}, {where}"
        outcome.count("cases")
        outcome.count(f"{where}: {damage.kind}")
        try:
            log = load(disk, recovery_point)
        except (recovery.Damaged, Corrupt, DamagedIndex):
            outcome.count(f"{where}: offline, untouched")
            outcome.require(disk.read_file(PATH) == damage.data, f"{case}: offline, and its file was changed")
            return
        except Exception as error:
            outcome.violate(f"{case}: the start dies of {error!r}")
            return
        kept = disk.read_file(PATH) or b""
        outcome.require(log.size == len(kept), f"{case}: serves {log.size} of {len(kept)} bytes")
        self.judge_opened(damage, where, case, kept, recovery_point)
        if number % APPEND_EVERY == 0:
            self.append_and_open_again(case, log, disk, kept)

    def judge_opened(self, damage: Damage, where: str, case: str, kept: bytes, recovery_point: int) -> None:
        """The log is served: what of it?"""
        outcome, original = self.outcome, self.original
        sound = self.sound(damage.data)
        if all(sound):
            outcome.count(f"{where}: nothing was damaged")  # a block over an equal one
            return
        first = sound.index(False)
        if kept == original.data[: original.positions[first]]:
            outcome.count(f"{where}: cut where the damage begins")
            words = f"{case}: cut to offset {original.offsets[first]}, though {recovery_point} was synced"
            outcome.require(original.offsets[first] >= recovery_point, words)
            outcome.require(not any(sound[first:]), f"{case}: cut, though sound batches follow")
            return
        if where == "unread" and kept in (damage.data[: original.positions[number]] for number in after_middle(sound)):
            outcome.count("unread: cut behind the middle, and left to the reader's checksum before it")
            return
        if not outcome.require(kept == damage.data, f"{case}: was changed, and not by cutting the damage off"):
            return
        hidden = [number for number, right in enumerate(sound) if not right and self.is_not_covered(kept, number)]
        if len(hidden) == sound.count(False):
            outcome.count(f"{where}: served, the damage is not covered by a checksum")
            return
        outcome.count(f"{where}: served, left to the reader's checksum")
        read_from = original.offsets[first]
        outcome.require(
            where == "unread" and read_from < recovery_point, f"{case}: served, though recovery has read it"
        )

    def is_not_covered(self, kept: bytes, number: int) -> bool:
        """Whether a batch has changed in bytes that no checksum covers only, so that its own still holds."""
        start, end = self.original.positions[number], self.original.positions[number + 1]
        found = kept[start:end]
        stored = int.from_bytes(found[17:21], "big")
        if len(found) != end - start or found[8:12] != self._whole[number][8:12]:
            return False
        return found[16] == 2 and crc32c(found[ATTRIBUTES_OFFSET:]) == stored

    def append_and_open_again(self, case: str, log: Log, disk: MemoryDisk, kept: bytes) -> None:
        """The log takes more, and is the same afterwards."""
        self.outcome.count("appended to and opened again")
        end = log.end
        log.append(batches(1))
        try:
            again = load(disk, end)
        except (recovery.Damaged, Corrupt, DamagedIndex) as error:
            self.outcome.violate(f"{case}: opened once, and not again: {error}")
            return
        data = disk.read_file(PATH) or b""
        self.outcome.require(
            data.startswith(kept) and again.end == end + 1, f"{case}: the second start found something else"
        )

    async def try_in_store(self, damage: Damage, where: str) -> None:
        """A whole store with this log and a sound one: the other log serves, this one serves or says 56."""
        outcome = self.outcome
        outcome.count("cases with a whole store")
        point = self.original.offsets[-1]
        disk = MemoryDisk(
            {
                f"data/{PATH}": damage.data,
                f"data/orders-1/{file_name(0, '.log')}": self.original.data,
                f"data/{checkpoints.META_PROPERTIES}": checkpoints.MetaProperties("c", 1, "d").encode(),
                f"data/{checkpoints.RECOVERY_POINTS}": checkpoints.encode_offsets(
                    [(("orders", 0), point if where == "below" else 0), (("orders", 1), point)]
                ),
            }
        )
        store = open_store("data", disk)
        await store.open()
        other = store.log(spec("orders", 1))
        found = await read_from_start(store, other)
        outcome.require(len(found) == point, f"{damage.what}: the other log serves {len(found)} of {point} records")
        await other.begin_append(batches(1)).wait_durable()
        try:
            await read_from_start(store, store.log(spec("orders", 0)))
        except KafkaError as error:
            words = f"{damage.what}: refused with {error.code.name}"
            outcome.require(error.code is ErrorCode.KAFKA_STORAGE_ERROR, words)
            outcome.require(disk.read_file(f"data/{PATH}") == damage.data, f"{damage.what}: offline, and changed")
        await store.close()


def after_middle(sound: list[bool]) -> list[int]:
    """Damaged batches from the middle on with nothing sound behind: where a cut is right whatever lies before."""
    return [number for number in range(BATCHES // 2, BATCHES) if not any(sound[number:])]


def open_store(directory: str, disk: MemoryDisk | SystemDisk) -> LocalStore:
    """A store in one thread."""
    return LocalStore(
        directory, node_id=1, disk=disk, clock=VirtualClock(), entropy=SeededEntropy(1), offload=InlineOffload()
    )


def run(plan: Plan) -> Outcome:
    """All damages, or about `plan.count` cases of them, evenly spread; then the files."""
    outcome = Outcome("bit-rot", {"cases": 0})
    try_damages(plan, outcome)
    with tempfile.TemporaryDirectory(prefix="crash-bit-rot-", dir=in_memory(plan.directory)) as place:
        trio.run(delete_each_file, Path(place), outcome)
    return outcome


def try_damages(plan: Plan, outcome: Outcome) -> None:
    """All damages to a segment, or about `plan.count` cases of them."""
    original = build(plan.seed)
    judge = Judge(original, outcome)
    total = sum(1 for _ in accidents(original, plan.seed)) if plan.count else 0
    step = max(1, total * 2 // plan.count) if plan.count else 1
    for number, accident in enumerate(accidents(original, plan.seed)):
        if number % step:
            continue
        number //= step
        damage = accident.damage()
        for where in ("above", "below", "unread") if number % UNREAD_EVERY == 0 else ("above", "below"):
            judge.try_one(damage, where, number)
            if number % STORE_EVERY == 0:
                trio.run(judge.try_in_store, damage, where)
        if number % 10_000 == 0:
            plan.say(f"{outcome.counts['cases']} cases, at {damage.what}")
    for needed in ("above: cut where the damage begins", "above: offline, untouched", "below: offline, untouched"):
        outcome.require(outcome.counts.get(needed, 0) > 0, f"no case was '{needed}': the test is broken")


# -- files that are rebuilt --------------------------------------------------------------------------------------------

KEPT_FOR_GOOD: Final = {
    checkpoints.META_PROPERTIES: "says whose directory it is: without it the start is refused",
    checkpoints.LOG_STARTS: "what DeleteRecords asked for is written nowhere else",
    ".txnindex": "one that has vanished looks like one that never was (L6)",
    ".snapshot": "only the newest is rebuilt; an older one knows producers whose batches are gone (L6)",
}


async def fill(store: LocalStore) -> None:
    """Two logs with segments, producers, transactions, epochs, a moved start."""
    for partition in (0, 1):
        log = store.log(file_spec(partition))
        producer, buyer = ScriptedProducer(1), ScriptedProducer(2)
        for number in range(40):
            early, late = EPOCH_MS + 10 * number, EPOCH_MS + 10 * number + 5
            words = [b"%d" % number * 300, b"%d" % number * 200]
            await log.begin_append([batch(*words, timestamps=[early, late])]).wait_durable()
            await log.begin_append([producer.batch(b"%d" % number * 40)]).wait_durable()
            await log.begin_append([buyer.batch(b"%d" % number, transactional=True)]).wait_durable()
            await log.begin_append([buyer.marker(commit=number % 2 == 0)]).wait_durable()
    await store.log(file_spec(1)).delete_before(17)


def file_spec(partition: int) -> LogSpec:
    """Small segments. The distance of index entries is the default: recovery knows no topic's settings."""
    return spec("files", partition, segment_bytes=20_000)


async def look_at_all(directory: Path) -> list[object]:
    """Open, read every log, look up times, close; everything that was said. Raises StoreError, KafkaError."""
    store = open_store(str(directory), SystemDisk())
    await store.open()
    said: list[object] = []
    try:
        for log in (store.log(file_spec(partition)) for partition in (0, 1)):
            said.append(await read_from_start(store, log))
            said += [await log.offset_for_time(EPOCH_MS + late) for late in range(0, 420, 31)]
            said.append(await log.offset_of_max_timestamp())
            said += [log.end_of_epoch(log.leader_epoch), sorted(await log.producers())]
        return said
    finally:
        await store.close()


async def delete_each_file(place: Path, outcome: Outcome) -> None:
    """Each file that is not a log, after a clean stop and after an unclean one."""
    directory = place / "files"
    store = open_store(str(directory), SystemDisk())
    await store.open()
    await fill(store)
    await store.close()
    expected = await look_at_all(directory)
    original = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    marker = directory / checkpoints.CLEAN_SHUTDOWN
    for path in sorted(original):
        if path.suffix == ".log" or path.name == checkpoints.LOCK:
            continue
        for clean in (True, False):
            case = f"{path.relative_to(directory)} deleted after {'a clean' if clean else 'an unclean'} stop"
            path.unlink()
            if not clean:
                marker.unlink(missing_ok=True)
            outcome.count("files deleted")
            may_stay_away = path.name in KEPT_FOR_GOOD or path.suffix in KEPT_FOR_GOOD
            try:
                found = await look_at_all(directory)
            except (StoreError, KafkaError) as error:
                outcome.require(path.name == checkpoints.META_PROPERTIES, f"{case}: {error}")
            else:
                same = found == expected
                outcome.require(same or path.name == checkpoints.LOG_STARTS, f"{case}: other records are read")
                again = path.read_bytes() if path.exists() else None
                if again == original[path]:
                    outcome.count("rebuilt, the same to the byte")
                elif outcome.require(may_stay_away, f"{case}: {'not there' if again is None else 'different'}"):
                    outcome.count("not rebuilt, as documented")
            for each, data in original.items():
                each.write_bytes(data)
            for each in directory.rglob("*"):
                if each.is_file() and each not in original:
                    each.unlink()
