"""The checker of histories: it names every anomaly that is planted, and nothing in a history that is clean."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.trials.transaction_test.checker import ALLOWED, check, forbidden, summary
from tools.trials.transaction_test.cycles import components, shortest_cycle
from tools.trials.transaction_test.history import HistoryWriter, Operation, Poll, Send, numbered, read_history

Plant = Callable[["Story"], None]


class Story:
    """A history that is built by hand, over logs that are kept as a broker would."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.ends: dict[str, int] = {}

    def place(self, key: str) -> int:
        """The next offset of a key's log."""
        self.ends[key] = self.ends.get(key, -1) + 1
        return self.ends[key]

    def txn(
        self, *sends: Send, polls: tuple[Poll, ...] = (), kind: str = "ok", process: int = 0, lane: int = 0
    ) -> Operation:
        """A transaction."""
        operation = Operation(process, kind, "txn", list(sends), list(polls), lane=lane)  # type: ignore[arg-type]
        self.operations.append(operation)
        return operation

    def poll(self, *polls: Poll, process: int = 9, kind: str = "ok") -> None:
        """A poll outside of transactions."""
        self.operations.append(Operation(process, kind, "poll", [], list(polls)))  # type: ignore[arg-type]

    def assign(self, *, process: int = 9, lane: int = 0, resumed: bool = False, **positions: int) -> None:
        """A consumer that reads other keys from now on."""
        self.operations.append(Operation(process, "ok", "assign", positions=positions, resumed=resumed, lane=lane))

    def found(self) -> set[str]:
        """The names of what the checker finds."""
        return {each.name for each in check(numbered(self.operations))}


def duplicate(story: Story) -> None:
    story.txn(("a", 0, 1))
    story.poll(("a", 0, 1), ("a", 3, 1))


def inconsistent_offsets(story: Story) -> None:
    story.txn(("a", 0, 1))
    story.txn(("a", None, 2))
    story.poll(("a", 0, 1))
    story.poll(("a", 0, 2), process=8)


def phantom_read(story: Story) -> None:
    story.poll(("a", 0, 7))


def lost_write(story: Story) -> None:
    story.txn(("a", 0, 1))
    story.txn(("a", 2, 2))
    story.txn(("a", 4, 3))
    story.poll(("a", 0, 1))
    story.poll(("a", 4, 3), process=8)


def unseen(story: Story) -> None:
    story.txn(("a", 0, 1))
    story.txn(("a", 2, 2))
    story.poll(("a", 0, 1))


def aborted_read(story: Story) -> None:
    story.txn(("a", None, 1), kind="fail")
    story.poll(("a", 0, 1))


def precommitted_read(story: Story) -> None:
    story.txn(("a", 0, 1), polls=(("a", 0, 1),))
    story.poll(("a", 0, 1))


def torn_transaction(story: Story) -> None:
    story.txn(("a", None, 1), ("b", None, 2), kind="info")
    story.poll(("a", 0, 1))


def torn_transaction_that_failed(story: Story) -> None:
    story.txn(("a", None, 1), ("b", None, 2), kind="fail")
    story.poll(("b", 0, 2))


def internal_poll_skip(story: Story) -> None:
    story.txn(("a", 0, 1), ("a", 1, 2), ("a", 2, 3))
    story.poll(("a", 0, 1), ("a", 2, 3))
    story.poll(("a", 0, 1), ("a", 1, 2), ("a", 2, 3), process=8)


def internal_nonmonotonic_poll(story: Story) -> None:
    story.txn(("a", 0, 1), ("a", 1, 2))
    story.poll(("a", 1, 2), ("a", 0, 1))


def poll_skip(story: Story) -> None:
    story.txn(("a", 0, 1), ("a", 1, 2), ("a", 2, 3))
    story.poll(("a", 0, 1))
    story.poll(("a", 2, 3))
    story.poll(("a", 0, 1), ("a", 1, 2), ("a", 2, 3), process=8)


def nonmonotonic_poll(story: Story) -> None:
    story.txn(("a", 0, 1), ("a", 1, 2))
    story.poll(("a", 0, 1), ("a", 1, 2))
    story.poll(("a", 1, 2))


