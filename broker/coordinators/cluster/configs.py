"""Decisions about configs of topics, brokers, groups and the like.

What a config may say is the caller's business (`compute` is given the present overrides and returns those wanted,
or raises KafkaError), because it needs the tables of keys; here the difference becomes ConfigRecords. Computing inside
the decision makes a read-modify-write such as APPEND atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.cluster.topics import UNKNOWN_TOPIC
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ConfigRecord
from kproto.schema.declare import Record

MAX_RESOURCES: Final = 100_000
"""Resources that may have configs; groups need not exist to have some, so something must end a peer that makes them up.
"""

MAX_CONFIGS: Final = 1000
"""Configs of one resource, and in one request for it: brokers may be given any keys. Kafka ends at 10,000 a request."""

MAX_VALUE_LENGTH: Final = 32_767
"""Characters; Kafka's strings outside compact encodings end there too."""

Compute: TypeAlias = Callable[[Mapping[str, str]], Mapping[str, str]]


def decide_alteration(
    machine: ClusterMachine,
    resource_type: int,
    name: str,
    compute: Compute,
    promise: Promise[None],
    validate_only: bool,
) -> ClusterDecision:
    """Replace the overrides of one resource by what `compute` makes of them. The reply is None.

    Replies KafkaError: what `compute` raises, UNKNOWN_TOPIC_OR_PARTITION for a topic that is not there,
    POLICY_VIOLATION for too many resources or configs, INVALID_CONFIG for a value that is too long.
    """
    if resource_type == ResourceType.TOPIC and not machine.has_topic(name):
        return Decision(replies=[(promise, UNKNOWN_TOPIC)])
    try:
        current = machine.configs_of(resource_type, name)
        wanted = compute(current)
        _check_bounds(machine, resource_type, name, wanted)
    except KafkaError as error:
        return Decision(replies=[(promise, error.with_traceback(None))])
    if validate_only:
        return Decision(replies=[(promise, None)])
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    dropped = [key for key in current if key not in wanted]
    records: list[Record] = [
        ConfigRecord(resource_type=int(resource_type), resource_name=name, name=key, value=value)
        for key, value in [*changed.items(), *((key, None) for key in dropped)]
    ]
    return Decision(records, [(promise, None)])


def _check_bounds(machine: ClusterMachine, resource_type: int, name: str, wanted: Mapping[str, str]) -> None:
    if len(wanted) > MAX_CONFIGS:
        raise KafkaError(ErrorCode.POLICY_VIOLATION, f"a resource may have {MAX_CONFIGS} configs")
    for key, value in wanted.items():
        if len(value) > MAX_VALUE_LENGTH:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"the value of {key} exceeds {MAX_VALUE_LENGTH} characters")
    if wanted and not machine.has_configs(resource_type, name) and machine.resource_count >= MAX_RESOURCES:
        raise KafkaError(ErrorCode.POLICY_VIOLATION, f"{MAX_RESOURCES} resources have configs already")
