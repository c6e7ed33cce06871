"""What Apache Kafka has written into a snapshot of a small cluster's metadata: its records and checksums.

One node on 127.0.0.1:29492, its controller on the next port; two topics, a third one deleted; settings, a quota, an
access control entry, a credential. The file `00000000000000000621-0000000001.checkpoint` of it was 1,671 bytes long;
built here from the same records with the same times, each of its batches has the checksum that it had there.
"""

from __future__ import annotations

from typing import Final, cast

from kproto.formats.cluster_metadata import (
    AccessControlEntryRecord,
    BrokerEndpoint,
    BrokerFeature,
    ClientQuotaRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    EntityData,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
    UserScramCredentialRecord,
    encode_record,
)
from kproto.formats.control_records import Endpoint, KRaftVersionFeature, KRaftVersionRecord, QuorumVoter, VotersRecord
from kproto.formats.metadata_snapshot import Quorum, SnapshotId
from kproto.ids import parse_uuid
from kproto.schema.compile import encode
from kproto.schema.declare import Data, Record

ID: Final = SnapshotId(621, 1)
LAST_TIMESTAMP: Final = 1_795_375_636_095
HEADER_TIME: Final = 1_795_375_636_125
RECORDS_TIME: Final = 1_795_375_636_126
SIZE: Final = 1671
HEADER_CRC: Final = 1_717_171_537
RECORDS_CRC: Final = 3_095_596_597
FOOTER_CRC: Final = 2_047_473_512

DIRECTORY: Final = parse_uuid("CT89Vs6sSBe6yw48YEasiQ")
KEPT: Final = parse_uuid("bkoGjJQVSX67cYvq44Sj6Q")
KEPT_TOO: Final = parse_uuid("4PPhqzd7Rhia3mBle9_RHA")

FEATURES: Final = {
    "group.version": (0, 1),
    "kraft.version": (0, 1),
    "metadata.version": (7, 30),
    "share.version": (0, 1),
    "streams.version": (0, 1),
    "transaction.version": (0, 2),
    "eligible.leader.replicas.version": (0, 1),
}


def _bytes(message: Data) -> bytes:
    return b"".join(cast(list[bytes], encode(message, 0)))


QUORUM: Final = Quorum(
    _bytes(KRaftVersionRecord(k_raft_version=1)),
    _bytes(
        VotersRecord(
            voters=[
                QuorumVoter(
                    voter_id=1,
                    voter_directory_id=DIRECTORY,
                    endpoints=[Endpoint(name="CONTROLLER", host="127.0.0.1", port=29493)],
                    k_raft_version_feature=KRaftVersionFeature(min_supported_version=0, max_supported_version=1),
                )
            ]
        )
    ),
)


def _partition(topic_id: bytes, partition: int) -> PartitionRecord:
    return PartitionRecord(
        partition_id=partition, topic_id=topic_id, replicas=[1], isr=[1], leader=1, leader_epoch=0, partition_epoch=0,
        directories=[DIRECTORY],
    )  # fmt: skip


RECORDS: Final[list[Record]] = [
    FeatureLevelRecord(name="metadata.version", feature_level=30),
    FeatureLevelRecord(name="group.version", feature_level=1),
    FeatureLevelRecord(name="streams.version", feature_level=1),
    FeatureLevelRecord(name="transaction.version", feature_level=2),
    FeatureLevelRecord(name="eligible.leader.replicas.version", feature_level=1),
    FeatureLevelRecord(name="share.version", feature_level=1),
    RegisterBrokerRecord(
        broker_id=1,
        incarnation_id=bytes.fromhex("c31f9aa7cd52422081b0607ed82a0634"),
        broker_epoch=19,
        end_points=[BrokerEndpoint(name="PLAINTEXT", host="127.0.0.1", port=29492)],
        features=[
            BrokerFeature(name=name, min_supported_version=least, max_supported_version=most)
            for name, (least, most) in FEATURES.items()
        ],
        rack=None,
        fenced=False,
        log_dirs=[DIRECTORY],
        cordoned_log_dirs=[],
    ),
    RegisterControllerRecord(
        controller_id=1,
        incarnation_id=bytes.fromhex("dbfedddf450f4d0f899b89d78ba002b5"),
        end_points=[ControllerEndpoint(name="CONTROLLER", host="127.0.0.1", port=29493)],
        features=[
            ControllerFeature(name=name, min_supported_version=least, max_supported_version=most)
            for name, (least, most) in FEATURES.items()
        ],
    ),
    TopicRecord(name="kept", topic_id=KEPT),
    *[_partition(KEPT, partition) for partition in range(3)],
    TopicRecord(name="kept.too", topic_id=KEPT_TOO),
    _partition(KEPT_TOO, 0),
    ConfigRecord(resource_type=4, resource_name="", name="log.cleaner.threads", value="2"),
    ConfigRecord(resource_type=4, resource_name="", name="min.insync.replicas", value="1"),
    ConfigRecord(resource_type=2, resource_name="kept", name="retention.ms", value="77777777"),
    ClientQuotaRecord(
        entity=[EntityData(entity_type="user", entity_name=None)], key="consumer_byte_rate", value=99.0
    ),
    ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=1000),
    AccessControlEntryRecord(
        id=bytes.fromhex("a55f5b5cc4804f4b9e6cfbd949d54dac"), resource_type=2, resource_name="kept", pattern_type=3,
        principal="User:alice", host="*", operation=3, permission_type=3,
    ),
    UserScramCredentialRecord(
        name="alice",
        mechanism=1,
        salt=b"salt",
        stored_key=bytes.fromhex("e5f154c55d000f6eb15a4a09260edb5d5adfb02d7ca0effdb5ea09c7d3c9b53d"),
        server_key=bytes.fromhex("1c4b5802f3b04ee6d6d368c92fee4c1049636db3a6b17850b86afd785a8948ed"),
        iterations=4096,
    ),
]  # fmt: skip

VALUES: Final = [encode_record(record) for record in RECORDS]
"""Each in its newest version, which is what Kafka writes at that level of its metadata."""
