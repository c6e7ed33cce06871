"""The broker's settings: typed values, made of the layers of texts that give values to keys.

Attributes are named after their keys, dots as underscores: `message.max.bytes` is `config.message_max_bytes`. What a
key means is in `broker/config/keys`; keys without an attribute are reached by `get`.

The lower layers (file, command line, defaults) are fixed at the start (`loading.py`). The upper ones come out of
AlterConfigs and change while the broker runs: `with_dynamic` makes a new `BrokerConfig` of the same lower layers. A
caller that keeps a value instead of asking for it again does not see the change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from broker.config.keys import BROKER_KEYS, LISTENER_PREFIX, Value
from broker.config.layers import Layers
from broker.config.listener_specs import (
    Listener,
    ListenerError,
    parse_advertised,
    parse_listeners,
    parse_protocols,
)

if TYPE_CHECKING:
    from broker.config.sasl_settings import SaslSettings
    from broker.config.tls_settings import TlsSettings


class ConfigError(Exception):
    """The broker cannot start with these settings. The message is one sentence for the person who wrote them."""


# The methods that a dataclass usually gets are compiled when this module is loaded; for so many fields that takes 3 ms
# of every start, so the few that are wanted stand here.
@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class BrokerConfig:
    """Every setting the broker uses, resolved. Units are in the names; -1 means "no limit" where Kafka says so."""

    # The node.
    node_id: int
    process_roles: tuple[str, ...]
    broker_rack: str | None

    # Listeners and connections.
    listeners: tuple[Listener, ...]
    advertised_listeners: Mapping[str, tuple[str, int]]
    """Listener name -> host and port; an empty host, and both for a listener that is not there, are those by which a
    client came."""
    socket_listen_backlog_size: int
    socket_receive_buffer_bytes: int
    socket_send_buffer_bytes: int
    socket_request_max_bytes: int
    queued_max_request_bytes: int
    connections_max_idle_ms: int
    max_connections: int
    max_connections_per_ip: int
    max_connections_per_ip_overrides: Mapping[str, int]
    max_connection_creation_rate: int
    quota_window_num: int
    quota_window_size_seconds: int
    controller_quota_window_num: int
    controller_quota_window_size_seconds: int

    # Who may do what.
    authorizer_class_name: str
    super_users: str
    """Principals, separated by semicolons."""
    allow_everyone_if_no_acl_found: bool

    connection_failed_authentication_delay_ms: int

    # Delegation tokens.
    delegation_token_expiry_check_interval_ms: int
    delegation_token_expiry_time_ms: int
    delegation_token_max_lifetime_ms: int
    delegation_token_secret_key: str | None

    # Requests.
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    telemetry_max_bytes: int
    ottla_telemetry_enable: bool
    ottla_emulate: str
    """A release of `kproto.release.history`; empty for none."""

    # Where data are kept, and how safely.
    ottla_storage: str
    ottla_cluster: str | None
    ottla_objects: str | None
    ottla_drain: bool
    log_dirs: tuple[str, ...]
    metadata_log_dir: str | None
    ottla_ack_fsync: bool
    ottla_cluster_id: str | None
    ottla_group_state_max_bytes: int
    ottla_transaction_state_max_bytes: int
    log_flush_interval_messages: int
    log_flush_interval_ms: int
    log_flush_offset_checkpoint_interval_ms: int

    # Topics and their logs.
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    num_partitions: int
    default_replication_factor: int
    message_max_bytes: int
    max_decompressed_message_bytes: int
    ottla_validate_records: str
    compression_type: str
    compression_gzip_level: int
    compression_lz4_level: int
    compression_zstd_level: int
    log_cleaner_backoff_ms: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_delete_retention_ms: int
    log_cleaner_enable: bool
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_buffer_size: int
    log_cleaner_io_max_bytes_per_second: float
    log_cleaner_max_compaction_lag_ms: int
    log_cleaner_min_cleanable_ratio: float
    log_cleaner_min_compaction_lag_ms: int
    log_cleanup_policy: tuple[str, ...]
    log_index_interval_bytes: int
    log_index_size_max_bytes: int
    log_message_timestamp_type: str
    log_message_timestamp_before_max_ms: int
    log_message_timestamp_after_max_ms: int
    log_preallocate: bool
    log_retention_bytes: int
    log_retention_ms: int
    log_retention_check_interval_ms: int
    internal_metadata_log_segment_bytes: int | None
    metadata_log_max_record_bytes_between_snapshots: int
    metadata_log_max_snapshot_interval_ms: int
    metadata_log_segment_bytes: int
    metadata_log_segment_ms: int
    metadata_max_retention_bytes: int
    metadata_max_retention_ms: int
    log_roll_ms: int
    log_roll_jitter_ms: int
    log_segment_bytes: int
    log_segment_delete_delay_ms: int

    # Groups, offsets, producers.
    group_initial_rebalance_delay_ms: int
    group_min_session_timeout_ms: int
    group_max_session_timeout_ms: int
    group_max_size: int
    group_consumer_max_size: int
    group_consumer_assignors: tuple[str, ...]
    group_consumer_migration_policy: str
    group_consumer_session_timeout_ms: int
    group_consumer_heartbeat_interval_ms: int
    group_consumer_assignment_interval_ms: int
    group_consumer_min_session_timeout_ms: int
    group_consumer_max_session_timeout_ms: int
    group_consumer_min_heartbeat_interval_ms: int
    group_consumer_max_heartbeat_interval_ms: int
    group_consumer_min_assignment_interval_ms: int
    group_consumer_max_assignment_interval_ms: int
    group_consumer_regex_refresh_interval_ms: int
    offset_metadata_max_bytes: int
    offsets_retention_minutes: int
    offsets_retention_check_interval_ms: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int
    offsets_topic_compression_codec: int
    producer_id_expiration_ms: int
    transaction_partition_verification_enable: bool
    add_partitions_to_txn_retry_backoff_max_ms: int
    transaction_max_timeout_ms: int
    transaction_remove_expired_transaction_cleanup_interval_ms: int
    transactional_id_expiration_ms: int
    transaction_state_log_num_partitions: int
    transaction_state_log_segment_bytes: int
    share_coordinator_state_topic_num_partitions: int
    share_coordinator_state_topic_segment_bytes: int

    # What the broker writes about itself.
    ottla_log_level: str
    ottla_log_format: str
    ottla_metrics_listener: str
    """Where metrics are served, as `listener_specs.parse_http_address` reads it; empty for nowhere."""
    ottla_control_listener: str
    """Where the control API is served, likewise."""
    ottla_control_token: str | None

    # Layers, for DescribeConfigs and `get`. They may hold passwords.
    static: Mapping[str, str]
    """What file and command line say, as text."""
    dynamic_defaults: Mapping[str, str]
    """Dynamic values of all brokers."""
    dynamic: Mapping[str, str]
    """Dynamic values of this broker."""
    notices: tuple[str, ...]
    """Sentences to say once at the start."""

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __repr__(self) -> str:
        return f"BrokerConfig(node_id={self.node_id}, listeners={self.listeners}, log_dirs={self.log_dirs})"

    @property
    def memory(self) -> bool:
        """True when nothing is kept on disk."""
        return self.ottla_storage == "memory" and not self.shares

    @property
    def shares(self) -> bool:
        """True when logs are those of a cluster of several brokers."""
        return self.ottla_cluster is not None

    @property
    def data_directory(self) -> str:
        """The directory that holds all logs, the cluster's own where `metadata_log_dir` names no other."""
        return self.log_dirs[0]

    def max_connections_of(self, listener: str) -> int:
        """How many connections one listener may have (KIP-402), whatever all together may."""
        limit = self.get(f"{LISTENER_PREFIX}{listener.lower()}.max.connections")
        assert isinstance(limit, int)
        return limit

    @property
    def limits_connection_creation(self) -> bool:
        """True when the broker, or a listener, may be given so many connections a second and no more."""
        return min(
            self.max_connection_creation_rate,
            *(self.max_connection_creation_rate_of(listener.name) for listener in self.listeners),
        ) < int(BROKER_KEYS["max.connection.creation.rate"].default or 0)

    def max_connection_creation_rate_of(self, listener: str) -> int:
        """How many connections a second may come by one listener (KIP-612), whatever all together may."""
        limit = self.get(f"{LISTENER_PREFIX}{listener.lower()}.max.connection.creation.rate")
        assert isinstance(limit, int)
        return limit

    def sasl_settings(self, listener: str) -> SaslSettings:
        """What the SASL of this listener is made from; where dynamic values contradict each other, the file alone."""
        try:
            return sasl_of(listener, Layers(self.static, self.dynamic_defaults, self.dynamic))
        except Contradiction:
            return sasl_of(listener, Layers(self.static))

    def listener_setting(self, listener: str, key: str) -> Value:
        """The value of a broker key in force for a listener: under its prefix, where one is there, else without it
        (KIP-103). Raises KeyError for an unknown key."""
        return for_listener(Layers(self.static, self.dynamic_defaults, self.dynamic), listener, key)

    def tls_settings(self) -> dict[str, TlsSettings]:
        """Listener name -> what its TLS is made from, of those that have it. Raises Contradiction."""
        return tls_of(self.listeners, Layers(self.static, self.dynamic_defaults, self.dynamic))

    def get(self, key: str) -> Value:
        """The value of any broker key in force; None where there is none. Raises KeyError for an unknown key."""
        return Layers(self.static, self.dynamic_defaults, self.dynamic).value(key)

    def with_dynamic(self, defaults: Mapping[str, str], own: Mapping[str, str]) -> BrokerConfig:
        """The same broker with other dynamic values: of the cluster, and its own.

        A dynamic value that cannot be read is passed over, and values that contradict each other change nothing: they
        were checked when they were set, so another release or another file was in force then.
        """
        try:
            values = self.check_dynamic(defaults, own)
        except Contradiction:
            values = {}
        # Listeners are bound once; their ports may have been chosen by the system.
        values |= {"listeners": self.listeners, "advertised_listeners": self.advertised_listeners}
        return dataclasses.replace(self, **values, dynamic_defaults=dict(defaults), dynamic=dict(own))

    def check_dynamic(self, defaults: Mapping[str, str], own: Mapping[str, str]) -> dict[str, Any]:
        """The attributes that `with_dynamic` would have. Raises Contradiction where no broker can run with them."""
        layers = Layers(self.static, defaults, own)
        values = typed(layers)
        check_together(values, layers)
        return values

    def with_bound_ports(self, ports: Sequence[int]) -> BrokerConfig:
        """The same with the ports that the system gave to `listeners`, in their order; DescribeConfigs shows them."""
        listeners = tuple(listener._replace(port=port) for listener, port in zip(self.listeners, ports, strict=True))
        static = {"advertised.listeners": ",".join(str(listener) for listener in listeners if listener.host)}
        static |= {**self.static, "listeners": ",".join(map(str, listeners))}
        if not static["advertised.listeners"]:
            del static["advertised.listeners"]
        return dataclasses.replace(self, listeners=listeners, static=static)


