"""What DescribeConfigs says about a resource: each key's value, where it comes from, and what would count without it.

| resource | named by | values come from, first to last |
|---|---|---|
| TOPIC | the topic | its overrides, the four layers of the broker key that is its synonym |
| BROKER | the node's id | the four layers: dynamic, dynamic default, file, default |
| BROKER | nothing | the dynamic defaults of all brokers, nothing else |
| GROUP | the group, which need not exist | its overrides, the layers of `group.<key>` |
| CLIENT_METRICS | the subscription, which need not exist | its overrides, defaults |
| BROKER_LOGGER | the node's id | the levels of this process's loggers (`loggers.py`) |

The *synonyms* of an entry are all the values found on that way, the one in force first; the *source* of an entry is
that of its first synonym. Two habits of Kafka are kept because tools show them: synonyms begin at the entry's own name,
so the `log.retention.hours` of a file is no synonym of `log.retention.ms` as long as that has no value itself; and a
topic's `retention.ms` taken from there says DEFAULT_CONFIG.

Values of passwords are never shown, nor those of unknown keys, since they might be passwords. Everything here is
pure: what is known goes in, entries come out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from broker.admin.loggers import shown_levels
from broker.config.keys import (
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    TOPIC_KEYS,
    BadValue,
    ConfigKey,
    ConfigType,
    Update,
    broker_key,
    groups,
    synonyms_of,
    text_of,
    topics,
)
from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.topic_names import check_topic_name
from kproto.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster.image import ClusterImage
    from storage.seams.logging import LogLines


class ConfigSource(IntEnum):
    """Where a value comes from (DescribeConfigsResponse.ConfigSource)."""

    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5
    DYNAMIC_BROKER_LOGGER_CONFIG = 6
    CLIENT_METRICS_CONFIG = 7
    GROUP_CONFIG = 8


class ConfigSynonym(NamedTuple):
    """One place that has a value for an entry. `value` is None when it must not be shown."""

    name: str
    value: str | None
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """One key of a resource, as DescribeConfigs answers it."""

    name: str
    value: str | None
    source: ConfigSource
    type: ConfigType
    read_only: bool = False
    sensitive: bool = False
    synonyms: tuple[ConfigSynonym, ...] = ()
    documentation: str | None = None


def describe(
    resource_type: int,
    name: str,
    *,
    image: ClusterImage,
    config: BrokerConfig,
    lines: LogLines,
    keys: Collection[str] | None = None,
    documentation: bool = False,
) -> list[ConfigEntry]:
    """The entries of one resource; of all its keys if `keys` names none. Unknown names are left out.

    `config` is to have the dynamic values of the broker (`BrokerConfig.with_dynamic`). Raises KafkaError:
    UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, INVALID_REQUEST for a name or type that cannot be.
    """
    check_resource(resource_type, name, image=image, config=config)
    if resource_type == ResourceType.TOPIC:
        entries: Sequence[ConfigEntry] = describe_topic(image.configs_of(ResourceType.TOPIC, name), config)
        sentences = _sentences("TOPICS") if documentation else {}
    elif resource_type == ResourceType.BROKER:
        entries = describe_broker(config) if name else describe_broker_defaults(config)
        sentences = _sentences("BROKERS") if documentation else {}
    elif resource_type == ResourceType.BROKER_LOGGER:
        entries = describe_loggers(lines)
        sentences = dict.fromkeys((entry.name for entry in entries), "") if documentation else {}
    elif resource_type == ResourceType.CLIENT_METRICS:
        entries = describe_client_metrics(image.configs_of(ResourceType.CLIENT_METRICS, name))
        sentences = _sentences("CLIENT_METRICS") if documentation else {}
    else:
        assert resource_type == ResourceType.GROUP, "check_resource refuses others"
        entries = describe_group(image.group_configs(name), config)
        sentences = _sentences("GROUPS") if documentation else {}
    wanted = frozenset(keys or ())
    return [
        entry._replace(documentation=sentences.get(entry.name)) if documentation else entry
        for entry in entries
        if not wanted or entry.name in wanted
    ]


def check_resource(resource_type: int, name: str, *, image: ClusterImage, config: BrokerConfig) -> None:
    """Refuse what `describe` refuses, with the same codes."""
    if resource_type == ResourceType.TOPIC:
        check_topic_name(name)
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    elif resource_type == ResourceType.BROKER:
        if name:
            check_node(name, config)
    elif resource_type == ResourceType.BROKER_LOGGER:
        check_node(name, config)
    elif resource_type == ResourceType.CLIENT_METRICS:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a client metrics subscription must have a name")
    elif resource_type == ResourceType.GROUP:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a group must have a name")
    else:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{resource_type} is no type of resource that has configs")


def check_node(name: str, config: BrokerConfig) -> None:
    """Refuse a broker's name that is not this node's id. Raises KafkaError(INVALID_REQUEST)."""
    if name != str(config.node_id):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"this is broker {config.node_id}, not {name[:20]!r}")


def describe_topic(overrides: Mapping[str, str], config: BrokerConfig) -> list[ConfigEntry]:
    """Every topic key, for a topic with these overrides."""
    return _overridden(_inherited_by_topics(config), TOPIC_KEYS, overrides, ConfigSource.DYNAMIC_TOPIC_CONFIG)


def describe_group(overrides: Mapping[str, str], config: BrokerConfig) -> list[ConfigEntry]:
    """Every group key, for a group with these overrides; internal ones only where they are overridden."""
    entries = _overridden(_inherited_by_groups(config), GROUP_KEYS, overrides, ConfigSource.GROUP_CONFIG)
    return [entry for entry in entries if entry.name in overrides or not GROUP_KEYS[entry.name].internal]


# Tools describe all topics at once. What topics share is worked out once for each BrokerConfig; there is one at a time.
@lru_cache(maxsize=2)
def _inherited_by_topics(config: BrokerConfig) -> Mapping[str, ConfigEntry]:
    """The entries of a topic without overrides."""
    in_milliseconds = {
        "flush.ms": config.log_flush_interval_ms,
        "retention.ms": config.log_retention_ms,
        "segment.jitter.ms": config.log_roll_jitter_ms,
        "segment.ms": config.log_roll_ms,
    }
    entries: dict[str, ConfigEntry] = {}
    for key in TOPIC_KEYS.values():
        if key.internal:
            continue
        synonym = topics.BROKER_SYNONYM.get(key.name)
        value = in_milliseconds.get(key.name, config.get(synonym) if synonym else key.default_value())
        below = broker_synonyms(synonym, config) if synonym else ()
        entries[key.name] = _entry(key, None if value is None else text_of(value), below)
    return entries


@lru_cache(maxsize=2)
def _inherited_by_groups(config: BrokerConfig) -> Mapping[str, ConfigEntry]:
    """The entries of a group without overrides, internal keys included."""
    entries: dict[str, ConfigEntry] = {}
    for key in GROUP_KEYS.values():
        synonym = groups.BROKER_SYNONYM.get(key.name)
        if synonym is None:
            below = [ConfigSynonym(key.name, key.default, ConfigSource.DEFAULT_CONFIG)]
            entries[key.name] = _entry(key, key.default, below)
        else:
            value = config.get(synonym)
            if key.type is ConfigType.STRING and isinstance(value, tuple):
                value = value[0]
            entries[key.name] = _entry(key, text_of(value), broker_synonyms(synonym, config))
    return entries


def describe_client_metrics(overrides: Mapping[str, str]) -> list[ConfigEntry]:
    """Every key of a client metrics subscription with these overrides."""
    inherited = {key.name: _entry(key, key.default, ()) for key in CLIENT_METRICS_KEYS.values()}
    return _overridden(inherited, CLIENT_METRICS_KEYS, overrides, ConfigSource.CLIENT_METRICS_CONFIG)


@lru_cache(maxsize=2)
def describe_broker(config: BrokerConfig) -> Sequence[ConfigEntry]:
    """Every key of this broker: those it could have, and any other that it was given."""
    could = (key.name for key in BROKER_KEYS.values() if not key.internal)
    names = dict.fromkeys((*could, *config.static, *config.dynamic_defaults, *config.dynamic))
    return [_broker_entry(name, config, broker_synonyms(name, config)) for name in names]


def describe_broker_defaults(config: BrokerConfig) -> list[ConfigEntry]:
    """The dynamic defaults of all brokers, as far as some are set."""
    source = ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
    return [
        _broker_entry(name, config, [synonym for synonym in broker_synonyms(name, config) if synonym.source == source])
        for name in config.dynamic_defaults
    ]


def describe_loggers(lines: LogLines) -> list[ConfigEntry]:
    """The level of every logger."""
    return [
        ConfigEntry(name, level, ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG, ConfigType.UNKNOWN)
        for name, level in shown_levels(lines).items()
    ]


def broker_synonyms(name: str, config: BrokerConfig) -> list[ConfigSynonym]:
    """Where broker key `name` has values, the one in force first."""
    names = synonyms_of(name)
    found: list[ConfigSynonym] = []
    for layer, source in (
        (config.dynamic, ConfigSource.DYNAMIC_BROKER_CONFIG),
        (config.dynamic_defaults, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG),
        (config.static, ConfigSource.STATIC_BROKER_CONFIG),
    ):
        found += [
            ConfigSynonym(synonym, None if _secret(synonym) else layer[synonym], source)
            for synonym in names
            if synonym in layer
        ]
    for synonym in names:
        key = BROKER_KEYS.get(synonym)
        if key is not None and key.default is not None:
            found.append(ConfigSynonym(synonym, None if key.sensitive else key.default, ConfigSource.DEFAULT_CONFIG))
    while found and found[0].name != name:
        del found[0]
    return found


def _broker_entry(name: str, config: BrokerConfig, synonyms: list[ConfigSynonym]) -> ConfigEntry:
    key = broker_key(name)
    secret = _secret(name)
    row = BROKER_KEYS.get(name)
    return ConfigEntry(
        name,
        None if secret or not synonyms else _shown(key, synonyms[0].value),
        synonyms[0].source if synonyms else ConfigSource.DEFAULT_CONFIG,
        ConfigType.UNKNOWN if key is None else key.type,
        read_only=row is None or row.update is Update.READ_ONLY,
        sensitive=secret,
        synonyms=tuple(synonyms),
    )


def _entry(key: ConfigKey, value: str | None, synonyms: Iterable[ConfigSynonym]) -> ConfigEntry:
    synonyms = tuple(synonyms)
    source = synonyms[0].source if synonyms else ConfigSource.DEFAULT_CONFIG
    return ConfigEntry(key.name, value, source, key.type, sensitive=key.sensitive, synonyms=synonyms)


def _overridden(
    inherited: Mapping[str, ConfigEntry],
    keys: Mapping[str, ConfigKey],
    overrides: Mapping[str, str],
    source: ConfigSource,
) -> list[ConfigEntry]:
    """`inherited`, with `overrides` on top: they are the values, and the first synonyms."""
    entries = dict(inherited)
    for name, text in overrides.items():
        if name in keys:
            value = _shown(keys[name], text)
            below = entries[name].synonyms if name in entries else ()
            entries[name] = _entry(keys[name], value, (ConfigSynonym(name, value, source), *below))
    return list(entries.values())


def _shown(key: ConfigKey | None, text: str | None) -> str | None:
    """A value's text in its usual form. What cannot be read, since another release stored it, is shown as it is."""
    if key is None or text is None:
        return text
    try:
        return key.normalised(text)
    except BadValue:
        return text


def _secret(name: str) -> bool:
    key = broker_key(name)
    return key is None or key.sensitive


def _sentences(which: str) -> Mapping[str, str]:
    """The documentation of a table of keys, loaded now: few ask for it, and it is larger than the tables."""
    from broker.config.keys import documentation

    found: Mapping[str, str] = getattr(documentation, which)
    return found
