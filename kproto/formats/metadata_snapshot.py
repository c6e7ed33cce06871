"""A snapshot of ``__cluster_metadata``: what a quorum's log says up to one of its offsets, in a file of its own.

The file is called ``<end offset>-<epoch>.checkpoint``, twenty digits and ten: the offset of the first record that it
does *not* stand for, and the leader epoch of the batch before that one. Inside are record batches as in a log, numbered
from 0 on, all of that leader epoch:

1. a control batch: ``SnapshotHeader`` with the time of the last record that the snapshot stands for, and, if the quorum
   knows its voters from its log (``kraft.version`` 1), ``KRaftVersion`` and ``KRaftVoters``;
2. batches of the records that make the state: features, brokers, controllers, topics with their partitions, configs,
   quotas, producer ids, access control, credentials, tokens;
3. a control batch: ``SnapshotFooter``. A file that does not end with it is not whole.

Source: KIP-630; Kafka's ``RecordsSnapshotWriter``, ``RecordsSnapshotReader`` and ``Snapshots``; KIP-853 (voters).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, cast

from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, has_valid_crc, read_header
from kproto.batches.records import (
    ControlRecordType,
    RecordData,
    build_batch,
    build_control_batch,
    control_record_type,
    iter_records,
)
from kproto.errors import KafkaError, ProtocolError
from kproto.formats.control_records import SnapshotFooterRecord, SnapshotHeaderRecord
from kproto.schema.compile import decode, encode
from kproto.schema.declare import Data

BATCH_BYTES: Final = 256 << 10
"""A batch of a snapshot is closed when its records have reached so many bytes."""

_NAME = re.compile(r"(\d{20})-(\d{10})\.checkpoint\Z", re.ASCII)


class SnapshotId(NamedTuple):
    """Which state a snapshot is of. Ordered as the log is."""

    end_offset: int
    epoch: int

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.end_offset:020d}-{self.epoch:010d}.checkpoint"


def snapshot_named(file_name: str) -> SnapshotId | None:
    """The snapshot that a file of this name is; None if it is none, or not a finished one."""
    match = _NAME.match(file_name)
    return None if match is None else SnapshotId(int(match[1]), int(match[2]))


class Quorum(NamedTuple):
    """What control records say about the quorum: their values as they stand in the log; None where they say nothing."""

    kraft_version: bytes | None = None
    voters: bytes | None = None


class DamagedSnapshot(Exception):
    """A snapshot is not whole. The message says what is wrong with it."""


class Snapshot(NamedTuple):
    """A snapshot that has been read through and found whole."""

    last_timestamp: int
    """Of the last record that it stands for, in milliseconds since 1970."""
    quorum: Quorum
    batches: list[memoryview]
    """The batches of its records; those of control records left out."""


def write_snapshot(
    epoch: int, last_timestamp: int, quorum: Quorum, values: Iterable[bytes], now: int
) -> Iterator[bytearray]:
    """The batches of a snapshot, one after the other. `values` are its records; times are milliseconds since 1970."""
    header = _bare(SnapshotHeaderRecord(version=0, last_contained_log_timestamp=last_timestamp))
    control = [_control(ControlRecordType.SNAPSHOT_HEADER, header, now)]
    if quorum.kraft_version is not None:
        control.append(_control(ControlRecordType.KRAFT_VERSION, quorum.kraft_version, now))
    if quorum.voters is not None:
        control.append(_control(ControlRecordType.KRAFT_VOTERS, quorum.voters, now))
    yield build_batch(control, control=True, leader_epoch=epoch)
    offset = len(control)
    records: list[RecordData] = []
    size = 0
    for value in values:
        records.append(RecordData(0, now, None, value, ()))
        size += len(value)
        if size >= BATCH_BYTES:
            yield build_batch(records, base_offset=offset, leader_epoch=epoch)
            offset += len(records)
            records, size = [], 0
    if records:
        yield build_batch(records, base_offset=offset, leader_epoch=epoch)
        offset += len(records)
    footer = _bare(SnapshotFooterRecord(version=0))
    yield build_control_batch(
        ControlRecordType.SNAPSHOT_FOOTER, footer, timestamp=now, base_offset=offset, leader_epoch=epoch
    )


def _bare(message: Data) -> bytes:
    return b"".join(cast(list[bytes], encode(message, 0)))


def _control(kind: ControlRecordType, value: bytes, now: int) -> RecordData:
    return RecordData(0, now, b"\0\0" + int(kind).to_bytes(2, "big"), value, ())


def read_snapshot(data: bytes) -> Snapshot:
    """Check a whole file, and take it apart. Raises DamagedSnapshot.

    What the records say is not looked at, only that they are those that were written: every CRC, numbers without a
    gap, a header in front, a footer behind and nothing after it.
    """
    view = memoryview(data)
    position = offset = 0
    last_timestamp: int | None = None
    footer = False
    kraft_version: bytes | None = None
    voters: bytes | None = None
    batches: list[memoryview] = []
    while position < len(view):
        if footer:
            raise DamagedSnapshot(f"{len(view) - position} bytes follow its footer")
        batch = _batch_at(view, position)
        header = read_header(batch)
        if header.base_offset != offset or header.record_count != header.last_offset_delta + 1:
            raise DamagedSnapshot(f"the batch at byte {position} is not numbered from {offset} on")
        offset += header.record_count
        if header.is_control:
            for kind, value in _control_records(batch, position):
                if (last_timestamp is None) != (kind == ControlRecordType.SNAPSHOT_HEADER):
                    raise DamagedSnapshot("it does not begin with a header, or has another one")
                if kind == ControlRecordType.SNAPSHOT_HEADER:
                    last_timestamp = _last_timestamp(value)
                elif kind == ControlRecordType.SNAPSHOT_FOOTER:
                    footer = True
                elif kind == ControlRecordType.KRAFT_VERSION:
                    kraft_version = value
                elif kind == ControlRecordType.KRAFT_VOTERS:
                    voters = value
        else:
            if last_timestamp is None:
                raise DamagedSnapshot("it does not begin with a header")
            batches.append(batch)
        position += len(batch)
    if not footer or last_timestamp is None:
        raise DamagedSnapshot("it ends without a footer: the rest of it is missing")
    return Snapshot(last_timestamp, Quorum(kraft_version, voters), batches)


def _batch_at(view: memoryview, position: int) -> memoryview:
    """The batch that begins there, its CRC checked. Raises DamagedSnapshot."""
    if len(view) - position < HEADER_SIZE:
        raise DamagedSnapshot(f"it ends inside the batch at byte {position}")
    try:
        header = read_header(view, position)
    except (KafkaError, ProtocolError) as error:
        raise DamagedSnapshot(f"there is no batch at byte {position}: {error}") from None
    size = LOG_OVERHEAD + header.batch_length
    if header.magic != 2 or size < HEADER_SIZE:
        raise DamagedSnapshot(f"there is no batch at byte {position}")
    if len(view) - position < size:
        raise DamagedSnapshot(f"it ends inside the batch at byte {position}")
    if not has_valid_crc(header, view, position):
        raise DamagedSnapshot(f"the CRC of the batch at byte {position} is wrong")
    return view[position : position + size]


def _control_records(batch: memoryview, position: int) -> Iterator[tuple[int, bytes]]:
    try:
        for record in iter_records(batch):
            yield control_record_type(record.key), record.value or b""
    except KafkaError as error:
        raise DamagedSnapshot(f"the control records at byte {position} cannot be read: {error.message}") from None


def _last_timestamp(value: bytes) -> int:
    try:
        return decode(SnapshotHeaderRecord, 0, value).last_contained_log_timestamp
    except ProtocolError as error:
        raise DamagedSnapshot(f"its header cannot be read: {error}") from None
