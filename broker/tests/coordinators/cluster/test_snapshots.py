"""What the cluster machine keeps for Kafka, and the snapshots that it makes of all it knows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.cluster.snapshots import snapshot_batches
from broker.tests.coordinators.cluster import kafka_snapshot
from kproto.batches.header import read_header
from kproto.batches.records import ControlRecordType, RecordData, iter_records
from kproto.formats.cluster_metadata import (
    AbortTransactionRecord,
    AccessControlEntryRecord,
    BeginTransactionRecord,
    BrokerRegistrationChangeRecord,
    ClearElrRecord,
    ClientQuotaRecord,
    ConfigRecord,
    DelegationTokenRecord,
    EndTransactionRecord,
    EntityData,
    FeatureLevelRecord,
    FenceBrokerRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveTopicRecord,
    RemoveUserScramCredentialRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
    UnregisterControllerRecord,
    UserScramCredentialRecord,
    ZkMigrationStateRecord,
    decode_record,
)
from kproto.formats.metadata_snapshot import read_snapshot, write_snapshot
from kproto.ids import ZERO_UUID
from kproto.schema.declare import Record

T = bytes(15) + b"t"


def machine_of(records: Sequence[Record]) -> ClusterMachine:
    machine = ClusterMachine()
    for record in records:
        machine.replay(record)
    machine.check()
    return machine


def snapshot_of(*records: Record) -> list[Record]:
    """The records of a snapshot taken after `records`, from its bytes."""
    machine = machine_of(records)
    data = b"".join(snapshot_batches(machine.capture(), 1, 2, 3))
    values = [record.value for batch in read_snapshot(data).batches for record in iter_records(batch)]
    return [decode_record(value) for value in values if value is not None]


def test_the_bytes_are_kafkas() -> None:
    """From the records and times of a snapshot that Kafka wrote come its batches, each with Kafka's checksum."""
    pieces = {
        time: list(write_snapshot(1, kafka_snapshot.LAST_TIMESTAMP, kafka_snapshot.QUORUM, kafka_snapshot.VALUES, time))
        for time in (kafka_snapshot.HEADER_TIME, kafka_snapshot.RECORDS_TIME)
    }
    header, _, _ = pieces[kafka_snapshot.HEADER_TIME]
    _, records, footer = pieces[kafka_snapshot.RECORDS_TIME]
    assert len(header) + len(records) + len(footer) == kafka_snapshot.SIZE
    assert [read_header(batch).crc for batch in (header, records, footer)] == [
        kafka_snapshot.HEADER_CRC,
        kafka_snapshot.RECORDS_CRC,
        kafka_snapshot.FOOTER_CRC,
    ]


def test_what_kafka_wrote_is_in_our_snapshot() -> None:
    """K9: every record of a snapshot of Kafka's is in the one made after it, of whatever kind; so are the voters."""
    machine = machine_of(kafka_snapshot.RECORDS)
    machine.adopt_quorum(kafka_snapshot.QUORUM)
    machine.advance()
    found = read_snapshot(b"".join(snapshot_batches(machine.capture(), 1, 2, 3)))
    assert found.quorum == kafka_snapshot.QUORUM
    values = [record.value for batch in found.batches for record in iter_records(batch)]
    assert sorted(value or b"" for value in values) == sorted(kafka_snapshot.VALUES)
    kinds = [type(decode_record(value or b"")) for value in values]
    assert list(dict.fromkeys(kinds)) == list(dict.fromkeys(type(record) for record in kafka_snapshot.RECORDS))


BROKER = RegisterBrokerRecord(broker_id=4, broker_epoch=8, fenced=True, log_dirs=[T], rack="r")


