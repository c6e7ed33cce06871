"""What the words in `storage/copies.py` mean: the suite of engines whose logs can be copied and replaced.

What a copy becomes in another engine belongs to it, so the suite opens a store of another one (`other_store`).
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import trio

from kproto.batches.header import read_header
from kproto.errors import ErrorCode
from storage.copies import Copyable, SegmentCopy, StoreCopy, whole_batches
from storage.engine import EpochEnd, LogStore, OpenProducer, PartitionLog, StoreError
from storage.testing.lab import Bench, Lab, refused
from storage.testing.log_builder import ScriptedProducer, batch, batches, spec

NOTE = "quorum-state"


def copyable(store: LogStore) -> Copyable:
    """The store, as one that can be copied."""
    assert isinstance(store, Copyable)
    return store


class Shown(NamedTuple):
    """All that a log says of itself."""

    start: int
    end: int
    stable: int
    records: bytes
    producers: set[OpenProducer]
    aborted: list[tuple[int, int]]
    epoch: EpochEnd | None
    blobs: dict[str, bytes | None]


async def shown(lab: Lab, log: PartitionLog) -> Shown:
    """Everything a client, or a coordinator, could ask of it."""
    blobs = lab.store.blobs(log.spec)
    return Shown(
        log.log_start_offset,
        log.log_end_offset,
        log.last_stable_offset,
        await lab.whole(log),
        set(await log.producers()),
        [(each[0], each[1]) for each in await log.aborted_transactions(0, log.log_end_offset)],
        log.end_of_epoch(0),
        {blob.name: await blobs.read(blob.name) for blob in await blobs.stored()},
    )


SPECS = [spec("plain"), spec("numbered"), spec("trimmed"), spec("emptied"), spec("created"), spec("__blobs")]


async def written(lab: Lab) -> ScriptedProducer:
    """Logs of every kind; the producer whose transaction is open in `numbered`."""
    one, two = ScriptedProducer(1), ScriptedProducer(2, epoch=3)
    await lab.append(lab.log("plain"), *batches(5))
    numbered = lab.log("numbered", segment_bytes=300)
    for value in (b"a", b"b", b"c"):
        await lab.append(numbered, one.batch(value, transactional=True))
    await lab.append(numbered, one.marker(commit=False))
    for value in (b"d", b"e"):
        await lab.append(numbered, two.batch(value, transactional=True))
    for topic, start in (("trimmed", 2), ("emptied", 4)):
        await lab.append(lab.log(topic), batch(b"0", b"1", b"2", b"3"))
        await lab.log(topic).delete_before(start)
    await lab.store.create_logs([spec("created")])
    await lab.append(lab.log("__blobs"), batch(b"x"))
    await lab.store.blobs(spec("__blobs")).write(NOTE, lambda: iter([b"who", b" leads"]))
    return two


class CopyConformance(Bench):
    """All logs at one moment, and stores that take another's place."""

    @abstractmethod
    def other_store(self) -> AbstractAsyncContextManager[LogStore]:
        """A new, open store of another engine."""

    @asynccontextmanager
    async def replaced(self, lab: Lab, copy: StoreCopy | None) -> AsyncIterator[Lab]:
        """The store of `lab` gives way to what is in `copy`."""
        store = copyable(lab.store)
        await store.prepare(copy)
        async with self._next_of(store) as after:
            yield after

    @asynccontextmanager
    async def _next_of(self, store: Copyable) -> AsyncIterator[Lab]:
        given = await store.give_way()

        @asynccontextmanager
        async def opened() -> AsyncIterator[LogStore]:
            await given.open()
            yield given
            await given.close()

        after = Lab(opened)
        await after.open()
        try:
            yield after
        finally:
            await after.close()

    async def test_a_copy_comes_back_as_it_was(self) -> None:
        """E26: Records, starts, producers, transactions, blobs: each log answers what it answered at the moment of the
        copy, whatever has been written and deleted since."""
        async with self.lab() as lab:
            await written(lab)
            before = {each.topic: await shown(lab, lab.log(each.topic)) for each in SPECS}
            copy = await copyable(lab.store).copy(lambda: SPECS)
            await lab.append(lab.log("plain"), batch(b"later"))
            await lab.append(lab.log("numbered"), ScriptedProducer(9).batch(b"later"))
            await lab.store.delete_logs([spec("trimmed")])
            await lab.store.blobs(spec("__blobs")).write(NOTE, lambda: iter([b"another"]))
            identity = lab.store.cluster_id, lab.store.directory_id
            async with self.replaced(lab, copy) as after:
                assert {each.topic: await shown(after, after.log(each.topic)) for each in SPECS} == before
                assert (after.store.cluster_id, after.store.directory_id) == identity
                assert sorted(after.store.existing()) == sorted((each.topic, 0) for each in SPECS)
            await copyable(lab.store).let_go(copy)

    async def test_a_copy_is_of_one_moment(self) -> None:
        """While it is taken logs are written, one behind the other, made and deleted: none has what is later than what
        another lacks."""
        specs = [spec("first"), spec("second")]
        async with self.lab() as lab:
            first, second = lab.log("first", segment_bytes=2000), lab.log("second")

            async def write() -> None:
                for number in itertools.count():
                    await lab.append(first, batch(b"%d" % number))
                    await lab.append(second, batch(b"%d" % number))
                    await lab.store.create_logs([spec("passing", number)])
                    await lab.append(lab.log("passing", number), batch(b"x"))
                    await lab.store.delete_logs([spec("passing", number)])
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                for _ in range(10):
                    copy = await copyable(lab.store).copy(lambda: specs)
                    ends = {log.topic: log.end for log in copy.logs}
                    assert ends.get("second", 0) <= ends.get("first", 0) <= ends.get("second", 0) + 1
                    for log in copy.logs:
                        found = [read_header(data) for each in log.segments for data in whole_batches(each.pieces())]
                        assert (found[-1].last_offset + 1 if found else 0) == log.end
                    await copyable(lab.store).let_go(copy)
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    async def test_logs_go_on_where_the_copy_ends(self) -> None:
        """A batch that was sent before is recognised, the next one fits, the open transaction is ended."""
        async with self.lab() as lab:
            producer = await written(lab)
            copy = await copyable(lab.store).copy(lambda: SPECS)
            async with self.replaced(lab, copy) as after:
                log = after.log("numbered", segment_bytes=300)
                assert (await after.append(log, producer.repeat(1))).duplicate
                end = log.log_end_offset
                assert (await after.append(log, producer.batch(b"f", transactional=True))).base_offset == end
                assert log.last_stable_offset == end - 2
                await after.append(log, producer.marker(commit=True))
                assert log.last_stable_offset == log.log_end_offset
                with refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER):
                    await after.append(log, producer.batch(b"g", sequence=producer.sequence + 1))

    async def test_another_engine_takes_the_copy(self) -> None:
        """It answers the same, and a copy of that comes back the same."""
        async with self.lab() as lab, self.other_store() as other:
            await written(lab)
            before = {each.topic: await shown(lab, lab.log(each.topic)) for each in SPECS}
            await copyable(other).prepare(await copyable(lab.store).copy(lambda: SPECS))
            async with self._next_of(copyable(other)) as there:
                assert {each.topic: await shown(there, there.log(each.topic)) for each in SPECS} == before
                assert there.store.cluster_id == lab.store.cluster_id
                back = await copyable(there.store).copy(lambda: SPECS)
                async with self.replaced(lab, back) as after:
                    assert {each.topic: await shown(after, after.log(each.topic)) for each in SPECS} == before

    async def test_without_a_copy_nothing_is_left(self) -> None:
        """The cluster is the same one; a log of an old name and id begins at 0."""
        async with self.lab() as lab:
            await written(lab)
            identity = lab.store.cluster_id, lab.store.directory_id
            async with self.replaced(lab, None) as after:
                assert (after.store.cluster_id, after.store.directory_id) == identity
                assert list(after.store.existing()) == []
                assert (await after.append(after.log("plain"), batch(b"new"))).base_offset == 0
                assert await after.values(after.log("plain")) == [b"new"]
                assert await after.store.blobs(spec("__blobs")).stored() == []

    async def test_what_was_prepared_last_counts(self) -> None:
        """An earlier preparation leaves nothing behind."""
        async with self.lab() as lab:
            await lab.append(lab.log("plain"), batch(b"a"))
            copy = await copyable(lab.store).copy(lambda: SPECS)
            await copyable(lab.store).prepare(copy)
            async with self.replaced(lab, None) as after:
                assert list(after.store.existing()) == []

    async def test_a_copy_that_cannot_be_taken_changes_nothing(self) -> None:
        """One whose segment is shorter than it says, or no batches at all, is refused in a sentence."""
        async with self.lab() as lab:
            await lab.append(lab.log("plain"), batch(b"a"))
            copy = await copyable(lab.store).copy(lambda: SPECS)
            [log] = copy.logs
            cut = bytes(b"".join(log.segments[0].pieces()))[:-1]
            short = log._replace(segments=[SegmentCopy(0, len(cut) + 1, lambda: iter([cut]))])
            try:
                await copyable(lab.store).prepare(copy._replace(logs=[short]))
            except StoreError:
                pass
            else:
                raise AssertionError("taken")
            assert await lab.values(lab.log("plain")) == [b"a"]

    async def test_gaps_that_compaction_has_left_are_none_to_a_reader(self) -> None:
        """Reading from an offset that no record has goes on with the next batch, even where one batch fills a read."""
        async with self.lab() as lab:
            await lab.append(lab.log("plain"), *batches(6, size=200))
            [log] = (await copyable(lab.store).copy(lambda: SPECS)).logs
            data = bytes(b"".join(log.segments[0].pieces()))
            size = len(data) // 6
            kept = data[: 2 * size] + data[4 * size :]
            gap = log._replace(segments=[SegmentCopy(0, len(kept), lambda: iter([kept]))])
            copy = StoreCopy(lab.store.cluster_id, lab.store.directory_id, [gap])
            async with self.replaced(lab, copy) as after:
                for start in (2, 3, 4):
                    found = await after.read(after.log("plain"), start, max_bytes=size)
                    assert found == data[4 * size : 5 * size], start
                assert await after.read(after.log("plain"), 0, upto=3) == data[: 2 * size]
