"""What is counted for whom, and how long a client is to wait.

Four things are counted for a client, each by a key of its quotas: bytes of Produce requests (all of a request, not only
records), bytes of records that Fetches give, the event loop's time that requests take, and the partitions that are made
and removed. The first three are rates; the last is a token bucket. A limit is looked up when something is counted, so
a quota that is changed counts from then on, with what has been counted before.

Waiting times are milliseconds. That for time of the event loop is a window at most (Kafka:
ClientRequestQuotaManager): a client whose one request took a minute is not shut out for an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from broker.coordinators.cluster.quotas import (
    CONNECTION_CREATION_RATE,
    CONSUMER_BYTE_RATE,
    CONTROLLER_MUTATION_RATE,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
    Entity,
)
from broker.coordinators.cluster.quotas import (
    Quotas as Stored,
)
from broker.quotas.connections import ConnectionRates
from broker.quotas.limits import Limits, Whose
from broker.quotas.rates import Rate, TokenBucket, Windows
from kproto.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterImage

MAX_RATES: Final = 10_000
"""Clients whose rate of one kind is known, some 400 bytes each and 100 a sample."""

IDLE_MILLIS: Final = 3_600_000
"""After so long a rate is forgotten (Kafka: InactiveSensorExpirationTimeSeconds)."""

PERCENT: Final = 100.0

M = TypeVar("M", Rate, TokenBucket)


@dataclass(frozen=True, slots=True)
class QuotaStatistics:
    """By key of a quota: limits that are set, clients whose rate is known, requests that were delayed since the start,
    and by how many milliseconds together. Connections stand under `connection_creation_rate`, by address."""

    limits: Mapping[str, int]
    clients: Mapping[str, int]
    delayed: Mapping[str, int]
    delay_ms: Mapping[str, int]


class Measures(Generic[M]):
    """One kind of thing that is counted: limits, and the rates of those who have one."""

    def __init__(self, make: Callable[[], M]) -> None:
        self.limits = Limits()
        self.delayed = 0
        self.delay_ms = 0
        self._make: Callable[[], M] = make
        self._kept: OrderedDict[Whose, tuple[M, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, whose: Whose, now: int) -> M:
        """The measure of these clients, made if it is new. The least recently used make way for it."""
        found = self._kept.pop(whose, None)
        if found is None:
            while self._kept and (
                len(self._kept) >= MAX_RATES or next(iter(self._kept.values()))[1] < now - IDLE_MILLIS
            ):
                self._kept.popitem(last=False)
        measure = self._make() if found is None else found[0]
        self._kept[whose] = measure, now
        return measure

    def note(self, delay: int) -> int:
        """Count a delay, and return it."""
        if delay > 0:
            self.delayed += 1
            self.delay_ms += delay
        return delay


class MutationQuota:
    """What one request may change of topics. `delay` is how long its client is to wait then.

    Strictly, a request that meets a debt is refused; else it is carried out, and its client waits longer (KIP-599).
    """

    __slots__ = ("_bucket", "_limit", "_now", "delay", "strict")

    def __init__(self, bucket: TokenBucket, limit: float, now: int, strict: bool) -> None:
        self._bucket = bucket
        self._limit = limit
        self._now = now
        self.strict = strict
        self.delay = 0

    def __call__(self, partitions: int) -> None:
        """Count partitions that are made or removed. Raises KafkaError(THROTTLING_QUOTA_EXCEEDED)."""
        if self.strict and (delay := self._bucket.delay(self._limit, self._now)):
            self.delay = delay
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)
        self._bucket.take(partitions, self._limit, self._now)
        if not self.strict:
            self.delay = self._bucket.delay(self._limit, self._now)


class Quotas:
    """The quotas of clients, and what they have used of them. `active` is False while there are none."""

    def __init__(self, config: BrokerConfig) -> None:
        windows = Windows(config.quota_window_num, config.quota_window_size_seconds * 1000)
        controller = Windows(config.controller_quota_window_num, config.controller_quota_window_size_seconds * 1000)
        self._windows = windows
        self._produced = Measures(lambda: Rate(windows))
        self._fetched = Measures(lambda: Rate(windows))
        self._worked = Measures(lambda: Rate(windows))
        self._changed = Measures(lambda: TokenBucket(controller))
        self.connections = ConnectionRates(windows, config)
        self._limits: Mapping[str, Limits] = {
            PRODUCER_BYTE_RATE: self._produced.limits,
            CONSUMER_BYTE_RATE: self._fetched.limits,
            REQUEST_PERCENTAGE: self._worked.limits,
            CONTROLLER_MUTATION_RATE: self._changed.limits,
        }

    @property
    def active(self) -> bool:
        """Whether anything is limited."""
        return self.connections.active or any(map(len, self._limits.values()))

    @property
    def times_requests(self) -> bool:
        """Whether the time that requests take is limited for any client."""
        return len(self._worked.limits) > 0

    # --- what is set

    def adopt(self, image: ClusterImage) -> None:
        """Take over every quota of the cluster's log."""
        self._put(image.client_quotas, image.client_quotas)

    def follow(self, image: ClusterImage, change: ClusterChange) -> None:
        """Take over those that have changed."""
        self._put(change.quotas_changed, image.client_quotas)

    def reconfigure(self, config: BrokerConfig) -> None:
        """The dynamic settings have changed."""
        self.connections.reconfigure(config)

    def _put(self, entities: Iterable[Entity], stored: Mapping[Entity, Stored]) -> None:
        for entity in entities:
            quotas = stored.get(entity, {})
            for key, limits in self._limits.items():
                limits.put(entity, quotas.get(key))
            self.connections.put(entity, quotas.get(CONNECTION_CREATION_RATE))

    # --- what is used

    def produced(self, user: str, client_id: str, size: int, now: int) -> int:
        """Count a Produce request of `size` bytes; how long its client is to wait."""
        found = self._produced.limits.of(user, client_id)
        if found is None:
            return 0
        rate = self._produced.of(found[0], now)
        rate.record(size, now)
        return self._produced.note(rate.delay(found[1], now))

    def fetched(self, user: str, client_id: str, size: int, now: int) -> int:
        """Count the bytes that a Fetch is about to give. If its client is to wait they are not given, nor counted."""
        found = self._fetched.limits.of(user, client_id)
        if found is None or size == 0:
            return 0
        rate = self._fetched.of(found[0], now)
        rate.record(size, now)
        delay = rate.delay(found[1], now)
        if delay > 0:
            rate.record(-size, now)
        return self._fetched.note(delay)

    def most_fetched(self, user: str, client_id: str) -> int | None:
        """Bytes that one Fetch may give: more could not be given at any time."""
        found = self._fetched.limits.of(user, client_id)
        return None if found is None else int(found[1] * (self._windows.number - 1) * self._windows.millis / 1000)

    def worked(self, user: str, client_id: str, seconds: float, now: int) -> int:
        """Count time that a request took of the event loop; how long its client is to wait."""
        found = self._worked.limits.of(user, client_id)
        if found is None:
            return 0
        rate = self._worked.of(found[0], now)
        rate.record(seconds * PERCENT, now)
        return self._worked.note(min(rate.delay(found[1], now), self._windows.millis))

    def changes(self, user: str, client_id: str, now: int, *, strict: bool) -> MutationQuota | None:
        """What a request may change of topics; None for no limit."""
        found = self._changed.limits.of(user, client_id)
        return None if found is None else MutationQuota(self._changed.of(found[0], now), found[1], now, strict)

    def changed(self, quota: MutationQuota) -> int:
        """How long the client of a request that has changed topics is to wait."""
        return self._changed.note(quota.delay)

    def statistics(self) -> QuotaStatistics:
        """Counts now."""
        measures: Mapping[str, Measures[Rate] | Measures[TokenBucket]] = {
            PRODUCER_BYTE_RATE: self._produced,
            CONSUMER_BYTE_RATE: self._fetched,
            REQUEST_PERCENTAGE: self._worked,
            CONTROLLER_MUTATION_RATE: self._changed,
        }
        connections = self.connections
        return QuotaStatistics(
            {key: len(each.limits) for key, each in measures.items()} | {CONNECTION_CREATION_RATE: connections.limits},
            {key: len(each) for key, each in measures.items()} | {CONNECTION_CREATION_RATE: connections.addresses},
            {key: each.delayed for key, each in measures.items()} | {CONNECTION_CREATION_RATE: connections.delayed},
            {key: each.delay_ms for key, each in measures.items()} | {CONNECTION_CREATION_RATE: connections.delay_ms},
        )
