"""Flink: a topic copied, from its beginning to its end."""

from __future__ import annotations

import pytest

from compat_tests.programs.kits import FLINK
from compat_tests.programs.plain import PATIENCE, Plain

KIT = FLINK
LINES = [f"line {number}" for number in range(500)]


@pytest.mark.parametrize("guarantee", ["AT_LEAST_ONCE", "EXACTLY_ONCE"])
def test_a_topic_is_copied(plain: Plain, guarantee: str) -> None:
    """A source that is bounded, checkpoints with offsets, and a sink that writes in transactions if it has to"""
    source, target = f"flink-{guarantee}-in", f"flink-{guarantee}-out"
    plain.create(source, 2)
    plain.create(target, 2)
    plain.send(source, LINES)
    with plain.running("Copy", plain.bootstrap, source, target, guarantee) as copying:
        assert copying.wait(PATIENCE) == 0, copying.log()[-3000:]
    assert sorted(value for _, value in plain.committed_records(target)) == sorted(line.upper() for line in LINES)
