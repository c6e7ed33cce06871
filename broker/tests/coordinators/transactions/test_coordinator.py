"""The coordinator on real runtimes: decisions, markers, completions, and what faults leave of them. In-memory
engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from broker.coordinators.cluster import NewTopic
from broker.coordinators.machine import EndOfTransaction
from broker.coordinators.transactions import Owner
from broker.coordinators.transactions.markers import MarkerWriter
from broker.coordinators.transactions.states import Transaction, TransactionState
from broker.testing.contexts import World, world
from broker.testing.faulty_log import FaultyStore
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.end_txn import EndTxnRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from storage.engine import LogStore, PartitionLog
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.store_settings import ProducerRules, StoreSettings

TIMEOUT = 10_000


def verifying_store() -> MemoryStore:
    """As a broker's: no batch opens a transaction that the coordinator does not know."""
    return MemoryStore(SystemClock(), SeededEntropy(1), settings=StoreSettings(producers=ProducerRules(verify=True)))


class Client:
    """A producer with a transactional id, of version 2 of the protocol unless it says otherwise."""

    def __init__(self, w: World, name: str = "tx") -> None:
        self.w = w
        self.name = name
        self.owner = Owner(-1, -1)
        self.sequences: dict[tuple[str, int], int] = {}

    async def init(self, transaction_timeout: int = TIMEOUT, *, again: bool = True) -> ErrorCode:
        """InitProducerId, until there is nothing to wait for."""
        while True:
            request = InitProducerIdRequest(transactional_id=self.name, transaction_timeout_ms=transaction_timeout)
            answer = await self.w.ask(request, 5)
            if answer.error_code == ErrorCode.CONCURRENT_TRANSACTIONS and again:
                await trio.testing.wait_all_tasks_blocked()
                continue
            if not answer.error_code:
                self.owner = Owner(answer.producer_id, answer.producer_epoch)
                self.sequences.clear()
            return ErrorCode(answer.error_code)

    async def add(self, topic: str, *partitions: int, version: int = 3) -> set[ErrorCode]:
        """AddPartitionsToTxn, as older clients do."""
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.owner.producer_id,
            v3_and_below_producer_epoch=self.owner.producer_epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=topic, partitions=list(partitions))],
        )
        answer = await self.w.ask(request, version)
        return {
            ErrorCode(each.partition_error_code)
            for result in answer.results_by_topic_v3_and_below
            for each in result.results_by_partition
        }

    async def produce(self, value: bytes, topic: str = "t", partition: int = 0) -> ErrorCode:
        """Produce v12: the partition joins by this."""
        sequence = self.sequences.get((topic, partition), 0)
        data = build_batch(
            [RecordData(0, 0, None, value)],
            producer_id=self.owner.producer_id,
            producer_epoch=self.owner.producer_epoch,
            base_sequence=sequence,
            transactional=True,
        )
        part = PartitionProduceData(index=partition, records=data)
        request = ProduceRequest(
            transactional_id=self.name,
            acks=-1,
            timeout_ms=1000,
            topic_data=[TopicProduceData(name=topic, partition_data=[part])],
        )
        answer = await self.w.ask(request, 12)
        code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
        if code is ErrorCode.NONE:
            self.sequences[topic, partition] = sequence + 1
        return code

    async def commit_offset(self, offset: int, *, group: str = "g", topic: str = "t", version: int = 5) -> ErrorCode:
        """TxnOffsetCommit."""
        partition = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        request = TxnOffsetCommitRequest(
            transactional_id=self.name,
            group_id=group,
            producer_id=self.owner.producer_id,
            producer_epoch=self.owner.producer_epoch,
            topics=[TxnOffsetCommitRequestTopic(name=topic, partitions=[partition])],
        )
        answer = await self.w.ask(request, version)
        return ErrorCode(answer.topics[0].partitions[0].error_code)

    async def end(self, commit: bool, *, version: int = 5) -> ErrorCode:
        """EndTxn."""
        owner = self.owner
        request = EndTxnRequest(
            transactional_id=self.name,
            producer_id=owner.producer_id,
            producer_epoch=owner.producer_epoch,
            committed=commit,
        )
        answer = await self.w.ask(request, version)
        if not answer.error_code and version >= 5:
            self.owner = Owner(answer.producer_id, answer.producer_epoch)
            self.sequences.clear()
        return ErrorCode(answer.error_code)

    async def state(self) -> str:
        """As DescribeTransactions shows it."""
        answer = await self.w.ask(DescribeTransactionsRequest(transactional_ids=[self.name]), 0)
        state: str = answer.transaction_states[0].transaction_state
        return state

    async def settled(self) -> str:
        """The same, once the markers are written."""
        while (state := await self.state()).startswith("Prepare"):
            await trio.testing.wait_all_tasks_blocked()
        return state


