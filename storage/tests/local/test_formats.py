"""Kafka's small files, byte for byte: what a running Apache Kafka wrote is read, and written the same."""

from __future__ import annotations

import pytest

from kproto.formats.aborted_transactions import AbortedTxn
from kproto.ids import parse_uuid
from kproto.schema.compile import decode
from storage.aborted_transactions import CompletedTransaction
from storage.engine import EpochEnd
from storage.local import checkpoints, leader_epochs, partition_metadata, producer_snapshot, transaction_index
from storage.local.leader_epochs import EpochStart, LeaderEpochs
from storage.producers import ProducerState

SNAPSHOT = bytes.fromhex(
    "000193201367000000010000000000000005000000000013000000000000001600000004000001a203e983ef00000000ffffffffffffffff"
)
TRANSACTIONS = bytes.fromhex(
    "000000000000000000050000000000000006000000000000000b000000000000000c"
    "0000000000000000000500000000000000120000000000000017000000000000 0018"
)
META_PROPERTIES = b"""#
#Sun Nov 22 15:38:55 UTC 2026
node.id=1
directory.id=AxQVNHlBTTSAoNKs94oSNA
version=1
cluster.id=q5UZPs6LT-SN56jLo36udA
"""


def test_producer_snapshot() -> None:
    """A snapshot of one producer: its fields, and its bytes again from the fields."""
    states = producer_snapshot.decode(SNAPSHOT)
    assert states == [
        ProducerState(
            producer_id=5,
            producer_epoch=0,
            last_sequence=19,
            last_offset=22,
            offset_delta=4,
            timestamp=1795361965039,
            coordinator_epoch=0,
            transaction_first_offset=-1,
        )
    ]
    assert producer_snapshot.encode(states) == SNAPSHOT
    assert producer_snapshot.decode(producer_snapshot.encode([])) == []


@pytest.mark.parametrize("position", range(len(SNAPSHOT)))
def test_a_damaged_snapshot_is_known_as_such(position: int) -> None:
    """Any flipped byte, and any cut, is noticed."""
    damaged = bytearray(SNAPSHOT)
    damaged[position] ^= 0x40
    assert producer_snapshot.decode(bytes(damaged)) is None
    assert producer_snapshot.decode(SNAPSHOT[:position]) is None


def test_transaction_index() -> None:
    """Two aborted transactions: their fields, and their bytes again from the fields."""
    entries = transaction_index.decode(TRANSACTIONS, 0, 24)
    assert entries == [CompletedTransaction(5, 6, 11, True, 12), CompletedTransaction(5, 18, 23, True, 24)]
    assert transaction_index.encode(entries) == TRANSACTIONS


def test_the_transaction_index_is_the_declared_message() -> None:
    """Each entry is its version and then AbortedTxn, as Kafka defines it."""
    size = transaction_index.LAYOUT.size
    entries = [TRANSACTIONS[at : at + size] for at in range(0, len(TRANSACTIONS), size)]
    assert [decode(AbortedTxn, 0, entry[2:]) for entry in entries] == [
        AbortedTxn(producer_id=5, first_offset=6, last_offset=11, last_stable_offset=12),
        AbortedTxn(producer_id=5, first_offset=18, last_offset=23, last_stable_offset=24),
    ]


def test_a_transaction_index_of_something_else_is_known_as_such() -> None:
    """Cut bytes, another version, markers outside the segment or out of order."""
    assert transaction_index.decode(TRANSACTIONS[:-1], 0, 24) is None
    assert transaction_index.decode(b"\x00\x01" + TRANSACTIONS[2:], 0, 24) is None
    assert transaction_index.decode(TRANSACTIONS, 0, 23) is None
    assert transaction_index.decode(TRANSACTIONS, 12, 24) is None
    assert transaction_index.decode(TRANSACTIONS[34:] + TRANSACTIONS[:34], 0, 24) is None


