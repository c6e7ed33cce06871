"""Committed offsets of one shard: how far each group has come.

An offset is kept under (group, topic name, partition), as Kafka keys it, together with the id that the topic had at
the commit: when a topic is deleted and made again under the same name, what the old one's readers had committed means
nothing for the new one, and is not shown even before it has been removed. When offsets may be forgotten is in
`forgetting.py`.

There may be millions, so each takes little: 135 to 160 bytes. A topic (a name with an id) that something is committed
for has a number here. An offset is an entry of its group's map:

    key    topic's number << 32 | partition
    value  offset int64, commit timestamp int64, leader epoch int32
           and, if there is one of them: expire timestamp int64 (-1: none), metadata in UTF-8

A name has one number for each id that it had; of a partition of that name one entry exists at most, the latest. A
number is never used twice, and each topic knows which groups have offsets of it, so that nothing has to look through
all groups when the topic goes.

Readers see `GroupOffsets`, a mapping that makes its values when they are asked for. It is alive, and `copy` makes one
that is not.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping
from struct import Struct
from typing import Final, NamedTuple

from broker.coordinators.groups.memory import OFFSET_BYTES, Held
from broker.coordinators.groups.records import OffsetCommitRecord, text_size
from kproto.formats.consumer_offsets import OffsetCommitValue
from kproto.ids import ZERO_UUID, TopicPartition, Uuid

NO_EXPIRY: Final = -1

LAST_TIMESTAMP: Final = 2**63 - 1
"""An offset that is to be kept for longer than there are timestamps is kept until the last. (In Kafka the sum turns
negative, and the offset goes with the next check.)"""

_PARTITION_BITS: Final = 0xFFFF_FFFF
_SIGN_BIT: Final = 0x8000_0000
_PLAIN: Final = Struct(">qqi")
_EXPIRY: Final = Struct(">q")
_FRONT: Final = _PLAIN.size + _EXPIRY.size
"""Bytes of an entry before its metadata."""
_NOTHING: Final[Mapping[int, bytes]] = {}

_COPIED_FOR_ONE_FOUND: Final = 50
"""Entries of a map that are copied in the time that it takes to find one and make its value."""


class OffsetToCommit(NamedTuple):
    """One partition's part of an OffsetCommit, its topic known to exist."""

    topic: str
    topic_id: Uuid
    partition: int
    offset: int
    leader_epoch: int
    metadata: str


class TopicCommits(NamedTuple):
    """What a long commit has for one topic: entries, as a group's map has them, by partition."""

    topic: str
    topic_id: Uuid
    entries: dict[int, bytes]


class CommittedOffset(NamedTuple):
    """What a group has committed for one partition. Timestamps are wall milliseconds."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int = NO_EXPIRY
    topic_id: Uuid = ZERO_UUID

    def is_of(self, topic_id: Uuid) -> bool:
        """False if this was committed for another topic of the same name; an id that is not known fits any."""
        return _fits(self.topic_id, topic_id)


def _fits(one: Uuid, other: Uuid) -> bool:
    return one == other or ZERO_UUID in (one, other)


class CommittedTopic:
    """A topic that something has been committed for, under the id that it had then."""

    __slots__ = ("groups", "name", "number", "partitions", "topic_id")

    def __init__(self, number: int, name: str, topic_id: Uuid) -> None:
        self.number = number
        self.name = name
        self.topic_id = topic_id
        self.groups: dict[str, int] = {}
        """Which groups have offsets of it, and how many."""
        self.partitions = 0
        """More than the highest partition that an offset was ever committed for."""

    def key(self, partition: int) -> int:
        """Of this partition in a group's map."""
        return self.number << 32 | partition & _PARTITION_BITS


