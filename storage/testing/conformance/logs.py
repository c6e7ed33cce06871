"""What the words in `storage/engine.py` mean: the suite that every engine passes.

An engine's test module inherits `EngineConformance`, and `DurableEngineConformance` too if what it keeps is still there
after a close; `storage/testing/lab.py` says how. Each test keeps one promise of the contract and says which.

The suite asks for no more than the contract promises. A read may end inside a batch; it may give less than would fit
where a file ends, if it says so; an engine may answer `read_now` with None at any time.
"""

from __future__ import annotations

from kproto.batches.header import has_valid_crc, read_header
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, EpochEnd, FetchedRecords, PartitionLog, Read, TimestampOffset
from storage.testing.conformance.producers import ProducerConformance
from storage.testing.conformance.transactions import (
    SeveralLogsConformance,
    TransactionConformance,
    VerificationConformance,
)
from storage.testing.lab import Bench, refused, wrong_end
from storage.testing.log_builder import (
    EPOCH_MS,
    ScriptedProducer,
    batch,
    batches,
    content,
    joined,
    spec,
    unreadable_batch,
    values,
    whole_batches,
)


class AppendConformance(Bench):
    """Appends: offsets, order, conditions."""

    async def test_offsets_are_dense(self) -> None:
        """Every record gets the offset after the one before it, across batches and appends."""
        async with self.lab() as lab:
            log = lab.log()
            for size, base_offset in ((1, 0), (3, 1), (2, 4)):
                append = await lab.append(log, batch(*[b"x"] * size))
                assert (append.base_offset, append.last_offset) == (base_offset, base_offset + size - 1)
                assert not append.duplicate
            assert (log.log_end_offset, log.high_watermark, log.last_stable_offset) == (6, 6, 6)

    async def test_a_batch_is_kept_byte_for_byte(self) -> None:
        """P11: only base offset and leader epoch are set; the rest is the producer's, and its CRC still holds."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"before"))
            sent = batch(b"a", b"b", compression=1)
            expected = joined([sent], 1, log.leader_epoch)
            await lab.append(log, sent)
            kept = await lab.read(log, 1)
            assert kept == expected
            assert has_valid_crc(read_header(kept), kept)

    async def test_several_batches_go_in_together(self) -> None:
        """One append of several batches returns the first and the last offset of the whole."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"first"))
            append = await lab.append(log, batch(b"a", b"b"), batch(b"c"), batch(b"d", b"e"))
            assert (append.base_offset, append.last_offset) == (1, 5)
            assert await lab.values(log) == [b"first", b"a", b"b", b"c", b"d", b"e"]

    async def test_all_or_nothing(self) -> None:
        """E3: if one of several batches is refused, none is in the log, nor in what it remembers of producers."""
        async with self.lab() as lab:
            log, good, bad = lab.log(), ScriptedProducer(1), ScriptedProducer(2)
            await lab.append(log, bad.batch(b"in order"))
            first = good.batch(b"good")
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(log, first, bad.batch(b"a gap", sequence=9))
            assert log.log_end_offset == 1
            assert await lab.values(log) == [b"in order"]
            assert not (await lab.append(log, good.repeat())).duplicate

    async def test_the_order_is_fixed_when_begin_append_returns(self) -> None:
        """E2: offsets follow the order of the calls, not of the waiting."""
        async with self.lab() as lab:
            log = lab.log()
            appends = [log.begin_append([batch(value)]) for value in (b"a", b"b", b"c")]
            for append in reversed(appends):
                await append.wait_durable()
                await append.wait_durable()
            assert [append.base_offset for append in appends] == [0, 1, 2]
            assert log.log_end_offset == 3
            assert await lab.values(log) == [b"a", b"b", b"c"]

    async def test_conditional_appends_follow_each_other(self) -> None:
        """E4: without waiting, each expecting the end of the one before; their offsets are known at once."""
        async with self.lab() as lab:
            log = lab.log()
            appends = [log.begin_append([batch(b"x", b"y")], expected_end=end) for end in (0, 2, 4)]
            assert [(append.base_offset, append.last_offset) for append in appends] == [(0, 1), (2, 3), (4, 5)]
            await lab.store.wait_durable(appends)
            assert log.log_end_offset == 6
            with wrong_end(4, actual=6):
                await lab.append(log, batch(b"too late"), expected_end=4)
            assert await lab.values(log) == [b"x", b"y"] * 3

    async def test_the_buffer_belongs_to_the_caller_again(self) -> None:
        """What the caller writes into its buffer after the return does not get into the log."""
        async with self.lab() as lab:
            log, buffer = lab.log(), batch(b"what was sent")
            expected = joined([buffer], 0, log.leader_epoch)
            append = log.begin_append([buffer])
            buffer.data[:] = bytes(len(buffer.data))
            await append.wait_durable()
            assert await lab.whole(log) == expected

    async def test_a_buffer_may_hold_several_batches(self) -> None:
        """Batches are slices of one network buffer, as a request brings them."""
        async with self.lab() as lab:
            log, frame = lab.log(), memoryview(bytearray(b"".join(bytes(part.data) for part in batches(3))))
            size = len(frame) // 3
            slices = [frame[at : at + size] for at in (0, size, 2 * size)]
            await lab.append(log, *(Batch(read_header(part), part) for part in slices))
            assert await lab.whole(log) == joined(batches(3), 0, log.leader_epoch)

    async def test_expected_end(self) -> None:
        """E4: a conditional append happens only where the log ends as expected; otherwise nothing changes."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a", b"b"), expected_end=0)
            for expected in (0, 1, 3):
                with wrong_end(expected, actual=2):
                    await lab.append(log, batch(b"too late"), expected_end=expected)
            await lab.append(log, batch(b"c"), expected_end=2)
            assert await lab.values(log) == [b"a", b"b", b"c"]

    async def test_a_large_batch(self) -> None:
        """A batch may be larger than any buffer or read that an engine prefers."""
        async with self.lab() as lab:
            log, large = lab.log(), bytes(range(256)) * (12 << 10)
            await lab.append(log, batch(b"small"))
            await lab.append(log, batch(large))
            await lab.append(log, batch(b"small again"))
            assert await lab.values(log) == [b"small", large, b"small again"]

    async def test_many_batches(self) -> None:
        """Whatever an engine divides a log into, readers see one sequence."""
        async with self.lab() as lab:
            log, expected = lab.log(segment_bytes=16 << 10), []
            for round_number in range(60):
                parts = batches(5, size=400, records=2)
                expected.append(joined(parts, round_number * 10, log.leader_epoch))
                log.begin_append(parts)
            await lab.append(log, batch(b"last"))
            expected.append(joined([batch(b"last")], 600, log.leader_epoch))
            assert await lab.whole(log, max_bytes=5000) == b"".join(expected)
            for start in (0, 1, 77, 299, 300, 455, 599, 600):
                [first, *_] = whole_batches(await lab.read(log, start, max_bytes=1))
                assert first[0].base_offset <= start <= first[0].last_offset

    async def test_on_advance_is_called(self) -> None:
        """Each growth of the high watermark is announced, when readers can already see it."""
        async with self.lab() as lab:
            log = lab.log()
            seen: list[int] = []
            log.on_advance = lambda: seen.append(log.high_watermark)
            await lab.append(log, batch(b"a", b"b"))
            assert seen[-1:] == [2]
            await lab.append(log, batch(b"c"), batch(b"d"))
            assert seen[-1] == 4
            assert seen == sorted(seen), "the high watermark never goes back"

    async def test_on_advance_is_called_when_the_start_moves(self) -> None:
        """A reader that knows a log's start hears when it is another; what changes nothing is not announced."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, *batches(3))
            seen: list[int] = []
            log.on_advance = lambda: seen.append(log.log_start_offset)
            await log.delete_before(2)
            assert seen == [2]
            await log.delete_before(2)
            await log.delete_before(1)
            assert seen == [2]


