"""What is counted for whom: rates, buckets, their bounds, and changes that count at once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.coordinators.cluster import ClusterChange, ClusterImage
from broker.coordinators.cluster.persistent_map import PersistentMap
from broker.coordinators.cluster.quotas import Entity, entity_of
from broker.coordinators.cluster.quotas import Quotas as Stored
from broker.quotas import quotas as module
from broker.quotas.quotas import Quotas
from broker.testing.contexts import config
from kproto.errors import ErrorCode, KafkaError

EVERYONE = entity_of([("client-id", None)])
NO_QUOTAS: PersistentMap[Entity, Stored] = PersistentMap()


def quotas_of(settings: Mapping[str, str] | None = None, **limits: float) -> Quotas:
    """Quotas of each client id."""
    quotas = Quotas(config(settings))
    quotas.adopt(ClusterImage(client_quotas=NO_QUOTAS.updated({EVERYONE: limits})))
    return quotas


def test_bytes_produced_are_counted_by_client() -> None:
    """Ten seconds' worth are free, and each client has its own."""
    quotas = quotas_of(producer_byte_rate=1000)
    assert quotas.produced("u", "a", 10_000, 0) == 0
    assert quotas.produced("u", "a", 1_000, 0) == 1_000
    assert quotas.produced("v", "a", 1_000, 0) == 2_000, "users share the rate of a client id"
    assert quotas.produced("u", "b", 1_000, 0) == 0
    assert quotas.fetched("u", "a", 10**9, 0) == 0, "another key"


def test_a_fetch_that_is_too_early_counts_nothing() -> None:
    """It gives nothing either."""
    quotas = quotas_of(consumer_byte_rate=1000)
    assert quotas.most_fetched("u", "a") == 10_000
    assert quotas.fetched("u", "a", 10_000, 0) == 0
    assert quotas.fetched("u", "a", 5_000, 0) == 5_000
    assert quotas.fetched("u", "a", 1_000, 0) == 1_000
    assert quotas.fetched("u", "a", 0, 0) == 0


def test_time_is_a_percentage_and_waits_are_short() -> None:
    """A window at most."""
    quotas = quotas_of(request_percentage=10)
    assert quotas.times_requests
    assert quotas.worked("u", "a", 1.0, 0) == 0
    assert quotas.worked("u", "a", 0.01, 0) == 100
    assert quotas.worked("u", "a", 60, 0) == 1000


def test_windows_are_those_of_the_settings() -> None:
    """Number and size, of clients' rates and of the controller's."""
    quotas = quotas_of(
        {
            "quota.window.num": "3",
            "quota.window.size.seconds": "2",
            "controller.quota.window.num": "5",
            "controller.quota.window.size.seconds": "2",
        },
        producer_byte_rate=1000,
        controller_mutation_rate=1,
    )
    assert quotas.produced("u", "a", 4_000, 0) == 0
    assert quotas.produced("u", "a", 1_000, 0) == 1_000
    changes = quotas.changes("u", "a", 0, strict=False)
    assert changes is not None
    changes(10)
    assert changes.delay == 0
    changes(1)
    assert changes.delay == 1_000


def test_strict_changes_are_refused_while_there_is_a_debt() -> None:
    """The one that makes the debt is carried out."""
    quotas = quotas_of(controller_mutation_rate=1)
    first = quotas.changes("u", "a", 0, strict=True)
    assert first is not None
    first(15)
    assert first.delay == 0
    with pytest.raises(KafkaError) as refused:
        first(1)
    assert refused.value.code is ErrorCode.THROTTLING_QUOTA_EXCEEDED
    assert quotas.changed(first) == 4_000
    later = quotas.changes("u", "a", 4_000, strict=True)
    assert later is not None
    later(1)


def test_a_change_counts_at_once() -> None:
    """For what has been counted before as well; and where no quota is left, nothing is active."""
    quotas = quotas_of(producer_byte_rate=1000)
    assert quotas.produced("u", "a", 10_000, 0) == 0
    lower = ClusterImage(client_quotas=NO_QUOTAS.updated({EVERYONE: {"producer_byte_rate": 500.0}}))
    quotas.follow(lower, ClusterChange(quotas_changed=frozenset({EVERYONE})))
    assert quotas.produced("u", "a", 0, 0) == 10_000
    assert quotas.active
    quotas.follow(ClusterImage(), ClusterChange(quotas_changed=frozenset({EVERYONE})))
    assert quotas.produced("u", "a", 10**9, 0) == 0
    assert not quotas.active


def test_client_ids_that_are_made_up_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """C19: the least recently seen makes way; one that goes on is not forgotten."""
    monkeypatch.setattr(module, "MAX_RATES", 10)
    quotas = quotas_of(producer_byte_rate=1000)
    quotas.produced("u", "steady", 20_000, 0)
    for number in range(1000):
        quotas.produced("u", f"made up {number}", 1, 0)
        assert quotas.produced("u", "steady", 0, 0) == 10_000
    assert quotas.statistics().clients["producer_byte_rate"] == 10


def test_a_rate_is_forgotten_after_an_hour() -> None:
    """When another one is made."""
    quotas = quotas_of(producer_byte_rate=1000)
    quotas.produced("u", "a", 1, 0)
    quotas.produced("u", "b", 1, module.IDLE_MILLIS)
    assert quotas.statistics().clients["producer_byte_rate"] == 2
    quotas.produced("u", "c", 1, module.IDLE_MILLIS + 1)
    assert quotas.statistics().clients["producer_byte_rate"] == 2


def test_what_was_delayed_is_counted() -> None:
    """By key, with the milliseconds."""
    quotas = quotas_of(producer_byte_rate=1000)
    quotas.produced("u", "a", 11_000, 0)
    quotas.produced("u", "a", 1_000, 0)
    found = quotas.statistics()
    assert (found.limits["producer_byte_rate"], found.delayed["producer_byte_rate"]) == (1, 2)
    assert found.delay_ms["producer_byte_rate"] == 3_000
