"""How coordinators frame their records: kind before the key, version before the value.

The key of a record starts with an int16 that names its kind; keys themselves have one version, 0. The value starts with
an int16 that is the version of its own layout. A record without a value is a tombstone.

Source: Kafka's ``CoordinatorRecordSerde``. The framing that ``__cluster_metadata`` uses is another one.
"""

from collections.abc import Mapping
from typing import TypeAlias, cast

from kproto.errors import Truncated, UnsupportedVersion
from kproto.primitives import Readable
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Record

__all__ = ["Kinds", "decode_coordinator_record", "encode_coordinator_record"]

Kinds: TypeAlias = Mapping[int, tuple[type[Record], type[Record]]]

_KEY_VERSION = 0


def encode_coordinator_record(
    kinds: Kinds, key: Record, value: Record | None, version: int | None
) -> tuple[bytes, bytes | None]:
    """Frame a key and a value that belong together. Raises ValueError."""
    encoded_key = _framed(key.api_key, key, _KEY_VERSION)
    if value is None:
        return encoded_key, None
    assert kinds[key.api_key] == (type(key), type(value)), f"{type(value).__name__} under {type(key).__name__}"
    version = value.max_version if version is None else version
    return encoded_key, _framed(version, value, version)


def decode_coordinator_record(kinds: Kinds, key: Readable, value: Readable | None) -> tuple[Record, Record | None]:
    """Read a key and the value that belongs to it. Raises ProtocolError."""
    kind, key_body = _prefix(key)
    if kind not in kinds:
        raise UnsupportedVersion(f"a coordinator record of kind {kind}")
    key_type, value_type = kinds[kind]
    decoded_key = decode(key_type, _KEY_VERSION, key_body)
    if value is None:
        return decoded_key, None
    version, value_body = _prefix(value)
    if not value_type.min_version <= version <= value_type.max_version:
        raise UnsupportedVersion(f"{value_type.__name__} of version {version}")
    return decoded_key, decode(value_type, version, value_body)


def _framed(prefix: int, record: Record, version: int) -> bytes:
    return prefix.to_bytes(2, "big") + b"".join(cast(list[bytes], encode(record, version)))


def _prefix(data: Readable) -> tuple[int, memoryview]:
    view = memoryview(data)
    if len(view) < 2:
        raise Truncated(f"{len(view)} bytes have no room for a version")
    return int.from_bytes(view[:2], "big", signed=True), view[2:]
