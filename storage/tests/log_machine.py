"""A log and its naive twin, lived through side by side: the Hypothesis state machines of `test_log_model.py`.

A machine draws a life: appends of every kind, records deleted, retention, compaction, time that passes, clean stops,
kills, power cuts, and what may happen to files meanwhile. Every step is done to an engine and to `LogModel`, and after
each of them everything that can be asked of a log is asked of both.

`log_lives.py` has the machines for particular disks, and lets them live as long as one likes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kproto.batches.records import RecordData, build_batch, build_end_txn_marker
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, EpochEnd, FetchedRecords, LogStore, PartitionLog, Read, WrongEnd
from storage.local import checkpoints, dirty_logs
from storage.local.engine import LocalStore
from storage.log_config import NEVER, LogConfig
from storage.memory.engine import MemoryStore
from storage.seams.clock import Instant
from storage.seams.disk import Disk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.store_settings import CleanerSettings, StoreSettings
from storage.testing.disks.memory import MemoryDisk
from storage.testing.lab import refused
from storage.testing.log_builder import as_batch, content, spec, whole_batches
from storage.testing.log_model import LogModel, Refused, Repeated, all_placed

Result = TypeVar("Result")

BEGIN: int = 1_700_000_000_000
OPEN_FILES = 3
EVERYTHING = 1 << 30
ROUND_SECONDS = 61
"""Long enough for a round of upkeep."""

COUNTED: Counter[str] = Counter()
"""Steps by their names, lives, questions: how much was tried."""

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", None])
RECORDS = st.lists(
    st.tuples(KEYS, st.one_of(st.none(), st.integers(0, 150)), st.integers(-3000, 3000)), min_size=1, max_size=4
)
PRODUCERS = st.integers(0, 2)
CONFIGS = st.builds(
    LogConfig,
    segment_bytes=st.sampled_from([300, 700, 2000, 1 << 30]),
    segment_ms=st.sampled_from([2000, 1 << 40]),
    segment_index_bytes=st.sampled_from([36, 10 << 20, 10 << 20]),
    index_interval_bytes=st.sampled_from([0, 150, 4096]),
    delete=st.booleans(),
    compact=st.booleans(),
    retention_ms=st.sampled_from([-1, 0, 1500, 10_000]),
    retention_bytes=st.sampled_from([-1, -1, 0, 900, 3000]),
    file_delete_delay_ms=st.sampled_from([0, 30_000]),
    delete_retention_ms=st.sampled_from([0, 1000, 1 << 40]),
    min_cleanable_dirty_ratio=st.sampled_from([0.0, 0.0, 0.5]),
    min_compaction_lag_ms=st.sampled_from([0, 0, 2000]),
    max_compaction_lag_ms=st.sampled_from([NEVER, NEVER, 5000]),
    ack_fsync=st.booleans(),
)
CACHES = (".index", ".timeindex", ".snapshot", ".txnindex", "leader-epoch-checkpoint", "partition.metadata")
CHECKPOINTS = (
    checkpoints.RECOVERY_POINTS, checkpoints.HIGH_WATERMARKS, checkpoints.CLEANER_OFFSETS, dirty_logs.NAME,
)  # fmt: skip
ACCIDENTS = st.lists(
    st.tuples(
        st.sampled_from(CACHES + CHECKPOINTS),
        st.integers(0, 3),
        st.sampled_from(["remove", "cut", "zeros", "garbage", "other", "older"]),
        st.integers(0, 1 << 30),
    ),
    max_size=3,
)


class MockTime:
    """Wall and monotonic time that go with trio's virtual clock."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def wall_millis(self) -> int:
        return BEGIN + self.monotonic_millis()

    def monotonic_millis(self) -> int:
        return round(self._clock.current_time() * 1000)

    def now(self) -> Instant:
        return Instant(self.wall_millis(), self.monotonic_millis())


class Writer:
    """A producer with a number, as it believes to be."""

    def __init__(self, producer_id: int) -> None:
        self.producer_id = producer_id
        self.epoch = 0
        self.sequence = 0
        self.sent: list[bytes] = []