@asynccontextmanager
async def coordinated(
    store: LogStore | None = None, settings: Mapping[str, str] | None = None, **topics: int
) -> AsyncIterator[World]:
    """A world with both coordinators and their topics, and with a topic `t`."""
    async with world(settings, transactions=True, store=store or verifying_store()) as w:
        for key_type in (0, 1):
            await w.ask(FindCoordinatorRequest(coordinator_keys=["k"], key_type=key_type), 6)
        if "t" not in w.cluster.image.topics:
            await w.cluster.create_topics([NewTopic(name, count) for name, count in {"t": 2, **topics}.items()])
        yield w


def log_of(w: World, topic: str = "t", partition: int = 0) -> PartitionLog:
    """The log of a partition that exists."""
    log = w.services.partitions.log_of(topic, partition)
    assert log is not None
    return log


async def committed(w: World, group: str = "g", *, stable: bool = True) -> list[tuple[int, int]]:
    """Offset and error code of each partition that the group has committed."""
    group_asked = OffsetFetchRequestGroup(group_id=group, topics=None)
    answer = await w.ask(OffsetFetchRequest(groups=[group_asked], require_stable=stable), 8)
    return [(each.committed_offset, each.error_code) for topic in answer.groups[0].topics for each in topic.partitions]


async def test_a_transaction_is_seen_when_it_is_committed() -> None:
    """Not before, in no partition; the epoch rises with each end, so that the next transaction is another one."""
    async with coordinated() as w:
        client = Client(w)
        assert await client.init() is ErrorCode.NONE
        for partition in (0, 1):
            assert await client.produce(b"v", partition=partition) is ErrorCode.NONE
        assert await client.state() == "Ongoing"
        assert [log_of(w, "t", each).last_stable_offset for each in (0, 1)] == [0, 0]
        epoch = client.owner.producer_epoch
        assert await client.end(True) is ErrorCode.NONE
        assert client.owner.producer_epoch == epoch + 1
        assert await client.settled() == "CompleteCommit"
        assert [log_of(w, "t", each).last_stable_offset for each in (0, 1)] == [2, 2]
        assert await client.produce(b"next") is ErrorCode.NONE


async def test_offsets_count_when_the_transaction_commits() -> None:
    """X9: and show as unstable until then; of an aborted transaction they never count."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        for commit, offset, expected in ((True, 5, 5), (False, 9, 5), (True, 7, 7)):
            assert await client.commit_offset(offset) is ErrorCode.NONE
            before = await committed(w)
            assert before in ([], [(-1, ErrorCode.UNSTABLE_OFFSET_COMMIT)])
            assert await client.end(commit) is ErrorCode.NONE
            await client.settled()
            assert await committed(w) == [(expected, 0)]


@pytest.mark.parametrize("version", [3, 4])
async def test_offsets_that_were_not_announced_are_refused(version: int) -> None:
    """Older clients say first which group they commit for; what they did not say has no place in the transaction."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        refused = ErrorCode.INVALID_TXN_STATE if version < 4 else ErrorCode.TRANSACTION_ABORTABLE
        assert await client.commit_offset(5, version=version) is refused
        assert await committed(w) == []


