"""A bar on a terminal, lines in the log elsewhere; and a terminal that goes away does no harm."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from storage.progress import LoggedProgress, Recovered
from storage.seams import logging
from tools.commands.recovery_bar import RecoveryBar, line, recovery_progress


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_a_bar() -> None:
    """A pipe or a file gets lines of the log, and so does a terminal with JSON."""
    assert isinstance(recovery_progress("auto", Terminal()), RecoveryBar)
    assert isinstance(recovery_progress("text", Terminal()), RecoveryBar)
    assert isinstance(recovery_progress("json", Terminal()), LoggedProgress)
    assert isinstance(recovery_progress("auto", io.StringIO()), LoggedProgress)


def test_the_bar_says_how_far_it_is() -> None:
    """Logs, bytes, speed, and what is left at this pace."""
    text = line(Recovered(logs=250, of=1000, checked_bytes=2_500_000_000, millis=2000))
    assert text == "recovering logs [######..................]   250/1000 logs, 2.5 GB, 1250 MB/s, 6 s left"
    assert "left" not in line(Recovered(0, 10, 0, 600))


def test_the_bar_is_one_line_that_is_gone_at_the_end() -> None:
    """It is drawn over itself, and cleared."""
    terminal = Terminal()
    bar = RecoveryBar(terminal)
    for done in (1, 5, 10):
        bar.show(Recovered(done, 10, 1000, 1000 * done))
    bar.close()
    drawn = terminal.getvalue()
    assert "\n" not in drawn
    assert drawn.split("\r")[-2].strip() == ""
    assert drawn.endswith("\r")
    assert drawn.count("recovering") == 3


def test_a_quick_recovery_draws_nothing() -> None:
    """Half a second is no time to wait."""
    terminal = Terminal()
    bar = RecoveryBar(terminal)
    bar.show(Recovered(1, 10, 1000, 499))
    bar.close()
    assert terminal.getvalue() == ""


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    """Writing to it fails; the recovery goes on."""
    terminal = Terminal()
    bar = RecoveryBar(terminal)
    terminal.close()
    bar.show(Recovered(1, 10, 1000, 5000))
    bar.close()


def test_lines_in_the_log_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Not more often, however often it is asked to show."""
    logging.configure(level="info", form="json")
    progress = LoggedProgress()
    for millis in range(0, 21_000, 200):
        progress.show(Recovered(millis // 100, 1000, millis * 1_000_000, millis))
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert '"done": 50' in lines[0] and '"of": 1000' in lines[0] and '"mb_per_second": 1000' in lines[0]
