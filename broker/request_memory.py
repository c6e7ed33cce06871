"""What requests and their replies may hold of memory, of all connections together (`queued.max.request.bytes`).

One account, in which each connection has a `Share`. What counts is what is held, not what is claimed:

* a receive buffer, by its size, from the moment when it has to grow beyond the window that every connection may have
  (kproto/framing.py). It grows as bytes arrive, so a peer that announces 100 MiB and sends little holds little;
* replies that the peer has not read yet. They are there already when they are counted, so they are never refused: they
  leave less for requests. A connection bounds them itself, by not working on (broker/network/connection.py).

Small requests are never counted and never wait: heartbeats pass while bulk waits.

**Shares.** All connections of one host may hold half of what other hosts leave of the limit, and one connection half of
what the others of its host leave of that. So there is always something left for the next one, and a host that takes
what it can takes it from itself. A connection that finds no room waits, and does not read: TCP slows its peer down.
Those of one host are served in the order in which they came, hosts by turns.

**One goes beyond.** Where requests grow as they arrive, all of them may be half there and none can be finished. So the
first that waits goes on all the same, beyond every share and the limit, until its request has been handled; then the
next one does. All requests together hold at most the limit and one request, as with Kafka's `SimpleMemoryPool`, and a
request that is larger than any share is served. What a connection held before it went beyond does not count against
its host meanwhile.

**A connection whose peer is slow gives way.** While others wait, a connection that holds memory must move bytes;
`Connection.look` closes it otherwise (`pressed`). A buffer that is only kept for the next request is given back as soon
as there is no room: its owner lends it (`lend`).

Kafka's default is no limit at all. Ours is `UNLESS_SAID`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

UNLESS_SAID = 1 << 30
"""The limit where `queued.max.request.bytes` says none (-1)."""


@dataclass(frozen=True, slots=True)
class RequestMemoryStatistics:
    """The account at one moment. Bytes; `waited` counts since the start how often a connection had to wait."""

    limit: int
    held: int
    hosts: int
    waiting: int
    waited: int
    is_exceeded: bool
    """Whether a connection goes beyond its share."""


class RequestMemory:
    """The account. `limit` is bytes; 0 or less means UNLESS_SAID."""

    def __init__(self, limit: int) -> None:
        self.limit = limit if limit > 0 else UNLESS_SAID
        self.held = 0
        """Bytes of all shares but the one that goes beyond."""
        self.waiting = 0
        """How many connections wait."""
        self._waited = 0
        self.beyond: Share | None = None
        """The connection that goes beyond the limit."""
        self._hosts: dict[str, _Host] = {}
        self._queued: dict[_Host, None] = {}  # hosts of which some wait; the first is the next to go beyond
        self._lenders: dict[Share, None] = {}  # they could give a buffer back at once; none while any wait

    def share(self, host: str) -> Share:
        """The share of a new connection of this host. Its owner closes it."""
        found = self._hosts.get(host)
        if found is None:
            found = self._hosts[host] = _Host(host)
        found.shares += 1
        return Share(self, found)

    @property
    def total(self) -> int:
        """Bytes held by all."""
        return self.held + (0 if self.beyond is None else self.beyond.held)

    def statistics(self) -> RequestMemoryStatistics:
        """The account now."""
        return RequestMemoryStatistics(
            limit=self.limit,
            held=self.total,
            hosts=len(self._hosts),
            waiting=self.waiting,
            waited=self._waited,
            is_exceeded=self.beyond is not None,
        )

    def check(self) -> None:
        """What is promised here, for tests. Raises AssertionError."""
        assert self.held == sum(host.held for host in self._hosts.values())
        assert self.held >= 0 and all(host.held >= 0 and host.shares > 0 for host in self._hosts.values())
        assert self.waiting == sum(len(host.turns) for host in self._hosts.values())
        assert {host for host in self._hosts.values() if host.turns} == self._queued.keys()
        assert not self.waiting or (self.beyond is not None and not self._lenders), "one always goes on"
        assert not any(self._has_room(host.turns[0].share, host.turns[0].growth) for host in self._queued)

    def _has_room(self, share: Share, growth: int) -> bool:
        """Whether a connection may hold so much more, as far as shares go."""
        if share is self.beyond:
            return True
        host = share._host
        of_host = (self.limit - (self.held - host.held)) // 2
        of_connection = (of_host - (host.held - share.held)) // 2
        return share.held + growth <= of_connection

    def _set(self, share: Share, requests: int, replies: int) -> None:
        """Let a connection hold so much, and others have what it gives back."""
        growth = requests + replies - share.held
        share.requests, share.replies = requests, replies
        if share is not self.beyond:
            self.held += growth
            share._host.held += growth
        elif not requests:  # its request has been handled: it is one of all again
            self.beyond = None
            self.held += replies
            share._host.held += replies
        elif growth >= 0:
            return
        if self.waiting and (growth < 0 or self.beyond is None):
            self._serve()

    def _serve(self) -> None:
        """Let those go on for whom there is room, and one for whom there is none."""
        while True:
            for host in list(self._queued):
                while host.turns and self._has_room(host.turns[0].share, host.turns[0].growth):
                    self._grant(host)
            if self.beyond is not None or not self._queued:
                return
            host = next(iter(self._queued))
            self.beyond = share = host.turns[0].share
            self.held -= share.held
            host.held -= share.held
            self._grant(host)
            if host in self._queued:  # hosts go beyond by turns
                del self._queued[host]
                self._queued[host] = None

    def _grant(self, host: _Host) -> None:
        turn = host.turns.popleft()
        self.waiting -= 1
        if not host.turns:
            del self._queued[host]
        share = turn.share
        share.waits = False
        if share is not self.beyond:
            self.held += turn.growth
            host.held += turn.growth
        share.requests = turn.size
        turn.granted.set()

    def _queue(self, turn: _Turn) -> None:
        host = turn.share._host
        host.turns.append(turn)
        self._queued[host] = None
        self.waiting += 1
        self._waited += 1
        turn.share.waits = True
        self._serve()

    def _leave(self, turn: _Turn) -> None:
        """A waiting connection ends."""
        host = turn.share._host
        host.turns.remove(turn)
        if not host.turns:
            del self._queued[host]
        self.waiting -= 1
        turn.share.waits = False
        self._serve()  # what it waited for may have been too much for the next one's turn

    def _close(self, share: Share) -> None:
        self._lenders.pop(share, None)
        self._set(share, 0, 0)
        host = share._host
        host.shares -= 1
        if not host.shares:
            del self._hosts[host.name]


class Share:
    """What one connection holds. Sizes are bytes."""

    __slots__ = ("_account", "_give_back", "_host", "replies", "requests", "waits")

    def __init__(self, account: RequestMemory, host: _Host) -> None:
        self._account = account
        self._host = host
        self._give_back: Callable[[], None] | None = None
        self.requests = 0
        """Its receive buffer."""
        self.replies = 0
        """What its peer has not read yet."""
        self.waits = False

    @property
    def held(self) -> int:
        """All that it holds."""
        return self.requests + self.replies

    @property
    def scarce(self) -> bool:
        """Whether nothing is to be kept for later: others wait, or this connection goes beyond its share."""
        return self._account.waiting > 0 or self._account.beyond is self

    @property
    def pressed(self) -> bool:
        """Whether others wait for what this connection holds."""
        return self._account.waiting > 0 and self.held > 0 and not self.waits

    def hold(self, size: int) -> bool:
        """Hold a receive buffer of `size` from now on, if there is room and no other waits; a smaller one always."""
        account, growth = self._account, size - self.requests
        if growth > 0:
            if self._host.turns and self is not account.beyond:
                return False
            while not account._has_room(self, growth):
                if not account._lenders:
                    return False
                lender = next(iter(account._lenders))
                del account._lenders[lender]
                assert lender._give_back is not None
                lender._give_back()
        account._set(self, size, self.replies)
        return True

    async def wait_to_hold(self, size: int) -> None:
        """The same after those who came before."""
        turn = _Turn(self, size)
        self._account._queue(turn)
        try:
            await turn.granted.wait()
        finally:
            if not turn.granted.is_set():
                self._account._leave(turn)

    def owe(self, size: int) -> None:
        """Hold replies of `size` from now on."""
        self._account._set(self, self.requests, size)

    def lend(self, give_back: Callable[[], None]) -> None:
        """Its buffer is only kept for the next request. `give_back` is called when another has no room, or now; it
        lets go of the buffer and says so by `hold`."""
        if self._account.waiting:
            give_back()
        else:
            self._give_back = give_back
            self._account._lenders[self] = None

    def take_back(self) -> None:
        """The buffer is used again."""
        self._account._lenders.pop(self, None)

    def close(self) -> None:
        """Give everything back: the connection has ended."""
        self._account._close(self)


class _Host:
    """The connections of one address."""

    __slots__ = ("held", "name", "shares", "turns")

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = 0
        self.shares = 0
        self.turns: deque[_Turn] = deque()


class _Turn:
    """A connection that waits to hold a receive buffer of `size`."""

    __slots__ = ("granted", "share", "size")

    def __init__(self, share: Share, size: int) -> None:
        self.share = share
        self.size = size
        self.granted = trio.Event()

    @property
    def growth(self) -> int:
        """How much more that is."""
        return self.size - self.share.requests
