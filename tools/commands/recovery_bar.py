"""A bar on the terminal while logs are recovered: for a person who started a broker by hand and waits for it.

    recovering logs [##########..............]  412/1000 logs, 4.1 GB, 1250 MB/s, 5 s left

One line of standard error, written over itself and cleared at the end, so that log lines come out below one another as
ever. Nothing is drawn in the first half second: most recoveries are over by then. Where standard error is no terminal,
or the log is in JSON, progress goes to the log instead (`storage/progress.py`).

It is forty lines and not a library because a library would be the broker's fifth dependency.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Final, TextIO

from storage.progress import LoggedProgress, Progress, Recovered

QUIET_MS: Final = 500
WIDTH: Final = 24


def recovery_progress(log_format: str, stream: TextIO | None = None) -> Progress:
    """A bar if a person is looking, else lines in the log."""
    stream = sys.stderr if stream is None else stream
    return RecoveryBar(stream) if log_format != "json" and stream.isatty() else LoggedProgress()


class RecoveryBar:
    """The bar."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def show(self, now: Recovered) -> None:
        if now.millis >= QUIET_MS:
            self._draw(line(now))

    def close(self) -> None:
        """Leave an empty line behind."""
        if self._drawn:
            self._draw("")

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that went away does not stop a broker
            self._stream.write("\r" + text.ljust(self._drawn) + ("" if text else "\r"))
            self._stream.flush()
        self._drawn = max(self._drawn, len(text))


def line(now: Recovered) -> str:
    """What is drawn. The time left is guessed by the logs that are done, so many large ones at the end take longer."""
    filled = WIDTH * now.logs // max(1, now.of)
    bar = "#" * filled + "." * (WIDTH - filled)
    text = f"recovering logs [{bar}] {now.logs:>5}/{now.of} logs"
    text += f", {now.checked_bytes / 1e9:.1f} GB, {now.megabytes_per_second} MB/s"
    if now.logs:
        text += f", {now.millis * (now.of - now.logs) // now.logs // 1000} s left"
    return text
