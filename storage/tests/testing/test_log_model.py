"""Every engine is what the naive model of a log is, whatever is done to it; and the model notices if one is not.

The machines are in `log_machine.py`; `log_lives.py` runs them for as long as one likes. Here each of them lives a few
lives. Then mistakes are planted in the local engine, one at a time, and each has to be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, seed

from kproto.errors import KafkaError
from storage import aborted_transactions, producers
from storage.compaction import Compaction
from storage.local import log, look_ups, recovery
from storage.local.offset_index import Indexed, OffsetIndex
from storage.local.partition_log import LocalAppend
from storage.log_config import LogConfig
from storage.producers import LogProducers, ProducerState
from storage.retention import Verdict, judge
from storage.seams.logging import process_lines
from storage.tests.log_lives import MACHINES, live
from storage.timestamps import Searched, first_record_at

STEPS = 20
DIES = 1
SOON = 2
"""A seed by which every mistake is met within seconds; others take up to half a minute."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of kills need not be logged."""
    lines = process_lines()
    levels = lines.levels()
    lines.set_levels({"root": "error"})
    yield
    lines.set_levels(levels)


@pytest.mark.parametrize(
    ("engine", "lives"), [("memory", 6), ("local", 15), ("power-cuts", 10), ("directory", 5), ("object", 3)]
)
def test_an_engine_is_what_the_model_is(engine: str, lives: int) -> None:
    """Content, offsets, look-ups by offset and time, producers and transactions agree after every step."""
    live(MACHINES[engine], lives=lives, steps=STEPS, database=None, phases=(Phase.generate,))


@pytest.mark.parametrize("engine", ["local", "directory"])
@pytest.mark.parametrize("rule", ["retention.ms", "min.compaction.lag.ms", "max.compaction.lag.ms"])
def test_a_segment_without_timestamps_is_as_old_as_its_file(engine: str, rule: str) -> None:
    """Compaction has left of the first segment an empty batch, which has no timestamp. Retention and the lag of
    compaction then go by when the file was last written, as in Kafka (LogSegment.largestTimestamp), and nothing in
    it is overdue (LogCleanerManager.maxCompactionDelay). A life that `log_lives.py` has found, shortened."""
    config = LogConfig(segment_bytes=300, compact=True, min_cleanable_dirty_ratio=0.0, ack_fsync=False)
    state: Any = MACHINES[engine]()
    try:
        state.begin(config=config)
        for _ in range(3):
            state.append(records=[(b"a", 150, 0), (b"b", 100, 0)], codec=0, log_append_time=False, durable=True)
        state.compaction(memory=1 << 20)
        assert state.model.batches[0].header.max_timestamp == -1
        if rule == "retention.ms":
            state.reconfigure(config=replace(config, delete=True, retention_ms=1500))
            state.retention()
            assert state.model.start == 0
            state.time_passes(millis=2500)
            state.retention()
            assert state.model.start == state.model.end
            return
        if rule == "min.compaction.lag.ms":
            config = replace(config, min_compaction_lag_ms=2000)
        else:
            config = replace(config, max_compaction_lag_ms=2000, min_cleanable_dirty_ratio=1.0)
        state.reconfigure(config=config)
        state.store.data.clean_offsets.clear()
        state.compaction(memory=1 << 20)
        state.time_passes(millis=2500)
        state.compaction(memory=1 << 20)
    finally:
        state.teardown()


@pytest.mark.parametrize("engine", ["local", "directory"])
def test_a_gap_behind_the_batch_that_was_cut_off(engine: str) -> None:
    """Compaction has removed an aborted transaction's records between that batch and the next. Whether the transaction
    is listed with what was read is the engine's choice."""
    state: Any = MACHINES[engine]()
    try:
        state.begin(config=LogConfig(segment_bytes=900, compact=True, min_cleanable_dirty_ratio=0.0))
        for key in (b"a", b"b"):
            state.append(records=[(key, 150, 0)], codec=0, log_append_time=False, durable=True)
        for key in (b"c", b"d", b"d", b"d"):  # a producer's last batch stays, if only its header
            transactional = key == b"c"
            state.produce(0, [(key, 150, 0)], transactional, 0, 0, 0, True)
            if transactional:
                state.end_transaction(who=0, commit=False, epoch_step=0)
        state.compaction(memory=1 << 20)
        for _ in range(6):  # with every limit, and both isolation levels
            state.look()
    finally:
        state.teardown()