class ReadConformance(Bench):
    """Reads: where they start, where they stop, what they cost."""

    async def test_an_empty_log(self) -> None:
        """A log without any append can be read: it has nothing yet."""
        async with self.lab() as lab:
            log = lab.log()
            [found] = await lab.fetch([Read(log, 0, 1000, 0)])
            assert isinstance(found, FetchedRecords)
            assert (content(found), *found[1:]) == (b"", 0, 0, 0, False, ())

    async def test_the_end_and_beyond(self) -> None:
        """At the end there is nothing yet; beyond it, and before the start, OFFSET_OUT_OF_RANGE."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a", b"b", b"c"))
            await lab.append(log, batch(b"d"))
            await log.delete_before(3)
            assert await lab.read(log, 4) == b""
            for outside in (-1, 0, 2, 5, 1 << 40):
                with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
                    await lab.read(log, outside)

    async def test_every_start_limit_and_bound(self) -> None:
        """From the batch that holds the start, below the bound, as much as the limit lets through; the first whole.

        All combinations on one log: starts at and inside batches, bounds likewise, limits around every batch's end.
        """
        sizes = (1, 3, 2, 1, 4)
        async with self.lab() as lab:
            log = lab.log()
            parts = [batch(*[bytes([64 + count]) * (7 * count)] * count) for count in sizes]
            kept = whole_batches(joined(parts, 0, log.leader_epoch))
            for part in parts:
                await lab.append(log, part)
            ends = [sum(len(data) for _, data in kept[: index + 1]) for index in range(len(kept))]
            limits = sorted({0, 1} | {end + more for end in ends for more in (-1, 0, 1)})
            for start in range(11):
                for upto in range(start, 12):
                    below = [data for header, data in kept if header.last_offset >= start and header.last_offset < upto]
                    for limit in limits:
                        found = await lab.read(log, start, limit, upto)
                        whole = b"".join(below)
                        assert whole.startswith(found)
                        assert len(found) == max(min(limit, len(whole)), len(below[0]) if below else 0)

    async def test_as_much_as_fits(self) -> None:
        """A reader that wants many bytes gets them in one answer, or hears that more is there.

        Small batches and ones that are larger than the buffers and files that an engine may prefer to end a read at.
        """
        async with self.lab() as lab:
            log = lab.log(segment_bytes=64 << 10)
            sizes = [100] * 100 + [40 << 10] * 4 + [700 << 10] * 3 + [100] * 50
            for size in sizes:
                await lab.append(log, batch(b"x" * size))
            await lab.append(log, batch(b"last"))
            end = log.high_watermark
            for start in (0, 1, 99, 102, 105, end - 1):
                rest = await lab.rest(log, start)
                for limit in (1, 200, 5000, 50 << 10, 1 << 20, len(rest) - 1, len(rest)):
                    [found] = await lab.fetch([Read(log, start, limit, end)], 1 << 30)
                    data = content(found)
                    assert isinstance(found, FetchedRecords)
                    assert rest.startswith(data)
                    [first, *_] = whole_batches(rest)
                    fits = max(min(limit, len(rest)), len(first[1]))
                    assert len(data) == fits or (found.more and len(first[1]) <= len(data) < fits)

    async def test_a_question_in_parts(self) -> None:
        """One question may be asked in several: only the first batch of all may exceed the limit."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"x" * 500))
            read = Read(log, 0, 1000, 1)
            for whole_batch, found in ((True, [b"x" * 500]), (False, [])):
                [answer] = await lab.store.read_many([read], 100, whole_batch)
                assert values(content(answer)) == found
                at_once = lab.store.read_now([read], 100, whole_batch)
                assert at_once is None or values(content(at_once[0])) == found

    async def test_the_numbers_are_those_of_the_log(self) -> None:
        """A read returns high watermark, last stable offset and log start as they are."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(1)
            await lab.append(log, batch(b"a", b"b"))
            await lab.append(log, producer.batch(b"c", transactional=True))
            await log.delete_before(1)
            [found] = await lab.fetch([Read(log, 1, 1000, 3)])
            assert isinstance(found, FetchedRecords)
            assert found[1:4] == (3, 2, 1) == (log.high_watermark, log.last_stable_offset, log.log_start_offset)

    async def test_one_limit_for_several_logs(self) -> None:
        """The first log that has records gives a whole batch however large; later ones give only what still fits."""
        async with self.lab() as lab:
            empty, big, small = lab.log("empty"), lab.log("big"), lab.log("small")
            await lab.append(big, batch(b"b" * 1000))
            await lab.append(big, batch(b"b" * 1000))
            await lab.append(small, batch(b"s" * 10))
            one_big, one_small = len(await lab.read(big, max_bytes=1)), len(await lab.read(small))
            question = [Read(empty, 0, 5000, 0), Read(big, 0, 100, 2), Read(small, 0, 5000, 1), Read(big, 1, 5000, 2)]

            async def lengths(max_bytes: int) -> list[int]:
                return [len(content(found)) for found in await lab.fetch(question, max_bytes)]

            assert await lengths(0) == [0, one_big, 0, 0]
            assert await lengths(one_big) == [0, one_big, 0, 0]
            assert await lengths(one_big + one_small - 1) == [0, one_big, 0, 0]
            assert await lengths(one_big + one_small) == [0, one_big, one_small, 0]
            assert await lengths(2 * one_big + one_small) == [0, one_big, one_small, one_big]

    async def test_a_log_of_its_own_limit(self) -> None:
        """A log that is not the first with records gives nothing if its first batch does not fit its own share."""
        async with self.lab() as lab:
            first, second = lab.log("first"), lab.log("second")
            await lab.append(first, batch(b"a"))
            await lab.append(second, batch(b"b" * 500))
            found = await lab.fetch([Read(first, 0, 5000, 1), Read(second, 0, 100, 1)])
            assert [values(content(answer)) for answer in found] == [[b"a"], []]

    async def test_one_failure_among_several(self) -> None:
        """A read that fails yields its error in its place; the others are answered, and it uses up nothing."""
        async with self.lab() as lab:
            left, right = lab.log("left"), lab.log("right")
            await lab.append(left, batch(b"l"))
            await lab.append(right, batch(b"r" * 500))
            found = await lab.fetch([Read(left, 7, 1000, 7), Read(right, 0, 10, 1), Read(left, 0, 1000, 1)])
            assert isinstance(found[0], KafkaError)
            assert found[0].code is ErrorCode.OFFSET_OUT_OF_RANGE
            assert [values(content(answer)) for answer in found[1:]] == [[b"r" * 500], [b"l"]]

    async def test_what_was_read_stays_readable(self) -> None:
        """E5: records in a reply under way survive what happens to the log: growth, deletion of records, of the log."""
        async with self.lab() as lab:
            log, parts = lab.log(segment_bytes=16 << 10), batches(20, size=500)
            expected = joined(parts, 0, log.leader_epoch)
            await lab.append(log, *parts)
            read = Read(log, 0, 1 << 20, 20)
            before_growth, before_deletion = await lab.store.read_many([read, read], 1 << 30)
            await lab.append(log, *batches(100, size=500))
            await log.delete_before(log.high_watermark)
            assert expected.startswith(content(before_growth))
            await lab.store.delete_logs([log.spec])
            assert expected.startswith(content(before_deletion))
            assert len(content(before_deletion)) >= len(parts[0].data)


class LookUpConformance(Bench):
    """Look-ups: by time, by leader epoch; and what the log reports about itself."""

    async def test_offset_for_time(self) -> None:
        """The first record, by offset, that is not earlier than asked for: exactly that record, in whatever codec."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"0", b"1", b"2", timestamps=[100, 110, 120]))
            await lab.append(log, batch(b"3", b"4", b"5", timestamps=[150, 130, 160], compression=1))
            await lab.append(log, batch(b"6", timestamps=[140]))
            epoch = log.leader_epoch
            for asked, timestamp, offset in (
                (0, 100, 0), (100, 100, 0), (101, 110, 1), (120, 120, 2), (121, 150, 3), (130, 150, 3), (150, 150, 3),
                (151, 160, 5), (160, 160, 5),
            ):  # fmt: skip
                assert await log.offset_for_time(asked) == TimestampOffset(timestamp, offset, epoch)
            assert await log.offset_for_time(161) is None
            assert await lab.log("empty").offset_for_time(0) is None

    async def test_offset_for_time_with_log_append_time(self) -> None:
        """Where the broker's time was stamped on a batch, all its records have that time."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"0", b"1", timestamps=[5, 100], log_append_time=True))
            await lab.append(log, batch(b"2", b"3", timestamps=[7, 200], log_append_time=True))
            assert await log.offset_for_time(50) == TimestampOffset(100, 0, log.leader_epoch)
            assert await log.offset_for_time(101) == TimestampOffset(200, 2, log.leader_epoch)
            assert await log.offset_of_max_timestamp() == TimestampOffset(200, 2, log.leader_epoch)

    async def test_offset_for_time_starts_at_the_log_start(self) -> None:
        """Deleted records are not found, also where their batch is still there."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"0", b"1", b"2", timestamps=[300, 100, 200]))
            await log.delete_before(1)
            assert await log.offset_for_time(50) == TimestampOffset(100, 1, log.leader_epoch)
            assert await log.offset_for_time(250) is None
            assert await log.offset_of_max_timestamp() == TimestampOffset(200, 2, log.leader_epoch)
            await lab.append(log, batch(b"3", b"4", timestamps=[250, 200]))
            assert await log.offset_of_max_timestamp() == TimestampOffset(250, 3, log.leader_epoch)

    async def test_time_inside_an_unreadable_batch(self) -> None:
        """Records that cannot be read do not fail the look-up: their batch's start stands for them."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"0", timestamps=[100]))
            await lab.append(log, unreadable_batch(timestamp=500))
            assert await log.offset_for_time(400) == TimestampOffset(500, 1, log.leader_epoch)
            assert await log.offset_of_max_timestamp() == TimestampOffset(500, 1, log.leader_epoch)

    async def test_many_times(self) -> None:
        """A look-up in a long log finds what reading all of it would find."""
        async with self.lab() as lab:
            log = lab.log(segment_bytes=16 << 10)
            for number in range(200):
                await lab.append(log, batch(b"x" * 300, b"y", timestamps=[1000 + 10 * number, 1003 + 10 * number]))
            await lab.append(log, batch(b"late", timestamps=[1500]))
            for number in (0, 1, 50, 123, 199):
                assert await log.offset_for_time(1000 + 10 * number) == (
                    1000 + 10 * number,
                    2 * number,
                    log.leader_epoch,
                )
                assert await log.offset_for_time(1001 + 10 * number) == (
                    1003 + 10 * number, 2 * number + 1, log.leader_epoch,
                )  # fmt: skip
            assert await log.offset_for_time(5000) is None
            assert await log.offset_of_max_timestamp() == (2993, 399, log.leader_epoch)

    async def test_offset_of_max_timestamp(self) -> None:
        """The record with the largest timestamp, the earliest of equals; None while there is none."""
        async with self.lab() as lab:
            log = lab.log()
            assert await log.offset_of_max_timestamp() is None
            await lab.append(log, batch(b"0", b"1", b"2", timestamps=[10, 90, 90]))
            await lab.append(log, batch(b"3", b"4", timestamps=[90, 20]))
            assert await log.offset_of_max_timestamp() == TimestampOffset(90, 1, log.leader_epoch)
            await lab.append(log, batch(b"5", b"6", timestamps=[80, 91], compression=1))
            assert await log.offset_of_max_timestamp() == TimestampOffset(91, 6, log.leader_epoch)

    async def test_end_of_epoch(self) -> None:
        """The current epoch ends with the log, also while that is empty; older ones ended before, newer are unknown."""
        async with self.lab() as lab:
            log = lab.log()
            epoch = log.leader_epoch
            assert log.end_of_epoch(epoch) == EpochEnd(epoch, 0)
            await lab.append(log, batch(b"a", b"b"))
            assert log.end_of_epoch(epoch) == EpochEnd(epoch, 2)
            # Kafka answers a newer epoch than any it knows with "undefined" (LeaderEpochFileCache.endOffsetFor).
            assert log.end_of_epoch(epoch + 1) is None
            assert log.end_of_epoch(-1) is None
            assert log.end_of_epoch(-2) == EpochEnd(-2, 0)

    async def test_statistics(self) -> None:
        """Offsets, bytes of all batches, producers."""
        async with self.lab() as lab:
            log, producer = lab.log(), ScriptedProducer(4)
            parts = [batch(b"a", b"b"), producer.batch(b"c"), producer.batch(b"d", transactional=True)]
            await lab.append(log, *parts)
            await log.delete_before(1)
            assert log.statistics()[:5] == (1, 4, 3, 4, sum(len(part.data) for part in parts))
            assert log.statistics().producers in (1, -1)

    async def test_log_directories(self) -> None:
        """Every log that exists is in one directory, with its size."""
        async with self.lab() as lab:
            log, part = lab.log("orders", 3), batch(b"a" * 1000)
            size = len(part.data)
            await lab.append(log, part)
            [found] = [place for place in await lab.store.log_directories() if ("orders", 3) in place.sizes]
            assert found.error is None
            assert found.sizes["orders", 3] >= size
            assert found.path

    async def test_configure(self) -> None:
        """New settings are the log's from then on."""
        async with self.lab() as lab:
            log, later = lab.log(), spec(segment_bytes=20 << 10).config
            await lab.append(log, batch(b"a"))
            log.configure(later)
            assert log.spec.config == later
            await lab.append(log, *batches(30, size=1000))
            assert len(await lab.values(log)) == 31


