"""A coordinator of transactions under test: machine, log, the logs of partitions, and crashes at every step.

Each decision goes the way it goes in a broker: encoded, kept, decoded, replayed, and answered when it is durable. Here
a test says when that is (`sync`), and may lose what is not: by a crash of the broker, by a loss of the shard, which
costs the answers that are under way, or by an append that is refused. Markers are written in steps too, so that a crash
may come between any two of them.

Beside the machine stands a *naive* coordinator: it knows only what it has answered and what the logs of partitions must
hold for it, and says after every step whether that is so (`Model.check`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.coordinators.machine import Decision, Promise
from broker.coordinators.transactions.machine import Initialization, Owner, TransactionsMachine
from broker.coordinators.transactions.records import TransactionRecord
from broker.coordinators.transactions.settings import TransactionSettings
from broker.coordinators.transactions.states import VERSION_2, Transaction, TransactionState
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, KafkaError
from storage.seams.clock import VirtualClock

TIMEOUT = 10_000
SETTINGS = TransactionSettings(max_timeout=TIMEOUT, id_expiration=1_000_000, expiration_interval=100_000)
PARTITIONS = [("a", 0), ("a", 1), ("b", 0)]
AGAIN = {ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.NOT_COORDINATOR}
LOST: Any = object()
"""What a client hears when its connection, or the shard, is gone: nothing."""


@dataclass
class Written:
    """A batch or a marker in the log of a partition."""

    owner: Owner
    value: str | bool
    """What was produced, or of a marker whether it commits."""

    @property
    def is_marker(self) -> bool:
        return isinstance(self.value, bool)


@dataclass
class PartitionUnderTest:
    """The log of one partition, as far as transactions are concerned: what `storage/producers.py` promises."""

    log: list[Written] = field(default_factory=list)
    epochs: dict[int, int] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)
    """By producer id the position at which its transaction has begun."""
    committed: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)

    def produce(self, owner: Owner, value: str) -> bool:
        """Append a batch whose transaction was verified; False if its epoch is old."""
        if owner.producer_epoch < self.epochs.get(owner.producer_id, -1):
            return False
        self.epochs[owner.producer_id] = owner.producer_epoch
        self.open.setdefault(owner.producer_id, len(self.log))
        self.log.append(Written(owner, value))
        return True

    def end(self, owner: Owner, commit: bool) -> None:
        """Append a marker. One that comes again ends nothing."""
        if owner.producer_epoch < self.epochs.get(owner.producer_id, -1):
            return
        self.epochs[owner.producer_id] = owner.producer_epoch
        start = self.open.pop(owner.producer_id, None)
        if start is not None:
            ended = [
                str(each.value)
                for each in self.log[start:]
                if each.owner.producer_id == owner.producer_id and not each.is_marker
            ]
            (self.committed if commit else self.aborted).extend(ended)
        self.log.append(Written(owner, commit))


class Coordinator:
    """A shard, its partitions, and the broker around them."""

    def __init__(self, level: int = VERSION_2) -> None:
        self.level = level
        self.clock = VirtualClock()
        self.log: list[RecordData] = []
        self.decoded: list[TransactionRecord] = []  # the same
        self.durable = 0
        self.next_id = 1000
        self.partitions = {place: PartitionUnderTest() for place in PARTITIONS}
        self.waiting: list[tuple[int, Promise[Any], Any]] = []
        self.answers: dict[Promise[Any], Any] = {}
        self.refusing = False
        self.losses = 0
        self.machine = self._loaded()

    def _loaded(self) -> TransactionsMachine:
        machine = TransactionsMachine(SETTINGS, lambda: self.level)
        for data in self.log:
            machine.replay(machine.decode(data))
        for _ in machine.loaded(self.clock.now()):
            pass
        machine.check()
        return machine

    # --- the runtime's part

    def decide(
        self, decide: Callable[[TransactionsMachine, Promise[Any]], Decision[TransactionRecord]]
    ) -> Promise[Any]:
        """Take a decision; its answer comes with `sync`."""
        promise: Promise[Any] = Promise()
        decision = decide(self.machine, promise)
        self.carry_out(decision)
        return promise

    def carry_out(self, decision: Decision[TransactionRecord]) -> bool:
        """Append and replay; False if the append is refused, which leaves everything as it was."""
        if decision.records and self.refusing:
            for promise, _ in decision.replies:
                self.answers[promise] = KafkaError(ErrorCode.NOT_COORDINATOR)
            assert not decision.volatile
            self.machine.check()
            return False
        for record in decision.records:
            data = self.machine.encode(record, self.clock.now())
            self.log.append(data)
            decoded = self.machine.decode(data)
            self.decoded.append(decoded)
            before = self.machine.get(record.transactional_id)
            self.machine.replay(record)
            assert_says_the_same(decoded, record, self.level)
            assert_is_a_step(before, record.transaction)
        for promise, reply in decision.replies:
            self.waiting.append((len(self.log), promise, reply))
        self.machine.check()
        return True

    def sync(self, upto: int | None = None) -> None:
        """What was appended is durable, at least up to `upto`: the answers leave."""
        self.durable = max(self.durable, len(self.log) if upto is None else upto)
        for entry in [entry for entry in self.waiting if entry[0] <= self.durable]:
            self.waiting.remove(entry)
            self.answers[entry[1]] = entry[2]

    def lose(self, *, power: bool, cut: int = 0) -> None:
        """The shard or the broker is lost, and loaded again. With `power`, `cut` records that were not durable are
        too."""
        self.losses += 1
        for _, promise, _ in self.waiting:
            self.answers[promise] = LOST
        self.waiting.clear()
        if power:
            keep = max(self.durable, len(self.log) - cut)
            del self.log[keep:], self.decoded[keep:]
        self.machine = self._loaded()
        self.durable = len(self.log) if not power else self.durable

    def wait(self, millis: int) -> None:
        """Let time pass; the machine is asked at its deadlines."""
        end = self.clock.monotonic_millis() + millis
        while (deadline := self.machine.next_deadline()) is not None and deadline <= end:
            self.clock.advance(max(0, deadline - self.clock.monotonic_millis()))
            if not self.carry_out(self.machine.decide_expired(self.clock.now())):
                after = self.machine.next_deadline()
                assert after is None or after > self.clock.monotonic_millis(), "refused, and asked again at once"
        self.clock.advance(max(0, end - self.clock.monotonic_millis()))

    # --- the completion, step by step

    def owed(self) -> list[Transaction]:
        """Transactions whose decision is durable, and whose markers are owed."""
        durable = dict(self.decoded[: self.durable])  # the last record of each id counts
        found = []
        for name in self.machine.prepared:
            each = self.machine.get(name)
            assert each is not None
            written = durable.get(name)
            if written is not None and written.is_prepared and written.producer_epoch == each.producer_epoch:
                found.append(each)
        return found

    def write_marker(self, transaction: Transaction, place: tuple[str, int]) -> None:
        """One of the markers that a transaction owes."""
        owner = Owner(transaction.producer_id, transaction.producer_epoch)
        self.partitions[place].end(owner, transaction.commits)

    def complete(self, transaction: Transaction) -> None:
        """All markers have been written: record it."""
        owner = Owner(transaction.producer_id, transaction.producer_epoch)
        now = self.clock.now()
        self.decide(lambda machine, promise: machine.decide_complete(transaction.transactional_id, owner, now, promise))

    # --- requests

    def init(self, name: str, expected: Owner | None = None) -> Promise[Any]:
        """InitProducerId."""
        return self._with_id(
            lambda fresh: (
                lambda machine, promise: machine.decide_init(
                    Initialization(name, TIMEOUT, expected), fresh, self.clock.now(), promise
                )
            )
        )

    def end(self, name: str, owner: Owner, commit: bool, version: int) -> Promise[Any]:
        """EndTxn."""
        return self._with_id(
            lambda fresh: (
                lambda machine, promise: machine.decide_end(
                    name, owner, commit, version, fresh, self.clock.now(), promise
                )
            )
        )

    def add(self, name: str, owner: Owner, place: tuple[str, int], version: int) -> Promise[Any]:
        """AddPartitionsToTxn, or what Produce adds."""
        return self.decide(
            lambda machine, promise: machine.decide_add(
                name, owner, {place[0]: [place[1]]}, version, self.clock.now(), promise
            )
        )

    def _with_id(
        self, ask: Callable[[int | None], Callable[[TransactionsMachine, Promise[Any]], Decision[TransactionRecord]]]
    ) -> Promise[Any]:
        promise: Promise[Any] = Promise()
        decision = ask(None)(self.machine, promise)
        if any(each is promise and reply is None for each, reply in decision.replies):
            self.next_id += 1
            decision = ask(self.next_id)(self.machine, promise)
        self.carry_out(decision)
        return promise


def assert_says_the_same(decoded: TransactionRecord, record: TransactionRecord, level: int) -> None:
    """A record says the same after a trip through the log, but for what has no place there."""
    without = {"last_producer_epoch"} if level else {"last_producer_epoch", "previous_producer_id"}
    one, other = decoded.transaction, record.transaction
    assert decoded.transactional_id == record.transactional_id and (one is None) == (other is None)
    if one is not None and other is not None:
        names = [name for name in Transaction.__slots__ if name not in without]
        assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


def assert_is_a_step(before: Transaction | None, after: Transaction | None) -> None:
    """Epochs only rise, but for a new producer id, and nothing is undecided."""
    if before is None or after is None:
        assert before is None or after is not None or before.state not in (TransactionState.ONGOING,)
        return
    if before.producer_id == after.producer_id:
        assert after.producer_epoch >= before.producer_epoch
    else:
        assert after.producer_id > before.producer_id and after.producer_epoch == 0
    if before.state is TransactionState.PREPARE_COMMIT:
        assert after.state is TransactionState.COMPLETE_COMMIT
    if before.state is TransactionState.PREPARE_ABORT:
        assert after.state is TransactionState.COMPLETE_ABORT


@dataclass
class Producer:
    """A client that owns an id, or believes so."""

    name: str
    version: int
    owner: Owner | None = None
    added: set[tuple[str, int]] = field(default_factory=set)
    values: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What it has produced in the open transaction, and where."""
    deciding: bool | None = None
    """How it ends its transaction: once it has said so, it says the same until it is answered."""
    pending: tuple[str, Promise[Any], Any] | None = None
    """The request that it waits for: kind, promise and what it was about."""


