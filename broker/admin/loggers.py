"""Loggers as a resource (BROKER_LOGGER, KIP-412): their levels in Kafka's words, under our names and under Kafka's.

Levels change at once and are forgotten when the broker stops, as Kafka's are. Each logger of this process is shown by
its own name. Beside them stand the names of Kafka's loggers that people set by habit and that have a counterpart here
(`KAFKA_LOGGERS`): to set or delete such a level is to set or delete those of its counterparts, and it shows the most
talkative of them. A logger of Kafka's without a counterpart is refused like any name that is none, with INVALID_CONFIG:
a log of requests, say, does not appear because its level was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from kproto.errors import ErrorCode, KafkaError
from storage.seams.logging import LEVELS, ROOT

if TYPE_CHECKING:
    from storage.seams.logging import LogLines

KAFKA_LEVELS: Final = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
"""Our log levels in Kafka's words."""

_OURS: Final = {kafka: level for level, kafka in KAFKA_LEVELS.items()} | {"TRACE": "debug", "FATAL": "error"}

KAFKA_LOGGERS: Final[Mapping[str, tuple[str, ...]]] = {
    "kafka": (ROOT,),
    "org.apache.kafka": (ROOT,),
    "kafka.authorizer.logger": ("broker.security.authorizer",),
    "kafka.server.KafkaApis": ("broker.network.dispatch",),
    "kafka.network.SocketServer": ("broker.network.connections",),
    "kafka.server.KafkaRaftServer": ("broker.server",),
    "org.apache.kafka.controller": (
        "broker.coordinators.cluster.coordinator",
        "broker.coordinators.cluster.snapshot_keeper",
        "broker.coordinators.cluster.topic_logs",
    ),
    "org.apache.kafka.coordinator.transaction": (
        "broker.coordinators.transactions.coordinator",
        "broker.coordinators.transactions.markers",
    ),
    "org.apache.kafka.coordinator.group": ("broker.coordinators.groups.consumer.work",),
    "org.apache.kafka.coordinator.common.runtime": ("broker.coordinators.runtime",),
    "org.apache.kafka.storage.internals.log": ("storage",),
}
"""A logger of Kafka's -> its counterparts. `kafka.request.logger` and `state.change.logger` have none."""

DELETE: Final = 1
SET: Final = 0


class LevelOp(NamedTuple):
    """What is to become of one logger's level: its name, SET or DELETE, and the level in Kafka's words."""

    name: str
    operation: int
    value: str | None


def shown_levels(lines: LogLines) -> dict[str, str]:
    """Logger -> its level in Kafka's words: those of this process, then Kafka's."""
    found = {name: KAFKA_LEVELS[lines.level(name)] for name in lines.names()}
    for name, counterparts in KAFKA_LOGGERS.items():
        found[name] = KAFKA_LEVELS[min((lines.level(each) for each in counterparts), key=LEVELS.__getitem__)]
    return found


def new_levels(ops: Sequence[LevelOp], lines: LogLines) -> Mapping[str, str]:
    """Levels of all loggers after these changes, for `LogLines.set_levels`. DELETE lets a logger follow the root again.

    Raises KafkaError: INVALID_REQUEST for the root without a level and for other operations, INVALID_CONFIG.
    """
    known = lines.names()
    levels = lines.levels()
    for op in ops:
        if op.operation not in (SET, DELETE):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a logger's level can only be set and deleted")
        loggers = (op.name,) if op.name in known else KAFKA_LOGGERS.get(op.name, ())
        if not loggers:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"there is no logger {op.name}")
        if op.operation == SET and op.value not in _OURS:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{op.value} is no level; levels are {', '.join(_OURS)}")
        if op.operation == DELETE and ROOT in loggers:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "the root logger must have a level")
        for logger in loggers:
            if op.operation == SET:
                levels[logger] = _OURS[str(op.value)]
            else:
                levels.pop(logger, None)
    return levels
