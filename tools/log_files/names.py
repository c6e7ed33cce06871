"""What a file of a data directory is, by its name.

======================================  ==========================================  =================================
name                                    kind                                        decoded by
======================================  ==========================================  =================================
`%020d.log`                             segment: record batches                     kproto.batches
`%020d-%010d.checkpoint`                snapshot of the cluster's metadata          kproto.batches
`bootstrap.checkpoint`                  what `kafka-storage format` left            kproto.batches
`%020d.index`                           offset index                                storage.local.offset_index
`%020d.timeindex`                       time index                                  storage.local.time_index
`%020d.txnindex`                        aborted transactions                        storage.local.transaction_index
`%020d.snapshot`                        producers                                   storage.local.producer_snapshot
`leader-epoch-checkpoint`               epochs                                      storage.local.leader_epochs
`partition.metadata`                    topic id                                    storage.local.partition_metadata
`*-offset-checkpoint`                   offsets of many logs                        storage.local.checkpoints
`meta.properties`                       whose directory                             storage.local.checkpoints
`.kafka_cleanshutdown`, `quorum-state`  JSON
`ottla-dirty-logs`                      logs that may have grown                    storage.local.dirty_logs
`.lock`                                 empty
======================================  ==========================================  =================================

The names that belong to an offset may carry `.deleted`, `.cleaned`, `.swap`, `.part` behind them: the same contents on
their way out or in. A partition's directory is `<topic>-<partition>`; with `.<32 hex digits>-delete`, `-future` or
`-stray` behind that, it is on its way too.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from storage.local import checkpoints, dirty_logs, leader_epochs, partition_metadata

QUORUM_STATE: Final = "quorum-state"
METADATA_TOPIC: Final = "__cluster_metadata"

_OF_OFFSET = re.compile(r"(\d{20})\.(log|index|timeindex|txnindex|snapshot)((?:\.[a-z]+)*)\Z")
_METADATA_SNAPSHOT = re.compile(r"(\d{20})-(\d{10})(?:-\d+)?\.checkpoint((?:\.[a-z]+)*)\Z")
_DIRECTORY = re.compile(r"([a-zA-Z0-9._-]{1,249}?)-(\d{1,10})(?:\.[0-9a-f]{32}-(delete|future|stray))?\Z")


class Kind(Enum):
    """Kinds of files; the value is what a reader sees."""

    SEGMENT = "segment"
    METADATA_SNAPSHOT = "metadata snapshot"
    OFFSET_INDEX = "offset index"
    TIME_INDEX = "time index"
    TRANSACTION_INDEX = "transaction index"
    PRODUCER_SNAPSHOT = "producer snapshot"
    LEADER_EPOCHS = "leader epochs"
    PARTITION_METADATA = "partition metadata"
    OFFSETS = "offset checkpoint"
    META_PROPERTIES = "meta properties"
    CLEAN_SHUTDOWN = "clean shutdown marker"
    DIRTY_LOGS = "dirty logs"
    QUORUM_STATE = "quorum state"
    LOCK = "lock"


_BY_SUFFIX: Final = {
    "log": Kind.SEGMENT,
    "index": Kind.OFFSET_INDEX,
    "timeindex": Kind.TIME_INDEX,
    "txnindex": Kind.TRANSACTION_INDEX,
    "snapshot": Kind.PRODUCER_SNAPSHOT,
}

_BY_NAME: Final = {
    "bootstrap.checkpoint": Kind.METADATA_SNAPSHOT,
    leader_epochs.NAME: Kind.LEADER_EPOCHS,
    partition_metadata.NAME: Kind.PARTITION_METADATA,
    checkpoints.RECOVERY_POINTS: Kind.OFFSETS,
    checkpoints.LOG_STARTS: Kind.OFFSETS,
    checkpoints.HIGH_WATERMARKS: Kind.OFFSETS,
    checkpoints.CLEANER_OFFSETS: Kind.OFFSETS,
    checkpoints.META_PROPERTIES: Kind.META_PROPERTIES,
    checkpoints.CLEAN_SHUTDOWN: Kind.CLEAN_SHUTDOWN,
    dirty_logs.NAME: Kind.DIRTY_LOGS,
    QUORUM_STATE: Kind.QUORUM_STATE,
    checkpoints.LOCK: Kind.LOCK,
}


class FileName(NamedTuple):
    """A name understood. `offset` is None for files that belong to none; `state` is `.deleted` and the like, or ""."""

    kind: Kind
    offset: int | None = None
    state: str = ""


class DirectoryName(NamedTuple):
    """A partition's directory. `state` is `delete`, `future`, `stray`, or empty for one in use."""

    topic: str
    partition: int
    state: str = ""


def file_named(name: str) -> FileName | None:
    """What a file of this name is; None if nothing of a data directory."""
    if match := _OF_OFFSET.match(name):
        return FileName(_BY_SUFFIX[match[2]], int(match[1]), match[3])
    if match := _METADATA_SNAPSHOT.match(name):
        return FileName(Kind.METADATA_SNAPSHOT, int(match[1]), match[3])
    kind = _BY_NAME.get(name)
    return None if kind is None else FileName(kind)


def directory_named(name: str) -> DirectoryName | None:
    """Which partition a directory of this name belongs to; None if to none."""
    match = _DIRECTORY.match(name)
    return None if match is None else DirectoryName(match[1], int(match[2]), match[3] or "")


def partition_of(path: Path) -> DirectoryName | None:
    """The partition whose directory holds the file at `path`; of the cluster's metadata for `bootstrap.checkpoint`."""
    if path.name == "bootstrap.checkpoint":
        return DirectoryName(METADATA_TOPIC, 0)
    return directory_named(path.resolve().parent.name)
