"""Tables in the three forms in which they are read, records in theirs, and moments."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tools.failures import Misunderstood
from tools.moments import parse_duration, parse_moment, written
from tools.output.progress import progress
from tools.output.tables import WIDEST, Table, aligned, show

TABLE = Table(("TOPIC", "CURRENT-OFFSET", "LAG"), [("orders", 7, None), ("[x]", 1234, 0)])


class Terminal(io.StringIO):
    """Where a person looks."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_columns_stay_columns() -> None:
    """What is not known, or empty, is a dash; one very long name does not move the others."""
    assert aligned(TABLE) == ["TOPIC  CURRENT-OFFSET LAG", "orders 7              -", "[x]    1234           0"]
    assert aligned(Table(("A", "B"), [("", 1), (None, 2)])) == ["A B", "- 1", "- 2"]
    long = aligned(Table(("A", "B"), [("x" * 500, 1), ("y", 2)]))
    assert long[2] == f"{'y':<{WIDEST}} 2"


def test_json_keeps_types(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys are the headings as a program names things."""
    show(TABLE, as_json=True)
    assert json.loads(capsys.readouterr().out)[0] == {"topic": "orders", "current_offset": 7, "lag": None}


def test_lines_of_kafka_are_for_where_no_person_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal it is drawn, with a cell's brackets as they are."""
    show(TABLE, as_json=False, lines=["Kafka's line"])
    assert capsys.readouterr().out == "Kafka's line\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show(TABLE, as_json=False, lines=["Kafka's line"])
    assert "CURRENT-OFFSET" in terminal.getvalue() and "[x]" in terminal.getvalue()
    assert "Kafka's line" not in terminal.getvalue()


def test_a_narrow_terminal_loses_no_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are folded as long as the headings have room; then it is plain columns. An empty column is left out."""
    wide = Table(("GROUP", "EMPTY", "A-LONG-HEADING", "LAG"), [("g" * 40, None, 1, 2)])
    for width, drawn in (("60", True), ("20", False)):
        terminal = Terminal()
        monkeypatch.setenv("COLUMNS", width)
        monkeypatch.setattr(sys, "stdout", terminal)
        show(wide, as_json=False)
        assert "LAG" in terminal.getvalue()
        assert ("EMPTY" not in terminal.getvalue()) is drawn


def test_a_terminal_without_rich_has_plain_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is an extra."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show(TABLE, as_json=False)
    assert terminal.getvalue().splitlines() == aligned(TABLE)


def test_a_bar_is_drawn_where_a_person_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, if that is a terminal; it is gone in the end, and nowhere else there is anything."""
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("reading orders", 10) as advance:
            advance(10)
        assert ("reading orders" in stream.getvalue()) is drawn
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("reading orders", 10, wanted=False) as advance:
        advance(10)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("2026-11-30T18:00:00.250", 1796061600250),
        ("2026-11-30T19:00:00+01:00", 1796061600000),
        ("2026-11-30T18:00Z", 1796061600000),
        ("1796061600000", 1796061600000),
    ],
)
def test_moments(text: str, millis: int) -> None:
    """In UTC where nothing else is said, as in Kafka's tools."""
    assert parse_moment(text) == millis


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("PT1H30M", 5_400_000),
        ("P1DT0.5S", 86_400_500),
        ("90s", 90_000),
        ("15m", 900_000),
        ("250ms", 250),
        ("7d", 604_800_000),
    ],
)
def test_durations(text: str, millis: int) -> None:
    """Of ISO 8601, and as people write them."""
    assert parse_duration(text) == millis


def test_what_is_neither_is_refused() -> None:
    """With the forms there are."""
    for wrong in ("soon", "-soon", "2026-13-01", "P", "PT", "5 minutes"):
        with pytest.raises(Misunderstood):
            parse_moment(wrong)
    assert written(1796061600250) == "2026-11-30T18:00:00.250Z" and written(-1) is None