# ---------------------------------------------------------------------------------------------------------------------
# Text to values


class Contradiction(ValueError):
    """Values that are well-formed each, but make no sense together or here. `keys` are theirs, the culprit first."""

    def __init__(self, complaint: str, *keys: str) -> None:
        super().__init__(complaint)
        self.keys = keys


def typed(layers: Layers) -> dict[str, Any]:
    """The attributes of a BrokerConfig, by name. Raises Contradiction."""
    values: dict[str, Any] = {attribute: layers.value(key) for attribute, key in _PLAIN_ATTRIBUTES.items()}
    values["listeners"], values["advertised_listeners"] = listeners_of(layers)
    # `log.dirs` wins over `log.dir`, as in Kafka.
    values["log_dirs"] = layers.value("log.dirs") or layers.value("log.dir")
    values["log_retention_ms"] = max(layers.milliseconds("log.retention.ms"), -1)
    values["log_roll_ms"] = layers.milliseconds("log.roll.ms")
    values["log_roll_jitter_ms"] = layers.milliseconds("log.roll.jitter.ms")
    values["log_flush_interval_ms"] = layers.milliseconds("log.flush.interval.ms")
    values["ottla_log_level"] = values["ottla_log_level"].lower()
    values["ottla_emulate"] = _release(values["ottla_emulate"])
    values["max_connections_per_ip_overrides"] = connections_per_ip(values["max_connections_per_ip_overrides"])
    return values