def test_leader_epochs() -> None:
    """The checkpoint's text, there and back."""
    epochs = leader_epochs.decode(b"0\n2\n0 0\n3 120\n")
    assert epochs is not None
    assert epochs.entries == [EpochStart(0, 0), EpochStart(3, 120)]
    assert epochs.encode() == b"0\n2\n0 0\n3 120\n"
    for torn in (b"", b"0\n", b"0\n2\n0 0\n", b"1\n0\n", b"0\n1\n0\n", b"0\n2\n3 0\n0 120\n", bytes(8), b"0\n1\n0 x\n"):
        assert leader_epochs.decode(torn) is None


def test_where_an_epoch_ends() -> None:
    """An epoch ends where the next one begins, the last one where the log ends; gaps belong to the epoch before. Of
    one that is deleted it is known that it ended before the oldest began."""
    epochs = LeaderEpochs([EpochStart(2, 10), EpochStart(5, 30)])
    assert epochs.end_of(-1, 50) is None
    assert epochs.end_of(1, 50) == EpochEnd(1, 10)
    assert LeaderEpochs().end_of(1, 50) is None
    assert epochs.end_of(2, 50) == EpochEnd(2, 30)
    assert epochs.end_of(4, 50) == EpochEnd(2, 30)
    assert epochs.end_of(5, 50) == EpochEnd(5, 50)
    assert epochs.end_of(6, 50) is None


def test_epochs_follow_the_ends_of_the_log() -> None:
    """Records go at either end, and with them the epochs that only they had."""
    epochs = LeaderEpochs([EpochStart(0, 0), EpochStart(1, 10), EpochStart(2, 20)])
    assert not epochs.assign(2, 25)
    assert epochs.truncate_end(20)
    assert epochs.entries == [EpochStart(0, 0), EpochStart(1, 10)]
    assert epochs.truncate_start(12)
    assert epochs.entries == [EpochStart(1, 12)]
    assert not epochs.truncate_start(12)
    assert epochs.assign(7, 40)
    assert epochs.latest == 7


def test_partition_metadata() -> None:
    """Which topic a directory belongs to."""
    text = b"version: 0\ntopic_id: SnsJSZJkRfO_iCtS_TPvHw"
    topic_id = partition_metadata.decode(text)
    assert topic_id == parse_uuid("SnsJSZJkRfO_iCtS_TPvHw")
    assert partition_metadata.encode(topic_id) == text
    for torn in (b"", b"version: 0\n", text[:-1], b"version: 1\n" + text[11:], b"\0" * 43):
        assert partition_metadata.decode(torn) is None


def test_offset_checkpoints() -> None:
    """Offsets by log. An empty file, as Kafka makes one for the cleaner, has none."""
    text = b"0\n2\nplain 0 5000\n__cluster_metadata 0 24\n"
    offsets = checkpoints.decode_offsets(text)
    assert offsets == {("plain", 0): 5000, ("__cluster_metadata", 0): 24}
    assert checkpoints.encode_offsets(offsets.items()) == text
    assert checkpoints.encode_offsets([]) == b"0\n0\n"
    assert checkpoints.decode_offsets(b"") == {}
    for torn in (b"0\n", text[:-15], b"0\n1\nplain 0\n", b"1\n0\n", b"0\n2\na 0 1\na 0 1\n", b"\0" * 20):
        assert checkpoints.decode_offsets(torn) is None


def test_meta_properties() -> None:
    """Whose directory it is, as Kafka wrote it and as it is written here."""
    identity = checkpoints.decode_meta_properties(META_PROPERTIES)
    assert identity == checkpoints.MetaProperties("q5UZPs6LT-SN56jLo36udA", 1, "AxQVNHlBTTSAoNKs94oSNA")
    assert checkpoints.decode_meta_properties(identity.encode()) == identity


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "version is 0"),
        (b"version=0\nbroker.id=1\ncluster.id=x\n", "version is 0"),
        (b"version=1\nnode.id=1\n", "names no cluster.id"),
        (b"version=1\ncluster.id=x\n", "names no node.id"),
        (b"version=1\ncluster.id=x\nnode.id=one\n", "'one', not a number"),
    ],
)
def test_meta_properties_that_cannot_be_read(text: bytes, reason: str) -> None:
    """The error names the reason."""
    with pytest.raises(checkpoints.Unreadable, match=reason):
        checkpoints.decode_meta_properties(text)
