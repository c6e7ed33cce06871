"""The short form of the tier of exceptions; and the same with mistakes planted that it must find."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.local.flusher import Flusher
from storage.local.upkeep import Upkeep
from tools.trials.crash_test.exceptions import run
from tools.trials.crash_test.outcome import Plan


def test_the_next_round_goes_on(tmp_path: Path) -> None:
    """Lines from everywhere in the group commit, the upkeep, openings and stops."""
    outcome = run(Plan(60, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["exceptions raised"] >= 40


def test_a_round_that_is_never_over_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: a round whose mark is not taken back when it fails."""
    right = Flusher._run_round

    async def wrong(self: Flusher) -> None:
        try:
            await right(self)
        except Exception:
            self._running = True
            raise

    monkeypatch.setattr(Flusher, "_run_round", wrong)
    outcome = run(Plan(None, tmp_path), "flusher.py", 40)
    assert any("hangs" in words for words in outcome.violations)


def test_an_upkeep_that_ends_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that lets its duties' exceptions through."""

    async def wrong(self: Upkeep, every_log: object = None) -> None:
        while True:
            await self._round(None)

    monkeypatch.setattr(Upkeep, "run", wrong)
    outcome = run(Plan(None, tmp_path), "upkeep.py", 30)
    assert any("the upkeep has ended" in words for words in outcome.violations)