class GroupOffsets(Mapping[TopicPartition, CommittedOffset]):
    """What one group has committed."""

    __slots__ = ("_by_name", "_entries", "_topics")

    def __init__(
        self,
        entries: Mapping[int, bytes],
        topics: Mapping[int, CommittedTopic],
        by_name: Mapping[str, tuple[CommittedTopic, ...]],
    ) -> None:
        self._entries = entries
        self._topics = topics
        self._by_name = by_name

    def copy(self, places: Collection[TopicPartition] | None = None) -> Mapping[TopicPartition, CommittedOffset]:
        """What has been committed until now, for all partitions or for these. The copy costs what it has, at most."""
        if places is None or len(places) >= len(self._entries) // _COPIED_FOR_ONE_FOUND:
            return GroupOffsets(dict(self._entries), self._topics, self._by_name)
        return {place: found for place in places if (found := self.get(place)) is not None}

    def __getitem__(self, place: TopicPartition) -> CommittedOffset:
        name, partition = place
        for topic in self._by_name.get(name, ()):
            entry = self._entries.get(topic.key(partition))
            if entry is not None:
                return _unpacked(entry, topic.topic_id)
        raise KeyError(place)

    def growth(self, commit: OffsetToCommit) -> int:
        """Bytes of memory that a commit takes more than what the group has committed before."""
        metadata, partition = commit.metadata, commit.partition & _PARTITION_BITS
        for topic in self._by_name.get(commit.topic, ()):
            entry = self._entries.get(topic.number << 32 | partition)
            if entry is not None:
                known = len(entry) - _FRONT
                return (text_size(metadata) if metadata else 0) - (known if known > 0 else 0)
        return OFFSET_BYTES + text_size(metadata)

    def __iter__(self) -> Iterator[TopicPartition]:
        return map(self.place, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> ItemsView[TopicPartition, CommittedOffset]:
        """Places with what was committed for them."""
        return _Items(self)

    def place(self, key: int) -> TopicPartition:
        """What a key of the group's map stands for."""
        partition = key & _PARTITION_BITS
        return TopicPartition(
            self._topics[key >> 32].name, partition if partition < _SIGN_BIT else partition - 2 * _SIGN_BIT
        )

    def found(self, key: int) -> CommittedOffset | None:
        """What stands under a key of the group's map."""
        entry = self._entries.get(key)
        return None if entry is None else _unpacked(entry, self._topics[key >> 32].topic_id)

    @property
    def keys_now(self) -> list[int]:
        """The keys of the group's map, to walk through while it changes."""
        return list(self._entries)

    @property
    def topic_names(self) -> set[str]:
        """The topics that there are offsets of. Looks at each offset."""
        return {self._topics[number].name for number in {key >> 32 for key in self._entries}}


class _Items(ItemsView[TopicPartition, CommittedOffset]):
    """Without a look-up for each name."""

    _mapping: GroupOffsets

    def __iter__(self) -> Iterator[tuple[TopicPartition, CommittedOffset]]:
        mapping = self._mapping
        topics = mapping._topics
        for key, entry in mapping._entries.items():
            yield mapping.place(key), _unpacked(entry, topics[key >> 32].topic_id)


class CommittedOffsets:
    """The offsets of all groups of a shard. Changed by `replay` alone."""

    def __init__(self, account: Held) -> None:
        self._account = account
        self._groups: dict[str, dict[int, bytes]] = {}
        self._topics: dict[int, CommittedTopic] = {}
        self._by_name: dict[str, tuple[CommittedTopic, ...]] = {}
        self._last_number = 0
        self._unused = 0  # topics that no group has offsets of any more

    def replay(self, record: OffsetCommitRecord) -> None:
        """Take over a commit, or its removal."""
        group_id, name, partition, value = record
        mine: CommittedTopic | None = None
        if value is not None:
            mine = self._topic(name, value.topic_id)
            entries = self._groups.get(group_id)
            if entries is None:
                entries = self._groups[group_id] = {}
            key = mine.key(partition)
            known = entries.get(key)
            entry = entries[key] = packed(value)
            if known is None:
                self._unused -= not mine.groups
                mine.groups[group_id] = mine.groups.get(group_id, 0) + 1
                mine.partitions = max(mine.partitions, (partition & _PARTITION_BITS) + 1)
                self._account.bytes += held_by_entry(entry)
            elif len(known) != len(entry):
                self._account.bytes += held_by_entry(entry) - held_by_entry(known)
        for topic in self._by_name.get(name, ()):
            if topic is not mine:
                self._forget(group_id, topic, partition)

    def _topic(self, name: str, topic_id: Uuid) -> CommittedTopic:
        known = self._by_name.get(name, ())
        for topic in known:
            if topic.topic_id == topic_id:
                return topic
        self._last_number += 1
        topic = CommittedTopic(self._last_number, name, topic_id)
        self._topics[topic.number] = topic
        self._by_name[name] = (*known, topic)
        self._unused += 1
        return topic

    def _forget(self, group_id: str, topic: CommittedTopic, partition: int) -> None:
        entries = self._groups.get(group_id)
        entry = None if entries is None else entries.pop(topic.key(partition), None)
        if entries is None or entry is None:
            return
        self._account.bytes -= held_by_entry(entry)
        if not entries:
            del self._groups[group_id]
        topic.groups[group_id] -= 1
        if not topic.groups[group_id]:
            del topic.groups[group_id]
            self._unused += not topic.groups

    def replay_many(self, group_id: str, topics: Iterable[TopicCommits]) -> None:
        """Take over a long commit of a group. It leaves what `replay` of each leaves, and is many times as fast."""
        entries = self._groups.setdefault(group_id, {})
        for name, topic_id, packed_by_partition in topics:
            mine = self._topic(name, topic_id)
            fresh = _keyed(mine, packed_by_partition)
            known = [entries[key] for key in fresh.keys() & entries.keys()]
            self._account.bytes += _held_by(fresh.values()) - _held_by(known)
            if len(fresh) > len(known):
                self._unused -= not mine.groups
                mine.groups[group_id] = mine.groups.get(group_id, 0) + len(fresh) - len(known)
                mine.partitions = max(mine.partitions, max(packed_by_partition) + 1)
            entries.update(fresh)
            for topic in self._by_name[name]:
                if topic is not mine and group_id in topic.groups:
                    for partition in packed_by_partition:
                        self._forget(group_id, topic, partition)

    def growth_by_many(self, group_id: str, topics: Iterable[TopicCommits]) -> int:
        """Bytes of memory that a long commit takes more than what the group has committed before."""
        entries = self._groups.get(group_id, _NOTHING)
        grows = 0
        for name, _, packed_by_partition in topics:
            grows += _held_by(packed_by_partition.values())
            for topic in self._by_name.get(name, ()):
                if group_id in topic.groups:
                    known = _keyed(topic, packed_by_partition).keys() & entries.keys()
                    grows -= _held_by([entries[key] for key in known])
        return grows

    def forget_group(self, group_id: str) -> None:
        """A group goes with all that it has committed."""
        entries = self._groups.pop(group_id, _NOTHING)
        self._account.bytes -= _held_by(entries.values())
        for number in {key >> 32 for key in entries}:
            topic = self._topics[number]
            del topic.groups[group_id]
            self._unused += not topic.groups

    def of(self, group_id: str) -> GroupOffsets:
        """What one group has committed."""
        return GroupOffsets(self._groups.get(group_id, _NOTHING), self._topics, self._by_name)

    def groups(self) -> Iterator[tuple[str, GroupOffsets]]:
        """All groups that have committed something."""
        return ((group_id, self.of(group_id)) for group_id in self._groups)

    def topics(self) -> set[tuple[str, Uuid]]:
        """Name and id of each topic that something has been committed for."""
        return {(topic.name, topic.topic_id) for topic in self._topics.values() if topic.groups}

    def committed_topics(self, wanted: Iterable[tuple[str, Uuid]]) -> list[CommittedTopic]:
        """Those that groups have offsets of, of these names and ids; an id that is not known fits any."""
        found = {
            topic.number: topic
            for name, topic_id in wanted
            for topic in self._by_name.get(name, ())
            if topic.groups and _fits(topic.topic_id, topic_id)
        }
        return list(found.values())

    def drop_unused_topics(self) -> None:
        """Forget topics that no group has offsets of. Copies that were given out keep those that they had."""
        if self._unused:
            self._topics = {topic.number: topic for topic in self._topics.values() if topic.groups}
            self._by_name = {}
            for topic in self._topics.values():
                self._by_name[topic.name] = (*self._by_name.get(topic.name, ()), topic)
            self._unused = 0

    @property
    def held(self) -> int:
        """Bytes of memory, added up: what the account has of them."""
        return sum(held_by_entry(entry) for entries in self._groups.values() for entry in entries.values())

    def check(self) -> None:
        """No group is kept for nothing, a partition has one offset, and topics know their groups."""
        assert all(self._groups.values())
        counts: dict[int, dict[str, int]] = {number: {} for number in self._topics}
        for group_id, offsets in self.groups():
            assert len(set(offsets)) == len(offsets), f"two offsets of {group_id} for one partition"
            for key in offsets.keys_now:
                count = counts[key >> 32]
                count[group_id] = count.get(group_id, 0) + 1
                assert key & _PARTITION_BITS < self._topics[key >> 32].partitions
        assert counts == {number: topic.groups for number, topic in self._topics.items()}
        assert self._unused == sum(not topic.groups for topic in self._topics.values())
        assert sorted(self._topics) == sorted(topic.number for each in self._by_name.values() for topic in each)


def held_by_entry(entry: bytes) -> int:
    """Bytes of memory that an offset takes."""
    size = len(entry) - _FRONT
    return OFFSET_BYTES + size if size > 0 else OFFSET_BYTES


def _held_by(entries: Collection[bytes]) -> int:
    """The same of many, without a step for each."""
    sizes = list(map(len, entries))
    return (OFFSET_BYTES - _FRONT) * len(sizes) + sum(sizes) + _EXPIRY.size * sizes.count(_PLAIN.size)


def _keyed(topic: CommittedTopic, packed_by_partition: Mapping[int, bytes]) -> dict[int, bytes]:
    """Entries under the keys that they have in a group's map."""
    front = topic.key(0)
    return {front | partition: entry for partition, entry in packed_by_partition.items()}


def packed(value: OffsetCommitValue) -> bytes:
    """The entry of an offset in its group's map."""
    plain = _PLAIN.pack(value.offset, value.commit_timestamp, value.leader_epoch)
    if value.expire_timestamp == NO_EXPIRY and not value.metadata:
        return plain
    return plain + _EXPIRY.pack(value.expire_timestamp) + value.metadata.encode()


def _unpacked(entry: bytes, topic_id: Uuid) -> CommittedOffset:
    offset, timestamp, leader_epoch = _PLAIN.unpack_from(entry)
    if len(entry) == _PLAIN.size:
        return CommittedOffset(offset, leader_epoch, "", timestamp, NO_EXPIRY, topic_id)
    [expires] = _EXPIRY.unpack_from(entry, _PLAIN.size)
    metadata = entry[_PLAIN.size + _EXPIRY.size :].decode()
    return CommittedOffset(offset, leader_epoch, metadata, timestamp, expires, topic_id)


def commit_record(group_id: str, commit: OffsetToCommit, now_wall: int, retention: int) -> OffsetCommitRecord:
    """The record of a commit. `retention` is in milliseconds, -1 for the broker's.

    With a retention of its own the offset is written in the one version that has room for it, which has none for the
    leader epoch and the topic's id: the state must not know more than the log.
    """
    value = OffsetCommitValue(offset=commit.offset, metadata=commit.metadata, commit_timestamp=now_wall)
    if retention == NO_EXPIRY:
        value.leader_epoch = commit.leader_epoch
        value.topic_id = commit.topic_id
    else:
        value.expire_timestamp = min(now_wall + retention, LAST_TIMESTAMP)
    return OffsetCommitRecord(group_id, commit.topic, commit.partition, value)


def forget_record(group_id: str, place: TopicPartition) -> OffsetCommitRecord:
    """The record that removes an offset."""
    return OffsetCommitRecord(group_id, place.topic, place.partition, None)
