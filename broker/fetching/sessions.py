"""Fetch sessions (KIP-227): a consumer of many partitions names them once, then only what changes.

The first Fetch of a session is *full*: it lists every partition, and the answer lists every partition. Later ones are
*incremental*: the request carries changed offsets, added and forgotten partitions; the answer carries only partitions
that have something to say: records, an error, or a high watermark or start offset that the client has not been told.

A session is (id, epoch). The epoch counts requests: 0 opens a session, -1 means "none, please", and an answer lost on
the way shows as an epoch that does not follow, so that both sides start anew. A partition that gave records moves to
the end of the order, so that with a small `max_bytes` the others get their turn.

A session keys its partitions by topic id (requests from v13 on) or by name; one that changes between the two is
refused.

Bounds: at most `slots` sessions. When all are taken, one that has not been used for `IDLE_MILLIS` makes room; else the
client is answered without a session (id 0) and simply sends full requests, as with Kafka's FetchSessionCache. Besides,
all sessions together remember `MAX_PARTITIONS`, wherever they are: a session that would grow beyond that ends, and its
client, told FETCH_SESSION_ID_NOT_FOUND, begins anew. Kafka knows no such bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from kproto.errors import ErrorCode, KafkaError
from storage.seams.entropy import Entropy

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
MAX_EPOCH = 2**31 - 1
IDLE_MILLIS = 120_000
MAX_PARTITIONS = 1_000_000
"""Partitions that sessions remember, a few hundred bytes each."""

TopicKey = str | bytes
"""A topic's name (requests up to v12) or its id (from v13 on)."""


class Wanted:
    """One partition that a client reads, and what the last answer told about it."""

    __slots__ = (
        "current_leader_epoch",
        "fetch_offset",
        "last_fetched_epoch",
        "max_bytes",
        "partition",
        "told_high_watermark",
        "told_log_start_offset",
        "topic",
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

    def update(self, newer: Wanted) -> None:
        """Take over what a later request says."""
        self.fetch_offset = newer.fetch_offset
        self.max_bytes = newer.max_bytes
        self.current_leader_epoch = newer.current_leader_epoch
        self.last_fetched_epoch = newer.last_fetched_epoch


class FetchSession:
    """What one client reads. With id 0 it lives for one request."""

    __slots__ = ("by_id", "epoch", "id", "last_used", "wanted")

    def __init__(self, session_id: int, by_id: bool, now: int) -> None:
        self.id = session_id
        self.by_id = by_id
        self.epoch = 1
        self.last_used = now
        self.wanted: OrderedDict[tuple[TopicKey, int], Wanted] = OrderedDict()

    def want(self, partitions: Iterable[Wanted]) -> None:
        """Add partitions, or update those known."""
        for newer in partitions:
            known = self.wanted.get((newer.topic, newer.partition))
            if known is None:
                self.wanted[newer.topic, newer.partition] = newer
            else:
                known.update(newer)

    def answered(self, wanted: Wanted, *, gave_records: bool) -> None:
        """An answer told the client about this partition."""
        key = wanted.topic, wanted.partition
        if gave_records and key in self.wanted:  # a later request may have forgotten it
            self.wanted.move_to_end(key)


class FetchSessions:
    """All sessions of the broker."""

    def __init__(self, entropy: Entropy, slots: int, *, max_partitions: int = MAX_PARTITIONS) -> None:
        self._entropy = entropy
        self._slots = slots
        self._max_partitions = max_partitions
        self._remembered = 0  # partitions of all sessions
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(
        self,
        session_id: int,
        epoch: int,
        partitions: Sequence[Wanted],
        forgotten: Iterable[tuple[TopicKey, int]],
        *,
        by_id: bool,
        now: int,
    ) -> tuple[FetchSession, bool]:
        """(session, whether the answer must be full). `now` is monotonic milliseconds.

        Raises KafkaError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if session_id != NO_SESSION:
                self._end(session_id)
            room = self._remembered + len(partitions) <= self._max_partitions
            may_open = epoch == INITIAL_EPOCH and len(partitions) > 0 and room
            session = FetchSession(self._new_id(now) if may_open else NO_SESSION, by_id, now)
            session.want(partitions)
            if session.id != NO_SESSION:
                self._sessions[session.id] = session
                self._remembered += len(session.wanted)
            return session, True
        found = self._sessions.get(session_id)
        if found is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if found.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if found.by_id != by_id:
            raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        before = len(found.wanted)
        found.want(partitions)
        for key in forgotten:
            found.wanted.pop(key, None)
        self._remembered += len(found.wanted) - before
        if self._remembered > self._max_partitions and len(found.wanted) > before:
            self._end(session_id)
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        found.last_used = now
        self._sessions.move_to_end(session_id)
        if not found.wanted:  # Kafka ends a session that has become empty
            self._end(session_id)
            found.id = NO_SESSION
            return found, True
        found.epoch = epoch + 1 if epoch < MAX_EPOCH else 1
        return found, False

    def _end(self, session_id: int) -> None:
        """Forget a session, if there is one of this id."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._remembered -= len(session.wanted)

    def _new_id(self, now: int) -> int:
        """A fresh id, or NO_SESSION when there is no room."""
        if len(self._sessions) >= self._slots:
            oldest = next(iter(self._sessions.values()), None)
            if oldest is None or now - oldest.last_used < IDLE_MILLIS:
                return NO_SESSION
            self._end(oldest.id)
        while True:
            session_id = int.from_bytes(self._entropy.bytes(4), "big") & 0x7FFFFFFF
            if session_id != NO_SESSION and session_id not in self._sessions:
                return session_id
