"""One request for records, from what it asks to what is to be answered.

    look = fetches.begin(asked)             # or await begin_large(asked)
    if not look.enough:
        await fetches.finish(look)
    for wanted, found in look.news(): ...

`begin` is quick and waits for nothing: it finds the session and looks once at what is in memory. Requests that name
more than `LARGE` partitions take `begin_large`, which gives way to others in between.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from broker.fetching.look import SLICE, Asked, Look
from broker.fetching.purgatory import Purgatory, PurgatoryStatistics
from broker.fetching.sessions import (
    MAX_MISSING,
    NO_SESSION,
    FetchSession,
    FetchSessions,
    SessionStatistics,
)
from kproto.errors import ErrorCode, KafkaError
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.partitions import Partitions
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy


class FetchStatistics(NamedTuple):
    """Sessions and those who wait."""

    sessions: SessionStatistics
    purgatory: PurgatoryStatistics


class Fetches:
    """All requests for records of the broker, and their sessions."""

    def __init__(self, partitions: Partitions, store: LogStore, clock: Clock, entropy: Entropy, slots: int) -> None:
        self.sessions = FetchSessions(entropy, slots)
        self._purgatory = Purgatory()
        self._partitions = partitions
        self._store = store
        self._clock = clock

    def begin(self, asked: Asked) -> Look:
        """Find the session and look at once. Raises KafkaError as `FetchSessions` does."""
        session, full = self._session(asked)
        session.go_by(asked.permissions)
        session.want(asked.wanted)
        if asked.forgotten:
            session.forget(asked.forgotten)
        look = self._look(session, full, asked)
        if look.now() and look.missing:
            self._end_where_little_is_there(look)
        return look

    async def begin_large(self, asked: Asked) -> Look:
        """The same in slices, between which others get their turn; the look is `ready`."""
        session, full = self._session(asked)
        session.go_by(asked.permissions)
        slices = Slices()
        try:
            wanted, forgotten = iter(asked.wanted), iter(asked.forgotten)
            while some := list(islice(wanted, SLICE)):
                session.want(some)
                await slices.give_way()
            while keys := list(islice(forgotten, SLICE)):
                session.forget(keys)
                await slices.give_way()
        finally:
            look = self._look(session, full, asked)  # what was taken over is counted, also if this ends here
        await look.later()
        self._end_where_little_is_there(look)
        return look

    async def finish(self, look: Look) -> None:
        """Return when the look should be answered: there is enough, or the time is over."""
        if not look.ready:
            await look.later()
            self._end_where_little_is_there(look)
        if not look.enough:
            await self._purgatory.wait(look)

    def statistics(self) -> FetchStatistics:
        """Counts now."""
        return FetchStatistics(self.sessions.statistics(), self._purgatory.statistics())

    def _session(self, asked: Asked) -> tuple[FetchSession, bool]:
        now = self._clock.monotonic_millis()
        return self.sessions.begin(asked.session_id, asked.session_epoch, asked.by_id, asked.committed, now)

    def _look(self, session: FetchSession, full: bool, asked: Asked) -> Look:
        """The look at a session that knows all the request says."""
        if session.lasting:
            self.sessions.settle(session)
            full = full or not session.kept
        return Look(session, full, asked, self._partitions, self._store)

    def _end_where_little_is_there(self, look: Look) -> None:
        """End a session of too many missing partitions. Raises KafkaError(FETCH_SESSION_ID_NOT_FOUND) if the answer
        was to be incremental; a full one goes out without a session."""
        session = look.session
        if len(look.missing) > MAX_MISSING and session.kept:
            self.sessions.end(session.id)
            session.id = NO_SESSION
            if not look.full:
                raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