def nonmonotonic_send(story: Story) -> None:
    story.txn(("a", 5, 1))
    story.txn(("a", 3, 2))
    story.poll(("a", 3, 2), ("a", 5, 1))


def stale_offsets(story: Story) -> None:
    story.txn(("a", 0, 1), ("a", 1, 2), process=5, lane=1)
    story.txn(polls=(("a", 0, 1), ("a", 1, 2)))
    story.assign(process=1, resumed=True, a=1)


def g1c(story: Story) -> None:
    story.txn(("a", 0, 1), polls=(("b", 0, 2),))
    story.txn(("b", 0, 2), polls=(("a", 0, 1),), process=1)


def g0(story: Story) -> None:
    story.txn(("a", 0, 1), ("b", 1, 2))
    story.txn(("a", 1, 3), ("b", 0, 4), process=1)
    story.poll(("a", 0, 1), ("a", 1, 3), ("b", 0, 4), ("b", 1, 2))


def g1c_with_writes(story: Story) -> None:
    story.txn(("a", 1, 1), ("b", 0, 2))
    story.txn(("a", 0, 3), polls=(("b", 0, 2),), process=1)
    story.poll(("a", 0, 3), ("a", 1, 1))


PLANTS = {
    "duplicate": duplicate, "inconsistent-offsets": inconsistent_offsets, "phantom-read": phantom_read,
    "lost-write": lost_write, "unseen": unseen, "aborted-read": aborted_read, "precommitted-read": precommitted_read,
    "torn-transaction": torn_transaction, "internal-poll-skip": internal_poll_skip,
    "internal-nonmonotonic-poll": internal_nonmonotonic_poll, "poll-skip": poll_skip,
    "nonmonotonic-poll": nonmonotonic_poll, "nonmonotonic-send": nonmonotonic_send, "stale-offsets": stale_offsets,
    "G1c": g1c, "G0": g0, "G1c-with-writes": g1c_with_writes,
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTS)
def test_every_anomaly_is_named(name: str) -> None:
    """What is planted is found, under its own name."""
    story = Story()
    PLANTS[name](story)
    assert name in story.found()


def test_a_transaction_that_failed_and_was_read_in_part_is_torn_and_aborted() -> None:
    """Both names fit."""
    story = Story()
    torn_transaction_that_failed(story)
    assert story.found() == {"torn-transaction", "aborted-read"}


@pytest.mark.parametrize("name", sorted(set(PLANTS) - {"G1c-with-writes"}))
def test_one_anomaly_in_a_long_history_is_found(name: str) -> None:
    """Beside hundreds of operations without fault, and nothing else is found there that is forbidden."""
    story = Story()
    story.operations += clean(random.Random(name), 400)
    assert not forbidden(check(numbered(story.operations)))
    before = len(story.operations)
    PLANTS[name](story)
    for operation in story.operations[before:]:
        operation.process += 1000
        operation.lane += 1000
        operation.sends = [(f"planted-{key}", offset, value) for key, offset, value in operation.sends]
        operation.polls = [(f"planted-{key}", offset, value) for key, offset, value in operation.polls]
        operation.positions = {f"planted-{key}": offset for key, offset in operation.positions.items()}
    assert name in {each.name for each in check(numbered(story.operations))}


