"""What Apache Kafka's releases from 2.8 on said to clients: their APIs, the versions of these, their features.

A release is three facts here. Which APIs its brokers list for clients, and in which stable versions (`api_ranges`);
which features they know and up to which level (`supported_features`); at which levels a cluster is that was made with
it (`finalized_features`). Nothing of it changes any more but for the newest release, whose row has to agree with
`apis.py` and `features.py` (a test compares them).

**A cluster kept by ZooKeeper up to 3.2, one of KRaft from 3.3 on**, since that is what people ran: KRaft was first
declared fit for production in 3.3. A broker of ZooKeeper's time listed four APIs between brokers (4 to 7) and others of
the controller; it had features, but no level of any.

**How a row is read.** `0-9@2.8 0-10@3.7` says: versions 0 to 9 from release 2.8 on, 0 to 10 from 3.7 on. `-@4.0` says
that the API was no longer there. Versions that a release had declared but not yet stable were not listed, and are not
here.

Source: `validVersions`, `latestVersionUnstable` and `listeners` of Kafka's message definitions at each release;
`MetadataVersion` and the `FeatureVersion`s of server-common, and what `BrokerFeatures` made of them;
`python -m tools.trials compare-history` reads them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

RELEASES: Final = (
    "2.8", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.0", "4.1", "4.2", "4.3", "4.4",
)  # fmt: skip
"""Oldest first."""

FIRST_OF_KRAFT: Final = "3.3"
"""The first release that is shown as a broker of KRaft."""

_RANGES: Final[Mapping[int, str]] = {
    0: "0-9@2.8 0-10@3.7 0-11@3.8 3-12@4.0 3-13@4.1",  # Produce
    1: "0-12@2.8 0-13@3.1 0-15@3.5 0-16@3.7 0-17@3.9 4-17@4.0 4-18@4.1",  # Fetch
    2: "0-6@2.8 0-7@3.0 0-8@3.5 0-9@3.9 1-10@4.0 1-11@4.2",  # ListOffsets
    3: "0-11@2.8 0-12@3.1 0-13@4.0",  # Metadata
    4: "0-5@2.8 0-6@3.2 -@3.3",  # LeaderAndIsr
    5: "0-3@2.8 -@3.3",  # StopReplica
    6: "0-7@2.8 -@3.3",  # UpdateMetadata
    7: "0-3@2.8 -@3.3",  # ControlledShutdown
    8: "0-8@2.8 0-9@3.7 2-9@4.0 2-10@4.2",  # OffsetCommit
    9: "0-7@2.8 0-8@3.0 0-9@3.7 1-9@4.0 1-10@4.2",  # OffsetFetch
    10: "0-3@2.8 0-4@3.0 0-5@3.8 0-6@3.9",  # FindCoordinator
    11: "0-7@2.8 0-9@3.2 2-9@4.0 0-9@4.1",  # JoinGroup
    12: "0-4@2.8",  # Heartbeat
    13: "0-4@2.8 0-5@3.2",  # LeaveGroup
    14: "0-5@2.8",  # SyncGroup
    15: "0-5@2.8 0-6@4.0",  # DescribeGroups
    16: "0-4@2.8 0-5@3.8",  # ListGroups
    17: "0-1@2.8",  # SaslHandshake
    18: "0-3@2.8 0-4@3.9 0-5@4.4",  # ApiVersions
    19: "0-7@2.8 2-7@4.0",  # CreateTopics
    20: "0-6@2.8 1-6@4.0",  # DeleteTopics
    21: "0-2@2.8",  # DeleteRecords
    22: "0-4@2.8 0-5@3.8",  # InitProducerId
    23: "0-4@2.8 2-4@4.0",  # OffsetForLeaderEpoch
    24: "0-3@2.8 0-4@3.6 0-5@3.8",  # AddPartitionsToTxn
    25: "0-3@2.8 0-4@3.8",  # AddOffsetsToTxn
    26: "0-3@2.8 0-4@3.8 0-5@4.0",  # EndTxn
    27: "0-1@2.8 1-1@4.0 1-2@4.2",  # WriteTxnMarkers
    28: "0-3@2.8 0-4@3.8 0-5@4.0 0-6@4.4",  # TxnOffsetCommit
    29: "0-2@2.8 0-3@3.3 1-3@4.0",  # DescribeAcls
    30: "0-2@2.8 0-3@3.3 1-3@4.0",  # CreateAcls
    31: "0-2@2.8 0-3@3.3 1-3@4.0",  # DeleteAcls
    32: "0-4@2.8 1-4@4.0",  # DescribeConfigs
    33: "0-2@2.8",  # AlterConfigs
    34: "0-2@2.8 1-2@4.0",  # AlterReplicaLogDirs
    35: "0-2@2.8 0-3@3.2 0-4@3.3 1-4@4.0 1-5@4.3",  # DescribeLogDirs
    36: "0-2@2.8",  # SaslAuthenticate
    37: "0-3@2.8",  # CreatePartitions
    38: "0-2@2.8 -@3.3 0-3@3.6 1-3@4.0",  # CreateDelegationToken
    39: "0-2@2.8 -@3.3 0-2@3.6 1-2@4.0",  # RenewDelegationToken
    40: "0-2@2.8 -@3.3 0-2@3.6 1-2@4.0",  # ExpireDelegationToken
    41: "0-2@2.8 -@3.3 0-3@3.6 1-3@4.0",  # DescribeDelegationToken
    42: "0-2@2.8 0-3@4.4",  # DeleteGroups
    43: "0-2@2.8",  # ElectLeaders
    44: "0-1@2.8",  # IncrementalAlterConfigs
    45: "0-0@2.8 0-1@4.1",  # AlterPartitionReassignments
    46: "0-0@2.8",  # ListPartitionReassignments
    47: "0-0@2.8",  # OffsetDelete
    48: "0-1@2.8",  # DescribeClientQuotas
    49: "0-1@2.8",  # AlterClientQuotas
    50: "0-0@2.8 -@3.3 0-0@3.5",  # DescribeUserScramCredentials
    51: "0-0@2.8 -@3.3 0-0@3.5",  # AlterUserScramCredentials
    55: "0-1@3.3 0-2@3.9",  # DescribeQuorum
    56: "0-0@2.8 0-1@3.2 -@3.3",  # AlterPartition
    57: "0-0@2.8 0-1@3.3 0-2@4.0",  # UpdateFeatures
    60: "0-0@2.8 0-1@3.7 0-2@4.0",  # DescribeCluster
    61: "0-0@2.8",  # DescribeProducers
    64: "0-0@3.3",  # UnregisterBroker
    65: "0-0@3.0",  # DescribeTransactions
    66: "0-0@3.0 0-1@3.8 0-2@4.1",  # ListTransactions
    67: "0-0@3.0 -@3.3",  # AllocateProducerIds
    68: "0-0@3.7 0-1@4.0",  # ConsumerGroupHeartbeat
    69: "0-0@3.8 0-1@4.0",  # ConsumerGroupDescribe
    71: "0-0@3.7",  # GetTelemetrySubscriptions
    72: "0-0@3.7",  # PushTelemetry
    74: "0-0@3.7 0-1@4.1",  # ListConfigResources
    75: "0-0@3.8",  # DescribeTopicPartitions
    76: "1-1@4.1",  # ShareGroupHeartbeat
    77: "1-1@4.1",  # ShareGroupDescribe
    78: "1-1@4.1 1-2@4.2",  # ShareFetch
    79: "1-1@4.1 1-2@4.2",  # ShareAcknowledge
    80: "0-0@3.9 0-1@4.2",  # AddRaftVoter
    81: "0-0@3.9",  # RemoveRaftVoter
    83: "0-0@4.1",  # InitializeShareGroupState
    84: "0-0@4.1",  # ReadShareGroupState
    85: "0-0@4.1 0-1@4.2",  # WriteShareGroupState
    86: "0-0@4.1",  # DeleteShareGroupState
    87: "0-0@4.1 0-1@4.2",  # ReadShareGroupStateSummary
    88: "0-0@4.2 0-1@4.4",  # StreamsGroupHeartbeat
    89: "0-0@4.2 0-1@4.4",  # StreamsGroupDescribe
    90: "0-0@4.1 0-1@4.2",  # DescribeShareGroupOffsets
    91: "0-0@4.1",  # AlterShareGroupOffsets
    92: "0-0@4.1",  # DeleteShareGroupOffsets
    93: "0-0@4.4",  # StreamsGroupTopologyDescriptionUpdate
    94: "0-0@4.4",  # UnregisterController
}
"""API key -> the versions that brokers listed for clients, release by release."""


class FeatureRange(NamedTuple):
    """What a release had of a feature."""

    oldest: int
    newest: int
    finalized: int
    """The level of a cluster that was made with the release; 0 where the feature was off."""


_FEATURES: Final[Mapping[str, str]] = {
    "metadata.version": (
        "1-7=7@3.3 1-8=8@3.4 1-11=11@3.5 1-14=14@3.6 1-19=19@3.7 1-20=20@3.8 1-21=21@3.9 "
        "7-25=25@4.0 7-27=27@4.1 7-29=29@4.2 7-30=30@4.3 7-33=33@4.4"
    ),
    "kraft.version": "0-1=1@3.9",
    "transaction.version": "0-2=2@4.0",
    "group.version": "0-1=1@4.0",
    "eligible.leader.replicas.version": "0-1=0@4.0 0-1=1@4.1",
    "share.version": "0-1=0@4.1 0-1=1@4.2 0-2=2@4.4",
    "streams.version": "0-1=1@4.2",
}
"""Feature -> `oldest-newest=finalized@release`, read as the rows above."""


def release_named(name: str) -> str | None:
    """The release of a number, `3.7` of `3.7.1` too; None for one that is not known here."""
    release = ".".join(name.strip().split(".")[:2])
    numbers = name.strip().split(".")
    return release if release in RELEASES and len(numbers) <= 3 and all(map(str.isdecimal, numbers)) else None


def is_before(release: str, other: str) -> bool:
    """True when the first release is the older one. Both are of `RELEASES`."""
    return RELEASES.index(release) < RELEASES.index(other)


def api_ranges(release: str) -> dict[int, tuple[int, int]]:
    """API key -> the oldest and the newest version that a broker of the release listed for clients."""
    ranges = {}
    for key, row in _RANGES.items():
        if text := _in_force(row, release):
            oldest, _, newest = text.partition("-")
            ranges[key] = int(oldest), int(newest)
    return ranges


def features_of(release: str) -> dict[str, FeatureRange]:
    """The features that the release had, by name."""
    features = {}
    for name, row in _FEATURES.items():
        if text := _in_force(row, release):
            levels, _, finalized = text.partition("=")
            oldest, _, newest = levels.partition("-")
            features[name] = FeatureRange(int(oldest), int(newest), int(finalized))
    return features


def _in_force(row: str, release: str) -> str | None:
    """What a row says of a release: its last word that is not of a later one."""
    found = None
    for word in row.split():
        value, _, since = word.partition("@")
        if is_before(release, since):
            break
        found = value
    return None if found == "-" else found
