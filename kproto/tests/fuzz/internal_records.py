"""Records of internal topics and control records, from bytes that a disk or a backup tool may have changed.

Input: a byte that, modulo 6, chooses the topic: `__consumer_offsets`, `__transaction_state`, `__share_group_state`
(two bytes, the highest bit for a tombstone and the others the length of the key; key; value), `__cluster_metadata` (a
value), the values of control records, producer snapshots as messages. Only ProtocolError escapes, memory is in
proportion, and what was read is written and read again the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from kproto.errors import ProtocolError
from kproto.formats import cluster_metadata, consumer_offsets, share_group_state, transaction_state
from kproto.formats.control_records import (
    ControlRecordTypeSchema,
    EndTxnMarker,
    KRaftVersionRecord,
    LeaderChangeMessage,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
)
from kproto.formats.producer_snapshot import ProducerSnapshot
from kproto.primitives import read_uvarint
from kproto.schema.compile import decode
from kproto.schema.declare import Message
from kproto.tests.arbitrary_messages import filled, joined
from kproto.tests.fuzz.bounds import measured
from kproto.tests.fuzz.requests import check_round_trip

Codec = tuple[Callable[..., Any], Callable[..., Any]]

KEYED: Final[list[Codec]] = [
    (consumer_offsets.decode_record, consumer_offsets.encode_record),
    (transaction_state.decode_record, transaction_state.encode_record),
    (share_group_state.decode_record, share_group_state.encode_record),
]
BARE: Final[list[type[Message]]] = [
    ControlRecordTypeSchema,
    EndTxnMarker,
    LeaderChangeMessage,
    SnapshotHeaderRecord,
    SnapshotFooterRecord,
    KRaftVersionRecord,
    VotersRecord,
]


def fuzz_internal_records(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if len(data) < 3:
        return
    kind, rest = data[0] % 6, data[1:]
    if kind < 3:
        check_keyed(*KEYED[kind], rest)
    elif kind == 3:
        check_metadata(rest)
    elif kind == 4:
        cls = BARE[rest[0] % len(BARE)]
        check_message(cls, rest[1] % (cls.max_version + 1), rest[2:])
    else:
        check_message(ProducerSnapshot, 1, rest)


def check_keyed(decode_record: Callable[..., Any], encode_record: Callable[..., Any], data: bytes) -> None:
    size = int.from_bytes(data[:2], "big")
    key, rest = data[2 : 2 + (size & 0x7FFF)], data[2 + (size & 0x7FFF) :]
    value = None if size & 0x8000 else rest
    try:
        read_key, read_value = measured(lambda: decode_record(key, value), len(data), bytes_per_byte=512)
    except ProtocolError:
        return
    version = None if value is None else int.from_bytes(value[:2], "big")
    encoded = encode_record(read_key, read_value, version)
    assert decode_record(*encoded) == (read_key, read_value)
    assert encode_record(read_key, read_value, version) == encoded


def check_metadata(data: bytes) -> None:
    try:
        record = measured(lambda: cluster_metadata.decode_record(data), len(data), bytes_per_byte=512)
    except ProtocolError:
        return
    _, at = read_uvarint(data, 0)  # the frame's version
    _, at = read_uvarint(data, at)  # the kind
    version, at = read_uvarint(data, at)
    check_round_trip(record, version)
    encoded = cluster_metadata.encode_record(record, version)  # compared, because a number that is none equals nothing
    assert cluster_metadata.encode_record(cluster_metadata.decode_record(encoded), version) == encoded


def check_message(cls: type[Message], version: int, data: bytes) -> None:
    try:
        message = measured(lambda: decode(cls, version, data), len(data), bytes_per_byte=512)
    except ProtocolError:
        return
    check_round_trip(message, version)


def seeds() -> Iterator[bytes]:
    """Every kind of record in every version, filled, and tombstones."""
    random = Random(4)
    for number, module in enumerate((consumer_offsets, transaction_state, share_group_state)):
        for key_type, value_type in module.KINDS.values():
            key = filled(key_type, 0, random)
            for version in range(value_type.min_version, value_type.max_version + 1):
                encoded, value = module.encode_record(key, filled(value_type, version, random), version)
                assert value is not None
                yield bytes((number,)) + len(encoded).to_bytes(2, "big") + encoded + value
            yield bytes((number,)) + (len(encoded) | 0x8000).to_bytes(2, "big") + encoded
    for cls in cluster_metadata.KINDS.values():
        for version in range(cls.min_version, cls.max_version + 1):
            yield b"\x03" + cluster_metadata.encode_record(filled(cls, version, random), version)
    for number, bare in enumerate(BARE):
        for version in range(bare.max_version + 1):
            yield bytes((4, number, version)) + bytes(joined(filled(bare, version, random), version))
    yield b"\x05" + bytes(joined(filled(ProducerSnapshot, 1, random), 1))