def clean(chance: random.Random, count: int) -> list[Operation]:
    """What lanes see of a broker that does everything right: transactions take effect one after another."""
    keys = [f"t/{number}" for number in range(4)]
    logs: dict[str, list[tuple[int, int]]] = {key: [] for key in keys}
    ends = dict.fromkeys(keys, 0)
    positions = [dict.fromkeys(keys, 0) for _ in range(5)]
    operations: list[Operation] = []
    values = iter(range(1_000_000))

    def read(lane: int, most: int) -> list[Poll]:
        polls: list[Poll] = []
        for key in keys:
            more = [(key, offset, value) for offset, value in logs[key] if offset >= positions[lane][key]]
            polls += more[: chance.randrange(most)]
        return polls

    for _ in range(count):
        lane = chance.randrange(5)
        polls = read(lane, 4)
        kind = chance.choices(("ok", "fail", "info"), (8, 1, 1))[0]
        sends: list[Send] = []
        happened = kind == "ok" or (kind == "info" and chance.random() < 0.5)
        for _ in range(chance.randrange(4)):
            key, value = chance.choice(keys), next(values)
            sends.append((key, ends[key] if kind == "ok" else None, value))
            if happened:
                logs[key].append((ends[key], value))
            ends[key] += 1
        for key in {key for key, _, _ in sends}:
            ends[key] += 1  # the marker
        operations.append(Operation(lane, kind, "txn" if sends else "poll", sends, polls, lane=lane))  # type: ignore[arg-type]
        if kind == "ok":
            for key, offset, _ in polls:
                positions[lane][key] = offset + 1
    operations.append(Operation(90, "ok", "assign", positions=dict.fromkeys(keys, 0)))
    operations += [Operation(90, "ok", "poll", [], [(key, *each) for each in logs[key]]) for key in keys]
    return operations


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_history_is_clean(seed: int) -> None:
    """Nothing that is forbidden is found where nothing is wrong, whatever was aborted or is unknown."""
    found = forbidden(check(numbered(clean(random.Random(seed), 300))))
    assert not found, "\n".join(summary(found))


def test_an_unknown_transaction_may_have_happened_or_not() -> None:
    """Neither is an anomaly, as long as it is all of it."""
    story = Story()
    story.txn(("a", None, 1), ("b", None, 2), kind="info")
    assert story.found() == set()
    story.poll(("a", 0, 1), ("b", 0, 2))
    assert story.found() == set()


def test_after_an_assignment_reading_begins_anywhere() -> None:
    """Neither a skip nor a step back."""
    story = Story()
    story.txn(("a", 0, 1), ("a", 1, 2), ("a", 2, 3))
    story.poll(("a", 0, 1), ("a", 1, 2), ("a", 2, 3))
    story.assign(a=0)
    story.poll(("a", 0, 1))
    assert story.found() == set()


def test_what_a_failed_operation_polled_is_polled_again() -> None:
    """Its reads were taken back, so the next one begins where it began."""
    story = Story()
    story.txn(("a", 0, 1), ("a", 1, 2))
    story.poll(("a", 0, 1), kind="fail")
    story.poll(("a", 0, 1), ("a", 1, 2))
    assert story.found() == set()


def test_a_group_may_resume_behind_an_unknown_transaction() -> None:
    """Or before it."""
    for position, wrong in ((1, False), (2, False), (0, True), (3, True)):
        story = Story()
        story.txn(("a", 0, 1), ("a", 1, 2), process=5, lane=1)
        story.txn(polls=(("a", 0, 1),))
        story.txn(polls=(("a", 1, 2),), kind="info")
        story.assign(process=1, resumed=True, a=position)
        assert ("stale-offsets" in story.found()) == wrong


def test_cycles_are_found_in_graphs_of_any_depth() -> None:
    """Without recursion, and the shortest is shown."""
    long = {number: {number + 1} for number in range(50_000)}
    assert components(long) == []
    ring = long | {50_000: {0}}
    assert len(components(ring)[0]) == 50_001
    graph = {1: {2}, 2: {3, 1}, 3: {1}, 4: {1}}
    [component] = components(graph)
    assert component == [1, 2, 3]
    assert shortest_cycle(graph, component) == [1, 2, 1]


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Line by line."""
    operations = clean(random.Random(1), 50)
    writer = HistoryWriter(tmp_path / "history")
    for each in operations:
        writer.write(each)
    writer.close()
    assert writer.count == len(operations)
    assert read_history(tmp_path / "history") == numbered(operations)
    (tmp_path / "other").write_text('{"process": 1}\n')
    with pytest.raises(ValueError, match="no operation"):
        read_history(tmp_path / "other")


def test_the_summary_says_which_are_allowed() -> None:
    """And shows witnesses of those that are not."""
    story = Story()
    g0(story)
    story.txn(("c", None, 1), kind="fail")
    story.poll(("c", 0, 1))
    lines = summary(check(numbered(story.operations)))
    assert any(line.startswith("G0: 1, which is allowed") for line in lines)
    assert any(line.startswith("aborted-read") for line in lines)
    assert {"G0", "G1c-with-writes"} == ALLOWED
