"""Log lines: whole, unforgeable, cheap where they are not wanted."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.seams.clock import VirtualClock
from storage.seams.logging import LogLines, RateLimitedLogger

HOSTILE = "a\nERROR forged\r\x1b[2J\x00\u2028\x85b"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def logs(form: str = "auto", stream: io.StringIO | None = None, level: str = "info") -> tuple[LogLines, io.StringIO]:
    stream = stream if stream is not None else io.StringIO()
    lines = LogLines()
    lines.configure(level=level, form=form, clock=VirtualClock(wall=1_700_000_000_123), stream=stream)
    return lines, stream


def test_elsewhere_than_on_a_terminal_a_line_is_one_json_object() -> None:
    """With time, level, logger and event first, then the fields."""
    lines, out = logs()
    lines.logger("broker.x").info("listening", port=9092)
    assert json.loads(out.getvalue()) == {
        "timestamp": "2023-11-14T22:13:20.123Z", "level": "info", "logger": "broker.x",
        "event": "listening", "port": 9092,
    }  # fmt: skip
    assert out.getvalue().count("\n") == 1


def test_on_a_terminal_a_line_is_for_reading() -> None:
    """And can be had elsewhere, without colours; as JSON can be had on a terminal."""
    lines, out = logs(stream=Terminal())
    lines.logger("x").info("listening", port=9092)
    assert "listening" in out.getvalue()
    assert "\x1b[" in out.getvalue()
    lines, out = logs("text")
    lines.logger("x").info("listening", port=9092)
    assert out.getvalue().startswith("2023-11-14T22:13:20.123Z [info")
    assert "\x1b" not in out.getvalue()
    lines, out = logs("json", Terminal())
    lines.logger("x").info("listening")
    assert json.loads(out.getvalue())["event"] == "listening"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("field", [HOSTILE, HOSTILE.encode(), [HOSTILE], ValueError(HOSTILE), {HOSTILE: 1}])
def test_what_a_peer_sends_cannot_break_or_forge_a_line(form: str, field: object) -> None:
    """Neither ends of lines nor escapes reach the stream, in whatever a field holds."""
    lines, out = logs(form)
    lines.logger("x").warning("connection closed", client_id=field)
    text = out.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert all(char.isprintable() for char in text[:-1])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_field_cannot_pass_for_one_of_ours(form: str) -> None:
    """It gets another name."""
    lines, out = logs(form)
    lines.logger("x").info("real", level="error", logger="y")
    assert "level_" in out.getvalue()
    assert "logger_" in out.getvalue()


def test_a_traceback_cannot_forge_a_line_either() -> None:
    """As text its lines are indented, as JSON it is one field."""
    for form in ("text", "json"):
        lines, out = logs(form)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            lines.logger("x").exception("handler failed", api="Produce")
        first, *rest = out.getvalue().splitlines()
        assert "handler failed" in first
        assert "ValueError" in out.getvalue()
        assert all(line.startswith("    ") for line in rest)
        assert "\x1b" not in out.getvalue()


def test_below_the_level_nothing_is_written() -> None:
    """The root's level counts for loggers without one of their own."""
    lines, out = logs(level="warning")
    lines.set_levels({"loud": "debug"})
    lines.logger("quiet").info("unseen")
    lines.logger("loud").debug("seen")
    lines.logger("quiet").error("seen too")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["seen", "seen too"]


def test_bound_fields_are_on_every_line() -> None:
    """A line's own field wins over a bound one of the same name."""
    lines, out = logs()
    log = lines.logger("x").bind(topic="t", partition=0)
    log.info("rolled")
    log.info("rolled", partition=1)
    assert [json.loads(line)["partition"] for line in out.getvalue().splitlines()] == [0, 1]


