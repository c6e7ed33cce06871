"""What a commit makes of producers: repetitions, epochs, transactions, whichever broker it comes from.

The part of the suite for control planes (`control_planes.py`) that is about `storage/producers.py` and its rules.
"""

from __future__ import annotations

from kproto.errors import ErrorCode
from storage.object.control_plane import (
    AbortedSpan,
    Repeated,
    RunAppend,
    RunsQuestion,
    Taken,
)
from storage.producers import LogProducers
from storage.testing.commit_builder import append, inline, name, records
from storage.testing.log_builder import ScriptedProducer, batch
from storage.testing.planes import END, PlaneBench


class CommittedProducersConformance(PlaneBench):
    """Idempotence and transactions."""

    # -- producers -----------------------------------------------------------------------------------------------------

    async def test_a_repetition_gets_the_offsets_of_the_original(self) -> None:
        """Each of the last five, from whichever broker; what is older, or leaves a gap, is refused."""
        async with self.planes() as planes:
            one, other = await planes.plane(1), await planes.plane(2, b"2" * 16)
            [log_id] = await one.create_logs([name()])
            producer = ScriptedProducer(7)
            for number in range(7):
                assert await self.one(one, f"k{number}", log_id, append(producer.batch(b"x", b"y"))) == [
                    Taken(2 * number)
                ]
            for back in range(5):
                piece = append(producer.repeat(back))
                assert await self.one(other, f"r{back}", log_id, piece) == [Repeated(12 - 2 * back, 13 - 2 * back)]
            out_of_order = [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]
            assert await self.one(other, "old", log_id, append(producer.repeat(5))) == out_of_order
            assert await self.one(other, "gap", log_id, append(producer.batch(sequence=99))) == out_of_order
            await planes.check()

    async def test_batches_of_one_producer_in_one_run(self) -> None:
        """Up to more than a window of them, with others between: each can be repeated."""
        async with self.logs() as (plane, [log_id]):
            one, two = ScriptedProducer(1), ScriptedProducer(2)
            await self.one(plane, "a", log_id, append(one.batch()), append(one.batch()))
            pieces = [append((one, two)[number % 2].batch(b"a", b"b")) for number in range(6)]
            assert await self.one(plane, "b", log_id, *pieces) == [Taken(2 + 2 * n) for n in range(6)]
            assert await self.one(plane, "c", log_id, append(one.repeat(3))) == [Repeated(1, 1)]
            assert await self.one(plane, "d", log_id, append(one.repeat(1)), append(two.repeat(2))) == [
                Repeated(6, 7), Repeated(4, 5),
            ]  # fmt: skip
            many = ScriptedProducer(3)
            await self.one(plane, "e", log_id, *[append(many.batch()) for _ in range(8)])
            assert await self.one(plane, "f", log_id, append(many.repeat(4))) == [Repeated(17, 17)]
            assert await self.one(plane, "g", log_id, append(many.batch())) == [Taken(22)]

    async def test_sequences_wrap(self) -> None:
        """From 2^31 - 1 to 0."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(7, sequence=0x7FFF_FFFF)
            assert await self.one(plane, "a", log_id, append(producer.batch(b"a", b"b"))) == [Taken(0)]
            assert await self.one(plane, "b", log_id, append(producer.batch(b"c"))) == [Taken(2)]
            assert await self.one(plane, "c", log_id, append(producer.repeat(1))) == [Repeated(0, 1)]

    async def test_an_epoch_fences_the_older_one(self) -> None:
        """And begins at 0."""
        async with self.logs() as (plane, [log_id]):
            old = ScriptedProducer(7)
            await self.one(plane, "a", log_id, append(old.batch()))
            late = old.batch()
            new = ScriptedProducer(7, epoch=1)
            assert await self.one(plane, "b", log_id, append(ScriptedProducer(7, epoch=1, sequence=3).batch())) == [
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
            ]
            assert await self.one(plane, "c", log_id, append(new.batch())) == [Taken(1)]
            assert await self.one(plane, "d", log_id, append(late)) == [ErrorCode.INVALID_PRODUCER_EPOCH]
            assert await self.one(plane, "e", log_id, append(new.batch())) == [Taken(2)]

    async def test_the_state_of_producers_can_be_taken_over(self) -> None:
        """What a broker is told of a log's producers lets it recognise what the log would."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(7, epoch=3)
            await self.one(plane, "a", log_id, append(producer.batch(b"1", b"2")), append(producer.batch(b"3")))
            await self.one(plane, "b", log_id, append(ScriptedProducer(8).batch()))
            producers = LogProducers()
            producers.restore(await plane.producers(log_id), 0)
            [seven, eight] = sorted(producers.describe(0))
            assert (seven.producer_id, seven.producer_epoch, seven.last_sequence) == (7, 3, 2)
            assert eight.producer_id == 8
            assert producers.check(producer.repeat(1).header, 0) is not None
            assert producers.check(producer.batch().header, 0) is None
            assert {state.producer_id for state in await plane.producers(log_id, [8, 9])} == {8}

    # -- transactions --------------------------------------------------------------------------------------------------

    async def test_stable_data_ends_where_the_oldest_transaction_begins(self) -> None:
        """A marker ends it, and an abort is listed."""
        async with self.logs() as (plane, [log_id]):
            one, two = ScriptedProducer(1), ScriptedProducer(2)
            await self.one(plane, "a", log_id, records(2), append(one.batch(transactional=True)))
            await self.one(plane, "b", log_id, append(two.batch(transactional=True)))
            assert (await self.ends(plane, log_id)).last_stable_offset == 2
            await self.one(plane, "c", log_id, append(one.batch(transactional=True)))
            assert await self.done(plane, inline("d", (log_id, append(one.marker(commit=False))))) == [[5]]
            assert (await self.ends(plane, log_id)).last_stable_offset == 3
            assert await self.done(plane, inline("e", (log_id, append(two.marker(commit=True))))) == [[6]]
            assert (await self.ends(plane, log_id)).last_stable_offset == 7
            assert await plane.aborted(log_id, 0, 7) == [AbortedSpan(1, 2, 5)]
            assert await plane.aborted(log_id, 6, 7) == []
            [found] = await plane.runs([RunsQuestion(log_id, 3, 1, END, committed=True)])
            assert found is not None
            assert (len(found.runs), list(found.aborted)) == (1, [AbortedSpan(1, 2, 5)])

    async def test_a_transaction_may_begin_in_the_commit_that_ends_another(self) -> None:
        """Before its marker or behind it: stable data ends where the new one begins."""
        async with self.logs() as (plane, [log_id]):
            producers = [ScriptedProducer(number) for number in range(5)]
            begins = [append(producer.batch(transactional=True)) for producer in producers]
            ends = [append(producer.marker(commit=False)) for producer in producers]
            await self.one(plane, "a", log_id, begins[0])
            await self.one(plane, "b", log_id, begins[1], ends[0])
            assert (await self.ends(plane, log_id)).last_stable_offset == 1
            await self.one(plane, "c", log_id, ends[1], begins[2])
            assert (await self.ends(plane, log_id)).last_stable_offset == 4
            await self.one(plane, "d", log_id, begins[3], begins[4], ends[2], ends[3])
            assert (await self.ends(plane, log_id)).last_stable_offset == 6
            await self.one(plane, "e", log_id, ends[4])
            spans = [AbortedSpan(0, 0, 2), AbortedSpan(1, 1, 3), AbortedSpan(2, 4, 7), AbortedSpan(3, 5, 8)]
            assert await plane.aborted(log_id, 0, 10) == [*spans, AbortedSpan(4, 6, 9)]
            assert await plane.aborted(log_id, 1, 2) == spans[:2]
            assert await plane.aborted(log_id, 5, 7) == [*spans[2:], AbortedSpan(4, 6, 9)]

    async def test_a_plain_batch_in_a_transaction_is_refused(self) -> None:
        """And one that is repeated is recognised only in the same transaction."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1)
            await self.one(plane, "a", log_id, append(producer.batch(transactional=True)))
            assert await self.one(plane, "b", log_id, append(producer.repeat())) == [Repeated(0, 0)]
            plain = ScriptedProducer(1, sequence=1).batch()
            assert await self.one(plane, "c", log_id, append(plain)) == [ErrorCode.INVALID_TXN_STATE]
            await self.done(plane, inline("d", (log_id, append(producer.marker(commit=True)))))
            assert await self.one(plane, "e", log_id, append(producer.repeat())) == [
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
            ]

    async def test_a_transaction_opens_only_where_its_coordinator_was_asked(self) -> None:
        """And where no marker has come since: the guard is an offset."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1)

            def begins(since: int | None) -> RunAppend:
                """The producer's next batch, which it sends until it is taken."""
                return append(
                    ScriptedProducer(1, sequence=producer.sequence).batch(transactional=True), unended_since=since
                )

            assert await self.one(plane, "a", log_id, begins(None)) == [ErrorCode.INVALID_TXN_STATE]
            assert await self.one(plane, "b", log_id, begins(0)) == [Taken(0)]
            producer.batch()
            assert await self.one(plane, "c", log_id, begins(None)) == [Taken(1)]
            producer.batch()
            await self.done(plane, inline("d", (log_id, append(producer.marker(commit=True)))))
            assert await self.one(plane, "e", log_id, begins(2)) == [ErrorCode.INVALID_TXN_STATE]
            assert await self.one(plane, "f", log_id, begins(3)) == [Taken(3)]

    async def test_an_epoch_of_a_transactions_own_begins_at_zero(self) -> None:
        """In a log that knows no batch of the producer (transaction version 2)."""
        async with self.logs() as (plane, [log_id]):
            late = append(ScriptedProducer(1, sequence=4).batch(transactional=True), transaction_version=2)
            assert await self.one(plane, "a", log_id, late) == [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]
            producer = ScriptedProducer(1)
            first = append(producer.batch(transactional=True), transaction_version=2)
            assert await self.one(plane, "b", log_id, first) == [Taken(0)]
            marker = append(producer.marker(commit=True, epoch=1), transaction_version=2)
            assert await self.done(plane, inline("c", (log_id, marker))) == [[1]]
            following = append(producer.bump().batch(transactional=True), transaction_version=2)
            assert await self.one(plane, "d", log_id, following) == [Taken(2)]
            assert await self.done(plane, inline("e", (log_id, marker))) == [[[ErrorCode.INVALID_PRODUCER_EPOCH]]]

    async def test_markers_are_fenced_and_may_come_again(self) -> None:
        """A coordinator that has been replaced is refused; one that repeats itself ends nothing."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1, epoch=2)
            await self.one(plane, "a", log_id, append(producer.batch(transactional=True)))
            newer = append(producer.marker(commit=False, coordinator_epoch=5))
            assert await self.done(plane, inline("b", (log_id, newer))) == [[1]]
            assert await self.done(plane, inline("c", (log_id, newer))) == [[2]]
            older = append(producer.marker(commit=True, coordinator_epoch=4))
            assert await self.done(plane, inline("d", (log_id, older))) == [
                [[ErrorCode.TRANSACTION_COORDINATOR_FENCED]]
            ]
            old_epoch = append(producer.marker(commit=True, coordinator_epoch=5, epoch=1))
            assert await self.done(plane, inline("e", (log_id, old_epoch))) == [[[ErrorCode.INVALID_PRODUCER_EPOCH]]]
            assert await plane.aborted(log_id, 0, 9) == [AbortedSpan(1, 0, 1)]

    async def test_batches_without_a_sequence(self) -> None:
        """Coordinators write transactional offsets without numbering them."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1)
            for number in range(3):
                unnumbered = append(batch(b"o", producer_id=1, producer_epoch=0, transactional=True))
                assert await self.one(plane, f"k{number}", log_id, unnumbered) == [Taken(number)]
            assert (await self.ends(plane, log_id)).last_stable_offset == 0
            await self.done(plane, inline("m", (log_id, append(producer.marker(commit=True)))))
            assert (await self.ends(plane, log_id)).last_stable_offset == 4
            assert await self.one(plane, "n", log_id, append(producer.batch())) == [Taken(4)]
            assert await self.one(plane, "o", log_id, append(producer.batch())) == [Taken(5)]
            assert await self.one(plane, "p", log_id, append(producer.repeat(1))) == [Repeated(4, 4)]
