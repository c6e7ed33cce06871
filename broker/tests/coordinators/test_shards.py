"""Which shards a broker coordinates, and what their clients hear. Machines are counters, the engine is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from broker.coordinators.runtime import Runtime
from broker.coordinators.shards import ShardedTopic, Shards
from broker.testing.faulty_log import FaultyLog, FaultyStore
from broker.tests.coordinators.sums import Sum, add, read, wait_for
from kproto.errors import ErrorCode, KafkaError
from storage.engine import LogSpec, LogStore, WrongEnd
from storage.log_config import LogConfig
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

TOPIC = ShardedTopic("__sums", bytes(15) + b"\x07", 3, LogConfig())
KEYS = {0: "polygenelubricants", 1: "a", 2: "b"}  # a key of each partition


class Hosted:
    """The shards of one broker, and the store under them."""

    def __init__(self, store: FaultyStore | None = None) -> None:
        self.clock = SystemClock()
        self.store = store or FaultyStore(MemoryStore(self.clock, SeededEntropy(1)))
        logs = cast(LogStore, self.store)
        self.shards: Shards[Sum] = Shards(logs, lambda log: Runtime(log, logs, Sum, self.clock))

    def log(self, index: int, topic: ShardedTopic = TOPIC) -> FaultyLog:
        return self.store.faulty(LogSpec(topic.name, topic.topic_id, index, topic.config))


@asynccontextmanager
async def hosted(topic: ShardedTopic | None = TOPIC, store: FaultyStore | None = None) -> AsyncIterator[Hosted]:
    host = Hosted(store)
    async with trio.open_nursery() as nursery:
        host.shards.host(nursery, topic)
        await host.shards.loaded()
        yield host
        nursery.cancel_scope.cancel()


async def fails(code: ErrorCode, call: Callable[[], object]) -> None:
    with pytest.raises(KafkaError) as caught:
        result = call()
        if hasattr(result, "__await__"):
            await result
    assert caught.value.code is code


async def test_a_key_is_decided_on_in_its_shard() -> None:
    """Each key has its own partition's log; one that has never been asked for is not even opened."""
    async with hosted() as host:
        assert await host.shards.decide(KEYS[1], add(5)) == 5
        assert await host.shards.look(KEYS[1], lambda machine: machine.total) == 5
        assert [host.log(index).log_end_offset for index in range(3)] == [0, 1, 0]
        assert list(host.shards.open) == [1]


async def test_shards_that_hold_something_are_loaded_at_the_start() -> None:
    """An empty log takes no loading: its shard is opened by its first request."""
    async with hosted() as host:
        await host.shards.decide(KEYS[1], add(5))
    async with hosted(store=host.store) as again:
        assert list(again.shards.open) == [1]
        assert [machine.total for machine in again.shards.machines()] == [5]


async def test_without_its_topic_no_broker_is_the_coordinator() -> None:
    """NOT_COORDINATOR, until the topic exists."""
    async with hosted(topic=None) as host:
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[1], read))
        assert await host.shards.look_at_each(lambda machine: machine.total) == []
        host.shards.follow(TOPIC)
        assert await host.shards.decide(KEYS[1], add(5)) == 5


async def test_a_shard_that_is_given_up_answers_its_clients_at_once() -> None:
    """M7: NOT_COORDINATOR for those who are parked, for those whose append is on its way, and for those who come."""
    async with hosted() as host:
        codes: list[ErrorCode] = []

        async def client(wanted: int) -> None:
            with pytest.raises(KafkaError) as caught:
                await host.shards.decide(KEYS[1], wait_for(wanted) if wanted else add(1))
            codes.append(caught.value.code)

        async with trio.open_nursery() as clients:
            await host.shards.decide(KEYS[1], add(5))
            host.log(1).hold()
            clients.start_soon(client, 99)
            clients.start_soon(client, 0)
            await trio.testing.wait_all_tasks_blocked()
            host.shards.give_up(1)
            await fails(ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[1], read))
        assert codes == [ErrorCode.NOT_COORDINATOR] * 2
        assert not host.shards.owns(KEYS[1])
        assert await host.shards.decide(KEYS[2], add(7)) == 7, "the others go on"
        assert host.shards.statistics().owned == 2