class Broken(io.StringIO):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class Secretive:
    """An object that cannot tell about itself."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_logging_never_fails() -> None:
    """Not for a stream that is gone, nor for a field without repr."""
    lines, _ = logs(stream=Broken())
    lines.logger("x").info("lost")
    closed = io.StringIO()
    closed.close()
    lines, _ = logs(stream=closed)
    lines.logger("x").info("lost")
    for form in ("text", "json"):
        lines, out = logs(form)
        lines.logger("x").info("kept", field=Secretive())
        assert "kept" in out.getvalue()


class Limited:
    """A rate-limited logger on a clock that the test sets."""

    def __init__(self) -> None:
        lines, self.stream = logs("json")
        self.now = 100.0
        self.log = RateLimitedLogger(lines.logger("network"), lambda: self.now)

    def written(self) -> list[tuple[str, object, int]]:
        """Each line: event, peer, how many were left out before it."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [(line["event"], line["peer"], line.get("left_out", 0)) for line in found]


def test_a_rush_of_lines_is_one_a_second() -> None:
    """The first is written at once, the last when the second is over, with the number of those between them."""
    limited = Limited()
    for peer in range(3_000):
        limited.log.info("closed", peer=peer)
    limited.log.flush()
    assert limited.written() == [("closed", 0, 0)]
    assert limited.log.holds
    limited.now += 1.0
    limited.log.flush()
    assert limited.written() == [("closed", 0, 0), ("closed", 2_999, 2_998)]
    assert not limited.log.holds
    limited.now += 1.0
    limited.log.flush()
    assert len(limited.written()) == 2


def test_a_rush_that_goes_on_says_so_every_second() -> None:
    """The next line of the kind counts those held back; none is lost, none counted twice."""
    limited = Limited()
    for peer in range(50):
        limited.log.info("closed", peer=peer)
        limited.now += 0.125
        if peer % 7 == 0:
            limited.log.flush()
    limited.now += 1.0
    limited.log.flush()
    written = limited.written()
    assert len(written) <= 8
    assert sum(1 + left_out for _, _, left_out in written) == 50


def test_kinds_do_not_wait_for_each_other() -> None:
    """The kind is the event, or what the caller says where the event's words vary."""
    limited = Limited()
    limited.log.info("closed", peer=1)
    limited.log.warning("refused", peer=2)
    limited.log.warning("a frame of 5 bytes", kind="FrameTooLarge", peer=3)
    limited.log.error("a frame of 6 bytes", kind="FrameTooLarge", peer=4)
    assert [event for event, _, _ in limited.written()] == ["closed", "refused", "a frame of 5 bytes"]


def test_one_line_now_and_then_is_written_as_it_is() -> None:
    """Nothing changes where there is no rush."""
    limited = Limited()
    for peer in range(3):
        limited.log.info("closed", peer=peer)
        limited.now += 1.0
    assert limited.written() == [("closed", 0, 0), ("closed", 1, 0), ("closed", 2, 0)]


def test_structlog_is_loaded_by_the_first_line_for_people() -> None:
    """A start whose lines go to a program does not pay for it."""
    program = """
import sys
from storage.seams.logging import configure, get_logger
configure(level="info", form="json")
log = get_logger("x").bind(a=1)
log.debug("unwanted")
assert "structlog" not in sys.modules
log.info("wanted")
assert "structlog" not in sys.modules
configure(level="info", form="text")
log.info("wanted")
assert "structlog" in sys.modules
"""
    root = Path(__file__).resolve().parents[4]
    done: subprocess.CompletedProcess[Any] = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert json.loads(done.stderr.splitlines()[0])["event"] == "wanted"


def test_a_burst_is_written_before_lines_are_held_back() -> None:
    """A logger may let the first few of a second pass; the next second has as many again."""
    written: list[int] = []

    class Lines:
        def info(self, event: str, **fields: Any) -> None:
            written.append(fields.get("left_out", 0))

    now = 0.0
    log = RateLimitedLogger(Lines(), lambda: now, burst=3)  # type: ignore[arg-type]
    for _ in range(5):
        log.info("created")
    assert written == [0, 0, 0]
    now = 1.0
    for _ in range(5):
        log.info("created")
    assert written == [0, 0, 0, 2, 0, 0]
