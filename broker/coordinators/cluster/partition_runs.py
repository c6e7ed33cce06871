"""Thousands of partitions in one decision: their records are made before it, in slices.

A topic is made, or grown, by one decision with a record for each partition: a crash must not leave half of it. Making
and encoding 10,000 records, and replaying them one by one, takes more than a tenth of a second, and no other client is
served while a decision is taken. But all that these records say is known before: the topic's id, the numbers, and on
which nodes they lie. So `prepare` encodes them into what will stand in the batch, giving way to others, and the
decision appends those bytes behind its few other records (`Decision.encoded`). To the machine they are one
`PartitionRun`, which it replays in one step.

A decision sees whether what was prepared is what it wants (`is_for`): the topic may have grown meanwhile, or the
level of records have changed. Then it makes the records itself, as it does for few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kproto.batches.records import EncodedRecords, encode_record_parts
from kproto.formats.cluster_metadata import PartitionRecord, encode_record
from kproto.ids import ZERO_UUID, Uuid
from kproto.release.features import DIRECTORIES_IN_RECORDS, partition_record_version
from storage.seams.slices import Slices

MANY: Final = 200
"""Partitions from which on it is worth the trouble: so many take three milliseconds."""


@dataclass(frozen=True, slots=True)
class PartitionRun:
    """Partitions of one topic that are made together, and all alike."""

    topic_id: Uuid
    partitions: range
    replicas: tuple[int, ...]
    metadata_version: int
    encoded: EncodedRecords

    def is_for(
        self, topic_id: Uuid, partitions: range, replicas: tuple[int, ...], first: int, metadata_version: int
    ) -> bool:
        """Whether these are the partitions wanted, at the place `first` of their batch, in records of that level."""
        return (self.topic_id, self.partitions, self.replicas, self.encoded.first, self.metadata_version) == (
            topic_id,
            partitions,
            replicas,
            first,
            metadata_version,
        )

    def record(self) -> PartitionRecord:
        """What the record of the first one says; the others differ by their number."""
        return partition_record(self.topic_id, self.partitions[0], self.replicas, self.metadata_version)


def partition_record(topic_id: Uuid, partition: int, replicas: Sequence[int], metadata_version: int) -> PartitionRecord:
    """The record of a partition that lies on these nodes, the first of which leads it."""
    unassigned = [ZERO_UUID] * len(replicas)  # DirectoryId.UNASSIGNED
    return PartitionRecord(
        partition_id=partition,
        topic_id=topic_id,
        replicas=list(replicas),
        isr=list(replicas),
        leader=replicas[0],
        leader_epoch=0,
        partition_epoch=0,
        directories=unassigned if metadata_version >= DIRECTORIES_IN_RECORDS else [],
    )


async def prepare(
    topic_id: Uuid, partitions: range, replicas: tuple[int, ...], *, metadata_version: int, first: int, slices: Slices
) -> PartitionRun:
    """Encode the records of these partitions, to stand behind `first` others in their batch."""
    version = partition_record_version(metadata_version)

    def values() -> Iterator[tuple[None, bytes]]:
        for partition in partitions:
            yield None, encode_record(partition_record(topic_id, partition, replicas, metadata_version), version)

    parts: list[bytes] = []
    async for encoded in slices.over(encode_record_parts(values(), first)):
        parts += encoded
    encoded_records = EncodedRecords(b"".join(parts), first, len(partitions))
    return PartitionRun(topic_id, partitions, replicas, metadata_version, encoded_records)
