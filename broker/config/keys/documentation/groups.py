"""Sentences for the keys in `keys/groups.py`."""

from typing import Final

TEXT: Final = """
consumer.assignment.interval.ms: Shortest time from one assignment of this consumer group to the next.
consumer.assignor.offload.enable: Whether assignments of this consumer group are computed beside other work.
consumer.heartbeat.interval.ms: How often members of this consumer group are asked to heartbeat.
consumer.session.timeout.ms: A member of this consumer group that is silent for this long is removed.
errors.deadletterqueue.copy.record.enable: Whether a dead letter of this share group holds the record itself, or only
 says where it is.
errors.deadletterqueue.topic.name: The topic for undeliverable records of this share group; empty is none.
share.assignment.interval.ms: Shortest time from one assignment of this share group to the next.
share.assignor.offload.enable: Whether assignments of this share group are computed beside other work.
share.auto.offset.reset: Where this share group begins in a partition: earliest, latest, or a duration before now.
share.delivery.count.limit: How often this share group tries to deliver a record.
share.heartbeat.interval.ms: How often members of this share group are asked to heartbeat.
share.isolation.level: Whether this share group sees records of open and aborted transactions: read_uncommitted does.
share.partition.max.record.locks: Records of one partition that this share group may hold locked at one time.
share.record.lock.duration.ms: How long a record belongs to the member of this share group that acquired it.
share.renew.acknowledge.enable: Whether members of this share group may prolong the lock of a record.
share.session.timeout.ms: A member of this share group that is silent for this long is removed.
streams.assignment.interval.ms: Shortest time from one assignment of this streams group to the next.
streams.acceptable.recovery.lag: How far a task of this streams group may lag behind and still count as caught up.
streams.assignor.name: How tasks are shared out in this streams group.
streams.assignor.offload.enable: Whether assignments of this streams group are computed beside other work.
streams.heartbeat.interval.ms: How often members of this streams group are asked to heartbeat.
streams.initial.rebalance.delay.ms: How long this streams group, when new, waits for more members.
streams.num.standby.replicas: Standby copies kept of each stateful task of this streams group.
streams.num.warmup.replicas: Warm-up copies that this streams group may have at one time.
streams.rack.aware.assignment.tags: Tags of clients over which this streams group spreads the copies of a task.
streams.session.timeout.ms: A member of this streams group that is silent for this long is removed.
streams.task.offset.interval.ms: How often members of this streams group say how far their tasks are.
"""

CLIENT_METRICS_TEXT: Final = """
interval.ms: How often the clients of this subscription push their metrics.
match: Which clients this subscription is for, as parameter=pattern items that must all fit; none is for all.
metrics: Prefixes of the metrics that this subscription asks for; * is all, none is none.
"""