async def test_a_fenced_producer_can_do_nothing() -> None:
    """X3: a client that initializes the id aborts what is open; the owner before can neither append nor add nor commit
    nor decide, however late it comes."""
    async with coordinated() as w:
        zombie, owner = Client(w), Client(w)
        await zombie.init()
        assert await zombie.produce(b"lost") is ErrorCode.NONE
        assert await owner.init(again=False) is ErrorCode.CONCURRENT_TRANSACTIONS
        assert await owner.init() is ErrorCode.NONE
        assert owner.owner.producer_id == zombie.owner.producer_id
        assert await zombie.produce(b"late", partition=1) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await zombie.produce(b"late") is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await zombie.add("t", 1) == {ErrorCode.PRODUCER_FENCED}
        assert await zombie.commit_offset(5) is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await zombie.end(True) is ErrorCode.PRODUCER_FENCED
        assert await owner.produce(b"kept") is ErrorCode.NONE
        assert await zombie.end(True) is ErrorCode.PRODUCER_FENCED
        assert await owner.end(True) is ErrorCode.NONE
        assert await owner.settled() == "CompleteCommit"
        assert log_of(w).last_stable_offset == log_of(w).log_end_offset == 4, "a record and a marker, of each"


async def test_an_open_transaction_is_aborted_when_its_time_is_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """X8: at its deadline, not earlier and not with a later search; its owner is fenced, and readers go on."""
    async with coordinated() as w:
        client = Client(w)
        await client.init(5_000)
        await client.produce(b"v")
        await trio.sleep(4.9)
        assert await client.state() == "Ongoing"
        await trio.sleep(0.2)
        assert await client.settled() == "CompleteAbort"
        assert log_of(w).last_stable_offset == 2
        assert await client.produce(b"late") is ErrorCode.INVALID_PRODUCER_EPOCH
        assert await client.end(True) is ErrorCode.INVALID_TXN_STATE


async def test_a_marker_that_comes_twice_has_no_effect() -> None:
    """X4: neither on the records nor on offsets, whatever it says the second time."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        await client.commit_offset(5)
        await client.end(True)
        await client.settled()
        place = w.services.groups.place_of("g")
        for commit in (True, False):
            end = EndOfTransaction(*client.owner, 0, commit)
            found = await w.services.transactions.write_markers(end, [("t", 0), place])
            assert set(found.values()) == {ErrorCode.NONE}
        log = log_of(w)
        assert log.last_stable_offset == log.log_end_offset == 4
        assert not await log.aborted_transactions(0, 10)
        assert await committed(w) == [(5, 0)]


class Withheld:
    """Markers that are not written until they are released: a broker that dies before that, dies before each of
    them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transactions: list[Transaction] = []
        self._released = trio.Event()
        plainly = MarkerWriter.write

        async def write(writer: MarkerWriter, transaction: Transaction, epoch: int, still: Any) -> None:
            self.transactions.append(transaction)
            await self._released.wait()
            await plainly(writer, transaction, epoch, still)

        monkeypatch.setattr(MarkerWriter, "write", write)

    def release(self) -> None:
        self._released.set()


