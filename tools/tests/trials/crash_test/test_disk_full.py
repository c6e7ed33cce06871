"""The short form of the full disk; and where it cannot be tried, it says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ottla import process
from tools.trials.crash_test.disk_full import run
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux")


def tried(plan: Plan) -> Outcome:
    """Run the tier, or skip the test where it cannot be tried."""
    try:
        return run(plan)
    except CannotTry as error:
        pytest.skip(str(error))


def test_a_disk_fills_and_is_freed(tmp_path: Path) -> None:
    """4 MiB, freed by DeleteRecords: nothing acknowledged is lost, reads go on, the same process appends again."""
    outcome = tried(Plan(1, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["cycles"] == 1
    assert outcome.counts["refused batches"] >= 24
    assert outcome.counts["records read while it was full"] > 100


def test_a_broker_that_cannot_help_itself_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: without the reserve nothing can be deleted on a full disk."""
    monkeypatch.setattr(process, "_COMMAND", str(Path(__file__).with_name("reserveless_broker.py")))
    outcome = tried(Plan(1, tmp_path))
    assert any("nothing can be freed by DeleteRecords" in words for words in outcome.violations), outcome.lines()


def test_only_root_may_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and nothing is tried."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotTry, match="only root may do that"):
        run(Plan(1, tmp_path))
