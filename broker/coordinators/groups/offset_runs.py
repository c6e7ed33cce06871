"""Very many offsets that change together: their records are made before the decision, in slices.

A commit is one batch, and so is the deletion of a group with all that it has committed: a crash must not leave half of
either. But a batch of thousands of records takes longer to make, and to replay, than one turn of the event loop may. So
these records are encoded before the decision, giving way to others; the decision appends them behind its first record
(`Decision.encoded`), and to the machine they are one `CommitRun` or `DeletionRun`, which is replayed in one step.

    commit     the records depend on the request alone: the decision only asks whether they may be written
    deletion   they depend on what the group has: the decision compares, and asks for others if the group has
               changed meanwhile

The exact size of the batch is known before the decision. Above `GroupSettings.max_offsets_batch` nothing is written,
and the answer is Kafka's where a batch does not fit into max.message.bytes of `__consumer_offsets`:
UNKNOWN_SERVER_ERROR.

In the log, and to all that read it, there are single records (`records.py`), to the byte those of a short commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from broker.coordinators.groups.group import Group
from broker.coordinators.groups.offsets import (
    GroupOffsets,
    OffsetToCommit,
    TopicCommits,
    commit_record,
    forget_record,
    held_by_entry,
    packed,
)
from broker.coordinators.groups.pending_offsets import PendingOffsets
from broker.coordinators.groups.records import GroupRecord, OffsetCommitRecord, encode_group_record
from kproto.batches.header import HEADER_SIZE
from kproto.batches.records import EncodedRecords, encode_record_parts
from kproto.ids import TopicPartition
from storage.seams.slices import Slices


@dataclass(frozen=True, slots=True)
class CommitRun:
    """Offsets of one group that are committed together, behind the first of them."""

    group_id: str
    topics: Sequence[TopicCommits]
    held: int
    """Bytes of memory that they take; more than before, if the group has committed none of them yet."""
    encoded: EncodedRecords


@dataclass(frozen=True, slots=True)
class DeletionRun:
    """A group goes, with all that it has committed beside the first offset."""

    group_id: str
    tombstones: Sequence[GroupRecord]
    encoded: EncodedRecords


Run: TypeAlias = CommitRun | DeletionRun


@dataclass(frozen=True, slots=True)
class PreparedCommit:
    """What a decision writes for a long commit, `first` and then the run; None: its batch would be too large."""

    first: OffsetCommitRecord
    run: CommitRun | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What an empty group has, and what goes with it when it is deleted."""

    keys: list[int]
    offsets: GroupOffsets
    pending: Sequence[TopicPartition]
    """Places that only open transactions have offsets for."""
    tombstones: Sequence[GroupRecord]
    """Those of the group itself, behind those of its offsets."""

    @classmethod
    def of(cls, group: Group, offsets: GroupOffsets, pending: PendingOffsets) -> Contents:
        """What it has now."""
        only_pending = [place for place in pending.places_of(group.group_id) if place not in offsets]
        return cls(offsets.keys_now, offsets, only_pending, group.tombstones())

    def __len__(self) -> int:
        return len(self.keys) + len(self.pending)

    def records(self, group_id: str) -> Iterator[GroupRecord]:
        """All that the deletion writes, in order."""
        yield from (forget_record(group_id, self.offsets.place(key)) for key in self.keys)
        yield from (forget_record(group_id, place) for place in self.pending)
        yield from self.tombstones

    def is_still_that_of(self, group: Group, offsets: GroupOffsets, pending: PendingOffsets) -> bool:
        """Whether the group's deletion would write the same. In one step, of some nanoseconds for each offset."""
        return (
            self.keys == offsets.keys_now
            and self.pending == [place for place in pending.places_of(group.group_id) if place not in offsets]
            and self.tombstones == group.tombstones()
        )


@dataclass(frozen=True, slots=True)
class PreparedDeletion:
    """What a decision writes for a group that has these contents; without a run its batch would be too large."""

    contents: Contents
    first: GroupRecord
    run: DeletionRun | None


async def prepare_commit(
    group_id: str, commits: Sequence[OffsetToCommit], *, now_wall: int, retention: int, limit: int, slices: Slices
) -> PreparedCommit:
    """Encode a commit of two partitions or more, none of which is there twice."""
    records = (commit_record(group_id, commit, now_wall, retention) for commit in commits)
    first = next(records)
    topics: dict[tuple[str, bytes], TopicCommits] = {}
    held = 0

    def noted() -> Iterator[OffsetCommitRecord]:
        nonlocal held
        for record in records:
            value = record.value
            assert value is not None
            topic = topics.get((record.topic, value.topic_id))
            if topic is None:
                topic = topics[record.topic, value.topic_id] = TopicCommits(record.topic, value.topic_id, {})
            entry = topic.entries[record.partition] = packed(value)
            held += held_by_entry(entry)
            yield record

    encoded = await _encoded(first, noted(), now_wall, limit, slices)
    run = None if encoded is None else CommitRun(group_id, tuple(topics.values()), held, encoded)
    return PreparedCommit(first, run)


async def prepare_deletion(
    group_id: str, contents: Contents, *, now_wall: int, limit: int, slices: Slices
) -> PreparedDeletion:
    """Encode the deletion of an empty group that has these contents."""
    records = contents.records(group_id)
    first = next(records)
    encoded = await _encoded(first, records, now_wall, limit, slices)
    run = None if encoded is None else DeletionRun(group_id, contents.tombstones, encoded)
    return PreparedDeletion(contents, first, run)


async def _encoded(
    first: GroupRecord, others: Iterable[GroupRecord], now_wall: int, limit: int, slices: Slices
) -> EncodedRecords | None:
    """The others, to stand behind the first; None if a batch of all would take more than `limit` bytes."""
    size = HEADER_SIZE + sum(len(part) for each in _parts([first], now_wall, 0) for part in each)
    encoded = bytearray()
    number = 0
    async for parts in slices.over(_parts(others, now_wall, 1)):
        encoded += b"".join(parts)
        number += 1
        if size + len(encoded) > limit:
            return None
    return EncodedRecords(bytes(encoded), 1, number)


def _parts(records: Iterable[GroupRecord], now_wall: int, first: int) -> Iterator[tuple[bytes, ...]]:
    encoded = (encode_group_record(record, now_wall) for record in records)
    return encode_record_parts(((each.key, each.value) for each in encoded), first)
