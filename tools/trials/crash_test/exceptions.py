"""Mistakes and errors in the middle of the group commit, the upkeep, an opening and a stop: does the next round go on?

A scripted life of a store is played in memory and in virtual time: five logs, tasks that wait for acks=all, rolls, a
deletion, two checkpoints, a stop. Then it is played again for every line of `WATCHED` that it has come by, and there an
exception is raised instead of what the line says: an OSError of the disk, one of too many open files, a MemoryError, a
RuntimeError that stands for any mistake of ours; the first time that it comes to that line, and the last time. That is
an exception at every await and every system call there, and at every line between them.

What must be true, whatever was raised where:

* no task hangs: a minute after, each has been answered, acknowledged or refused (`PATIENCE`);
* the next round goes on, or the log is named offline: afterwards each log takes an append with acks=all, or refuses it
  and its failure, or its directory's, has been logged;
* the store lets go of its directory, and another one opens it; what was acknowledged is there, at its offset.

Lines of `except` and `finally` are left out: they are what is tried here. So are those of `with`.
"""

from __future__ import annotations

import ast
import errno
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

import trio
import trio.testing

from kproto.batches.records import iter_records
from kproto.errors import KafkaError
from storage.engine import Read, StoreError
from storage.local import (
    dirty_logs,
    engine,
    flusher,
    loading,
    log,
    partition_log,
    recovery,
    removal,
    schedule,
    syncing,
    upkeep,
    volume,
)
from storage.local.engine import LocalStore
from storage.seams.clock import VirtualClock
from storage.seams.disk import Disk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.memory import MemoryDisk
from storage.testing.log_builder import batch, content, spec, whole_batches
from tools.trials.crash_test.outcome import Outcome, Plan

WATCHED: Final[tuple[ModuleType, ...]] = (
    flusher, syncing, upkeep, schedule, volume, loading, removal, dirty_logs, engine, partition_log, recovery,
)  # fmt: skip
OF_LOG: Final = {"take_unsynced", "synced", "finish", "abandon", "roll"}
"""Of log.py these functions only: the order of appends is the matter of other tiers."""

ENTRANCES: Final = {"maintain"}
"""What only starts tasks: an exception there ends the broker, with a sentence."""

LOGS: Final = 5
PATIENCE: Final = 120.0
"""Virtual seconds: longer than from one checkpoint to the next."""

KINDS: Final[dict[str, Callable[[], Exception]]] = {
    "EIO": lambda: OSError(errno.EIO, "injected"),
    "EMFILE": lambda: OSError(errno.EMFILE, "injected"),
    "MemoryError": lambda: MemoryError("injected"),
    "RuntimeError": lambda: RuntimeError("injected"),
}

Line = tuple[str, int]


