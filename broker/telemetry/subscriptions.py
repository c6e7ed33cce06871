"""Which metrics are wanted of a client: the client metrics resources of the cluster's log.

A resource names metrics by prefixes (`*` for all), how often they are wanted, and whose they are: `match` has regular
expressions that a client's parameters must match as a whole, all of them. A client gets one subscription made of all
resources that match it: their metrics together, and the shortest interval. Without any it is told to ask again after
five minutes.

A subscription has an id, by which a client that pushes what is not wanted any more is found out. It is a checksum, so
that every broker gives the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.config.keys import CLIENT_METRICS_KEYS, BadValue
from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.groups.expressions import InvalidExpression, matcher
from kproto.batches.crc32c import crc32c
from kproto.ids import Uuid

if TYPE_CHECKING:
    from broker.coordinators.cluster import ClusterImage

ALL: Final = "*"
DEFAULT_INTERVAL_MS: Final = 300_000


class Wanted(NamedTuple):
    """What is wanted of one client."""

    metrics: tuple[str, ...]
    interval_ms: int

    def id_for(self, client: Uuid) -> int:
        """The subscription's id: an int32."""
        listed = f"[{', '.join(self.metrics)}]{self.interval_ms}".encode()
        most, least = int.from_bytes(client[:8], "big"), int.from_bytes(client[8:], "big")
        mixed = most ^ least
        found = crc32c(listed) ^ (mixed >> 32 & 0xFFFFFFFF) ^ (mixed & 0xFFFFFFFF)
        return found - (1 << 32) if found >= 1 << 31 else found


@dataclass(frozen=True, slots=True)
class Subscription:
    """One resource. `matchers`: parameter of a client -> whether its text is right."""

    metrics: tuple[str, ...]
    interval_ms: int
    matchers: Mapping[str, Callable[[str], bool]]

    def concerns(self, client: Mapping[str, str]) -> bool:
        """Whether a client with these parameters is meant."""
        return all(name in client and matches(client[name]) for name, matches in self.matchers.items())


def subscriptions_of(image: ClusterImage) -> list[Subscription]:
    """All resources of the cluster's log that make sense."""
    found = []
    for (kind, name), configs in image.configs.items():
        if kind == ResourceType.CLIENT_METRICS and name:
            subscription = _subscription(configs)
            if subscription is not None:
                found.append(subscription)
    return found


def _subscription(configs: Mapping[str, str]) -> Subscription | None:
    """None for a resource whose texts, written by another release, say nothing here."""
    matchers: dict[str, Callable[[str], bool]] = {}
    try:
        metrics, interval, match = (_parsed(configs, name) for name in ("metrics", "interval.ms", "match"))
        for pattern in match if isinstance(match, tuple) else ():
            parameter, _, expression = pattern.partition("=")
            matchers[parameter.strip()] = matcher(expression.strip())
    except (BadValue, InvalidExpression):
        return None
    return Subscription(
        tuple(metrics) if isinstance(metrics, tuple) else (),
        interval if isinstance(interval, int) else DEFAULT_INTERVAL_MS,
        matchers,
    )


def _parsed(configs: Mapping[str, str], name: str) -> object:
    text = configs.get(name)
    return None if text is None else CLIENT_METRICS_KEYS[name].parse(text)


def wanted_of(subscriptions: Iterable[Subscription], client: Mapping[str, str]) -> Wanted:
    """What is wanted of a client with these parameters."""
    metrics: dict[str, None] = {}
    interval = DEFAULT_INTERVAL_MS
    for subscription in subscriptions:
        if subscription.concerns(client):
            metrics.update(dict.fromkeys(subscription.metrics))
            interval = min(interval, subscription.interval_ms)
    return Wanted((ALL,) if ALL in metrics else tuple(sorted(metrics)), interval)
