"""Client quotas as the cluster remembers them: what may be said about whom, and how it is changed (KIP-546).

A quota is a number under a key (`producer_byte_rate`) for an *entity*: a user, a client id, both together, or an
address. Each part of an entity is a name or null, which means "every user (client id, address) without a quota of its
own". One entity may have a quota under every key that its kind knows (`CLIENT_KEYS`, `IP_KEYS`), and a
`ClientQuotaRecord` sets or removes one of them.

What is refused, in the order in which it is looked for, is always INVALID_REQUEST: no part, an unknown kind, an empty
name, an address beside a user or a client id, an address that is none, a key that this kind of entity does not have, a
number that is none or not above 0, a fraction where the key counts whole things. A key that is named twice is refused
as well, and so is an entity the second time (`NAMED_TWICE`). What changes of one entity is in the log as a whole or not
at all.

Departs from Kafka: an address is written as one (`10.0.0.1`, `::1`). Kafka also looks names of hosts up, once for the
check and again for whatever the name means when the broker starts. Kafka bounds none of it; here there are at most
`MAX_ENTITIES` entities, and `MAX_OPERATIONS` changes in a request.

Source: ClientQuotaControlManager, QuotaConfig.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple, TypeAlias

from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ClientQuotaRecord, EntityData

USER: Final = "user"
CLIENT_ID: Final = "client-id"
IP: Final = "ip"

PRODUCER_BYTE_RATE: Final = "producer_byte_rate"
CONSUMER_BYTE_RATE: Final = "consumer_byte_rate"
REQUEST_PERCENTAGE: Final = "request_percentage"
CONTROLLER_MUTATION_RATE: Final = "controller_mutation_rate"
CONNECTION_CREATION_RATE: Final = "connection_creation_rate"

MAX_LONG: Final = 2**63
"""As a float, which numbers of quotas are: one more than a long can be."""
MAX_INT: Final = 2**31 - 1

CLIENT_KEYS: Final[Mapping[str, int | None]] = {
    PRODUCER_BYTE_RATE: MAX_LONG,
    CONSUMER_BYTE_RATE: MAX_LONG,
    REQUEST_PERCENTAGE: None,
    CONTROLLER_MUTATION_RATE: None,
}
"""Keys of users and client ids -> the largest whole number, or None where fractions are numbers too."""

IP_KEYS: Final[Mapping[str, int | None]] = {CONNECTION_CREATION_RATE: MAX_INT}
"""Keys of addresses, likewise."""

MAX_ENTITIES: Final = 100_000
"""Entities that may have quotas. Names are made up by a client that may alter quotas, so something must end them."""

MAX_OPERATIONS: Final = 10_000
"""Changes in one request (Kafka: MAX_RECORDS_PER_USER_OP)."""

NAMED_TWICE: Final = KafkaError(ErrorCode.INVALID_REQUEST, "the entity, or one of its keys, is named twice")

Entity: TypeAlias = tuple[tuple[str, str | None], ...]
"""(kind, name) of each part, by kind; a name is None for the default."""

Quotas: TypeAlias = Mapping[str, float]
"""Key -> number, of one entity."""


def entity_of(parts: Iterable[tuple[str, str | None]]) -> Entity:
    """The entity of these parts; of a kind that occurs twice the last counts, as in Kafka."""
    return tuple(sorted(dict(parts).items()))


class QuotaAlteration(NamedTuple):
    """Changes of one entity, in the order of the request: (key, number), or None to remove the key."""

    entity: Entity
    operations: Sequence[tuple[str, float | None]]


class StoredQuotas:
    """The fold of ClientQuotaRecords: every entity with its quotas, whether they mean anything here or not."""

    def __init__(self) -> None:
        self.entities: dict[Entity, dict[str, float]] = {}

    def replay(self, record: ClientQuotaRecord) -> Entity:
        """Apply one record; returns whose quotas it changes."""
        entity = entity_of((part.entity_type, part.entity_name) for part in record.entity)
        quotas = self.entities.setdefault(entity, {})
        if record.remove:
            quotas.pop(record.key, None)
        else:
            quotas[record.key] = record.value
        if not quotas:
            del self.entities[entity]
        return entity


def quota_records(entities: Mapping[Entity, Quotas]) -> Iterable[ClientQuotaRecord]:
    """The records that make these quotas, for a snapshot."""
    for entity, quotas in entities.items():
        for key, value in quotas.items():
            yield quota_record(entity, key, value)


def quota_record(entity: Entity, key: str, value: float | None) -> ClientQuotaRecord:
    """The record that sets one quota, or removes it (None)."""
    return ClientQuotaRecord(
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
        key=key,
        value=0.0 if value is None else value,
        remove=value is None,
    )


def changed_quotas(stored: StoredQuotas, alteration: QuotaAlteration) -> list[ClientQuotaRecord]:
    """The records that carry out an alteration. Raises KafkaError."""
    entity, operations = alteration
    changes = dict(operations)
    if len(changes) != len(operations):
        raise NAMED_TWICE
    check_entity(entity)
    check_values(entity, changes)
    current: Quotas = stored.entities.get(entity, {})
    if not current and any(value is not None for value in changes.values()):
        _check_room(len(stored.entities) + 1)
    return [
        quota_record(entity, key, value)
        for key, value in changes.items()
        if (key in current if value is None else current.get(key) != value)
    ]


def _check_room(entities: int) -> None:
    if entities > MAX_ENTITIES:
        raise KafkaError(ErrorCode.POLICY_VIOLATION, f"{MAX_ENTITIES} entities have quotas already")


def check_entity(entity: Entity) -> None:
    """Raise INVALID_REQUEST for an entity that can have no quotas."""
    if not entity:
        raise _invalid("an entity needs a user, a client id or an address")
    for kind, name in entity:
        if kind not in (USER, CLIENT_ID, IP):
            raise _invalid(f"{kind!r} is no kind of entity: there are {USER}, {CLIENT_ID} and {IP}")
        if name == "":
            raise _invalid(f"the name of the {kind} is empty")
    kinds = dict(entity)
    if IP in kinds:
        if len(kinds) > 1:
            raise _invalid("an address stands alone, not beside a user or a client id")
        if kinds[IP] is not None and not is_address(kinds[IP]):
            raise _invalid(f"{kinds[IP]} is not an IP address")


def is_address(text: str | None) -> bool:
    """True for an IPv4 or IPv6 address."""
    from ipaddress import ip_address  # few brokers have quotas of addresses

    try:
        ip_address(text or "")
    except ValueError:
        return False
    return True


def keys_of(entity: Entity) -> Mapping[str, int | None]:
    """The keys that this kind of entity knows."""
    return IP_KEYS if entity and entity[0][0] == IP else CLIENT_KEYS


def check_values(entity: Entity, changes: Mapping[str, float | None]) -> None:
    """Raise INVALID_REQUEST for a number that the entity cannot have. What is removed is not looked at."""
    keys = keys_of(entity)
    for key, value in changes.items():
        if value is None:
            continue
        if key not in keys:
            raise _invalid(f"{key} is no quota of {' and '.join(kind for kind, _ in entity)}")
        if not 0 < value < inf:
            raise _invalid(f"{key} must be a number above 0")
        largest = keys[key]
        if largest is not None:
            if value > largest:
                raise _invalid(f"{key} is at most {largest}")
            if value % 1 > 1e-6:
                raise _invalid(f"{key} is a whole number")


def _invalid(sentence: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, sentence)
