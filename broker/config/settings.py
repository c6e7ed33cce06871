"""The broker's settings: a file in Kafka's format, the command line over it, typed values out of both.

`load_config` reads a `server.properties`, also one written for Apache Kafka in combined mode; `parse_config` does the
same with a text. Both give a `BrokerConfig`, or raise `ConfigError`: one sentence that names the key, the file and the
line. What is no error is said once, in `BrokerConfig.notices`: keys that mean nothing here, keys nobody knows (with the
nearest known one), listeners that are not opened. The caller logs them.

A value is looked up in four layers, the first that has it counts (KIP-226):

    dynamic of this broker  >  dynamic default of the cluster  >  file and command line  >  default

The first two come out of AlterConfigs and change while the broker runs: `with_dynamic` makes a new `BrokerConfig` of
the same lower layers. Whoever keeps a value instead of asking for it again does not see the change.

Attributes are named after their keys, dots as underscores: `message.max.bytes` is `config.message_max_bytes`. What a
key means is in `broker/config/keys`; keys without an attribute are reached by `get`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from broker.config.keys import BROKER_KEYS, BadValue, Effect, Value, broker_key, synonyms_of
from broker.config.keys.definition import split_list, trimmed
from broker.config.listener_specs import (
    Listener,
    ListenerError,
    parse_advertised,
    parse_listeners,
    parse_protocols,
)
from broker.config.properties import PropertiesError, decode, parse_properties

if TYPE_CHECKING:
    from storage.seams.disk import Disk

ON_COMMAND_LINE: Final = "on the command line"
MILLIS_PER_HOUR: Final = 3_600_000
MILLIS_PER_MINUTE: Final = 60_000


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
    """Listener name -> host and port; a listener that is not there advertises the address that a client came by."""
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

    # Requests.
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int

    # Where data are kept, and how safely.
    ottla_storage: str
    log_dirs: tuple[str, ...]
    ottla_ack_fsync: bool
    log_flush_interval_messages: int
    log_flush_interval_ms: int
    log_flush_offset_checkpoint_interval_ms: int

    # Topics and their logs.
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    num_partitions: int
    default_replication_factor: int
    message_max_bytes: int
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
    offset_metadata_max_bytes: int
    offsets_retention_minutes: int
    offsets_retention_check_interval_ms: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int
    offsets_topic_compression_codec: int
    producer_id_expiration_ms: int
    transaction_state_log_num_partitions: int
    transaction_state_log_segment_bytes: int
    share_coordinator_state_topic_num_partitions: int
    share_coordinator_state_topic_segment_bytes: int

    # What the broker tells people.
    ottla_log_level: str
    ottla_log_format: str

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
        return self.ottla_storage == "memory"

    @property
    def data_directory(self) -> str:
        """The one directory that holds all data."""
        return self.log_dirs[0]

    def get(self, key: str) -> Value:
        """The value of any broker key in force; None where there is none. Raises KeyError for an unknown key."""
        return _Layers(self.static, self.dynamic_defaults, self.dynamic).value(key)

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
        layers = _Layers(self.static, defaults, own)
        values = _typed(layers)
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


def load_config(
    properties_path: str | None,
    overrides: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
    data: str | None = None,
    memory: bool = False,
    disk: Disk | None = None,
) -> BrokerConfig:
    """The settings of the file at `properties_path` (none: defaults) with `overrides` and the command's flags over it.

    `host` and `port` move the first listener, and make it forget what the file advertises for it; `data` is `log.dirs`;
    `memory` is `ottla.storage=memory`. Raises ConfigError.
    """
    text, source = "", ""
    if properties_path is not None:
        text, source = _read(properties_path, disk), properties_path
    flags = dict(overrides)
    if data is not None:
        flags["log.dirs"] = data
    if memory:
        flags["ottla.storage"] = "memory"
    return parse_config(text, source, flags, host=host, port=port)


def _read(path: str, disk: Disk | None) -> str:
    if disk is None:
        from storage.seams.disk import SystemDisk

        disk = SystemDisk()
    try:
        content = disk.read_file(path)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    if content is None:
        raise ConfigError(f"the configuration file {path} does not exist")
    return decode(content)


def parse_config(
    text: str, source: str, overrides: Mapping[str, str], *, host: str | None = None, port: int | None = None
) -> BrokerConfig:
    """The settings in `text`, a `.properties` file called `source`, with `overrides` over it. Raises ConfigError.

    For `host` and `port` see `load_config`.
    """
    given: dict[str, str] = {}
    origin: dict[str, str] = {}
    try:
        for key, value, line in parse_properties(text):
            given[key], origin[key] = trimmed(value), f"in {source}, line {line}"
    except PropertiesError as error:
        raise ConfigError(f"{source}, line {error.line}: {error}") from error
    for key, value in overrides.items():
        given[key], origin[key] = trimmed(value), ON_COMMAND_LINE
    for key, value in given.items():
        row = broker_key(key)
        if row is not None:
            try:
                row.parse(value)
            except BadValue as error:
                shown = key if row.sensitive else f"{key}={value}"
                raise ConfigError(f"{shown} {origin[key]}: {error}") from error
    _agree_on_node_id(given, origin)
    notices = _notices(given, origin)
    if host is not None or port is not None:
        notices += _move_first_listener(given, origin, host, port)
    layers = _Layers(given)
    try:
        values = _typed(layers)
        check_together(values, layers)
    except Contradiction as error:
        where = next((origin[key] for key in error.keys if key in origin), None)
        raise ConfigError(f"{error.keys[0]}{f' {where}' if where else ''}: {error}") from error
    return BrokerConfig(**values, static=given, dynamic_defaults={}, dynamic={}, notices=tuple(notices))


# ---------------------------------------------------------------------------------------------------------------------
# Text to values


class Contradiction(ValueError):
    """Values that are well-formed each, but make no sense together or here. `keys` are theirs, the culprit first."""

    def __init__(self, complaint: str, *keys: str) -> None:
        super().__init__(complaint)
        self.keys = keys


class _Layers:
    """The layers of values above the defaults."""

    def __init__(
        self, static: Mapping[str, str], defaults: Mapping[str, str] | None = None, own: Mapping[str, str] | None = None
    ) -> None:
        self._static = static
        self._dynamic = [layer for layer in (own, defaults) if layer]

    def value(self, name: str) -> Value:
        """The value of a key in force. Raises KeyError for an unknown key."""
        key = broker_key(name)
        if key is None:
            raise KeyError(name)
        for layer in self._dynamic:
            if name in layer:
                try:
                    return key.parse(layer[name])
                except BadValue:
                    continue
        if name in self._static:
            return key.parse(self._static[name])
        return key.default_value()

    def finest(self, name: str) -> tuple[str, int]:
        """The first of `name` and its synonyms that has a value, and that value."""
        for synonym in synonyms_of(name):
            value = self.value(synonym)
            if value is not None:
                assert isinstance(value, int), "synonyms are units of a duration"
                return synonym, value
        raise AssertionError(f"{name} has no default in any unit")

    def milliseconds(self, name: str) -> int:
        """The duration that `name`, or a coarser unit of it, tells."""
        synonym, value = self.finest(name)
        if synonym.endswith(".hours"):
            return value * MILLIS_PER_HOUR
        return value * MILLIS_PER_MINUTE if synonym.endswith(".minutes") else value


def _typed(layers: _Layers) -> dict[str, Any]:
    """The attributes of a BrokerConfig, by name. Raises Contradiction."""
    values: dict[str, Any] = {attribute: layers.value(key) for attribute, key in _PLAIN_ATTRIBUTES.items()}
    values["listeners"], values["advertised_listeners"] = _listeners(layers)
    # `log.dirs` wins over `log.dir`, as in Kafka.
    values["log_dirs"] = layers.value("log.dirs") or layers.value("log.dir")
    values["log_retention_ms"] = max(layers.milliseconds("log.retention.ms"), -1)
    values["log_roll_ms"] = layers.milliseconds("log.roll.ms")
    values["log_roll_jitter_ms"] = layers.milliseconds("log.roll.jitter.ms")
    values["log_flush_interval_ms"] = layers.milliseconds("log.flush.interval.ms")
    values["ottla_log_level"] = values["ottla_log_level"].lower()
    values["max_connections_per_ip_overrides"] = connections_per_ip(values["max_connections_per_ip_overrides"])
    return values


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


def _listeners(layers: _Layers) -> tuple[tuple[Listener, ...], dict[str, tuple[str, int]]]:
    def entries(name: str) -> tuple[str, ...]:
        value = layers.value(name)
        return value if isinstance(value, tuple) else ()

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


def connections_per_ip(text: str) -> dict[str, int]:
    """Address -> connections, from `127.0.0.1:10,[::1]:5,...`. Raises Contradiction."""
    limits: dict[str, int] = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        address, colon, limit = entry.rpartition(":")
        if not colon or not address or not (limit.isascii() and limit.isdecimal()) or len(limit) > 10:
            raise Contradiction(f"{entry} is not an address, a colon and a number", "max.connections.per.ip.overrides")
        limits[address.strip("[]")] = int(limit)
    return limits


def check_together(values: Mapping[str, Any], layers: _Layers) -> None:
    """Refuse values that no broker can run with, although each is well-formed. Raises Contradiction."""
    if "broker" not in values["process_roles"]:
        raise Contradiction("a process that is only a controller has nothing to do here", "process.roles")
    if len(values["log_dirs"]) > 1:
        raise Contradiction(
            f"{len(values['log_dirs'])} directories are named, but all data is kept under one", "log.dirs", "log.dir"
        )
    if values["log_retention_ms"] == 0:
        raise Contradiction("it must be -1 (no limit) or at least 1", layers.finest("log.retention.ms")[0])
    if values["log_roll_ms"] < 1:
        raise Contradiction("it must be at least 1", "log.roll.ms")
    if values["log_roll_jitter_ms"] < 0:
        raise Contradiction("it must be at least 0", "log.roll.jitter.ms")
    if values["max_connections"] == 0:
        raise Contradiction("it would let nobody in, not even to change it back", "max.connections")
    if values["max_connections_per_ip"] == 0 and not values["max_connections_per_ip_overrides"]:
        raise Contradiction(
            "it may be 0 only with max.connections.per.ip.overrides, or nobody gets in", "max.connections.per.ip"
        )
    if values["group_min_session_timeout_ms"] > values["group_max_session_timeout_ms"]:
        raise Contradiction(
            "it is above group.max.session.timeout.ms", "group.min.session.timeout.ms", "group.max.session.timeout.ms"
        )
    if values["offsets_topic_compression_codec"] not in range(5):
        raise Contradiction("it must be from 0 to 4", "offsets.topic.compression.codec")


# ---------------------------------------------------------------------------------------------------------------------
# What is done with the given text before its values are taken


def _agree_on_node_id(given: dict[str, str], origin: dict[str, str]) -> None:
    """`broker.id` is the older name of `node.id`; each stands for both."""
    old, new = given.get("broker.id"), given.get("node.id")
    if old is not None and new is not None and int(old) != int(new) and int(old) != -1:
        raise ConfigError(f"broker.id={old} {origin['broker.id']}: node.id says {new}; they must be the same")
    identity = new if new is not None else old
    if identity is not None and int(identity) >= 0:
        given["node.id"] = given["broker.id"] = identity
        origin.setdefault("node.id", origin.get("broker.id", ON_COMMAND_LINE))


def _move_first_listener(
    given: dict[str, str], origin: dict[str, str], host: str | None, port: int | None
) -> list[str]:
    """Let the command's `--host` and `--port` replace those of the first listener; returns notices."""
    try:
        listeners, advertised = _listeners(_Layers(given))
    except Contradiction as error:
        raise ConfigError(f"{error.keys[0]} {origin.get(error.keys[0], ON_COMMAND_LINE)}: {error}") from error
    first = listeners[0]
    moved = first._replace(
        host=first.host if host is None else host.strip("[]"), port=first.port if port is None else port
    )
    given["listeners"] = ",".join(map(str, (moved, *listeners[1:])))
    origin["listeners"] = ON_COMMAND_LINE
    # What the file advertises is true of the address in the file.
    if first.name not in advertised or origin["advertised.listeners"] == ON_COMMAND_LINE:
        return []
    rest = [str(Listener(name, *address)) for name, address in advertised.items() if name != first.name]
    if rest:
        given["advertised.listeners"] = ",".join(rest)
    else:
        del given["advertised.listeners"]
    return [f"advertised.listeners {origin['advertised.listeners']} is ignored for {first.name}, which was moved"]


