"""A machine is loaded from a log on disk whatever that has been through: compaction, a power cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from broker.coordinators.machine import Decision, Promise
from broker.coordinators.runtime import Runtime
from kproto.batches.records import RecordData
from storage.engine import LogSpec
from storage.local.engine import LocalStore
from storage.log_config import LogConfig
from storage.seams.clock import Instant, SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload

SPEC = LogSpec(
    "__registers", bytes(15) + b"\x07", 0,
    LogConfig(compact=True, delete=False, segment_bytes=300, min_cleanable_dirty_ratio=0.01, delete_retention_ms=0),
)  # fmt: skip


class Registers:
    """Values by name; a name may be forgotten."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.replayed = 0

    def decide_set(self, name: bytes, value: bytes | None, promise: Promise[None]) -> Decision[RecordData]:
        return Decision([RecordData(0, 0, name, value)], [(promise, None)])

    def replay(self, record: RecordData) -> None:
        assert record.key is not None
        self.replayed += 1
        if record.value is None:
            self.values.pop(record.key, None)
        else:
            self.values[record.key] = record.value

    def loaded(self, now: Instant) -> Iterable[object]:
        return ()

    def next_deadline(self) -> int | None:
        return None

    def decide_expired(self, now: Instant) -> Decision[RecordData]:
        return Decision()

    def encode(self, record: RecordData, now: Instant) -> RecordData:
        return record._replace(timestamp=now.wall)

    def decode(self, data: RecordData) -> RecordData | None:
        return data

    def check(self) -> None:
        """Nothing to check."""


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[LocalStore]:
    """A store in a directory."""
    store = LocalStore(
        str(directory), node_id=1, disk=SystemDisk(), clock=SystemClock(), entropy=SeededEntropy(1),
        offload=InlineOffload(),
    )  # fmt: skip
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def running(store: LocalStore) -> AsyncIterator[Runtime[Registers]]:
    """A machine in charge of the log."""
    runtime = Runtime(store.log(SPEC), store, Registers, SystemClock())
    async with trio.open_nursery() as nursery:
        await nursery.start(runtime.run)
        yield runtime
        nursery.cancel_scope.cancel()


async def set_register(runtime: Runtime[Registers], name: bytes, value: bytes | None) -> None:
    """Set a register, or forget it, and wait until that is so."""
    await runtime.decide(lambda machine, now, promise: machine.decide_set(name, value, promise))


def state(runtime: Runtime[Registers]) -> Registers:
    """The machine."""
    machine = runtime.machine
    assert machine is not None
    return machine


async def test_a_compacted_log_gives_the_same_state(tmp_path: Path) -> None:
    """With what was forgotten really gone, and fewer records to replay; it goes on where it ended."""
    async with opened(tmp_path / "data") as store, running(store) as runtime:
        for number in range(60):
            await set_register(runtime, b"%d" % (number % 4), b"value %d" % number)
            if number % 10 == 0:
                await set_register(runtime, b"short-lived %d" % number, b"x")
                await set_register(runtime, b"short-lived %d" % number, None)
        expected, before = dict(state(runtime).values), state(runtime).replayed
        for _ in range(2):  # the first cleaning notes until when tombstones stay, the next one takes them away
            assert await store.cleaner.clean_due() == 1
            for number in range(4):
                await set_register(runtime, b"%d" % number, expected[b"%d" % number])
    async with opened(tmp_path / "data") as store, running(store) as runtime:
        assert state(runtime).values == expected
        assert state(runtime).replayed < before / 3
        await set_register(runtime, b"0", b"on and on")
        assert store.cleaner.uncleanable == []


async def test_records_missing_at_the_end_are_no_obstacle(tmp_path: Path) -> None:
    """A power cut took unsynced records and left the name of the segment that was begun after them (L19)."""
    async with opened(tmp_path / "data") as store, running(store) as runtime:
        await set_register(runtime, b"a", b"1")
    log = tmp_path / "data" / "__registers-0"
    for kind in (".log", ".index", ".timeindex"):
        (log / f"{3:020}{kind}").write_bytes(b"")
    (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
    async with opened(tmp_path / "data") as store, running(store) as runtime:
        assert state(runtime).values == {b"a": b"1"}
        assert store.log(SPEC).log_end_offset == 1
        await set_register(runtime, b"a", b"2")
    async with opened(tmp_path / "data") as store, running(store) as runtime:
        assert state(runtime).values == {b"a": b"2"}
