"""What AlterConfigs and IncrementalAlterConfigs make of a resource's overrides, or why they refuse.

Both requests become a `Compute`: a function from the overrides that a resource has to those it shall have. The cluster
coordinator calls it inside its decision, so that a read-modify-write such as APPEND is atomic. What can be refused
without the present overrides is refused at once, the rest when it is called; either way by `KafkaError` with Kafka's
code:

| code | for |
|---|---|
| INVALID_REQUEST | a key twice, no value where one is needed, an unknown operation or type of resource |
| INVALID_REQUEST | brokers: a read-only key, a bad value, a key for one broker set for all, another node's id |
| INVALID_CONFIG | other resources: an unknown key, a bad value, values that contradict each other |
| INVALID_CONFIG | APPEND and SUBTRACT on a key that is no list |
| INVALID_TOPIC_EXCEPTION | a name no topic can have; an unknown topic is for the coordinator to find out |

Kafka's rules that are easy to miss: deleting what is not set, or not even known, succeeds. Brokers may be given
unknown keys (plugins read them). APPEND to a list that has no override begins with the default of the key,
whatever the broker's file says, and adds only what is not there yet. Texts are stored as given, not normalised.

Departures: listeners and the providers of values cannot be changed while the broker runs (INVALID_REQUEST, as for any
read-only key), and a text such as `${file:/path:key}` is no reference here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from broker.admin.config_description import check_node
from broker.admin.loggers import LevelOp, new_levels
from broker.config.keys import (
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    FILE_ONLY,
    GROUP_KEYS,
    LISTENER_PREFIX,
    TOPIC_KEYS,
    BadValue,
    ConfigKey,
    ConfigType,
    Update,
    Value,
    broker_key,
    groups,
    text_of,
)
from broker.config.keys.definition import split_list, trimmed
from broker.config.settings import Contradiction
from broker.config.topics import check_topic_configs
from broker.coordinators.cluster.features import MIN_INSYNC_REPLICAS
from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.topic_names import check_topic_name
from kproto.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from storage.seams.logging import LogLines

Compute: TypeAlias = Callable[[Mapping[str, str]], Mapping[str, str]]


class Operation(IntEnum):
    """What to do with one key (AlterConfigOp.OpType)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigOp(NamedTuple):
    """One line of IncrementalAlterConfigs, as it came."""

    name: str
    operation: int
    value: str | None


def incremental(
    resource_type: int, name: str, ops: Sequence[ConfigOp], config: BrokerConfig, *, knows_elr: bool = True
) -> Compute:
    """IncrementalAlterConfigs of one resource (KIP-339). Raises KafkaError, now or from the function returned.

    `knows_elr`: the cluster has eligible leader replicas, as a new one does.

    For BROKER_LOGGER, whose levels are not stored, there is `new_logger_levels`.
    """
    check = _checker(resource_type, name, config)
    _check_ops(ops)
    for op in ops:
        if op.operation in (Operation.APPEND, Operation.SUBTRACT):
            _list_key(resource_type, op)

    def compute(current: Mapping[str, str]) -> Mapping[str, str]:
        wanted = dict(current)
        for op in ops:
            if op.operation == Operation.DELETE:
                wanted.pop(op.name, None)
                continue
            assert op.value is not None, "_check_ops refuses it"
            if op.operation == Operation.SET:
                wanted[op.name] = op.value
                continue
            default = _list_key(resource_type, op).default
            items = _items(wanted.get(op.name, default or ""))
            change = _items(op.value)
            if op.operation == Operation.APPEND:
                items += [item for item in change if item not in items]
            else:
                items = [item for item in items if item not in change]
            wanted[op.name] = ",".join(items)
        check(wanted, [op.name for op in ops if op.operation != Operation.DELETE])
        if knows_elr and resource_type == ResourceType.BROKER:
            _check_min_insync_replicas(name, [op.name for op in ops], wanted, config)
        return wanted

    return compute


def replacement(
    resource_type: int,
    name: str,
    values: Sequence[tuple[str, str | None]],
    config: BrokerConfig,
    *,
    knows_elr: bool = True,
) -> Compute:
    """AlterConfigs of one resource: `values` become all its overrides. Raises KafkaError, now or later."""
    check = _checker(resource_type, name, config)
    _check_ops([ConfigOp(key, Operation.SET, value) for key, value in values])
    wanted = {key: value for key, value in values if value is not None}

    def compute(current: Mapping[str, str]) -> Mapping[str, str]:
        check(wanted, list(wanted))
        if knows_elr and resource_type == ResourceType.BROKER:
            _check_min_insync_replicas(name, list(wanted), wanted, config)
        return wanted

    return compute


