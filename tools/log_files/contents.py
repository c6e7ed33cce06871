"""What records say, as plain values that JSON can hold.

Keys and values of most topics are their owners' business: text where they are UTF-8, `{"hex": ...}` where not. Those of
the internal topics are read with the declarations of `kproto.formats`, control records with those of
`kproto.formats.control_records`. What cannot be read is shown as bytes, with the reason beside it: a dump never stops
at a record that it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from kproto.batches.records import ControlRecordType, RecordData, control_record_type
from kproto.errors import KafkaError, ProtocolError
from kproto.formats import cluster_metadata, consumer_offsets, control_records, share_group_state, transaction_state
from kproto.ids import format_uuid
from kproto.schema.compile import decode
from kproto.schema.declare import Data, FieldType, Record, Struct, fields_of

Json: TypeAlias = Any
"""Whatever `json.dumps` takes."""

CoordinatorDecoder: TypeAlias = Callable[[bytes, bytes | None], tuple[Record, Record | None]]

_COORDINATORS: Final[Mapping[str, CoordinatorDecoder]] = {
    "__consumer_offsets": consumer_offsets.decode_record,
    "__transaction_state": transaction_state.decode_record,
    "__share_group_state": share_group_state.decode_record,
}

_CONTROL_BODIES: Final[Mapping[int, type[Data]]] = {
    ControlRecordType.ABORT: control_records.EndTxnMarker,
    ControlRecordType.COMMIT: control_records.EndTxnMarker,
    ControlRecordType.LEADER_CHANGE: control_records.LeaderChangeMessage,
    ControlRecordType.SNAPSHOT_HEADER: control_records.SnapshotHeaderRecord,
    ControlRecordType.SNAPSHOT_FOOTER: control_records.SnapshotFooterRecord,
    ControlRecordType.KRAFT_VERSION: control_records.KRaftVersionRecord,
    ControlRecordType.KRAFT_VOTERS: control_records.VotersRecord,
}


_WHITE: Final = str.maketrans("\t\r\n", "   ")


def shown(data: bytes | None) -> Json:
    """Bytes as text, if that is what they are."""
    if data is None:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": data.hex()}
    return text if text.translate(_WHITE).isprintable() else {"hex": data.hex()}


def fields(message: Struct) -> dict[str, Json]:
    """The fields of a message, nested ones likewise. Topic ids and the like in Kafka's base64."""
    return {field.name: _plain(getattr(message, field.name), field.type) for field in fields_of(type(message))}


def _plain(value: object, kind: FieldType) -> Json:
    if isinstance(value, Struct):
        return fields(value)
    if isinstance(value, list):
        assert kind.element is not None
        return [_plain(element, kind.element) for element in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return format_uuid(bytes(value)) if kind.name == "uuid" else shown(bytes(value))
    return value


def record(found: RecordData, topic: str) -> dict[str, Json]:
    """A record of `topic`."""
    line: dict[str, Json] = {
        "type": "record",
        "offset": found.offset,
        "timestamp": found.timestamp,
        "key_size": _size(found.key),
        "value_size": _size(found.value),
        "key": shown(found.key),
        "value": shown(found.value),
        "headers": [[name, shown(value)] for name, value in found.headers],
    }
    try:
        if topic in _COORDINATORS and found.key is not None:
            key, value = _COORDINATORS[topic](found.key, found.value)
            line["key"] = {type(key).kafka_name: fields(key)}
            line["value"] = None if value is None else {type(value).kafka_name: fields(value)}
        elif topic == "__cluster_metadata" and found.value is not None:
            message = cluster_metadata.decode_record(found.value)
            line["value"] = {type(message).kafka_name: fields(message)}
    except ProtocolError as error:
        line["unreadable"] = str(error)
    return line


def _size(data: bytes | None) -> int:
    return -1 if data is None else len(data)


def control_record(found: RecordData) -> dict[str, Json]:
    """A control record: its type's name and what its value says."""
    line: dict[str, Json] = {"type": "control", "offset": found.offset, "timestamp": found.timestamp}
    try:
        kind = control_record_type(found.key)
        body = _CONTROL_BODIES.get(kind)
        line["control"] = ControlRecordType(kind).name if body is not None else kind
        value = found.value or b""
        if body is None:
            line["value"] = shown(value)
            return line
        version = int.from_bytes(value[:2], "big", signed=True)
        if kind in (ControlRecordType.ABORT, ControlRecordType.COMMIT):
            value = value[2:]
        line["value"] = fields(decode(body, max(0, min(version, body.max_version)), value))
    except KafkaError as error:
        line["unreadable"] = error.message
    except ProtocolError as error:
        line["unreadable"] = str(error)
    return line
