"""Whatever a client sends, a transaction and all of them together take no more than they may; and ids are forgotten."""

from __future__ import annotations

import tracemalloc
from collections.abc import Collection, Mapping
from typing import Any

from broker.coordinators.machine import Decision, Promise
from broker.coordinators.transactions.machine import (
    PARTITION_BYTES,
    TOPIC_BYTES,
    TRANSACTION_BYTES,
    Initialization,
    Owner,
    TransactionsMachine,
)
from broker.coordinators.transactions.records import TransactionRecord, value_size
from broker.coordinators.transactions.settings import TransactionSettings
from broker.coordinators.transactions.states import count
from kproto.errors import ErrorCode, KafkaError
from storage.seams.clock import VirtualClock

DAY = 24 * 3_600_000


class Shard:
    """A machine whose decisions are carried out at once."""

    def __init__(self, **settings: int) -> None:
        self.clock = VirtualClock()
        self.machine = TransactionsMachine(TransactionSettings(**settings), lambda: 2)

    def carry_out(self, decision: Decision[TransactionRecord]) -> Any:
        """Replay; returns the reply."""
        for record in decision.records:
            self.machine.replay(record)
        self.machine.check()
        return decision.replies[0][1] if decision.replies else None

    def init(self, name: str, number: int = 1) -> Any:
        """InitProducerId of an id that is new."""
        request, now = Initialization(name, 1_000), self.clock.now()
        return self.carry_out(self.machine.decide_init(request, number, now, Promise()))

    def add(self, name: str, partitions: Mapping[str, Collection[int]], number: int = 1) -> Any:
        """Partitions of a transaction whose producer has epoch 0."""
        now = self.clock.now()
        return self.carry_out(self.machine.decide_add(name, Owner(number, 0), partitions, 2, now, Promise()))

    def wait(self, millis: int) -> int:
        """Let time pass; returns how many decisions that took."""
        end, decisions = self.clock.monotonic_millis() + millis, 0
        while (deadline := self.machine.next_deadline()) is not None and deadline <= end:
            self.clock.advance(max(0, deadline - self.clock.monotonic_millis()))
            decision = self.machine.decide_expired(self.clock.now())
            decisions += bool(decision.records)
            self.carry_out(decision)
        self.clock.advance(end - self.clock.monotonic_millis())
        return decisions


def test_a_transaction_has_so_many_partitions_and_bytes_at_most() -> None:
    """X10: what would be more is refused, with the one code that lets the client abort, and nothing changes."""
    shard = Shard(max_partitions=100, max_value=2_000)
    shard.init("t")
    assert shard.add("t", {"a": range(99)}) is ErrorCode.NONE
    assert shard.add("t", {"a": [98, 99, 100]}) is ErrorCode.TRANSACTION_ABORTABLE
    assert shard.add("t", {"a": [99]}) is ErrorCode.NONE
    assert shard.add("t", {"a": range(100)}) is ErrorCode.NONE, "what is there already takes nothing"
    found = shard.machine.get("t")
    assert found is not None and count(found.partitions) == 100
    shard.init("u", 2)
    names = {("n" * 200) + str(number): [0] for number in range(20)}
    assert shard.add("u", names, 2) is ErrorCode.TRANSACTION_ABORTABLE
    assert shard.add("u", dict(list(names.items())[:8]), 2) is ErrorCode.NONE


def test_the_size_of_a_record_is_known_before_it_is_made() -> None:
    """Never less than it takes, and not much more."""
    shard = Shard()
    shard.init("t")
    shard.add("t", {"ä" * 100: range(5), "b": [7]})
    found = shard.machine.get("t")
    assert found is not None
    data = shard.machine.encode(TransactionRecord("t", found), shard.clock.now())
    assert data.value is not None
    assert len(data.value) <= value_size(found.partitions) <= len(data.value) + 80


def test_transactional_ids_share_a_budget() -> None:
    """X14: a new id that has no room is refused with a final code; those that are there go on."""
    shard = Shard(max_state=10 * TRANSACTION_BYTES)
    answers = [shard.init(f"t{number}", number) for number in range(12)]
    refused = [each for each in answers if isinstance(each, KafkaError)]
    assert len(refused) == 3 and {each.code for each in refused} == {ErrorCode.POLICY_VIOLATION}
    assert shard.add("t0", {"a": [0]}, 0) is ErrorCode.NONE
    assert shard.add("t1", {"a": range(100)}, 1) is ErrorCode.TRANSACTION_ABORTABLE


def test_what_is_counted_is_what_is_taken() -> None:
    """Within a quarter, for many ids and for many partitions."""
    tracemalloc.start()
    try:
        shard = Shard(max_state=1 << 30)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1_000):
            shard.machine.replay(_record(shard, f"transactional-id-{number}", number))
        taken = tracemalloc.get_traced_memory()[0] - before
        assert taken <= shard.machine.account.bytes <= 3 * taken
    finally:
        tracemalloc.stop()
    assert PARTITION_BYTES > 0 and TOPIC_BYTES > 0


def _record(shard: Shard, name: str, number: int) -> TransactionRecord:
    request = Initialization(name, 1_000)
    decision = shard.machine.decide_init(request, number, shard.clock.now(), Promise())
    record = decision.records[0]
    return shard.machine.decode(shard.machine.encode(record, shard.clock.now()))


def test_unused_ids_are_forgotten_in_steps() -> None:
    """X15: after transactional.id.expiration.ms; never one whose transaction is under way; so many at once."""
    shard = Shard(id_expiration=DAY, expiration_interval=3_600_000, expiry_batch=200)
    for number in range(1_000):
        shard.init(f"t{number}", number)
    shard.wait(DAY - 3_600_000)
    assert len(shard.machine) == 1_000
    request = Initialization("t7", 800_000)
    shard.carry_out(shard.machine.decide_init(request, None, shard.clock.now(), Promise()))
    assert shard.wait(2 * 3_600_000) == 5
    assert [each.transactional_id for each in shard.machine.listed(None, (), -1, 0)] == ["t7"]


def test_many_transactions_that_are_overdue_are_aborted_in_steps() -> None:
    """So many partitions in one batch, so that it is written and encoded within a turn."""
    shard = Shard(max_partitions=1_000)
    for number in range(10):
        shard.init(f"t{number}", number)
        shard.add(f"t{number}", {"a": range(500)}, number)
    assert shard.wait(1_000) == 5
    assert len(shard.machine.prepared) == 10