def _notices(given: Mapping[str, str], origin: Mapping[str, str]) -> list[str]:
    """What to say about keys that have no effect, each once."""
    idle: dict[Effect, list[str]] = {Effect.NOTHING: [], Effect.LATER: []}
    unknown: list[str] = []
    for name in given:
        key = broker_key(name)
        if key is None:
            unknown.append(f"{name} {origin[name]} is unknown and ignored{_nearest(name)}")
        elif key.effect is not Effect.ACTS:
            idle[key.effect].append(name)
    notices = []
    roles = given.get("process.roles", "broker,controller")
    if "controller" not in roles:
        notices.append("process.roles names no controller; this process is its own")
    if idle[Effect.NOTHING]:
        notices.append(f"accepted, but without meaning here: {', '.join(idle[Effect.NOTHING])}")
    if idle[Effect.LATER]:
        notices.append(f"accepted, but not served yet: {', '.join(idle[Effect.LATER])}")
    controllers = {name.upper() for name in split_list(given.get("controller.listener.names", "CONTROLLER"))}
    entries = split_list(given.get("listeners", ""))
    closed = [entry for entry in entries if entry.partition(":")[0].upper() in controllers]
    if closed:
        notices.append(f"not opened, since there is no quorum of controllers here: {', '.join(closed)}")
    return notices + unknown


def _nearest(name: str) -> str:
    import difflib

    known = [key.name for key in BROKER_KEYS.values() if not key.internal]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {nearest[0]}?" if nearest else ""
