"""On what a client needs DESCRIBE_CONFIGS or ALTER_CONFIGS to see or change the configs of a resource.

A topic's and a group's configs are guarded by the topic and the group; those of brokers, loggers and subscriptions to
client metrics by the cluster, and so is what is no resource at all (Kafka: ConfigHelper, ControllerApis).
"""

from __future__ import annotations

from broker.coordinators.cluster.image import ResourceType
from broker.security.operations import CLUSTER_NAME, Resource


def guarded_by(resource_type: int, name: str) -> tuple[Resource, str]:
    """Kind and name of the resource that guards these configs."""
    if resource_type == ResourceType.TOPIC:
        return Resource.TOPIC, name
    if resource_type == ResourceType.GROUP:
        return Resource.GROUP, name
    return Resource.CLUSTER, CLUSTER_NAME