def _release(name: str) -> str:
    """The release that a name means, which has been checked; nothing stays nothing."""
    if not name:
        return ""
    from kproto.release.history import release_named

    return release_named(name) or ""


_DERIVED_ATTRIBUTES: Final = {
    "listeners", "advertised_listeners", "log_dirs",
    "log_retention_ms", "log_roll_ms", "log_roll_jitter_ms", "log_flush_interval_ms",
}  # fmt: skip
_LAYERS: Final = {"static", "dynamic_defaults", "dynamic", "notices"}
_ATTRIBUTE_KEYS: Final = {name.replace(".", "_"): name for name in BROKER_KEYS}
_PLAIN_ATTRIBUTES: Final = {
    attribute.name: _ATTRIBUTE_KEYS[attribute.name]
    for attribute in dataclasses.fields(BrokerConfig)
    if attribute.name not in _DERIVED_ATTRIBUTES | _LAYERS
}


def listeners_of(layers: Layers) -> tuple[tuple[Listener, ...], dict[str, tuple[str, int]]]:
    """The listeners to open, and what is advertised of them: name -> host and port. Raises Contradiction."""

    entries = layers.items
    controllers = {name.upper() for name in entries("controller.listener.names")}
    key = "listener.security.protocol.map"
    try:
        protocols = parse_protocols(str(layers.value(key)))
        key = "listeners"
        listeners = parse_listeners(entries(key), protocols, controllers)
        key = "advertised.listeners"
        return listeners, parse_advertised(entries(key), listeners, controllers)
    except ListenerError as error:
        raise Contradiction(str(error), key) from error


