"""Fetch sessions (KIP-227): a consumer of many partitions names them once, then only what changes.

The first Fetch of a session is *full*: it lists every partition, and the answer lists every partition. Later ones are
*incremental*: the request carries changed offsets, added and forgotten partitions; the answer carries only partitions
that have something to say: records, an error, or a high watermark or start offset that is new to the client.

A session is (id, epoch). The epoch counts requests: 0 opens a session, -1 means "none, please", and an answer lost on
the way shows as an epoch that does not follow, so that both sides start again. A session keys its partitions by topic
id (requests from v13 on) or by name; one that changes between the two is refused.

**An incremental Fetch costs what has changed.** A session looks only at its *restless* partitions: those that the
client has named since, that had something to say at the last look, or whose log has moved since then; and all of them,
once, when ACLs have changed. All others are
*watched*: the session stands among `Partition.watchers`, and the first move of the log takes it out of there and makes
the partition restless again (as EPOLLONESHOT does). So each partition of a kept session is restless or watched, or
both. `FetchSessions.check` says so, and tests ask it.

**Turns.** Partitions are looked at in the order of their turns: as they were named, and a partition that gave records
in an incremental answer goes to the end, so that with a small `max_bytes` the others come first the next time.

**Names.** A partition named by topic id remembers the name that the id had. When the topic is deleted and made again
under that name, Kafka answers INCONSISTENT_TOPIC_ID, and UNKNOWN_TOPIC_OR_PARTITION in between; UNKNOWN_TOPIC_ID is for
ids that never meant anything.

**Bounds.** At most `slots` sessions, as in Kafka, which bounds nothing else. Here all sessions together remember at
most `MAX_PARTITIONS` partitions, wherever they are: one that would grow beyond that ends. Room for a new session is
made by those that have not been used for `IDLE_MILLIS`; where there is none the client is answered without a session
(id 0) and simply sends full requests. A session whose partitions are mostly not there would be answered again and
again with errors that cost more than the request: beyond `MAX_MISSING` of them it ends, and its client, which
gets FETCH_SESSION_ID_NOT_FOUND, sends full requests, which are as long as their answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.seams.entropy import Entropy

if TYPE_CHECKING:
    from broker.partitions import Partition

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
MAX_EPOCH = 2**31 - 1
IDLE_MILLIS = 120_000
MAX_PARTITIONS = 250_000
"""Partitions that sessions remember, about 400 bytes each."""
MAX_MISSING = 1_000
"""Partitions of one session that are not there."""

TopicKey = str | bytes
"""A topic's name (requests up to v12) or its id (from v13 on)."""

GONE = -1
"""The turn of a partition that a session has forgotten."""

_turn = attrgetter("turn")


