"""The small files at the top of a log directory.

**Offset checkpoints**: text; a line with the version, 0; a line with the number of entries; per line a topic, a
partition, an offset.

=================================  ==================================================================================
recovery-point-offset-checkpoint   up to where each log is known to be on the platter: recovery begins there
log-start-offset-checkpoint        where a log starts, if records at the front of its first segment were deleted
replication-offset-checkpoint      high watermarks
cleaner-offset-checkpoint          up to where each compacted log is clean
=================================  ==================================================================================

**meta.properties**: whose directory this is, as Java properties: `version=1`, `cluster.id`, `node.id`, `directory.id`.

**.kafka_cleanshutdown**: JSON, written as the last act of a clean stop and removed as the first act of a start. Where
it is, every log ends at its recovery point and nothing need be scanned.

**.lock**: empty; the process that runs on the directory holds a lock on it.

Sources: org.apache.kafka.server.common.CheckpointFile, org.apache.kafka.storage.internals.checkpoint.*,
org.apache.kafka.metadata.properties.MetaProperties, KIP-966 (the broker epoch in the clean shutdown file).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

RECOVERY_POINTS: Final = "recovery-point-offset-checkpoint"
LOG_STARTS: Final = "log-start-offset-checkpoint"
HIGH_WATERMARKS: Final = "replication-offset-checkpoint"
CLEANER_OFFSETS: Final = "cleaner-offset-checkpoint"
META_PROPERTIES: Final = "meta.properties"
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
LOCK: Final = ".lock"

CLEAN_SHUTDOWN_TEXT: Final = b'{"version":0,"brokerEpoch":-1}'

TopicPartitionKey = tuple[str, int]


def encode_offsets(offsets: Iterable[tuple[TopicPartitionKey, int]]) -> bytes:
    """The text of an offset checkpoint."""
    lines = [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets]
    return "\n".join(["0", str(len(lines)), *lines, ""]).encode("ascii")


def decode_offsets(data: bytes) -> dict[TopicPartitionKey, int] | None:
    """Offsets by log; None when the text is not a whole file of this kind. No bytes at all are no entries."""
    if not data:
        return {}
    try:
        version, count, *lines = data.decode("ascii").splitlines()
        offsets = {}
        for line in lines:
            topic, partition, offset = line.split(" ")
            offsets[topic, int(partition)] = int(offset)
        return offsets if int(version) == 0 and int(count) == len(lines) == len(offsets) else None
    except ValueError:
        return None


class MetaProperties(NamedTuple):
    """Whose directory this is. Ids in Kafka's base64."""

    cluster_id: str
    node_id: int
    directory_id: str

    def encode(self) -> bytes:
        """The text of the file."""
        values = {
            "version": "1",
            "cluster.id": self.cluster_id,
            "node.id": str(self.node_id),
            "directory.id": self.directory_id,
        }
        return "".join(f"{key}={value}\n" for key, value in values.items()).encode("ascii")


class Unreadable(Exception):
    """A file cannot be what its name says; the message says why."""


def decode_meta_properties(data: bytes) -> MetaProperties:
    """Read the text. Raises Unreadable.

    A directory id may be missing: Kafka wrote none before 3.7. It is the empty string then.
    """
    properties = _java_properties(data)
    version = properties.get("version", "0")
    if version == "0":
        raise Unreadable(
            "its version is 0, so it is of a broker whose topics were kept in ZooKeeper: let Kafka 3.9 migrate that "
            "cluster to KRaft first, or name another directory"
        )
    if version != "1":
        raise Unreadable(f"its version is {version}, only 1 is known")
    if "cluster.id" not in properties:
        raise Unreadable("it names no cluster.id")
    try:
        node_id = int(properties["node.id"])
    except KeyError:
        raise Unreadable("it names no node.id") from None
    except ValueError:
        raise Unreadable(f"its node.id is {properties['node.id']!r}, not a number") from None
    return MetaProperties(properties["cluster.id"], node_id, properties.get("directory.id", ""))


def _java_properties(data: bytes) -> Mapping[str, str]:
    """The part of Java's format that Kafka writes: comments, `key=value`, a backslash in front of special letters."""
    properties = {}
    for line in data.decode("latin-1").splitlines():
        line = line.strip()
        if line and line[0] not in "#!":
            key, separator, value = line.partition("=")
            if not separator:
                key, _, value = line.partition(":")
            properties[key.strip()] = value.strip().replace("\\", "")
    return properties