class LogMachine(RuleBasedStateMachine):
    """What is done to a log of any engine."""

    engine = "memory"
    lists_around = True
    """Whether a read lists aborted transactions too that only surround what it gives."""

    def __init__(self) -> None:
        super().__init__()
        COUNTED[f"lives of the {self.engine} engine"] += 1
        self.trio_clock = trio.testing.MockClock(autojump_threshold=0)
        self.clock = MockTime(self.trio_clock)
        self.model = LogModel(LogConfig())
        self.writers = [Writer(number) for number in range(3)]
        self.steps = 0
        self.store: Any = None

    def run(self, work: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
        """Let a coroutine come to its end, in virtual time."""
        return trio.run(work, *arguments, clock=self.trio_clock)

    def make(self) -> LogStore:
        """A store, not open yet."""
        return MemoryStore(self.clock, SeededEntropy(1))

    @property
    def log(self) -> PartitionLog:
        found: PartitionLog = self.store.log(spec()._replace(config=self.model.config))
        return found

    @property
    def now(self) -> int:
        """The time of day in milliseconds."""
        return self.clock.wall_millis()

    @initialize(config=CONFIGS)
    def begin(self, config: LogConfig) -> None:
        self.model.config = config
        self.store = self.make()
        self.run(self.store.open)
        self.look()

    # -- appending -----------------------------------------------------------------------------------------------------

    def build(self, records: list[tuple[bytes | None, int | None, int]], **fields: Any) -> Batch:
        made = [
            RecordData(timestamp=self.now + later, key=key, value=None if size is None else b"v" * size)
            for key, size, later in records
        ]
        if made[0].key == b"a":
            made[0] = made[0]._replace(headers=[("h", b"1"), ("n", None)])
        return as_batch(build_batch(made, **fields))

    def send(
        self,
        batches: list[Batch],
        *,
        durable: bool,
        expected_end: int | None = None,
        look: bool = True,
        transaction_version: int = 0,
    ) -> bool:
        """Append to both; whether they were new."""
        expected = self.model.expect_append(batches, transaction_version)
        rolls = self.model.must_roll(batches)
        copies = [as_batch(batch.data) for batch in batches]

        async def append() -> Refused | Repeated | None:
            try:
                done = self.log.begin_append(
                    batches, expected_end=expected_end, transaction_version=transaction_version
                )
                if durable or done.durable_on_ack:
                    await done.wait_durable()
            except KafkaError as error:
                return Refused(error.code)
            if durable:
                assert done.durable
            if done.duplicate:
                return Repeated(done.base_offset, done.last_offset)
            assert (done.base_offset, done.last_offset) == (self.model.end, self.log.log_end_offset - 1)
            return None

        found = self.run(append)
        assert found == expected, f"{found} instead of {expected}"
        if expected is None:
            base = self.model.end
            self.model.append(copies, self.now)
            self.appended(base, rolls)
            if durable and self.model.config.ack_fsync:
                self.model.durable = self.model.end
        if look:
            self.look()
        return expected is None

    def appended(self, base: int, must_roll: bool) -> None:
        """Something new is in the log, from offset `base` on."""

    @rule(records=RECORDS, codec=st.integers(0, 4), log_append_time=st.booleans(), durable=st.booleans())
    def append(self, records: list[Any], codec: int, log_append_time: bool, durable: bool) -> None:
        """Records without a number, compressed or not, timed by the producer or the broker."""
        if log_append_time:
            records = [(key, size, 0) for key, size, _ in records]
        self.send([self.build(records, compression=codec, log_append_time=log_append_time)], durable=durable)

    @rule(several=st.lists(RECORDS, min_size=2, max_size=4), who=st.one_of(st.none(), PRODUCERS))
    def append_several(self, several: list[Any], who: int | None) -> None:
        """Batches in one piece, one of them perhaps with a number."""
        batches = [self.build(records) for records in several]
        if who is not None:
            batches[1] = self.numbered(self.writers[who], several[1], False, 0, 0)
        if self.send(batches, durable=True) and who is not None:
            self.sent(self.writers[who], batches[1])

    @rule(records=RECORDS, off=st.sampled_from([0, 0, -1, 1]))
    def append_if(self, records: list[Any], off: int) -> None:
        """Only if the log ends where it is expected to."""
        if not off:
            self.send([self.build(records)], durable=True, expected_end=self.model.end)
            return

        async def append() -> None:
            try:
                done = self.log.begin_append([self.build(records)], expected_end=self.model.end + off)
                await done.wait_durable()
            except WrongEnd as error:
                assert error.actual == self.model.end
            else:
                raise AssertionError("appended although the log ends elsewhere")

        self.run(append)
        self.look()

    def numbered(
        self, writer: Writer, records: list[Any], transactional: bool, step: int, epoch_step: int, codec: int = 0
    ) -> Batch:
        epoch = max(0, writer.epoch + epoch_step)
        sequence = max(0, (0 if epoch_step > 0 else writer.sequence) + step)
        return self.build(
            records, producer_id=writer.producer_id, producer_epoch=epoch, base_sequence=sequence,
            transactional=transactional, compression=codec,
        )  # fmt: skip

    def sent(self, writer: Writer, batch: Batch) -> None:
        writer.epoch = batch.header.producer_epoch
        writer.sequence = batch.header.last_sequence + 1
        writer.sent.append(bytes(batch.data))

    @rule(
        who=PRODUCERS,
        records=RECORDS,
        transactional=st.booleans(),
        step=st.sampled_from([0] * 8 + [1, -1]),
        epoch_step=st.sampled_from([0] * 8 + [1, -1]),
        codec=st.sampled_from([0, 0, 4]),
        durable=st.booleans(),
    )
    def produce(
        self, who: int, records: list[Any], transactional: bool, step: int, epoch_step: int, codec: int, durable: bool
    ) -> None:
        """The next batch of a producer with a number; sometimes one that cannot be the next."""
        batch = self.numbered(self.writers[who], records, transactional, step, epoch_step, codec)
        if self.send([batch], durable=durable):
            self.sent(self.writers[who], batch)

    @rule(
        count=st.integers(4, 16), size=st.integers(1, 150), who=PRODUCERS, transactional=st.booleans(),
        end=st.sampled_from([None, True, False]),
    )  # fmt: skip
    def burst(self, count: int, size: int, who: int, transactional: bool, end: bool | None) -> None:
        """Many batches of few keys, every other one with a number; looked at when they are there."""
        for number in range(count):
            key = b"abcd"[number % 4 : number % 4 + 1]
            value = None if number % 7 == 3 else (size * (number + 1)) % 190
            records: list[tuple[bytes | None, int | None, int]] = [(key, value, 100 * number), (b"a", size, -number)]
            if number % 2:
                self.send([self.build(records, compression=number % 5)], durable=False, look=False)
                continue
            batch = self.numbered(self.writers[who], records, transactional, 0, 0)
            if self.send([batch], durable=False, look=False):
                self.sent(self.writers[who], batch)
        for batch_sent in self.writers[who].sent[-6:]:
            self.send([as_batch(batch_sent)], durable=False, look=False)
        if end is None:
            self.look()
        else:
            self.end_transaction(who, end, 0)

    @rule(who=PRODUCERS, back=st.integers(0, 6))
    def repeat(self, who: int, back: int) -> None:
        """A batch that was sent before comes once more."""
        sent = self.writers[who].sent
        if back < len(sent):
            self.send([as_batch(sent[-1 - back])], durable=False)

    @rule(
        who=PRODUCERS, commit=st.booleans(), epoch_step=st.sampled_from([0, 0, 0, 1]),
        version=st.sampled_from([0, 0, 2]),
    )  # fmt: skip
    def end_transaction(self, who: int, commit: bool, epoch_step: int, version: int = 0) -> None:
        """The coordinator writes a marker, whether or not there is something to end."""
        writer = self.writers[who]
        marker = as_batch(
            build_end_txn_marker(
                commit=commit, producer_id=who, producer_epoch=writer.epoch + epoch_step, coordinator_epoch=0,
                timestamp=self.now,
            )
        )  # fmt: skip
        if self.send([marker], durable=True, transaction_version=version) and epoch_step:
            writer.epoch += epoch_step
            writer.sequence = 0

    # -- losing --------------------------------------------------------------------------------------------------------

    @rule(share=st.floats(0, 1))
    def delete_records(self, share: float) -> None:
        """DeleteRecords, up to anywhere in the log; neither below zero nor beyond the end."""
        for wrong in (-1, self.model.end + 1):
            with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
                self.run(self._delete_before, wrong)
        offset = self.model.start + round((self.model.end - self.model.start) * share)
        assert self.run(self._delete_before, offset) == offset
        if offset > self.model.start:
            self.model.durable = max(self.model.durable, offset)
            self.model.move_start(offset)
        self.look()

    async def _delete_before(self, offset: int) -> int:
        return await self.log.delete_before(offset)

    @rule(millis=st.sampled_from([1, 700, 2500, 20_000]))
    def time_passes(self, millis: int) -> None:
        self.trio_clock.jump(millis / 1000)

    @rule(config=CONFIGS)
    def reconfigure(self, config: LogConfig) -> None:
        """The topic gets other settings."""

        async def configure() -> None:
            self.log.configure(config)

        self.run(configure)
        self.model.config = config
        self.look()

    # -- looking -------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask both everything."""
        self.steps += 1
        COUNTED["steps"] += 1
        self.run(self._look)

    async def _look(self) -> None:
        model, log = self.model, self.log
        start, end = model.start, model.end
        assert log.log_start_offset == start, f"the log starts at {log.log_start_offset} instead of {start}"
        assert (log.log_end_offset, log.high_watermark) == (end, end)
        assert log.last_stable_offset == model.stable, f"stable is {log.last_stable_offset} instead of {model.stable}"
        assert log.leader_epoch == 0
        assert log.end_of_epoch(0) == EpochEnd(0, end)
        shown = log.statistics()
        assert (shown.log_start_offset, shown.log_end_offset, shown.last_stable_offset) == (start, end, model.stable)
        await self._look_at_content(log)
        await self._look_at_offsets(log)
        await self._look_at_times(log)
        await self._look_at_producers(log)

    async def _read(self, log: PartitionLog, start: int, max_bytes: int, upto: int) -> bytes:
        COUNTED["reads"] += 1
        committed = self.steps % 2 == 0
        read = [Read(log, start, max_bytes, upto, committed)]
        [answer] = await self.store.read_many(read, max_bytes)
        data = content(answer)
        at_once = self.store.read_now(read, max_bytes)
        assert at_once is None or content(at_once[0]) == data
        assert isinstance(answer, FetchedRecords)
        if committed:
            self._check_aborted(start, data, answer)
        else:
            assert not answer.aborted
        return data

    def _check_aborted(self, start: int, data: bytes, answer: FetchedRecords) -> None:
        """What was aborted in the records is listed, and nothing from where the batch after the one cut off begins.

        Compaction may have left a gap before that one. Kafka goes by its index and lists more.
        """
        if not data:
            assert not answer.aborted
            return
        model, step = self.model, whole_batches(data)
        whole = step[-1][0].next_offset if step else start
        cut_off = model.batches_from(whole, model.end)[:1]
        only_with_records = model.compacted or not self.lists_around
        least = model.aborted_with_records(start, whole) if only_with_records else set(model.aborted(start, whole))
        behind = model.batches_from(cut_off[0].header.next_offset, model.end)[:1] if cut_off else []
        most = model.aborted(start, behind[0].base if behind else model.end)
        found = list(answer.aborted)
        assert least <= set(found) <= set(most), f"{found} are aborted between {start} and {whole}, not {least}"
        assert found == [each for each in most if each in found], "in the order of the markers"

    async def _look_at_content(self, log: PartitionLog) -> None:
        model = self.model
        position, found = model.start, b""
        max_bytes = (1, 400, EVERYTHING)[self.steps % 3]
        while position < model.end:
            step = whole_batches(await self._read(log, position, max_bytes, model.end))
            if not step:  # compaction has left nothing from here on
                break
            found += b"".join(data for _, data in step)
            position = step[-1][0].next_offset
        expected = b"".join(batch.data for batch in model.readable)
        assert found == expected, f"reads {_shown(found)} instead of {_shown(expected)}"

    async def _look_at_offsets(self, log: PartitionLog) -> None:
        model = self.model
        chance = random.Random(self.steps)
        offsets = {model.start, model.stable, max(model.start, model.end - 1)}
        offsets |= {chance.randrange(model.start, model.end + 1) for _ in range(3)}
        for offset in sorted(offsets):
            expected = model.batches_from(offset, model.end)[:1]
            found = await self._read(log, offset, 1, model.end)
            assert found == b"".join(batch.data for batch in expected), f"{_shown(found)} at {offset}"
            upto = model.stable if offset <= model.stable else model.end
            step = whole_batches(await self._read(log, offset, EVERYTHING, upto))
            assert [data for _, data in step] == [batch.data for batch in model.batches_from(offset, upto)][: len(step)]
            assert step or not model.batches_from(offset, upto)
        for offset in (model.start - 1, model.end + 1):
            [answer] = await self.store.read_many([Read(log, offset, 1, model.end)], 1)
            assert isinstance(answer, KafkaError) and answer.code is ErrorCode.OFFSET_OUT_OF_RANGE

    async def _look_at_times(self, log: PartitionLog) -> None:
        model = self.model
        times = sorted({record.timestamp for record in model.records})
        chance = random.Random(self.steps)
        asked = {0, BEGIN, *times[:1], *[time + 1 for time in times[-1:]], *chance.sample(times, min(4, len(times)))}
        for timestamp in asked:
            COUNTED["look-ups by time"] += 1
            found = await log.offset_for_time(timestamp)
            expected = model.offset_for_time(timestamp)
            assert found == expected, f"{found} for {timestamp} instead of {expected}"
        latest = await log.offset_of_max_timestamp()
        assert latest == model.offset_of_max_timestamp(), f"latest {latest} not {model.offset_of_max_timestamp()}"

    async def _look_at_producers(self, log: PartitionLog) -> None:
        model = self.model
        found = {producer.producer_id: producer for producer in await log.producers()}
        assert found == model.producers(), f"{found} instead of {model.producers()}"
        middle = (model.start + model.end) // 2
        for start, upto in ((model.start, model.end), (middle, model.end), (model.start, middle)):
            if start >= upto:
                continue
            aborted = list(await log.aborted_transactions(start, upto))
            known = model.aborted(start, upto)
            if model.compacted:
                assert model.aborted_with_records(start, upto) <= set(aborted) <= set(known)
            else:
                assert aborted == known


class LocalMachine(LogMachine):
    """What is done besides to a log in files. The disk is one in memory."""

    engine = "local"

    def __init__(self) -> None:
        super().__init__()
        self.disk: Disk = MemoryDisk()
        self.older: dict[str, bytes] = {}
        self.indexes_are_small = False

    def make(self) -> LogStore:
        return LocalStore(
            self.root, node_id=1, disk=self.disk, clock=self.clock, entropy=SeededEntropy(1), offload=InlineOffload(),
            open_files=OPEN_FILES,
            settings=StoreSettings(retention_check_ms=1 << 40, cleaner=CleanerSettings(enable=False, memory=1 << 20)),
        )  # fmt: skip

    @property
    def root(self) -> str:
        """The data directory."""
        return "data"

    @property
    def directory(self) -> str:
        """Where the log is."""
        return f"{self.root}/orders-0"

    def names(self, suffix: str) -> list[str]:
        if not self.disk.is_directory(self.directory):
            return []
        return [name for name in sorted(self.disk.list_directory(self.directory)) if name.endswith(suffix)]

    def bases_on_disk(self) -> list[int]:
        return [int(name[:20]) for name in self.names(".log")]

    def appended(self, base: int, must_roll: bool) -> None:
        model = self.model
        if model.config.segment_index_bytes < 1 << 20:
            self.indexes_are_small = True  # one that is full stays so, whatever the settings are later
        found = self.bases_on_disk()
        if found != model.bases:
            assert found == [*model.bases, base], "a new segment begins with the new records"
            assert must_roll or self.indexes_are_small, "a segment is not left before it has had enough"
            model.bases = found
        else:
            assert not must_roll, "this segment has had enough"
        # A file says when it was last written, and here that is a time of the virtual clock.
        self.disk.set_modified_millis(f"{self.directory}/{model.bases[-1]:020d}.log", self.now)

    async def _look(self) -> None:
        await super()._look()
        model, log = self.model, self.log
        assert self.bases_on_disk() == model.bases
        on_disk = b"".join(self.disk.read_file(f"{self.directory}/{name}") or b"" for name in self.names(".log"))
        assert on_disk == b"".join(batch.data for batch in model.batches), "the files hold the batches, and only these"
        assert log.statistics().size == len(on_disk)
        for _ in range(3 + len(self.store.descriptors) // 20):  # each time it asks so many and no more
            self.store.descriptors.trim()
        opened = log.opened  # type: ignore[attr-defined]  # the local engine's
        unsynced = [segment for segment in opened.segments if segment.synced_size < segment.size]
        assert len(self.store.descriptors) <= max(OPEN_FILES, len(unsynced)), "files are open that need not be"
        opened.producers.check_invariants()

    # -- upkeep --------------------------------------------------------------------------------------------------------

    @rule()
    def upkeep(self) -> None:
        """A round of it: what is not synced is, checkpoints are written, idle logs let go, deleted files removed."""
        self.run(self._upkeep, ROUND_SECONDS)
        self.model.durable = self.model.end
        self.look()

    async def _upkeep(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.store.maintain()

    @rule()
    def retention(self) -> None:
        """Whole segments go when they are too old or too many."""
        start = self.model.expect_retention(self.now)
        _ = self.log
        self.run(self.store.expiry.apply)
        if start > self.model.start:
            self.model.durable = max(self.model.durable, start)
            self.model.move_start(start)
        self.look()

    @rule(memory=st.sampled_from([40, 200, 1 << 20, 1 << 20]))
    def compaction(self, memory: int) -> None:
        """A round of the cleaner, with little or enough memory for keys."""
        model, key = self.model, ("orders", 0)
        self.store.cleaner.configure(replace(self.store.cleaner.settings, memory=memory))
        expected = model.expect_cleaning(self.store.data.clean_offsets.get(key), self.now)
        _ = self.log
        cleaned = self.run(self.store.cleaner.clean_due)
        assert not self.store.cleaner.uncleanable
        assert cleaned == (expected is not None), f"a cleaning of {expected} was due, and {cleaned} was done"
        if expected is not None:
            first_dirty, upto = expected
            clean_end = self.store.data.clean_offsets[key]
            assert first_dirty < clean_end <= upto
            assert memory < 1 << 20 or clean_end == upto
            left = []
            for name in self.names(".log"):
                left += all_placed(self.disk.read_file(f"{self.directory}/{name}") or b"")
            model.judge_cleaning(left, self.bases_on_disk(), upto, clean_end, self.now)
            model.durable = max(model.durable, upto)
            COUNTED["cleanings"] += 1
        self.look()

    # -- reopening -----------------------------------------------------------------------------------------------------

    @rule(kill=st.booleans(), accidents=ACCIDENTS)
    def reopen(self, kill: bool, accidents: list[tuple[str, int, str, int]]) -> None:
        """The process stops, or is killed; files that are only caches are lost or garbled; another process starts."""
        if kill:
            self.store.data.give_up()
        else:
            self.run(self.store.close)
            self.model.durable = self.model.end
            assert self.disk.file_size(f"{self.root}/{checkpoints.CLEAN_SHUTDOWN}") is not None
        for accident in accidents:
            self.befall(*accident)
        self.older = {path: self.disk.read_file(path) or b"" for path in self.caches()}
        self.open_again()

    def open_again(self) -> None:
        self.store = self.make()
        self.run(self.store.open)
        assert self.disk.file_size(f"{self.root}/{checkpoints.CLEAN_SHUTDOWN}") is None
        self.look()

    def caches(self) -> list[str]:
        inside = [f"{self.directory}/{name}" for suffix in CACHES for name in self.names(suffix)]
        return inside + [f"{self.root}/{name}" for name in CHECKPOINTS]

    def befall(self, suffix: str, which: int, how: str, number: int) -> None:
        """Something happens to a file, if it is one that nothing depends on."""
        paths = [path for path in self.caches() if path.endswith(suffix) and self.disk.file_size(path) is not None]
        if not paths:
            return
        if suffix == ".snapshot" and not self.model.complete:
            return  # nothing else knows of producers whose batches are gone
        if suffix == ".txnindex" and (how == "remove" or not self.model.complete):
            return  # one that is gone looks like one that never was
        path = paths[which % len(paths)]
        data = self.disk.read_file(path) or b""
        chance = random.Random(number)
        if how == "remove":
            self.disk.remove(path)
            COUNTED[f"files removed: {suffix}"] += 1
            return
        elif how == "cut":
            data = data[: chance.randrange(len(data) + 1)]
        elif how == "zeros":
            data += bytes(chance.choice((1, 8, 12, 96)))
        elif how == "garbage":
            data = chance.randbytes(chance.choice((1, 7, 8, 24, 34, 120)))
        elif how == "other":
            data = self.disk.read_file(chance.choice(paths)) or b""
        elif path in self.older:
            data = self.older[path]
        if suffix == ".txnindex" and data and len(data) % 34 == 0:
            return  # that might be one
        self.disk.write_file(path, data)
        COUNTED[f"files garbled: {suffix}"] += 1


def _shown(data: bytes) -> str:
    return " ".join(f"{header.base_offset}-{header.last_offset}" for header, _ in whole_batches(data)) or "nothing"
