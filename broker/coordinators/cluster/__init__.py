"""Cluster state: topics, configs, quotas, producer-id blocks. Kafka's controller and metadata image.

| module | holds |
|---|---|
| `coordinator` | ClusterCoordinator: what handlers ask; publishes images |
| `topic_logs` | makes and removes the logs of topics |
| `image`, `persistent_map` | the immutable read side, and what changed from one image to the next |
| `machine` | the fold of `__cluster_metadata`, in Kafka's KRaft records |
| `topics`, `configs`, `quotas`, `producer_ids` | the decisions: pure functions with Kafka's codes |
| `quorum` | who keeps the log, as clients see it: a quorum of one |
| `kept_records`, `placements` | what Kafka's records say beyond that: of no use here, and kept |
| `snapshots`, `snapshot_keeper` | snapshots of all of it: what is in them, when they are made, how a start uses them |
| `topic_names`, `internal_topics` | which names are allowed; the topics that coordinators need |
"""

from broker.coordinators.cluster.coordinator import Alteration, ClusterCoordinator
from broker.coordinators.cluster.image import ClusterChange, ClusterImage, ResourceType, Topic
from broker.coordinators.cluster.topics import Assignment, NewPartitions, NewTopic

__all__ = [
    "Alteration",
    "Assignment",
    "ClusterChange",
    "ClusterCoordinator",
    "ClusterImage",
    "NewPartitions",
    "NewTopic",
    "ResourceType",
    "Topic",
]
