"""Sentences for the keys in `keys/internal.py`."""

from typing import Final

TEXT: Final = """
allow.everyone.if.no.acl.found: Whether a resource without access rules is open to every client.
controller.performance.always.log.threshold.ms: Controller events slower than this are always logged.
controller.performance.sample.period.ms: Over which time the controller's slowest event is reported.
follower.replication.throttled.rate: Bytes per second for throttled replicas that this broker copies.
group.consumer.assignor.offload.enable: Whether assignments of consumer groups are computed beside other work.
group.consumer.regex.refresh.interval.ms: How often a consumer group's topic pattern is matched again.
group.share.assignor.offload.enable: Whether assignments of share groups are computed beside other work.
group.share.dlq.manager.class.name: The class that writes undeliverable records of share groups elsewhere.
group.share.initialize.retry.interval.ms: Pause before the state of a share group is initialised again.
group.share.persister.class.name: The class that keeps the state of share groups.
group.streams.acceptable.recovery.lag: How far a task of a streams group may lag behind and still count as caught up.
group.streams.assignor.offload.enable: Whether assignments of streams groups are computed beside other work.
group.streams.max.warmup.replicas: Greatest streams.num.warmup.replicas a group may have.
group.streams.min.task.offset.interval.ms: Least streams.task.offset.interval.ms a group may have.
group.streams.num.warmup.replicas: Warm-up copies that a streams group may have at one time.
group.streams.task.offset.interval.ms: How often members of streams groups say how far their tasks are.
internal.metadata.delete.delay.millis: How long removed files of the metadata log stay.
internal.metadata.log.segment.bytes: Segment size of the metadata log, without the usual lower bound.
internal.metadata.max.batch.size.in.bytes: Largest batch in the metadata log.
leader.replication.throttled.rate: Bytes per second for throttled replicas that this broker leads.
log.initial.task.delay.ms: How long after the start the upkeep of logs begins.
producer.id.expiration.check.interval.ms: How often remembered producers are looked through for idle ones.
remote.log.index.file.cache.ttl.ms: How long a tiered segment's index stays cached.
remote.log.manager.task.retry.backoff.max.ms: Longest pause before a tiering task is tried again.
remote.log.manager.task.retry.backoff.ms: First pause before a tiering task is tried again.
remote.log.manager.task.retry.jitter: Random share of that pause.
replica.alter.log.dirs.io.max.bytes.per.second: Bytes per second for moves between directories.
server.max.startup.time.ms: How long a start may take before it counts as failed.
share.coordinator.cold.partition.snapshot.interval.ms: How often the state of idle share partitions is written in full.
share.coordinator.state.topic.prune.interval.ms: How often the topic of share groups' state is pruned.
super.users: Principals to whom no access rule applies, separated by semicolons.
unclean.leader.election.interval.ms: How often partitions are looked for that only an unclean election can revive.
unstable.api.versions.enable: Whether versions of APIs that are not final yet are served.
unstable.feature.versions.enable: Whether levels of features that are not final yet can be chosen.
"""
