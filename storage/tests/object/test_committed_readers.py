"""What readers of committed data get over many brokers, in random histories: all that was committed, nothing else."""

from __future__ import annotations

import random

import pytest
import trio

from kproto.batches.records import iter_records
from kproto.errors import KafkaError
from storage.engine import PartitionLog, Read
from storage.object.engine import ObjectStore
from storage.object.limits import Limits
from storage.testing.log_builder import ScriptedProducer, content, spec, whole_batches
from storage.tests.object.object_lab import Cluster, TrioTime

pytestmark = pytest.mark.usefixtures("autojump_clock")

LIMITS = Limits(upkeep_ms=700, merge_from=4, cache_bytes=30_000)
LOGS = [spec("left"), spec("right"), spec("__internal")]


class Consumer:
    """Reads a log as clients do that leave out what was aborted."""

    def __init__(self, store: ObjectStore, log: PartitionLog) -> None:
        self.store = store
        self.log = log
        self.position = 0
        self.values: list[bytes | None] = []
        self._aborted: set[int] = set()

    async def step(self, max_bytes: int) -> bool:
        """Read once; whether there was anything."""
        read = Read(self.log, self.position, max_bytes, self.log.last_stable_offset, committed=True)
        answers = self.store.read_now([read], max_bytes) or await self.store.read_many([read], max_bytes)
        [found] = answers
        assert not isinstance(found, KafkaError), found
        pending = sorted(found.aborted, key=lambda each: each.first_offset)
        batches = whole_batches(content(found))
        for header, data in batches:
            while pending and pending[0].first_offset <= header.last_offset:
                self._aborted.add(pending.pop(0).producer_id)
            if header.is_control:
                self._aborted.discard(header.producer_id)
            elif header.producer_id not in self._aborted and header.last_offset >= self.position:
                self.values += [record.value for record in iter_records(data)]
            self.position = header.next_offset
        return bool(batches)


@pytest.mark.parametrize("seed", range(3))
async def test_readers_get_what_was_committed(seed: int) -> None:
    """Three brokers, each of which may write data or markers and serve readers; runs are merged meanwhile, caches are
    small, consumers change their broker."""
    chance = random.Random(seed)
    place = Cluster(TrioTime())
    place.bucket._delay = lambda kind, size: chance.random() * 0.2
    expected: dict[str, list[bytes]] = {each.topic: [] for each in LOGS}
    refused: set[bytes] = set()

    async def produce(stores: list[ObjectStore], number: int) -> None:
        producer = ScriptedProducer(number)
        for count in range(12):
            commit = chance.random() < 0.5
            written: list[tuple[str, bytes]] = []
            for part in range(chance.randint(1, 3)):
                value = b"%d-%d-%d-%d" % (number, count, part, commit)
                each = chance.choice(LOGS)
                log = chance.choice(stores).log(each)
                own = ScriptedProducer(number, epoch=producer.epoch, sequence=sequences.get((number, each.topic), 0))
                batch = own.batch(value * chance.choice([1, 1, 200]), transactional=True)
                await log.begin_append([batch]).wait_durable()
                sequences[number, each.topic] = own.sequence
                written.append((each.topic, value))
                await trio.sleep(chance.random() * 0.1)
            for topic in {topic for topic, _ in written}:
                marker = producer.marker(commit=commit)
                store = chance.choice(stores)
                await (
                    store.log(next(each for each in LOGS if each.topic == topic)).begin_append([marker]).wait_durable()
                )
            if commit:
                for topic, value in written:
                    expected[topic].append(value)
            else:
                refused.update(value for _, value in written)

    sequences: dict[tuple[int, str], int] = {}
    async with (
        place.broker(1, limits=LIMITS) as one,
        place.broker(2, limits=LIMITS) as two,
        place.broker(3, limits=LIMITS._replace(cache_bytes=1)) as three,
        trio.open_nursery() as upkeep,
    ):
        stores = [one, two, three]
        for store in stores:
            upkeep.start_soon(store.maintain)
        consumers = [Consumer(store, store.log(each)) for store in stores for each in LOGS]
        done = trio.Event()

        async def consume(consumer: Consumer) -> None:
            while not done.is_set() or consumer.position < consumer.log.last_stable_offset:
                if not await consumer.step(chance.choice([1, 300, 5000, 1 << 20])):
                    await trio.sleep(0.02)
                if chance.random() < 0.05:
                    consumer.store = chance.choice(stores)
                    consumer.log = consumer.store.log(consumer.log.spec)

        async with trio.open_nursery() as reading:
            for consumer in consumers:
                reading.start_soon(consume, consumer)
            async with trio.open_nursery() as writing:
                for number in range(1, 5):
                    writing.start_soon(produce, stores, number)
            for store in stores:
                await store.refresh([store.log(each) for each in LOGS])
            done.set()
        upkeep.cancel_scope.cancel()
    for consumer in consumers:
        found = [bytes(value).split(b"-")[:3] for value in consumer.values if value is not None]
        assert not [value for value in consumer.values if value is not None and value.split(b"-")[3][:1] == b"0"]
        assert sorted(found) == sorted(value.split(b"-")[:3] for value in expected[consumer.log.spec.topic])