class Wanted:
    """One partition that a client reads, and what the last answer said about it.

    `hosted` is the partition it was found to be, `name` what its topic id was found to mean, `turn` its place in the
    session. `watched` is True while it stands among the watchers of `hosted`, for the sake of `session`. Only then it
    knows its session: most requests are without one that lasts, and go without the help of the garbage collector.
    """

    __slots__ = (
        "current_leader_epoch",
        "fetch_offset",
        "hosted",
        "last_fetched_epoch",
        "max_bytes",
        "name",
        "partition",
        "session",
        "told_high_watermark",
        "told_log_start_offset",
        "topic",
        "turn",
        "watched",
    )

    def __init__(
        self,
        topic: TopicKey,
        partition: int,
        fetch_offset: int,
        max_bytes: int,
        current_leader_epoch: int = -1,
        last_fetched_epoch: int = -1,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.current_leader_epoch = current_leader_epoch
        self.last_fetched_epoch = last_fetched_epoch
        self.told_high_watermark = -1
        self.told_log_start_offset = -1
        self.turn = 0
        self.session: FetchSession | None = None
        self.hosted: Partition | None = None
        self.name: str | None = None
        self.watched = False

    def update(self, newer: Wanted) -> None:
        """Take over what a later request says."""
        self.fetch_offset = newer.fetch_offset
        self.max_bytes = newer.max_bytes
        self.current_leader_epoch = newer.current_leader_epoch
        self.last_fetched_epoch = newer.last_fetched_epoch

    def watch(self, partition: Partition, session: FetchSession) -> None:
        """Let `session` hear of the next move of `partition`, which is `hosted`."""
        self.watched = True
        self.session = session
        partition.watchers[self] = None

    def unwatch(self) -> None:
        """Hear of it no more."""
        self.session = None
        if self.watched:
            self.watched = False
            assert self.hosted is not None
            self.hosted.watchers.pop(self, None)

    def woken(self) -> None:
        """The partition has moved, and has taken this out of its watchers."""
        self.watched = False
        if self.session is not None:
            self.session.stir(self)


class FetchSession:
    """What one client reads. With id 0 it lives for one request; `lasting` if it might live longer."""

    __slots__ = (
        "_event",
        "_permissions",
        "_turn",
        "by_id",
        "committed",
        "counted",
        "epoch",
        "id",
        "kept",
        "last_used",
        "lasting",
        "restless",
        "waiting",
        "wanted",
    )

    def __init__(self, by_id: bool, committed: bool, lasting: bool, now: int) -> None:
        self.id = NO_SESSION
        self.lasting = lasting
        self.by_id = by_id
        self.committed = committed  # the isolation level of the last request
        self.epoch = 1
        self.last_used = now
        self.kept = False  # among FetchSessions, for later requests
        self.counted = 0  # partitions, as FetchSessions knows them
        self.waiting = 0  # requests in the purgatory
        self.wanted: dict[tuple[TopicKey, int], Wanted] = {}
        self.restless: dict[Wanted, None] = {}  # if `lasting`
        self._turn = 0
        self._permissions = 0
        self._event: trio.Event | None = None

    def want(self, partitions: Iterable[Wanted]) -> None:
        """Add partitions, or update those known."""
        wanted, lasting = self.wanted, self.lasting
        for newer in partitions:
            known = wanted.setdefault((newer.topic, newer.partition), newer)
            if known is not newer:
                known.update(newer)
            if lasting:
                self.restless[known] = None
                if known is newer:
                    self.end_turn(newer)  # the newest comes last

    def forget(self, keys: Iterable[tuple[TopicKey, int]]) -> None:
        """Take partitions out."""
        for key in keys:
            gone = self.wanted.pop(key, None)
            if gone is not None:
                gone.unwatch()
                gone.turn = GONE
                self.restless.pop(gone, None)

    def read_at(self, committed: bool) -> None:
        """The isolation level has changed: each partition may have news."""
        self.committed = committed
        if self.lasting:
            self.restless = dict.fromkeys(self.wanted.values())

    def go_by(self, permissions: int) -> None:
        """The version of the ACLs that this request goes by: with another one, each partition may have news."""
        if permissions != self._permissions:
            self._permissions = permissions
            if self.lasting:
                self.restless = dict.fromkeys(self.wanted.values())

    def due(self) -> list[Wanted]:
        """The partitions to look at, in their turn: the restless ones, or all if the session lives for one request."""
        if not self.lasting:
            return list(self.wanted.values())
        due = list(self.restless)
        if len(due) > 1:
            due.sort(key=_turn)
        return due

    def untell(self, key: tuple[TopicKey, int]) -> None:
        """What the last answer was to say of this partition has not reached the client: it is news again."""
        if (wanted := self.wanted.get(key)) is not None:
            wanted.told_high_watermark = wanted.told_log_start_offset = -1
            self.stir(wanted)

    def end_turn(self, wanted: Wanted) -> None:
        """Its turn is over: the others come first now."""
        self._turn += 1
        wanted.turn = self._turn

    def stir(self, wanted: Wanted) -> None:
        """A partition has moved."""
        if self.lasting:
            self.restless[wanted] = None
        if self._event is not None:
            self._event.set()

    def expect(self) -> trio.Event:
        """What is set when a partition moves from now on."""
        if self._event is None or self._event.is_set():
            self._event = trio.Event()
        return self._event

    def leave(self) -> None:
        """A request that was `waiting` waits no more."""
        self.waiting -= 1
        if self.waiting == 0:
            self._event = None
            if not self.kept:
                self.unwatch()

    def unwatch(self) -> None:
        """Hear of nothing any more."""
        for wanted in self.wanted.values():
            if wanted.session is not None:
                wanted.unwatch()


class SessionStatistics(NamedTuple):
    """Kafka's NumIncrementalFetchSessions, ...PartitionsCached and the count of evictions."""

    sessions: int
    partitions: int
    evictions: int


class FetchSessions:
    """All sessions of the broker.

    A request is `begin`, then `want` and `forget` tell the session what it says, then `settle` if the session may last.
    """

    def __init__(self, entropy: Entropy, slots: int, *, max_partitions: int = MAX_PARTITIONS) -> None:
        self._entropy = entropy
        self._slots = slots
        self._max_partitions = max_partitions
        self._partitions = 0  # of all sessions
        self._evictions = 0
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()  # least recently used first

    def begin(self, session_id: int, epoch: int, by_id: bool, committed: bool, now: int) -> tuple[FetchSession, bool]:
        """(session, whether the answer must be full). `now` is monotonic milliseconds.

        Raises KafkaError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if session_id != NO_SESSION:
                self.end(session_id)
            return FetchSession(by_id, committed, epoch == INITIAL_EPOCH, now), True
        found = self._sessions.get(session_id)
        if found is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if found.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if found.by_id != by_id:
            raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        found.epoch = epoch + 1 if epoch < MAX_EPOCH else 1
        found.last_used = now
        if found.committed != committed:
            found.read_at(committed)
        self._sessions.move_to_end(session_id)
        return found, False

    def settle(self, session: FetchSession) -> None:
        """The session knows what the request says: keep it if it is new, and count its partitions.

        A new one is kept if there is room for it, and something in it. Raises KafkaError(FETCH_SESSION_ID_NOT_FOUND) if
        one has grown too far, and ends it; or if it has been ended since `begin`.
        """
        size = len(session.wanted)
        if not session.kept:
            if session.id != NO_SESSION:
                raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
            if size and self._make_room(size, session.last_used):
                session.id, session.kept = self._new_id(), True
                self._sessions[session.id] = session
                session.counted = size
                self._partitions += size
            return
        growth = size - session.counted
        if growth:
            session.counted = size
            self._partitions += growth
            if size == 0:  # Kafka ends a session that has become empty
                self.end(session.id)
                session.id = NO_SESSION
            elif growth > 0 and self._partitions > self._max_partitions:
                self.end(session.id)
                raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)

    def wanted_of(self, session_id: int) -> Iterable[tuple[TopicKey, int]]:
        """The partitions of a session; none if there is no such session."""
        session = self._sessions.get(session_id)
        return () if session is None else session.wanted.keys()

    def untell(self, session_id: int, keys: Iterable[tuple[TopicKey, int]]) -> None:
        """An answer has not said of these partitions what it was to say (`FetchSession.untell`)."""
        if (session := self._sessions.get(session_id)) is not None:
            for key in keys:
                session.untell(key)

    def end(self, session_id: int) -> None:
        """Forget a session, if there is one of this id."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._partitions -= session.counted
            session.kept = False
            if session.waiting == 0:  # else the last to leave does it
                session.unwatch()

    def statistics(self) -> SessionStatistics:
        """Counts now."""
        return SessionStatistics(len(self._sessions), self._partitions, self._evictions)

    def check(self) -> None:
        """Assert what this promises: the counts are true, and no partition of a session can move unheard."""
        assert len(self._sessions) <= self._slots
        assert self._partitions == sum(len(session.wanted) for session in self._sessions.values())
        assert self._partitions <= self._max_partitions
        for session_id, session in self._sessions.items():
            assert (session.id, session.kept) == (session_id, True)
            for wanted in session.wanted.values():
                assert wanted in session.restless or wanted.watched, "a partition is restless or watched"
                if wanted.watched:
                    assert wanted.session is session
                    assert wanted.hosted is not None
                    assert wanted in wanted.hosted.watchers

    def _make_room(self, size: int, now: int) -> bool:
        """Whether one more session of `size` partitions may be kept; those that are idle make way for it."""
        while len(self._sessions) >= self._slots or self._partitions + size > self._max_partitions:
            oldest = next(iter(self._sessions.values()), None)
            if oldest is None or now - oldest.last_used < IDLE_MILLIS:
                return False
            self.end(oldest.id)
            self._evictions += 1
        return True

    def _new_id(self) -> int:
        """An id that no session has."""
        while True:
            session_id = int.from_bytes(self._entropy.bytes(4), "big") & 0x7FFFFFFF
            if session_id != NO_SESSION and session_id not in self._sessions:
                return session_id
