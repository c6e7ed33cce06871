"""What each file of a data directory says, as a row of plain dictionaries: the JSON lines of `ottla dump-log`.

Every line has a `type`. The first is `file`; what follows depends on the file's kind:

=====================  =============================================================================================
kind                   lines
=====================  =============================================================================================
segment, metadata      `batch`: base_offset, last_offset, count, position, size, crc, crc_valid, codec, timestamp_type,
snapshot               base_timestamp, max_timestamp, leader_epoch, producer_id, producer_epoch, base_sequence,
                       last_sequence, transactional, control, and delete_horizon where there is one;
                       with `records` also `record` (offset, timestamp, key_size, value_size,
                       key, value, headers; sizes -1 for null; `sequence` of a producer that counts) and `control`;
                       `hole`: position, size, reason, for bytes that are no batch
offset index           `entry`: offset, position
time index             `entry`: timestamp, offset
transaction index      `aborted`: producer_id, first_offset, last_offset, last_stable_offset
producer snapshot      `producer`: the fields of an entry
leader epochs          `epoch`: epoch, start_offset
offset checkpoint      `offset`: topic, partition, offset
partition metadata     `topic_id`: topic_id
meta properties        `identity`: cluster_id, node_id, directory_id
the others             `values`: whatever the JSON in them says
=====================  =============================================================================================

`unreadable` with a `reason` stands for what is not what its name says. Timestamps are milliseconds since 1970, -1 for
none; offsets are absolute, also where the file has them relative to its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from kproto.batches.compression import Codec
from kproto.batches.header import BatchHeader
from kproto.batches.records import iter_records
from kproto.errors import KafkaError
from kproto.formats.metadata_snapshot import DamagedSnapshot, read_snapshot
from kproto.ids import format_uuid
from storage.local import (
    checkpoints,
    dirty_logs,
    leader_epochs,
    offset_index,
    partition_metadata,
    producer_snapshot,
    time_index,
    transaction_index,
)
from storage.seams.disk import SystemDisk
from tools.log_files import contents, names
from tools.log_files.batches import Hole, Stored, walk
from tools.log_files.contents import Json
from tools.log_files.names import Kind

Line = dict[str, Json]


def of_file(path: Path, *, records: bool = False) -> Iterator[Line]:
    """The lines of the file at `path`, records included if wanted. Raises OSError; ValueError for no such kind."""
    size = path.stat().st_size
    name = names.file_named(path.name)
    if name is None:
        raise ValueError(f"{path}: no file of a data directory has such a name")
    first: Line = {"type": "file", "file": str(path), "kind": name.kind.value, "size": size}
    owner = names.partition_of(path)
    if owner is not None:
        first |= {"topic": owner.topic, "partition": owner.partition}
    if name.offset is not None:
        first["offset"] = name.offset
    yield first
    if name.kind in (Kind.SEGMENT, Kind.METADATA_SNAPSHOT):
        yield from _batches(path, size, owner.topic if owner is not None else "", records)
        if name.kind is Kind.METADATA_SNAPSHOT and name.offset is not None:
            yield from _wholeness(path)
    else:
        yield from _READERS[name.kind](path.read_bytes(), name.offset or 0)


def _wholeness(path: Path) -> Iterator[Line]:
    """What the batches of a snapshot cannot tell one by one."""
    try:
        read_snapshot(path.read_bytes())
    except DamagedSnapshot as error:
        yield {"type": "wrong", "sentence": f"it is no whole snapshot: {error}"}


def is_wrong(line: Line) -> bool:
    """Whether a line reports that something is not as it should be."""
    return line["type"] in ("hole", "unreadable", "wrong") or line.get("crc_valid") is False or "unreadable" in line


# -- batches -----------------------------------------------------------------------------------------------------------


def batch(position: int, header: BatchHeader, crc_valid: bool) -> Line:
    """The line of one batch."""
    try:
        codec = Codec(header.compression).name.lower()
    except ValueError:
        codec = str(header.compression)
    line: Line = {
        "type": "batch",
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "count": header.record_count,
        "position": position,
        "size": header.size,
        "crc": header.crc,
        "crc_valid": crc_valid,
        "codec": codec,
        "timestamp_type": "LogAppendTime" if header.log_append_time else "CreateTime",
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "leader_epoch": header.partition_leader_epoch,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "last_sequence": header.last_sequence,
        "transactional": header.is_transactional,
        "control": header.is_control,
    }
    if header.delete_horizon is not None:
        line["delete_horizon"] = header.delete_horizon
    return line


def _batches(path: Path, size: int, topic: str, records: bool) -> Iterator[Line]:
    file = SystemDisk().open_read(str(path))
    try:
        for found in walk(file, size):
            if isinstance(found, Hole):
                yield {"type": "hole", "position": found.position, "size": found.size, "reason": found.reason}
                continue
            yield batch(found.position, found.header, found.crc_valid)
            if records:
                yield from _records(found, topic)
    finally:
        file.close()


def _records(found: Stored, topic: str) -> Iterator[Line]:
    header = found.header
    sequence = header.base_sequence
    try:
        for record in iter_records(found.data):
            if header.is_control:
                yield contents.control_record(record)
                continue
            line = contents.record(record, topic)
            if sequence >= 0:
                line["sequence"] = (sequence + record.offset - header.base_offset) & 0x7FFF_FFFF
            yield line
    except KafkaError as error:
        yield {"type": "unreadable", "reason": f"records of the batch at byte {found.position}: {error.message}"}


# -- the small files ---------------------------------------------------------------------------------------------------


def _unreadable(reason: str) -> Line:
    return {"type": "unreadable", "reason": reason}


def _offset_index(data: bytes, base: int) -> Iterator[Line]:
    whole, rest = preallocated(data, offset_index.LAYOUT.size)
    for relative, position in offset_index.LAYOUT.iter_unpack(whole):
        yield {"type": "entry", "offset": base + relative, "position": position}
    yield from rest


def _time_index(data: bytes, base: int) -> Iterator[Line]:
    whole, rest = preallocated(data, time_index.LAYOUT.size)
    for timestamp, relative in time_index.LAYOUT.iter_unpack(whole):
        yield {"type": "entry", "timestamp": timestamp, "offset": base + relative}
    yield from rest


def preallocated(data: bytes, entry_size: int) -> tuple[bytes, list[Line]]:
    """The bytes of an index that are entries, and lines about the rest.

    Kafka maps an index whole while its segment is written, and cuts it afterwards: until then it ends in zeros.
    """
    used = len(data.rstrip(b"\0"))
    used += -used % entry_size
    if used < len(data) and len(data) % entry_size == 0:
        return data[:used], [{"type": "preallocated", "size": len(data) - used}]
    cut = len(data) % entry_size
    rest = [_unreadable(f"{cut} bytes at the end are no whole entry of {entry_size} bytes")] if cut else []
    return data[: len(data) - cut], rest


def _transaction_index(data: bytes, base: int) -> Iterator[Line]:
    entries = transaction_index.decode(data, base, 1 << 63)
    if entries is None:
        yield _unreadable("not a transaction index of a segment at this offset")
        return
    for entry in entries:
        yield {
            "type": "aborted",
            "producer_id": entry.producer_id,
            "first_offset": entry.first_offset,
            "last_offset": entry.last_offset,
            "last_stable_offset": entry.last_stable_offset,
        }


def _producers(data: bytes, _: int) -> Iterator[Line]:
    states = producer_snapshot.decode(data)
    if states is None:
        yield _unreadable("its version, size or CRC is wrong")
        return
    for state in states:
        yield {"type": "producer", **state._asdict()}


def _epochs(data: bytes, _: int) -> Iterator[Line]:
    epochs = leader_epochs.decode(data)
    if epochs is None:
        yield _unreadable("not a whole file of this kind, or its epochs do not grow")
        return
    for entry in epochs.entries:
        yield {"type": "epoch", **entry._asdict()}


def _offsets(data: bytes, _: int) -> Iterator[Line]:
    offsets = checkpoints.decode_offsets(data)
    if offsets is None:
        yield _unreadable("not a whole file of this kind")
        return
    for (topic, partition), offset in offsets.items():
        yield {"type": "offset", "topic": topic, "partition": partition, "offset": offset}


def _partition_metadata(data: bytes, _: int) -> Iterator[Line]:
    topic_id = partition_metadata.decode(data)
    if topic_id is None:
        yield _unreadable("not a whole file of this kind")
    else:
        yield {"type": "topic_id", "topic_id": format_uuid(topic_id)}


def _meta_properties(data: bytes, _: int) -> Iterator[Line]:
    try:
        yield {"type": "identity", **checkpoints.decode_meta_properties(data)._asdict()}
    except checkpoints.Unreadable as error:
        yield _unreadable(str(error))


def _json(data: bytes, _: int) -> Iterator[Line]:
    try:
        values = json.loads(data)
    except ValueError as error:
        yield _unreadable(f"not JSON: {error}")
        return
    yield {"type": "values", "values": values}


def _dirty_logs(data: bytes, _: int) -> Iterator[Line]:
    listed = dirty_logs.decode(data, dirty_logs.any_checkpoint(data))
    if listed is None:
        yield _unreadable("no whole list of dirty logs; the next start after a crash will visit every log")
        return
    for topic, partition in sorted(listed):
        yield {"type": "dirty_log", "topic": topic, "partition": partition}


def _lock(data: bytes, _: int) -> Iterator[Line]:
    if data:
        yield _unreadable(f"{len(data)} bytes in a file that is always empty")


_READERS: Final[Mapping[Kind, Callable[[bytes, int], Iterator[Line]]]] = {
    Kind.OFFSET_INDEX: _offset_index,
    Kind.TIME_INDEX: _time_index,
    Kind.TRANSACTION_INDEX: _transaction_index,
    Kind.PRODUCER_SNAPSHOT: _producers,
    Kind.LEADER_EPOCHS: _epochs,
    Kind.OFFSETS: _offsets,
    Kind.PARTITION_METADATA: _partition_metadata,
    Kind.META_PROPERTIES: _meta_properties,
    Kind.CLEAN_SHUTDOWN: _json,
    Kind.DIRTY_LOGS: _dirty_logs,
    Kind.QUORUM_STATE: _json,
    Kind.LOCK: _lock,
}
