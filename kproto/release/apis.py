"""Every API of the release: its key, its name, and the versions of it that Kafka serves. Keys are never used twice.

The ranges are those of a broker or controller that offers nothing unstable, while a message may be declared for one
version more. Which of these APIs and versions are served here is said in `broker/handlers`.

Source: Kafka's `ApiKeys`, and the ApiVersions of a running broker. Keys 4 to 7 belonged to ZooKeeper's time.
"""

import re
from typing import Final, NamedTuple


class Api(NamedTuple):
    """One API: Kafka's name, the oldest version and the newest stable one."""

    name: str
    oldest: int
    newest: int
    advertised_from: int | None = None
    """Where ApiVersions lists older versions than are served: the oldest of them."""

    @property
    def oldest_advertised(self) -> int:
        """The oldest version that ApiVersions lists."""
        return self.oldest if self.advertised_from is None else self.advertised_from

    @property
    def module(self) -> str:
        """The name of the modules of this API: its message, its handler, their tests."""
        return re.sub("(?<!^)(?=[A-Z])", "_", self.name).lower()


APIS: Final[dict[int, Api]] = {
    0: Api("Produce", 3, 13, advertised_from=0),
    1: Api("Fetch", 4, 18),
    2: Api("ListOffsets", 1, 11),
    3: Api("Metadata", 0, 13),
    8: Api("OffsetCommit", 2, 10),
    9: Api("OffsetFetch", 1, 10),
    10: Api("FindCoordinator", 0, 6),
    11: Api("JoinGroup", 0, 9),
    12: Api("Heartbeat", 0, 4),
    13: Api("LeaveGroup", 0, 5),
    14: Api("SyncGroup", 0, 5),
    15: Api("DescribeGroups", 0, 6),
    16: Api("ListGroups", 0, 5),
    17: Api("SaslHandshake", 0, 1),
    18: Api("ApiVersions", 0, 5),
    19: Api("CreateTopics", 2, 7),
    20: Api("DeleteTopics", 1, 6),
    21: Api("DeleteRecords", 0, 2),
    22: Api("InitProducerId", 0, 5),
    23: Api("OffsetForLeaderEpoch", 2, 4),
    24: Api("AddPartitionsToTxn", 0, 5),
    25: Api("AddOffsetsToTxn", 0, 4),
    26: Api("EndTxn", 0, 5),
    27: Api("WriteTxnMarkers", 1, 2),
    28: Api("TxnOffsetCommit", 0, 6),
    29: Api("DescribeAcls", 1, 3),
    30: Api("CreateAcls", 1, 3),
    31: Api("DeleteAcls", 1, 3),
    32: Api("DescribeConfigs", 1, 4),
    33: Api("AlterConfigs", 0, 2),
    34: Api("AlterReplicaLogDirs", 1, 2),
    35: Api("DescribeLogDirs", 1, 5),
    36: Api("SaslAuthenticate", 0, 2),
    37: Api("CreatePartitions", 0, 3),
    38: Api("CreateDelegationToken", 1, 3),
    39: Api("RenewDelegationToken", 1, 2),
    40: Api("ExpireDelegationToken", 1, 2),
    41: Api("DescribeDelegationToken", 1, 3),
    42: Api("DeleteGroups", 0, 3),
    43: Api("ElectLeaders", 0, 2),
    44: Api("IncrementalAlterConfigs", 0, 1),
    45: Api("AlterPartitionReassignments", 0, 1),
    46: Api("ListPartitionReassignments", 0, 0),
    47: Api("OffsetDelete", 0, 0),
    48: Api("DescribeClientQuotas", 0, 1),
    49: Api("AlterClientQuotas", 0, 1),
    50: Api("DescribeUserScramCredentials", 0, 0),
    51: Api("AlterUserScramCredentials", 0, 0),
    52: Api("Vote", 0, 2),
    53: Api("BeginQuorumEpoch", 0, 1),
    54: Api("EndQuorumEpoch", 0, 1),
    55: Api("DescribeQuorum", 0, 2),
    56: Api("AlterPartition", 2, 3),
    57: Api("UpdateFeatures", 0, 2),
    58: Api("Envelope", 0, 0),
    59: Api("FetchSnapshot", 0, 1),
    60: Api("DescribeCluster", 0, 2),
    61: Api("DescribeProducers", 0, 0),
    62: Api("BrokerRegistration", 0, 4),
    63: Api("BrokerHeartbeat", 0, 2),
    64: Api("UnregisterBroker", 0, 0),
    65: Api("DescribeTransactions", 0, 0),
    66: Api("ListTransactions", 0, 2),
    67: Api("AllocateProducerIds", 0, 0),
    68: Api("ConsumerGroupHeartbeat", 0, 1),
    69: Api("ConsumerGroupDescribe", 0, 1),
    70: Api("ControllerRegistration", 0, 0),
    71: Api("GetTelemetrySubscriptions", 0, 0),
    72: Api("PushTelemetry", 0, 0),
    73: Api("AssignReplicasToDirs", 0, 0),
    74: Api("ListConfigResources", 0, 1),
    75: Api("DescribeTopicPartitions", 0, 0),
    76: Api("ShareGroupHeartbeat", 1, 1),
    77: Api("ShareGroupDescribe", 1, 1),
    78: Api("ShareFetch", 1, 2),
    79: Api("ShareAcknowledge", 1, 2),
    80: Api("AddRaftVoter", 0, 1),
    81: Api("RemoveRaftVoter", 0, 0),
    82: Api("UpdateRaftVoter", 0, 0),
    83: Api("InitializeShareGroupState", 0, 0),
    84: Api("ReadShareGroupState", 0, 0),
    85: Api("WriteShareGroupState", 0, 1),
    86: Api("DeleteShareGroupState", 0, 0),
    87: Api("ReadShareGroupStateSummary", 0, 1),
    88: Api("StreamsGroupHeartbeat", 0, 1),
    89: Api("StreamsGroupDescribe", 0, 1),
    90: Api("DescribeShareGroupOffsets", 0, 1),
    91: Api("AlterShareGroupOffsets", 0, 0),
    92: Api("DeleteShareGroupOffsets", 0, 0),
    93: Api("StreamsGroupTopologyDescriptionUpdate", 0, 0),
    94: Api("UnregisterController", 0, 0),
}
"""API key -> what the release has under it. Produce is advertised from 0, since librdkafka takes a missing v0 for a
broker that cannot compress."""