class LifeConformance(Bench):
    """Logs come, lose their oldest records, and go."""

    async def test_delete_before(self) -> None:
        """E7: the log starts at the offset from then on, also inside a batch; later records keep their offsets."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a", b"b", b"c"))
            await lab.append(log, batch(b"d"))
            assert await log.delete_before(1) == 1
            assert log.log_start_offset == 1
            assert values(await lab.read(log, 1)) == [b"a", b"b", b"c", b"d"]
            assert await log.delete_before(3) == 3
            assert values(await lab.read(log, 3)) == [b"d"]
            assert (log.log_end_offset, log.high_watermark) == (4, 4)

    async def test_delete_before_the_start_changes_nothing(self) -> None:
        """The start of a log never goes back."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a", b"b", b"c"))
            await log.delete_before(2)
            for offset in (0, 1, 2):
                assert await log.delete_before(offset) == 2

    async def test_delete_before_out_of_range(self) -> None:
        """What is not there yet cannot be deleted."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a"))
            for offset in (-1, 2):
                with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
                    await log.delete_before(offset)
            assert log.log_start_offset == 0

    async def test_offsets_go_on_after_everything_is_deleted(self) -> None:
        """E1: no offset is given out twice, not even that of a deleted record."""
        async with self.lab() as lab:
            log = lab.log(segment_bytes=16 << 10)
            await lab.append(log, *batches(100, size=500))
            assert await log.delete_before(100) == 100
            assert await lab.read(log, 100) == b""
            assert log.last_stable_offset == 100
            assert (await lab.append(log, batch(b"next"))).base_offset == 100
            assert await lab.values(log) == [b"next"]

    async def test_a_log_is_one_object(self) -> None:
        """Asking twice for a log gives the same; another partition or topic is another log."""
        async with self.lab() as lab:
            assert lab.log("orders", 0) is lab.log("orders", 0)
            logs = [lab.log("orders", 0), lab.log("orders", 1), lab.log("payments", 0)]
            for number, log in enumerate(logs):
                await lab.append(log, batch(str(number).encode()))
            assert [await lab.values(log) for log in logs] == [[b"0"], [b"1"], [b"2"]]

    async def test_a_log_exists_from_its_creation_or_first_append(self) -> None:
        """Asking for a log does not make it exist."""
        async with self.lab() as lab:
            log = lab.log("asked", 0)
            await lab.store.create_logs([spec("made", 0), spec("made", 1)])
            assert set(lab.store.existing()) == {("made", 0), ("made", 1)}
            await lab.append(log, batch(b"a"))
            assert set(lab.store.existing()) == {("made", 0), ("made", 1), ("asked", 0)}

    async def test_creating_what_exists(self) -> None:
        """A log that exists is left as it is."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a"))
            await lab.store.create_logs([log.spec, spec("orders", 1)])
            assert lab.log() is log
            assert await lab.values(log) == [b"a"]

    async def test_a_topic_made_again_shows_nothing_old(self) -> None:
        """E6: a new log of the same name begins empty: no records, no offsets, no producers."""
        async with self.lab() as lab:
            old, producer = lab.log(generation=1), ScriptedProducer(1)
            await lab.append(old, producer.batch(b"a"), producer.batch(b"b", transactional=True))
            await lab.store.delete_logs([old.spec])
            assert not set(lab.store.existing())
            await lab.store.create_logs([spec(generation=2)])
            new = lab.log(generation=2)
            assert new is not old
            assert new.statistics()[:5] == (0, 0, 0, 0, 0)
            assert (await new.offset_for_time(0), list(await new.producers())) == (None, [])
            append = await lab.append(new, producer.repeat(back=1))
            assert (append.duplicate, append.base_offset) == (False, 0)
            assert await lab.values(new) == [b"a"]

    async def test_a_deleted_log_takes_and_shows_nothing(self) -> None:
        """A caller that still holds a deleted log is refused, with a code that makes clients look again."""
        async with self.lab() as lab:
            old = lab.log()
            await lab.append(old, batch(b"a"))
            await lab.store.delete_logs([old.spec])
            [found] = await lab.fetch([Read(old, 0, 1000, 1)])
            assert isinstance(found, KafkaError)
            assert found.code.retriable
            try:
                await lab.append(old, batch(b"b"))
            except KafkaError as error:
                assert error.code.retriable
            else:
                raise AssertionError("a deleted log took an append")
            assert lab.log(generation=2).log_end_offset == 0

    async def test_deleting_what_is_not_there(self) -> None:
        """Deletion repeated, or of a log that was never written, is no failure; other logs stay."""
        async with self.lab() as lab:
            kept = lab.log("kept")
            await lab.append(kept, batch(b"a"))
            await lab.store.delete_logs([spec("never"), spec("orders", 7)])
            assert set(lab.store.existing()) == {("kept", 0)}
            assert await lab.values(kept) == [b"a"]

    async def test_the_cluster_has_an_id(self) -> None:
        """22 characters, the same whenever one asks."""
        async with self.lab() as lab:
            assert len(lab.store.cluster_id) == 22
            assert lab.store.cluster_id == lab.store.cluster_id

    async def test_the_place_of_the_logs_has_an_id(self) -> None:
        """22 characters, none but its own."""
        async with self.lab() as lab:
            assert len(lab.store.directory_id) == 22
            assert lab.store.directory_id == lab.store.directory_id != lab.store.cluster_id


