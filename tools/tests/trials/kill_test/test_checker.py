"""A checker is worth what it finds: every rule is broken on purpose, and the history without a fault is let pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.tests.trials.kill_test.history import LENGTH, NAMES, PLACES, RUN, TURNS, History, without_fault
from tools.trials.kill_test.checker import WITNESSES_PER_RULE, Violation, summary
from tools.trials.kill_test.ledger import (
    KINDS,
    Acknowledged,
    CommitAcknowledged,
    CommittedSeen,
    Complaint,
    Consumed,
    EndSeen,
    PositionsTaken,
    ProducerIdGiven,
    Refused,
    Resent,
    SettingAcknowledged,
    SettingSeen,
    TopicDeletionAsked,
    TopicsSeen,
)
from tools.trials.kill_test.values import make_value

PLACE = PLACES[0]
PROMISED = [kind for kind, promise in KINDS.items() if promise.acknowledged]
ONCE = [kind for kind, promise in KINDS.items() if promise.once]
WIRE = ["wire-idempotent", "wire-single-attempt"]
LATE = 10.0 * LENGTH


@pytest.fixture
def history() -> History:
    """The history without a fault."""
    return without_fault()


def test_a_history_without_a_fault(history: History) -> None:
    """Nothing is found where nothing is wrong."""
    assert history.violations() == []
    assert history.ledger.acknowledged_by_kind() == dict.fromkeys(PROMISED, len(PLACES) * TURNS * RUN)


@pytest.mark.parametrize("kind", PROMISED)
def test_a_lost_end(history: History, kind: str) -> None:
    """Acknowledged records at the end of the log are gone: what a log that was not written out looks like."""
    keep = history.find(kind, PLACE, (TURNS - 1) * RUN)
    history.rewrite(PLACE, history.values(PLACE)[:keep])
    found = [violation for violation in history.violations() if violation.rule == "lost"]
    assert f"{NAMES[kind]}#{(TURNS - 1) * RUN} was acknowledged and is nowhere" in found[0].detail
    assert found[0][1:4] == (*PLACE, keep)


@pytest.mark.parametrize("kind", PROMISED)
def test_one_record_lost_in_the_middle(history: History, kind: str) -> None:
    """One record is missing, and all behind it have moved up: lost and moved, and dense all the same."""
    values = history.values(PLACE)
    del values[history.find(kind, PLACE, RUN + 1)]
    history.rewrite(PLACE, values)
    rules = history.rules()
    assert {"lost", "moved"} <= rules
    assert "gap" not in rules


def test_what_was_not_promised_may_be_lost(history: History) -> None:
    """acks=0: records may be missing from the end without a word."""
    values = history.values(PLACE)
    lost = {make_value(NAMES["acks-0"], *PLACE, sequence) for sequence in range((TURNS - 1) * RUN, TURNS * RUN)}
    behind = min(offset for offset, value in enumerate(values) if value in lost) + RUN
    kept = [value for value in values if value not in lost]
    history.rewrite(PLACE, kept)
    for number, entry in enumerate(history.ledger.acknowledged):
        if (entry.topic, entry.partition) == PLACE and entry.offset >= behind:
            history.ledger.acknowledged[number] = entry._replace(offset=entry.offset - RUN)
    resent = history.ledger.resent
    resent[:] = [entry for entry in resent if (entry.topic, entry.partition) != PLACE]
    assert history.rules() == set()


@pytest.mark.parametrize("kind", PROMISED)
def test_another_record_at_an_acknowledged_offset(history: History, kind: str) -> None:
    """An offset was given out twice: the record that it was acknowledged for has been overwritten."""
    values = history.values(PLACE)
    at = history.find(kind, PLACE, 3)
    values[at] = make_value(NAMES["acks-0"], *PLACE, 0)
    history.rewrite(PLACE, values)
    assert "lost" in history.rules()


@pytest.mark.parametrize("kind", ONCE)
def test_a_record_that_is_there_twice(history: History, kind: str) -> None:
    """A retry was appended again."""
    history.rewrite(PLACE, [*history.values(PLACE), make_value(NAMES[kind], *PLACE, 5)])
    [found] = history.violations()
    assert (found.rule, found.offset) == ("duplicate", LENGTH)
    assert f"{NAMES[kind]}#5 is at {history.find(kind, PLACE, 5)} already" in found.detail


@pytest.mark.parametrize("kind", ["acks-all", "acks-1", "acks-0"])
def test_a_repetition_that_is_allowed(history: History, kind: str) -> None:
    """Without a producer id a retry may write a record twice, and it is acknowledged where it is the second time."""
    name, last = NAMES[kind], TURNS * RUN - 1
    history.rewrite(PLACE, [*history.values(PLACE), make_value(name, *PLACE, last)])
    first = history.find(kind, PLACE, last)
    for number, entry in enumerate(history.ledger.acknowledged):
        if entry[:3] == (name, *PLACE) and entry.offset + entry.records - 1 == first:
            history.ledger.acknowledged[number] = entry._replace(records=RUN - 1)
            history.ledger.add(Acknowledged(name, *PLACE, last, 1, LENGTH, LATE))
    assert history.rules() == set()


@pytest.mark.parametrize("kind", [kind for kind, promise in KINDS.items() if promise.ordered])
def test_records_out_of_order(history: History, kind: str) -> None:
    """Two records of a producer have changed places, and their offsets had not been acknowledged."""
    history.drop_acknowledgements(kind)
    values = history.values(PLACE)
    one, other = history.find(kind, PLACE, 7), history.find(kind, PLACE, 8)
    values[one], values[other] = values[other], values[one]
    history.rewrite(PLACE, values)
    assert "disorder" in history.rules()


@pytest.mark.parametrize("kind", WIRE)
def test_a_torn_batch(history: History, kind: str) -> None:
    """The first records of an unanswered batch are there, and the others are not."""
    history.drop_acknowledgements(kind)
    at = history.find(kind, PLACE, (TURNS - 1) * RUN + 20)
    values = history.values(PLACE)
    torn = [value for offset, value in enumerate(values) if not at <= offset < at + RUN - 20]
    history.rewrite(PLACE, torn)
    assert "torn" in history.rules()


def test_a_phantom(history: History) -> None:
    """A value that looks like ours, and that no producer sent."""
    history.rewrite(PLACE, [*history.values(PLACE), make_value(NAMES["acks-1"], *PLACE, TURNS * RUN)])
    assert history.rules() == {"phantom"}
    history.rewrite(PLACE, [*history.values(PLACE)[:-1], make_value("unknown", *PLACE, 0)])
    assert history.rules() == {"phantom"}


def test_a_record_of_another_log(history: History) -> None:
    """A record was written to a partition that it was not sent to."""
    history.rewrite(PLACE, [*history.values(PLACE), make_value(NAMES["acks-1"], *PLACES[1], 3)])
    assert history.rules() == {"misplaced"}


@pytest.mark.parametrize("damage", [b"", None, bytes(100), b"x"])
def test_a_damaged_value(history: History, damage: bytes | None) -> None:
    """Zeros, nothing, or a flipped byte instead of a value."""
    values = history.values(PLACE)
    at = history.find("acks-0", PLACE, 9)
    original = values[at]
    assert original is not None
    values[at] = bytes([original[0] ^ 1]) + original[1:] if damage == b"x" else damage
    history.rewrite(PLACE, values)
    assert history.rules() == {"damaged"}


def test_a_gap(history: History) -> None:
    """Offsets are skipped, at the beginning or further on."""
    at = history.find("acks-0", PLACE, 0)
    for first in (0, at):
        planted = without_fault()
        planted.ledger.consumption.clear()
        planted.logs[PLACE] = [(offset + (offset >= first), value) for offset, value in planted.logs[PLACE]]
        assert "gap" in planted.rules()


def test_a_refused_record_that_is_there(history: History) -> None:
    """The broker said that it did not append, and did."""
    kind = "wire-single-attempt"
    history.drop_acknowledgements(kind)
    history.ledger.add(Refused(NAMES[kind], *PLACE, RUN, RUN, "NOT_LEADER_OR_FOLLOWER", True))
    assert history.rules() == {"refused-but-kept"}
    history.ledger.refused[0] = history.ledger.refused[0]._replace(definite=False)
    assert history.rules() == set()


@pytest.mark.parametrize(("error", "offset"), [(45, -1), (0, LENGTH), (46, -1)])
def test_a_broker_that_forgot_a_producer(history: History, error: int, offset: int) -> None:
    """A batch sent again is refused, or appended again."""
    history.ledger.add(Resent(NAMES["wire-idempotent"], *PLACE, RUN, RUN, error, offset))
    assert history.rules() == {"forgot-producer"}


def test_a_producer_id_given_out_twice(history: History) -> None:
    """After a restart ids begin again."""
    history.ledger.add(ProducerIdGiven("late", 3, 0))
    assert history.rules() == {"id-twice"}


@pytest.mark.parametrize("kind", [kind for kind, promise in KINDS.items() if promise.complete])
def test_a_producer_that_is_left_without_an_answer(history: History, kind: str) -> None:
    """Who retries until it succeeds must succeed."""
    acknowledged = history.ledger.acknowledged
    acknowledged.remove(next(entry for entry in acknowledged if entry.producer == NAMES[kind]))
    assert history.rules() == {"unacknowledged"}


def test_a_complaint(history: History) -> None:
    """What a client reports is a violation."""
    history.ledger.add(Complaint("idempotent-0", "fatal: _FATAL"))
    assert history.rules() == {"complaint"}


PLANTED_REGISTERS: list[tuple[str, Callable[[History], None]]] = [
    ("end-went-back", lambda history: history.ledger.add(EndSeen(*PLACE, LENGTH - 1, LATE, LATE + 1))),
    ("end-went-back", lambda history: history.ledger.add(EndSeen(*PLACE, 0, LATE, LATE + 1))),
    ("commit-went-back", lambda history: history.ledger.add(CommittedSeen("group", *PLACE, -1, LATE, LATE + 1))),
    (
        "commit-went-back",
        lambda history: history.ledger.add(CommittedSeen("group", *PLACE, LENGTH - 1, LATE, LATE + 1)),
    ),
    (
        "commit-went-back",
        lambda history: history.ledger.add(CommitAcknowledged("group", *PLACE, LENGTH - 1, LATE, LATE + 1)),
    ),
    ("setting-went-back", lambda history: history.ledger.add(SettingSeen("one", "lag", 2, LATE, LATE + 1))),
    ("setting-went-back", lambda history: history.ledger.add(SettingAcknowledged("one", "lag", 2, LATE, LATE + 1))),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED_REGISTERS)
def test_a_number_that_goes_back(history: History, rule: str, plant: Callable[[History], None]) -> None:
    """The end of a log, or a group's offset, is seen below what it had been."""
    plant(history)
    assert history.rules() == {rule}


