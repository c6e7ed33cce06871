"""Every option of Kafka's command-line tools, as their own `--help` lists them, and why some have no test.

`OPTIONS` is held against what the tools really print (`scenarios/test_what_tools_can.py`), and each option is either in
a scenario or in `LEFT_OUT` with its reason. The table of `docs/kafka-tools.md` is made of both (`page.py`).
A tool with commands has an entry for itself and one for each command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka-topics": (
        "--alter", "--at-min-isr-partitions", "--bootstrap-server", "--command-config", "--config",
        "--create", "--delete", "--delete-config", "--describe", "--exclude-internal", "--help",
        "--if-exists", "--if-not-exists", "--list", "--partition-size-limit-per-response", "--partitions",
        "--replica-assignment", "--replication-factor", "--topic", "--topic-id", "--topics-with-overrides",
        "--unavailable-partitions", "--under-min-isr-partitions", "--under-replicated-partitions",
        "--version",
    ),
    "kafka-configs": (
        "--add-config", "--add-config-file", "--all", "--alter", "--bootstrap-controller",
        "--bootstrap-server", "--broker", "--broker-defaults", "--broker-logger", "--client",
        "--client-defaults", "--client-metrics", "--command-config", "--delete-config", "--describe",
        "--entity-default", "--entity-name", "--entity-type", "--group", "--help", "--ip", "--ip-defaults",
        "--topic", "--user", "--user-defaults", "--version",
    ),
    "kafka-acls": (
        "--add", "--allow-host", "--allow-principal", "--bootstrap-controller", "--bootstrap-server",
        "--cluster", "--command-config", "--consumer", "--delegation-token", "--deny-host",
        "--deny-principal", "--force", "--group", "--help", "--idempotent", "--list", "--operation",
        "--principal", "--producer", "--remove", "--resource-pattern-type", "--topic", "--transactional-id",
        "--user-principal", "--version",
    ),
    "kafka-console-producer": (
        "--batch-size", "--bootstrap-server", "--command-config", "--command-property", "--compression-codec",
        "--help", "--line-reader", "--max-block-ms", "--max-memory-bytes", "--max-partition-memory-bytes",
        "--message-send-max-retries", "--metadata-expiry-ms", "--producer-property", "--producer.config",
        "--property", "--reader-config", "--reader-property", "--request-required-acks",
        "--request-timeout-ms", "--retry-backoff-ms", "--socket-buffer-size", "--sync", "--timeout",
        "--topic", "--version",
    ),
    "kafka-console-consumer": (
        "--bootstrap-server", "--command-config", "--command-property", "--consumer-property",
        "--consumer.config", "--enable-systest-events", "--formatter", "--formatter-config",
        "--formatter-property", "--from-beginning", "--group", "--help", "--include", "--isolation-level",
        "--key-deserializer", "--max-messages", "--offset", "--partition", "--property",
        "--skip-message-on-error", "--timeout-ms", "--topic", "--value-deserializer", "--version",
    ),
    "kafka-consumer-groups": (
        "--all-groups", "--all-topics", "--bootstrap-server", "--by-duration", "--command-config", "--delete",
        "--delete-offsets", "--describe", "--dry-run", "--execute", "--export", "--from-file", "--group",
        "--help", "--list", "--members", "--offsets", "--reset-offsets", "--shift-by", "--state", "--timeout",
        "--to-current", "--to-datetime", "--to-earliest", "--to-latest", "--to-offset", "--topic", "--type",
        "--validate-regex", "--verbose", "--version",
    ),
    "kafka-groups": (
        "--bootstrap-server", "--command-config", "--consumer", "--group-type", "--help", "--list",
        "--protocol", "--share", "--streams", "--version",
    ),
    "kafka-get-offsets": (
        "--bootstrap-server", "--command-config", "--exclude-internal-topics", "--help", "--partitions",
        "--time", "--topic", "--topic-partitions", "--version",
    ),
    "kafka-delete-records": (
        "--bootstrap-server", "--command-config", "--help", "--offset-json-file", "--version",
    ),
    "kafka-log-dirs": (
        "--bootstrap-server", "--broker-list", "--command-config", "--describe", "--help", "--topic-list",
        "--version",
    ),
    "kafka-leader-election": (
        "--admin.config", "--all-topic-partitions", "--bootstrap-server", "--command-config",
        "--election-type", "--help", "--partition", "--path-to-json-file", "--topic", "--version",
    ),
    "kafka-reassign-partitions": (
        "--additional", "--bootstrap-controller", "--bootstrap-server", "--broker-list", "--cancel",
        "--command-config", "--disable-rack-aware", "--disallow-replication-factor-change", "--execute",
        "--generate", "--help", "--list", "--preserve-throttles", "--reassignment-json-file",
        "--replica-alter-log-dirs-throttle", "--throttle", "--timeout", "--topics-to-move-json-file",
        "--verify", "--version",
    ),
    "kafka-cluster": (
        "--help",
    ),
    "kafka-cluster cluster-id": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--config", "--help",
    ),
    "kafka-cluster unregister": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--config", "--help", "--id",
    ),
    "kafka-cluster unregister-controller": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--config", "--help", "--id",
    ),
    "kafka-cluster list-endpoints": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--config", "--help",
        "--include-fenced-brokers",
    ),
    "kafka-cluster api-versions": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--config", "--help",
    ),
    "kafka-broker-api-versions": (
        "--bootstrap-server", "--command-config", "--help", "--version",
    ),
    "kafka-transactions": (
        "--bootstrap-server", "--command-config", "--help", "--version",
    ),
    "kafka-transactions list": (
        "--duration-filter", "--help", "--transactional-id-pattern",
    ),
    "kafka-transactions describe": (
        "--help", "--transactional-id",
    ),
    "kafka-transactions describe-producers": (
        "--broker-id", "--help", "--partition", "--topic",
    ),
    "kafka-transactions abort": (
        "--coordinator-epoch", "--help", "--partition", "--producer-epoch", "--producer-id", "--start-offset",
        "--topic",
    ),
    "kafka-transactions find-hanging": (
        "--broker-id", "--help", "--max-transaction-timeout", "--partition", "--topic",
    ),
    "kafka-transactions forceTerminateTransaction": (
        "--help", "--transactionalId",
    ),
    "kafka-features": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--help",
    ),
    "kafka-features describe": (
        "--help", "--node-id",
    ),
    "kafka-features upgrade": (
        "--dry-run", "--feature", "--help", "--metadata", "--release-version",
    ),
    "kafka-features downgrade": (
        "--dry-run", "--feature", "--help", "--metadata", "--release-version", "--unsafe",
    ),
    "kafka-features disable": (
        "--dry-run", "--feature", "--help", "--unsafe",
    ),
    "kafka-features version-mapping": (
        "--help", "--release-version",
    ),
    "kafka-features feature-dependencies": (
        "--feature", "--help",
    ),
    "kafka-metadata-quorum": (
        "--bootstrap-controller", "--bootstrap-server", "--command-config", "--help",
    ),
    "kafka-metadata-quorum describe": (
        "--help", "--human-readable", "--replication", "--status",
    ),
    "kafka-metadata-quorum add-controller": (
        "--dry-run", "--help",
    ),
    "kafka-metadata-quorum remove-controller": (
        "--controller-directory-id", "--controller-id", "--dry-run", "--help", "--unregister",
    ),
    "kafka-delegation-tokens": (
        "--bootstrap-server", "--command-config", "--create", "--describe", "--expire",
        "--expiry-time-period", "--help", "--hmac", "--max-life-time-period", "--owner-principal", "--renew",
        "--renew-time-period", "--renewer-principal", "--version",
    ),
    "kafka-client-metrics": (
        "--alter", "--bootstrap-server", "--command-config", "--delete", "--describe", "--generate-name",
        "--help", "--interval", "--list", "--match", "--metrics", "--name", "--version",
    ),
    "kafka-producer-perf-test": (
        "--bootstrap-server", "--command-config", "--command-property", "--help", "--key-distribution",
        "--num-records", "--payload-delimiter", "--payload-file", "--payload-monotonic", "--print-metrics",
        "--producer-props", "--producer.config", "--random-seed", "--record-key-range", "--record-size",
        "--reporting-interval", "--throughput", "--topic", "--transaction-duration-ms", "--transactional-id",
        "--warmup-records",
    ),
    "kafka-consumer-perf-test": (
        "--bootstrap-server", "--command-config", "--command-property", "--consumer.config", "--date-format",
        "--fetch-size", "--from-latest", "--group", "--help", "--hide-header", "--include", "--messages",
        "--num-records", "--print-metrics", "--reporting-interval", "--show-detailed-stats",
        "--socket-buffer-size", "--timeout", "--topic", "--version",
    ),
    "kafka-e2e-latency": (
        "--bootstrap-server", "--command-config", "--help", "--num-headers", "--num-records",
        "--producer-acks", "--record-header-key-size", "--record-header-size", "--record-key-size",
        "--record-size", "--topic", "--version",
    ),
    "kafka-verifiable-producer": (
        "--acks", "--bootstrap-server", "--command-config", "--help", "--max-messages",
        "--message-create-time", "--producer.config", "--repeating-keys", "--throughput", "--topic",
        "--value-prefix",
    ),
    "kafka-verifiable-consumer": (
        "--assignment-strategy", "--bootstrap-server", "--close-timeout", "--command-config",
        "--consumer.config", "--enable-autocommit", "--group-id", "--group-instance-id", "--group-protocol",
        "--group-remote-assignor", "--help", "--max-messages", "--reset-policy", "--session-timeout",
        "--topic", "--verbose",
    ),
    "kafka-dump-log": (
        "--cluster-metadata-decoder", "--deep-iteration", "--files", "--help", "--index-sanity-check",
        "--key-decoder-class", "--max-bytes", "--max-message-size", "--offsets-decoder", "--print-data-log",
        "--remote-log-metadata-decoder", "--share-group-state-decoder", "--skip-record-metadata",
        "--transaction-log-decoder", "--value-decoder-class", "--verify-index-only", "--version",
    ),
}  # fmt: skip

NO_CONTROLLERS: Final = "there is no listener for controllers: the broker answers instead, to `--bootstrap-server`"
WHOLE_RELEASES: Final = "a release has levels for share groups, streams groups and the quorum, which are not served yet"

LEFT_OUT: Final[Mapping[tuple[str, str], str]] = {
    **{
        (tool, "--bootstrap-controller"): NO_CONTROLLERS
        for tool, options in OPTIONS.items()
        if "--bootstrap-controller" in options
    },
    ("kafka-topics", "--delete-config"): "Kafka's own tool refuses it since 4.0",
    ("kafka-features upgrade", "--release-version"): WHOLE_RELEASES,
    ("kafka-features downgrade", "--release-version"): WHOLE_RELEASES,
    ("kafka-dump-log", "--remote-log-metadata-decoder"): "there is no tiered storage, so no such log",
    ("kafka-dump-log", "--share-group-state-decoder"): "there are no share groups yet, so no such log",
}
"""(tool, option) -> why it is not tested, or cannot work."""