def sasl_of(listener: str, layers: Layers) -> SaslSettings:
    """What the SASL of a listener is made from. Raises Contradiction."""
    from broker.config.sasl_settings import BadSasl, sasl_settings

    prefix = f"{LISTENER_PREFIX}{listener.lower()}."

    def ask(mechanism: str, key: str) -> tuple[str, Value]:
        names = [f"{prefix}{mechanism.lower()}.{key}"] if mechanism else []
        names += [prefix + key, key]
        name = next((name for name in names if layers.has(name)), key)
        return name, layers.value(name)

    try:
        return sasl_settings(listener, ask)
    except BadSasl as error:
        raise Contradiction(str(error), error.key) from None


def for_listener(layers: Layers, listener: str, key: str) -> Value:
    """The value of a key in force for a listener: what has its prefix, `listener.name.` and its name in lower case,
    counts before what has not, whatever the layers of both (Kafka: valuesWithPrefixOverride)."""
    prefixed = f"{LISTENER_PREFIX}{listener.lower()}.{key}"
    return layers.value(prefixed if layers.has(prefixed) else key)


def tls_of(listeners: Collection[Listener], layers: Layers) -> dict[str, TlsSettings]:
    """Listener name -> what its TLS is made from, of those that have it. Raises Contradiction."""
    secured = [listener for listener in listeners if listener.uses_tls]
    if not secured:
        return {}
    from broker.config.tls_settings import BadTls, tls_settings

    found = {}
    for listener in secured:
        name, prefix = listener.name, f"{LISTENER_PREFIX}{listener.name.lower()}."

        def ask(key: str, name: str = name) -> Value:
            return for_listener(layers, name, key)

        def has_own(key: str, prefix: str = prefix) -> bool:
            return layers.has(prefix + key)

        try:
            found[name] = tls_settings(name, listener.protocol, ask, has_own)
        except BadTls as error:
            key = prefix + error.key if has_own(error.key) else error.key
            raise Contradiction(str(error), key) from None
    return found


def tls_notices(listeners: Collection[Listener], layers: Layers) -> list[str]:
    """What of the settings of TLS has no effect for some listener, for the log."""
    notices = []
    for listener in listeners:
        if not listener.uses_tls:
            continue
        versions = for_listener(layers, listener.name, "ssl.enabled.protocols")
        assert isinstance(versions, tuple)
        if old := [version for version in versions if version not in ("TLSv1.2", "TLSv1.3")]:
            notices.append(f"versions of TLS that are not served, and listener {listener.name} names: {', '.join(old)}")
        key = "ssl.client.auth"
        prefixed = f"{LISTENER_PREFIX}{listener.name.lower()}.{key}"
        if listener.uses_sasl and not layers.has(prefixed) and layers.value(key) != "none":
            notices.append(f"{key} does not count for {listener.name}, which has SASL: {prefixed} would (KIP-684)")
    return notices


def _is_voter(voter: str, node_id: int) -> bool:
    """Whether an entry of `controller.quorum.voters`, an id, an @ and an address, is this node."""
    voter_id, _, _ = voter.partition("@")
    return voter_id.isdecimal() and int(voter_id) == node_id