def test_an_acknowledgement_raises_the_end_by_itself(history: History) -> None:
    """Though no client has looked since, a look after an acknowledgement must show the record."""
    history.ledger.ends.clear()
    assert history.rules() == set()
    history.ledger.add(EndSeen(*PLACE, LENGTH - 1, LATE, LATE + 1))
    assert history.rules() == {"end-went-back"}


def test_what_was_not_promised_does_not_raise_the_end(history: History) -> None:
    """Readings alone count for acks=0: before the first one, nothing is known."""
    history.ledger.ends.clear()
    history.ledger.acknowledged.clear()
    history.ledger.add(EndSeen(*PLACE, 0, LATE, LATE + 1))
    assert not history.rules() & {"end-went-back"}


def test_a_look_that_overlaps_may_show_either(history: History) -> None:
    """An end asked for before an acknowledgement came may lie below it."""
    history.ledger.add(EndSeen(*PLACE, 0, 0.0, LATE))
    history.ledger.add(CommittedSeen("group", *PLACE, -1, 0.0, LATE))
    assert history.rules() == set()


def test_groups_and_logs_are_distinguished(history: History) -> None:
    """One group's offset says nothing about another's, nor does one log's about another's."""
    history.ledger.add(CommittedSeen("other", *PLACE, -1, LATE, LATE + 1))
    history.ledger.add(EndSeen("third", 0, 0, LATE, LATE + 1))
    assert history.rules() == set()


