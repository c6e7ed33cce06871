"""Rates at which connections may be opened (KIP-612)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.coordinators.cluster.quotas import entity_of
from broker.quotas import connections as module
from broker.quotas.connections import AT_ONCE, Admission, ConnectionRates
from broker.quotas.rates import Windows
from broker.testing.contexts import config

BY_TEN = Windows(11, 1000)


def rates(settings: Mapping[str, str] | None = None, /, **addresses: float) -> ConnectionRates:
    found = ConnectionRates(BY_TEN, config(settings))
    for name, limit in addresses.items():
        found.put(entity_of([("ip", None if name == "others" else "10.0.0.1")]), limit)
    return found


def test_nothing_is_limited_at_first() -> None:
    """Kafka's defaults are endless."""
    assert not rates().active
    assert rates(others=1).active
    assert rates({"max.connection.creation.rate": "5"}).active
    assert rates({"listener.name.plaintext.max.connection.creation.rate": "5"}).active


def test_the_brokers_rate_makes_all_wait() -> None:
    """Whatever their address; nothing is refused, and no wait is longer than a window."""
    found = rates({"max.connection.creation.rate": "10"})
    for number in range(100):
        assert found.admit("PLAINTEXT", f"10.0.0.{number}", 0) == AT_ONCE
    assert found.admit("PLAINTEXT", "10.0.0.200", 0) == Admission(100, False)
    for number in range(100):
        found.admit("PLAINTEXT", f"10.0.0.{number}", 0)
    assert found.admit("PLAINTEXT", "10.0.0.1", 0) == Admission(1000, False)


def test_a_listeners_rate_is_its_own() -> None:
    """By its prefix, in lower case."""
    found = rates({"listener.name.plaintext.max.connection.creation.rate": "1"})
    for _ in range(11):
        last = found.admit("PLAINTEXT", "10.0.0.1", 0)
    assert last == Admission(1000, False)
    assert found.admit("OTHER", "10.0.0.1", 0) == AT_ONCE


def test_an_address_that_comes_too_often_is_refused() -> None:
    """After a wait; others are served, and its refused connections do not use up the broker's rate."""
    found = rates({"max.connection.creation.rate": "2"}, first=1)
    for _ in range(10):
        assert found.admit("PLAINTEXT", "10.0.0.1", 0) == AT_ONCE
    for _ in range(100):
        assert found.admit("PLAINTEXT", "10.0.0.1", 0) == Admission(1000, True)
    for _ in range(10):
        assert found.admit("PLAINTEXT", "10.0.0.2", 0) == AT_ONCE
    assert found.admit("PLAINTEXT", "10.0.0.1", 12_000) == AT_ONCE
    assert found.delayed == 100


def test_an_address_has_its_own_limit_or_that_of_all_others() -> None:
    """The default is each address's, not of all together."""
    found = rates(others=1, first=1000)
    for _ in range(10):
        assert found.admit("PLAINTEXT", "10.0.0.2", 0) == found.admit("PLAINTEXT", "10.0.0.3", 0) == AT_ONCE
    assert found.admit("PLAINTEXT", "10.0.0.2", 0).refused
    assert found.admit("PLAINTEXT", "10.0.0.1", 0) == AT_ONCE
    found.put(entity_of([("ip", None)]), None)
    assert found.admit("PLAINTEXT", "10.0.0.2", 0) == AT_ONCE


def test_addresses_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently seen makes way."""
    monkeypatch.setattr(module, "MAX_ADDRESSES", 5)
    found = rates(others=1)
    for number in range(200):
        found.admit("PLAINTEXT", f"10.0.0.{number}", 0)
    assert found.addresses == 5


def test_users_have_no_part_in_it() -> None:
    """Their quotas are others."""
    found = rates()
    found.put(entity_of([("user", None)]), 1)
    assert not found.active
