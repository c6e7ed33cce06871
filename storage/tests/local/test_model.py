"""The local engine does what the in-memory engine does, whatever befalls its files between two questions.

Hypothesis draws a life: appends of every kind, rolls, deletions of records, look-ups, clean stops, kills, the loss of
any file that is only a cache. The same appends go to both engines; after each step both are asked the same questions.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kproto.errors import KafkaError
from storage.engine import PartitionLog, Read
from storage.local import recovery, segment
from storage.local.engine import LocalStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.simulated import SimulatedDisk
from storage.testing.log_builder import ScriptedProducer, as_batch, batch, content, spec, whole_batches

SETTINGS: dict[str, Any] = {"segment_bytes": 700, "index_interval_bytes": 150, "segment_ms": 2000}

STEPS = st.one_of(
    st.tuples(
        st.just("append"),
        st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 200)), min_size=1, max_size=4),
        st.sampled_from([0, 0, 1]),
    ),
    st.tuples(st.just("several"), st.integers(2, 4), st.integers(0, 5000)),
    st.tuples(st.just("produce"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("repeat"), st.integers(0, 1), st.integers(0, 5)),
    st.tuples(st.just("end"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("delete before"), st.floats(0, 1)),
    st.tuples(st.just("stop")),
    st.tuples(st.just("kill")),
    st.tuples(st.just("close idle")),
    st.tuples(st.just("lose"), st.sampled_from([".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint"])),
    st.tuples(st.just("garble"), st.sampled_from([".index", ".timeindex", ".snapshot", ".txnindex"]), st.binary()),
)


class Twins:
    """The two engines, and what the test knows of their producers."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk()
        self.clock = VirtualClock()
        self.memory = MemoryStore(self.clock, SeededEntropy(1))
        self.local = self._store()
        self.producers = [ScriptedProducer(1), ScriptedProducer(2)]

    def _store(self) -> LocalStore:
        return LocalStore(
            "/data", node_id=1, disk=self.disk, clock=self.clock, entropy=SeededEntropy(2), offload=InlineOffload()
        )

    @property
    def logs(self) -> tuple[PartitionLog, PartitionLog]:
        return self.memory.log(spec(**SETTINGS)), self.local.log(spec(**SETTINGS))

    async def reopen(self, *, kill: bool) -> None:
        if kill:
            self.local.data.give_up()
        else:
            await self.local.close()
        self.local = self._store()
        await self.local.open()

    def append(self, *parts: bytes) -> None:
        """The same to both; the same comes of it."""
        results = []
        for log in self.logs:
            try:
                done = log.begin_append([as_batch(part) for part in parts])
                results.append((done.base_offset, done.last_offset, done.duplicate))
            except KafkaError as error:
                results.append((error.code, 0, False))
        assert results[0] == results[1]

    async def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("append", records, codec):
                made = batch(*[b"x" * size for _, size in records], timestamps=[at for at, _ in records],
                             compression=codec)  # fmt: skip
                self.append(bytes(made.data))
            case ("several", count, at):
                self.append(*[bytes(batch(b"%d" % number, timestamps=[at]).data) for number in range(count)])
            case ("produce", which, transactional):
                self.append(bytes(self.producers[which].batch(b"produced", transactional=transactional).data))
            case ("repeat", which, back):
                if self.producers[which].sequence > back:
                    self.append(bytes(self.producers[which].repeat(back).data))
            case ("end", which, commit):
                self.append(bytes(self.producers[which].marker(commit=commit).data))
            case ("delete before", share):
                memory, local = self.logs
                offset = int(memory.log_end_offset * share)
                assert await memory.delete_before(offset) == await local.delete_before(offset)
            case ("stop",):
                await self.reopen(kill=False)
            case ("kill",):
                await self.reopen(kill=True)
            case ("close idle",):
                await self.local.upkeep.sync_dirty()
                for log in self.local.catalog:
                    if log.opened is not None and log.opened.segments:
                        log.opened.finish()
                        log.opened = None
            case ("lose", name):
                await self._change(name, None)
            case ("garble", name, garbage):
                await self._change(name, garbage)

    async def _change(self, suffix: str, data: bytes | None) -> None:
        """Between a stop and a start something happens to a cache."""
        memory, _ = self.logs
        if suffix == ".snapshot" and memory.log_start_offset > 0:
            return  # nothing else knows of producers whose batches were deleted
        if suffix == ".txnindex" and data and len(data) % 34 == 0:
            return  # that might be one
        await self.local.close()
        self._change_files(suffix, data)
        self.local = self._store()
        await self.local.open()

    def _change_files(self, suffix: str, data: bytes | None) -> None:
        directory = "/data/orders-0"
        if not self.disk.is_directory(directory):
            return
        for name in self.disk.list_directory(directory):
            if name.endswith(suffix):
                if data is None:
                    self.disk.remove(f"{directory}/{name}")
                else:
                    self.disk.write_file(f"{directory}/{name}", data)

    async def compare(self) -> None:
        memory, local = self.logs
        assert (local.log_start_offset, local.log_end_offset) == (memory.log_start_offset, memory.log_end_offset)
        assert local.last_stable_offset == memory.last_stable_offset
        assert local.end_of_epoch(0) == memory.end_of_epoch(0)
        start, end = memory.log_start_offset, memory.log_end_offset
        assert await self._read(self.memory, memory, start) == await self._read(self.local, local, start)
        for offset in {start, (start + end) // 2, max(start, end - 1)}:
            [mine] = await self.local.read_many([Read(local, offset, 1, end)], 1)
            [theirs] = await self.memory.read_many([Read(memory, offset, 1, end)], 1)
            assert content(mine) == content(theirs)
            assert await local.aborted_transactions(offset, end) == await memory.aborted_transactions(offset, end)
        for timestamp in (0, 1234, 2500, 4999, 1_700_000_000_000):
            assert await local.offset_for_time(timestamp) == await memory.offset_for_time(timestamp)
        assert await local.offset_of_max_timestamp() == await memory.offset_of_max_timestamp()

    async def _read(self, store: LocalStore | MemoryStore, log: PartitionLog, position: int) -> bytes:
        found = b""
        while position < log.log_end_offset:
            [answer] = await store.read_many([Read(log, position, 1000, log.log_end_offset)], 1000)
            step = whole_batches(content(answer))
            assert step
            found += b"".join(data for _, data in step)
            position = step[-1][0].next_offset
        return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=25))
async def test_the_engines_agree(steps: list[tuple[Any, ...]]) -> None:
    """After every step both answer every question alike."""
    await compare_lives(steps)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=25))
async def test_the_engines_agree_on_long_segments(steps: list[tuple[Any, ...]]) -> None:
    """The same where the largest timestamp is too far back to be looked for at once, as in segments of a gigabyte."""
    with mock.patch.object(segment, "MOST_SKIMMED", 200), mock.patch.object(recovery, "MOST_SKIMMED", 200):
        await compare_lives(steps)


async def compare_lives(steps: list[tuple[Any, ...]]) -> None:
    """Live through `steps` with both engines."""
    twins = Twins()
    await twins.local.open()
    for step in steps:
        await twins.take(step)
        await twins.compare()
    await twins.reopen(kill=False)
    await twins.compare()
    await twins.local.close()
