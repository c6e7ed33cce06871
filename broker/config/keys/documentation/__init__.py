"""One sentence for each config key, in our own words: what DescribeConfigs answers when asked for documentation.

The texts stand in modules named like the tables they belong to, as lines `key: sentence`; a line that begins with a
blank goes on with the sentence before it. What a key does in Ottla is not written there: it follows from the key's row
(`Effect`), so it cannot be forgotten when that changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.config.keys import BROKER_KEYS, CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS, ConfigKey, Effect
from broker.config.keys.documentation import (
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

_EFFECTS: Final = {
    Effect.ACTS: "",
    Effect.LATER: " (Accepted; Ottla does not serve what it is for yet.)",
    Effect.REFUSED: " (Accepted only where it changes nothing: Ottla would not do what it asks for.)",
    Effect.NOTHING: " (Accepted, but without meaning in Ottla.)",
}


def sentences(text: str) -> dict[str, str]:
    """Key -> sentence, from lines `key: sentence` and their continuations."""
    found: dict[str, str] = {}
    for line in text.replace("\n ", " ").splitlines():
        name, _, sentence = line.partition(": ")
        if sentence:
            assert name not in found, f"{name} is documented twice"
            found[name] = " ".join(sentence.split())
    return found


def _with_effects(keys: Mapping[str, ConfigKey], *texts: str) -> dict[str, str]:
    documented = {name: sentence for text in texts for name, sentence in sentences(text).items()}
    return {name: documented[name] + _EFFECTS[key.effect] for name, key in keys.items()}


BROKERS: Final = _with_effects(
    BROKER_KEYS,
    *(area.TEXT for area in (network, logs, coordinators, cluster, security, remote_storage, own, internal)),
)
TOPICS: Final = _with_effects(TOPIC_KEYS, topics.TEXT)
GROUPS: Final = _with_effects(GROUP_KEYS, groups.TEXT)
CLIENT_METRICS: Final = _with_effects(CLIENT_METRICS_KEYS, groups.CLIENT_METRICS_TEXT)
