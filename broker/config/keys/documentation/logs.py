"""Sentences for the keys in `keys/logs.py`."""

from typing import Final

TEXT: Final = """
auto.create.topics.enable: Whether asking for the metadata of a topic that does not exist creates it.
compression.gzip.level: How hard gzip tries when the broker compresses; -1 is the library's own choice.
compression.lz4.level: How hard lz4 tries when the broker compresses.
compression.type: The codec batches are stored in; producer keeps what the producer chose, uncompressed undoes it.
compression.zstd.level: How hard zstd tries when the broker compresses.
cordoned.log.dirs: Directories that get no new partitions; * is all of them.
create.topic.policy.class.name: A class that may refuse the creation of topics.
default.replication.factor: Copies of a topic that is created without saying how many.
delete.topic.enable: Whether topics can be deleted.
log.cleaner.backoff.ms: How long compaction rests when there is nothing to do.
log.cleaner.dedupe.buffer.size: Memory in which compaction remembers keys.
log.cleaner.delete.retention.ms: How long a tombstone outlives its compaction, so that slow readers see the deletion.
log.cleaner.enable: Whether logs are compacted at all.
log.cleaner.io.buffer.load.factor: How full compaction's memory of keys may get.
log.cleaner.io.buffer.size: Memory in which compaction reads and writes.
log.cleaner.io.max.bytes.per.second: Most bytes compaction reads and writes per second.
log.cleaner.max.compaction.lag.ms: After this time a record becomes due for compaction, however little else is.
log.cleaner.min.cleanable.ratio: Share of a log that must be uncompacted before compaction is worth while.
log.cleaner.min.compaction.lag.ms: How long a record is spared from compaction.
log.cleaner.threads: Threads for compaction.
log.cleanup.policy: What becomes of old segments: delete removes them, compact keeps each key's last value; both may be.
log.dir: The directory for all data, if log.dirs is not set.
log.dir.failure.timeout.ms: How long a broker with a failed directory tries to tell its controller before it stops.
log.dirs: Directories for data; Ottla takes one.
log.flush.interval.messages: Records in a log that are not on the disk yet before it is synced; 1 syncs every append.
log.flush.interval.ms: Longest time that a record is not on the disk yet; unset, log.flush.scheduler.interval.ms counts.
log.flush.offset.checkpoint.interval.ms: How often the point up to which logs are surely on disk is written down.
log.flush.scheduler.interval.ms: Stands in for log.flush.interval.ms where that is not set.
log.flush.start.offset.checkpoint.interval.ms: How often the first offsets of logs are written down.
log.index.interval.bytes: Bytes of records from one entry of an index to the next; fewer make look-ups more exact.
log.index.size.max.bytes: Size of an index at which its segment is closed.
log.local.retention.bytes: Bytes of a tiered partition that stay on the local disk; -2 follows log.retention.bytes.
log.local.retention.ms: How long tiered segments stay on the local disk; -2 follows log.retention.ms.
log.message.timestamp.after.max.ms: How far a record's timestamp may lie ahead of the broker's clock.
log.message.timestamp.before.max.ms: How far a record's timestamp may lie behind the broker's clock.
log.message.timestamp.type: Whose clock stamps records: CreateTime the producer's, LogAppendTime the broker's.
log.preallocate: Whether a new segment's file gets its full size at once.
log.retention.bytes: Size of a partition above which its oldest segments are removed; -1 sets no bound.
log.retention.check.interval.ms: How often logs are looked through for segments to remove.
log.retention.hours: Age in hours at which segments are removed, if neither the minutes nor the milliseconds are set.
log.retention.minutes: Age in minutes at which segments are removed, if the milliseconds are not set.
log.retention.ms: Age in milliseconds at which segments are removed; -1 keeps them forever.
log.roll.hours: Age in hours at which a new segment is begun, if the milliseconds are not set.
log.roll.jitter.hours: Most hours by which that age is shortened at random, if the milliseconds are not set.
log.roll.jitter.ms: Most milliseconds by which a segment's age is shortened at random, so that logs do not roll
 together.
log.roll.ms: Age in milliseconds at which a new segment is begun.
log.segment.bytes: Size at which a new segment is begun.
log.segment.delete.delay.ms: How long a removed segment's files stay, for readers that are in the middle of them.
max.decompressed.message.bytes: Most bytes that a single record of a compressed batch may take when decompressed.
message.max.bytes: Largest batch of records, compressed, that is accepted.
min.insync.replicas: Replicas that must have an append with acks=all, or it is refused.
num.partitions: Partitions of a topic that is created without saying how many.
num.recovery.threads.per.data.dir: Threads per directory for recovery at the start and flushing at the end.
unclean.leader.election.enable: Whether a replica that lags may lead when no other is left, at the price of records.
"""
