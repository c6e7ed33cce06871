"""Fetches by themselves: what a session costs, that it loses no news, and that nothing can be asked without end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.coordinators.cluster import NewTopic
from broker.fetching.fetches import Fetches
from broker.fetching.look import LARGE, SLICE, Asked, Found, Look, Missing
from broker.fetching.sessions import IDLE_MILLIS, MAX_MISSING, NO_SESSION, TopicKey, Wanted
from broker.partitions import Partition
from broker.testing.contexts import World, world
from kproto.batches.header import read_header
from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Batch, FetchedRecords, Read
from storage.memory.engine import MemoryStore
from storage.seams import slices
from storage.seams.clock import VirtualClock
from storage.seams.entropy import SeededEntropy


class CountingStore(MemoryStore):
    """Knows how many partitions it has been asked for."""

    def __init__(self) -> None:
        super().__init__(VirtualClock(), SeededEntropy(1))
        self.asked = 0

    def read_now(
        self, reads: Sequence[Read], max_bytes: int, whole_batch: bool = True
    ) -> list[FetchedRecords | KafkaError]:
        self.asked += len(reads)
        return super().read_now(reads, max_bytes, whole_batch)


class Reader:
    """A client of `Fetches`, with one session."""

    def __init__(self, w: World, fetches: Fetches | None = None) -> None:
        self.fetches = fetches or w.services.fetches
        self.id = 0
        self.epoch = 0

    async def fetch(
        self,
        *wanted: Wanted,
        forget: Iterable[tuple[TopicKey, int]] = (),
        wait_ms: int = 0,
        max_bytes: int = 1 << 20,
        committed: bool = False,
    ) -> dict[tuple[TopicKey, int], Found]:
        """What a request is answered with. Raises KafkaError, and begins a new session the next time."""
        forgotten = list(forget)
        size = len(wanted) + len(forgotten)
        asked = Asked(wanted, forgotten, size, False, self.id, self.epoch, committed, 1, max_bytes, wait_ms)
        try:
            look = await self.fetches.begin_large(asked) if asked.size > LARGE else self.fetches.begin(asked)
            await self.fetches.finish(look)
        except KafkaError:
            self.id = self.epoch = 0
            raise
        found = dict(self._news(look))
        self.id = look.session.id
        self.epoch = self.epoch + 1 if self.id else 0
        return found

    @staticmethod
    def _news(look: Look) -> Iterable[tuple[tuple[TopicKey, int], Found]]:
        return [((wanted.topic, wanted.partition), found) for wanted, found in look.news()]


async def create(w: World, name: str = "t", partitions: int = 1) -> bytes:
    [topic] = await w.cluster.create_topics([NewTopic(name, partitions)])
    assert not isinstance(topic, Exception), topic
    return topic.topic_id


def hosted(w: World, index: int = 0, topic: str = "t") -> Partition:
    partition = w.services.partitions.get(topic, index)
    assert partition is not None
    return partition


def append(w: World, index: int = 0, topic: str = "t") -> None:
    data = build_batch([RecordData(0, 1_700_000_000_000, None, bytes(100), ())])
    hosted(w, index, topic).log.begin_append([Batch(read_header(data), memoryview(data))])


def want(index: int = 0, offset: int = 0, topic: str = "t") -> Wanted:
    return Wanted(topic, index, offset, 1 << 20)


def watchers(w: World, count: int) -> int:
    """Who watches the first `count` partitions of the topic."""
    return sum(len(hosted(w, index).watchers) for index in range(count))


async def test_an_incremental_fetch_costs_what_has_changed() -> None:
    """Of 500 partitions those are looked at that moved or were named; whatever else the session holds is free."""
    store = CountingStore()
    async with world(store=store) as w:
        await create(w, partitions=500)
        reader = Reader(w)
        assert len(await reader.fetch(*(want(index) for index in range(500)))) == 500

        async def cost(*wanted: Wanted, **options: Any) -> tuple[int, list[int]]:
            store.asked = 0
            found = await reader.fetch(*wanted, **options)
            w.services.fetches.sessions.check()
            return store.asked, [index for _, index in found]

        assert await cost() == (0, [])
        append(w, 7)
        append(w, 7)
        append(w, 450)
        assert await cost() == (2, [7, 450])
        assert await cost() == (2, [7, 450])  # the client has not moved on: it is given the same again
        assert await cost(want(7, 2), want(450, 1)) == (2, [])
        assert await cost() == (0, [])
        await hosted(w, 7).log.delete_before(1)
        assert await cost() == (1, [7])
        assert await cost() == (0, [])
        assert await cost(committed=True) == (500, [])
        assert await cost(committed=True) == (0, [])


async def test_an_append_wakes_a_session_once(autojump_clock: trio.testing.MockClock) -> None:
    """However much is appended to a partition that no reader asks for, its watcher hears of it once."""
    store = CountingStore()
    async with world(store=store) as w:
        await create(w, partitions=3)
        reader = Reader(w)
        await reader.fetch(*(want(index) for index in range(3)))
        assert watchers(w, 3) == 3
        for _ in range(10):
            append(w, 1)
        assert watchers(w, 3) == 2
        w.services.fetches.sessions.check()


async def test_nothing_is_watched_for_those_who_have_gone(autojump_clock: trio.testing.MockClock) -> None:
    """A request without a session watches while it waits; a session until it ends, is pushed out, or forgets."""
    async with world() as w:
        await create(w, partitions=3)
        three = [want(index) for index in range(3)]
        fetches = Fetches(w.services.partitions, w.services.store, w.services.clock, SeededEntropy(1), 2)
        without_session = Reader(w, fetches)
        without_session.epoch = -1
        await without_session.fetch(*three, wait_ms=100)
        assert watchers(w, 3) == 0
        with trio.move_on_after(1):
            without_session.epoch = -1
            await without_session.fetch(*three, wait_ms=10_000)
        assert watchers(w, 3) == 0
        assert fetches.statistics().purgatory == (0, 0, 1)

        reader = Reader(w, fetches)
        await reader.fetch(*(want(index) for index in range(3)), wait_ms=100)
        assert watchers(w, 3) == 3
        await reader.fetch(forget=[("t", 1)])
        assert watchers(w, 3) == 2
        with trio.move_on_after(1):
            await reader.fetch(wait_ms=10_000)
        fetches.sessions.check()
        fetches.sessions.end(reader.id)
        assert watchers(w, 3) == 0


async def test_a_session_that_is_pushed_out_answers_who_waits_in_it(autojump_clock: trio.testing.MockClock) -> None:
    """It goes on watching until then, and no longer."""
    async with world() as w, trio.open_nursery() as nursery:
        await create(w)
        reader = Reader(w)
        await reader.fetch(want())
        seen: list[Any] = []

        async def wait() -> None:
            seen.append(await reader.fetch(wait_ms=10_000))

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        w.services.fetches.sessions.end(reader.id)
        append(w)
        await trio.testing.wait_all_tasks_blocked()
        assert [list(found) for found in seen] == [[("t", 0)]]
        assert watchers(w, 1) == 0


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slice is over as soon as it has begun, whatever the machine does in the meantime."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)


@pytest.mark.usefixtures("short_slices")
async def test_very_many_partitions_give_way() -> None:
    """A request of 20,000 partitions, known or not, is worked on in slices: others get their turns in between."""
    async with world() as w, trio.open_nursery() as nursery:
        await create(w, partitions=LARGE + 1)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        reader = Reader(w)
        found = await reader.fetch(*(want(index) for index in range(20_000)))
        assert len(found) == 20_000 and turns > 1.9 * 20_000 / SLICE
        assert sum(isinstance(each, FetchedRecords) for each in found.values()) == LARGE + 1
        assert reader.id == NO_SESSION
        turns = 0
        await Reader(w).fetch(*(want(index) for index in range(LARGE + 1)))
        assert turns > 1.9 * LARGE / SLICE
        nursery.cancel_scope.cancel()


async def test_a_large_look_ends_with_its_bytes() -> None:
    """In an incremental answer; what has not been looked at has its turn the next time."""
    store = CountingStore()
    async with world(store=store) as w:
        count = 2 * LARGE
        await create(w, partitions=count)
        reader = Reader(w)
        await reader.fetch(*(want(index) for index in range(count)))
        for index in range(count):
            append(w, index)
        one = len(build_batch([RecordData(0, 0, None, bytes(100), ())]))
        seen: list[int] = []
        for _ in range(count // 100):
            store.asked = 0
            found = await reader.fetch(max_bytes=100 * one)
            w.services.fetches.sessions.check()
            assert store.asked <= SLICE
            seen += [index for (_, index), each in found.items() if len(getattr(each, "records", b""))]
        assert sorted(seen) == list(range(count))


async def test_a_session_of_missing_partitions_ends() -> None:
    """Each answer would list them all: 52 bytes in, 15 MB out. Full requests are as long as their answers."""
    async with world() as w:
        await create(w)
        reader = Reader(w)
        found = await reader.fetch(*(want(index) for index in range(MAX_MISSING + 1)))
        assert reader.id != NO_SESSION and len(found) == MAX_MISSING + 1
        assert sum(isinstance(each, Missing) for each in found.values()) == MAX_MISSING
        assert len(await reader.fetch()) == MAX_MISSING
        with pytest.raises(KafkaError) as refused:
            await reader.fetch(want(0, 0, "nothing"))
        assert refused.value.code is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        found = await reader.fetch(*(want(index) for index in range(MAX_MISSING + 2)))
        assert reader.id == NO_SESSION and len(found) == MAX_MISSING + 2
        assert w.services.fetches.statistics().sessions == (0, 0, 0)
        assert watchers(w, 1) == 0


async def test_equal_entries_are_one() -> None:
    """199,000 times the same partition is one look, as Kafka's answer has it once."""
    store = CountingStore()
    async with world(store=store) as w:
        await create(w)
        found = await Reader(w).fetch(*[want()] * 199_000)
        assert (store.asked, list(found)) == (1, [("t", 0)])


