"""The bodies of control records: records that brokers write into logs for each other and that consumers never see.

The key of a control record is a :class:`ControlRecordTypeSchema` behind an int16 version; its type says what the value
is, which starts with an int16 version too where it ends a transaction and is bare in KRaft's records:

====  ===========================================  ==============================
type  meaning                                      value
====  ===========================================  ==============================
0, 1  a transaction was aborted, committed         :class:`EndTxnMarker`
2     a leader of a KRaft quorum begins its epoch  :class:`LeaderChangeMessage`
3, 4  a snapshot begins, ends                      :class:`SnapshotHeaderRecord`, :class:`SnapshotFooterRecord`
5     the version of the KRaft protocol            :class:`KRaftVersionRecord`
6     the voters of the quorum                     :class:`VotersRecord`
====  ===========================================  ==============================

Source: Kafka's ``ControlRecordType`` and ``ControlRecordUtils``.
"""

from kproto.schema.declare import Array, Data, Int16, Int32, Int64, String, Struct, Uint16, Uuid, field


class ControlRecordTypeSchema(Data, versions="0"):
    type: Int16 = field("0+")


class EndTxnMarker(Data, versions="0"):
    coordinator_epoch: Int32 = field("0+")


class LeaderChangeVoter(Struct, kafka_name="Voter"):
    voter_id: Int32 = field("0+")
    voter_directory_id: Uuid = field("1+")


class LeaderChangeMessage(Data, versions="0-1", flexible="0+"):
    version: Int16 = field("0+")
    leader_id: Int32 = field("0+")
    voters: Array[LeaderChangeVoter] = field("0+")
    granting_voters: Array[LeaderChangeVoter] = field("0+")


class SnapshotHeaderRecord(Data, versions="0", flexible="0+"):
    version: Int16 = field("0+")
    last_contained_log_timestamp: Int64 = field("0+")


class SnapshotFooterRecord(Data, versions="0", flexible="0+"):
    version: Int16 = field("0+")


class KRaftVersionRecord(Data, versions="0", flexible="0+"):
    version: Int16 = field("0+")
    k_raft_version: Int16 = field("0+")


class Endpoint(Struct):
    name: String = field("0+", map_key=True)
    host: String = field("0+")
    port: Uint16 = field("0+")


class KRaftVersionFeature(Struct):
    min_supported_version: Int16 = field("0+")
    max_supported_version: Int16 = field("0+")


class QuorumVoter(Struct, kafka_name="Voter"):
    voter_id: Int32 = field("0+")
    voter_directory_id: Uuid = field("0+")
    endpoints: Array[Endpoint] = field("0+")
    k_raft_version_feature: KRaftVersionFeature = field("0+")


class VotersRecord(Data, versions="0", flexible="0+"):
    version: Int16 = field("0+")
    voters: Array[QuorumVoter] = field("0+")
