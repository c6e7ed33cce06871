"""Loggers under Kafka's names: set where they have a counterpart, refused where they have none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from broker.admin.loggers import DELETE, KAFKA_LOGGERS, SET, LevelOp, new_levels, shown_levels
from kproto.errors import ErrorCode, KafkaError
from storage.seams.logging import ROOT, LogLines

ROOTED = Path(__file__).parents[3]


def test_a_name_of_kafkas_stands_for_its_counterparts() -> None:
    """They are set and deleted with it; what is not theirs stays as it is."""
    lines = LogLines()
    lines.logger("broker.security.authorizer")
    lines.set_levels(new_levels([LevelOp("kafka.authorizer.logger", SET, "DEBUG")], lines))
    assert lines.level("broker.security.authorizer") == "debug"
    assert shown_levels(lines)["kafka.authorizer.logger"] == "DEBUG"
    assert lines.level(ROOT) == "info"
    lines.set_levels(new_levels([LevelOp("kafka.authorizer.logger", DELETE, None)], lines))
    assert lines.level("broker.security.authorizer") == "info"


def test_a_logger_that_has_not_been_used_yet_can_be_set() -> None:
    """Handlers and their loggers are imported with their first request."""
    lines = LogLines()
    lines.set_levels(new_levels([LevelOp("org.apache.kafka.controller", SET, "ERROR")], lines))
    lines.logger("broker.coordinators.cluster.coordinator")
    assert lines.level("broker.coordinators.cluster.coordinator") == "error"


def test_of_several_counterparts_the_most_talkative_is_shown() -> None:
    """One could not tell from the others that it speaks."""
    lines = LogLines()
    lines.set_levels({"broker.coordinators.cluster.topic_logs": "debug"})
    assert shown_levels(lines)["org.apache.kafka.controller"] == "DEBUG"


def test_kafkas_own_name_is_the_root() -> None:
    """`kafka` and `org.apache.kafka` are what Kafka's file of log settings names; neither can be without a level."""
    lines = LogLines()
    lines.set_levels(new_levels([LevelOp("kafka", SET, "WARN")], lines))
    assert (lines.level(ROOT), shown_levels(lines)["org.apache.kafka"]) == ("warning", "WARN")
    with pytest.raises(KafkaError) as refused:
        new_levels([LevelOp("kafka", DELETE, None)], lines)
    assert refused.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("name", ["kafka.request.logger", "state.change.logger", "kafka.server", ""])
def test_a_name_without_counterpart_is_none(name: str) -> None:
    """What it would write is not written here, so its level is not accepted."""
    for op in (LevelOp(name, SET, "DEBUG"), LevelOp(name, DELETE, None)):
        with pytest.raises(KafkaError) as refused:
            new_levels([op], LogLines())
        assert refused.value.code is ErrorCode.INVALID_CONFIG


def test_every_counterpart_is_a_logger() -> None:
    """Each is the name of a module that asks for a logger of its own, or is asked for by its name."""
    asked: set[str] = {ROOT}
    for file in (*ROOTED.glob("broker/**/*.py"), *ROOTED.glob("storage/**/*.py")):
        module = ".".join(file.relative_to(ROOTED).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_logger":
                (name,) = node.args
                asked.add(name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else module)
    assert {each for counterparts in KAFKA_LOGGERS.values() for each in counterparts} <= asked