def a_start_that_is_one_off_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    right = recovery.load

    def wrong(*arguments: Any, log_start: int, **more: Any) -> Any:
        return right(*arguments, log_start=max(0, log_start - 1), **more)

    patch.setattr(recovery, "load", wrong)


def an_index_that_points_past(patch: pytest.MonkeyPatch) -> None:
    right = OffsetIndex.lookup

    def wrong(self: OffsetIndex, offset: int, *, wait: bool = True) -> Indexed | None:
        return right(self, offset + 2, wait=wait)

    patch.setattr(OffsetIndex, "lookup", wrong)


def a_compaction_that_drops_the_newest_record_of_a_key(patch: pytest.MonkeyPatch) -> None:
    right = Compaction.learn

    def wrong(self: Compaction, *arguments: Any) -> bool:
        learned = right(self, *arguments)
        self._fates[-1:] = bytes([DIES]) if self._fates else b""
        return learned

    patch.setattr(Compaction, "learn", wrong)


def a_snapshot_without_one_producer(patch: pytest.MonkeyPatch) -> None:
    right = LogProducers.snapshot

    def wrong(self: LogProducers) -> list[ProducerState]:
        states = right(self)
        return [state for state in states if state.producer_id != states[-1].producer_id]

    patch.setattr(LogProducers, "snapshot", wrong)


def a_window_of_one_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(producers, "WINDOW", 1)


def the_batch_instead_of_the_record_at_a_time(patch: pytest.MonkeyPatch) -> None:
    right = first_record_at

    def wrong(header: Any, pieces: Any, timestamp: int, *more: Any) -> Searched:
        pieces = list(pieces)
        searched = right(header, pieces, timestamp, *more)
        return right(header, pieces, 0, *more) if searched.found else searched

    patch.setattr(look_ups, "first_record_at", wrong)


def retention_of_one_segment_too_many(patch: pytest.MonkeyPatch) -> None:
    def wrong(segments: Any, size: int, *more: Any) -> Verdict:
        segments = list(segments)
        expired, again = judge(segments, size, *more)
        return Verdict(min(expired + 1, len(segments)) if expired else 0, again)

    patch.setattr(log, "judge", wrong)


def stable_data_that_ends_where_the_log_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log.Log, "stable", property(lambda self: self.end))


def a_marker_that_aborts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aborted_transactions.AbortedTransactions, "add", lambda self, completed: None)


def acknowledged_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    async def wrong(self: LocalAppend) -> None:
        return

    patch.setattr(LocalAppend, "wait_durable", wrong)
    patch.setattr(LocalAppend, "durable", property(lambda self: True))


@pytest.mark.parametrize(
    ("plant", "engine"),
    [
        (a_start_that_is_one_off_after_a_restart, "local"),
        (an_index_that_points_past, "local"),
        (a_compaction_that_drops_the_newest_record_of_a_key, "local"),
        (a_snapshot_without_one_producer, "local"),
        (a_window_of_one_batch, "local"),
        (the_batch_instead_of_the_record_at_a_time, "local"),
        (stable_data_that_ends_where_the_log_ends, "local"),
        (a_marker_that_aborts_nothing, "local"),
        (acknowledged_before_it_is_durable, "power-cuts"),
    ],
)
def test_a_planted_mistake_is_found(plant: Any, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model can fail: an engine with this mistake does not live long."""
    plant(monkeypatch)
    machine = seed(SOON)(type("Drawn", (MACHINES[engine],), {}))
    with pytest.raises((AssertionError, KafkaError)):
        live(machine, lives=400, steps=30, database=None, phases=(Phase.generate,))


@pytest.mark.parametrize("planted", [False, True])
def test_retention_of_one_segment_too_many_is_found(planted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn lives meet it late, so this one goes straight to it: some segments of a log have expired, and not all."""
    if planted:
        retention_of_one_segment_too_many(monkeypatch)
    state: Any = MACHINES["local"]()
    try:
        state.begin(config=LogConfig(segment_bytes=300, retention_bytes=700, ack_fsync=False))
        for key in (b"a", b"b", b"c", b"d", b"e"):
            state.append(records=[(key, 200, 0)], codec=0, log_append_time=False, durable=True)
        if planted:
            with pytest.raises(AssertionError):
                state.retention()
        else:
            state.retention()
            assert 0 < state.model.start < state.model.end
    finally:
        if not planted:
            state.teardown()
