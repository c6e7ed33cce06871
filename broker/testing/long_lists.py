"""Requests with long lists, made from the declarations: what is served is tried, without being thought of.

For each array in a request, wherever it stands, there is a request whose array is long (`filled`). Its elements are
equal, or each differs in its first string, id or number. All other fields are as plain as can be; arrays on the way
have one element.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_acls import AclCreation
from kproto.messages.create_topics import CreateTopicsRequest
from kproto.messages.delete_acls import DeleteAclsFilter
from kproto.messages.describe_acls import DescribeAclsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.produce import ProduceRequest
from kproto.schema.declare import Field, FieldType, Struct, fields_of


def arrays_of(struct: type[Struct], version: int, path: tuple[Field, ...] = ()) -> Iterator[tuple[Field, ...]]:
    """The path of fields to each array that `version` of a message carries."""
    for field in fields_of(struct):
        if version not in field.versions:
            continue
        if (element := field.type.element) is not None:
            yield (*path, field)
            if element.struct is not None:
                yield from arrays_of(element.struct, version, (*path, field))
        elif field.type.struct is not None:
            yield from arrays_of(field.type.struct, version, (*path, field))


def filled(struct: type[Struct], version: int, path: tuple[Field, ...], equal: bool, entries: int) -> Any:
    """A message with a long array at the end of `path`."""
    field, rest = path[0], path[1:]
    values: dict[str, Any] = plain(struct, version)
    if not rest:
        element = field.type.element
        assert element is not None
        values[field.name] = elements(element, version, equal, entries)
    elif field.type.element is not None:
        inner = field.type.element.struct
        assert inner is not None
        values[field.name] = [filled(inner, version, rest, equal, entries)]
    else:
        assert field.type.struct is not None
        values[field.name] = filled(field.type.struct, version, rest, equal, entries)
    return struct(**values)


def plain(struct: type[Struct], version: int) -> dict[str, Any]:
    """Values that let a request reach its handler's work: short names, no waiting, permission to do it."""
    values: dict[str, Any] = {}
    for field in fields_of(struct):
        if version not in field.versions:
            continue
        if field.type.name == "string" and version not in field.nullable:
            values[field.name] = NAME
        elif field.type.name == "records":
            values[field.name] = BATCH
    if struct is ProduceRequest:
        values |= {"acks": 1, "timeout_ms": 1000}
    if struct is MetadataRequest:
        values |= {"allow_auto_topic_creation": False}
    if struct is CreateTopicsRequest:
        values |= {"validate_only": True}
    if struct is AclCreation:
        values |= {"resource_type": 2, "principal": "User:lists", "operation": 3, "permission_type": 3}
    if struct in (DescribeAclsRequest, DeleteAclsFilter):
        codes = ("resource_type_filter", "pattern_type_filter", "operation", "permission_type")
        values |= dict.fromkeys(codes, 1)
    return values


NAME = "lists"
BATCH = bytes(build_batch([RecordData(0, 0, None, NAME.encode())]))


def elements(element: FieldType, version: int, equal: bool, entries: int) -> list[Any]:
    """So many elements."""
    if element.struct is None:
        return [element.zero if equal else varied(element, number) for number in range(entries)]
    made = [one(element.struct, version, 0)] if equal else []
    return made * entries if equal else [one(element.struct, version, number) for number in range(entries)]


def one(struct: type[Struct], version: int, number: int) -> Struct:
    """A struct that `number` distinguishes from others."""
    values = plain(struct, version)
    for field in fields_of(struct):
        if version in field.versions and field.type.name in ("string", "uuid", "int32", "int64"):
            values[field.name] = varied(field.type, number)
            break
    return struct(**values)


def varied(kind: FieldType, number: int) -> Any:
    """A value of this type for this number."""
    match kind.name:
        case "string":
            return f"a{number}"
        case "uuid":
            return number.to_bytes(16, "big")
        case "bytes":
            return number.to_bytes(4, "big")
        case "int8":
            return number % 128
        case "int16":
            return number % 32768
        case "bool":
            return bool(number & 1)
        case _:
            return number