@pytest.mark.parametrize("commit", [True, False])
async def test_a_decided_transaction_is_completed_by_the_next_start(
    commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X5: a broker that dies between the decision and the first marker leaves nothing behind that the next one does not
    finish, without being asked."""
    store = verifying_store()
    withheld = Withheld(monkeypatch)
    async with coordinated(store) as w:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        await client.commit_offset(5)
        assert await client.end(commit) is ErrorCode.NONE
        await trio.testing.wait_all_tasks_blocked()
        assert await client.state() == ("PrepareCommit" if commit else "PrepareAbort")
        assert len(withheld.transactions) == 1
        assert log_of(w).last_stable_offset == 0
    withheld.release()
    async with coordinated(store) as w:
        assert await Client(w).settled() == ("CompleteCommit" if commit else "CompleteAbort")
        assert log_of(w).last_stable_offset == 2
        assert bool(await log_of(w).aborted_transactions(0, 10)) is not commit
        assert await committed(w) == ([(5, 0)] if commit else [])


async def test_a_shard_that_comes_back_completes_what_it_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """X6: a coordinator that loses its shard stops, and the one that takes it up goes on where the log ends."""
    async with coordinated() as w:
        withheld = Withheld(monkeypatch)
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        await client.end(True)
        await trio.testing.wait_all_tasks_blocked()
        shards = w.services.transactions.shards
        index = shards.index_of("tx")
        shards.give_up(index)
        assert (await client.end(True)) is ErrorCode.NOT_COORDINATOR
        shards.take_up(index)
        withheld.release()
        assert await client.settled() == "CompleteCommit"
        assert log_of(w).last_stable_offset == 2


async def test_the_completion_is_recorded_when_all_markers_are_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """X7: EndTxn is answered with the decision; readers see the markers at once; until they are durable the id is not
    free for the next transaction."""
    released = trio.Event()
    store = verifying_store()
    plain = store.wait_durable

    async def wait_durable(appends: Any) -> None:
        appends = list(appends)
        await released.wait()
        await plain(appends)

    async with coordinated(store) as w:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        monkeypatch.setattr(store, "wait_durable", wait_durable)
        assert await client.end(True) is ErrorCode.NONE
        await trio.testing.wait_all_tasks_blocked()
        assert await client.state() == "PrepareCommit"
        assert log_of(w).last_stable_offset == 2
        assert await client.init(again=False) is ErrorCode.CONCURRENT_TRANSACTIONS
        released.set()
        assert await client.settled() == "CompleteCommit"


async def test_the_next_transaction_waits_for_no_sync_of_the_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions join the next transaction when the completion of the one before is decided: their record stands behind
    it in the same log, and one sync covers both."""
    store = FaultyStore(verifying_store())
    patience = {"add.partitions.to.txn.retry.backoff.max.ms": "60000"}
    async with coordinated(store, patience) as w, trio.open_nursery() as nursery:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        withheld = Withheld(monkeypatch)
        assert await client.end(True) is ErrorCode.NONE
        await trio.testing.wait_all_tasks_blocked()
        shards = w.services.transactions.shards
        spec = next(spec for spec in store.logs if spec[0] == "__transaction_state" and store.logs[spec].appended)
        state_log = store.logs[spec]
        state_log.hold()
        answers: list[ErrorCode] = []

        async def produce() -> None:
            answers.append(await client.produce(b"w"))

        nursery.start_soon(produce)
        await trio.testing.wait_all_tasks_blocked()
        withheld.release()
        await trio.testing.wait_all_tasks_blocked()
        found = [known.state for machine in shards.machines() if (known := machine.described("tx")) is not None]
        assert found == [TransactionState.ONGOING]
        assert not answers, "it is not durable"
        state_log.release()
        await trio.testing.wait_all_tasks_blocked()
        assert answers == [ErrorCode.NONE]
        assert await client.end(True) is ErrorCode.NONE
        assert await client.settled() == "CompleteCommit"


async def test_a_topic_that_is_deleted_holds_up_no_transaction() -> None:
    """X11: neither a topic that is gone nor one that has come again under its name."""
    async with coordinated(u=1, v=1) as w:
        client = Client(w)
        await client.init()
        for topic in ("t", "u", "v"):
            assert await client.produce(b"x", topic) is ErrorCode.NONE
        await w.cluster.delete_topics([w.cluster.image.topics[name].topic_id for name in ("u", "v")])
        await w.cluster.create_topics([NewTopic("v", 1)])
        assert await client.end(True) is ErrorCode.NONE
        assert await client.settled() == "CompleteCommit"
        assert log_of(w).last_stable_offset == 2
        assert log_of(w, "v").last_stable_offset == log_of(w, "v").log_end_offset


async def test_partitions_wait_for_the_transaction_before_a_moment_at_most(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as add.partitions.to.txn.retry.backoff.max.ms says; then the client is to ask again."""
    async with coordinated(settings={"add.partitions.to.txn.retry.backoff.max.ms": "300"}) as w:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        withheld = Withheld(monkeypatch)
        await client.end(True)
        begun = trio.current_time()
        assert await client.add("t", 0) == {ErrorCode.CONCURRENT_TRANSACTIONS}
        assert 0.3 <= trio.current_time() - begun < 0.4
        assert len(withheld.transactions) == 1


@pytest.mark.parametrize("what", ["offsets", "records"])
async def test_a_transaction_behind_another_is_no_late_one(
    what: str, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E16: its first batch comes while the markers of the one before are being written. The marker overtakes the guard
    that was given out for it: the coordinator is asked again, and the batch is part of the next transaction."""
    async with coordinated() as w, trio.open_nursery() as nursery:
        client = Client(w)
        await client.init()
        add = client.produce if what == "records" else client.commit_offset
        value: Any = b"v" if what == "records" else 5
        assert await add(value) is ErrorCode.NONE
        withheld = Withheld(monkeypatch)
        assert await client.end(True) is ErrorCode.NONE

        async def release() -> None:
            await trio.testing.wait_all_tasks_blocked()
            withheld.release()

        nursery.start_soon(release)
        assert await add(value) is ErrorCode.NONE
        assert await client.state() == "Ongoing"
        assert await client.end(True) is ErrorCode.NONE
        assert await client.settled() == "CompleteCommit"


@pytest.mark.parametrize(
    ("markers", "outcome"), [(2, ErrorCode.NONE), (3, ErrorCode.COORDINATOR_NOT_AVAILABLE)], ids=["some", "forever"]
)
@pytest.mark.parametrize("version", [4, 5])
async def test_markers_that_overtake_each_question(
    version: int, markers: int, outcome: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets are asked about again, but not forever; then the client is to ask again, and its transaction goes on."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        group = w.services.groups
        index = group.place_of("g").partition
        asked: list[Sequence[tuple[str, int]]] = []

        async def answer(name: str, owner: int, epoch: int, places: Sequence[tuple[str, int]]) -> dict[Any, ErrorCode]:
            asked.append(places)
            if len(asked) <= markers:
                await group.end_transaction(index, EndOfTransaction(*client.owner, 0, True))
            return dict.fromkeys(places, ErrorCode.NONE)

        question = "add_partitions" if version == 5 else "verify_partitions"
        monkeypatch.setattr(w.services.transactions, question, answer)
        assert await client.commit_offset(5, version=version) is outcome
        assert len(asked) == 3
        asked.clear()
        assert await client.commit_offset(6, version=version) is (ErrorCode.NONE if markers == 2 else outcome)
        assert bool(asked) is (markers == 3), "what is open in the log is not asked about"


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        (1, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (4, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
        (5, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
    ],
)
async def test_offsets_whose_transaction_cannot_be_asked_about(
    version: int, outcome: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator is another broker that does not answer: the client tries again, in the words of a group's
    coordinator. NETWORK_EXCEPTION makes librdkafka abort (Kafka: CoordinatorOperationExceptionHelper)."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()

        async def answer(name: str, owner: int, epoch: int, places: Sequence[tuple[str, int]]) -> dict[Any, ErrorCode]:
            return dict.fromkeys(places, ErrorCode.NETWORK_EXCEPTION)

        for question in ("add_partitions", "verify_partitions"):
            monkeypatch.setattr(w.services.transactions, question, answer)
        assert await client.commit_offset(5, version=version) is outcome


async def test_a_fault_of_ours_costs_a_transaction_time_and_no_more(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker goes on, and so does the transaction, a moment later."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        await client.produce(b"v")
        plainly, faults = MarkerWriter.write, 3

        async def write(writer: MarkerWriter, transaction: Transaction, epoch: int, still: Any) -> None:
            nonlocal faults
            faults -= 1
            assert faults < 0, "a fault of ours"
            await plainly(writer, transaction, epoch, still)

        monkeypatch.setattr(MarkerWriter, "write", write)
        assert await client.end(True) is ErrorCode.NONE
        await trio.sleep(1)
        assert await client.state() == "CompleteCommit"


async def test_a_marker_for_the_coordinators_own_log_disturbs_nothing() -> None:
    """An administrator may ask for one; the shard appends it itself, and goes on."""
    async with coordinated() as w:
        client = Client(w)
        await client.init()
        transactions = w.services.transactions
        end, place = EndOfTransaction(77, 1, 0, False), ("__transaction_state", transactions.shards.index_of("tx"))
        assert await transactions.write_markers(end, [place]) == {place: ErrorCode.NONE}
        assert await client.produce(b"v") is ErrorCode.NONE
        assert await client.end(True) is ErrorCode.NONE
        assert sum(each.losses for each in transactions.statistics().shards.runtimes) == 0
