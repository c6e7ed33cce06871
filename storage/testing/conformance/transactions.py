"""The part of the suite about transactions: how they open and end, what readers may see, markers in several logs.

The rules are `storage/producers.py`'s and `storage/verification.py`'s, with tests of their own; these tests see to it
that an engine asks them at the right moment, in log order, and acts on the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

from kproto.batches.records import ControlRecordType, build_control_batch
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Append, FetchedRecords, LogAppend, PartitionLog, Read, VerificationGuard, WrongEnd
from storage.store_settings import ProducerRules, StoreSettings
from storage.testing.lab import Bench, Lab, refused
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch, batch, content, values, whole_batches


class TransactionConformance(Bench):
    """Transactions: what readers of committed data may see, and what they must leave out."""

    async def test_an_open_transaction_holds_stable_data_back(self) -> None:
        """The last stable offset stays at its first record until the marker, while the high watermark goes on."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, batch(b"plain"))
            await lab.append(log, producer.batch(b"t1", transactional=True))
            await lab.append(log, batch(b"behind"))
            await lab.append(log, producer.batch(b"t2", transactional=True))
            assert (log.last_stable_offset, log.high_watermark) == (1, 4)
            assert values(await lab.read(log, 0, upto=log.last_stable_offset)) == [b"plain"]
            assert await lab.read(log, 2, upto=log.last_stable_offset) == b""
            await lab.append(log, producer.marker(commit=True))
            assert (log.last_stable_offset, log.high_watermark) == (5, 5)
            assert await lab.values(log) == [b"plain", b"t1", b"behind", b"t2"]

    async def test_the_oldest_open_transaction_counts(self) -> None:
        """With several open, stable data ends before the one that began first, whichever ends first."""
        async with self.lab() as lab:
            log, one, two, three = lab.log(), ScriptedProducer(1), ScriptedProducer(2), ScriptedProducer(3)
            for producer in (one, two, three):
                await lab.append(log, producer.batch(b"x", transactional=True))
            for producer, stable in ((two, 0), (one, 2), (three, 6)):
                await lab.append(log, producer.marker(commit=True))
                assert log.last_stable_offset == stable

    async def test_growth_of_stable_data_is_announced(self) -> None:
        """Readers of committed data who wait are woken by the marker, and find the last stable offset moved."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"x", transactional=True))
            seen: list[int] = []
            log.on_advance = lambda: seen.append(log.last_stable_offset)
            await lab.append(log, producer.marker(commit=True))
            assert seen[-1:] == [2]

    async def test_aborted_transactions_are_listed(self) -> None:
        """Those that overlap the span asked for, with producer and first offset; committed ones never."""
        async with self.lab() as lab:
            log = lab.log()
            assert not await log.aborted_transactions(0, 100)
            await self._three_transactions(lab.log())
            # Producer 1 aborted offsets 0 to 3, producer 2 committed 1 to 4, producer 3 aborted 6 to 7.
            for start, upto, found in (
                (0, 8, [(1, 0), (3, 6)]),
                (0, 1, [(1, 0)]),
                (3, 4, [(1, 0)]),
                (4, 6, []),
                (4, 7, [(3, 6)]),
                (7, 8, [(3, 6)]),
                (8, 9, []),
            ):
                assert list(await log.aborted_transactions(start, upto)) == found

    async def test_a_read_lists_what_was_aborted_in_its_records(self) -> None:
        """E19: And nothing that was aborted behind them, however much that is; only readers of committed data ask for
        it."""
        async with self.lab() as lab:
            log, long, short = lab.log(), ScriptedProducer(1), ScriptedProducer(2)
            await lab.append(log, long.batch(b"0", transactional=True))
            for _ in range(20):
                await lab.append(log, short.batch(b"x", transactional=True))
                await lab.append(log, short.marker(commit=False))
            await lab.append(log, long.marker(commit=False))
            for start, max_bytes in product((0, 1, 3, 20, 40, 41), (1, 300, 1 << 20)):
                [found] = await lab.fetch([Read(log, start, max_bytes, log.last_stable_offset, committed=True)])
                assert isinstance(found, FetchedRecords)
                step = whole_batches(content(found))
                end = step[-1][0].next_offset
                whole = sum(header.size for header, _ in step)
                upto = end if whole == len(content(found)) else end + 1  # with the batch that was cut off
                assert list(found.aborted) == list(await log.aborted_transactions(start, upto))
                assert max_bytes > 300 or len(found.aborted) < 5
            [found] = await lab.fetch([Read(log, 0, 1 << 20, log.high_watermark)])
            assert isinstance(found, FetchedRecords) and not found.aborted

    async def test_a_long_transaction_aborted_last(self) -> None:
        """A transaction that began early and ended late is found between shorter ones."""
        async with self.lab() as lab:
            log, long, short = lab.log(), ScriptedProducer(1), ScriptedProducer(2)
            await lab.append(log, long.batch(b"long", transactional=True))
            for _ in range(3):
                await lab.append(log, short.batch(b"short", transactional=True))
                await lab.append(log, short.marker(commit=False))
            await lab.append(log, long.marker(commit=False))
            assert sorted(await log.aborted_transactions(0, 8)) == [(1, 0), (2, 1), (2, 3), (2, 5)]
            assert sorted(await log.aborted_transactions(3, 5)) == [(1, 0), (2, 3)]
            assert sorted(await log.aborted_transactions(7, 8)) == [(1, 0)]

    async def test_markers_are_in_the_log(self) -> None:
        """A marker takes an offset and is read like any batch; it is a control batch."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"x", transactional=True))
            append = await lab.append(log, producer.marker(commit=True))
            assert (append.base_offset, append.last_offset, append.duplicate) == (1, 1, False)
            assert [header.is_control for header, _ in whole_batches(await lab.whole(log))] == [False, True]

    async def test_a_marker_without_a_transaction(self) -> None:
        """A coordinator that repeats itself, or that marks a partition without writes, does no harm."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.marker(commit=False))
            await lab.append(log, producer.marker(commit=False))
            assert log.last_stable_offset == 2
            assert not await log.aborted_transactions(0, 100)
            assert not (await lab.append(log, producer.batch(b"x", transactional=True))).duplicate

    async def test_sequences_go_on_after_a_transaction(self) -> None:
        """A marker of the same epoch does not interrupt them; what came before it is repeated by no client."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            await lab.append(log, producer.marker(commit=True))
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, producer.repeat())
            assert log.last_stable_offset == 2
            await lab.append(log, producer.batch(b"b", transactional=True))
            assert log.last_stable_offset == 2

    async def test_a_marker_of_a_newer_epoch_fences(self) -> None:
        """A coordinator that ends a transaction under a newer epoch shuts the old one out (KIP-890)."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            await lab.append(log, producer.marker(commit=False, epoch=1))
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, producer.batch(b"b", transactional=True))
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, producer.marker(commit=True))
            await lab.append(log, producer.bump().batch(b"c", transactional=True))
            assert log.last_stable_offset == 2

    async def test_an_older_coordinator_is_fenced(self) -> None:
        """Once a coordinator of a newer epoch has written a marker, its predecessor may not."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            await lab.append(log, producer.marker(commit=True, coordinator_epoch=5))
            await lab.append(log, producer.batch(b"b", transactional=True))
            with refused(ErrorCode.TRANSACTION_COORDINATOR_FENCED):
                await lab.append(log, producer.marker(commit=True, coordinator_epoch=4))
            assert (log.last_stable_offset, log.log_end_offset) == (2, 3)
            await lab.append(log, producer.marker(commit=True, coordinator_epoch=5))
            assert log.last_stable_offset == 4

    async def test_no_plain_batch_inside_a_transaction(self) -> None:
        """A producer with an open transaction writes inside it or not at all."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            with refused(ErrorCode.INVALID_TXN_STATE):
                await lab.append(log, producer.batch(b"b"))
            assert log.log_end_offset == 1

    async def test_batches_without_sequence(self) -> None:
        """Coordinators write transactional batches that are not numbered: only their epoch is looked at."""
        async with self.lab() as lab:
            log = lab.log()

            def unnumbered(epoch: int) -> bytes:
                made = batch(b"offset", producer_id=1, producer_epoch=epoch, transactional=True)
                assert made.header.base_sequence == -1
                return bytes(made.data)

            for _ in range(3):
                assert not (await lab.append(log, as_batch(unnumbered(epoch=2)))).duplicate
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, as_batch(unnumbered(epoch=1)))
            assert (log.last_stable_offset, log.log_end_offset) == (0, 3)

    async def test_control_batches_without_a_producer(self) -> None:
        """A control batch without a producer is a batch like any other: it ends nothing."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            control = build_control_batch(ControlRecordType.LEADER_CHANGE, b"\0\0", timestamp=EPOCH_MS)
            assert (await lab.append(log, as_batch(control))).base_offset == 1
            assert log.last_stable_offset == 0
            assert len(await log.producers()) == 1

    async def test_deleting_records_of_transactions(self) -> None:
        """The last stable offset is never before the start of the log; aborted ones before it are not listed."""
        async with self.lab() as lab:
            log = lab.log()
            await self._three_transactions(log)
            pending = ScriptedProducer(4)
            await lab.append(log, pending.batch(b"a", b"b", transactional=True))
            await log.delete_before(6)
            assert log.last_stable_offset == 8
            assert list(await log.aborted_transactions(6, 10)) == [(3, 6)]
            await log.delete_before(9)
            assert log.last_stable_offset == 9
            assert list(await log.aborted_transactions(9, 10)) == []
            await lab.append(log, pending.marker(commit=True))
            assert log.last_stable_offset == 11

    async def test_a_late_marker_is_found_out_by_its_epoch(self) -> None:
        """E17: In version 2 of the protocol every transaction has an epoch: the marker of the last one does not end the
        next (KIP-890, KIP-1228). Of old that could not be distinguished."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            for _ in range(2):  # a coordinator that repeats itself
                await lab.append(log, producer.marker(commit=True, epoch=1), transaction_version=2)
            await lab.append(log, producer.bump().batch(b"b", transactional=True))
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, producer.marker(commit=True), transaction_version=2)
            assert log.last_stable_offset == 3
            await lab.append(log, producer.marker(commit=False, epoch=2), transaction_version=2)
            assert log.last_stable_offset == log.high_watermark == 5
            assert list(await log.aborted_transactions(0, 5)) == [(1, 3)]

    async def test_one_append_with_marker(self) -> None:
        """Records and the marker that ends their transaction may be appended in one piece."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            append = await lab.append(
                log, producer.batch(b"a", b"b", transactional=True), producer.marker(commit=False)
            )
            assert (append.base_offset, append.last_offset) == (0, 2)
            assert log.last_stable_offset == 3
            assert list(await log.aborted_transactions(0, 3)) == [(1, 0)]

    async def test_one_transaction_begins_beside_the_end_of_another(self) -> None:
        """In one append too: stable data ends where the new one began, and both are listed when both are aborted."""
        async with self.lab() as lab:
            log, one, two = lab.log(), ScriptedProducer(1), ScriptedProducer(2)
            await lab.append(log, one.batch(b"0", transactional=True))
            await lab.append(log, two.batch(b"1", transactional=True), one.marker(commit=False))
            assert (log.last_stable_offset, log.high_watermark) == (1, 3)
            await lab.append(log, two.marker(commit=False))
            assert log.last_stable_offset == 4
            assert list(await log.aborted_transactions(0, 2)) == [(1, 0), (2, 1)]

    @staticmethod
    async def _three_transactions(log: PartitionLog) -> None:
        one, two, three = ScriptedProducer(1), ScriptedProducer(2), ScriptedProducer(3)
        for step in (
            one.batch(b"0", transactional=True),
            two.batch(b"1", transactional=True),
            batch(b"2"),
            one.marker(commit=False),
            two.marker(commit=True),
            batch(b"5"),
            three.batch(b"6", transactional=True),
            three.marker(commit=False),
        ):
            await log.begin_append([step]).wait_durable()


