"""The short form of faults at the Nth system call; and the comparison held against what it must find."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan
from tools.trials.crash_test.script import PLAIN
from tools.trials.crash_test.syscalls import Found, Ledger, acknowledged_after_failed_sync, judge, run

NAME = PLAIN[1]


def tried(plan: Plan, module: str = "tools.trials.crash_test.script") -> Outcome:
    """Run the tier, or skip the test where it cannot be tried."""
    try:
        return run(plan, module)
    except CannotTry as error:
        pytest.skip(str(error))


def test_faults_at_many_calls(tmp_path: Path) -> None:
    """Some faults, spread over all calls and kinds: nothing acknowledged is lost, and no fault missed its call."""
    outcome = tried(Plan(9, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["cases"] == 9
    assert outcome.counts["faults injected"] >= 7
    assert outcome.counts["kills during recovery"] > 4
    assert outcome.counts["acknowledged batches"] > 500


def test_a_store_that_forgives_a_failed_sync_is_seen(tmp_path: Path) -> None:
    """The test of the test, played: a store that acknowledges after a failed fdatasync."""
    outcome = tried(Plan(8, tmp_path), "tools.tests.trials.crash_test.careless_script")
    assert any("after fdatasync" in words for words in outcome.violations)


def test_without_strace_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and nothing is tried."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(CannotTry, match="strace, which injects the faults, is not installed"):
        run(Plan(1, tmp_path))


def ledger_of(*messages: str) -> Ledger:
    """A ledger of these messages."""
    ledger = Ledger()
    for message in messages:
        ledger.note(message)
    return ledger


SOUND: Found = [(0, NAME, 2, 0), (1, NAME, 2, 1), (2, NAME, 2, 2), (3, NAME, 5, 0), (4, NAME, 5, 1), (5, NAME, 5, 2)]
SAID = (f"ack {NAME} 2 0", f"ack {NAME} 5 3", f"refused {NAME} 8")


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        (SOUND, ""),
        (SOUND[:5], "acknowledged at 3"),
        (SOUND[3:], "offsets have gaps"),
        ([*SOUND, (6, NAME, 2, 0)], "there twice"),
        ([*SOUND, (6, "", -1, -1)], "is not what was sent"),
        ([*SOUND, (6, NAME, 8, 0)], "was refused and is there"),
    ],
)
def test_what_the_comparison_finds(found: Found, rule: str) -> None:
    """Loss, gaps, duplicates, wrong bytes, refusals that were kept: each is named; a sound log has none."""
    wrong = judge(NAME, found, 0, ledger_of(*SAID))
    assert (not wrong) if not rule else any(rule in words for words in wrong)


def test_an_acknowledgement_after_a_failed_sync() -> None:
    """Until the next start nothing may be acknowledged, whichever log."""
    failed = "fdatasync(7</d/plain-0/00000000000000000000.log>) = -1 EIO (Input/output error) (INJECTED)"
    ack = 'sendto(3<UNIX:[1]>, "ack plain-1 5 3", 15, 0, NULL, 0) = 15'
    start = 'sendto(3<UNIX:[1]>, "open 1", 6, 0, NULL, 0) = 6'
    assert acknowledged_after_failed_sync("\n".join([ack, failed])) is None
    assert acknowledged_after_failed_sync("\n".join([failed, start, ack])) is None
    assert acknowledged_after_failed_sync("\n".join([failed, ack])) is not None
