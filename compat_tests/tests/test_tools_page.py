"""The page about Kafka's tools is true as far as that can be known without Java."""

from __future__ import annotations

from pathlib import Path

from compat_tests.clients.kafka_tools.adapter import CLASSES
from compat_tests.clients.kafka_tools.options import LEFT_OUT, OPTIONS
from compat_tests.clients.kafka_tools.page import page, shown_by, untested

KEPT = Path(__file__).parents[2] / "docs" / "kafka-tools.md"


def test_the_page_is_what_the_scenarios_show() -> None:
    """docs/kafka-tools.md is made of the table of options and of the scenarios' source."""
    assert KEPT.read_text(encoding="utf-8") == page(), "write it again: python -m compat_tests tools-page"


def test_every_option_has_a_scenario_or_a_reason() -> None:
    """None is passed over; and a reason stands for an option that is there."""
    assert untested() == []
    assert set(LEFT_OUT) <= {(tool, option) for tool, options in OPTIONS.items() for option in options}
    assert {tool.split()[0] for tool in OPTIONS} == set(CLASSES)


def test_a_scenario_counts_for_the_tool_that_it_runs() -> None:
    """Not for any that has an option of the same name."""
    assert shown_by("kafka-topics", "--partition-size-limit-per-response")
    assert not shown_by("kafka-log-dirs", "--partition-size-limit-per-response")
    assert not shown_by("kafka-cluster cluster-id", "--id")
