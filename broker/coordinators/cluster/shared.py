"""The cluster coordinator of a broker that shares the cluster's log with others.

Every broker of such a cluster decides what its own clients ask for; none is the controller, though clients are told one
(`broker/brokers`). The machine follows the log (`following.py`): what other brokers have decided is replayed, and its
image published, as soon as the engine says that the log has grown.

**Logs of topics.** The broker that has decided on a topic makes its logs, or removes them. Every other one that learns
of a deletion asks its engine to remove them too, which is how the engine forgets what it knows of them.

**Replicas** of a new partition are as many of the brokers that live as were asked for. The records say which; what
clients are shown is worked out again whenever brokers come and go, for any broker may serve any partition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from broker.coordinators.cluster.coordinator import ClusterCoordinator
from broker.coordinators.cluster.machine import ClusterMachine
from broker.coordinators.following import FollowingRuntime
from kproto.errors import ErrorCode

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster.image import ClusterChange, ClusterImage
    from broker.coordinators.cluster.quorum import QuorumImage
    from broker.coordinators.cluster.snapshot_keeper import Captured
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy


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
        self._by_others = False
        super().__init__(store, config, clock, entropy)

    @property
    def quorum(self) -> QuorumImage:
        """As all brokers answer it: those that live, led by the one that clients are told to be the controller."""
        members = self._brokers()
        return replace(super().quorum, leader_id=members[0], members=members)

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