@cache
def lines_left_out(path: str) -> set[int]:
    """Lines of `except` and `finally`; of `with`, which Python comes by again on its way out; and of `try` and
    `while True`, at which nothing happens that could raise (the first Python does not even count to the block of a
    `with` around it)."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    bodies: list[ast.stmt | ast.excepthandler] = []
    opens: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            bodies += [*node.finalbody, *node.handlers]
            opens.add(node.lineno)
        elif isinstance(node, ast.While) and isinstance(node.test, ast.Constant):
            opens.add(node.lineno)
        elif isinstance(node, ast.With | ast.AsyncWith):
            opens.update(range(node.lineno, node.body[0].lineno))
    return opens | {number for each in bodies for number in range(each.lineno, (each.end_lineno or 0) + 1)}


class Tracer:
    """Counts the lines that are come by, and raises at one of them."""

    def __init__(self, at: Line | None = None, hit: int = 0, make: Callable[[], Exception] | None = None) -> None:
        self.hits: dict[Line, int] = {}
        self.raised = False
        self._at, self._hit, self._make = at, hit, make
        self._files = {inspect.getfile(module) for module in (*WATCHED, log)}
        self._log = inspect.getfile(log)

    def _watches(self, code: CodeType) -> bool:
        if code.co_filename not in self._files or code.co_name.startswith(("<", "__")):
            return False
        if code.co_name in ENTRANCES:
            return False
        return code.co_filename != self._log or code.co_name in OF_LOG

    def enter(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        """For `sys.settrace`."""
        return self._step if event == "call" and self._watches(frame.f_code) else None

    def _step(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line" and frame.f_lineno not in lines_left_out(frame.f_code.co_filename):
            line = frame.f_code.co_filename, frame.f_lineno
            self.hits[line] = number = self.hits.get(line, 0) + 1
            if line == self._at and number == self._hit and self._make is not None:
                self.raised = True
                raise self._make()
        return self._step


@dataclass
class Life:
    """One play of the script."""

    where: str
    outcome: Outcome
    disk: Disk = field(default_factory=MemoryDisk)
    acknowledged: list[tuple[int, int, bytes]] = field(default_factory=list)  # log, offset, value
    names: int = 0

    def store(self) -> LocalStore:
        """A store on the disk of this life."""
        return LocalStore(
            "/data", node_id=1, disk=self.disk, clock=VirtualClock(), entropy=SeededEntropy(1),
            offload=InlineOffload(lambda: 0.001),
        )  # fmt: skip

    async def live(self, tracer: Tracer) -> None:
        """All of it. What the script is answered with it takes as a broker would."""
        self.disk.make_directory("/data")
        sys.settrace(tracer.enter)
        try:
            for _ in range(2):
                store = self.store()
                try:
                    await store.open()
                except Exception:
                    store.data.give_up()  # a broker that cannot start ends, and with it its lock
                    continue
                await self._use(store)
                sys.settrace(None)
                await self._go_on(store)
                sys.settrace(tracer.enter)
                try:
                    with trio.fail_after(PATIENCE):
                        await store.close()
                except trio.TooSlowError:
                    self.outcome.violate(f"{self.where}: the stop hangs")
                except Exception:
                    store.data.give_up()
                    self.outcome.count("stops that raised")
        finally:
            sys.settrace(None)
        await self._compare()

    async def _use(self, store: LocalStore) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._maintain, store)
            await trio.sleep(1)
            async with trio.open_nursery() as writers:
                for number in range(LOGS):
                    writers.start_soon(self._write, store, number, 3)
                    writers.start_soon(self._write, store, number, 1)
            await trio.sleep(70)
            for number in range(LOGS):
                self._try(partial(self._begin, store, number))
            try:
                with trio.fail_after(PATIENCE):
                    await store.log(self._spec(0)).delete_before(1)
            except trio.TooSlowError:
                self.outcome.violate(f"{self.where}: DeleteRecords hangs")
            except Exception:
                self.outcome.count("deletions that were refused")
            await trio.sleep(130)
            nursery.cancel_scope.cancel()

    async def _maintain(self, store: LocalStore) -> None:
        try:
            await store.maintain()
        except Exception as error:
            self.outcome.violate(f"{self.where}: the upkeep has ended: {error!r}")

    async def _write(self, store: LocalStore, number: int, times: int) -> None:
        for _ in range(times):
            try:
                with trio.fail_after(PATIENCE):
                    offset, value, begun = self._begin(store, number)
                    await begun.wait_durable()
                self.acknowledged.append((number, offset, value))
            except trio.TooSlowError:
                self.outcome.violate(f"{self.where}: a task that waits for acks=all hangs")
            except Exception:
                self.outcome.count("appends that were refused, or failed")
            await trio.sleep(0.001 * number)

    def _begin(self, store: LocalStore, number: int) -> tuple[int, bytes, Any]:
        self.names += 1
        value = b"%d" % self.names
        begun = store.log(self._spec(number)).begin_append([batch(value, b"x" * 60)])
        return begun.base_offset, value, begun

    def _spec(self, number: int) -> Any:
        return spec("life", number, segment_bytes=400, index_interval_bytes=100, flush_ms=20_000)

    def _try(self, what: Callable[[], object]) -> None:
        try:
            what()
        except Exception:
            self.outcome.count("appends that were refused, or failed")

    async def _go_on(self, store: LocalStore) -> None:
        """Nothing goes wrong any more: each log works, or is named."""
        for number in range(LOGS):
            face = store.log(self._spec(number))
            try:
                with trio.fail_after(PATIENCE):
                    offset, value, begun = self._begin(store, number)
                    await begun.wait_durable()
                self.acknowledged.append((number, offset, value))
            except trio.TooSlowError:
                self.outcome.violate(f"{self.where}: afterwards acks=all hangs")
            except KafkaError:
                opened = face.opened
                named = store.has_stopped or (opened is not None and opened.failure) or face.is_offline
                self.outcome.require(bool(named), f"{self.where}: a log refuses appends and is not named offline")
                self.outcome.count("logs or directories named offline")
            except Exception as error:
                self.outcome.violate(f"{self.where}: afterwards an append raises {error!r}")

    async def _compare(self) -> None:
        store = self.store()
        try:
            await store.open()
        except StoreError as error:
            self.outcome.violate(f"{self.where}: the directory does not open any more: {error}")
            return
        for number in range(LOGS):
            face = store.log(self._spec(number))
            there: dict[int, bytes | None] = {}
            try:
                position = face.log_start_offset
                while position < face.log_end_offset:
                    [found] = await store.read_many([Read(face, position, 1 << 20, face.high_watermark)], 1 << 20)
                    for header, data in whole_batches(content(found)):
                        there |= {header.base_offset + n: record.value for n, record in enumerate(iter_records(data))}
                        position = header.next_offset
            except KafkaError as error:
                self.outcome.violate(f"{self.where}: log {number} cannot be read any more: {error}")
                continue
            for mine, offset, value in self.acknowledged:
                if mine == number and offset >= face.log_start_offset:
                    right = there.get(offset) == value
                    self.outcome.require(right, f"{self.where}: log {number}: offset {offset} was acknowledged")
                    self.outcome.count("acknowledged records compared")
        await store.close()


def play(where: str, outcome: Outcome, tracer: Tracer) -> None:
    """One life, in virtual time."""
    life = Life(where, outcome)

    async def main() -> None:
        await life.live(tracer)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def cases(hits: dict[Line, int]) -> Iterator[tuple[Line, int, str]]:
    """Every line, the first and the last time that it is come by, and every kind of exception."""
    for line, times in sorted(hits.items()):
        for hit in sorted({1, times}):
            for kind in KINDS:
                yield line, hit, kind


def run(plan: Plan, only: str = "", most: int | None = None) -> Outcome:
    """Play the tier; `only` in files whose paths end in that, `most` so many cases, evenly spread."""
    outcome = Outcome("exceptions")
    first = Tracer()
    play("without an exception", outcome, first)
    chosen = [case for case in cases(first.hits) if case[0][0].endswith(only)]
    count = plan.count if most is None else most
    if count is not None and count < len(chosen):
        chosen = [chosen[number * len(chosen) // count] for number in range(count)]
    outcome.count("lines come by", len(first.hits))
    for number, ((path, line), hit, kind) in enumerate(chosen, 1):
        tracer = Tracer((path, line), hit, KINDS[kind])
        play(f"{path.rpartition('/')[2]}:{line}, time {hit}, {kind}", outcome, tracer)
        outcome.count("exceptions raised" if tracer.raised else "lines not come by again")
        if number % 200 == 0:
            plan.say(f"{number} of {len(chosen)}, {len(outcome.violations)} violations")
    raised = outcome.counts.get("exceptions raised", 0)
    outcome.require(2 * raised > len(chosen), "the test is broken: it raises nothing")
    return outcome