@pytest.mark.parametrize(
    ("records", "kept"),
    [
        ([BROKER], [BROKER]),
        ([BROKER, UnregisterBrokerRecord(broker_id=4, broker_epoch=8)], []),
        (
            [BROKER, UnfenceBrokerRecord(id=4, epoch=8)],
            [RegisterBrokerRecord(broker_id=4, broker_epoch=8, fenced=False, log_dirs=[T], rack="r")],
        ),
        ([BROKER, UnfenceBrokerRecord(id=4, epoch=8), FenceBrokerRecord(id=4, epoch=8)], [BROKER]),
        (
            [
                BROKER,
                BrokerRegistrationChangeRecord(broker_id=4, broker_epoch=8, fenced=-1, log_dirs=[ZERO_UUID]),
                BrokerRegistrationChangeRecord(broker_id=4, broker_epoch=8, in_controlled_shutdown=1),
                BrokerRegistrationChangeRecord(broker_id=4, broker_epoch=8, cordoned_log_dirs=[T]),
                BrokerRegistrationChangeRecord(broker_id=5, broker_epoch=8, fenced=1),
            ],
            [
                RegisterBrokerRecord(
                    broker_id=4, broker_epoch=8, fenced=False, in_controlled_shutdown=True, log_dirs=[ZERO_UUID],
                    cordoned_log_dirs=[T], rack="r",
                )
            ],
        ),
        (
            [
                RegisterControllerRecord(controller_id=1),
                RegisterControllerRecord(controller_id=1, zk_migration_ready=True),
            ],
            [RegisterControllerRecord(controller_id=1, zk_migration_ready=True)],
        ),
        (
            [
                RegisterControllerRecord(controller_id=1),
                RegisterControllerRecord(controller_id=2),
                UnregisterControllerRecord(controller_id=1),
            ],
            [RegisterControllerRecord(controller_id=2)],
        ),
        (
            [
                AccessControlEntryRecord(id=T, principal="User:a"),
                AccessControlEntryRecord(id=ZERO_UUID, principal="User:b"),
                RemoveAccessControlEntryRecord(id=T),
            ],
            [AccessControlEntryRecord(id=ZERO_UUID, principal="User:b")],
        ),
        (
            [
                UserScramCredentialRecord(name="a", mechanism=1),
                UserScramCredentialRecord(name="a", mechanism=2),
                RemoveUserScramCredentialRecord(name="a", mechanism=1),
            ],
            [UserScramCredentialRecord(name="a", mechanism=2)],
        ),
        (
            [
                ClientQuotaRecord(entity=[EntityData(entity_type="user", entity_name="a")], key="k", value=1.0),
                ClientQuotaRecord(entity=[EntityData(entity_type="user", entity_name="a")], key="k", value=2.0),
                ClientQuotaRecord(entity=[EntityData(entity_type="user", entity_name=None)], key="k", value=3.0),
                ClientQuotaRecord(entity=[EntityData(entity_type="user", entity_name=None)], key="k", remove=True),
            ],
            [ClientQuotaRecord(entity=[EntityData(entity_type="user", entity_name="a")], key="k", value=2.0)],
        ),
        (
            [
                DelegationTokenRecord(token_id="a"),
                DelegationTokenRecord(token_id="b"),
                RemoveDelegationTokenRecord(token_id="a"),
            ],
            [DelegationTokenRecord(token_id="b")],
        ),
        ([ProducerIdsRecord(next_producer_id=1000), ProducerIdsRecord(next_producer_id=2000)],
         [ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=2000)]),
        ([FeatureLevelRecord(name="f", feature_level=1), FeatureLevelRecord(name="f", feature_level=0)], []),
        ([ConfigRecord(resource_type=32, resource_name="g", name="a", value="1"),
          ConfigRecord(resource_type=32, resource_name="g", name="a", value=None)], []),
        ([NoOpRecord(), ZkMigrationStateRecord(zk_migration_state=1)], []),
    ],
)  # fmt: skip
def test_the_fold_is_kafkas(records: list[Record], kept: list[Record]) -> None:
    """Later records take the place of earlier ones of the same thing, removals take them away, changes are merged."""
    assert snapshot_of(*records) == kept


def partition(number: int, **more: object) -> PartitionRecord:
    record = PartitionRecord(
        partition_id=number, topic_id=T, replicas=[1], isr=[1], leader=1, leader_epoch=0, partition_epoch=0,
        directories=[ZERO_UUID],
    )  # fmt: skip
    for name, value in more.items():
        setattr(record, name, value)
    return record


