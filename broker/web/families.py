"""The names of the metrics: one list, which the documentation prints and a test holds `/metrics` to.

A name is Kafka's where Kafka has the number: the MBean's domain, type and name in lower case, joined by underscores, as
the JMX exporter's usual rules for Kafka write them (`kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec`, its
Count, is `kafka_server_brokertopicmetrics_messagesin_total`). Dashboards made for Kafka read those. What groups have
committed has the names of kafka_exporter, since Kafka's brokers say nothing of it. Everything else begins with
`ottla_`, or is what Prometheus' own library says of a process.

Where Kafka has a sum beside the numbers of topics, so it is here: the sum is the sample without the label `topic`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """One name. `labels` are those that samples may have. A counter only grows and ends in `_total`; one that Kafka
    names otherwise is untyped, which queries take for either."""

    name: str
    kind: Literal["counter", "gauge", "untyped"]
    labels: tuple[str, ...]
    text: str


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name, "counter", labels, text)


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name, "gauge", labels, text)


_PARTITION: Final = ("topic", "partition")

KAFKA: Final = (
    _counter("kafka_server_brokertopicmetrics_messagesin_total", "Records that clients have written.", "topic"),
    _counter(
        "kafka_server_brokertopicmetrics_bytesin_total", "Bytes of the batches that clients have written.", "topic"
    ),
    _counter("kafka_server_brokertopicmetrics_bytesout_total", "Bytes of the batches that clients have read.", "topic"),
    _counter("kafka_network_requestmetrics_requests_total", "Requests of an API.", "request"),
    _gauge("kafka_server_socket_server_metrics_connection_count", "Open connections of a listener.", "listener"),
    _gauge(
        "kafka_network_socketserver_expiredconnectionskilledcount",
        "Connections that were closed because they were idle.",
    ),
    _gauge("kafka_server_kafkaserver_brokerstate", "1 while the broker starts, 3 when it runs."),
    _gauge("kafka_server_replicamanager_partitioncount", "Partitions of this broker."),
    _gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads, which are all."),
    _gauge("kafka_controller_kafkacontroller_activecontrollercount", "1: the broker is its own controller."),
    _gauge("kafka_controller_kafkacontroller_activebrokercount", "Brokers of the cluster."),
    _gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster."),
    _gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster."),
    _gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Fetch sessions."),
    _gauge("kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "Partitions in fetch sessions."),
    _counter(
        "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total",
        "Fetch sessions that had to make room for others.",
    ),
    _gauge(
        "kafka_server_delayedoperationpurgatory_purgatorysize",
        "Requests that wait for records.",
        "delayedoperation",
    ),
    Family("kafka_log_logflushstats_logflushrateandtimems_count", "untyped", (), "Logs synced to the disk."),
    _gauge("kafka_log_logcleanermanager_uncleanable_partitions_count", "Logs that compaction has given up on."),
    _gauge("kafka_coordinator_group_groupmetadatamanager_numgroups", "Groups of the classic protocol."),
    _gauge("kafka_coordinator_group_groupmetadatamanager_numgroupsempty", "Those without members."),
    _gauge("kafka_coordinator_group_groupmetadatamanager_numgroupsstable", "Those that are stable."),
    _gauge("kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", "Those that wait for members."),
    _gauge(
        "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", "Those that wait for a leader."
    ),
    _gauge("kafka_server_group_coordinator_metrics_group_count", "Groups of a protocol.", "protocol"),
    _gauge("kafka_log_log_logstartoffset", "First offset of a partition.", *_PARTITION),
    _gauge("kafka_log_log_logendoffset", "Offset of the next record of a partition.", *_PARTITION),
    _gauge("kafka_log_log_size", "Bytes of a partition's batches.", *_PARTITION),
)

KAFKA_EXPORTER: Final = (
    _gauge("kafka_consumergroup_current_offset", "Offset that a group has committed.", "consumergroup", *_PARTITION),
    _gauge(
        "kafka_consumergroup_lag", "Records between that and the end of the partition.", "consumergroup", *_PARTITION
    ),
)

OWN: Final = (
    _gauge("ottla_kafka_release_info", "Always 1; which release of Kafka is spoken.", "release"),
    _gauge("ottla_samples_left_out", "1 where a list was too long to be sent sample by sample.", "of"),
    _counter("ottla_event_loop_long_turns_total", "Turns of tasks that held the event loop for more than 20 ms."),
    _gauge("ottla_event_loop_longest_turn_seconds", "The longest of them since the start; 0 if there was none."),
    _counter("ottla_event_loop_long_rounds_total", "Rounds of the event loop of more than 50 ms."),
    _gauge("ottla_event_loop_longest_round_seconds", "The longest of them since the start; 0 if there was none."),
    _counter("ottla_connections_accepted_total", "Connections accepted, those refused included."),
    _counter("ottla_connections_refused_total", "Connections refused because there were too many."),
    _counter("ottla_connections_ended_total", "Connections that have ended.", "reason"),
    _gauge("ottla_connections_most", "Connections that may be open at a time."),
    _gauge(
        "ottla_connections_unknown",
        "Connections in a handshake of TLS, or before the end of SASL.",
    ),
    _counter("ottla_connections_turned_away_total", "Connections that found no place among those, or lost it."),
    _counter("ottla_handshakes_failed_total", "Handshakes of TLS that came to nothing."),
    _counter("ottla_received_bytes_total", "Bytes received from clients."),
    _counter("ottla_sent_bytes_total", "Bytes sent to clients."),
    _gauge("ottla_replies_waiting", "Replies that wait for the disk, for records, or for those before them."),
    _gauge("ottla_request_memory_bytes", "Memory that requests and replies hold above a small buffer each."),
    _gauge("ottla_request_memory_most_bytes", "What they may hold: queued.max.request.bytes."),
    _gauge("ottla_request_memory_waiting", "Connections that wait for such memory."),
    _gauge("ottla_group_state_bytes", "Memory that consumer groups take."),
    _gauge("ottla_group_state_most_bytes", "What they may take: ottla.group.state.max.bytes."),
    _counter("ottla_group_state_refused_total", "Requests refused for that."),
    _gauge("ottla_quota_limits", "Quotas that are set, by what they limit.", "quota"),
    _gauge("ottla_quota_clients", "Clients whose rate is known.", "quota"),
    _counter("ottla_quota_delayed_total", "Requests and connections that had to wait for a quota.", "quota"),
    _counter("ottla_quota_delay_seconds_total", "How long they had to wait together.", "quota"),
    _gauge("ottla_telemetry_instances", "Client instances that ask what metrics to push."),
    _gauge(
        "ottla_telemetry_value",
        "What a client instance has pushed last (KIP-714).",
        "metric",
        "client_id",
        "client_instance_id",
    ),
    _gauge("ottla_transactional_ids", "Transactional ids that are known."),
    _gauge("ottla_transactions_ending", "Transactions that are decided and not complete yet."),
    _gauge("ottla_transaction_state_bytes", "Memory that transactional ids take."),
    _gauge("ottla_transaction_state_most_bytes", "What they may take: ottla.transaction.state.max.bytes."),
    _counter("ottla_transaction_state_refused_total", "Requests refused for that."),
    _counter("ottla_coordinator_decisions_total", "Decisions of a coordinator that were written down.", "topic"),
    _counter("ottla_coordinator_appends_total", "Appends that they were written with.", "topic"),
    _gauge("ottla_store_open_logs", "Logs that take memory."),
    _gauge("ottla_store_open_files", "Files that logs hold open."),
    _gauge("ottla_store_stopped", "1 when a disk error has stopped all appends."),
    _counter("ottla_store_flush_rounds_total", "Rounds of syncs; those who wait share one."),
    _counter("ottla_store_flush_failures_total", "Syncs that have failed."),
    _gauge("ottla_store_flush_waiting", "Tasks that wait for a sync."),
    _counter("ottla_store_cleanings_total", "Logs compacted, each as often as it was."),
    _counter("ottla_store_cleaned_bytes_total", "Bytes read for that."),
    _gauge("ottla_store_dirty_logs", "Logs with bytes that are not synced."),
    _gauge("ottla_store_files_to_remove", "Files that are deleted and not removed yet."),
    _counter("ottla_shared_requests_total", "Of a cluster: requests to bucket and database that were done.", "request"),
    _counter("ottla_shared_failures_total", "Of a cluster: requests to bucket and database that failed.", "request"),
    _counter("ottla_shared_bytes_total", "Of a cluster: bytes of objects and runs in the requests done.", "request"),
    _counter("ottla_shared_seconds_total", "Of a cluster: seconds that the requests done have taken.", "request"),
    _gauge("ottla_shared_median_seconds", "Of a cluster: the median of the latest requests.", "request"),
    _gauge("ottla_shared_slowest_seconds", "Of a cluster: the slowest of the latest requests.", "request"),
    _gauge("ottla_shared_waiting_bytes", "Of a cluster: batches that wait for window, upload or commit."),
    _gauge("ottla_shared_cached_bytes", "Of a cluster: records in this broker's memory."),
    _gauge(
        "ottla_shared_objects",
        "Of a cluster: objects that hold records; the one broker says that counts them.",
    ),
    _gauge("ottla_shared_object_bytes", "Of a cluster: their bytes."),
    _gauge("ottla_shared_objects_deleting", "Of a cluster: objects that wait for their deletion."),
    _gauge("ottla_shared_runs_unmerged", "Of a cluster: runs to be merged, in logs that this broker looks after."),
)

PROCESS: Final = (
    _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    _gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
    _gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
    _counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
    _gauge("process_open_fds", "Number of open file descriptors."),
    _gauge("process_max_fds", "Maximum number of open file descriptors."),
)
"""What Prometheus' library says of the process, where the system has `/proc`."""

FAMILIES: Final = {family.name: family for family in (*KAFKA, *KAFKA_EXPORTER, *OWN)}