def test_records_that_were_shown_and_taken_back(history: History) -> None:
    """A consumer was given something else than what is there in the end."""
    entry = history.ledger.consumption[3]
    assert isinstance(entry, Consumed)
    history.ledger.consumption[3] = entry._replace(digest=1)
    assert history.rules() == {"reread-differs"}


def test_records_shown_beyond_the_end(history: History) -> None:
    """What a consumer was given last is gone."""
    history.logs[PLACE] = history.logs[PLACE][:-1]
    assert "reread-differs" in history.rules()


def test_a_consumer_that_skips(history: History) -> None:
    """Records between two that a consumer was given were given to no consumer."""
    del history.ledger.consumption[5]
    assert history.rules() == {"skipped", "unseen"}


def test_a_consumer_that_starts_over(history: History) -> None:
    """Without a new assignment a consumer is given what it had before."""
    history.ledger.consumption.insert(5, history.ledger.consumption[2])
    assert "rewound" in history.rules()


def test_a_consumer_that_is_given_partitions_again(history: History) -> None:
    """After a new assignment it may begin before where it was, but nothing may be left out."""
    history.ledger.consumption[5:5] = [PositionsTaken("reader-0"), *history.ledger.consumption[2:5]]
    assert history.rules() == set()


def test_records_that_no_consumer_was_given(history: History) -> None:
    """The group stopped before the end."""
    last = max(at for at, entry in enumerate(history.ledger.consumption) if isinstance(entry, Consumed))
    del history.ledger.consumption[last]
    assert history.rules() == {"unseen"}


