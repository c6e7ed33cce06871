"""The client instances that were heard of: when each may ask and push, and what it last pushed.

A client calls itself by an id of 16 bytes, which it is given when it asks with zeros. It asks what is wanted of it
(GetTelemetrySubscriptions), and pushes that every so often (PushTelemetry):

* It may ask once an interval, counted from its last question or push; sooner only if the subscriptions have changed.
* It may push once an interval, and straight after it has asked; the last push, which says that it is terminating, comes
  whenever it likes, and then nothing may come.
* What is too early is THROTTLING_QUOTA_EXCEEDED. A push for another subscription than the present one is
  UNKNOWN_SUBSCRIPTION_ID, upon which the client asks again; one in an unknown codec UNSUPPORTED_COMPRESSION_TYPE, one
  that is too large TELEMETRY_TOO_LARGE.

An instance is forgotten after three intervals without a word, or a minute, and when its connection has ended: a client
that comes back may ask at once. What it has pushed stays as long as there is room.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from broker.coordinators.cluster.image import ResourceType
from broker.telemetry.payload import MAX_METRICS, Number
from broker.telemetry.subscriptions import Subscription, Wanted, subscriptions_of, wanted_of
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID, Uuid, format_uuid

if TYPE_CHECKING:
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator
    from storage.seams.entropy import Entropy

MAX_INSTANCES: Final = 16_384
MAX_NUMBERS: Final = 200_000
"""Numbers of all instances together, about 200 bytes each."""
LEAST_MILLIS: Final = 60_000
CODECS: Final = range(5)
"""Codecs in which a push may come: none, gzip, snappy, lz4, zstd."""
OFFERED: Final = (4, 3, 1, 2)
"""Codecs in the order in which clients are asked to prefer them."""

_ONE: Final = bytes(15) + b"\1"
RESERVED: Final = (ZERO_UUID, _ONE)


class Connected(Protocol):
    """A connection, as far as it matters: whether it has ended."""

    gone: bool


@dataclass(frozen=True, slots=True)
class InstanceStatistics:
    """What is known of one client instance. `parameters` are those that subscriptions can match; `numbers` what it has
    pushed, by name; `idle_ms` how long ago it was last heard of."""

    parameters: Mapping[str, str]
    numbers: Mapping[str, float]
    pushes: int
    idle_ms: int


class Instance:
    """One client instance. Times are monotonic milliseconds."""

    __slots__ = (
        "_asked_at",
        "_pushed_at",
        "client",
        "connection",
        "heard_at",
        "numbers",
        "parameters",
        "pushes",
        "terminating",
        "version",
        "wanted",
    )

    def __init__(
        self, client: Uuid, parameters: Mapping[str, str], connection: Connected, wanted: Wanted, version: int
    ) -> None:
        self.client = client
        self.parameters = parameters
        self.connection = connection
        self.wanted = wanted
        self.version = version  # of the subscriptions of which `wanted` was made
        self.terminating = False
        self.heard_at = 0
        self.numbers: dict[str, float] = {}
        self.pushes = 0
        self._asked_at = self._pushed_at = -math.inf

    @property
    def subscription_id(self) -> int:
        """The id of what is wanted of it."""
        return self.wanted.id_for(self.client)

    def may_ask(self, now: int) -> bool:
        """Whether it may ask now; then it has."""
        if now - max(self._asked_at, self._pushed_at) < self.wanted.interval_ms:
            return False
        self._asked_at = now
        return True

    def may_push(self, now: int) -> bool:
        """Whether it may push now; then it has."""
        if self._asked_at <= self._pushed_at and now - self._pushed_at < self.wanted.interval_ms:
            return False
        self._pushed_at = now
        return True

    def renewed(self, wanted: Wanted, version: int, connection: Connected) -> Instance:
        """The same client, of whom something else may be wanted: it may ask at once."""
        again = Instance(self.client, self.parameters, connection, wanted, version)
        again.numbers, again.pushes = self.numbers, self.pushes
        return again


class Telemetry:
    """All client instances of the broker."""

    def __init__(self, cluster: ClusterCoordinator, entropy: Entropy, max_bytes: int) -> None:
        self._cluster = cluster
        self._entropy = entropy
        self._max_bytes = max_bytes
        self._subscriptions: list[Subscription] = subscriptions_of(cluster.image)
        self._version = 0
        self._instances: OrderedDict[Uuid, Instance] = OrderedDict()  # least recently heard of first
        self._numbers = 0
        cluster.subscribe(self._follow)

    def ask(self, client: Uuid, parameters: Mapping[str, str], connection: Connected, now: int) -> Instance:
        """The instance of this client, new ids given out; `parameters` without the instance's id.

        Raises KafkaError(THROTTLING_QUOTA_EXCEEDED) if it asks too early.
        """
        while client == ZERO_UUID:
            drawn = self._entropy.uuid()
            client = ZERO_UUID if drawn in self._instances or drawn in RESERVED else drawn
        instance = self._instance(client, parameters, connection, now)
        if not instance.may_ask(now):
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)
        return instance

    def check_push(
        self, client: Uuid, parameters: Mapping[str, str], connection: Connected, now: int, *,
        subscription_id: int, codec: int, size: int, terminating: bool,
    ) -> Instance:  # fmt: skip
        """The instance of a client that may push this. Raises KafkaError."""
        if client in RESERVED:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        instance = self._instance(client, parameters, connection, now)
        ended, instance.terminating = instance.terminating, terminating
        if ended:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        if not instance.may_push(now) and not terminating:
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)
        if subscription_id != instance.subscription_id:
            raise KafkaError(ErrorCode.UNKNOWN_SUBSCRIPTION_ID)
        if codec not in CODECS:
            raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        if size > self._max_bytes:
            raise KafkaError(ErrorCode.TELEMETRY_TOO_LARGE)
        return instance

    def keep(self, client: Uuid, pushed: Mapping[str, Number]) -> None:
        """Remember what an instance has pushed, if it is still known."""
        instance = self._instances.get(client)
        if instance is None:
            return
        instance.pushes += 1
        numbers = instance.numbers
        for name, number in pushed.items():
            before = numbers.get(name)
            if before is not None:
                numbers[name] = before + number.value if number.delta else number.value
            elif len(numbers) < MAX_METRICS:
                numbers[name] = number.value
                self._numbers += 1
        for other in self._instances.values():
            if self._numbers <= MAX_NUMBERS:
                break
            self._numbers -= len(other.numbers)
            other.numbers = {}

    def __len__(self) -> int:
        """Client instances that are known."""
        return len(self._instances)

    @property
    def numbers(self) -> int:
        """Numbers of all instances together."""
        return self._numbers

    def pushing(self) -> list[Instance]:
        """The instances of which something is kept, the least recently heard of first."""
        return [each for each in self._instances.values() if each.numbers]

    def statistics(self, now: int) -> list[InstanceStatistics]:
        """Every instance, the least recently heard of first."""
        return [
            InstanceStatistics(
                {**each.parameters, "client_instance_id": format_uuid(each.client)},
                dict(each.numbers),
                each.pushes,
                now - each.heard_at,
            )
            for each in self._instances.values()
        ]

    def check(self) -> None:
        """Assert that what is counted is there, and within its bounds."""
        assert self._numbers == sum(len(each.numbers) for each in self._instances.values()) <= MAX_NUMBERS
        assert len(self._instances) <= MAX_INSTANCES

    def _instance(self, client: Uuid, parameters: Mapping[str, str], connection: Connected, now: int) -> Instance:
        known = self._instances.pop(client, None)
        if known is None:
            self._make_room(now)
            wanted = self._wanted(client, parameters)
            instance = Instance(client, dict(parameters), connection, wanted, self._version)
        elif known.version != self._version or (known.connection is not connection and known.connection.gone):
            wanted = self._wanted(client, known.parameters)
            instance = known.renewed(wanted, self._version, connection)
        else:
            instance = known
        instance.heard_at = now
        self._instances[client] = instance
        return instance

    def _wanted(self, client: Uuid, parameters: Mapping[str, str]) -> Wanted:
        return wanted_of(self._subscriptions, {**parameters, "client_instance_id": format_uuid(client)})

    def _make_room(self, now: int) -> None:
        while self._instances:
            oldest = next(iter(self._instances.values()))
            kept_for = max(LEAST_MILLIS, 3 * oldest.wanted.interval_ms)
            if len(self._instances) < MAX_INSTANCES and now - oldest.heard_at < kept_for:
                return
            del self._instances[oldest.client]
            self._numbers -= len(oldest.numbers)

    def _follow(self, change: ClusterChange) -> None:
        if any(kind == ResourceType.CLIENT_METRICS for kind, _ in change.configs_changed):
            self._subscriptions = subscriptions_of(self._cluster.image)
            self._version += 1
