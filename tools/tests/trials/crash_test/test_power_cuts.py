"""The short form of the power cuts; and the same test with a disk that lies, and one that never forgets."""

from __future__ import annotations

from pathlib import Path

from storage.testing.disks.simulated import SimulatedDisk
from tools.trials.crash_test.outcome import Plan
from tools.trials.crash_test.power_cuts import CONFIGURATIONS, run


class Lying(SimulatedDisk):
    """Says that names are durable when they are not."""

    def sync_directory(self, path: str) -> None:
        self.step()


class Remembering(SimulatedDisk):
    """Has everything at once: no power cut takes anything."""

    def after_power_cut(self, *arguments: object, **options: object) -> Remembering:
        found = Remembering()
        found._root = self._root
        return found


def test_nothing_promised_is_lost(tmp_path: Path) -> None:
    """All modes and configurations, some dozens of cuts; acks=1 without any setting loses something."""
    outcome = run(Plan(60, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["power cuts"] >= 60
    for configuration in CONFIGURATIONS:
        assert outcome.counts[f"{configuration.name}: acknowledged"] > 100
    assert outcome.counts["defaults: of them missing"] > 0
    assert outcome.counts["acks=all: of them missing"] == outcome.counts["flush.messages=1: of them missing"] == 0


def test_a_disk_that_lies_is_seen(tmp_path: Path) -> None:
    """The test of the test: without the sync of directories, promised records go missing."""
    outcome = run(Plan(20, tmp_path), Lying)
    assert any("acknowledged with acks=all, is missing" in words for words in outcome.violations)


def test_cuts_that_take_nothing_are_no_cuts(tmp_path: Path) -> None:
    """If acks=1 loses nothing by default, the harness is broken, and says so."""
    outcome = run(Plan(20, tmp_path), Remembering)
    assert any("the test is broken" in words for words in outcome.violations)
