"""SIGINT and SIGTERM for a verb that has something to finish: a group to leave, records to deliver.

    with Stopping() as stopping:
        while not stopping.requested: ...
    stopping.end("ottla consume", "after 12 records")

The first signal is noted, or raised as `Stopped` where the verb waits for something that no note ends (standard input);
a second one ends the process at once. `end` then ends the process by the signal that came, as a shell expects of a
program that was interrupted, and returns if none has come.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self


class Stopped(BaseException):
    """A signal has come while the verb was waiting. No `Exception`: nothing but `Stopping` is to catch it."""


class Stopping:
    """Whether the verb is to end. Outside of the main thread, where there are no signals, it never is."""

    def __init__(self, *, raises: bool = False) -> None:
        """`raises`: the signal comes out of whatever the verb is doing, once; the `with` block ends there."""
        self._raises = raises
        self._received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if not self.requested:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        return kind is Stopped

    def end(self, command: str, how_far: str) -> None:
        """End the process by the signal that has come, with one line that says how far it was."""
        if self._received is None:
            return
        sys.stdout.flush()
        print(f"{command}: ended by {self._received.name} {how_far}", file=sys.stderr, flush=True)
        signal.raise_signal(self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if self._raises:
            raise Stopped