@pytest.mark.usefixtures("short_slices")
async def test_a_request_that_ends_half_way_is_counted() -> None:
    """The connection closes while a large request is taken over by its session: what it holds is known all the same."""
    async with world() as w:
        await create(w)
        reader = Reader(w)
        await reader.fetch(want())
        with trio.CancelScope() as scope:

            def cancelled() -> Iterable[Wanted]:
                for index in range(3 * SLICE):
                    if index == SLICE + 1:
                        scope.cancel()
                    yield want(index)

            asked = Asked(cancelled(), (), 3 * SLICE, False, reader.id, reader.epoch, False, 1, 1000, 0)
            await reader.fetches.begin_large(asked)
        assert scope.cancelled_caught
        assert reader.fetches.statistics().sessions.partitions == 2 * SLICE


STEPS = st.tuples(
    st.sampled_from(["append", "trim", "delete", "create", "move on", "forget", "fetch", "fetch little", "wait"]),
    st.integers(0, 3),
)


@settings(max_examples=80)
@given(st.lists(STEPS, max_size=40))
async def test_no_news_is_left_out(steps: list[tuple[str, int]]) -> None:
    """P10: whatever happens to topics and logs, after an incremental answer the client knows what a full one would
    have said, but for records that did not fit."""
    async with world() as w:
        partitions, sessions = w.services.partitions, w.services.fetches.sessions
        reader, offsets = Reader(w), dict.fromkeys("abc", 0)
        known: dict[str, Any] = {}

        def fact(found: Found) -> Any:
            if isinstance(found, FetchedRecords):
                return found.high_watermark, found.log_start_offset
            return found.code if isinstance(found, Missing | KafkaError) else found

        async def fetch(*wanted: Wanted, **options: Any) -> None:
            found = await reader.fetch(*wanted, **options)
            for (name, _), each in found.items():
                known[str(name)] = fact(each)
            sessions.check()

        await create(w, "a")
        await fetch(*(want(0, 0, name) for name in offsets))
        for step, number in steps:
            name = "abc"[number % 3]
            partition, topic = partitions.get(name, 0), w.cluster.image.topics.get(name)
            if step == "create" and topic is None:
                await create(w, name)
            elif step == "delete" and topic is not None:
                await w.cluster.delete_topics([topic.topic_id])
            elif step == "append" and partition is not None:
                append(w, 0, name)
            elif step == "trim" and partition is not None:
                await partition.log.delete_before(partition.log.high_watermark)
            elif step == "move on":
                offsets[name] = partition.log.high_watermark if partition is not None else 0
                await fetch(want(0, offsets[name], name))
            elif step == "forget" and len(offsets) > 1 and name in offsets:
                del offsets[name], known[name]
                await fetch(forget=[(name, 0)])
            elif step.startswith("fetch"):
                await fetch(max_bytes=1 if step == "fetch little" else 1 << 20)
                for each, offset in offsets.items():
                    answered = await Reader(w, w.services.fetches).fetch(want(0, offset, each))
                    assert known[each] == fact(answered[each, 0])
            sessions.check()


async def test_statistics_count() -> None:
    """Sessions, their partitions and evictions; those who wait, and how waiting ended."""
    clock = VirtualClock()
    async with world(clock=clock) as w, trio.open_nursery() as nursery:
        await create(w, partitions=3)
        fetches = Fetches(w.services.partitions, w.services.store, clock, SeededEntropy(1), 1)
        first, second = Reader(w, fetches), Reader(w, fetches)
        await first.fetch(want(0), want(1))
        assert fetches.statistics().sessions == (1, 2, 0)
        clock.advance(IDLE_MILLIS)
        await second.fetch(want(2))
        assert fetches.statistics().sessions == (1, 1, 1)
        nursery.start_soon(lambda: second.fetch(wait_ms=60_000))
        await trio.testing.wait_all_tasks_blocked()
        assert fetches.statistics().purgatory == (1, 0, 0)
        append(w, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert fetches.statistics().purgatory == (0, 1, 0)
