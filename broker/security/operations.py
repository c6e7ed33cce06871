"""Kafka's operations and resources, and what a client may do to a resource, as describe answers say it (KIP-430).

A bit field has bit n set for the operation with code n of Kafka's AclOperation. Without an authorizer a client may do
everything that a resource of that kind supports (Kafka: AclEntry.supportedOperations); with one, the bits are those of
the operations that its ACLs allow (`authorizer.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from kproto.errors import ErrorCode


class Operation(IntEnum):
    """Operations of Kafka's access control, with their codes on the wire (Kafka: AclOperation)."""

    __hash__ = int.__hash__  # of an enumeration it is a function in Python, and each decision would call that

    UNKNOWN = 0
    ANY = 1
    """In filters only."""
    ALL = 2
    """In ACLs only: every operation."""
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
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class Resource(IntEnum):
    """Kinds of resources that operations are on, with their codes on the wire (Kafka: ResourceType)."""

    __hash__ = int.__hash__

    UNKNOWN = 0
    ANY = 1
    """In filters only."""
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


CLUSTER_NAME: Final = "kafka-cluster"
"""What the only resource of the kind CLUSTER is called."""

REFUSAL: Final[Mapping[Resource, ErrorCode]] = {
    Resource.TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    Resource.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    Resource.CLUSTER: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    Resource.TRANSACTIONAL_ID: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    Resource.DELEGATION_TOKEN: ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
    Resource.USER: ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
}
"""The code of a refusal, by the kind of the resource that it is about."""

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
    Resource.TRANSACTIONAL_ID: frozenset({Operation.DESCRIBE, Operation.WRITE, Operation.TWO_PHASE_COMMIT}),
    Resource.DELEGATION_TOKEN: frozenset({Operation.DESCRIBE}),
    Resource.USER: frozenset({Operation.CREATE_TOKENS, Operation.DESCRIBE_TOKENS}),
}
"""What can be done to a resource of each kind at all."""


def bits_of(resource: Resource) -> int:
    """The bit field of everything that a resource of this kind supports."""
    return sum(1 << operation for operation in SUPPORTED[resource])


NOT_ASKED: Final = -(2**31)
"""The field when the request did not ask for it."""

SUPPORTED_BITS: Final[Mapping[Resource, int]] = {resource: bits_of(resource) for resource in SUPPORTED}
