"""What is forgotten goes in steps: each decision is small, in time and in bytes, and looks at nothing twice."""

from __future__ import annotations

from typing import Any

import pytest

from broker.coordinators.groups.forgetting import LOOKS
from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.offsets import CommittedOffset, GroupOffsets
from broker.coordinators.machine import Decision
from broker.coordinators.runtime import MAX_DECISION_BYTES
from broker.tests.coordinators.groups.shards import Shard
from kproto.batches.records import build_batch
from kproto.ids import TopicPartition

RETENTION = 7 * 24 * 3_600_000
CHECK = 600_000


def batches(shard: Shard) -> list[int]:
    """From now on, the bytes of each decision's batch."""
    sizes: list[int] = []

    def note(decision: Decision[Any]) -> None:
        now = shard.clock.now()
        sizes.append(len(build_batch([shard.machine.encode(record, now) for record in decision.records] or [])))

    shard.on_decision = lambda decision: note(decision) if decision.records else None
    return sizes


@pytest.mark.parametrize("how", ["purge", "expiry"])
def test_offsets_of_a_group_with_a_long_id_go_in_batches_that_can_be_written(how: str) -> None:
    """G13: 1,500 of a group with an id of 30 KB are 45 MB of tombstones: one batch of them was refused, and asked for
    again forever, with the whole shard."""
    group = "g" * 30_000
    shard = Shard()
    shard.commit({("t", number): 1 for number in range(300)}, group=group)
    sizes = batches(shard)
    if how == "purge":
        shard.forget_topics("t")
        shard.advance(1)
    else:
        shard.advance(RETENTION + CHECK)
    assert shard.committed(group) == {}
    assert max(sizes) < MAX_DECISION_BYTES / 100
    assert sum(sizes) > 300 * 30_000


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, the group of each look at offsets."""
    looks: list[str] = []
    of = GroupOffsets.found

    def found(self: GroupOffsets, key: int) -> CommittedOffset | None:
        looks.append("")
        return of(self, key)

    monkeypatch.setattr(GroupOffsets, "found", found)
    return looks


def test_a_search_looks_at_each_offset_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group with many old offsets beside many that live: each of its decisions walked through all groups."""
    shard = Shard(expiry_batch=10)
    for number in range(30):
        shard.commit(
            {("t", partition): 1 for partition in range(10)}, group=f"living-{number}", retention=10 * RETENTION
        )
    shard.commit({("t", partition): 1 for partition in range(200)}, group="old")
    shard.advance(RETENTION - CHECK)
    looks = counted(monkeypatch)
    shard.advance(CHECK)
    assert shard.committed("old") == {}
    assert len(looks) == 30 * 10 + 200


def test_a_purge_looks_at_groups_that_have_offsets_of_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """And at no others."""
    shard = Shard()
    for number in range(30):
        shard.commit({("t", partition): 1 for partition in range(10)}, group=f"{number}")
    shard.commit({("u", 0): 1}, group="7")
    looks = counted(monkeypatch)
    shard.forget_topics("u")
    shard.advance(1)
    assert len(looks) == 1
    assert len(shard.committed("7")) == 10


def test_a_search_that_finds_nothing_comes_to_its_end() -> None:
    """With more looks than one decision has: each step leaves a deadline that lies in the future."""
    shard = Shard()
    for number in range(LOOKS // 1_000 + 1):
        shard.commit({("t", each): 1 for each in range(1_000)}, group=f"{number}", retention=RETENTION)
    machine, decisions = shard.machine, 0
    shard.advance(CHECK - 1)
    shard.clock.advance(1)
    while (deadline := machine.next_deadline()) is not None and deadline < shard.clock.monotonic_millis() + CHECK:
        shard.clock.advance(max(0, deadline - shard.clock.monotonic_millis()))
        now = shard.clock.now()
        assert machine.decide_expired(now).records == []
        following = machine.next_deadline()
        assert following is not None and following > now.monotonic
        decisions += 1
    assert 1 < decisions < 5


def test_what_happens_between_two_steps_counts() -> None:
    """A commit that comes while its group is being looked through is not forgotten, and keeps the group."""
    shard = Shard(expiry_batch=2)
    shard.commit({("t", partition): 1 for partition in range(4)})
    shard.advance(RETENTION - 1)
    shard.machine._deadlines.set(next(iter(shard.machine._deadlines.names())), shard.clock.monotonic_millis() + 1)
    shard.clock.advance(1)
    shard.carry_out(shard.machine.decide_expired(shard.clock.now()))
    shard.commit({("t", 0): 9, ("t", 3): 7})
    shard.advance(CHECK)
    assert shard.committed() == {("t", 0): 9, ("t", 3): 7}


def test_steps_that_are_not_written_are_taken_again() -> None:
    """The disk is full for a while. Nothing that should go stays for that."""
    shard = Shard(expiry_batch=2)
    shard.commit({("t", partition): 1 for partition in range(6)})
    shard.machine.forget_topics([("t", b"0123456789abcdef")], shard.clock.now())
    for _ in range(2):
        assert shard.machine.decide_expired(shard.clock.now()).records, "and refused"
    shard.advance(1)
    assert shard.committed() == {}


def test_a_topics_past_ids_are_kept_apart() -> None:
    """Of a partition one offset exists, whatever id its topic had; a topic without offsets is forgotten, but not under
    a reader that has begun."""
    old, new = b"old topic's id..", b"new topic's id.."
    shard = Shard()
    shard.commit({("t", 0): 1, ("t", 1): 1}, topic_id=old)
    reader = shard.machine.committed("g")
    shard.commit({("t", 0): 2}, topic_id=new)
    assert shard.committed() == {("t", 0): 2, ("t", 1): 1}
    assert shard.machine.topics() == {("t", old), ("t", new)}
    shard.delete("g")
    shard.advance(CHECK)
    assert shard.machine.topics() == set() and not shard.machine._offsets._topics
    assert {place.partition: found.offset for place, found in reader.items()} == {0: 1, 1: 1}


def test_a_question_about_one_partition_copies_no_others() -> None:
    """One of a group with 90,000 offsets took a copy of all; asked 300 times, half a minute."""
    shard = Shard()
    shard.commit({("t", partition): partition for partition in range(1_000)})
    machine: GroupsMachine = shard.machine
    found = machine.committed("g", [TopicPartition("t", 7), TopicPartition("t", 7_000), TopicPartition("u", 7)])
    assert {place: each.offset for place, each in found.items()} == {TopicPartition("t", 7): 7}
