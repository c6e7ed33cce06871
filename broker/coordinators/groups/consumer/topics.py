"""Topics as consumer groups see them, and the hash by which a group notices that they have changed.

A group subscribes to names. Which of them exist, under which id and with how many partitions, the cluster image says,
and it changes while groups do not look. So each group remembers, and writes down with its epoch, a hash of all the
topics that it subscribes to; another hash means another assignment. Groups look when they are next heard of, and only
if the image has changed since (`version`).

The hash is Kafka's own, so that a directory that changes hands costs no rebalance:

    of a topic   XXH3-64 of: byte 0; id, as two int64; its name, in UTF-16, and its length; number of partitions; then
                 for each partition its index, and for each rack of its replicas, sorted, the length and the rack
    of a group   XXH3-64 of the hashes of those topics that exist, in the order of their names; 0 if none does

Numbers are little-endian, and a text is followed by its length once more. Of a topic the hash is remembered as long as
the topic is the same. Source: Kafka's Utils.computeTopicHash and computeGroupHash, the XXH3 of hash4j.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator

from broker.coordinators.cluster.image import ClusterChange, ClusterImage, Topic
from kproto.ids import Uuid


class Topics:
    """The topics that groups may subscribe to, in the latest image. One for all groups of a broker."""

    def __init__(self, rack: str | None = None, image: ClusterImage | None = None) -> None:
        """`rack` is that of this broker, which holds all replicas."""
        self._rack = rack or None
        self._image = image or ClusterImage()
        self._hashes: dict[str, tuple[Topic, int]] = {}
        self.version = 0
        """One more with each change of topics."""
        self.newest = 0
        """The version that brought the latest new topic."""
        self.offset = 0
        """Of the cluster log, up to which the topics are known at least."""

    @property
    def rack(self) -> str | None:
        """Where all partitions are; None if that is not known."""
        return self._rack

    def as_they_are(self) -> Topics:
        """The topics of now, whatever happens to them: for a thread."""
        return Topics(self._rack, self._image)

    def follow(self, image: ClusterImage, change: ClusterChange, offset: int) -> None:
        """The cluster has changed."""
        self._image = image
        self.offset = offset
        if change.created or change.deleted or change.grown:
            self.version += 1
            for topic in (*change.deleted, *change.grown):
                self._hashes.pop(topic.name, None)
        if change.created:
            self.newest = self.version

    def get(self, name: str) -> Topic | None:
        """The topic of this name."""
        found: Topic | None = self._image.topics.get(name)
        return found

    def by_id(self, topic_id: Uuid) -> Topic | None:
        """The topic of this id."""
        return self._image.topic_by_id(topic_id)

    def names(self) -> Collection[str]:
        """The names of all topics."""
        return self._image.topics.keys()

    def ids(self, names: Iterable[str]) -> Iterator[Uuid]:
        """The ids of those that exist."""
        return (topic.topic_id for name in names if (topic := self.get(name)) is not None)

    def hash_of(self, names: Iterable[str]) -> int:
        """The hash of a group that subscribes to these; a signed int64."""
        hashes = [self._hash(topic) for name in sorted(names) if (topic := self.get(name)) is not None]
        return _xxh3(struct.pack(f"<{len(hashes)}q", *hashes)) if hashes else 0

    def _hash(self, topic: Topic) -> int:
        known = self._hashes.get(topic.name)
        if known is not None and known[0].topic_id == topic.topic_id:
            return known[1]
        hashed = _topic_hash(topic, self._rack)
        self._hashes[topic.name] = topic, hashed
        return hashed


def _topic_hash(topic: Topic, rack: str | None) -> int:
    high, low = struct.unpack(">qq", topic.topic_id)
    data = bytearray(struct.pack("<bqq", 0, high, low))
    data += _text(topic.name)
    data += struct.pack("<i", topic.partition_count)
    if rack is None:
        data += struct.pack(f"<{topic.partition_count}i", *topic.partitions)
    else:
        racks = struct.pack("<i", _length(rack)) + _text(rack)
        for partition in topic.partitions:
            data += struct.pack("<i", partition) + racks
    return _xxh3(data)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-le", "surrogatepass")
    return encoded + struct.pack("<i", len(encoded) // 2)


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _xxh3(data: bytes | bytearray) -> int:
    import xxhash  # with the first consumer group

    hashed = xxhash.xxh3_64_intdigest(data)
    return hashed - (1 << 64) if hashed >> 63 else hashed
