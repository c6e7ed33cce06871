"""The part of the suite about producers: what every engine does with sequences, epochs and transactions.

The rules are `storage/producers.py`'s, and its own tests try them one by one; these tests see to it that an engine asks
them at the right moment, in log order, and acts on the answer.
"""

from __future__ import annotations

from kproto.batches.records import ControlRecordType, build_control_batch
from kproto.errors import ErrorCode
from storage.engine import PartitionLog
from storage.testing.lab import Bench, refused
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, as_batch, batch, values, whole_batches

MAX_SEQUENCE = 2**31 - 1


class ProducerConformance(Bench):
    """Idempotent producers: nothing twice, nothing missing, no producer from the past."""

    async def test_a_repetition_gets_the_offset_of_the_original(self) -> None:
        """A batch sent again is answered as the first time, and not written again."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, batch(b"other"))
            await lab.append(log, producer.batch(b"a", b"b"))
            await lab.append(log, batch(b"other"))
            append = await lab.append(log, producer.repeat())
            assert (append.duplicate, append.base_offset, append.last_offset) == (True, 1, 2)
            assert await lab.values(log) == [b"other", b"a", b"b", b"other"]

    async def test_five_batches_are_remembered(self) -> None:
        """As many as a producer may have in flight; what is older is refused as out of order."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            for number in range(6):
                await lab.append(log, producer.batch(str(number).encode()))
            for back in range(5):
                append = await lab.append(log, producer.repeat(back))
                assert (append.duplicate, append.base_offset) == (True, 5 - back)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([producer.repeat(back=5)])
            assert log.log_end_offset == 6

    async def test_a_repetition_in_flight(self) -> None:
        """A batch sent again before the first one is durable is a duplicate too, and waits as long."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            first = log.begin_append([producer.batch(b"a")])
            again = log.begin_append([producer.repeat()])
            assert (again.duplicate, again.base_offset) == (True, 0)
            await again.wait_durable()
            await first.wait_durable()
            assert await lab.values(log) == [b"a"]

    async def test_a_gap_is_refused(self) -> None:
        """A missing batch is not papered over; when it comes, all is well."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"0"))
            missing, following = producer.batch(b"1"), producer.batch(b"2")
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([following])
            await lab.append(log, missing)
            await lab.append(log, producer.repeat())
            assert await lab.values(log) == [b"0", b"1", b"2"]

    async def test_sequences_wrap(self) -> None:
        """After 2^31 - 1 comes 0, also inside a batch; repetitions are recognised across."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7, sequence=MAX_SEQUENCE - 2)
            await lab.append(log, producer.batch(b"a", b"b"))
            await lab.append(log, producer.batch(b"c", b"d"))
            await lab.append(log, producer.batch(b"e"))
            assert producer.sequence == 2
            for back, offset in ((0, 4), (1, 2), (2, 0)):
                assert (await lab.append(log, producer.repeat(back))).base_offset == offset
            assert log.log_end_offset == 5

    async def test_an_unknown_producer_may_begin_anywhere(self) -> None:
        """Its older records may have been removed with all memory of it (KIP-360)."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, ScriptedProducer(7, epoch=3, sequence=1234).batch(b"a"))
            assert await lab.values(log) == [b"a"]

    async def test_an_older_epoch_is_fenced(self) -> None:
        """Once a newer epoch has written, the older one may not, whatever its sequence."""
        async with self.lab() as lab:
            log, old, new = lab.log(), ScriptedProducer(7), ScriptedProducer(7, epoch=1)
            await lab.append(log, old.batch(b"old"))
            await lab.append(log, new.batch(b"new"))
            for zombie in (old.batch(b"next"), old.repeat(back=1)):
                with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                    log.begin_append([zombie])
            assert await lab.values(log) == [b"old", b"new"]

    async def test_a_new_epoch_begins_at_zero(self) -> None:
        """A new epoch that does not start with sequence 0 has lost something."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"0"))
            producer.bump()
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([producer.batch(b"x", sequence=1)])
            assert not (await lab.append(log, producer.batch(b"1", sequence=0))).duplicate

    async def test_producers_do_not_disturb_each_other(self) -> None:
        """Sequences are counted per producer and per log."""
        async with self.lab() as lab:
            left, right, one, two = lab.log("left"), lab.log("right"), ScriptedProducer(1), ScriptedProducer(2)
            for _ in range(3):
                await lab.append(left, one.batch(b"1"))
                await lab.append(left, two.batch(b"2"))
            elsewhere = ScriptedProducer(1)
            assert not (await lab.append(right, elsewhere.batch(b"1"))).duplicate
            assert await lab.values(left) == [b"1", b"2"] * 3

    async def test_several_batches_of_one_producer_in_one_append(self) -> None:
        """Each is judged as if those before it were in; sent again together, they get their old offsets."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"0"), producer.batch(b"1", b"2"), producer.batch(b"3"))
            append = await lab.append(log, *(producer.repeat(back) for back in (2, 1, 0)))
            assert (append.duplicate, append.base_offset, append.last_offset) == (True, 0, 3)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([producer.batch(b"4"), producer.batch(b"a gap", sequence=6)])
            assert await lab.values(log) == [b"0", b"1", b"2", b"3"]
            assert not (await lab.append(log, producer.repeat(back=1))).duplicate

    async def test_deleting_records_keeps_their_producers(self) -> None:
        """A producer may repeat, and must go on in sequence, though its records are gone (KIP-360)."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"a"))
            await log.delete_before(1)
            assert (await lab.append(log, producer.repeat())).duplicate
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                log.begin_append([producer.batch(b"a gap", sequence=5)])

    async def test_producers_are_shown(self) -> None:
        """DescribeProducers has id, epoch, last sequence, last timestamp, coordinator epoch, open transaction."""
        async with self.lab() as lab:
            log, plain, transactional = lab.log(), ScriptedProducer(1, epoch=2), ScriptedProducer(2)
            await lab.append(log, batch(b"no producer's"))
            await lab.append(log, plain.batch(b"a", b"b"))
            await lab.append(log, transactional.batch(b"c", transactional=True))
            assert sorted(log.producers()) == [(1, 2, 1, EPOCH_MS, -1, -1), (2, 0, 0, EPOCH_MS, -1, 3)]
            await lab.append(log, transactional.marker(commit=True, coordinator_epoch=4))
            assert sorted(log.producers()) == [(1, 2, 1, EPOCH_MS, -1, -1), (2, 0, 0, EPOCH_MS, 4, -1)]
            assert log.statistics().producers == 2


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
            assert not log.has_aborted_transactions
            await self._three_transactions(lab.log())
            assert log.has_aborted_transactions
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
            assert not log.has_aborted_transactions
            assert not (await lab.append(log, producer.batch(b"x", transactional=True))).duplicate

    async def test_sequences_go_on_after_a_transaction(self) -> None:
        """A marker of the same epoch interrupts neither sequence nor recognition."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            await lab.append(log, producer.marker(commit=True))
            assert (await lab.append(log, producer.repeat())).duplicate
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
                log.begin_append([producer.batch(b"b", transactional=True)])
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                log.begin_append([producer.marker(commit=True)])
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
                log.begin_append([producer.marker(commit=True, coordinator_epoch=4)])
            assert (log.last_stable_offset, log.log_end_offset) == (2, 3)
            await lab.append(log, producer.marker(commit=True, coordinator_epoch=5))
            assert log.last_stable_offset == 4

    async def test_no_plain_batch_inside_a_transaction(self) -> None:
        """A producer with an open transaction writes inside it or not at all."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            with refused(ErrorCode.INVALID_TXN_STATE):
                log.begin_append([producer.batch(b"b")])
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
                log.begin_append([as_batch(unnumbered(epoch=1))])
            assert (log.last_stable_offset, log.log_end_offset) == (0, 3)

    async def test_control_batches_without_a_producer(self) -> None:
        """A control batch without a producer is a batch like any other: it ends nothing."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, producer.batch(b"a", transactional=True))
            control = build_control_batch(ControlRecordType.LEADER_CHANGE, b"\0\0", timestamp=EPOCH_MS)
            assert (await lab.append(log, as_batch(control))).base_offset == 1
            assert log.last_stable_offset == 0
            assert len(log.producers()) == 1

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
