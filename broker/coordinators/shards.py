"""The shards of an internal topic that this broker coordinates: found by id, loaded, given up.

A coordinator keeps its state in an internal topic (`__consumer_offsets`, for example), one machine for each partition.
A partition with its log, its runtime and the machine on it is a **shard**. `Shards` hosts those of one topic, for any
coordinator:

    follow(topic)   the topic is there, was altered, or is gone (None)
    take_up(i, e)   this broker coordinates partition i from now on
    give_up(i)      it does not any more
    decide(key)     a decision of the shard that `key` belongs to

A request may name thousands of keys, or want thousands of things of one. `decide_many` and `look_at_many` are for
those: they give way to other tasks between the decisions, and wait for the disk once for all of them.

**Finding.** An id belongs to the partition that it hashes to (`routing.py`). The number of partitions is that of the
topic when it was first seen, and counts for as long as the topic exists.

**Opening.** A shard whose log holds something is loaded at the start, or when it is taken up. The others, mostly all
fifty of them, are opened by their first request, for an empty log takes no loading. A request that comes during the
first load of its shard waits for the end of it; if that was no success, or the state was lost later, requests are
refused with COORDINATOR_LOAD_IN_PROGRESS until a load has succeeded, as the runtime says.

**Giving up.** Brokers of one cluster share the partitions of an internal topic (`share`), and one may lose a partition
to another while it runs. Alone, a broker coordinates all partitions of a topic as soon as it is there; one of several
waits for `take_up`. `give_up` takes effect at once: requests for the shard, those that are waiting for their reply
included, are answered NOT_COORDINATOR, which sends clients to FindCoordinator. What had been appended stays in the log
for the next owner; a client that was waiting for it does not learn that. Should two brokers believe that they own a
partition, the log decides (`expected_end`, see `runtime.py`): a new owner begins with a batch of its own
(`fencing.py`), the former one finds its append refused, and has given the shard up then.

Kafka: the part of CoordinatorRuntime that schedules load and unload operations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

import trio

from broker.coordinators.machine import Decision, Machine, Promise
from broker.coordinators.routing import shard_of
from broker.coordinators.runtime import Runtime, RuntimeStatistics
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import Uuid
from storage.engine import Batch, LogSpec, LogStore, PartitionLog
from storage.log_config import LogConfig
from storage.seams.clock import Instant
from storage.seams.slices import Slices

MachineT = TypeVar("MachineT", bound=Machine[Any])
ReplyT = TypeVar("ReplyT")

BEGUN_AT_ONCE: Final = 1000
"""Decisions of one request that wait for the disk together: so many promises are held."""


class Begun(Generic[ReplyT]):
    """A decision that has been taken, and whose reply may have to wait for the disk."""

    __slots__ = ("_promise", "_runtime")

    def __init__(self, runtime: Runtime[Any], promise: Promise[ReplyT]) -> None:
        self._runtime = runtime
        self._promise = promise

    def is_answered(self) -> bool:
        """Whether there is an `answer`."""
        return self._promise.resolved

    def answer(self) -> ReplyT | KafkaError:
        """The reply, when it is there; a KafkaError is returned."""
        return self._promise.given()

    async def outcome(self) -> ReplyT | KafkaError:
        """The reply, once it is there; a KafkaError is returned."""
        found: ReplyT | KafkaError = await self._runtime.outcome(self._promise)
        return found


class ShardedTopic(NamedTuple):
    """An internal topic as its coordinator sees it."""

    name: str
    topic_id: Uuid
    partition_count: int
    config: LogConfig


@dataclass(frozen=True, slots=True)
class ShardsStatistics:
    """The shards of one topic at a glance."""

    partitions: int
    """Of the topic; 0 while there is none."""
    owned: int
    """Of these, the ones that this broker coordinates."""
    runtimes: tuple[RuntimeStatistics, ...]
    """Of the shards that are open, in the order of their partitions."""


class _Shard(Generic[MachineT]):
    """One partition, open."""

    __slots__ = ("log", "ready", "runtime")

    def __init__(self, log: PartitionLog, runtime: Runtime[MachineT]) -> None:
        self.log = log
        self.runtime = runtime
        self.ready = trio.Event()
        """Set when the first load has ended, well or badly."""


class Shards(Generic[MachineT]):
    """Hosts the shards of one internal topic.

    `new_runtime` makes the runtime for a log. Shards are hosted in the nursery that `host` is given. Whatever names a
    key raises KafkaError: NOT_COORDINATOR if this broker does not coordinate it, there being no topic included, or if
    the shard is lost while the caller waits; COORDINATOR_LOAD_IN_PROGRESS while the shard loads.
    """

    def __init__(self, store: LogStore, new_runtime: Callable[[PartitionLog], Runtime[MachineT]]) -> None:
        self._store = store
        self._new_runtime = new_runtime
        self._nursery: trio.Nursery | None = None
        self._topic: ShardedTopic | None = None
        self._owned: dict[int, int] = {}  # and the epoch in which each was taken up
        self._fence: Callable[[], Batch] | None = None
        self._on_overtaken: Callable[[], None] | None = None
        self._open: dict[int, _Shard[MachineT]] = {}

    def share(self, fence: Callable[[], Batch], on_overtaken: Callable[[], None]) -> None:
        """Be one of several brokers that share the topic: coordinate what was taken up and nothing else. `fence` makes
        the batch that a shard's owner begins with; `on_overtaken` is called when another broker's has come behind this
        one's. Before `host`."""
        self._fence, self._on_overtaken = fence, on_overtaken

    def host(self, nursery: trio.Nursery, topic: ShardedTopic | None) -> None:
        """Host shards in `nursery` from now on, and load those of `topic` that hold something."""
        self._nursery = nursery
        self.follow(topic)
        for index in self._owned:
            self._open_if_it_holds_something(index)

    async def loaded(self) -> None:
        """Return when the first load of each shard that is open has ended."""
        for shard in list(self._open.values()):
            await shard.ready.wait()

    # --- which shards there are

    def follow(self, topic: ShardedTopic | None) -> None:
        """The topic as it is now; None if it does not exist.

        A broker that is alone coordinates all partitions of a topic that is new; their logs are expected to be empty.
        Of a topic that is known already only the config is followed.
        """
        known = self._topic
        if known is not None and topic is not None and known.topic_id == topic.topic_id:
            self._topic = known._replace(config=topic.config)
            for shard in self._open.values():
                shard.log.configure(topic.config)
            return
        for index in list(self._owned):
            self.give_up(index)
        self._topic = topic
        if topic is not None and self._fence is None:
            self._owned.update(dict.fromkeys(range(topic.partition_count), 0))

    def take_up(self, index: int, epoch: int = 0) -> None:
        """Coordinate partition `index` of the topic from now on, in this epoch. Does nothing if that is so already."""
        assert self._topic is not None and 0 <= index < self._topic.partition_count, "a partition of the topic"
        if index not in self._owned:
            self._owned[index] = epoch
            self._open_if_it_holds_something(index)
        self._owned[index] = epoch

    def give_up(self, index: int) -> None:
        """Coordinate partition `index` no longer: clients that wait for it are answered NOT_COORDINATOR now."""
        self._owned.pop(index, None)
        shard = self._open.pop(index, None)
        if shard is not None:
            shard.runtime.stop()
            shard.ready.set()

    @property
    def owned(self) -> Collection[int]:
        """The partitions that this broker coordinates."""
        return self._owned.keys()

    @property
    def partition_count(self) -> int:
        """Partitions of the topic; 0 while there is none."""
        return 0 if self._topic is None else self._topic.partition_count

    def epoch_of(self, key: str) -> int:
        """The epoch in which the shard of `key` was taken up. Raises KafkaError(NOT_COORDINATOR)."""
        epoch = self._owned.get(self.index_of(key))
        if epoch is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        return epoch

    def owns(self, key: str) -> bool:
        """True if this broker coordinates what belongs to `key`."""
        return self._topic is not None and shard_of(key, self._topic.partition_count) in self._owned

    def statistics(self) -> ShardsStatistics:
        """Counts, and what each open shard's runtime says."""
        return ShardsStatistics(
            0 if self._topic is None else self._topic.partition_count,
            len(self._owned),
            tuple(self._open[index].runtime.statistics() for index in sorted(self._open)),
        )

    # --- asking them

    async def decide(self, key: str, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]) -> ReplyT:
        """Take a decision in the shard of `key`; its reply, when it is durable."""
        shard = self._shard(key)
        runtime = shard.runtime if shard.ready.is_set() else await self._runtime(key)
        return await runtime.decide(decide)

    def begin(
        self, key: str, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]
    ) -> Begun[ReplyT] | None:
        """Take a decision in the shard of `key` now; its reply is still to be waited for. None if the shard is not
        loaded yet: `decide` waits for that."""
        shard = self._shard(key)
        if not shard.ready.is_set():
            return None
        runtime = shard.runtime
        return Begun(runtime, runtime.begin(decide))

    async def decide_in(
        self, index: int, decide: Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]
    ) -> ReplyT:
        """Take a decision in partition `index` of the topic."""
        shard = self._shard_at(index)
        if not shard.ready.is_set():
            await shard.ready.wait()
        return await shard.runtime.decide(decide)

    async def loaded_log_of(self, key: str) -> PartitionLog:
        """The log of the shard of `key`, of which all is known that other owners have appended, once it is loaded.
        Raises KafkaError as a decision does, while it is not."""
        shard = self._shard(key)
        if not shard.ready.is_set():
            await shard.ready.wait()
        shard.runtime.check_loaded()
        return shard.log

    def machine_of(self, key: str) -> MachineT | None:
        """The state of the shard of `key`, durable or not, to look at and never to change; None while it is loaded."""
        return self._shard(key).runtime.machine

    def index_of(self, key: str) -> int:
        """The partition of the topic that `key` belongs to, of this broker or another."""
        if self._topic is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        return shard_of(key, self._topic.partition_count)

    async def decide_many(
        self, decisions: Iterable[tuple[str, Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]]]
    ) -> list[ReplyT | KafkaError]:
        """Take decisions, each in the shard of its key, in this order; other requests may come in between. Returns the
        replies when all are durable."""
        begun: deque[tuple[Runtime[MachineT], Promise[ReplyT]] | KafkaError] = deque()
        replies: list[ReplyT | KafkaError] = []
        slices, refusals = Slices(), _Refusals()

        async def finish() -> None:
            while begun:
                each = begun[0]
                replies.append(each if isinstance(each, KafkaError) else await each[0].outcome(each[1]))
                begun.popleft()
                await slices.give_way()

        try:
            async for key, decide in slices.over(decisions):
                if len(begun) == BEGUN_AT_ONCE:
                    await finish()
                try:
                    runtime = await self._runtime(key)
                    begun.append((runtime, runtime.begin(decide)))
                except KafkaError as error:
                    begun.append(refusals.same(error))
            await finish()
            return replies
        finally:
            for each in begun:
                if not isinstance(each, KafkaError):
                    each[0].forget(each[1])

    async def look_at_many(
        self, keys: Iterable[str], look: Callable[[MachineT, str], ReplyT]
    ) -> dict[str, ReplyT | KafkaError]:
        """Look at the shard of each key; at equal keys once. The answers leave when what they saw is durable.

        Other requests may come in between: what `look` returns must not be changed by them.
        """
        found: dict[str, ReplyT | KafkaError] = {}
        looked_at: dict[MachineT, tuple[Runtime[MachineT], list[str]]] = {}
        slices, refusals = Slices(), _Refusals()
        async for key in slices.over(keys):
            if key in found:
                continue
            try:
                runtime = await self._runtime(key)
                machine = runtime.machine
                if machine is None:
                    runtime.begin(_looking(lambda machine: None))  # raises the reason
                    continue
            except KafkaError as error:
                found[key] = refusals.same(error)
                continue
            found[key] = look(machine, key)
            looked_at.setdefault(machine, (runtime, []))[1].append(key)
        for machine, (runtime, its_keys) in looked_at.items():
            lost = await self._unless_durable(runtime, machine)
            if lost is not None:
                found.update(dict.fromkeys(its_keys, lost))
        return found

    async def _unless_durable(self, runtime: Runtime[MachineT], machine: MachineT) -> KafkaError | None:
        """None once all that this machine knows now is durable, else why it will not be."""
        try:
            same = await runtime.decide(_looking(lambda present: present is machine))
        except KafkaError as error:
            return KafkaError(error.code, error.message)
        return None if same else KafkaError(ErrorCode.NOT_COORDINATOR)

    async def look(self, key: str, look: Callable[[MachineT], ReplyT]) -> ReplyT:
        """Look at the shard of `key`. The answer leaves when what it saw is durable."""
        return await self.decide(key, _looking(look))

    async def look_at_each(self, look: Callable[[MachineT], ReplyT]) -> list[ReplyT]:
        """Look at every shard that holds something, one after the other. One that is given up meanwhile is left out."""
        found = []
        for index, shard in list(self._open.items()):
            try:
                await shard.ready.wait()
                found.append(await shard.runtime.decide(_looking(look)))
            except KafkaError:
                if self._open.get(index) is shard:
                    raise
        return found

    async def walk_each(self, walk: Callable[[MachineT], Iterable[ReplyT]]) -> list[ReplyT]:
        """What a walk through each shard finds, in slices; other requests may come in between. The answer leaves when
        what the walks saw is durable. A shard that is given up meanwhile is left out."""
        found: list[ReplyT] = []
        slices = Slices()
        for index, shard in list(self._open.items()):
            try:
                await shard.ready.wait()
                machine = await shard.runtime.decide(_looking(lambda machine: machine))
                seen = [each async for each in slices.over(walk(machine))]
                if (lost := await self._unless_durable(shard.runtime, machine)) is not None:
                    raise lost
                found += seen
            except KafkaError:
                if self._open.get(index) is shard:
                    raise
        return found

    async def decide_in_each(self, decide: Callable[[MachineT, Instant, Promise[None]], Decision[Any]]) -> None:
        """Take a decision in every open shard. One that is being loaded, or given up, is left out."""
        for shard in list(self._open.values()):
            try:
                await shard.runtime.decide(decide)
            except KafkaError:
                continue

    def next_deadline(self) -> int | None:
        """The first time at which a shard that is loaded wants to be asked, in monotonic milliseconds."""
        return min(filter(None, (shard.runtime.next_deadline for shard in self._open.values())), default=None)

    async def catch_up(self, now: int) -> None:
        """The clock has been moved, to `now` of its monotonic time: let every shard decide on what is due. Returns when
        that is durable."""
        for shard in list(self._open.values()):
            due = shard.runtime.next_deadline
            if due is not None and due <= now:
                await shard.runtime.catch_up()

    def machines(self) -> Iterator[MachineT]:
        """The state of every shard that is loaded, to look at and never to change."""
        for shard in self._open.values():
            if shard.runtime.machine is not None:
                yield shard.runtime.machine

    @property
    def open(self) -> Collection[int]:
        """The partitions whose shards are loaded, or are being loaded."""
        return self._open.keys()

    # --- hosting

    async def _runtime(self, key: str) -> Runtime[MachineT]:
        shard = self._shard(key)
        if not shard.ready.is_set():
            await shard.ready.wait()
        return shard.runtime

    def _shard(self, key: str) -> _Shard[MachineT]:
        return self._shard_at(self.index_of(key))

    def _shard_at(self, index: int) -> _Shard[MachineT]:
        topic = self._topic
        if topic is None or index not in self._owned:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        shard = self._open.get(index)
        if shard is None:
            shard = self._host(index, self._log(topic, index))
        return shard

    def _open_if_it_holds_something(self, index: int) -> None:
        assert self._topic is not None
        log = self._log(self._topic, index)
        if _holds_something(log):
            self._host(index, log)

    def _log(self, topic: ShardedTopic, index: int) -> PartitionLog:
        return self._store.log(LogSpec(topic.name, topic.topic_id, index, topic.config, internal=True))

    def _host(self, index: int, log: PartitionLog) -> _Shard[MachineT]:
        shard = self._open[index] = _Shard(log, self._new_runtime(log))
        if self._fence is not None:
            shard.runtime.begin_behind(self._fence, partial(self._overtaken, index, shard))
        assert self._nursery is not None, "host() comes first"
        self._nursery.start_soon(_run, shard)
        return shard

    def _overtaken(self, index: int, shard: _Shard[MachineT]) -> None:
        """Another broker has begun with the log of this shard."""
        if self._open.get(index) is shard:
            self.give_up(index)
        assert self._on_overtaken is not None
        self._on_overtaken()


class _Refusals:
    """The refusals of one request. An error that was raised holds the frames it came through, and thousands of equal
    ones take megabytes: so each stands here once, and without them."""

    def __init__(self) -> None:
        self._known: dict[tuple[ErrorCode, str | None], KafkaError] = {}

    def same(self, error: KafkaError) -> KafkaError:
        """The one that says the same."""
        known = self._known.get((error.code, error.message))
        if known is None:
            known = self._known[error.code, error.message] = KafkaError(error.code, error.message)
        return known


async def _run(shard: _Shard[Any]) -> None:
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(shard.runtime.run)
            shard.ready.set()
    finally:
        shard.ready.set()  # the broker stops: no request waits for this shard


def _holds_something(log: PartitionLog) -> bool:
    """A log that is offline counts as one that does: its runtime says so to every caller, and goes on trying."""
    try:
        return log.log_end_offset > 0
    except KafkaError:
        return True


def _looking(look: Callable[[MachineT], ReplyT]) -> Callable[[MachineT, Instant, Promise[ReplyT]], Decision[Any]]:
    def decide(machine: MachineT, now: Instant, promise: Promise[ReplyT]) -> Decision[Any]:
        return Decision(replies=((promise, look(machine)),))

    return decide
