"""Our bytes against an independent codec: kafka-python's, made by other people from the same definitions.

For every message and version that both know, values that Hypothesis makes: what we encode it decodes to the same
values, what it encodes from them are the same bytes, and those we decode to what we had.
"""

import importlib
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from kproto.messages.api_versions import ApiVersionsResponse
from kproto.schema.compile import decode
from kproto.schema.declare import Message, Struct
from kproto.tests.arbitrary_messages import MESSAGES, carried, joined, messages

pytest.importorskip("kafka.protocol.producer")

EXAMPLES = 3

RENAMED = {"generation_id_or_member_epoch": "generation_id"}
"""Fields that a later release of Kafka called otherwise than theirs does."""

THEIR_MODULES = [
    f"kafka.protocol.{name}"
    for name in (
        *("metadata", "producer", "sasl"),
        *("consumer.fetch", "consumer.group", "consumer.metadata", "consumer.offsets"),
        *("admin.acl", "admin.client_quotas", "admin.cluster", "admin.configs", "admin.groups", "admin.topics"),
        *("admin.transactions", "admin.users"),
    )
]


def pairs() -> list[tuple[type[Message], Any]]:
    """The messages that both declare: (our class, their class)."""
    theirs: dict[str, Any] = {}
    for name in THEIR_MODULES:
        theirs |= vars(importlib.import_module(name))
    return [(cls, theirs[cls.kafka_name]) for cls in MESSAGES if cls.kafka_name in theirs]


PAIRS = pairs()


def test_there_is_something_to_compare() -> None:
    """Most of what clients use."""
    assert len(PAIRS) > 100


@pytest.mark.parametrize(("cls", "theirs"), PAIRS, ids=lambda each: each.__name__)
def test_kafka_python_reads_and_writes_the_same_bytes(cls: type[Message], theirs: Any) -> None:
    """Every version that both know, with a handful of values each."""
    for version in range(cls.min_version, min(cls.max_version, theirs.max_version) + 1):
        compare_version(cls, theirs, version)


def compare_version(cls: type[Message], theirs: Any, version: int) -> None:
    # What consumers send each other has its version in front, and theirs reads and writes that, too.
    prefix = version.to_bytes(2, "big") if cls.api_key < 0 else b""

    @settings(max_examples=EXAMPLES, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages(cls, version))
    def same_bytes(message: Any) -> None:
        if cls is ApiVersionsResponse:
            message.error_code = 0  # they read every refusal as version 0
        encoded = prefix + bytes(joined(message, version))
        decoded = theirs.decode(encoded, version=version)
        compare(f"{cls.__name__} v{version}", message, decoded, version)
        decoded._header = None  # what their decoder leaves out and their encoder asks for
        rewritten = bytes(decoded.encode(version=version))
        assert rewritten == encoded
        assert decode(cls, version, rewritten[len(prefix) :]) == message

    same_bytes()


def compare(path: str, ours: Struct, theirs: Any, version: int) -> None:
    for field in carried(type(ours), version):
        if field.name.endswith("authorized_operations"):
            continue  # theirs are sets of bits under another name; that the bytes are the same must do
        their_name = field.name if hasattr(theirs, field.name) else RENAMED[field.name]
        name, mine, other = f"{path}.{field.name}", getattr(ours, field.name), getattr(theirs, their_name)
        if version in field.tagged and other is None:
            other = field.fresh_default()
        assert same(name, mine, other, version), name


def same(path: str, ours: Any, theirs: Any, version: int) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        assert len(ours) == len(theirs), path
        return all(same(f"{path}[]", mine, other, version) for mine, other in zip(ours, theirs, strict=True))
    if isinstance(ours, Struct) and isinstance(theirs, Struct):
        return ours == theirs
    if isinstance(ours, Struct) and theirs is not None:
        compare(path, ours, theirs, version)
        return True
    if isinstance(theirs, UUID):
        theirs = theirs.bytes
    return bool(ours == theirs)