class Model:
    """The naive coordinator, and a random walk of producers, crashes and time."""

    def __init__(self, seed: int, steps: int) -> None:
        self.random = random.Random(seed)  # a walk that can be repeated
        self.steps = steps
        self.level = self.random.choice([0, VERSION_2, VERSION_2])
        self.coordinator = Coordinator(self.level)
        names = ["x", "y"]
        self.producers = [
            Producer(self.random.choice(names), self.random.choice([0, self.level]))
            for _ in range(self.random.choice([2, 3]))
        ]
        self.number = 0
        self.must: dict[str, bool] = {}
        """Values whose transaction was answered as committed (True) or aborted (False)."""
        self.places: dict[str, tuple[str, int]] = {}

    def run(self) -> None:
        for _ in range(self.steps):
            self.step()
            self.check()
        self.settle()

    def step(self) -> None:
        chance = self.random.random()
        coordinator = self.coordinator
        if coordinator.refusing and self.random.random() < 0.2:
            coordinator.refusing = False
        if chance < 0.75:
            self.act(self.random.choice(self.producers))
        elif chance < 0.80:
            coordinator.sync(self.random.choice([None, coordinator.durable + 1]))
        elif chance < 0.90:
            self.mark()
        elif chance < 0.93:
            coordinator.wait(self.random.choice([1, 100, TIMEOUT - 1, TIMEOUT, 3 * TIMEOUT]))
        elif chance < 0.95:
            coordinator.refusing = True
        elif chance < 0.975:
            coordinator.lose(power=False)
        else:
            coordinator.lose(power=True, cut=self.random.choice([0, 1, 100]))

    def mark(self) -> None:
        """Write some of the markers that are owed, in any order, some of them again; sometimes all, and record it."""
        for transaction in self.coordinator.owed():
            places = [(topic, number) for topic, numbers in transaction.partitions.items() for number in numbers]
            self.random.shuffle(places)
            part = places if self.random.random() < 0.6 else places[: self.random.randrange(len(places) + 1)]
            for place in part:
                self.coordinator.write_marker(transaction, place)
            if len(part) == len(places):
                self.coordinator.complete(transaction)

    def act(self, producer: Producer) -> None:
        if producer.pending is not None:
            kind, promise, about = producer.pending
            if promise not in self.coordinator.answers and self.random.random() < 0.7:
                self.coordinator.sync()
            if promise not in self.coordinator.answers:
                if self.random.random() < 0.1:
                    producer.pending = None  # its connection breaks
                return
            producer.pending = None
            self.answered(producer, kind, about, self.coordinator.answers.pop(promise))
            return
        choice = self.random.random()
        if producer.deciding is not None and choice < 0.1:
            # It forgets its decision, as no client should: nothing is promised then of what it has produced.
            producer.deciding, producer.values, choice = None, {}, self.random.random()
        if producer.deciding is not None:
            self.end(producer, producer.deciding)
        elif producer.owner is None or choice < 0.05:
            expected = producer.owner if self.random.random() < 0.5 else None
            producer.pending = "init", self.coordinator.init(producer.name, expected), None
        elif choice < 0.45:
            place = self.random.choice(PARTITIONS)
            added = self.coordinator.add(producer.name, producer.owner, place, producer.version)
            producer.pending = "add", added, place
        elif choice < 0.8 and producer.added:
            self.produce(producer)
        else:
            self.end(producer, self.random.random() < 0.6)

    def end(self, producer: Producer, commit: bool) -> None:
        """EndTxn, perhaps again."""
        assert producer.owner is not None
        producer.deciding = commit
        ended = self.coordinator.end(producer.name, producer.owner, commit, producer.version)
        producer.pending = "end", ended, (commit, dict(producer.values))

    def produce(self, producer: Producer) -> None:
        """A batch: its partition is verified, and it is appended in the same moment, as the guard of the log sees
        to."""
        assert producer.owner is not None
        place = self.random.choice(sorted(producer.added))
        self.number += 1
        value = f"v{self.number}"
        verified = self.coordinator.machine.verify(producer.name, producer.owner, [place])[place]
        if verified is ErrorCode.NONE and self.coordinator.partitions[place].produce(producer.owner, value):
            producer.values[value] = place
            self.places[value] = place

    def answered(self, producer: Producer, kind: str, about: Any, answer: Any) -> None:
        """A client hears of its request."""
        if answer is LOST or (isinstance(answer, KafkaError) and answer.code in AGAIN):
            return
        if isinstance(answer, KafkaError) or (kind == "add" and answer is not ErrorCode.NONE):
            if kind != "add" or answer not in AGAIN:
                producer.owner, producer.added, producer.values, producer.deciding = None, set(), {}, None
        elif kind == "init":
            producer.owner, producer.added, producer.values, producer.deciding = answer, set(), {}, None
        elif kind == "add":
            producer.added.add(about)
        else:
            commit, values = about
            for value in values:
                self.must[value] = commit
            producer.added, producer.values, producer.deciding = set(), {}, None
            if producer.version >= VERSION_2:
                producer.owner = answer

    def check(self) -> None:
        """What was answered holds, whatever has happened since."""
        for place, partition in self.coordinator.partitions.items():
            both = set(partition.committed) & set(partition.aborted)
            assert not both, f"{both} of {place} counts and does not"
            assert len(set(partition.committed)) == len(partition.committed), "nothing counts twice"
        for value, commit in self.must.items():
            partition = self.coordinator.partitions[self.places[value]]
            wrong = partition.aborted if commit else partition.committed
            assert value not in wrong, f"{value} was answered as {'committed' if commit else 'aborted'}"

    def settle(self) -> None:
        """No more faults: all transactions end, no partition is left with an open one, and what was answered is so."""
        coordinator = self.coordinator
        coordinator.refusing = False
        coordinator.wait(3 * TIMEOUT)
        for _ in range(3):
            coordinator.sync()
            for transaction in coordinator.owed():
                for topic, numbers in transaction.partitions.items():
                    for number in numbers:
                        coordinator.write_marker(transaction, (topic, number))
                coordinator.complete(transaction)
        coordinator.sync()
        self.check()
        assert not coordinator.machine.prepared
        for place, partition in coordinator.partitions.items():
            assert not partition.open, f"a transaction hangs in {place}"
        for value, commit in self.must.items():
            partition = coordinator.partitions[self.places[value]]
            assert value in (partition.committed if commit else partition.aborted)
        replayed = coordinator._loaded()
        assert replayed._transactions.keys() == coordinator.machine._transactions.keys()
