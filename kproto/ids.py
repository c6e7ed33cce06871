"""The vocabulary of all packages: what an offset, an epoch, a topic id is called and how it is written down.

Numbers stay plain ``int``: the aliases say what a parameter means to a reader and cost nothing on the hot path. Topic
ids and all other UUIDs are 16 raw bytes in network order, exactly as they travel; :func:`format_uuid` gives the 22
characters that Kafka's tools print (``org.apache.kafka.common.Uuid``: url-safe base64 without padding) and
:func:`parse_uuid` reads them back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "METADATA_TOPIC_ID",
    "NO_EPOCH",
    "NO_OFFSET",
    "NO_PARTITION_LEADER_EPOCH",
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "ZERO_UUID",
    "Epoch",
    "Millis",
    "Offset",
    "ProducerId",
    "TopicPartition",
    "Uuid",
    "format_uuid",
    "parse_uuid",
]

Uuid: TypeAlias = bytes
"""16 raw bytes, most significant first."""

Offset: TypeAlias = int
"""Position of a record in its partition, int64, counted from 0."""

ProducerId: TypeAlias = int
"""int64 given out by the cluster to one idempotent or transactional producer."""

Epoch: TypeAlias = int
"""A number that only grows: leader epochs are int32, producer epochs int16. The older one is fenced."""

Millis: TypeAlias = int
"""Milliseconds: since 1970 in UTC where a moment is meant, a plain count where a duration is meant."""

NO_OFFSET: Final = -1
NO_TIMESTAMP: Final = -1
NO_EPOCH: Final = -1
NO_PARTITION_LEADER_EPOCH: Final = -1
NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1

ZERO_UUID: Final[Uuid] = bytes(16)
"""Stands for "no id" wherever an id may be missing."""

METADATA_TOPIC_ID: Final[Uuid] = bytes(15) + b"\x01"
"""The fixed id of ``__cluster_metadata``."""


class TopicPartition(NamedTuple):
    """One partition of one topic; as text it is the name of the partition's directory."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


def format_uuid(uuid: Uuid) -> str:
    """The 22 characters under which Kafka's tools and files show a UUID."""
    assert len(uuid) == 16, "a UUID is 16 bytes"
    return urlsafe_b64encode(uuid)[:22].decode("ascii")


def parse_uuid(text: str) -> Uuid:
    """Read what :func:`format_uuid` wrote, padding tolerated. Raises ``ValueError`` for anything else."""
    bare = text.rstrip("=")
    # The decoder skips characters outside its alphabet, so they are looked for first.
    if len(bare) != 22 or not bare.isascii() or not bare.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"not a UUID, which has 22 characters of url-safe base64: {text[:64]!r}")
    return urlsafe_b64decode(bare + "==")
