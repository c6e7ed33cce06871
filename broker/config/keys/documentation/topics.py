"""Sentences for the keys in `keys/topics.py`."""

from typing import Final

TEXT: Final = """
cleanup.policy: What becomes of old records: delete removes whole segments, compact keeps each key's last value; both
 may
 be, or neither.
compression.gzip.level: How hard gzip tries when the broker compresses for this topic; -1 is the library's own choice.
compression.lz4.level: How hard lz4 tries when the broker compresses for this topic.
compression.type: The codec batches are stored in; producer keeps what the producer chose, uncompressed undoes it.
compression.zstd.level: How hard zstd tries when the broker compresses for this topic.
delete.retention.ms: How long a tombstone outlives its compaction, so that slow readers see the deletion.
errors.deadletterqueue.group.enable: Whether share groups may put undeliverable records into this topic.
file.delete.delay.ms: How long a removed segment's files stay, for readers that are in the middle of them.
flush.messages: Records that are not on the disk yet before the log is synced; 1 syncs every append.
flush.ms: Longest time that a record is not on the disk yet.
follower.replication.throttled.replicas: Replicas whose copying is throttled on followers, as partition:broker pairs,
 or *.
index.interval.bytes: Bytes of records from one entry of an index to the next.
internal.segment.bytes: Like segment.bytes, which it overrides, but without a lower bound.
leader.replication.throttled.replicas: Replicas whose copying is throttled on leaders, as partition:broker pairs, or *.
local.retention.bytes: Bytes of a tiered partition that stay on the local disk; -2 follows retention.bytes.
local.retention.ms: How long tiered segments stay on the local disk; -2 follows retention.ms.
max.compaction.lag.ms: After this time a record becomes due for compaction, however little else is.
max.decompressed.message.bytes: Most bytes that a single record of a compressed batch may take when decompressed.
max.message.bytes: Largest batch of records, compressed, that is accepted.
message.timestamp.after.max.ms: How far a record's timestamp may lie ahead of the broker's clock.
message.timestamp.before.max.ms: How far a record's timestamp may lie behind the broker's clock.
message.timestamp.type: Whose clock stamps records: CreateTime the producer's, LogAppendTime the broker's.
min.cleanable.dirty.ratio: Share of the log that must be uncompacted before compaction is worth while.
min.compaction.lag.ms: How long a record is spared from compaction.
min.insync.replicas: Replicas that must have an append with acks=all, or it is refused.
ottla.ack.fsync: Whether acks=all waits for the disk; false waits for the operating system only.
preallocate: Whether a new segment's file gets its full size at once.
remote.copy.lag.bytes: Bytes of closed segments that wait before they go to tiered storage; -1 follows
 local.retention.bytes.
remote.copy.lag.ms: How long closed segments wait before they go to tiered storage; -1 follows local.retention.ms.
remote.log.copy.disable: Whether no more segments go to tiered storage.
remote.log.delete.on.disable: Whether switching tiered storage off removes what is there.
remote.storage.enable: Whether closed segments go to tiered storage.
retention.bytes: Size of a partition above which its oldest segments are removed; -1 sets no bound.
retention.ms: Age at which segments are removed; -1 keeps them forever.
segment.bytes: Size at which a new segment is begun.
segment.index.bytes: Size of an index at which its segment is closed.
segment.jitter.ms: Most by which a segment's age is shortened at random, so that logs do not roll together.
segment.ms: Age at which a new segment is begun, so that old records can be removed or compacted.
unclean.leader.election.enable: Whether a replica that lags may lead when no other is left, at the price of records.
"""
