"""`partition.metadata`: which topic, by id, a partition's directory belongs to.

Two lines, `version: 0` and `topic_id: ` with the id in Kafka's base64. A directory's name has the topic's name only;
when a topic is deleted and made again, the id says that the old records are not the new topic's.

Source: org.apache.kafka.storage.internals.checkpoint.PartitionMetadataFile; KIP-516.
"""

from __future__ import annotations

from typing import Final

from kproto.ids import format_uuid, parse_uuid

NAME: Final = "partition.metadata"


def encode(topic_id: bytes) -> bytes:
    """The text of the file."""
    return f"version: 0\ntopic_id: {format_uuid(topic_id)}".encode("ascii")


def decode(data: bytes) -> bytes | None:
    """The topic id; None when the text is not a whole file of this kind."""
    try:
        lines = dict(line.split(": ", 1) for line in data.decode("ascii").splitlines() if line)
        return parse_uuid(lines["topic_id"]) if lines["version"] == "0" else None
    except (ValueError, KeyError):
        return None
