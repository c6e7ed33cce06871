"""The short form of the rot; and recoveries that cut too much, or believe too much, which it must see."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.local import recovery
from tools.trials.crash_test.bit_rot import BATCHES, SIZE, accidents, build, run, try_damages
from tools.trials.crash_test.outcome import Outcome, Plan


def test_rot_is_cut_refused_or_beyond_what_can_be_seen(tmp_path: Path) -> None:
    """Some hundred cases of all kinds; and every file that is not a log comes back when it is deleted."""
    outcome = run(Plan(300, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["cases"] >= 280
    assert outcome.counts["cases with a whole store"] > 0
    assert outcome.counts["files deleted"] > 40
    assert outcome.counts["rebuilt, the same to the byte"] > 20


def test_the_segment_is_what_the_page_says() -> None:
    """About 64 KiB in 40 batches, and every bit of every header in its turn."""
    original = build(1)
    assert abs(len(original.data) - SIZE) < 2000
    assert len(original.positions) == BATCHES + 1
    kinds = [accident.kind for accident in accidents(original, 1)]
    assert kinds.count("header bits") == BATCHES * 61 * 8
    assert kinds.count("truncations") == len(original.data)
    assert kinds.count("payload bits") == len(original.data) - BATCHES * 61


def test_a_recovery_that_cuts_at_the_first_bad_batch_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: what Kafka does, which loses whatever follows."""
    monkeypatch.setattr(recovery, "_judge_torn", lambda *_: None)
    outcome = Outcome("bit-rot")
    try_damages(Plan(60, tmp_path), outcome)
    assert any("cut, though sound batches follow" in words for words in outcome.violations)


def test_a_recovery_that_checks_no_sums_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: a start that takes every checksum for right serves what has rotted."""

    class Anything:
        """Equal to every number."""

        def __ne__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(recovery, "crc32c", lambda _: Anything())
    outcome = Outcome("bit-rot")
    try_damages(Plan(60, tmp_path), outcome)
    assert any("served, though recovery has read it" in words for words in outcome.violations)
