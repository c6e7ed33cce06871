"""The primary is killed while brokers commit, its synchronous standby takes over, and every acknowledgement is checked.

Two servers of PostgreSQL on this machine, the second a synchronous standby of the first. Brokers commit objects, each
with partitions of its own and some that all share, and go on as the engine does: what is unavailable or unknown is
asked for again, with the same key. In the middle of it all processes of the primary are killed, and the standby is
promoted. In the end

* every commit that was acknowledged is there, at the offsets that were acknowledged, once;
* offsets have no gap, and nothing is there that was not asked for;
* the first commit after the promotion has come within ten seconds of it.

    python -m tools.trials failover-drill --rounds 3 --brokers 3
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from storage.object.control_plane import (
    Buried,
    Commit,
    CommitRun,
    ControlPlaneError,
    LogName,
    OutcomeUnknown,
    RunAppend,
    RunsQuestion,
)
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.servers.postgres import PASSWORD, USER, PostgresServer

SYNCHRONOUS = {"synchronous_commit": "on", "synchronous_standby_names": "ANY 1 (*)"}
ALONE = {"synchronous_commit": "on"}
LONGEST = 10.0  # seconds from the promotion to the first commit
TOPIC = b"failover-drill!!"
SHARED = 3


@dataclass
class Drill:
    """What has been acknowledged, and what was seen on the way."""

    acknowledged: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # log, base offset, length
    asked: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    promoted: float = float("inf")
    first_after: float = float("inf")
    works_again: trio.Event = field(default_factory=trio.Event)
    over: bool = False


async def broker(drill: Drill, plane: PostgresControlPlane, log_ids: Sequence[int]) -> None:
    """Commit one object after the other, the same again until there is an answer."""
    number = 0
    while not drill.over:
        number += 1
        key = f"w/{plane.node_id}-{number:06}"
        runs = [CommitRun(log_id, 0, [RunAppend(number % 3 + 1, 1, number)]) for log_id in log_ids]
        drill.asked.add(key)
        while True:
            try:
                [answer] = await plane.commit([Commit(key, 1, runs)])
                break
            except ControlPlaneError as error:
                drill.failures["unknown" if isinstance(error, OutcomeUnknown) else "unavailable"] += 1
                await trio.sleep(0.05)
        assert not isinstance(answer, Buried)
        drill.acknowledged[key] = [
            (log_id, outcome.base_offset, number % 3 + 1) for log_id, outcome in zip(log_ids, answer, strict=True)
        ]
        if drill.promoted < float("inf"):
            drill.first_after = min(drill.first_after, trio.current_time())
            drill.works_again.set()


async def check(drill: Drill, plane: PostgresControlPlane, log_ids: Sequence[int]) -> list[str]:
    """What is wrong with what is there."""
    wrong: list[str] = []
    there: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for log_id in log_ids:
        [found] = await plane.runs([RunsQuestion(log_id, 0, 1 << 40, 1 << 62)])
        assert found is not None
        end = 0
        for run in found.runs:
            if run.base_offset != end:
                wrong.append(f"log {log_id}: a gap from {end} to {run.base_offset}")
            end = run.last_offset + 1
            there.setdefault((run.key, log_id), []).append((run.base_offset, end - run.base_offset))
    for key, runs in drill.acknowledged.items():
        for log_id, base, count in runs:
            if there.pop((key, log_id), None) != [(base, count)]:
                wrong.append(f"{key} was acknowledged at {base} of log {log_id}, and is not there, or not there only")
    wrong += [f"{key} is in log {log_id}, and was not acknowledged" for key, log_id in there if key not in drill.asked]
    return wrong


async def drill_once(folder: Path, brokers: int, seconds: float) -> list[str]:
    """One failover; what went wrong. Prints a line."""
    primary = PostgresServer(folder / "primary", settings=SYNCHRONOUS)
    standby = PostgresServer(folder / "standby", settings=ALONE)
    drill = Drill()
    try:
        await trio.to_thread.run_sync(primary.start)
        await trio.to_thread.run_sync(standby.standby_of, primary, "standby")
        password = PASSWORD.replace(" ", "%20")
        url = f"postgresql://{USER}:{password}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
        planes = [
            PostgresControlPlane(
                url, node, bytes([node] * 16), clock=SystemClock(), entropy=SystemEntropy(), lease_ms=3_600_000
            )
            for node in range(1, brokers + 1)
        ]
        for plane in planes:
            await plane.open()
        names = [LogName("drill", TOPIC, partition) for partition in range(SHARED + brokers)]
        log_ids = await planes[0].create_logs(names)
        async with trio.open_nursery() as nursery:
            for place, plane in enumerate(planes):
                nursery.start_soon(broker, drill, plane, [*log_ids[:SHARED], log_ids[SHARED + place]])
            await trio.sleep(seconds)
            before = len(drill.acknowledged)
            await trio.to_thread.run_sync(primary.kill)
            await trio.sleep(0.5)
            await trio.to_thread.run_sync(standby.promote)
            drill.promoted = trio.current_time()
            with trio.move_on_after(3 * LONGEST):
                await drill.works_again.wait()
            await trio.sleep(seconds)
            drill.over = True
        wrong = await check(drill, planes[0], log_ids)
        again = drill.first_after - drill.promoted
        if again > LONGEST:
            wrong.append(f"the first commit came {again:.1f} s after the promotion")
        for plane in planes:
            await plane.close()
        print(
            f"{before} commits acknowledged before the kill, {len(drill.acknowledged) - before} after; first "
            f"{again:.2f} s after the promotion; asked again: {dict(drill.failures)}; wrong: {len(wrong)}",
            flush=True,
        )
        return wrong
    finally:
        primary.kill()
        standby.kill()


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status is 1 if anything was lost, doubled or late."""
    parser = argparse.ArgumentParser(prog="failover-drill", description="kill a primary under commits")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--brokers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="before the kill, and after the promotion")
    options = parser.parse_args(arguments)
    wrong: list[str] = []
    begun = time.monotonic()
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="ottla-failover-") as folder:
            Path(folder).chmod(0o711)
            wrong += trio.run(drill_once, Path(folder), options.brokers, options.seconds)
    for line in wrong:
        print(line)
    print(f"{options.rounds} failovers in {time.monotonic() - begun:.0f} s: {len(wrong)} faults")
    return 1 if wrong else 0
