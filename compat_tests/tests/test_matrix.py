"""The matrix: one cell for each scenario and client, the worst of its variants, and a reason for each gap."""

from __future__ import annotations

from pathlib import Path

from compat_tests.matrix import Outcome, Result, Run, markdown, merged, page, terminal


def outcome(scenario: str, client: str, result: Result, reason: str = "") -> Outcome:
    """One of a theme of its own."""
    return Outcome("Producing: records", scenario, f"The promise of {scenario}", client, result, reason)


def test_a_cell_shows_the_worst_variant() -> None:
    """A scenario that failed with one codec has failed."""
    run = Run("Ottla", [outcome("codecs", "a", "pass"), outcome("codecs", "a", "FAIL"), outcome("codecs", "a", "gap")])
    assert terminal(run) == ["scenario a", "codecs   FAIL"]


def test_a_client_that_lacks_a_variant_does_partly() -> None:
    """One codec that a client does not have hides neither the others nor itself."""
    run = Run("Ottla", [outcome("codecs", "a", "pass"), outcome("codecs", "a", "gap", "no such codec")])
    assert terminal(run) == ["scenario a", "codecs   part"]
    assert "| The promise of codecs | partly |" in markdown([run]).splitlines()


def test_runs_are_counted() -> None:
    """The page counts what became of every run, with the versions of the clients."""
    outcomes = [outcome("one", "a", "pass"), outcome("two", "a", "pass"), outcome("one", "b", "gap", "it cannot")]
    lines = page([Run("Ottla", outcomes, {"a": "1.0"})]).splitlines()
    assert "| a | 1.0 | 2 | 0 | 0 | 0 |" in lines
    assert "| b |  | 0 | 1 | 0 | 0 |" in lines
    assert "| all | | 2 | 1 | 0 | 0 |" in lines


def test_brokers_that_agree_share_an_entry() -> None:
    """Where both brokers say the same it is said once, and a gap's reason is given once."""
    runs = [
        Run("Ottla", [outcome("one", "a", "pass"), outcome("two", "a", "gap", "it cannot")]),
        Run("Kafka", [outcome("one", "a", "FAIL"), outcome("two", "a", "gap", "it cannot")]),
    ]
    lines = markdown(runs).splitlines()
    assert "| The promise of one | yes / **no** |" in lines
    assert "| The promise of two | - |" in lines
    assert lines[-1] == "* **a**: it cannot."


def test_runs_on_one_broker_are_merged() -> None:
    """Clients that were run one after the other stand side by side."""
    one, two = outcome("one", "a", "pass"), outcome("one", "b", "pass")
    assert merged([Run("Ottla", [one]), Run("Kafka", [one]), Run("Ottla", [two])]) == [
        Run("Ottla", [one, two]),
        Run("Kafka", [one]),
    ]


def test_a_run_is_saved_and_loaded(tmp_path: Path) -> None:
    """A run in a file is the same run."""
    run = Run("Ottla", [outcome("one", "a", "skip", "not here")])
    run.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json") == run
