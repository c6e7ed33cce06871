"""What a shard forgets: offsets that are too old, groups that have nothing left, offsets of topics that are gone.

An offset may be forgotten `offsets.retention.minutes` after

- the group became empty, if it has had members (KIP-211);
- its commit, if the group never had members, or if it is a stable consumer group that no longer reads the topic;
- and at the very time that a request of version 2 to 4 named, if it named one.

A rebalancing group, and one whose members' subscriptions cannot be read, forgets nothing. A group without members and
offsets goes. While a transaction has an offset pending for a partition (`pending_offsets.py`), what is committed for it
stays, and so does the group.

There may be millions of offsets, and while they are looked through nothing else happens in the event loop. So a search
is a **walk** in steps, each a part of one decision, with other decisions in between: a walk remembers where it is, and
looks at each offset when it comes there, never at what it was when the walk began. `Room` says how far a step may go:
so many looks, which bound its time, so many records and bytes, which bound its batch. Should a batch not be written,
the disk being full, its offsets are found by a later walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.coordinators.groups.decision import Draft
from broker.coordinators.groups.group import Group, OffsetAge
from broker.coordinators.groups.offsets import (
    NO_EXPIRY,
    CommittedOffset,
    CommittedOffsets,
    CommittedTopic,
    GroupOffsets,
    forget_record,
)
from broker.coordinators.groups.pending_offsets import PendingOffsets
from broker.coordinators.groups.records import GroupRecord, text_size
from kproto.ids import TopicPartition
from storage.elapsed import ElapsedTime

LOOKS: Final = 2_000
"""Offsets, and groups, that one decision looks at. A look takes one to two microseconds, a record that comes of it
some thirty."""

TOMBSTONE_FIXED: Final = 60
"""More than a tombstone takes in a batch beside the strings of its key."""


@dataclass(slots=True)
class Room:
    """What is left for one decision."""

    records: int
    bytes: int
    looks: int = LOOKS

    @property
    def is_left(self) -> bool:
        """False when the decision has done its part."""
        return self.records > 0 and self.bytes > 0 and self.looks > 0

    def part(self, keys: Sequence[int], start: int, record_size: int) -> Sequence[int]:
        """As many keys from `start` on as may be looked at, were each of them to become a record of that size."""
        count = min(self.records, self.looks, 1 + self.bytes // record_size)
        part = keys[start : start + count]
        self.looks -= len(part)
        return part

    def write(self, draft: Draft, records: Iterable[GroupRecord], record_size: int) -> None:
        """Draft these records, which take room."""
        for record in records:
            draft.write(record)
            self.records -= 1
            self.bytes -= record_size


class ExpiryWalk:
    """A walk through all groups for what is too old."""

    def __init__(
        self,
        groups: Mapping[str, Group],
        offsets: CommittedOffsets,
        pending: PendingOffsets,
        retention: int,
        elapsed: ElapsedTime,
    ) -> None:
        """`groups` are looked at as they are when the walk comes to them; later ones are not seen."""
        self._groups = groups
        self._offsets = offsets
        self._pending = pending
        self._retention = retention
        self._elapsed = elapsed
        self._group_ids: Iterator[str] = iter(list(groups))
        self._group_id: str | None = None
        self._keys: Sequence[int] = ()
        self._at = 0

    def go_on(self, draft: Draft, room: Room) -> bool:
        """Take a step; True when the walk has come to its end."""
        while room.is_left:
            if self._group_id is None:
                self._group_id = next(self._group_ids, None)
                if self._group_id is None:
                    return True
                room.looks -= 1
                self._keys, self._at = self._offsets.of(self._group_id).keys_now, 0
            group = self._groups.get(self._group_id)
            if group is None or self._has_done(group, draft, room):
                self._group_id, self._keys = None, ()
        return False

    def _has_done(self, group: Group, draft: Draft, room: Room) -> bool:
        """Go on in this group; True when it has been looked through."""
        offsets = self._offsets.of(group.group_id)
        age = group.offset_age
        expired: list[TopicPartition] = []
        size = tombstone_size(group.group_id)
        if age.expires:
            part = room.part(self._keys, self._at, size)
            self._at += len(part)
            expired = self._expired(part, offsets, group, age, self._elapsed.at(draft.now))
            room.write(draft, (forget_record(group.group_id, place) for place in expired), size)
            if self._at < len(self._keys):
                return False
        if len(expired) == len(offsets) and group.is_forgettable and not self._pending.has_group(group.group_id):
            if room.records <= 0:
                return False
            room.write(draft, group.tombstones(), size)
        return True

    def _expired(
        self, keys: Sequence[int], offsets: GroupOffsets, group: Group, age: OffsetAge, now_wall: int
    ) -> list[TopicPartition]:
        old = [
            offsets.place(key)
            for key in keys
            if (committed := offsets.found(key)) is not None
            and _is_expired(committed, age.since, self._retention, now_wall)
            and not self._pending.has(group.group_id, offsets.place(key))
        ]
        if old and (subscribed := group.subscribed_among({place.topic for place in old})):
            return [place for place in old if place.topic not in subscribed]
        return old


class PurgeWalk:
    """A walk through the offsets of topics that are gone. It looks at groups that have such offsets, and no others."""

    def __init__(self, topics: Iterable[CommittedTopic], offsets: CommittedOffsets) -> None:
        self._offsets = offsets
        self._places = ((topic, group_id) for topic in topics for group_id in list(topic.groups))
        self._present: tuple[CommittedTopic, str] | None = None
        self._keys: Sequence[int] = ()
        self._at = 0

    def go_on(self, draft: Draft, room: Room) -> bool:
        """Take a step; True when the walk has come to its end."""
        while room.is_left:
            if self._present is None:
                self._present = next(self._places, None)
                if self._present is None:
                    return True
                room.looks -= 1
                self._keys, self._at = self._keys_of(*self._present), 0
            topic, group_id = self._present
            size = tombstone_size(group_id)
            part = room.part(self._keys, self._at, size)
            self._at += len(part)
            offsets = self._offsets.of(group_id)
            gone = [key for key in part if key >> 32 == topic.number and offsets.found(key) is not None]
            room.write(draft, (forget_record(group_id, offsets.place(key)) for key in gone), size)
            if self._at >= len(self._keys):
                self._present, self._keys = None, ()
        return False

    def _keys_of(self, topic: CommittedTopic, group_id: str) -> Sequence[int]:
        """Keys among which those of the topic are: all that it could have, or all that the group has, if those are
        fewer."""
        offsets = self._offsets.of(group_id)
        if topic.partitions <= len(offsets):
            return range(topic.key(0), topic.key(0) + topic.partitions)
        return offsets.keys_now


def tombstone_size(group_id: str) -> int:
    """Bytes that the record which removes an offset of this group takes in a batch, at most."""
    return TOMBSTONE_FIXED + text_size(group_id) + MAX_TOPIC_NAME


MAX_TOPIC_NAME: Final = 249


def _is_expired(committed: CommittedOffset, since: int | None, retention: int, now_wall: int) -> bool:
    if committed.expire_timestamp != NO_EXPIRY:
        return now_wall >= committed.expire_timestamp
    return now_wall - (committed.commit_timestamp if since is None else since) >= retention
