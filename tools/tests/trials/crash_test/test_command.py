"""The command: what it prints, and its exit status."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tools.trials.crash_test import power_cuts
from tools.trials.crash_test.command import TIERS, main
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", TIERS)
def test_every_tier_has_its_function_and_its_place_on_the_page(name: str) -> None:
    """The table names what is there, and docs/crash-tiers.md describes it."""
    module, _, function = TIERS[name].target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert f"| `{name}` |" in (ROOT / "docs/crash-tiers.md").read_text(encoding="utf-8")


def played(monkeypatch: pytest.MonkeyPatch, outcome: Outcome | CannotTry) -> int:
    """The exit status when the tier comes to this."""

    def run(plan: Plan) -> Outcome:
        if isinstance(outcome, CannotTry):
            raise outcome
        (plan.directory / "evidence").touch()
        return outcome

    monkeypatch.setattr(power_cuts, "run", run)
    return main(["power-cuts", "--quiet", "--short"])


def test_counts_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 without a violation."""
    assert played(monkeypatch, Outcome("power-cuts", {"power cuts": 12_345})) == 0
    said = capsys.readouterr().out
    assert "power-cuts: 0 violations" in said
    assert "12,345  power cuts" in said


def test_a_violation_is_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported in a sentence, and the files stay."""
    assert played(monkeypatch, Outcome("power-cuts", {}, ["offset 7 is missing"])) == 1
    said = capsys.readouterr().out
    assert "violation: offset 7 is missing" in said
    place = Path(said.split("files are in ")[1].split(")")[0])
    assert [path.name for path in place.iterdir()] == ["evidence"]
    (place / "evidence").unlink()
    place.rmdir()


def test_what_cannot_be_tried_is_skipped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason, and without a verdict."""
    assert played(monkeypatch, CannotTry("only root may mount")) == 0
    assert capsys.readouterr().out == "power-cuts: skipped: only root may mount\n"


def test_words_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and nothing is played."""
    for words in (["power-cut"], ["power-cuts", "--count", "0"], []):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2
