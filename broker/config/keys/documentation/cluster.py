"""Sentences for the keys in `keys/cluster.py`."""

from typing import Final

TEXT: Final = """
alter.config.policy.class.name: A class that may refuse changes of configs.
alter.log.dirs.replication.quota.window.num: Samples kept to measure the rate of moves between directories.
alter.log.dirs.replication.quota.window.size.seconds: Length of such a sample.
auto.leader.rebalance.enable: Whether leadership returns to preferred replicas by itself.
broker.heartbeat.interval.ms: How often a broker reports to its controller that it is alive.
broker.id: The older name of node.id.
broker.rack: Where the broker stands; metadata names it for clients that like to read nearby.
broker.session.timeout.ms: A broker whose controller does not hear from it for this long counts as gone.
client.quota.callback.class: A class that decides which quota a client gets.
config.providers: Names of sources that placeholders in config values are filled from.
controlled.shutdown.enable: Whether a stopping broker first hands over the partitions it leads.
controller.listener.names: Listeners that belong to controllers; Ottla does not open them.
controller.quorum.append.linger.ms: How long the controller gathers writes before an append.
controller.quorum.auto.join.enable: Whether a new controller adds itself to the quorum's voters.
controller.quorum.bootstrap.servers: Addresses at which the quorum of controllers is found.
controller.quorum.election.backoff.max.ms: Longest pause before a controller stands for election again.
controller.quorum.election.timeout.ms: How long an election may take before another one begins.
controller.quorum.fetch.max.bytes: Most bytes in one answer to a controller that follows the metadata log.
controller.quorum.fetch.snapshot.max.bytes: Most bytes in one piece of a metadata snapshot.
controller.quorum.fetch.timeout.ms: How long a controller goes without its leader before it calls an election.
controller.quorum.request.timeout.ms: How long a controller waits for an answer from another.
controller.quorum.retry.backoff.ms: Pause before a controller repeats a request.
controller.quorum.voters: The quorum's voters as id@host:port, where the set of them is fixed.
controller.quota.window.num: Samples kept to measure the rate of changes to topics.
controller.quota.window.size.seconds: Length of such a sample.
controller.socket.timeout.ms: How long the controller waits for a broker's answer.
initial.broker.registration.timeout.ms: How long a starting broker tries to register before it gives up.
kafka.metrics.polling.interval.secs: How often metrics reporters of the old kind collect.
kafka.metrics.reporters: Classes that report metrics of the old kind.
leader.imbalance.check.interval.seconds: How often it is looked whether leadership should return to preferred replicas.
metadata.log.dir: Where the metadata log is kept, if apart from the data.
metadata.log.max.record.bytes.between.snapshots: Bytes of metadata records after which a new snapshot is written.
metadata.log.max.snapshot.interval.ms: Longest time between two snapshots of the metadata; 0 goes by size alone.
metadata.log.segment.bytes: Segment size of the metadata log.
metadata.log.segment.ms: Age at which the metadata log begins a new segment.
metadata.max.idle.interval.ms: How often an idle controller appends a record that says nothing; 0 is never.
metadata.max.retention.bytes: Size above which old metadata segments and snapshots are removed.
metadata.max.retention.ms: Age at which old metadata segments and snapshots are removed.
metric.reporters: Classes that report metrics.
metrics.num.samples: Samples kept for each metric.
metrics.recording.level: From which level on metrics are recorded.
metrics.sample.window.ms: Length of a metric's sample.
node.id: The number by which this node is known in the cluster.
num.replica.alter.log.dirs.threads: Threads that move partitions between directories.
num.replica.fetchers: Threads that copy from each other broker.
process.roles: What this process is: broker, controller or both.
quota.window.num: Samples kept to measure clients against their quotas.
quota.window.size.seconds: Length of such a sample.
replica.fetch.backoff.ms: Pause of a copying replica after an error.
replica.fetch.max.bytes: Bytes of one partition that a replica asks for at a time.
replica.fetch.min.bytes: Bytes a replica waits for before it wants an answer.
replica.fetch.response.max.bytes: Bytes of all partitions that a replica asks for at a time.
replica.fetch.wait.max.ms: Longest time a replica lets its leader wait for those bytes.
replica.high.watermark.checkpoint.interval.ms: How often high watermarks are written down.
replica.lag.time.max.ms: A replica that is behind for this long leaves the in-sync set.
replica.selector.class: A class that chooses which replica a reader is sent to.
replica.socket.receive.buffer.bytes: Receive buffer of the connections that replicas copy over.
replica.socket.timeout.ms: How long a replica waits for its leader's answer.
replication.quota.window.num: Samples kept to measure throttled replication.
replication.quota.window.size.seconds: Length of such a sample.
telemetry.max.bytes: Largest message of metrics that a client may push, uncompressed.
"""
