"""Configs of topics, brokers, groups and client metrics: read and changed as Kafka's tools do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from kproto.errors import ErrorCode
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tools.client.cluster import Cluster, Refused, check


class ResourceType(IntEnum):
    """What can have configs (KIP-133, KIP-412, KIP-714, KIP-848)."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class Operation(IntEnum):
    """What IncrementalAlterConfigs does to one key (KIP-339)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


SOURCES = {
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
    6: "DYNAMIC_BROKER_LOGGER_CONFIG",
    7: "DYNAMIC_CLIENT_METRICS_CONFIG",
    8: "DYNAMIC_GROUP_CONFIG",
}
DEFAULT_SOURCE = 5
OWN_SOURCES = {
    ResourceType.TOPIC: {1},
    ResourceType.BROKER: {2},
    ResourceType.BROKER_LOGGER: {6},
    ResourceType.CLIENT_METRICS: {7},
    ResourceType.GROUP: {8},
}
"""Where what was set for the resource itself comes from."""


class Config(NamedTuple):
    """One key of a resource."""

    name: str
    value: str | None
    source: int
    sensitive: bool
    read_only: bool
    synonyms: tuple[tuple[int, str, str | None], ...]
    """(source, name, value) from the strongest to the weakest."""


def describe_configs(
    cluster: Cluster, kind: ResourceType, names: Iterable[str], *, synonyms: bool = False
) -> dict[str, list[Config]]:
    """Resource -> all its configs, by name. Raises Refused."""
    found: dict[str, list[Config]] = {}
    for node, group in _by_node(kind, names).items():
        resources = [DescribeConfigsResource(resource_type=kind, resource_name=name) for name in group]
        request = DescribeConfigsRequest(resources=resources, include_synonyms=synonyms)
        for result in cluster.ask(request, node=node).results:
            if result.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise Refused(result.error_code, f"Topic '{result.resource_name}' does not exist as expected")
            check(result.error_code, result.error_message)
            found[result.resource_name] = sorted(map(_config, result.configs))
    return found


def _config(entry: Any) -> Config:
    synonyms = tuple((each.source, each.name, each.value) for each in entry.synonyms or ())
    return Config(entry.name, entry.value, entry.config_source, entry.is_sensitive, entry.read_only, synonyms)


def alter_configs(
    cluster: Cluster,
    kind: ResourceType,
    name: str,
    *,
    put: Mapping[str, str] | None = None,
    delete: Sequence[str] = (),
    append: Mapping[str, str] | None = None,
    subtract: Mapping[str, str] | None = None,
    validate_only: bool = False,
) -> None:
    """Change single keys of one resource, all of them or none. Raises Refused."""
    changes = [(key, Operation.SET, value) for key, value in (put or {}).items()]
    changes += [(key, Operation.APPEND, value) for key, value in (append or {}).items()]
    changes += [(key, Operation.SUBTRACT, value) for key, value in (subtract or {}).items()]
    configs = [AlterableConfig(name=key, config_operation=what, value=value) for key, what, value in changes]
    configs += [AlterableConfig(name=key, config_operation=Operation.DELETE, value=None) for key in delete]
    resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
    (node,) = _by_node(kind, [name])
    request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=validate_only)
    for response in cluster.ask(request, node=node).responses:
        check(response.error_code, response.error_message)


def _by_node(kind: ResourceType, names: Iterable[str]) -> dict[int | None, list[str]]:
    """Which broker is asked: about itself a broker only, about everything else any."""
    by_node: dict[int | None, list[str]] = {}
    for name in names:
        own = kind in (ResourceType.BROKER, ResourceType.BROKER_LOGGER) and name.isdecimal()
        by_node.setdefault(int(name) if own else None, []).append(name)
    return by_node
