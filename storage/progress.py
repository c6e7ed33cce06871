"""What recovery reports while it runs: so many logs of so many, and how much has been checked.

The engine counts and asks a `Progress` to show it from time to time. `LoggedProgress` writes a line to the log when
five seconds have passed since the last one: a quick recovery says nothing between its beginning and its end.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from storage.seams.logging import get_logger

LOGGED_EVERY_MS: Final = 5_000


class Recovered(NamedTuple):
    """How far recovery is."""

    logs: int
    of: int
    checked_bytes: int
    millis: int  # since it began

    @property
    def megabytes_per_second(self) -> int:
        """Bytes checked, in millions a second."""
        return self.checked_bytes // 1000 // max(1, self.millis)


class Progress(Protocol):
    """Shows it to a person."""

    def show(self, now: Recovered) -> None:
        """How far it is; called a few times a second."""
        ...

    def close(self) -> None:
        """It is over, one way or the other."""
        ...


class LoggedProgress:
    """In the log."""

    def __init__(self) -> None:
        self._next = LOGGED_EVERY_MS
        self._log = get_logger("storage")

    def show(self, now: Recovered) -> None:
        if now.millis >= self._next:
            self._next = now.millis + LOGGED_EVERY_MS
            self._log.info(
                "recovering logs",
                done=now.logs,
                of=now.of,
                checked_mb=now.checked_bytes // 1_000_000,
                mb_per_second=now.megabytes_per_second,
            )

    def close(self) -> None:
        """Nothing: the engine writes the last line."""