async def test_a_shard_that_is_taken_up_knows_what_the_former_owner_wrote() -> None:
    """Two brokers on one store: one gives up, the other takes up, and goes on where the first ended."""
    async with hosted() as first, hosted(store=first.store) as second:
        second.shards.give_up(1)
        await first.shards.decide(KEYS[1], add(5))
        first.shards.give_up(1)
        second.shards.take_up(1)
        assert await second.shards.decide(KEYS[1], add(5)) == 10
        second.shards.give_up(1)
        first.shards.take_up(1)
        first.shards.take_up(1)
        assert await first.shards.decide(KEYS[1], add(5)) == 15


async def test_a_shard_can_be_given_up_while_it_loads() -> None:
    """The client that waits for the load hears NOT_COORDINATOR, and nothing is left running."""
    async with hosted() as host:
        await host.shards.decide(KEYS[1], add(5))
    host.log(1).unreadable = True
    again = Hosted(host.store)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(5):
            again.shards.host(nursery, TOPIC)
            await again.shards.loaded()
        assert again.shards.statistics().runtimes[0].state == "loading"
        await fails(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: again.shards.decide(KEYS[1], read))
        again.shards.give_up(1)
        await fails(ErrorCode.NOT_COORDINATOR, lambda: again.shards.decide(KEYS[1], read))
    assert list(again.shards.open) == []  # the nursery has ended by itself


async def test_a_shard_can_be_given_up_before_its_task_has_run() -> None:
    """Taken up and given up in one step: the request that opened it is sent away."""
    async with hosted() as host:
        codes: list[ErrorCode] = []

        async def client() -> None:
            try:
                await host.shards.decide(KEYS[1], add(1))
            except KafkaError as error:
                codes.append(error.code)

        async with trio.open_nursery() as clients:
            clients.start_soon(client)
            await trio.lowlevel.checkpoint()
            host.shards.give_up(1)
        assert codes == [ErrorCode.NOT_COORDINATOR]
        host.shards.take_up(1)
        assert await host.shards.decide(KEYS[1], add(1)) == 1


async def test_a_deleted_topic_takes_its_shards_along() -> None:
    """Another topic of the same name starts with empty shards, and may have another number of partitions."""
    async with hosted() as host:
        await host.shards.decide(KEYS[1], add(5))
        host.shards.follow(None)
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[1], read))
        host.shards.follow(ShardedTopic("__sums", bytes(15) + b"\x08", 1, LogConfig()))
        assert await host.shards.decide(KEYS[1], add(1)) == 1
        assert host.shards.statistics().partitions == 1


async def test_the_number_of_partitions_counts_as_it_was_first_seen() -> None:
    """A topic that has grown would send keys elsewhere; its config is followed."""
    async with hosted() as host:
        await host.shards.decide(KEYS[1], add(5))
        host.shards.follow(TOPIC._replace(partition_count=50, config=LogConfig(segment_bytes=1_000)))
        assert await host.shards.decide(KEYS[1], read) == 5
        assert host.log(1).spec.config.segment_bytes == 1_000


async def test_looking_at_each_leaves_out_only_what_is_given_up() -> None:
    """A list without a shard that loads would be a lie; one that is another broker's now is listed there."""
    async with hosted() as host:
        for number, key in KEYS.items():
            await host.shards.decide(key, add(10 + number))
        host.log(1).hold()
        found: list[int] = []

        async def look() -> None:
            found.extend(await host.shards.look_at_each(lambda machine: machine.total))

        async with trio.open_nursery() as clients:
            clients.start_soon(host.shards.decide_in_each, lambda machine, now, promise: machine.decide_add(1, promise))
            await trio.testing.wait_all_tasks_blocked()
            clients.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            host.shards.give_up(1)
        assert found == [11, 13]
        host.log(2).refuse_next(WrongEnd(0, 1))
        await fails(ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[2], add(1)))
        await fails(
            ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, lambda: host.shards.look_at_each(lambda machine: machine.total)
        )


