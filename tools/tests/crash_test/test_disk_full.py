"""The short form of the full disk; and where it cannot be tried, it says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools.crash_test.disk_full import run
from tools.crash_test.outcome import CannotTry, Outcome, Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux")


def tried(plan: Plan) -> Outcome:
    """Run the tier, or skip the test where it cannot be tried."""
    try:
        return run(plan)
    except CannotTry as error:
        pytest.skip(str(error))


def test_a_disk_fills_and_is_freed(tmp_path: Path) -> None:
    """Two cycles on 8 MiB, one freed from outside, one by DeleteRecords: nothing acknowledged is lost, reads go on, and
    the same process appends again."""
    outcome = tried(Plan(2, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["cycles"] == 2
    assert outcome.counts["refused batches"] >= 48
    assert outcome.counts["records read while it was full"] > 100


def test_only_root_may_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and nothing is tried."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotTry, match="only root may do that"):
        run(Plan(1, tmp_path))
