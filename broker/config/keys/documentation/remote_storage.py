"""Sentences for the keys in `keys/remote_storage.py`."""

from typing import Final

TEXT: Final = """
follower.fetch.last.tiered.offset.enable: Whether a new replica begins after what is tiered instead of at the start.
log.remote.copy.lag.bytes: Bytes of closed segments that wait before they go to tiered storage; -1 follows
 log.local.retention.bytes.
log.remote.copy.lag.ms: How long closed segments wait before they go to tiered storage; -1 follows
 log.local.retention.ms.
remote.fetch.max.wait.ms: Longest wait for tiered records to answer a Fetch.
remote.list.offsets.request.timeout.ms: Longest wait for tiered storage to answer a ListOffsets.
remote.log.index.file.cache.total.size.bytes: Disk space for cached indexes of tiered segments.
remote.log.manager.copier.thread.pool.size: Threads that copy segments to tiered storage.
remote.log.manager.copy.max.bytes.per.second: Bytes per second that go to tiered storage.
remote.log.manager.copy.quota.window.num: Samples kept to measure that rate.
remote.log.manager.copy.quota.window.size.seconds: Length of such a sample.
remote.log.manager.expiration.thread.pool.size: Threads that remove old segments from tiered storage.
remote.log.manager.fetch.max.bytes.per.second: Bytes per second that come from tiered storage.
remote.log.manager.fetch.quota.window.num: Samples kept to measure that rate.
remote.log.manager.fetch.quota.window.size.seconds: Length of such a sample.
remote.log.manager.follower.thread.pool.size: Threads that follow what leaders have tiered.
remote.log.manager.task.interval.ms: How often tiering looks for work.
remote.log.manager.thread.pool.size: Threads of tiering, as older releases counted them.
remote.log.metadata.custom.metadata.max.bytes: Most bytes that a storage plugin may attach to a tiered segment.
remote.log.metadata.manager.class.name: The class that keeps the metadata of tiered segments.
remote.log.metadata.manager.class.path: Where that class and what it needs are loaded from.
remote.log.metadata.manager.impl.prefix: Prefix of the configs that are meant for that class.
remote.log.metadata.manager.listener.name: The listener by which that class reaches brokers.
remote.log.reader.max.pending.tasks: Reads of tiered storage that may wait for a thread.
remote.log.reader.threads: Threads that read from tiered storage.
remote.log.storage.manager.class.name: The class that stores tiered segments.
remote.log.storage.manager.class.path: Where that class and what it needs are loaded from.
remote.log.storage.manager.impl.prefix: Prefix of the configs that are meant for that class.
remote.log.storage.system.enable: Whether there is tiered storage.
"""
