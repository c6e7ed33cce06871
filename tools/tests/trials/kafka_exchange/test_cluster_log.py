"""A cluster log that either broker has cut is served by the other: where a Kafka can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.trials.kafka_exchange import cluster_log
from tools.trials.kafka_exchange.command import named_commands

COMMANDS = named_commands()


@pytest.mark.skipif(
    COMMANDS is None, reason="OTTLA_KAFKA_COMMAND and OTTLA_KAFKA_TOOL do not say how to run Apache Kafka"
)
def test_a_cluster_log_that_was_cut_moves_both_ways(tmp_path: Path) -> None:
    """By Kafka and by Ottla, stopped and killed: topics, ids, settings, quotas and credentials are as before."""
    assert COMMANDS is not None
    assert cluster_log.run(COMMANDS.kafka, tmp_path, print) == []
