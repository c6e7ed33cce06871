"""Client quotas in the cluster's log: whom they can be for, what is refused, and that snapshots carry them.

The values are those that a running Kafka takes and refuses (`trials compare-answers --only AlterClientQuotas`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan

import pytest

from broker.coordinators.cluster import quotas
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.quota_changes import decide_quotas
from broker.coordinators.cluster.quotas import (
    Entity,
    QuotaAlteration,
    StoredQuotas,
    check_entity,
    check_values,
    entity_of,
    quota_record,
    quota_records,
)
from broker.tests.coordinators.cluster.decided import Cluster
from kproto.errors import ErrorCode, KafkaError

USER = entity_of([("user", "u")])
RATE = "producer_byte_rate"


def altered(cluster: Cluster, *alterations: QuotaAlteration, validate_only: bool = False) -> list[ErrorCode | None]:
    """The codes of a request's answers."""
    return [_altered(cluster, each, validate_only) for each in alterations]


def _altered(cluster: Cluster, one: QuotaAlteration, validate_only: bool) -> ErrorCode | None:
    try:
        cluster.take(lambda promise: decide_quotas(one, validate_only, cluster.machine, promise))
    except KafkaError as error:
        return error.code
    return None


def quotas_of(cluster: Cluster, entity: Entity) -> Mapping[str, float]:
    return cluster.machine.quotas.entities.get(entity, {})


def test_what_is_set_is_remembered_and_what_is_removed_is_forgotten() -> None:
    """An entity without quotas is none."""
    cluster = Cluster()
    assert altered(cluster, QuotaAlteration(USER, [(RATE, 5.0), ("request_percentage", 1.5)])) == [None]
    assert quotas_of(cluster, USER) == {RATE: 5.0, "request_percentage": 1.5}
    assert altered(cluster, QuotaAlteration(USER, [(RATE, None)])) == [None]
    assert quotas_of(cluster, USER) == {"request_percentage": 1.5}
    assert altered(cluster, QuotaAlteration(USER, [("request_percentage", None)])) == [None]
    assert len(cluster.machine.quotas.entities) == 0


def test_what_changes_nothing_writes_nothing() -> None:
    """And what is only tried writes nothing either."""
    cluster = Cluster()
    altered(cluster, QuotaAlteration(USER, [(RATE, 5.0)]))
    written = len(cluster.log)
    altered(cluster, QuotaAlteration(USER, [(RATE, 5.0), ("consumer_byte_rate", None), ("unknown", None)]))
    altered(cluster, QuotaAlteration(USER, [(RATE, 6.0)]), validate_only=True)
    assert len(cluster.log) == written


def test_one_bad_value_leaves_its_entity_as_it_was() -> None:
    """The other entities of the request are changed."""
    cluster = Cluster()
    other = entity_of([("client-id", None)])
    results = altered(
        cluster,
        QuotaAlteration(USER, [(RATE, 5.0), ("consumer_byte_rate", -1.0)]),
        QuotaAlteration(other, [(RATE, 5.0)]),
    )
    assert results == [ErrorCode.INVALID_REQUEST, None]
    assert (quotas_of(cluster, USER), quotas_of(cluster, other)) == ({}, {RATE: 5.0})


def test_a_key_named_twice_is_refused() -> None:
    """Which of the two is meant is not for the broker to guess."""
    cluster = Cluster()
    assert altered(cluster, QuotaAlteration(USER, [(RATE, 7.0), (RATE, 8.0)])) == [ErrorCode.INVALID_REQUEST]


@pytest.mark.parametrize(
    "parts",
    [
        [], [("user", "")], [("group", "g")], [("", "x")], [("user", "u"), ("group", "g")],
        [("ip", "10.0.0.1"), ("user", "u")], [("ip", None), ("client-id", None)], [("ip", "300.1.1.1")],
    ],
)  # fmt: skip
def test_entities_that_can_have_no_quotas(parts: list[tuple[str, str | None]]) -> None:
    """Each is INVALID_REQUEST."""
    with pytest.raises(KafkaError) as refused:
        check_entity(entity_of(parts))
    assert refused.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (RATE, [1.0, 1.0000001, 2.0**63], [0.0, -1.0, 1.5, 1e19, inf, nan]),
        ("consumer_byte_rate", [1.0, 2.0**63], [0.0, 0.5, inf, nan]),
        ("request_percentage", [0.1, 1e300], [0.0, -1.0, inf, nan]),
        ("controller_mutation_rate", [0.1, 1e300], [0.0, -1.0, inf, nan]),
        ("connection_creation_rate", [], [1.0]),
    ],
)
def test_numbers_of_users(key: str, good: list[float], bad: list[float]) -> None:
    """Byte rates are whole; nothing is 0, endless or no number; addresses have a key of their own."""
    for value in good:
        check_values(USER, {key: value})
    for value in bad:
        with pytest.raises(KafkaError):
            check_values(USER, {key: value})


def test_numbers_of_addresses() -> None:
    """Connections a second: whole, and no more than an int holds."""
    address = entity_of([("ip", "::1")])
    for value in (1.0, 2.0**31 - 1):
        check_values(address, {"connection_creation_rate": value})
    for key, value in (("connection_creation_rate", 2.0**31), ("connection_creation_rate", 1.5), (RATE, 1.0)):
        with pytest.raises(KafkaError):
            check_values(address, {key: value})


def test_entities_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has quotas already can be given others."""
    monkeypatch.setattr(quotas, "MAX_ENTITIES", 2)
    cluster = Cluster()
    several = [QuotaAlteration(entity_of([("user", name)]), [(RATE, 5.0)]) for name in "abc"]
    assert altered(cluster, *several) == [None, None, ErrorCode.POLICY_VIOLATION]
    assert altered(cluster, QuotaAlteration(several[0].entity, [("consumer_byte_rate", 5.0)])) == [None]


def test_a_snapshot_makes_the_same_quotas() -> None:
    """Also those under keys that mean nothing here: a later release may know them."""
    stored = StoredQuotas()
    for parts in ([("user", "u"), ("client-id", None)], [("ip", None)], [("colour", "red")]):
        for key in (RATE, "no.such.key"):
            stored.replay(quota_record(entity_of(parts), key, 7.5))
    again = StoredQuotas()
    for record in quota_records(stored.entities):
        again.replay(record)
    assert again.entities == stored.entities
    assert len(stored.entities) == 3


def test_readers_learn_whose_quotas_changed() -> None:
    """The image is a value; the change names the entities."""
    machine = ClusterMachine()
    machine.replay(quota_record(USER, RATE, 1.0))
    first, change = machine.advance()
    assert set(change.quotas_changed) == {USER}
    assert dict(first.client_quotas) == {USER: {RATE: 1.0}}
    machine.replay(quota_record(USER, RATE, None))
    second, change = machine.advance()
    assert set(change.quotas_changed) == {USER}
    assert len(second.client_quotas) == 0
    assert dict(first.client_quotas) == {USER: {RATE: 1.0}}
    machine.check()
