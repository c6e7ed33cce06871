"""Fetch sessions by themselves: what they hold is bounded, and what they count is true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.fetching.sessions import IDLE_MILLIS, NO_SESSION, FetchSession, FetchSessions, SessionStatistics, Wanted
from kproto.errors import ErrorCode, KafkaError
from storage.seams.entropy import SeededEntropy


def begin(
    sessions: FetchSessions, *wanted: int, id: int = 0, epoch: int = 0, forget: tuple[int, ...] = (), now: int = 0
) -> FetchSession:
    """A request for partitions of one topic; `epoch` 0 opens a session."""
    session, _ = sessions.begin(id, epoch, False, False, now)
    session.want(Wanted("t", partition, 0, 1000) for partition in wanted)
    session.forget(("t", partition) for partition in forget)
    if session.lasting:
        sessions.settle(session)
    return session


def test_sessions_have_so_many_slots() -> None:
    """When all are taken a client is answered without one, until one has not been used for two minutes."""
    sessions = FetchSessions(SeededEntropy(1), 2)
    first, second = begin(sessions, 1), begin(sessions, 1, now=5)
    assert begin(sessions, 1, now=10).id == NO_SESSION
    assert begin(sessions, 1, now=IDLE_MILLIS).id not in (NO_SESSION, first.id, second.id)
    assert sessions.statistics() == SessionStatistics(sessions=2, partitions=2, evictions=1)


def test_partitions_are_counted_over_all_sessions() -> None:
    """A peer cannot fill memory with names: the session that grows too far ends, others are left alone."""
    sessions = FetchSessions(SeededEntropy(1), 10, max_partitions=5)
    first, second = begin(sessions, 1, 2), begin(sessions, 1, 2)
    assert begin(sessions, 1, 2).id == NO_SESSION
    with pytest.raises(KafkaError) as refused:
        begin(sessions, 3, 4, id=first.id, epoch=1)
    assert refused.value.code is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert begin(sessions, 3, id=second.id, epoch=1).id == second.id
    assert begin(sessions, 1, 2).id != NO_SESSION


def test_idle_sessions_make_room_for_partitions_too() -> None:
    """Not only for one more session: what was not used for two minutes goes, the longest unused first."""
    sessions = FetchSessions(SeededEntropy(1), 10, max_partitions=5)
    for now in (0, 1):
        begin(sessions, 1, 2, now=now)
    assert begin(sessions, 1, 2, 3, now=IDLE_MILLIS - 1).id == NO_SESSION
    assert begin(sessions, 1, 2, 3, now=IDLE_MILLIS).id != NO_SESSION
    assert sessions.statistics() == SessionStatistics(sessions=2, partitions=5, evictions=1)


def test_a_session_that_was_ended_meanwhile_is_not_kept_again() -> None:
    """A large request is taken over in slices, and another connection may end its session in between."""
    sessions = FetchSessions(SeededEntropy(1), 10)
    session = begin(sessions, 1)
    again, _ = sessions.begin(session.id, 1, False, False, 0)
    begin(sessions, id=session.id, epoch=-1)
    with pytest.raises(KafkaError) as refused:
        sessions.settle(again)
    assert refused.value.code is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    sessions.check()


def test_a_partition_named_twice_is_one() -> None:
    """The last word counts, the first place."""
    session = FetchSession(by_id=False, committed=False, lasting=True, now=0)
    session.want([Wanted("t", 0, 5, 10), Wanted("t", 1, 0, 10), Wanted("t", 0, 7, 20)])
    assert [(each.partition, each.fetch_offset, each.max_bytes) for each in session.due()] == [(0, 7, 20), (1, 0, 10)]


STEPS = st.tuples(st.sampled_from(["open", "go on", "close"]), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))


@given(st.lists(STEPS, max_size=40))
def test_the_count_is_true(steps: list[tuple[str, set[int], set[int]]]) -> None:
    """Whatever is opened, grown, shrunk, ended and pushed out."""
    sessions = FetchSessions(SeededEntropy(1), 3, max_partitions=9)
    known: list[FetchSession] = []
    for number, (step, wanted, forget) in enumerate(steps):
        now = number * IDLE_MILLIS // 2
        try:
            if step == "open" or not known:
                known.append(begin(sessions, *wanted, now=now))
            elif step == "close":
                begin(sessions, id=known.pop(0).id, epoch=-1, now=now)
            else:
                session = known[len(wanted) % len(known)]
                begin(sessions, *wanted, id=session.id, epoch=session.epoch, forget=tuple(forget), now=now)
        except KafkaError:
            pass
        sessions.check()
