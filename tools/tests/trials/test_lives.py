"""A broker that was reset, or restored, answers as what it should be: a draw of the trial that goes on for longer."""

from __future__ import annotations

import pytest

from tools.answers import scenarios
from tools.answers.comparison import alike, described
from tools.trials.differential.lives import compare_lives, main


@pytest.mark.parametrize(("seed", "memory"), [(11, True), (12, False)], ids=["memory", "data"])
def test_every_answer_of_another_life_is_the_one_it_should_be(seed: int, memory: bool) -> None:
    """W11: After some scenarios, of what others ask: that of the copy, and that of a new broker."""
    compared, found = compare_lives(seed, 6, memory=memory)
    assert compared > 100
    assert not found, "\n" + "\n".join(described(group) for group in alike(found))


def test_a_broker_that_is_not_brought_back_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comparison can fail: without the reset, what was left shows."""
    monkeypatch.setattr("ottla.Control.reset", lambda self: None)
    chosen = [each for each in scenarios.load() if each.name.startswith("CreateTopics/names")]
    monkeypatch.setattr(scenarios, "load", lambda: chosen * 2)
    assert main(["--seed", "1", "--rounds", "1", "--count", "1", "--memory"]) == 1
    assert "differ" in capsys.readouterr().out
