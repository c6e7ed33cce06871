"""The part of the suite about producers: what every engine does with sequences, epochs and transactions.

The rules are `storage/producers.py`'s, and its own tests try them one by one; these tests see to it that an engine asks
them at the right moment, in log order, and acts on the answer.
"""

from __future__ import annotations

from kproto.errors import ErrorCode
from storage.testing.lab import Bench, refused
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer, batch

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
                await lab.append(log, producer.repeat(back=5))
            assert log.log_end_offset == 6

    async def test_a_repetition_in_flight(self) -> None:
        """A batch sent again before the first one is durable is a duplicate too, and waits as long."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            first = log.begin_append([producer.batch(b"a")])
            again = log.begin_append([producer.repeat()])
            await again.wait_durable()
            assert first.durable
            assert (again.duplicate, again.base_offset) == (True, 0)
            await first.wait_durable()
            assert await lab.values(log) == [b"a"]

    async def test_a_gap_is_refused(self) -> None:
        """A missing batch is not papered over; when it comes, all is well."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"0"))
            missing, following = producer.batch(b"1"), producer.batch(b"2")
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, following)
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
                    await lab.append(log, zombie)
            assert await lab.values(log) == [b"old", b"new"]

    async def test_a_new_epoch_begins_at_zero(self) -> None:
        """A new epoch that does not start with sequence 0 has lost something."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(7)
            await lab.append(log, producer.batch(b"0"))
            producer.bump()
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, producer.batch(b"x", sequence=1))
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
                await lab.append(log, producer.batch(b"4"), producer.batch(b"a gap", sequence=6))
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
                await lab.append(log, producer.batch(b"a gap", sequence=5))

    async def test_producers_are_shown(self) -> None:
        """DescribeProducers has id, epoch, last sequence, last timestamp, coordinator epoch, open transaction."""
        async with self.lab() as lab:
            log, plain, transactional = lab.log(), ScriptedProducer(1, epoch=2), ScriptedProducer(2)
            await lab.append(log, batch(b"no producer's"))
            await lab.append(log, plain.batch(b"a", b"b"))
            await lab.append(log, transactional.batch(b"c", transactional=True))
            assert sorted(await log.producers()) == [(1, 2, 1, EPOCH_MS, -1, -1), (2, 0, 0, EPOCH_MS, -1, 3)]
            await lab.append(log, transactional.marker(commit=True, coordinator_epoch=4))
            assert sorted(await log.producers()) == [(1, 2, 1, EPOCH_MS, -1, -1), (2, 0, 0, EPOCH_MS, 4, -1)]
            assert log.statistics().producers in (2, -1)
