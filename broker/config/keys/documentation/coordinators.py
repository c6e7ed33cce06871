"""Sentences for the keys in `keys/coordinators.py`."""

from typing import Final

TEXT: Final = """
add.partitions.to.txn.retry.backoff.max.ms: Longest pause before the check of a transaction's partition is tried again.
add.partitions.to.txn.retry.backoff.ms: First pause before the check of a transaction's partition is tried again.
errors.deadletterqueue.auto.create.topics.enable: Whether the topic for undeliverable records of a share group is
 created when it is first needed.
errors.deadletterqueue.topic.name.prefix: What the name of a topic for undeliverable records begins with.
group.consumer.assignment.interval.ms: Shortest time from one assignment of a consumer group to the next.
group.consumer.assignors: How partitions can be shared out in consumer groups, the default first.
group.consumer.heartbeat.interval.ms: How often members of consumer groups are asked to heartbeat.
group.consumer.max.assignment.interval.ms: Greatest consumer.assignment.interval.ms a group may have.
group.consumer.max.heartbeat.interval.ms: Greatest consumer.heartbeat.interval.ms a group may have.
group.consumer.max.session.timeout.ms: Greatest consumer.session.timeout.ms a group may have.
group.consumer.max.size: Most members of a consumer group.
group.consumer.migration.policy: In which directions groups may change between the classic and the consumer protocol.
group.consumer.min.assignment.interval.ms: Least consumer.assignment.interval.ms a group may have.
group.consumer.min.heartbeat.interval.ms: Least consumer.heartbeat.interval.ms a group may have.
group.consumer.min.session.timeout.ms: Least consumer.session.timeout.ms a group may have.
group.consumer.session.timeout.ms: A member of a consumer group that is silent for this long is removed.
group.coordinator.append.linger.ms: How long group coordinators gather writes before an append; -1 adapts to the load.
group.coordinator.background.threads: Threads of group coordinators for long computations.
group.coordinator.cached.buffer.max.bytes: Largest buffer that group coordinators keep for the next append.
group.coordinator.rebalance.protocols: The group protocols that are switched on.
group.coordinator.threads: Threads that run group coordinators.
group.initial.rebalance.delay.ms: How long a new group waits for more members before its first rebalance.
group.max.session.timeout.ms: Greatest session timeout that a member of a classic group may ask for.
group.max.size: Most members of a classic group.
group.min.session.timeout.ms: Least session timeout that a member of a classic group may ask for.
group.share.assignment.interval.ms: Shortest time from one assignment of a share group to the next.
group.share.assignors: How partitions can be shared out in share groups.
group.share.delivery.count.limit: How often a share group tries to deliver a record.
group.share.heartbeat.interval.ms: How often members of share groups are asked to heartbeat.
group.share.max.assignment.interval.ms: Greatest share.assignment.interval.ms a group may have.
group.share.max.delivery.count.limit: Greatest share.delivery.count.limit a group may have.
group.share.max.heartbeat.interval.ms: Greatest share.heartbeat.interval.ms a group may have.
group.share.max.partition.max.record.locks: Greatest share.partition.max.record.locks a group may have.
group.share.max.record.lock.duration.ms: Greatest share.record.lock.duration.ms a group may have.
group.share.max.session.timeout.ms: Greatest share.session.timeout.ms a group may have.
group.share.max.share.sessions: Share sessions that a broker remembers at one time.
group.share.max.size: Most members of a share group.
group.share.min.assignment.interval.ms: Least share.assignment.interval.ms a group may have.
group.share.min.delivery.count.limit: Least share.delivery.count.limit a group may have.
group.share.min.heartbeat.interval.ms: Least share.heartbeat.interval.ms a group may have.
group.share.min.partition.max.record.locks: Least share.partition.max.record.locks a group may have.
group.share.min.record.lock.duration.ms: Least share.record.lock.duration.ms a group may have.
group.share.min.session.timeout.ms: Least share.session.timeout.ms a group may have.
group.share.partition.max.record.locks: Records of one partition that a share group may hold locked at one time.
group.share.record.lock.duration.ms: How long a record belongs to the member of a share group that acquired it.
group.share.session.timeout.ms: A member of a share group that is silent for this long is removed.
group.streams.assignment.interval.ms: Shortest time from one assignment of a streams group to the next.
group.streams.assignors: How tasks can be shared out in streams groups, the default first.
group.streams.heartbeat.interval.ms: How often members of streams groups are asked to heartbeat.
group.streams.initial.rebalance.delay.ms: How long a new streams group waits for more members before its first
 assignment.
group.streams.max.assignment.interval.ms: Greatest streams.assignment.interval.ms a group may have.
group.streams.max.heartbeat.interval.ms: Greatest streams.heartbeat.interval.ms a group may have.
group.streams.max.session.timeout.ms: Greatest streams.session.timeout.ms a group may have.
group.streams.max.size: Most members of a streams group.
group.streams.max.standby.replicas: Greatest streams.num.standby.replicas a group may have.
group.streams.min.assignment.interval.ms: Least streams.assignment.interval.ms a group may have.
group.streams.min.heartbeat.interval.ms: Least streams.heartbeat.interval.ms a group may have.
group.streams.min.session.timeout.ms: Least streams.session.timeout.ms a group may have.
group.streams.num.standby.replicas: Standby copies kept of each stateful task of a streams group.
group.streams.rack.aware.assignment.tags: Tags of clients over which the copies of a task are spread.
group.streams.session.timeout.ms: A member of a streams group that is silent for this long is removed.
group.streams.topology.description.plugin.class: The class that keeps the descriptions of streams topologies.
offset.metadata.max.bytes: Longest text that may be committed along with an offset.
offsets.commit.timeout.ms: How long a commit of offsets may wait for its replicas.
offsets.load.buffer.size: Bytes read at a time while committed offsets are loaded.
offsets.retention.check.interval.ms: How often committed offsets are looked through for old ones.
offsets.retention.minutes: How long committed offsets are kept once their group is empty or no longer subscribed.
offsets.topic.compression.codec: Codec of the topic of committed offsets, by its number in batches; 0 is none.
offsets.topic.num.partitions: Partitions of the topic of committed offsets, fixed when it is first created.
offsets.topic.replication.factor: Copies of the topic of committed offsets.
offsets.topic.segment.bytes: Segment size of the topic of committed offsets.
producer.id.expiration.ms: How long the last sequence numbers of an idle producer are remembered.
share.coordinator.append.linger.ms: How long share coordinators gather writes before an append; -1 adapts to the load.
share.coordinator.cached.buffer.max.bytes: Largest buffer that share coordinators keep for the next append.
share.coordinator.load.buffer.size: Bytes read at a time while the state of share groups is loaded.
share.coordinator.snapshot.update.records.per.snapshot: Updates of a share partition's state between two full records
 of it.
share.coordinator.state.topic.compression.codec: Codec of the topic of share groups' state, by its number in batches.
share.coordinator.state.topic.min.isr: Least in-sync replicas of the topic of share groups' state.
share.coordinator.state.topic.num.partitions: Partitions of the topic of share groups' state.
share.coordinator.state.topic.replication.factor: Copies of the topic of share groups' state.
share.coordinator.state.topic.segment.bytes: Segment size of the topic of share groups' state.
share.coordinator.threads: Threads that run share coordinators.
share.coordinator.write.timeout.ms: How long a write of a share group's state may wait for its replicas.
share.fetch.purgatory.purge.interval.requests: After how many ShareFetch requests finished waiters are cleared.
transaction.abort.timed.out.transaction.cleanup.interval.ms: How often transactions are looked through for overdue ones.
transaction.max.timeout.ms: Longest time that a producer may ask for its transactions.
transaction.partition.verification.enable: Whether it is checked, before an append, that its partition is in the
 transaction.
transaction.remove.expired.transaction.cleanup.interval.ms: How often expired transactional ids are removed.
transaction.state.log.load.buffer.size: Bytes read at a time while the state of transactions is loaded.
transaction.state.log.min.isr: Least in-sync replicas of the topic of transactions' state.
transaction.state.log.num.partitions: Partitions of the topic of transactions' state.
transaction.state.log.replication.factor: Copies of the topic of transactions' state.
transaction.state.log.segment.bytes: Segment size of the topic of transactions' state.
transaction.two.phase.commit.enable: Whether transactions may be prepared for an outside coordinator's two-phase commit.
transactional.id.expiration.ms: How long an idle transactional id is remembered.
"""
