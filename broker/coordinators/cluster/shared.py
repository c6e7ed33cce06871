"""The cluster coordinator of a broker that shares the cluster's log with others.

Every broker of such a cluster decides what its own clients ask for; none is the controller, though clients are told one
(`broker/brokers`). The machine follows the log (`following.py`): what other brokers have decided is replayed, and its
image published, as soon as the engine says that the log has grown.

**Logs of topics.** The broker that has decided on a topic makes its logs, or removes them. Every other one that learns
of a deletion asks its engine to remove them too, which is how the engine forgets what it knows of them.

**A client that was answered finds it so everywhere.** It asks one broker for a topic and the next one for its leaders,
within a millisecond, and another broker hears of new records a tenth of a second later by itself. So before a change is
answered, every other broker that lives is asked to catch up (`tell`), and has a second for it; one that does not hears
of it later, as a broker of Kafka does that its controller cannot reach.

**Replicas** of a new partition are as many of the brokers that live as were asked for. The records say which; what
clients are shown is worked out again whenever brokers come and go, for any broker may serve any partition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from broker.coordinators.cluster.coordinator import ClusterCoordinator
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.following import FollowingRuntime
from kproto.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster.image import ClusterChange, ClusterImage
    from broker.coordinators.cluster.quorum import QuorumImage
    from broker.coordinators.cluster.snapshot_keeper import Captured
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy

T = TypeVar("T")

TELL_SECONDS: Final = 1.0
"""How long the answer to a change waits for brokers that do not answer; half of their lease."""


class SharedClusterCoordinator(ClusterCoordinator):
    """One of several owners of cluster state. `brokers` gives the node ids of those that live."""

    def __init__(
        self,
        store: LogStore,
        config: BrokerConfig,
        clock: Clock,
        entropy: Entropy,
        *,
        brokers: Callable[[], tuple[int, ...]],
    ) -> None:
        self._living = brokers
        self._tell: Callable[[int], Awaitable[None]] | None = None
        self._by_others = False
        super().__init__(store, config, clock, entropy)

    @property
    def quorum(self) -> QuorumImage:
        """As all brokers answer it: those that live, led by the one that clients are told to be the controller."""
        members = self._brokers()
        return replace(super().quorum, leader_id=members[0], members=members)

    def tell_by(self, tell: Callable[[int], Awaitable[None]]) -> None:
        """From now on, let the others know of changes by `tell`, which is given a node id and returns when that broker
        has caught up. It raises KafkaError."""
        self._tell = tell

    async def catch_up(self) -> None:
        await self._following.catch_up()

    async def _to_the_end(self, work: Callable[[], Awaitable[T]]) -> T:
        end = self._metadata_log.log_end_offset
        result: T = await super()._to_the_end(work)
        if self._tell is not None and self._metadata_log.log_end_offset > end:
            with trio.move_on_after(TELL_SECONDS):
                async with trio.open_nursery() as nursery:
                    for node_id in self._living():
                        if node_id != self.node_id:
                            nursery.start_soon(self._tell_one, self._tell, node_id)
        return result

    async def _tell_one(self, tell: Callable[[int], Awaitable[None]], node_id: int) -> None:
        with suppress(KafkaError):  # it hears of the change later; that it could not be asked has been logged
            await tell(node_id)

    def _new_runtime(self, clock: Clock) -> FollowingRuntime[ClusterMachine]:
        self._following = FollowingRuntime(
            self._metadata_log,
            self._store,
            ClusterMachine,
            clock,
            on_moved=self._moved,
            loading_error=ErrorCode.NOT_CONTROLLER,
            lost_error=ErrorCode.NOT_CONTROLLER,
            on_loaded=self._adopt,
            restore=self._snapshots.restore,
            replay_control=lambda machine, header, record: machine.replay_control(record),
        )
        return self._following

    def _moved(self, machine: ClusterMachine, by_others: bool) -> None:
        self._by_others = by_others
        self._note()
        self._by_others = False

    def _publish(self, image: ClusterImage, change: ClusterChange) -> None:
        by_others = self._by_others
        super()._publish(image, change)
        if by_others and change.deleted and self._nursery is not None:
            self._nursery.start_soon(self._logs.remove, list(change.deleted))

    def _brokers(self) -> tuple[int, ...]:
        return self._living() or (self.node_id,)

    def capture(self) -> Captured | None:
        return None if self._following.catching_up else super().capture()