async def test_many_decisions_are_answered_in_order() -> None:
    """Each in the shard of its key; one whose shard is given up is refused, and the others are not."""
    async with hosted() as host:
        host.shards.give_up(1)
        replies = await host.shards.decide_many(
            [(KEYS[0], add(1)), (KEYS[1], add(2)), (KEYS[2], add(3)), (KEYS[0], add(4))]
        )
        refused = replies.pop(1)
        assert isinstance(refused, KafkaError) and refused.code is ErrorCode.NOT_COORDINATOR
        assert replies == [1, 3, 5]


async def test_many_keys_are_looked_at_once_each() -> None:
    """Equal keys get one look. What is not coordinated here has its error."""
    async with hosted() as host:
        await host.shards.decide(KEYS[0], add(1))
        host.shards.give_up(1)
        looks: list[str] = []

        def look(machine: Sum, key: str) -> int:
            looks.append(key)
            return machine.total

        found = await host.shards.look_at_many([KEYS[0], KEYS[1], KEYS[0], KEYS[2]], look)
        refused = found.pop(KEYS[1])
        assert isinstance(refused, KafkaError) and refused.code is ErrorCode.NOT_COORDINATOR
        assert found == {KEYS[0]: 1, KEYS[2]: 0}
        assert looks == [KEYS[0], KEYS[2]]


async def test_what_was_seen_and_then_lost_is_not_told() -> None:
    """A look at what is not durable yet is answered when it is, or with the error that it gets instead."""
    async with hosted() as host:
        await host.shards.decide(KEYS[0], add(1))
        host.log(0).hold()
        found: dict[str, int | KafkaError] = {}

        async def look() -> None:
            found.update(await host.shards.look_at_many([KEYS[0]], lambda machine, key: machine.total))

        async with trio.open_nursery() as clients:
            clients.start_soon(fails, ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[0], add(2)))
            await trio.testing.wait_all_tasks_blocked()
            clients.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            assert not found
            host.shards.give_up(0)
        refused = found[KEYS[0]]
        assert isinstance(refused, KafkaError) and refused.code is ErrorCode.NOT_COORDINATOR


async def test_others_are_served_while_shards_are_walked_through() -> None:
    """A walk is as long as the shard: 100,000 groups were one turn of the event loop. It is answered like a look."""
    async with hosted() as host:
        await host.shards.decide(KEYS[0], add(1))
        await host.shards.decide(KEYS[2], add(3))
        served = trio.Event()

        async def other() -> None:
            await trio.lowlevel.checkpoint()
            served.set()

        def walk(machine: Sum) -> Iterator[int]:
            for _ in range(1_000_000):
                if served.is_set():
                    break
                yield 0
            yield machine.total

        async with trio.open_nursery() as clients:
            clients.start_soon(other)
            found = await host.shards.walk_each(walk)
        assert [each for each in found if each] == [1, 3]
        assert len(found) < 1_000_000
        host.log(0).hold()
        async with trio.open_nursery() as clients:
            clients.start_soon(fails, ErrorCode.NOT_COORDINATOR, lambda: host.shards.decide(KEYS[0], add(2)))
            await trio.testing.wait_all_tasks_blocked()
            seen: list[list[int]] = []

            async def tell() -> None:
                seen.append(await host.shards.walk_each(lambda machine: [machine.total]))

            clients.start_soon(tell)
            await trio.testing.wait_all_tasks_blocked()
            assert not seen
            host.shards.give_up(0)
        assert seen == [[3]], "a shard that was given up is left out"


async def test_statistics_are_a_value() -> None:
    """What is open, what has been decided, who waits; looking changes nothing."""
    async with hosted() as host:
        await host.shards.decide(KEYS[1], add(5))
        async with trio.open_nursery() as clients:
            clients.start_soon(host.shards.decide, KEYS[1], wait_for(6))
            await trio.testing.wait_all_tasks_blocked()
            seen = host.shards.statistics()
            assert seen == host.shards.statistics()
            await host.shards.decide(KEYS[1], add(5))
        [shard] = seen.runtimes
        assert (seen.partitions, seen.owned, shard.topic, shard.partition) == (3, 3, "__sums", 1)
        assert (shard.state, shard.end_offset, shard.decisions, shard.appends) == ("active", 1, 1, 1)
        assert (shard.losses, shard.pending, shard.waiting) == (0, 0, 1)
