"""Whose quota counts for a client: Kafka's precedence."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster.quotas import Entity, entity_of
from broker.quotas.limits import Limits, Whose

U, ANY_USER = ("user", "u"), ("user", None)
C, ANY_CLIENT = ("client-id", "c"), ("client-id", None)

IN_ORDER: list[tuple[Entity, Whose]] = [
    (entity_of([U, C]), ("u", "c")),
    (entity_of([U, ANY_CLIENT]), ("u", "c")),
    (entity_of([U]), ("u", "")),
    (entity_of([ANY_USER, C]), ("u", "c")),
    (entity_of([ANY_USER, ANY_CLIENT]), ("u", "c")),
    (entity_of([ANY_USER]), ("u", "")),
    (entity_of([C]), ("", "c")),
    (entity_of([ANY_CLIENT]), ("", "c")),
]
"""Entities, and whose rate counts for user u with client id c if theirs is the quota; the first that is set wins."""


def test_the_most_special_quota_counts() -> None:
    """All are set; then one after the other is removed."""
    limits = Limits()
    for number, (entity, _) in enumerate(IN_ORDER):
        limits.put(entity, float(number + 1))
    for number, (entity, whose) in enumerate(IN_ORDER):
        assert limits.of("u", "c") == (whose, float(number + 1))
        limits.put(entity, None)
    assert limits.of("u", "c") is None
    assert len(limits) == 0


@pytest.mark.parametrize(("entity", "whose"), IN_ORDER)
def test_each_alone(entity: Entity, whose: Whose) -> None:
    """It counts for this client, and for another one if it is a default of all that differs."""
    limits = Limits()
    limits.put(entity, 1.0)
    assert limits.of("u", "c") == (whose, 1.0)
    names = dict(entity)
    others_user = names.get("user", "?") != "u"
    others_client = names.get("client-id", "?") != "c"
    assert (limits.of("v", "c") is not None) == others_user
    assert (limits.of("u", "d") is not None) == others_client


def test_a_client_without_an_id_has_the_quota_of_its_user() -> None:
    """Defaults of client ids are for those that have one."""
    limits = Limits()
    limits.put(entity_of([U, ANY_CLIENT]), 1.0)
    limits.put(entity_of([ANY_CLIENT]), 2.0)
    assert limits.of("u", "") is None
    limits.put(entity_of([ANY_USER]), 3.0)
    assert limits.of("u", "") == (("u", ""), 3.0)


def test_addresses_have_no_part_in_it() -> None:
    """Theirs are quotas of connections."""
    limits = Limits()
    limits.put(entity_of([("ip", None)]), 1.0)
    assert len(limits) == 0
