"""Every config key of Apache Kafka and of Ottla: type, default, allowed values, who may change it, what it does.

One module per area; each has a tuple `KEYS` of `ConfigKey` (see `definition.py`), one row per key:

    ConfigKey(name, type, default, check, who may change it, what it does here)

A comment at the end of a row gives Kafka's default where ours differs. Rows that say no effect have none: the key is
accepted because files and tools for Kafka name it. Their number is no debt: most of them steer threads, purgatories,
controllers' quorums and replica fetchers, which do not exist here.

| module | keys of |
|---|---|
| `network`, `logs`, `coordinators`, `cluster` | a broker: its file, and the resource BROKER |
| `security`, `remote_storage`, `own`, `internal` | the same |
| `topics` | the resource TOPIC, with the broker keys that give their defaults |
| `groups` | the resources GROUP and CLIENT_METRICS |
| `documentation` | a sentence for each key, loaded when DescribeConfigs is asked for it |

**Where do I add a key?** A row here, a sentence there; a broker key that acts also becomes an attribute of
`BrokerConfig` (`broker/config/settings.py`), and a test fails if one of the three is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.config.keys import (
    cluster,
    coordinators,
    groups,
    internal,
    logs,
    network,
    own,
    remote_storage,
    security,
    topics,
)
from broker.config.keys.definition import BadValue, ConfigKey, ConfigType, Effect, Update, Value, text_of

__all__ = [
    "BROKER_KEYS",
    "CLIENT_METRICS_KEYS",
    "FILE_ONLY",
    "GROUP_KEYS",
    "LISTENER_PREFIX",
    "MECHANISMS",
    "PER_LISTENER",
    "PER_MECHANISM",
    "SYNONYMS",
    "TOPIC_KEYS",
    "BadValue",
    "ConfigKey",
    "ConfigType",
    "Effect",
    "Update",
    "Value",
    "broker_key",
    "effect_of",
    "listener_of",
    "synonyms_of",
    "text_of",
]

BROKER_KEYS: Final[Mapping[str, ConfigKey]] = {
    key.name: key
    for area in (network, logs, coordinators, cluster, security, remote_storage, own, internal)
    for key in area.KEYS
}
TOPIC_KEYS: Final[Mapping[str, ConfigKey]] = {key.name: key for key in topics.KEYS}
GROUP_KEYS: Final[Mapping[str, ConfigKey]] = {key.name: key for key in groups.KEYS}
CLIENT_METRICS_KEYS: Final[Mapping[str, ConfigKey]] = {key.name: key for key in groups.CLIENT_METRICS_KEYS}

_SYNONYMS: Final = (
    ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    ("log.roll.ms", "log.roll.hours"),
    ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
)
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    name: names for names in _SYNONYMS for name in (names[:1] if names[0] == "log.flush.interval.ms" else names)
}
"""Broker keys that give one setting in several units, finest first: the first that is set counts."""

LISTENER_PREFIX: Final = "listener.name."
"""`listener.name.<listener>.<key>` sets a broker key for one listener (KIP-103)."""

FILE_ONLY: Final = frozenset({"listeners", "listener.security.protocol.map", "config.providers"})
"""Keys that Kafka changes while the broker runs and that count here only in the file: listeners are bound once, and
what providers can read is not for clients to say."""

PER_LISTENER: Final = frozenset(
    {
        "max.connections",
        "max.connection.creation.rate",
        *(key.name for key in security.KEYS if key.name.startswith("ssl.") and key.effect is Effect.ACTS),
    }
)
"""Keys that act under a listener's prefix too."""

PER_MECHANISM: Final = frozenset(
    {
        "connections.max.reauth.ms",
        *(key.name for key in security.KEYS if key.name.startswith("sasl.") and key.effect is Effect.ACTS),
    }
)
"""Keys that act under the prefix of a listener, and of a SASL mechanism of it."""

MECHANISMS: Final = ("plain", "scram-sha-256", "scram-sha-512", "oauthbearer")
"""Those of SASL, as prefixes of keys write them."""


def broker_key(name: str) -> ConfigKey | None:
    """The row of a broker key, also when `name` carries a listener's prefix (and, for SASL, a mechanism's)."""
    key = BROKER_KEYS.get(name)
    if key is None and name.startswith(LISTENER_PREFIX):
        _, _, rest = name[len(LISTENER_PREFIX) :].partition(".")
        key = BROKER_KEYS.get(rest) or BROKER_KEYS.get(rest.partition(".")[2])
    return key


def effect_of(name: str) -> Effect:
    """What a known broker key does, also under a listener's prefix, where most keys do nothing.

    Kafka writes listeners' names in lower case there, and looks for no other writing.
    """
    key = broker_key(name)
    assert key is not None, "the key is known"
    if name == key.name or key.effect is not Effect.ACTS:
        return key.effect
    prefix = f"{LISTENER_PREFIX}{listener_of(name).lower()}."
    acts = key.name in PER_LISTENER | PER_MECHANISM and name == prefix + key.name
    if key.name in PER_MECHANISM:
        acts = acts or name in {f"{prefix}{mechanism}.{key.name}" for mechanism in MECHANISMS}
    return Effect.ACTS if acts else Effect.NOTHING


def listener_of(name: str) -> str:
    """The listener in a prefixed key."""
    return name[len(LISTENER_PREFIX) :].partition(".")[0]


def synonyms_of(name: str) -> tuple[str, ...]:
    """The broker keys that can give the value of broker key `name`, itself included, in order of precedence."""
    names = SYNONYMS.get(name)
    if names is None and name.startswith(LISTENER_PREFIX) and (key := broker_key(name)) is not None:
        return (name, key.name)
    return names or (name,)
