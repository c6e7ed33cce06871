"""Requests about a topic, a group and a transactional id, made from the declarations of their messages.

A field that names one of the three has its name, by what the field is called; a list that leads to such a field has one
element; what else a request must say is said by the row (`rows.py`). So a new version of an API needs no word here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from broker.security.operations import CLUSTER_NAME, Resource
from kproto.batches.records import RecordData, build_batch
from kproto.ids import ZERO_UUID
from kproto.schema.declare import Request, Struct, fields_of

GROUP_FIELDS: Final = {"group_id", "groups_names", "group_ids"}
TRANSACTION_FIELDS: Final = {"transactional_id", "transactional_ids", "v3_and_below_transactional_id"}
TOPIC_FIELDS: Final = {"name", "topic", "topic_name", "topic_names"}
LISTS: Final = {
    "topics",
    "partitions",
    "partition_indexes",
    "topic_data",
    "partition_data",
    "groups",
    "markers",
    "dirs",
    "topic_partitions",
    "transactions",
    "v3_and_below_topics",
}
"""Lists that get an element; others stay empty."""

PLAIN_BATCH: Final = bytes(build_batch([RecordData(0, 0, None, b"value")]))
BATCH_OF_TRANSACTION: Final = bytes(
    build_batch(
        [RecordData(0, 0, None, b"value")], transactional=True, producer_id=1 << 40, producer_epoch=0, base_sequence=0
    )
)


class Names(NamedTuple):
    """What a request is about."""

    topic: str
    topic_id: bytes
    group: str
    transaction: str

    def of(self, kind: Resource) -> str:
        """The name of the resource of this kind."""
        return {
            Resource.TOPIC: self.topic,
            Resource.GROUP: self.group,
            Resource.TRANSACTIONAL_ID: self.transaction,
        }.get(kind, CLUSTER_NAME)


def about(request: type[Request], version: int, names: Names, fields: Mapping[str, Any]) -> Request:
    """A request about these names; `fields` are those that a row sets itself, where the
    version has them."""
    there = {field.name for field in fields_of(request) if version in field.versions}
    own = {name: value for name, value in fields.items() if name in there}
    return request(**(_values(request, version, names) | own))


def by_id(request: type[Request], version: int) -> bool:
    """Whether the request names its topics by their ids alone, which are no secret."""
    return any(
        field.name in ("topics", "topic_data", "groups")
        and field.type.element is not None
        and field.type.element.struct is not None
        and _has_id(field.type.element.struct, version)
        for field in fields_of(request)
        if version in field.versions
    )


def _has_id(struct: type[Struct], version: int) -> bool:
    fields = {field.name for field in fields_of(struct) if version in field.versions}
    nested = [
        field.type.element.struct
        for field in fields_of(struct)
        if version in field.versions and field.type.element is not None and field.type.element.struct is not None
    ]
    return ("topic_id" in fields and "name" not in fields) or any(_has_id(inner, version) for inner in nested)


def _values(struct: type[Struct], version: int, names: Names) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields_of(struct):
        if version not in field.versions:
            continue
        name, kind, element = field.name, field.type.name, field.type.element
        named = _name(name, names)
        if element is not None:
            if element.struct is not None:
                values[name] = [element.struct(**_values(element.struct, version, names))] if name in LISTS else []
            elif named is not None:
                values[name] = [named]
            elif name in LISTS:
                values[name] = [names.group if element.name == "string" else 0]
            else:
                values[name] = []
        elif name == "topic_id":
            values[name] = names.topic_id if _has_id(struct, version) else ZERO_UUID
        elif kind == "string" and named is not None and not (name == "transactional_id" and version in field.nullable):
            values[name] = named
        elif kind == "string" and version not in field.nullable:
            values[name] = ""
        elif kind == "records":
            values[name] = PLAIN_BATCH
    return values


def _name(field: str, names: Names) -> str | None:
    if field in GROUP_FIELDS:
        return names.group
    if field in TRANSACTION_FIELDS:
        return names.transaction
    return names.topic if field in TOPIC_FIELDS else None
