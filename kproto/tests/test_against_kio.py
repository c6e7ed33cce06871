"""Our bytes against a second independent codec: kio's, a class per version, its reader and writer in Rust.

For every message and version that both know, values that Hypothesis makes: what we encode kio reads as the same values
and writes as the same bytes, and so do we with what kio wrote.

kio gives some numbers a meaning: an error code is one that it knows, a duration a `timedelta`, a time a `datetime`.
Values are chosen accordingly; that arbitrary numbers travel in those places as well is shown by the other codecs.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kproto.ids import ZERO_UUID
from kproto.schema.compile import decode
from kproto.schema.declare import Field, FieldType, Message, Struct
from kproto.tests.arbitrary_messages import MESSAGES, carried, joined, strategy_of

kio_index = pytest.importorskip("kio.schema.index")
kio_serial = pytest.importorskip("kio.serial")
kio_errors = pytest.importorskip("kio.schema.errors")

EXAMPLES = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
FOR_KIO: dict[str, st.SearchStrategy[int]] = {
    "error_code": st.sampled_from([int(code.value) for code in kio_errors.ErrorCode]),
    "timedelta_i32": st.integers(-(2**31), 2**31 - 1),
    "timedelta_i64": st.integers(-(2**45), 2**45),
    "datetime_i64": st.integers(0, 2**41),
}


def entities() -> dict[str, dict[int, str]]:
    """kio's classes by name and version: where each can be imported from."""
    found: dict[str, dict[int, str]] = {}
    for versions in kio_index.schema_name_map.values():
        for version, kinds in versions.items():
            for path in kinds.values():
                found.setdefault(path.rpartition(":")[2], {})[version] = path
    return found


THEIRS = entities()
BOTH = [(cls, THEIRS[cls.kafka_name]) for cls in MESSAGES if cls.kafka_name in THEIRS]


def test_there_is_something_to_compare() -> None:
    """All that both declare: kio knows the messages of clients and brokers, not the records of internal topics."""
    assert len(BOTH) > 150
    assert sum(len(set(paths) & set(range(cls.min_version, cls.max_version + 1))) for cls, paths in BOTH) > 550


@pytest.mark.parametrize(("cls", "paths"), BOTH, ids=lambda each: getattr(each, "__name__", ""))
def test_kio_reads_and_writes_the_same_bytes(cls: type[Message], paths: dict[int, str]) -> None:
    """Every version that both know, with a handful of values each."""
    for version in range(cls.min_version, cls.max_version + 1):
        if version in paths:
            compare(cls, version, loaded(paths[version]))


def loaded(path: str) -> Any:
    from pkgutil import resolve_name

    return resolve_name(path)


def compare(cls: type[Message], version: int, entity: Any) -> None:
    read: Callable[[bytes, int], tuple[Any, int]] = kio_serial.entity_reader(entity)
    write: Callable[[io.BytesIO, Any], None] = kio_serial.entity_writer(entity)

    @settings(max_examples=EXAMPLES, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(values(cls, version, entity))
    def same(message: Any) -> None:
        encoded = bytes(joined(message, version))
        theirs, size = read(encoded, 0)
        assert size == len(encoded)
        check(f"{cls.__name__} v{version}", message, theirs, version)
        rewritten = io.BytesIO()
        write(rewritten, theirs)
        assert rewritten.getvalue() == encoded
        assert decode(cls, version, rewritten.getvalue()) == message

    same()


def pairs(cls: type[Struct], version: int, entity: Any) -> list[tuple[Field, Any]]:
    """The fields of a struct with kio's for them: both declare them in the order of Kafka's definition."""
    return list(zip(carried(cls, version), dataclasses.fields(entity), strict=True))


def values(cls: type[Struct], version: int, entity: Any) -> st.SearchStrategy[Any]:
    """Messages that kio has values for."""
    made = {}
    for ours, theirs in pairs(cls, version, entity):
        strategy = value_of(ours.type, theirs, version)
        made[ours.name] = st.none() | strategy if version in ours.nullable else strategy
    return st.builds(cls, **made)


def value_of(kind: FieldType, theirs: Any, version: int) -> st.SearchStrategy[Any]:
    if kind.struct is not None:
        return values(kind.struct, version, entity_in(theirs.type))
    if kind.element is not None:
        return st.lists(value_of(kind.element, theirs, version), max_size=3)
    if (meaning := theirs.metadata["kafka_type"]) in FOR_KIO:
        return FOR_KIO[meaning] | st.just(-1) if meaning == "datetime_i64" and is_optional(theirs) else FOR_KIO[meaning]
    return strategy_of(kind, version)


def is_optional(theirs: Any) -> bool:
    return type(None) in get_args(theirs.type)


def entity_in(annotation: Any) -> Any:
    """The class inside `tuple[X, ...] | None` and the like."""
    if dataclasses.is_dataclass(annotation):
        return annotation
    return next(found for each in get_args(annotation) if (found := entity_in(each)) is not None)


def check(path: str, ours: Struct, theirs: Any, version: int) -> None:
    """The two have the same values."""
    for field, other in pairs(type(ours), version, theirs):
        mine, its = getattr(ours, field.name), getattr(theirs, other.name)
        same(f"{path}.{field.name}", mine, its, version)


def same(path: str, mine: Any, theirs: Any, version: int) -> None:
    if isinstance(mine, Struct) and theirs is not None:
        check(path, mine, theirs, version)
    elif isinstance(mine, list) and isinstance(theirs, tuple):
        assert len(mine) == len(theirs), path
        for each, other in zip(mine, theirs, strict=True):
            same(f"{path}[]", each, other, version)
    else:
        assert mine == plain(theirs, mine), path


def plain(value: Any, like: Any) -> Any:
    """A value of kio's as it stands on the wire."""
    match value:
        case timedelta():
            return value // MILLISECOND
        case datetime():
            return (value - EPOCH) // MILLISECOND
        case UUID():
            return value.bytes
        case None if isinstance(like, bytes):
            return ZERO_UUID
        case None if isinstance(like, int):
            return -1
        case _:
            return value
