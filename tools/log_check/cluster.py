"""What the cluster's metadata says about topics: their ids, and whether they are compacted.

Read from `__cluster_metadata-0` in the same directory, newest whole snapshot and then the log behind it. Whatever
cannot be read there is passed over: the check of that log says so, and here it only means knowing less.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kproto.batches.records import iter_records
from kproto.errors import KafkaError, ProtocolError
from kproto.formats.cluster_metadata import ConfigRecord, RemoveTopicRecord, TopicRecord, decode_record
from kproto.formats.metadata_snapshot import DamagedSnapshot, read_snapshot
from kproto.schema.declare import Record
from storage.seams.disk import SystemDisk
from tools.log_files.batches import Stored, walk
from tools.log_files.names import METADATA_TOPIC, Kind, file_named

TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4


class Topics(NamedTuple):
    """Ids of the topics there are, and their cleanup policies where one is set; `default` for the others."""

    ids: dict[str, bytes]
    policies: dict[str, str]
    default: str

    def compacted(self, topic: str) -> bool | None:
        """Whether a topic is compacted; None for an unknown one."""
        if topic not in self.ids:
            return None
        return "compact" in self.policies.get(topic, self.default)


def read_topics(data: Path) -> Topics | None:
    """The topics by the metadata in a data directory; None if it has none. Raises OSError."""
    directory = data / f"{METADATA_TOPIC}-0"
    if not directory.is_dir():
        return None
    snapshots, logs = [], []
    for path in sorted(directory.iterdir()):
        named = file_named(path.name)
        if named is not None and not named.state and named.kind is Kind.METADATA_SNAPSHOT:
            snapshots.append((named.offset or 0, path))
        elif named is not None and not named.state and named.kind is Kind.SEGMENT:
            logs.append(path)
    topics = Topics({}, {}, "delete")
    names: dict[bytes, str] = {}
    begin = 0
    for offset, path in [found for found in snapshots if _is_whole(found[1])][-1:]:
        begin = offset
        for record in _records(path, -1):
            topics = _apply(topics, names, record)
    for path in logs:
        for record in _records(path, begin):
            topics = _apply(topics, names, record)
    return topics


def _is_whole(path: Path) -> bool:
    try:
        read_snapshot(path.read_bytes())
    except DamagedSnapshot:
        return False
    return True


def _apply(topics: Topics, names: dict[bytes, str], record: Record) -> Topics:
    if isinstance(record, TopicRecord):
        topics.ids[record.name] = record.topic_id
        names[record.topic_id] = record.name
    elif isinstance(record, RemoveTopicRecord):
        name = names.pop(record.topic_id, "")
        topics.ids.pop(name, None)
        topics.policies.pop(name, None)
    elif isinstance(record, ConfigRecord) and record.name == "cleanup.policy":
        if record.resource_type == TOPIC_RESOURCE:
            topics.policies.pop(record.resource_name, None)
            if record.value is not None:
                topics.policies[record.resource_name] = record.value
    elif isinstance(record, ConfigRecord) and record.name == "log.cleanup.policy":
        return topics._replace(default=record.value or "delete")
    return topics


def _records(path: Path, begin: int) -> Iterator[Record]:
    """The records of a file from offset `begin` on."""
    file = SystemDisk().open_read(str(path))
    try:
        for found in walk(file, file.size()):
            if not isinstance(found, Stored) or not found.crc_valid or found.header.is_control:
                continue
            try:
                for record in iter_records(found.data):
                    if record.offset >= begin and record.value is not None:
                        yield decode_record(record.value)
            except (KafkaError, ProtocolError):
                continue
    finally:
        file.close()
