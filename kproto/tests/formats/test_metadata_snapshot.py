"""Snapshots of the cluster's metadata: Kafka's bytes, and nothing that is not whole."""

from __future__ import annotations

import pytest

from kproto.batches.records import ControlRecordType, build_control_batch, iter_records
from kproto.formats.cluster_metadata import (
    FeatureLevelRecord,
    PartitionRecord,
    TopicRecord,
    decode_record,
    encode_record,
)
from kproto.formats.metadata_snapshot import (
    BATCH_BYTES,
    DamagedSnapshot,
    Quorum,
    SnapshotId,
    read_snapshot,
    snapshot_named,
    write_snapshot,
)

NOW = 1_795_375_330_483
QUORUM = Quorum(bytes.fromhex("0000000100"), bytes.fromhex("00000100"))


def snapshot(*values: bytes, quorum: Quorum = QUORUM, epoch: int = 3) -> bytes:
    return b"".join(write_snapshot(epoch, 7, quorum, values, NOW))


def test_what_was_written_is_read() -> None:
    """Records, time and what is said of the quorum."""
    values = [encode_record(FeatureLevelRecord(name="metadata.version", feature_level=30)), b"any bytes"]
    found = read_snapshot(snapshot(*values))
    assert found.last_timestamp == 7
    assert found.quorum == QUORUM
    assert [record.value for batch in found.batches for record in iter_records(batch)] == values


def test_a_cluster_without_voters_in_its_log_has_none_in_its_snapshot() -> None:
    """Kafka leaves both control records away below kraft.version 1."""
    found = read_snapshot(snapshot(b"x", quorum=Quorum()))
    assert found.quorum == Quorum()


def test_a_snapshot_of_nothing_is_whole() -> None:
    """Header and footer alone: what the formatting of a directory leaves."""
    assert read_snapshot(snapshot()).batches == []


def test_many_records_take_several_batches() -> None:
    """Each of them of a size that any reader takes."""
    value = bytes(BATCH_BYTES // 4)
    found = read_snapshot(snapshot(*[value] * 9))
    assert [sum(1 for _ in iter_records(batch)) for batch in found.batches] == [4, 4, 1]


def test_any_missing_end_is_noticed() -> None:
    """A file that is cut anywhere is not taken for a snapshot, and nothing but DamagedSnapshot comes out."""
    data = snapshot(encode_record(TopicRecord(name="t", topic_id=bytes(16))), encode_record(PartitionRecord()))
    for size in range(len(data)):
        with pytest.raises(DamagedSnapshot):
            read_snapshot(data[:size])
    with pytest.raises(DamagedSnapshot, match="3 bytes follow its footer"):
        read_snapshot(data + b"xyz")


def test_any_flipped_byte_is_noticed() -> None:
    """Except in the leader epochs of the batches, which no checksum covers and no code reads."""
    data = snapshot(b"value")
    free = set()
    position = 0
    while position < len(data):
        free |= set(range(position + 12, position + 16))
        position += 12 + int.from_bytes(data[position + 8 : position + 12], "big")
    for index in range(len(data)):
        if index not in free:
            damaged = bytearray(data)
            damaged[index] ^= 0x41
            with pytest.raises(DamagedSnapshot):
                read_snapshot(bytes(damaged))


def test_a_batch_left_out_is_noticed() -> None:
    """Batches are numbered without a gap."""
    value = bytes(BATCH_BYTES)
    pieces = [bytes(piece) for piece in write_snapshot(0, 7, QUORUM, [value, value], NOW)]
    with pytest.raises(DamagedSnapshot, match="is not numbered from 4 on"):
        read_snapshot(b"".join([pieces[0], pieces[1], pieces[3]]))
    with pytest.raises(DamagedSnapshot, match="is not numbered from 0 on"):
        read_snapshot(b"".join(pieces[1:]))


def test_records_without_a_header_are_no_snapshot() -> None:
    """Nor is what begins with another control record."""
    footer = build_control_batch(ControlRecordType.SNAPSHOT_FOOTER, b"\0\0\0", timestamp=1)
    with pytest.raises(DamagedSnapshot, match="does not begin with a header"):
        read_snapshot(bytes(footer))


def test_names() -> None:
    """Twenty digits, ten digits; unfinished ones and ones about to go are no snapshots."""
    name = "00000000000000000065-0000000001.checkpoint"
    assert snapshot_named(name) == SnapshotId(65, 1)
    assert SnapshotId(65, 1).file_name == name
    for other in (f"{name}.part", f"{name}.deleted", "bootstrap.checkpoint", "65-1.checkpoint", f"{name}\n"):
        assert snapshot_named(other) is None
    assert SnapshotId(65, 1) < SnapshotId(66, 0) < SnapshotId(66, 1)


def test_kafkas_records_survive() -> None:
    """Values are passed on as they are."""
    value = encode_record(PartitionRecord(partition_id=1, replicas=[1], isr=[1], leader=1, leader_epoch=0), 1)
    [batch] = read_snapshot(snapshot(value)).batches
    [record] = iter_records(batch)
    assert record.value is not None and decode_record(record.value) == decode_record(value)
