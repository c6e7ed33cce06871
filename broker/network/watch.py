"""When each connection is looked at: in the order of deadlines, and without a timer or a wake-up for each of them.

A connection ends by itself where its peer ends it. What a peer does *not* do (send, go on sending, read, stay) is seen
only by looking, and `Connection.look` says at each look when the next one is due:

* a connection at rest is looked at when it would have been idle for `connections.max.idle.ms`, and not before;
* one where something is going on, every `LOOK_SECONDS`, or at its idle deadline if that comes first. Bytes that arrive
  at a connection at rest bring its next look forward (`soon`); nothing else on a request's way touches this file.

The order is a wheel: time is cut into slots of `SLOT_SECONDS`, each connection stands in one of them, and moving it
is two operations on dicts. (A heap would keep an entry for every change of mind.) Looks are late by up to a slot,
never early; Kafka looks every 300 ms.

`Watch` is plain: time is an argument, and `turn` returns what is to be closed instead of closing it. Its caller sleeps
until `next_turn`, which is never later than what `soon` may bring forward meanwhile.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

SLOT_SECONDS = 0.25
LOOK_SECONDS = 5.0
LOOKS_AT_ONCE = 100
"""As many connections are looked at, and perhaps closed, in one turn; others get their turn of the loop in between."""


class Ending(StrEnum):
    """Why a connection has ended."""

    LEFT = "the peer left"
    BROKEN = "the connection broke"
    PROTOCOL = "the peer broke the protocol"
    FAULT = "a fault"
    STOPPED = "stopping"
    # These are found by looking.
    GONE = "the peer has gone"
    IDLE = "idle"
    NOT_READING = "the peer does not read its replies"
    UNFINISHED = "a request did not finish arriving"
    WITHHOLDING = "others wait for memory that its slow peer makes it hold"


class Watched(Protocol):
    """What can be looked at: a connection."""

    def look(self, now: float) -> Ending | float:
        """Why it is to be closed, or when to look again (`math.inf`: not before `soon`). Monotonic seconds."""
        ...


One = TypeVar("One", bound=Watched)


class Watch(Generic[One]):
    """Which connection is due when. Times are monotonic seconds.

    `period` is LOOK_SECONDS, or less where connections may be idle for less than that.
    """

    def __init__(self, now: float, period: float = LOOK_SECONDS) -> None:
        self._period = max(period, SLOT_SECONDS)
        self._slots: dict[int, dict[One, None]] = {}
        self._places: dict[One, int] = {}
        self._turned = math.floor(now / SLOT_SECONDS)  # the last slot whose time has come

    def __len__(self) -> int:
        return len(self._places)

    def soon(self, connection: One, now: float) -> None:
        """Look within a period: something begins at a connection that was at rest, or is new."""
        self._place(connection, now + self._period)

    def forget(self, connection: One) -> None:
        """Look no more."""
        place = self._places.pop(connection, None)
        if place is not None:
            slot = self._slots[place]
            del slot[connection]
            if not slot:
                self._slots.pop(place)

    def turn(self, now: float) -> list[tuple[One, Ending]]:
        """Look at those that are due; which are to be closed, and why. Those are looked at no more.

        With more than LOOKS_AT_ONCE of them, `next_turn` is over at once.
        """
        overdue: list[tuple[One, Ending]] = []
        present = math.floor(now / SLOT_SECONDS)
        looks = LOOKS_AT_ONCE
        while self._turned < present:
            slot = self._slots.get(self._turned + 1, {})
            while slot:
                if not looks:
                    return overdue
                looks -= 1
                connection, _ = slot.popitem()
                del self._places[connection]
                found = connection.look(now)
                if isinstance(found, Ending):
                    overdue.append((connection, found))
                else:
                    self._place(connection, max(found, (present + 1) * SLOT_SECONDS))
            self._slots.pop(self._turned + 1, None)
            self._turned += 1
        return overdue

    def next_turn(self, now: float) -> float:
        """When to call `turn` again: at the next slot with something in it, at the latest after a period."""
        last = math.floor((now + self._period) / SLOT_SECONDS)
        for number in range(self._turned + 1, last):
            if number in self._slots:
                return number * SLOT_SECONDS
        return last * SLOT_SECONDS

    def _place(self, connection: One, when: float) -> None:
        self.forget(connection)
        if when == math.inf:
            return
        number = max(math.ceil(when / SLOT_SECONDS), self._turned + 1)
        self._places[connection] = number
        self._slots.setdefault(number, {})[connection] = None