def new_logger_levels(name: str, ops: Sequence[ConfigOp], lines: LogLines, config: BrokerConfig) -> Mapping[str, str]:
    """Levels of all loggers after IncrementalAlterConfigs of BROKER_LOGGER, for `LogLines.set_levels` (KIP-412).

    DELETE lets a logger follow the root again. Raises KafkaError: INVALID_REQUEST, INVALID_CONFIG.
    """
    check_node(name, config)
    _check_ops(ops)
    return new_levels([LevelOp(*op) for op in ops], lines)


# ---------------------------------------------------------------------------------------------------------------------
# What holds for all resources


def _check_ops(ops: Sequence[ConfigOp]) -> None:
    if len({op.name for op in ops}) < len(ops):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "a key is there twice")
    for op in ops:
        if op.operation not in _OPERATIONS:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{op.operation} is no operation on a config")
        if op.value is None and op.operation != Operation.DELETE:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{op.name} needs a value")


_OPERATIONS: Final = frozenset(map(int, Operation))
_TABLES: Final[Mapping[int, Mapping[str, ConfigKey]]] = {
    ResourceType.TOPIC: TOPIC_KEYS,
    ResourceType.BROKER: BROKER_KEYS,
    ResourceType.GROUP: GROUP_KEYS,
}
"""Keys that can be lists. Kafka does not know the types of client metrics' keys when it decides about APPEND."""


def _list_key(resource_type: int, op: ConfigOp) -> ConfigKey:
    key = _TABLES.get(resource_type, {}).get(op.name)
    if key is None or key.type is not ConfigType.LIST:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{op.name} is no list that one could add to or take from")
    return key


def _items(text: str) -> list[str]:
    return [item for item in split_list(text.strip()) if item]


def _parse(key: ConfigKey, text: str, code: ErrorCode) -> Value:
    try:
        return key.parse(text)
    except BadValue as error:
        shown = key.name if key.sensitive else f"{key.name}={text}"
        raise KafkaError(code, f"{shown}: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# What holds for each type of resource

_Checker: TypeAlias = Callable[[Mapping[str, str], Sequence[str]], None]
"""Refuses overrides, given also which of them are new."""


def _checker(resource_type: int, name: str, config: BrokerConfig) -> _Checker:
    if resource_type == ResourceType.TOPIC:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "topics have no defaults that could be altered")
        check_topic_name(name)
        return lambda wanted, _: check_topic_configs(wanted)
    if resource_type == ResourceType.BROKER:
        if name:
            check_node(name, config)
        return lambda wanted, new: _check_broker(name, wanted, new, config)
    if resource_type == ResourceType.GROUP:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "groups have no defaults that could be altered")
        return lambda wanted, _: check_group_configs(wanted, config)
    if resource_type == ResourceType.CLIENT_METRICS:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a client metrics subscription must have a name")
        return lambda wanted, _: check_client_metrics_configs(wanted)
    raise KafkaError(ErrorCode.INVALID_REQUEST, f"{resource_type} is no type of resource whose configs can be altered")


_PROVIDERS: Final = "config.providers."
_PER_LISTENER: Final = re.compile(r"ssl\.(key\.password|(key|trust)store\..+)")
"""Keys of TLS that Kafka changes for single listeners only."""


def _check_broker(name: str, wanted: Mapping[str, str], new: Sequence[str], config: BrokerConfig) -> None:
    for key_name in new:
        key = broker_key(key_name)
        if key_name.startswith(_PROVIDERS):
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{key_name} cannot be altered while the broker runs")
        if key is None:
            continue
        if _PER_LISTENER.fullmatch(key_name):
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"{key_name} can only be altered for one listener: {LISTENER_PREFIX}<name>."
            )
        # Under a listener's prefix Kafka lets any key pass, for the listener to make of it what it can.
        if key_name in BROKER_KEYS and (key.update is Update.READ_ONLY or key_name in FILE_ONLY):
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{key_name} cannot be altered while the broker runs")
        if not name and key.update is Update.PER_BROKER:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{key_name} can be altered for single brokers only")
        _parse(key, wanted[key_name], ErrorCode.INVALID_REQUEST)
    try:
        if name:
            config.check_dynamic(config.dynamic_defaults, wanted)
        else:
            config.check_dynamic(wanted, config.dynamic)
    except Contradiction as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{error.keys[0]}: {error}") from error


