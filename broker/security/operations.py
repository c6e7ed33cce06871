"""Kafka's operations and resources, and what a client may do to a resource, as describe answers say it (KIP-430).

A bit field has bit n set for the operation with code n of Kafka's AclOperation. Without an authorizer a client may do
everything that a resource of that kind supports (Kafka: AclEntry.supportedOperations); the fields say just that.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Operation(IntEnum):
    """Operations of Kafka's access control, with their codes on the wire."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Resource(IntEnum):
    """Kinds of resources that operations are on, with their codes on the wire (Kafka: ResourceType)."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


SUPPORTED: Final[Mapping[Resource, frozenset[Operation]]] = {
    Resource.TOPIC: frozenset(
        {
            Operation.READ,
            Operation.WRITE,
            Operation.CREATE,
            Operation.DELETE,
            Operation.ALTER,
            Operation.DESCRIBE,
            Operation.DESCRIBE_CONFIGS,
            Operation.ALTER_CONFIGS,
        }
    ),
    Resource.GROUP: frozenset(
        {
            Operation.READ,
            Operation.DELETE,
            Operation.DESCRIBE,
            Operation.DESCRIBE_CONFIGS,
            Operation.ALTER_CONFIGS,
        }
    ),
    Resource.CLUSTER: frozenset(
        {
            Operation.CREATE,
            Operation.ALTER,
            Operation.DESCRIBE,
            Operation.CLUSTER_ACTION,
            Operation.DESCRIBE_CONFIGS,
            Operation.ALTER_CONFIGS,
            Operation.IDEMPOTENT_WRITE,
        }
    ),
}
"""What can be done to a resource of each kind at all."""


def _bits(resource: Resource) -> int:
    return sum(1 << operation for operation in SUPPORTED[resource])


NOT_ASKED: Final = -(2**31)
"""The field when the request did not ask for it."""

TOPIC_OPERATIONS: Final = _bits(Resource.TOPIC)
CLUSTER_OPERATIONS: Final = _bits(Resource.CLUSTER)
GROUP_OPERATIONS: Final = _bits(Resource.GROUP)