@pytest.mark.parametrize(
    ("rule", "topics"),
    [
        ("topic-lost", {}),
        ("topic-changed", {"kept": "another id"}),
        ("topic-came-back", {"kept": "id of kept", "deleted": "id of deleted"}),
    ],
)
def test_topics_that_are_not_as_they_were_left(history: History, rule: str, topics: dict[str, str]) -> None:
    """One that was created is gone or has become another, one that was deleted is there."""
    history.ledger.add(TopicsSeen(topics, LATE, LATE + 1))
    assert history.rules() == {rule}


def test_a_topic_may_go_from_when_its_deletion_is_asked_for(history: History) -> None:
    """Neither list, with it or without it, is wrong as long as nothing was answered."""
    history.ledger.add(TopicDeletionAsked("kept", LATE))
    history.ledger.add(TopicsSeen({}, LATE - 1, LATE + 1))
    history.ledger.add(TopicsSeen({"kept": "id of kept"}, LATE + 2, LATE + 3))
    assert history.rules() == set()


def test_the_summary_has_witnesses() -> None:
    """Each rule with its count, a few of its violations, each with the place and what is around it."""
    history = without_fault()
    history.rewrite(PLACE, history.values(PLACE)[:10])
    lines = summary(history.violations())
    [at] = [number for number, line in enumerate(lines) if line.startswith("lost: ")]
    assert int(lines[at].removeprefix("lost: ")) > WITNESSES_PER_RULE
    assert lines[at + 1].startswith(f"  lost {PLACE.topic}-{PLACE.partition} at 10: ")
    assert "7: idempotent-0#7; 8: idempotent-0#8; 9: idempotent-0#9" in lines[at + 1]
    assert sum(line.startswith("  lost ") for line in lines) == WITNESSES_PER_RULE
    assert summary([Violation("complaint", "", -1, -1, "x: y")]) == ["complaint: 1", "  complaint: x: y"]