def test_partitions_are_as_kafka_left_them() -> None:
    """Replicas, directories, epochs and the rest: each as the records before the snapshot had it."""
    topic = TopicRecord(name="t", topic_id=T)
    assert snapshot_of(
        topic,
        partition(0),
        partition(1),
        partition(2, leader_epoch=5, partition_epoch=9, directories=[T]),
        partition(3, eligible_leader_replicas=[3], last_known_elr=[4]),
        PartitionChangeRecord(topic_id=T, partition_id=0, leader=-1, isr=[]),
        PartitionChangeRecord(topic_id=T, partition_id=0, leader=1, isr=[1], leader_recovery_state=1),
        PartitionChangeRecord(topic_id=T, partition_id=1, directories=[T], adding_replicas=[2], replicas=[1, 2]),
        PartitionChangeRecord(topic_id=T, partition_id=2, removing_replicas=[7], eligible_leader_replicas=[6]),
    ) == [
        topic,
        partition(0, leader_epoch=2, partition_epoch=2, leader_recovery_state=1),
        partition(1, partition_epoch=1, directories=[T], adding_replicas=[2], replicas=[1, 2]),
        partition(
            2, leader_epoch=5, partition_epoch=10, directories=[T], removing_replicas=[7], eligible_leader_replicas=[6]
        ),
        partition(3, eligible_leader_replicas=[3], last_known_elr=[4]),
    ]


def test_eligible_leaders_are_cleared_of_one_topic_or_of_all() -> None:
    """ClearElrRecord, with and without a name."""
    topic = TopicRecord(name="t", topic_id=T)
    eligible = partition(0, eligible_leader_replicas=[3], last_known_elr=[4])
    assert snapshot_of(topic, eligible, ClearElrRecord(topic_name="other")) == [topic, eligible]
    for name in ("t", ""):
        assert snapshot_of(topic, eligible, ClearElrRecord(topic_name=name)) == [topic, partition(0)]


def test_records_are_in_versions_of_the_clusters_level() -> None:
    """PartitionRecords are of version 2 where eligible leaders are known to the cluster, else of version 1."""
    topic = TopicRecord(name="t", topic_id=T)
    elr = FeatureLevelRecord(name="eligible.leader.replicas.version", feature_level=1)
    for records, version in (([topic, partition(0)], 1), ([elr, topic, partition(0)], 2)):
        data = b"".join(snapshot_batches(machine_of(records).capture(), 1, 2, 3))
        values = [record.value or b"" for batch in read_snapshot(data).batches for record in iter_records(batch)]
        assert [value[2] for value in values if value[1] == 3] == [version]


def test_a_removed_topic_leaves_nothing() -> None:
    """Neither partitions nor configs."""
    assert (
        snapshot_of(
            TopicRecord(name="t", topic_id=T),
            ConfigRecord(resource_type=2, resource_name="t", name="a", value="1"),
            partition(0),
            RemoveTopicRecord(topic_id=T),
        )
        == []
    )


def test_transactions_of_kafkas_controller_count_when_they_end() -> None:
    """What stands between begin and end is applied then; what was aborted, never; what is open, not yet (KIP-868)."""
    topic = TopicRecord(name="t", topic_id=T)
    begun = [BeginTransactionRecord(name="x"), topic, partition(0)]
    assert not machine_of(begun).has_topic("t")
    assert machine_of(begun).in_transaction
    assert snapshot_of(*begun, EndTransactionRecord()) == [topic, partition(0)]
    assert snapshot_of(*begun, AbortTransactionRecord()) == []


def test_voters_come_from_control_records() -> None:
    """Of the log as of a snapshot; those of other kinds are passed over."""
    machine = ClusterMachine()
    assert machine.kraft_version == 0
    for kind, value in (
        (ControlRecordType.LEADER_CHANGE, b"leader"),
        (ControlRecordType.KRAFT_VERSION, kafka_snapshot.QUORUM.kraft_version),
        (ControlRecordType.KRAFT_VOTERS, kafka_snapshot.QUORUM.voters),
    ):
        machine.replay_control(RecordData(0, 0, b"\0\0\0" + bytes([kind]), value, ()))
    machine.check()
    assert machine.capture().quorum == kafka_snapshot.QUORUM
    assert machine.kraft_version == 1


def test_a_capture_stands_still() -> None:
    """What happens after it does not change what is being written."""
    machine = machine_of(kafka_snapshot.RECORDS)
    capture = machine.capture()
    before = list(snapshot_batches(capture, 1, 2, 3))
    machine.replay(PartitionChangeRecord(topic_id=kafka_snapshot.KEPT, partition_id=1, leader=-1))
    machine.replay(UnregisterBrokerRecord(broker_id=1))
    machine.replay(RemoveTopicRecord(topic_id=kafka_snapshot.KEPT_TOO))
    machine.replay(ProducerIdsRecord(next_producer_id=9000))
    machine.advance()
    assert list(snapshot_batches(capture, 1, 2, 3)) == before
