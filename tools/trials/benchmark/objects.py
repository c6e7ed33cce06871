"""`trials bench objects`: what the distributed engine makes of its bucket and its database, each beside a bare one.

A PostgreSQL of its own, and a bucket: obstore's store on the local disk, or a SeaweedFS of its own. In turns, in one
run:

* **bare**: 4 threads put objects of 8 MiB with obstore, one behind the other: what the bucket takes.
* **engine**: 100 partitions are appended to, 40 producers with five appends of 256 KiB each under way: what one
  broker's storage acknowledges. Requests and their records are not decoded here; that costs the same on any engine.
* **local**: the same load on the local engine, on the same disk (for the bucket on the disk).
* **latency**: a producer with one append of 1 KB each 20 ms; how long it waits, and how long its upload and its commit
  take. Behind these two, an append waits for its window and little else.
* **partitions**: that many logs are made; how long a store takes to open, and how much memory the process then has.

Targets: engine at least 0.8 of bare on SeaweedFS, 0.6 of local on the disk; the rest of the p99 within window + 10 ms;
100,000 partitions in under 3 s and 300 MB.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import trio

from kproto.batches.buffers import ReadableBuffer
from kproto.batches.records import RecordData, build_batch
from storage.engine import Batch, LogStore
from storage.local.engine import LocalStore
from storage.object.bucket import Bucket
from storage.object.control_plane import Commit, LogName
from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.stores import open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import ThreadOffload
from storage.servers.postgres import PostgresServer
from storage.servers.seaweedfs import KEYS, SeaweedFS
from storage.testing.log_builder import as_batch, spec
from tools.trials.benchmark.command import machine

OBJECT, THREADS = 8 << 20, 4
PARTITIONS, PRODUCERS, UNDER_WAY, APPEND = 100, 40, 5, 256 << 10
MIB = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench objects", description=__doc__)
    parser.add_argument("--bucket", choices=["directory", "seaweedfs"], default="directory", help="default: directory")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, alternating (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement (default 4)")
    parser.add_argument("--partitions", type=int, default=100_000, help="logs of the last part (default 100,000)")
    options = parser.parse_args(arguments)
    print(machine())
    with ExitStack() as closing:
        folder = Path(tempfile.mkdtemp(prefix="ottla-bench-objects-"))
        folder.chmod(0o711)
        closing.callback(shutil.rmtree, folder, True)
        server = PostgresServer(folder / "postgres", settings={})
        server.start()
        closing.callback(server.stop)
        if options.bucket == "seaweedfs":
            os.environ.update(KEYS)  # where obstore looks for them
            url = closing.enter_context(SeaweedFS(folder / "seaweedfs")).url()
        else:
            (folder / "bucket").mkdir()
            url = f"file://{folder / 'bucket'}"
        return trio.run(_measure, server.create_database(), url, folder, options)


async def _measure(database: str, url: str, folder: Path, options: argparse.Namespace) -> int:
    bare, engine, local = list[float](), list[float](), list[float]()
    on_disk = options.bucket == "directory"
    for number in range(options.rounds):
        print(f"\rround {number + 1}".ljust(20), end="", file=sys.stderr, flush=True)
        bare.append(await trio.to_thread.run_sync(_put_bare, url, number, options.seconds))
        async with AsyncExitStack() as closing:
            store = await _opened(closing, _store(database, url))
            engine.append(await _append(store, options.seconds))
        if on_disk:
            async with AsyncExitStack() as closing:
                engine_beside = await _opened(closing, _local(folder / f"local-{number}"))
                local.append(await _append(engine_beside, options.seconds))
    print("\r".ljust(20), end="\r", file=sys.stderr)
    missed = 0
    against_bare = median(engine) / median(bare)
    print(f"bare loop of obstore, {THREADS} x 8 MiB     {median(bare):8.0f} MiB/s")
    print(f"engine, one broker                  {median(engine):8.0f} MiB/s  {against_bare:.2f}x of bare", end="")
    missed += _judged(against_bare >= 0.8, "at least 0.8x") if not on_disk else _judged(True, "")
    if on_disk:
        against_local = median(engine) / median(local)
        print(
            f"local engine                        {median(local):8.0f} MiB/s  {against_local:.2f}x is the engine",
            end="",
        )
        missed += _judged(against_local >= 0.6, "at least 0.6x")
    missed += await _latencies(database, url, options.seconds * options.rounds)
    missed += await _many(database, url, options.partitions)
    return 1 if missed else 0


def _judged(met: bool, target: str) -> int:
    print(f"  {target} {'met' if met else 'MISSED'}" if target else "")
    return 0 if met else 1


# -- throughput --------------------------------------------------------------------------------------------------------


def _put_bare(url: str, number: int, seconds: float) -> float:
    """MiB a second of a loop of obstore, and nothing else, in several threads."""
    import obstore

    bucket: Any = open_bucket(url, offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock())
    store = bucket._store  # its own, with its settings
    data, done = os.urandom(OBJECT), [0] * THREADS
    until = time.monotonic() + seconds

    def put(thread: int) -> None:
        while time.monotonic() < until:
            key = f"bare/{number}/{thread}-{done[thread]}"
            obstore.put(store, key, data, use_multipart=False)
            done[thread] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    rate = sum(done) * OBJECT / MIB / (time.monotonic() - began)
    for thread, count in enumerate(done):
        for each_number in range(count):
            obstore.delete(store, f"bare/{number}/{thread}-{each_number}")
    return rate


async def _append(store: LogStore, seconds: float) -> float:
    """MiB a second that the store acknowledges."""
    logs = [store.log(spec("bench", number)) for number in range(PARTITIONS)]
    await store.create_logs([log.spec for log in logs])
    made = _batch(APPEND)
    stored = 0
    until = trio.current_time() + seconds

    async def produce(number: int) -> None:
        nonlocal stored
        log = logs[number % PARTITIONS]
        while trio.current_time() < until:
            await store.make_ready([log])
            await log.begin_append([made]).wait_durable()
            stored += len(made.data)
            log = logs[(log.spec.partition + PRODUCERS) % PARTITIONS]

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(PRODUCERS * UNDER_WAY):
            nursery.start_soon(produce, number)
    rate = stored / MIB / (trio.current_time() - began)
    await store.delete_logs([log.spec for log in logs])
    return rate


def _batch(size: int) -> Batch:
    value = os.urandom(1000)
    return as_batch(build_batch([RecordData(timestamp=1, value=value) for _ in range(max(1, size // 1010))]))


def _store(
    database: str, url: str, *, put: Timed | None = None, commit: Timed | None = None, limits: Limits | None = None
) -> ObjectStore:
    clock, entropy, offload = SystemClock(), SystemEntropy(), ThreadOffload()
    plane = PostgresControlPlane(database, 1, bytes(16), clock=clock, entropy=entropy)
    bucket: Bucket = open_bucket(url, offload=offload, disk=SystemDisk(), clock=clock)
    if put is not None and commit is not None:
        put.of(bucket, "put")
        commit.of(plane, "commit")
    return ObjectStore(plane, bucket, clock=clock, entropy=entropy, offload=offload, limits=limits)


def _local(directory: Path) -> LocalStore:
    clock, entropy, offload = SystemClock(), SystemEntropy(), ThreadOffload()
    return LocalStore(
        str(directory), node_id=1, disk=SystemDisk(), clock=clock, entropy=entropy, offload=offload, open_files=500
    )


async def _opened(closing: AsyncExitStack, store: LogStore) -> LogStore:
    await store.open()
    closing.push_async_callback(store.close)
    return store


# -- latency -----------------------------------------------------------------------------------------------------------


class Timed:
    """Notes how long each call of a method takes, in milliseconds."""

    def __init__(self) -> None:
        self.millis: list[float] = []

    def of(self, owner: Any, name: str) -> None:
        """From now on, of this method."""
        inner: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def timed(what: Sequence[Commit] | str, *pieces: Sequence[ReadableBuffer], **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await inner(what, *pieces, **options)
            finally:
                self.millis.append((time.perf_counter() - began) * 1000)

        setattr(owner, name, timed)

    def percentile(self, share: float) -> float:
        """The time that so large a share of the calls stays below."""
        ordered = sorted(self.millis)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def _latencies(database: str, url: str, seconds: float) -> int:
    put, commit, waits = Timed(), Timed(), Timed()
    limits = Limits()
    async with AsyncExitStack() as closing:
        store = await _opened(closing, _store(database, url, put=put, commit=commit, limits=limits))
        log = store.log(spec("latency"))
        made = _batch(1000)
        until = trio.current_time() + seconds

        async def one() -> None:
            began = time.perf_counter()
            await log.begin_append([made]).wait_durable()
            waits.millis.append((time.perf_counter() - began) * 1000)

        async with trio.open_nursery() as nursery:
            while trio.current_time() < until:
                nursery.start_soon(one)
                await trio.sleep(0.02)
        await store.delete_logs([log.spec])
    for name, timed in (("append", waits), ("upload", put), ("commit", commit)):
        middle, late = timed.percentile(0.5), timed.percentile(0.99)
        print(f"{name:8} p50 {middle:7.1f} ms   p99 {late:7.1f} ms   of {len(timed.millis)}")
    rest = waits.percentile(0.99) - put.percentile(0.99) - commit.percentile(0.99)
    print(f"p99 of an append less that of upload and commit: {rest:.1f} ms", end="")
    return _judged(rest <= limits.idle_ms + 10, f"at most {limits.idle_ms + 10} ms")


# -- many partitions ---------------------------------------------------------------------------------------------------


async def _many(database: str, url: str, partitions: int) -> int:
    first = _store(database, url)
    await first.open()
    names = [LogName("many", bytes(16), number) for number in range(partitions)]
    specs = [spec("many", number) for number in range(partitions)]
    await first.create_logs(specs)
    await first.close()
    del first, names
    gc.collect()
    store = _store(database, url)
    before = _resident()
    began, busy = time.monotonic(), time.process_time()
    await store.open()
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    for each in specs:
        store.log(each)
    grown = _resident() - before
    await store.close()
    print(f"{partitions:,} partitions: opened in {seconds:.2f} s, {busy:.2f} s of them busy", end="")
    missed = _judged(seconds < 3, "under 3 s")
    print(
        f"{partitions:,} partitions: {grown / 1e6:.0f} MB, of {_resident() / 1e6:.0f} MB of this process",
        end="",
    )
    return missed + _judged(grown < 300e6, "under 300 MB")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
