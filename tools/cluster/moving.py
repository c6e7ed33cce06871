"""`ottla cluster import --from` and `export --to`: a whole broker into a cluster, and a cluster into a directory.

What is taken over is a data directory of a broker that is stopped, Ottla's or Kafka's own, or a backup of one
(`ottla backup`), a file or a folder. The broker's own code opens it, so it is checked and recovered as by a start.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from kproto.errors import KafkaError
from storage.copies import StoreCopy
from storage.engine import LogSpec, StoreError
from storage.local import partition_metadata
from storage.local.checkpoints import META_PROPERTIES, Unreadable, decode_meta_properties
from storage.local.engine import LocalStore
from storage.local.succession import LOG_NAME
from storage.log_config import LogConfig
from storage.object.control_plane import ControlPlane, ControlPlaneError
from storage.object.importing import Import, ImportFailed
from storage.object.postgres.connection import Connection
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.postgres.overview import overview_of
from storage.portable.backup import MANIFEST, BadBackup
from storage.portable.exporting import Export, ExportFailed
from storage.portable.places import backup_at
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import ThreadOffload
from tools.cluster.places import bucket_at, database_options
from tools.failures import Failed
from tools.output.progress import progress

MOVER = 2_147_483_000
"""The node id of the command while it moves logs: no broker's."""
METADATA_TOPIC = "__cluster_metadata"
METADATA_ID = bytes(15) + b"\x01"
INTERNAL = (METADATA_TOPIC, "__consumer_offsets", "__transaction_state", "__share_group_state")


def import_from(source: str, database: str, bucket: str) -> int:
    """Take a directory or a backup over, and say how it went. Raises Failed."""
    return _run(_import, source, database, bucket)


def export_to(target: str, node_id: int, database: str, bucket: str) -> int:
    """Make a directory of a cluster, and say how it went. Raises Failed."""
    return _run(_export, os.path.abspath(target), node_id, database, bucket)


def _run(work: Callable[..., object], *arguments: object) -> int:
    try:
        trio.run(work, *arguments)  # type: ignore[arg-type]  # one of the two coroutines below
    except* (ImportFailed, ExportFailed, BadBackup, ControlPlaneError, StoreError, KafkaError) as group:
        raise Failed(_first(group)) from None
    return 0


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def _import(source: str, database: str, bucket: str) -> None:
    await _check_brokers(database)
    async with _copy_of(source) as copy, _control(database, copy.cluster_id) as control:
        if control.cluster_id != copy.cluster_id:
            raise ImportFailed(f"the database has cluster {control.cluster_id} already; an import goes into a new one")
        size = copy.size
        with progress(f"importing {source}", 2 * size) as advance:
            taken = Import(
                copy,
                control,
                bucket_at(bucket),
                entropy=SystemEntropy(),
                offload=ThreadOffload(),
                is_internal=INTERNAL.__contains__,
                advance=advance,
            )
            await taken.run()
            digest = await taken.verify()
    print(f"cluster {copy.cluster_id}: {len(copy.logs)} logs of {size} bytes imported; digest {digest}")


async def _export(target: str, node_id: int, database: str, bucket: str) -> None:
    async with _control(database, None) as control:
        made = Export(
            control,
            bucket_at(bucket),
            target,
            node_id=node_id,
            disk=SystemDisk(),
            entropy=SystemEntropy(),
            offload=ThreadOffload(),
        )
        size = await made.plan()
        with progress(f"exporting to {target}", 2 * size) as advance:
            await made.run(advance)
            digest = await made.verify()
    print(f"cluster {control.cluster_id} exported to {target}; digest {digest}")


async def _check_brokers(database: str) -> None:
    """Raises ImportFailed if a broker serves the cluster."""
    connection = await Connection.open(database_options(database), "ottla cluster import")
    try:
        overview = await overview_of(connection)
    finally:
        connection.close()
    live = [] if overview is None else [each.node_id for each in overview.brokers if each.is_alive]
    if live:
        raise ImportFailed(f"brokers serve the cluster: {', '.join(map(str, live))}; stop them first")


@asynccontextmanager
async def _control(database: str, cluster_id: str | None) -> AsyncIterator[ControlPlane]:
    database_options(database)  # raises Misunderstood for what is no URL
    entropy = SystemEntropy()
    control = PostgresControlPlane(
        database, MOVER, entropy.bytes(16), clock=SystemClock(), entropy=entropy, cluster_id=cluster_id
    )
    await control.open()
    try:
        yield control
    finally:
        await control.close()


@asynccontextmanager
async def _copy_of(source: str) -> AsyncIterator[StoreCopy]:
    """All logs of a directory or a backup, as long as the context lasts. Raises ImportFailed, StoreError, BadBackup."""
    disk = SystemDisk()
    if not disk.is_directory(source) or disk.read_file(os.path.join(source, MANIFEST)) is not None:
        yield (await ThreadOffload().run(backup_at, disk, source)).copy
        return
    data = disk.read_file(os.path.join(source, META_PROPERTIES))
    try:
        if data is None:
            raise ImportFailed(f"{source} is no broker's data directory: it has no {META_PROPERTIES}")
        identity = decode_meta_properties(data)
    except Unreadable as error:
        raise ImportFailed(f"{source}/{META_PROPERTIES}: {error}") from None
    store = LocalStore(
        source,
        node_id=identity.node_id,
        disk=disk,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        offload=ThreadOffload(),
    )
    await store.open()
    try:
        copy = await store.copy(lambda: _logs_in(disk, source))
        try:
            yield copy
        finally:
            await store.let_go(copy)
    finally:
        await store.close()


def _logs_in(disk: SystemDisk, path: str) -> Iterable[LogSpec]:
    """The logs that have a folder there."""
    for name in disk.list_directory(path):
        found = LOG_NAME.match(name)
        if found is None or not disk.is_directory(os.path.join(path, name)):
            continue
        data = disk.read_file(os.path.join(path, name, partition_metadata.NAME))
        topic_id = None if data is None else partition_metadata.decode(data)
        if topic_id is None and found[1] == METADATA_TOPIC:
            topic_id = METADATA_ID
        if topic_id is None:
            raise ImportFailed(f"{path}/{name} does not say which topic it is of ({partition_metadata.NAME})")
        yield LogSpec(found[1], topic_id, int(found[2]), LogConfig(), internal=found[1] in INTERNAL)