def _check_min_insync_replicas(
    name: str, altered: Sequence[str], wanted: Mapping[str, str], config: BrokerConfig
) -> None:
    """With eligible leader replicas (KIP-966) this is a default of the whole cluster, and always set.

    Kafka's controller looks after the broker has looked, and has another code for it.
    """
    if name and MIN_INSYNC_REPLICAS in altered:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{MIN_INSYNC_REPLICAS} can only be altered for all brokers")
    if not name and MIN_INSYNC_REPLICAS in config.dynamic_defaults and MIN_INSYNC_REPLICAS not in wanted:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{MIN_INSYNC_REPLICAS} can be altered, but not deleted")


def check_group_configs(overrides: Mapping[str, str], config: BrokerConfig) -> None:
    """Refuse overrides that no group may have (GroupConfig.validate). Raises KafkaError(INVALID_CONFIG)."""
    values: dict[str, Value] = {}
    for name, text in overrides.items():
        key = GROUP_KEYS.get(name)
        if key is None:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"there is no group config {name}")
        values[name] = _parse(key, text, ErrorCode.INVALID_CONFIG)
    _check_group_names(overrides, values, config)
    for name, limits in groups.LIMITS.items():
        if name in values:
            value = _number(values[name])
            for limit, broken in zip(limits, (int.__lt__, int.__gt__), strict=True):
                if limit is not None and broken(value, _number(config.get(limit))):
                    raise KafkaError(
                        ErrorCode.INVALID_CONFIG, f"{name}={value}: {limit} is {config.get(limit)} on this broker"
                    )
    for slower, faster in groups.SLOWER_THAN_HEARTBEAT:
        if slower in values or faster in values:
            timeout = _number(values.get(slower, config.get(groups.BROKER_SYNONYM[slower])))
            interval = _number(values.get(faster, config.get(groups.BROKER_SYNONYM[faster])))
            if timeout <= interval:
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"{slower}={timeout} is not above {faster}={interval}")


def _check_group_names(overrides: Mapping[str, str], values: Mapping[str, Value], config: BrokerConfig) -> None:
    """What names and lists of a group may hold, beyond their types."""
    assignor, served = values.get("streams.assignor.name"), config.get("group.streams.assignors")
    if assignor is not None and isinstance(served, tuple) and assignor not in served:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{assignor} is none of group.streams.assignors, {text_of(served)}")
    tags = values.get("streams.rack.aware.assignment.tags")
    if isinstance(tags, tuple) and len(tags) < len(
        split_list(trimmed(overrides["streams.rack.aware.assignment.tags"]))
    ):
        raise KafkaError(ErrorCode.INVALID_CONFIG, "streams.rack.aware.assignment.tags names a tag twice")
    letters = values.get("errors.deadletterqueue.topic.name")
    if isinstance(letters, str) and letters.startswith("__"):
        raise KafkaError(
            ErrorCode.INVALID_CONFIG, f"errors.deadletterqueue.topic.name={letters}: an internal topic takes no records"
        )


def _number(value: Value) -> int:
    assert isinstance(value, int), "the limits of groups are whole numbers"
    return value


def check_client_metrics_configs(overrides: Mapping[str, str]) -> None:
    """Refuse overrides that no client metrics subscription may have (ClientMetricsConfigs.validate).

    Raises KafkaError: INVALID_REQUEST for unknown keys and intervals out of bounds, INVALID_CONFIG for other values.
    """
    for name, text in overrides.items():
        key = CLIENT_METRICS_KEYS.get(name)
        if key is None:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"there is no client metrics config {name}")
        value = _parse(key, text, ErrorCode.INVALID_CONFIG)
        if isinstance(value, int):
            low, high = groups.CLIENT_METRICS_INTERVAL
            if not low <= value <= high:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"{name}={value}: it must be from {low} to {high}")
        elif name == "match" and isinstance(value, tuple):
            for pattern in value:
                _check_match(pattern)


def _check_match(pattern: str) -> None:
    # Java's split leaves out empty pieces at the end, and Kafka wants two to be left.
    parameter, *expressions = pattern.rstrip("=").split("=")
    if len(expressions) == 1 and parameter.strip() in groups.CLIENT_MATCH_PARAMETERS:
        from broker.coordinators.groups.expressions import InvalidExpression, check_expression

        try:
            check_expression(expressions[0].strip())
        except InvalidExpression as error:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{pattern}: {error}") from None
        return
    raise KafkaError(ErrorCode.INVALID_CONFIG, f"{pattern} is not a client's parameter, = and a regular expression")
