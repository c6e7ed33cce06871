"""Broker keys that Kafka does not have. Their prefix, `ottla.`, keeps them apart from whatever Kafka may add.

`ottla.ack.fsync` says what acknowledging with acks=all promises. True, the default: the bytes are on the disk, they
survive a power cut. False: the operating system has them, they survive the end of this process only, which is what
Apache Kafka promises with one replica. It can be set for a topic, the cluster, a broker. What coordinators write
(offsets, topics) is always synced.

`ottla.cluster.id` is the id that a new data directory gets; where there is one already, it must be the same. Without it
a new one is invented, so nothing has to be formatted before a broker starts.

`ottla.emulate` is an older release of Kafka as which the broker answers clients (`broker/emulation.py`).

`ottla.validate.records` says of which batches each record is looked at before they are stored, so that one that no
consumer could read is refused: of small ones, where that costs next to nothing and the mistake of a hand-written client
shows; of all, as Apache Kafka does; of none. What a topic asks for is looked at in any case.
"""

from __future__ import annotations

import re
from typing import Final

from broker.config.keys.definition import (
    ConfigKey,
    ConfigType,
    Effect,
    Update,
    at_least,
    not_empty,
    one_of,
    one_of_any_case,
)
from broker.config.listener_specs import ListenerError, parse_http_address


def http_address(value: str) -> str | None:
    """Nothing, or where something is served over HTTP."""
    try:
        if value:
            parse_http_address(value)
    except ListenerError as error:
        return str(error)
    return None


def a_release(value: str) -> str | None:
    """Nothing, or a release of Kafka's that can be played."""
    if not value:
        return None
    from kproto.release.history import RELEASES, release_named

    if release_named(value) is not None:
        return None
    return f"it must be a release of Kafka from {RELEASES[0]} to {RELEASES[-1]}, such as 3.7"


def a_database(text: str) -> str | None:
    """What is wrong with the address of a cluster's database, which is never shown."""
    return None if text.startswith(("postgresql://", "postgres://")) else "it must begin with postgresql://"


def a_word(text: str) -> str | None:
    """What is wrong with an id of a cluster. Kafka takes any text; a line of `meta.properties` has to hold it."""
    sound = 0 < len(text) <= 64 and text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    return None if sound else "it must be 1 to 64 letters, digits and signs"


def a_token(text: str) -> str | None:
    """What is wrong with a token that was chosen."""
    sound = 16 <= len(text) <= 128 and re.fullmatch(r"[A-Za-z0-9._~+/=-]+", text)
    return None if sound else "it must be 16 to 128 letters, digits and signs of ._~+/=-"


KEYS: Final = (
    ConfigKey("ottla.ack.fsync", ConfigType.BOOLEAN, "true", None, Update.CLUSTER_WIDE, Effect.ACTS),
    ConfigKey("ottla.cluster", ConfigType.PASSWORD, None, a_database, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.cluster.id", ConfigType.STRING, None, a_word, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.control.listener", ConfigType.STRING, "", http_address, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.control.token", ConfigType.PASSWORD, None, a_token, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.drain", ConfigType.BOOLEAN, "false", None, Update.PER_BROKER, Effect.ACTS),
    ConfigKey("ottla.emulate", ConfigType.STRING, "", a_release, Update.READ_ONLY, Effect.ACTS),
    ConfigKey(
        "ottla.group.state.max.bytes",
        ConfigType.LONG,
        str(512 << 20),
        at_least(1 << 20),
        Update.READ_ONLY,
        Effect.ACTS,
    ),
    ConfigKey(
        "ottla.log.format",
        ConfigType.STRING,
        "auto",
        one_of("auto", "text", "json"),
        Update.READ_ONLY,
        Effect.ACTS,
    ),
    ConfigKey(
        "ottla.log.level",
        ConfigType.STRING,
        "info",
        one_of_any_case("debug", "info", "warning", "error"),
        Update.READ_ONLY,
        Effect.ACTS,
    ),
    ConfigKey("ottla.metrics.listener", ConfigType.STRING, "", http_address, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.objects", ConfigType.STRING, None, not_empty, Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.storage", ConfigType.STRING, "local", one_of("local", "memory"), Update.READ_ONLY, Effect.ACTS),
    ConfigKey("ottla.telemetry.enable", ConfigType.BOOLEAN, "false", None, Update.READ_ONLY, Effect.ACTS),
    ConfigKey(
        "ottla.transaction.state.max.bytes",
        ConfigType.LONG,
        str(256 << 20),
        at_least(1 << 20),
        Update.READ_ONLY,
        Effect.ACTS,
    ),
    ConfigKey(
        "ottla.validate.records",
        ConfigType.STRING,
        "small",
        one_of("small", "all", "none"),
        Update.CLUSTER_WIDE,
        Effect.ACTS,
    ),
)
