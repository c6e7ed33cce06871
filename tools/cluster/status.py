"""`ottla cluster status`: the whole cluster in one view, asked of its database and its bucket and of no broker.

    $ ottla cluster status --config ottla-cluster/cluster.properties
    cluster   Z9tdYwsdRyqvATLVYicnDA, 3 of 3 brokers live, schema 1
    database  ottla@127.0.0.1:26225/ottla: commit 2.1 ms, 9 MiB, clock 0 ms apart
    bucket    s3://ottla/ottla: put 4 ms, read 2 ms, 12 objects, 48 MiB
    logs      19, 47 MiB; 31 runs, of which 0 wait to be merged
    upkeep    0 objects wait for their deletion, 0 of them overdue; 0 logs have runs to be trimmed

    ID ADDRESS         RACK STATE SHARDS LEASE   SINCE
    1  127.0.0.1:27092 -    live      34 1.6 s   2026-11-30 23:19:52
    ...

So it works when brokers do not, and says which of the three is to blame. The exit status is 0 if database and bucket
answer and all shards have an owner that lives, 1 otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import trio

from storage.object.bucket import BucketError
from storage.object.control_plane import ControlPlaneError
from storage.object.postgres.connection import Connection
from storage.object.postgres.conninfo import shown
from storage.object.postgres.database_check import time_commits
from storage.object.postgres.overview import Overview, overview_of
from storage.object.stores import ObstoreBucket
from storage.seams.entropy import SystemEntropy
from tools.cluster.places import bucket_at, database_options
from tools.moments import written
from tools.output.tables import Table, show, show_json

PROBE = 4096
"""Bytes of the object that is put, read and deleted to see how fast the bucket is."""


class Answer(NamedTuple):
    """How one of the two has answered: how long that took, or what went wrong."""

    place: str
    first_ms: float  # a commit; a put
    second_ms: float  # 0; a read
    error: str


class Status(NamedTuple):
    """Everything that is shown."""

    overview: Overview | None
    database: Answer
    bucket: Answer

    @property
    def is_sound(self) -> bool:
        """Whether clients can work."""
        if self.overview is None or self.database.error or self.bucket.error:
            return False
        ownerless = any(owners.get(-1) for owners in self.overview.shards.values())
        return not ownerless and any(broker.is_alive for broker in self.overview.brokers)


def show_status(database: str, bucket: str, *, as_json: bool) -> int:
    """Look, print, and return the exit status. Raises Misunderstood for URLs that name nothing."""
    options, store = database_options(database), bucket_at(bucket)
    status = trio.run(_look, options, store)
    if as_json:
        show_json(_as_json(status))
    else:
        _print(status)
    return 0 if status.is_sound else 1


async def _look(options: dict[str, str], bucket: ObstoreBucket) -> Status:
    found: dict[str, Any] = {}

    async def ask_database() -> None:
        found["database"], found["overview"] = await _ask_database(options)

    async def ask_bucket() -> None:
        found["bucket"] = await _ask_bucket(bucket)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_database)
        nursery.start_soon(ask_bucket)
    return Status(found["overview"], found["database"], found["bucket"])


async def _ask_database(options: dict[str, str]) -> tuple[Answer, Overview | None]:
    place = shown(options)
    try:
        connection = await Connection.open(options, "ottla cluster status")
        try:
            overview = await overview_of(connection)
            times = await time_commits(connection, 3)
        finally:
            connection.close()
    except ControlPlaneError as error:
        return Answer(place, 0, 0, str(error)), None
    if overview is None:
        return Answer(place, 0, 0, f"the database {place} has no cluster: no broker has been started with it"), None
    return Answer(place, sorted(times)[1], 0, ""), overview


async def _ask_bucket(bucket: ObstoreBucket) -> Answer:
    key = f"doctor/{SystemEntropy().uuid().hex()}/status"
    try:
        began = trio.current_time()
        await bucket.put(key, [bytes(PROBE)])
        put = trio.current_time()
        await bucket.get(key, 0, PROBE)
        got = trio.current_time()
        await bucket.delete([key])
    except BucketError as error:
        return Answer(bucket.location, 0, 0, str(error))
    return Answer(bucket.location, (put - began) * 1000, (got - put) * 1000, "")


def _print(status: Status) -> None:
    overview, database, bucket = status
    if overview is None:
        print(f"database  {database.error}")
        print(_bucket_line(bucket, ""))
        return
    live = sum(broker.is_alive for broker in overview.brokers)
    ownerless = sum(owners.get(-1, 0) for owners in overview.shards.values())
    print(
        f"cluster   {overview.cluster_id}, {live} of {len(overview.brokers)} brokers live"
        + (f", {ownerless} shards have no owner that lives" if ownerless else "")
    )
    print(
        f"database  {database.place}: a commit takes {database.first_ms:.1f} ms; {_size(overview.database_bytes)}, "
        f"schema {overview.schema}"
    )
    print(_bucket_line(bucket, f"; {overview.objects} objects, {_size(overview.object_bytes)}"))
    print(
        f"logs      {overview.logs}, {_size(overview.log_bytes)}; about {overview.runs} runs, {overview.unmerged_runs} "
        f"in {overview.unmerged_logs} logs wait to be merged"
    )
    print(
        f"upkeep    {overview.dying_objects} objects ({_size(overview.dying_bytes)}) wait for their deletion, "
        f"{overview.overdue_objects} of them overdue; {overview.untrimmed_logs} logs wait to be trimmed"
    )
    print()
    show(_brokers(overview), as_json=False)


def _bucket_line(bucket: Answer, more: str) -> str:
    if bucket.error:
        return f"bucket    {bucket.error}"
    return f"bucket    {bucket.place}: a put takes {bucket.first_ms:.0f} ms, a read {bucket.second_ms:.0f} ms{more}"


def _brokers(overview: Overview) -> Table:
    rows = []
    for each in overview.brokers:
        state = ("draining" if each.draining else "live") if each.is_alive else "dead"
        address = ",".join(each.endpoints.values())
        rows.append(
            (each.node_id, address, each.rack or None, state, each.shards, each.lease_ms, written(each.joined_ms))
        )
    return Table(("ID", "ADDRESS", "RACK", "STATE", "SHARDS", "LEASE-MS", "SINCE"), rows)


def _as_json(status: Status) -> dict[str, Any]:
    overview, database, bucket = status
    shown_overview: dict[str, Any] | None = None
    if overview is not None:
        shown_overview = {
            **overview._asdict(),
            "brokers": [{**each._asdict(), "alive": each.is_alive} for each in overview.brokers],
        }
    return {
        "sound": status.is_sound,
        "cluster": shown_overview,
        "database": {"place": database.place, "commit_ms": database.first_ms, "error": database.error or None},
        "bucket": {
            "place": bucket.place,
            "put_ms": bucket.first_ms,
            "read_ms": bucket.second_ms,
            "error": bucket.error or None,
        },
    }


def _size(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 10_000:
            return f"{count:,.0f} {unit}"
        count //= 1024
    return f"{count:,.0f} TiB"