class VerificationConformance(Bench):
    """No transaction opens in a log that its coordinator does not know of, if the store's settings ask for that."""

    @asynccontextmanager
    async def verifying(self) -> AsyncIterator[Lab]:
        """A lab whose store verifies transactions."""
        async with self.lab() as lab:
            lab.store.configure(StoreSettings(producers=ProducerRules(verify=True)))
            yield lab

    async def test_a_transaction_opens_with_a_guard(self) -> None:
        """Without one it does not, with one it does, and what follows in it needs none."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            first = producer.batch(b"a", transactional=True)
            with refused(ErrorCode.INVALID_TXN_STATE):
                await lab.append(log, first)
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            assert guard is not None
            for wrong in (None, VerificationGuard()):
                with refused(ErrorCode.INVALID_TXN_STATE):
                    await lab.append(log, first, guard=wrong)
            await lab.append(log, first, guard=guard)
            assert log.start_verification(1, 0, 1, epoch_bump=False) is None
            await lab.append(log, producer.batch(b"b", transactional=True))
            assert await lab.values(log) == [b"a", b"b"]
            assert (await lab.append(log, producer.repeat(back=1))).duplicate

    async def test_a_guard_does_not_outlive_a_marker(self) -> None:
        """E16: The transaction was aborted between the coordinator's yes and the append: the batch would open another,
        which no coordinator would ever end."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            await lab.append(log, producer.marker(commit=False))
            late = producer.batch(b"late", transactional=True)
            with refused(ErrorCode.INVALID_TXN_STATE):
                await lab.append(log, late, guard=guard)
            again = log.start_verification(1, 0, 0, epoch_bump=False)
            assert again is not None and again is not guard
            await lab.append(log, late, guard=again)

    async def test_a_guard_opens_one_transaction(self) -> None:
        """It is used up by the first batch; the next transaction of the same epoch needs another."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            await lab.append(log, producer.batch(b"a", transactional=True), guard=guard)
            await lab.append(log, producer.marker(commit=True))
            with refused(ErrorCode.INVALID_TXN_STATE):
                await lab.append(log, producer.batch(b"b", transactional=True), guard=guard)
            with refused(ErrorCode.INVALID_TXN_STATE):  # what an ended transaction had is repeated by no client
                await lab.append(log, producer.repeat(back=1))

    async def test_a_batch_is_no_repetition_of_one_in_a_transaction_that_has_ended(self) -> None:
        """Else a client that uses its numbers again would be told that the new one is stored, which is never read."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            await lab.append(log, producer.batch(b"a", transactional=True), guard=guard)
            assert (await lab.append(log, producer.repeat())).duplicate, "inside of it one is"
            await lab.append(log, producer.marker(commit=False))
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, producer.batch(b"b", sequence=0, transactional=True), guard=guard)

    async def test_an_old_epoch_is_not_verified(self) -> None:
        """It is refused with the code that lets a client begin again, not with the one that stops it."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1, epoch=1)
            await lab.append(log, producer.marker(commit=True))
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                log.start_verification(1, 0, 0, epoch_bump=True)
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, ScriptedProducer(1).batch(b"a", transactional=True))

    async def test_an_open_transaction_of_an_older_epoch_verifies_nothing(self) -> None:
        """A newer epoch's transaction is another one, of which the coordinator has to know too."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            guard = log.start_verification(1, 0, 0, epoch_bump=False)
            await lab.append(log, producer.batch(b"a", transactional=True), guard=guard)
            assert log.start_verification(1, 1, 0, epoch_bump=False) is not None
            with refused(ErrorCode.INVALID_TXN_STATE):
                await lab.append(log, producer.bump().batch(b"b", transactional=True))

    async def test_the_lowest_sequence_goes_first(self) -> None:
        """Of batches that are verified at the same time the first has to be appended first: an unknown producer could
        begin anywhere."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1, sequence=5)
            first, second = (producer.batch(value, transactional=True) for value in (b"first", b"second"))
            guard = log.start_verification(1, 0, 6, epoch_bump=False)
            assert log.start_verification(1, 0, 5, epoch_bump=False) is guard
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, second, guard=guard)
            await lab.append(log, first, guard=guard)
            await lab.append(log, second)

    async def test_an_epoch_of_ones_own_begins_at_zero(self) -> None:
        """A producer that bumps its epoch with each transaction begins with sequence 0 where it is not known."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1, epoch=3)
            later = ScriptedProducer(1, epoch=3, sequence=1).batch(b"lost its first", transactional=True)
            guard = log.start_verification(1, 3, 1, epoch_bump=True)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, later, guard=guard)
            guard = log.start_verification(1, 3, 0, epoch_bump=True)
            await lab.append(log, producer.batch(b"a", transactional=True), guard=guard)

    async def test_plain_batches_and_markers_need_no_guard(self) -> None:
        """Only a batch that opens a transaction does."""
        async with self.verifying() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a"))
            await lab.append(log, producer.marker(commit=True))
            await lab.append(log, batch(b"b"))