class EngineConformance(
    AppendConformance,
    ReadConformance,
    LookUpConformance,
    LifeConformance,
    ProducerConformance,
    TransactionConformance,
    VerificationConformance,
    SeveralLogsConformance,
):
    """Everything that any engine promises."""


class DurableEngineConformance(Bench):
    """What an engine promises besides, that still has its logs after a close."""

    async def test_everything_is_there_again(self) -> None:
        """Records, offsets, look-ups and the cluster's id are what they were."""
        async with self.lab() as lab:
            log = lab.log(segment_bytes=16 << 10)
            for number in range(80):
                await lab.append(log, batch(b"x" * 500, timestamps=[EPOCH_MS + number]))
            await lab.append(log, batch(b"last", timestamps=[EPOCH_MS]))
            await log.delete_before(33)

            async def everything(log: PartitionLog) -> list[object]:
                return [
                    await lab.whole(log),
                    log.statistics(),
                    await log.offset_for_time(EPOCH_MS + 50),
                    await log.offset_of_max_timestamp(),
                    log.end_of_epoch(log.leader_epoch),
                    lab.store.cluster_id,
                    lab.store.directory_id,
                    set(lab.store.existing()),
                ]

            before = await everything(log)
            await lab.reopen()
            assert await everything(lab.log(segment_bytes=16 << 10)) == before

    async def test_offsets_go_on(self) -> None:
        """The next record gets the next offset, also when all before it are deleted."""
        async with self.lab() as lab:
            await lab.append(lab.log(), batch(b"a", b"b"))
            await lab.reopen()
            assert (await lab.append(lab.log(), batch(b"c"))).base_offset == 2
            await lab.log().delete_before(3)
            await lab.reopen()
            assert (lab.log().log_start_offset, lab.log().log_end_offset) == (3, 3)
            assert (await lab.append(lab.log(), batch(b"d"))).base_offset == 3

    async def test_empty_logs_are_there_again(self) -> None:
        """A log made by create_logs exists after a restart although nothing was written to it."""
        async with self.lab() as lab:
            await lab.store.create_logs([spec("made", 0), spec("made", 1)])
            await lab.reopen()
            assert set(lab.store.existing()) == {("made", 0), ("made", 1)}
            assert lab.log("made", 1).log_end_offset == 0

    async def test_deleted_logs_stay_deleted(self) -> None:
        """Nothing of a deleted log comes back, and a log of the same name starts afresh."""
        async with self.lab() as lab:
            await lab.append(lab.log("gone"), batch(b"a"))
            await lab.append(lab.log("kept"), batch(b"b"))
            await lab.store.delete_logs([spec("gone")])
            await lab.reopen()
            assert set(lab.store.existing()) == {("kept", 0)}
            await lab.append(lab.log("gone", generation=2), batch(b"c"))
            await lab.reopen()
            assert await lab.values(lab.log("gone", generation=2)) == [b"c"]

    async def test_repetitions_are_still_recognised(self) -> None:
        """E8: any of the last five batches may be sent again after a restart: the producer did not see its answer."""
        async with self.lab() as lab:
            producer = ScriptedProducer(9)
            for number in range(8):
                await lab.append(lab.log(), producer.batch(str(number).encode()), batch(b"no producer's"))
            await lab.reopen()
            for back in range(5):
                append = await lab.append(lab.log(), producer.repeat(back))
                assert (append.duplicate, append.base_offset) == (True, 14 - 2 * back)
            with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                await lab.append(lab.log(), producer.batch(b"a gap", sequence=99))
            assert not (await lab.append(lab.log(), producer.batch(b"8", sequence=8))).duplicate

    async def test_producers_are_remembered(self) -> None:
        """Epochs still fence, and DescribeProducers shows what it showed."""
        async with self.lab() as lab:
            old, new = ScriptedProducer(9, epoch=1), ScriptedProducer(9, epoch=2)
            await lab.append(lab.log(), new.batch(b"a"))
            before = list(await lab.log().producers())
            await lab.reopen()
            assert list(await lab.log().producers()) == before
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(lab.log(), old.batch(b"stale"))

    async def test_transactions_are_remembered(self) -> None:
        """An open transaction still holds stable data back, an aborted one is listed, a zombie fenced."""
        async with self.lab() as lab:
            aborted, still_open = ScriptedProducer(1), ScriptedProducer(2)
            await lab.append(lab.log(), aborted.batch(b"a", transactional=True))
            await lab.append(lab.log(), aborted.marker(commit=False, coordinator_epoch=5))
            await lab.append(lab.log(), still_open.batch(b"b", transactional=True))
            await lab.append(lab.log(), batch(b"c"))
            await lab.reopen()
            log = lab.log()
            assert (log.last_stable_offset, log.high_watermark) == (2, 4)
            assert list(await log.aborted_transactions(0, 4)) == [(1, 0)]
            with refused(ErrorCode.TRANSACTION_COORDINATOR_FENCED):
                await lab.append(log, aborted.marker(commit=True, coordinator_epoch=4))
            await lab.append(log, still_open.marker(commit=True))
            assert log.last_stable_offset == 5
