"""The page of programs has every program, what it does on each broker, and why not where it does not."""

from __future__ import annotations

from pathlib import Path

from compat_tests.matrix import Outcome, Run
from compat_tests.programs.kits import FASTSTREAM, KITS
from compat_tests.programs.page import page

PAGE = Path(__file__).parents[2] / "docs" / "programs.md"


def test_each_broker_has_a_column() -> None:
    """A program that ran on one of them only, or failed, says why."""
    passed = Outcome("", "words are counted", "It counts words", "Counter", "pass")
    skipped = Outcome("", "words are counted", "It counts words", "Counter", "skip", "no java on the path")
    lines = page([Run("Ottla", [skipped], {"Counter": "1.2"}), Run("Kafka", [passed])]).splitlines()
    assert "| Counter | 1.2 | It counts words | ? | yes |" in lines
    assert "* Counter, words are counted, on Ottla: no java on the path" in lines


def test_the_page_has_every_kit() -> None:
    """docs/programs.md is of runs of them all."""
    text = PAGE.read_text(encoding="utf-8")
    assert not [kit.name for kit in KITS if f"| {kit.name} |" not in text]


def test_a_kit_of_the_development_environment_is_here() -> None:
    """Its packages are in the extra `dev`."""
    assert FASTSTREAM.missing() == "" and FASTSTREAM.version()
