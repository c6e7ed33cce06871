"""What the log says of groups (`journal.py` has the table of events): told record by record.

A shard of groups calls `group` with each record that it replays once it is loaded: what is in the log of a group has
happened, and nothing else has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.groups.records import ConsumerRecord, GroupMetadataRecord
from kproto.formats.consumer_offsets import ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, GroupMetadataValue

if TYPE_CHECKING:
    from storage.seams.logging import RateLimitedLogger


class GroupJournal:
    """Lines about groups, in the journal's log."""

    def __init__(self, log: RateLimitedLogger) -> None:
        self._log = log

    def group(self, record: GroupMetadataRecord | ConsumerRecord) -> None:
        """A shard of groups has taken over this record."""
        log = self._log
        match record:
            case GroupMetadataRecord(group_id, None):
                log.info("group deleted", group=group_id)
            case GroupMetadataRecord(group_id, GroupMetadataValue(members=[], generation=generation)):
                log.info("group is empty", group=group_id, generation=generation)
            case GroupMetadataRecord(group_id, GroupMetadataValue() as value):
                log.info(
                    "group rebalanced",
                    group=group_id,
                    generation=value.generation,
                    members=len(value.members),
                    protocol=value.protocol_type,
                    assignor=value.protocol,
                )
            case ConsumerRecord(ConsumerGroupMetadataKey(group_id=group_id), None):
                log.info("group deleted", group=group_id)
            case ConsumerRecord(ConsumerGroupMetadataKey(group_id=group_id), ConsumerGroupMetadataValue(epoch=epoch)):
                log.info("group changed", group=group_id, epoch=epoch)
            case ConsumerRecord():
                pass  # details of what another record says
