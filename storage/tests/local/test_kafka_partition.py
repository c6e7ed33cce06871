"""A partition that Apache Kafka wrote is served record for record, indexes and snapshot included.

The log is short: four transactions of five records each, every other one aborted, from one producer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.engine import AbortedTransaction, EpochEnd, LogSpec, OpenProducer, TimestampOffset
from storage.local import partition_metadata, producer_snapshot
from storage.log_config import LogConfig
from storage.testing.log_builder import batch
from storage.tests.local.local_lab import Place, append, read_all, values_of
from storage.tests.local.test_formats import META_PROPERTIES, SNAPSHOT, TRANSACTIONS

LOG = bytes.fromhex(
    "000000000000000000000063000000000214fa1de6001000000004000001a203e982e6000001a203e982e600000000000000050000"
    "0000000000000005120000000106302d3000120000020106302d3100120000040106302d3200120000060106302d33001200000801"
    "06302d340000000000000000050000004200000000026e80549e003000000000000001a203e98376000001a203e983760000000000"
    "0000050000ffffffff000000012000000008000000010c00000000000000000000000000000600000063000000000"
    "21e5357e0001000000004000001a203e98355000001a203e983550000000000000005000000000005000000051200"
    "00000106312d3000120000020106312d3100120000040106312d3200120000060106312d3300120000080106312d3400"
    "000000000000000b0000004200000000022577ec61003000000000000001a203e983ad000001a203e983ad00000000000000050000"
    "ffffffff000000012000000008000000000c00000000000000000000000000000c0000006300000000027169ab8600100000000400"
    "0001a203e983aa000001a203e983aa000000000000000500000000000a00000005120000000106322d3000120000020106322d3100"
    "120000040106322d3200120000060106322d3300120000080106322d34000000000000000011000000420000000002c4f1f3cc0030"
    "00000000000001a203e983cb000001a203e983cb00000000000000050000ffffffff000000012000000008000000010c0000000000"
    "0000000000000000001200000063000000000266b659f3001000000004000001a203e983c9000001a203e983c90000000000000005"
    "00000000000f00000005120000000106332d3000120000020106332d3100120000040106332d3200120000060106332d3300120000"
    "080106332d340000000000000000170000004200000000022c5d8773003000000000000001a203e983ef000001a203e983ef000000"
    "00000000050000ffffffff000000012000000008000000000c00000000000000"
)
TIME_INDEX = bytes.fromhex("000001a203e983ef00000017")
METADATA = b"version: 0\ntopic_id: SnsJSZJkRfO_iCtS_TPvHw"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The data directory as Kafka left it after a clean stop."""
    data = tmp_path / "data"
    partition = data / "tx-0"
    partition.mkdir(parents=True)
    (data / "meta.properties").write_bytes(META_PROPERTIES)
    (data / ".kafka_cleanshutdown").write_bytes(b'{"version":0,"brokerEpoch":13}')
    (data / "recovery-point-offset-checkpoint").write_bytes(b"0\n1\ntx 0 24\n")
    (data / "log-start-offset-checkpoint").write_bytes(b"0\n0\n")
    (data / "replication-offset-checkpoint").write_bytes(b"0\n1\ntx 0 24\n")
    (data / "cleaner-offset-checkpoint").write_bytes(b"")
    for name, content in (
        ("00000000000000000000.log", LOG),
        ("00000000000000000000.index", b""),
        ("00000000000000000000.timeindex", TIME_INDEX),
        ("00000000000000000000.txnindex", TRANSACTIONS),
        ("00000000000000000024.snapshot", SNAPSHOT),
        ("leader-epoch-checkpoint", b"0\n1\n0 0\n"),
        ("partition.metadata", METADATA),
    ):
        (partition / name).write_bytes(content)
    return Place(data)


def the_spec() -> LogSpec:
    """The log in it."""
    topic_id = partition_metadata.decode(METADATA)
    assert topic_id is not None
    return LogSpec("tx", topic_id, 0, LogConfig())


async def check(place: Place) -> None:
    """Everything that the log has to tell."""
    async with place.open() as store:
        assert store.cluster_id == "q5UZPs6LT-SN56jLo36udA"
        assert set(store.existing()) == {("tx", 0)}
        log = store.log(the_spec())
        assert log.statistics() == (0, 24, 24, 24, len(LOG), 1)
        assert log.leader_epoch == 0
        assert log.end_of_epoch(0) == EpochEnd(0, 24)
        assert await read_all(store, log) == LOG
        assert await values_of(store, log) == [b"%d-%d" % (batch, record) for batch in range(4) for record in range(5)]
        assert await log.aborted_transactions(0, 24) == [AbortedTransaction(5, 6), AbortedTransaction(5, 18)]
        assert await log.aborted_transactions(12, 18) == []
        assert await log.producers() == [OpenProducer(5, 0, 19, 1795361965039, 0, -1)]
        assert await log.offset_of_max_timestamp() == TimestampOffset(1795361965039, 23, 0)
        assert await log.offset_for_time(1795361964970) == TimestampOffset(1795361964973, 11, 0)


async def test_after_a_clean_stop(place: Place) -> None:
    """Offsets, records, transactions, producers, epochs, times; and nothing of Kafka's is changed by looking."""
    before = {path.name: path.read_bytes() for path in (place.path / "tx-0").iterdir()}
    await check(place)
    assert {path.name: path.read_bytes() for path in (place.path / "tx-0").iterdir()} == before


async def test_after_kafka_was_killed(place: Place) -> None:
    """A Kafka that was killed leaves indexes of ten megabytes of zeros and no snapshot: the same log comes out."""
    (place.path / ".kafka_cleanshutdown").unlink()
    (place.path / "recovery-point-offset-checkpoint").write_bytes(b"0\n1\ntx 0 0\n")
    place.file(".index", "tx").write_bytes(bytes(10 << 20))
    place.file(".timeindex", "tx").write_bytes(bytes(10485756))
    place.file(".snapshot", "tx", offset=24).unlink()
    await check(place)
    assert place.file(".timeindex", "tx").read_bytes() == TIME_INDEX
    assert place.file(".index", "tx").read_bytes() == b""
    states = producer_snapshot.decode(place.file(".snapshot", "tx", offset=24).read_bytes())
    assert states is not None
    assert states[-1:] == producer_snapshot.decode(SNAPSHOT), "and before it the other batches of the window"
    assert [state.last_sequence for state in states] == [4, 9, 14, 19]
    assert place.file(".txnindex", "tx").read_bytes() == TRANSACTIONS


async def test_the_transaction_index_is_rebuilt(place: Place) -> None:
    """Cut or garbled, it is rebuilt from the markers, byte for byte, after any kind of stop."""
    for damage in (TRANSACTIONS[:40], b"garbage" * 34):
        place.file(".txnindex", "tx").write_bytes(damage)
        for found in (place.as_killed(), place):
            await check(found)
            assert found.file(".txnindex", "tx").read_bytes() == TRANSACTIONS


async def test_appending_to_it(place: Place) -> None:
    """What is appended goes on where Kafka stopped, and what Kafka wrote is not touched."""
    async with place.open() as store:
        log = store.log(the_spec())
        assert await append(log, batch(b"ours")) == 24
    assert place.file(".log", "tx").read_bytes()[: len(LOG)] == LOG
    assert (place.path / "recovery-point-offset-checkpoint").read_bytes() == b"0\n1\ntx 0 25\n"
    async with place.open() as store:
        assert (await values_of(store, store.log(the_spec())))[-1] == b"ours"