class SeveralLogsConformance(Bench):
    """What is appended to several logs for one decision."""

    async def test_markers_in_many_logs(self) -> None:
        """E18: Each log gets its own; one that is refused harms no other, and all that were taken become durable."""
        async with self.lab() as lab:
            producer = ScriptedProducer(1)
            logs = [lab.log(partition=number) for number in range(4)]
            for log in logs:
                await lab.append(log, as_batch(producer.batch(b"x", sequence=0, transactional=True).data))
            await lab.append(logs[2], producer.marker(commit=True, coordinator_epoch=7))
            await lab.store.delete_logs([logs[3].spec])
            decision = lab.log("decisions").begin_append([batch(b"commit")])
            markers = [LogAppend(log, (producer.marker(commit=True, coordinator_epoch=6),)) for log in logs]
            results = await lab.store.append_all(markers, after=decision)
            assert decision.durable or lab.store.commits_together
            outcomes = [await _outcome(result) for result in results]
            assert outcomes == [
                1, 1, ErrorCode.TRANSACTION_COORDINATOR_FENCED, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            ]  # fmt: skip
            assert [log.last_stable_offset for log in logs[:3]] == [2, 2, 2]
            appends = [result for result in results[:2] if not isinstance(result, KafkaError | WrongEnd)]
            await lab.store.wait_durable([decision, *appends])
            assert decision.durable and all(append.durable for append in appends)

    async def test_markers_do_not_outlive_their_decision(self) -> None:
        """E18: A decision that is refused, because another coordinator has written one, takes its markers with it."""
        async with self.lab() as lab:
            producer, log, decisions = ScriptedProducer(1), lab.log(), lab.log("decisions")
            await lab.append(log, producer.batch(b"x", transactional=True))
            await lab.append(decisions, batch(b"of another"))
            try:
                decision = decisions.begin_append([batch(b"commit")], expected_end=0)
                results = await lab.store.append_all([LogAppend(log, (producer.marker(commit=True),))], after=decision)
            except (KafkaError, WrongEnd):
                results = []
            for result in results:
                assert isinstance(await _outcome(result), ErrorCode)
            assert (log.log_end_offset, log.last_stable_offset) == (1, 0)
            assert await lab.values(decisions) == [b"of another"]

    async def test_conditions_hold_in_each_log(self) -> None:
        """`expected_end` and the version of the marker are those of each log's share."""
        async with self.lab() as lab:
            left, right, producer = lab.log("left"), lab.log("right"), ScriptedProducer(1)
            for log in (left, right):
                await lab.append(log, as_batch(producer.batch(b"x", sequence=0, transactional=True).data))
            results = await lab.store.append_all(
                [
                    LogAppend(left, (producer.marker(commit=True),), expected_end=5),
                    LogAppend(right, (producer.marker(commit=True),), transaction_version=2),
                ]
            )
            assert [await _outcome(result) for result in results] == [(5, 1), ErrorCode.INVALID_PRODUCER_EPOCH]

    async def test_waiting_for_nothing(self) -> None:
        """No appends, and such as are durable, are waited for at once."""
        async with self.lab() as lab:
            done = await lab.append(lab.log(), batch(b"a"))
            await lab.store.wait_durable([])
            await lab.store.wait_durable([done, done])


async def _outcome(result: Append | KafkaError | WrongEnd) -> int | ErrorCode | tuple[int, int]:
    """What has become of a log's share of an append to several: its offset, or why there is none."""
    try:
        if isinstance(result, KafkaError | WrongEnd):
            raise result
        await result.wait_durable()
    except KafkaError as error:
        return error.code
    except WrongEnd as error:
        return error.expected, error.actual
    return result.base_offset