def connections_per_ip(text: str) -> dict[str, int]:
    """Address -> connections, from `127.0.0.1:10,[::1]:5,...`. Raises Contradiction."""
    limits: dict[str, int] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        address, colon, limit = entry.rpartition(":")
        if not colon or not address or not (limit.isascii() and limit.isdecimal()) or len(limit) > 10:
            raise Contradiction(f"{entry} is not an address, a colon and a number", "max.connections.per.ip.overrides")
        limits[address.strip("[]")] = int(limit)
    return limits


def _check_between(layers: Layers, name: str, least: str, greatest: str) -> None:
    """Refuse a default that groups could not ask for. Raises Contradiction."""
    low, value, high = (layers.value(each) for each in (least, name, greatest))
    assert isinstance(low, int) and isinstance(value, int) and isinstance(high, int)
    if low > high:
        raise Contradiction(f"it is above {greatest}", least, greatest)
    if not low <= value <= high:
        raise Contradiction(f"it must be from {least}, {low}, to {greatest}, {high}", name, least, greatest)


def check_together(values: Mapping[str, Any], layers: Layers) -> None:
    """Refuse values that no broker can run with, although each is well-formed. Raises Contradiction."""
    if "broker" not in values["process_roles"]:
        raise Contradiction("a process that is only a controller has nothing to do here", "process.roles")
    if len(values["log_dirs"]) > 1:
        raise Contradiction(
            f"{len(values['log_dirs'])} directories are named, but all data is kept under one: name one, join several "
            "disks beneath it (LVM, RAID), and move the logs that lie in the others into it",
            "log.dirs",
            "log.dir",
        )
    if (values["ottla_cluster"] is None) != (values["ottla_objects"] is None):
        missing, given = "ottla.objects", "ottla.cluster"
        if values["ottla_cluster"] is None:
            missing, given = given, missing
        raise Contradiction(f"a cluster takes a database and a bucket: {missing} is not set", given)
    if values["ottla_drain"] and values["ottla_cluster"] is None:
        raise Contradiction(
            "only a broker of a cluster can be left by its clients, who would go nowhere", "ottla.drain"
        )
    others = [voter for voter in layers.items("controller.quorum.voters") if not _is_voter(voter, values["node_id"])]
    if others:
        raise Contradiction(
            f"{', '.join(others)} would keep the cluster's metadata too, but this process decides alone",
            "controller.quorum.voters",
        )
    for listener in values["listeners"]:
        if listener.uses_sasl:
            sasl_of(listener.name, layers)
    tls_of(values["listeners"], layers)
    if values["log_retention_ms"] == 0:
        raise Contradiction("it must be -1 (no limit) or at least 1", layers.finest("log.retention.ms")[0])
    if values["log_roll_ms"] < 1:
        raise Contradiction("it must be at least 1", "log.roll.ms")
    if values["log_roll_jitter_ms"] < 0:
        raise Contradiction("it must be at least 0", "log.roll.jitter.ms")
    if values["max_connections"] == 0:
        raise Contradiction("it would let no client in, not even to change it back", "max.connections")
    if values["max_connections_per_ip"] == 0 and not values["max_connections_per_ip_overrides"]:
        raise Contradiction(
            "it may be 0 only with max.connections.per.ip.overrides, or no client gets in", "max.connections.per.ip"
        )
    if values["group_min_session_timeout_ms"] > values["group_max_session_timeout_ms"]:
        raise Contradiction(
            "it is above group.max.session.timeout.ms", "group.min.session.timeout.ms", "group.max.session.timeout.ms"
        )
    for what in ("heartbeat.interval", "session.timeout", "assignment.interval"):
        _check_between(
            layers, f"group.consumer.{what}.ms", f"group.consumer.min.{what}.ms", f"group.consumer.max.{what}.ms"
        )
    if values["group_consumer_heartbeat_interval_ms"] >= values["group_consumer_session_timeout_ms"]:
        raise Contradiction(
            "it must be less than group.consumer.session.timeout.ms",
            "group.consumer.heartbeat.interval.ms",
            "group.consumer.session.timeout.ms",
        )
    if values["offsets_topic_compression_codec"] not in range(5):
        raise Contradiction("it must be from 0 to 4", "offsets.topic.compression.codec")
