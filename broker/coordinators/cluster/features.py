"""Finalized features: which level of Kafka's formats the cluster is at (KIP-584).

A new cluster log opens with a record of its metadata version, as Kafka's does; tools that read the log look for it.
Beside it stands the file's `min.insync.replicas` as the dynamic default of all brokers: Kafka puts it there with its
eligible leader replicas (KIP-966), and tools show where a value comes from. Other features (`group.version`,
`transaction.version`) are finalized with the APIs that they announce.
"""

from __future__ import annotations

from typing import Final

from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from kproto.formats.cluster_metadata import ConfigRecord, FeatureLevelRecord
from kproto.schema.declare import Record

METADATA_VERSION: Final = "metadata.version"
METADATA_VERSION_LEVEL: Final = 30
"""4.3-IV0."""


def decide_bootstrap(machine: ClusterMachine, min_insync_replicas: str, promise: Promise[None]) -> ClusterDecision:
    """The first records of a cluster log. The reply is None."""
    records: list[Record] = [
        FeatureLevelRecord(name=METADATA_VERSION, feature_level=METADATA_VERSION_LEVEL),
        ConfigRecord(
            resource_type=int(ResourceType.BROKER),
            resource_name="",
            name="min.insync.replicas",
            value=min_insync_replicas,
        ),
    ]
    return Decision(records, [(promise, None)])
