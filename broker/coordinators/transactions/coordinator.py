"""The transaction coordinator: what handlers ask, and who sees to it that decided transactions are completed.

`__transaction_state` has 50 partitions by default, each a shard (`shards.py`) with a machine of its own (`machine.py`),
and a request goes to the shard of its transactional id. The topic is made when a client first asks for the coordinator
of a transactional id; until then requests are answered NOT_COORDINATOR, which sends clients to FindCoordinator.

**An EndTxn is answered when its decision is durable**, and the markers are written then (`markers.py`): readers see the
outcome a moment later. When all markers are durable that is recorded too, and the next transaction may begin. One task
looks after it:

    decision replayed ──> prepared ──durable──> markers appended ──durable──> completion recorded
                             ^                                                      │
                             └────────── the shard was lost, and loaded again ──────┘

The task goes by the list that each machine keeps (`TransactionsMachine.prepared`), so it does not matter whether a
client, a time-out or a load has put an id there. A transaction is taken up once at a time, and again if its completion
could not be recorded. What has been begun when the shard is lost, goes on: the decision is the
same on any broker.

**The next transaction** of a producer may come before the completion is recorded. Kafka answers
CONCURRENT_TRANSACTIONS, and clients ask again after 20 ms or more. Here partitions that want to join wait for the
completion, a moment at most (`add.partitions.to.txn.retry.backoff.max.ms`), and only then are answered so. They wait
until it is decided, not until it is durable: what they add stands behind it in the same log, so one sync covers both.

**Producer ids** come from the cluster's log, which takes a moment; a machine that needs one says so, and is asked
again.

Kafka: TransactionCoordinator, TransactionStateManager.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from broker.config.topics import log_config
from broker.coordinators.budget import Budget
from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE
from broker.coordinators.cluster.producer_ids import fresh_producer_id
from broker.coordinators.machine import Decision, EndOfTransaction, Promise
from broker.coordinators.runtime import Runtime
from broker.coordinators.shards import ShardedTopic, Shards, ShardsStatistics
from broker.coordinators.transactions.machine import Initialization, Listing, Owner, TransactionsMachine
from broker.coordinators.transactions.markers import FIRST_RETRY, LAST_RETRY, MarkerWriter
from broker.coordinators.transactions.records import TransactionRecord
from broker.coordinators.transactions.settings import TransactionSettings
from broker.coordinators.transactions.states import VERSION_2, Transaction, TransactionState
from kproto.errors import ErrorCode, KafkaError
from kproto.release.features import TRANSACTION_VERSION
from storage.engine import LogStore, PartitionLog
from storage.seams.clock import Instant
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator, Topic
    from storage.seams.clock import Clock

COMPLETED_AT_ONCE: Final = 200
"""Transactions whose markers are written at the same time; others wait, as those of a directory that was stopped in
the middle of a hundred thousand."""

POLL_SECONDS: Final = 0.002
"""How soon a decision that is not durable yet is looked at again by partitions that want to join the next."""


@dataclass(frozen=True, slots=True)
class TransactionStatistics:
    """All transactions of a broker at a glance."""

    shards: ShardsStatistics
    transactional_ids: int
    prepared: int
    """Decided, and not complete yet."""
    state_bytes: int
    state_max_bytes: int
    """What transactional ids may take: `ottla.transaction.state.max.bytes`."""
    refused: int
    """How often something was refused for that, since the start."""


class TransactionCoordinator:
    """All transactional ids of this broker. Call `host` once, with a nursery that lives as long as the broker.

    Every method that names a transactional id raises KafkaError: NOT_COORDINATOR when its shard is another broker's,
    does not exist yet, or was lost meanwhile; COORDINATOR_LOAD_IN_PROGRESS while it loads.
    """

    def __init__(
        self,
        *,
        store: LogStore,
        cluster: ClusterCoordinator,
        end_in_own_group_shard: Callable[[int, EndOfTransaction], Awaitable[None]],
        log_of: Callable[[str, int], PartitionLog | None],
        config: BrokerConfig,
        clock: Clock,
        end_in_group_shard: Callable[[int, EndOfTransaction], Awaitable[None]] | None = None,
    ) -> None:
        """`log_of` finds the log of a partition, or None if the cluster has no such partition.
        `end_in_own_group_shard` appends a marker to a partition of `__consumer_offsets` that is this broker's,
        `end_in_group_shard` to one of whichever broker; without it all are this one's."""
        self._store = store
        self._cluster = cluster
        self._config = config
        self._clock = clock
        self._settings = TransactionSettings.of(config)
        self._budget = Budget(self._settings.max_state, self._held)
        end_in_shard = {CONSUMER_OFFSETS: end_in_own_group_shard, TRANSACTION_STATE: self._end_in_own_log}
        self._asked_markers = self._markers = MarkerWriter(store, clock, log_of, end_in_shard)
        if end_in_group_shard is not None:
            end_anywhere = {**end_in_shard, CONSUMER_OFFSETS: end_in_group_shard}
            self._markers = MarkerWriter(store, clock, log_of, end_anywhere)
        self._nursery: trio.Nursery | None = None
        self._prepared = trio.Event()
        self._completing: dict[str, trio.Event] = {}  # set when the completion is decided
        self._room = trio.Semaphore(COMPLETED_AT_ONCE)
        self._logger = get_logger(__name__)
        self.shards: Shards[TransactionsMachine] = Shards(store, self._new_runtime)

    def host(self, nursery: trio.Nursery) -> None:
        """Host what there is in `nursery` from now on; `loaded` waits for it."""
        self._nursery = nursery
        self._cluster.subscribe(self._follow)
        self.shards.host(nursery, self._topic())
        nursery.start_soon(self._complete_all)

    async def loaded(self) -> None:
        """Return when the transactional ids that there are can be asked for."""
        await self.shards.loaded()

    async def ensure(self) -> None:
        """Make `__transaction_state` if it does not exist (FindCoordinator)."""
        await self._cluster.ensure_internal_topic(TRANSACTION_STATE)

    def statistics(self) -> TransactionStatistics:
        """The transactions at a glance."""
        machines = list(self.shards.machines())
        return TransactionStatistics(
            self.shards.statistics(),
            sum(map(len, machines)),
            sum(len(machine.prepared) for machine in machines),
            self._budget.held,
            self._budget.limit,
            self._budget.refused,
        )

    # --- producers

    async def init_producer_id(
        self, transactional_id: str, timeout_ms: int, believed: tuple[int, int] | None = None
    ) -> Owner:
        """InitProducerId with a transactional id: its owner from now on. `believed` is the producer id and epoch that
        the client has, if it has any.

        Raises KafkaError: INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS while
        an open transaction is being aborted, POLICY_VIOLATION when there are as many ids as may be.
        """

        request = Initialization(transactional_id, timeout_ms, None if believed is None else Owner(*believed))

        def ask(fresh_id: int | None) -> Callable[[TransactionsMachine, Instant, Promise[Owner | None]], _Decision]:
            return lambda machine, now, promise: machine.decide_init(request, fresh_id, now, promise)

        return await self._decide_with_fresh_id(transactional_id, ask)

    async def end(self, transactional_id: str, owner: Owner, commit: bool, client_version: int) -> Owner:
        """EndTxn: returns when the decision is durable, with the owner from now on.

        Raises KafkaError with a code of the tables of `endings.py`.
        """

        def ask(fresh_id: int | None) -> Callable[[TransactionsMachine, Instant, Promise[Owner | None]], _Decision]:
            return lambda machine, now, promise: machine.decide_end(
                transactional_id, owner, commit, client_version, fresh_id, now, promise
            )

        return await self._decide_with_fresh_id(transactional_id, ask)

    async def _decide_with_fresh_id(
        self,
        transactional_id: str,
        ask: Callable[[int | None], Callable[[TransactionsMachine, Instant, Promise[Owner | None]], _Decision]],
    ) -> Owner:
        fresh_id: int | None = None
        while (reply := await self.shards.decide(transactional_id, ask(fresh_id))) is None:
            fresh_id = await fresh_producer_id(self._cluster.next_producer_id)
        return reply

    # --- partitions

    async def add(
        self, transactional_id: str, owner: Owner, partitions: Mapping[str, Collection[int]], client_version: int
    ) -> ErrorCode:
        """Let partitions join the transaction. Returns when that is durable, or why it cannot be."""

        def decide(machine: TransactionsMachine, now: Instant, promise: Promise[ErrorCode]) -> _Decision:
            return machine.decide_add(transactional_id, owner, partitions, client_version, now, promise)

        until = trio.current_time() + self._settings.add_patience / 1000  # a client's wait, whatever the state's time
        while True:
            try:
                error = await self.shards.decide(transactional_id, decide)
            except KafkaError as refusal:
                return refusal.code
            left = until - trio.current_time()
            if error is not ErrorCode.CONCURRENT_TRANSACTIONS or left <= 0:
                return error
            completing = self._completing.get(transactional_id)
            with trio.move_on_after(left):
                if completing is None:
                    await trio.sleep(POLL_SECONDS)
                else:
                    await completing.wait()

    async def add_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """What a Produce from version 12 on and a TxnOffsetCommit from version 5 on do by the way (KIP-890): the code
        of each partition."""
        wanted: dict[str, set[int]] = {}
        for topic, partition in partitions:
            wanted.setdefault(topic, set()).add(partition)
        error = await self.add(transactional_id, Owner(producer_id, producer_epoch), wanted, VERSION_2)
        return dict.fromkeys(partitions, error)

    async def verify_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """Whether the transaction is open and has these partitions, durably: a code for each."""
        owner = Owner(producer_id, producer_epoch)
        try:
            return await self.shards.look(
                transactional_id, lambda machine: machine.verify(transactional_id, owner, partitions)
            )
        except KafkaError as error:
            return dict.fromkeys(partitions, error.code)

    # --- looking

    async def describe(self, transactional_ids: Iterable[str]) -> dict[str, Transaction | KafkaError | None]:
        """Each of these ids; None if it is not known."""
        return await self.shards.look_at_many(transactional_ids, TransactionsMachine.described)

    async def list_transactions(
        self, states: Collection[TransactionState] | None, producer_ids: Collection[int], duration: int
    ) -> list[Listing]:
        """See `TransactionsMachine.listed`."""
        now = self._clock.wall_millis()
        found = await self.shards.look_at_each(lambda machine: machine.listed(states, producer_ids, duration, now))
        return [each for several in found for each in several]

    async def write_markers(
        self, end: EndOfTransaction, places: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], ErrorCode]:
        """Write a marker into each of these partitions, as another coordinator or an administrator asks."""
        slices = Slices()
        distinct = [place async for place in slices.over(dict.fromkeys(places))]
        refused = await self._asked_markers.write_some(end, distinct)
        return {
            place: refused[place].code if place in refused else ErrorCode.NONE async for place in slices.over(distinct)
        }

    async def _end_in_own_log(self, partition: int, end: EndOfTransaction) -> None:
        """A marker for a log of this coordinator's own, as an administrator may ask for: it means nothing here."""

        def decide(machine: TransactionsMachine, now: Instant, promise: Promise[None]) -> _Decision:
            return Decision(replies=[(promise, None)], transaction=end)

        await self.shards.decide_in(partition, decide)

    # --- completing what is decided

    async def all_completed(self) -> None:
        """Return when no transaction is decided and not complete: its markers are durable, and that is recorded."""
        while any(machine.prepared for machine in self.shards.machines()):
            completing = next(iter(self._completing.values()), None)
            if completing is None:
                await trio.lowlevel.checkpoint()  # the task that takes them up is about to run
            else:
                await completing.wait()

    async def _complete_all(self) -> None:
        """Take up every transaction that is decided, as it comes."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._prepared.wait()
                self._prepared = trio.Event()
                slices = Slices()
                for machine in list(self.shards.machines()):
                    async for transactional_id in slices.over(list(machine.prepared)):
                        if transactional_id not in self._completing:
                            await self._room.acquire()
                            self._completing[transactional_id] = trio.Event()
                            nursery.start_soon(self._complete, transactional_id)

    async def _complete(self, transactional_id: str) -> None:
        """Write the markers of a transaction, and record that. What cannot be recorded is taken up again."""
        try:
            delay = FIRST_RETRY
            while self.shards.owns(transactional_id):
                if self._completing[transactional_id].is_set():  # and was lost before it was durable
                    self._completing[transactional_id] = trio.Event()
                try:
                    await self._complete_once(transactional_id)
                    break
                except KafkaError as error:
                    self._logger.warning(
                        "a decided transaction cannot be completed",
                        transactional_id=transactional_id,
                        reason=str(error),
                        retry_seconds=delay,
                    )
                except Exception as error:  # a fault of ours, which is to cost this transaction time and no more
                    self._logger.error(
                        "a decided transaction could not be completed",
                        transactional_id=transactional_id,
                        exc_info=error,
                    )
                await trio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
        finally:
            self._completing.pop(transactional_id).set()
            self._room.release()
            self._prepared.set()  # it may have been decided again, while this was the completion of the one before

    async def _complete_once(self, transactional_id: str) -> None:
        transaction = await self.shards.look(transactional_id, lambda machine: machine.get(transactional_id))
        if transaction is None or not transaction.is_prepared:
            return
        epoch = self._coordinator_epoch(transactional_id)
        await self._markers.write(transaction, epoch, lambda: self._coordinates_in(transactional_id, epoch))
        owner = Owner(transaction.producer_id, transaction.producer_epoch)

        def decide(machine: TransactionsMachine, now: Instant, promise: Promise[None]) -> _Decision:
            return machine.decide_complete(transactional_id, owner, now, promise)

        begun = self.shards.begin(transactional_id, decide)
        if begun is None:  # the shard was lost, and is loading
            await self.shards.decide(transactional_id, decide)
            return
        self._completing[transactional_id].set()
        outcome = await begun.outcome()
        if isinstance(outcome, KafkaError):
            raise outcome

    def _coordinates_in(self, transactional_id: str, epoch: int) -> bool:
        """Whether this broker coordinates the id, and has not lost it since that epoch."""
        return self.shards.owns(transactional_id) and self._coordinator_epoch(transactional_id) == epoch

    def _coordinator_epoch(self, transactional_id: str) -> int:
        """That of the shard's partition: markers of an owner before are refused by logs that have seen a later one."""
        topic: Topic | None = self._cluster.image.topics.get(TRANSACTION_STATE)
        if topic is None:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        taken_up = self.shards.epoch_of(transactional_id)
        return max(taken_up, topic.leader_epoch(self.shards.index_of(transactional_id)))

    # --- hosting

    def _held(self) -> int:
        return sum(machine.account.bytes for machine in self.shards.machines())

    def _topic(self) -> ShardedTopic | None:
        topic: Topic | None = self._cluster.image.topics.get(TRANSACTION_STATE)
        if topic is None:
            return None
        config = log_config(topic.configs, self._config, internal=True)
        return ShardedTopic(topic.name, topic.topic_id, topic.partition_count, config)

    def _new_runtime(self, log: PartitionLog) -> Runtime[TransactionsMachine]:
        return Runtime(
            log,
            self._store,
            lambda: TransactionsMachine(self._settings, self._level, self._budget, self._wake),
            self._clock,
            on_loaded=lambda machine: self._wake(),
        )

    def _level(self) -> int:
        level: int = self._cluster.image.finalized_features.get(TRANSACTION_VERSION, 0)
        return level

    def _wake(self) -> None:
        """There may be a transaction to complete."""
        self._prepared.set()

    def _follow(self, change: ClusterChange) -> None:
        """The cluster image has changed."""
        if any(topic.name == TRANSACTION_STATE for topic in (*change.created, *change.deleted, *change.altered)):
            self.shards.follow(self._topic())


_Decision = Decision[TransactionRecord]
