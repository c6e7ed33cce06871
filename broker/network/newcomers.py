"""Connections that have not said yet who they are: how many there may be, and for how long.

Before a handshake of TLS is over, and on a SASL listener before the client has proved who it is, a connection costs the
broker memory, arithmetic and a descriptor, for a peer that may be anyone. So:

* **Ten seconds** in all (`LIMIT_SECONDS`), TLS and SASL together. A client takes milliseconds.
* **Two hundred at once** (`MOST`). When there are as many, one more takes the place of the one that has been there
  longest, among those of the address that has most of them. So one address that opens connections and says nothing
  is in its own way only, and of a crowd of addresses those go that have waited longest. A newcomer
  whose own address has most is refused itself while its address has none older than `PATIENCE_SECONDS`: of a crowd that
  comes at once, say after a restart, the first are served, and the others come again.

A connection leaves (`leave`) when it is known, or ends. One that is displaced is cancelled through its own scope; its
`displaced` says so. Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from typing import Final

import trio

MOST: Final = 200
LIMIT_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 1.0


class Newcomer:
    """One connection of which it is not known who it is. Its scope is cancelled when its time, or its place, is up."""

    __slots__ = ("began", "displaced", "host", "scope")

    def __init__(self, host: str, now: float) -> None:
        self.host = host
        self.began = now
        self.scope = trio.CancelScope(deadline=now + LIMIT_SECONDS)
        self.displaced = False


class Newcomers:
    """All of them, in the order in which they came."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._there: dict[str, dict[Newcomer, None]] = {}
        self._count = 0
        self.turned_away = 0
        """How many have been refused or displaced since the start."""

    def __len__(self) -> int:
        return self._count

    def enter(self, host: str, now: float) -> Newcomer | None:
        """A place for a connection from `host`; None if there is none."""
        if self._count >= self._most:
            self.turned_away += 1
            crowd = max(self._there.values(), key=len)
            oldest = next(iter(crowd))
            if len(crowd) <= len(self._there.get(host, ())) + 1:  # no address is to blame, or its own is
                oldest = min((next(iter(each)) for each in self._there.values()), key=lambda each: each.began)
                if now - oldest.began < PATIENCE_SECONDS:
                    return None
            self.leave(oldest)
            oldest.displaced = True
            oldest.scope.cancel()
        newcomer = Newcomer(host, now)
        self._there.setdefault(host, {})[newcomer] = None
        self._count += 1
        return newcomer

    def leave(self, newcomer: Newcomer) -> None:
        """Give the place back: the peer is known now, or gone."""
        of_host = self._there.get(newcomer.host)
        if of_host is not None and newcomer in of_host:
            del of_host[newcomer]
            self._count -= 1
            if not of_host:
                del self._there[newcomer.host]
