"""Finalized features: which level of Kafka's formats the cluster is at (KIP-584).

A new cluster log opens with a record of its metadata version, as Kafka's does; tools that read the log look for it.
Other features (`group.version`, `transaction.version`) are finalized with the APIs that they announce.
"""

from __future__ import annotations

from typing import Final

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from kproto.internal_topics.cluster_metadata import FeatureLevelRecord

METADATA_VERSION: Final = "metadata.version"
METADATA_VERSION_LEVEL: Final = 30
"""4.3-IV0."""


def decide_bootstrap(machine: ClusterMachine, promise: Promise[None]) -> ClusterDecision:
    """The first records of a cluster log. The reply is None."""
    record = FeatureLevelRecord(name=METADATA_VERSION, feature_level=METADATA_VERSION_LEVEL)
    return Decision([record], [(promise, None)])
