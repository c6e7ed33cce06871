"""The report of `trials bench`: every figure is printed, and a promise that is not kept is said and counted."""

from __future__ import annotations

from typing import Any

import pytest

from tools.trials.benchmark import crowds, groups, suite, transactions
from tools.trials.benchmark.command import report

BOTH = ("ottla", "kafka")
FASTER, CHEAPER = "produce 1,000 B, 1 MB requests: MB/s", "produce 1,000 B, 1 MB requests: CPU s/GB"


def results(**figures: dict[str, float]) -> suite.Results:
    """One round of figures by name, as `add` gets them."""
    found = suite.Results()
    for name, by_contender in figures.items():
        for contender, value in by_contender.items():
            found.add(name, contender, value)
    return found


def test_promises_relative_to_kafka(capsys: pytest.CaptureFixture[str]) -> None:
    """A ratio on the wrong side of its target is a miss."""
    kept = {FASTER: {"ottla": 240.0, "kafka": 200.0}, CHEAPER: {"ottla": 1.4, "kafka": 2.0}}
    assert report(results(**kept), BOTH) == 0
    assert capsys.readouterr().out.count(" met") == 2
    assert report(results(**kept | {FASTER: {"ottla": 239.0, "kafka": 200.0}}), BOTH) == 1
    assert "MISSED" in capsys.readouterr().out


def test_promises_relative_to_no_other_broker(capsys: pytest.CaptureFixture[str]) -> None:
    """They are held against Ottla's figure, with and without another broker beside it."""
    late = {suite.ABOVE_TRIO: {"ottla": 0.21}}
    assert report(results(**late), ("ottla",)) == 1
    assert report(results(**late), BOTH) == 1
    assert capsys.readouterr().out.count("<= 0.2 MISSED") == 2


def test_figures_that_only_one_broker_has(capsys: pytest.CaptureFixture[str]) -> None:
    """They stand there without a ratio."""
    assert report(results(**{"python -c 'import trio': s": {"ottla": 0.15}}), BOTH) == 0
    assert "0.15" in capsys.readouterr().out


def test_the_median_of_the_rounds_counts() -> None:
    """One round that was disturbed changes nothing."""
    found = suite.Results()
    for value in (1.0, 50.0, 2.0):
        found.add(FASTER, "ottla", value)
    assert dict(found.medians()) == {FASTER: {"ottla": 2.0}}


@pytest.mark.parametrize("measurement", [crowds, groups, transactions])
def test_without_words_all_is_measured(measurement: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """And a word that means nothing is said, with the usage."""
    assert len(measurement.parse([]).what) > 1
    with pytest.raises(SystemExit) as ended:
        measurement.parse(["nonsense"])
    assert ended.value.code == 2
    assert "no measurement nonsense" in capsys.readouterr().err
