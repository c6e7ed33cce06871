"""Several brokers in one process, over logs in memory that they share: started as `server.py` starts one, without
sockets, under virtual time. What one asks another goes through the codecs to the other's handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio

from broker import server
from broker.context import Services
from broker.security.principals import Principal
from broker.testing.contexts import World, config
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.schema.declare import Request
from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.memory_membership import MemoryCluster
from storage.testing.shared_memory import SharedMemory, SharedView


class TrioClock(SystemClock):
    """Monotonic time is trio's, so leases run out while tasks sleep."""

    def monotonic_millis(self) -> int:
        return int(trio.current_time() * 1000)


class Broker:
    """One broker that has started."""

    def __init__(self, node_id: int, view: SharedView, services: Services, scope: trio.CancelScope) -> None:
        self.node_id = node_id
        self.view = view
        self.services = services
        self.world = World(services)
        self._scope = scope

    async def ask(self, request: Request, version: int) -> Any:
        """What a client of this broker is answered."""
        return await self.world.ask(request, version)

    async def kill(self) -> None:
        """End without a word."""
        self._scope.cancel()
        await self.view.close()

    async def stop(self) -> None:
        """End as a signal asks for."""
        assert self.services.lifecycle is not None
        await self.services.lifecycle.leave()
        await self.kill()

    def freeze(self) -> None:
        """Reach neither the database nor anything in it, as behind a network that is down."""
        self.view.stall()
        self.view.membership.cut_off = True

    def thaw(self) -> None:
        """Reach them again."""
        self.view.go_on()
        self.view.membership.cut_off = False


class Several:
    """A cluster of brokers that come and go."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._clock, self._entropy = TrioClock(), SeededEntropy(1)
        cluster = MemoryCluster(self._clock, self._entropy)
        self.shared = SharedMemory(MemoryStore(self._clock, self._entropy), cluster)
        self.brokers: dict[int, Broker] = {}

    async def start(self, node_id: int, settings: Mapping[str, str] | None = None) -> Broker:
        """One more broker."""
        view = self.shared.view(node_id)
        await view.open()
        own = {
            "node.id": str(node_id),
            "listeners": f"PLAINTEXT://127.0.0.1:{9000 + node_id}",
            "ottla.cluster": "postgresql://nowhere",  # what is configured shows; the store is given
            "ottla.objects": "memory:",
            **(settings or {}),
        }
        broker: Broker = await self._nursery.start(self._live, node_id, view, config(own))
        self.brokers[node_id] = broker
        return broker

    async def _live(self, node_id: int, view: SharedView, own: Any, *, task_status: Any) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as background:
                services = await server.start_services(
                    own,
                    cast(LogStore, view),
                    self._clock,
                    self._entropy,
                    InlineOffload(),
                    None,
                    background,
                )
                task_status.started(Broker(node_id, view, services, scope))

    async def until_shards_have_owners(self) -> None:
        """Return when every shard of both coordinators has one."""
        while True:
            await trio.sleep(0.1)
            views = [broker.services for broker in self.brokers.values()]
            owned = [len(each.groups.shards.owned) for each in views]
            count = max(each.groups.shards.partition_count for each in views)
            if count and sum(owned) == count:
                return

    async def coordinator_of(self, group_id: str, key_type: int = 0) -> Broker:
        """The broker that all name as the coordinator of a group."""
        while True:
            answers = set()
            for broker in self.brokers.values():
                reply = await broker.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=[group_id]), 4)
                answers.add((reply.coordinators[0].error_code, reply.coordinators[0].node_id))
            if len(answers) == 1 and (only := answers.pop())[0] == ErrorCode.NONE and only[1] in self.brokers:
                return self.brokers[only[1]]
            await trio.sleep(0.1)


class _Peers:
    """What `broker/network/peers.py` does, without a network."""

    def __init__(self, several: Several, brokers: Any, *_: object) -> None:
        self._several = several
        self._node_id = brokers.node_id

    async def run(self) -> None:
        await trio.sleep_forever()

    async def ask(self, node_id: int, request: Request, version: int) -> Any:
        other = self._several.brokers.get(node_id)
        await trio.sleep(0.001)
        if other is None:
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION)
        world = World(other.services)
        world.be(Principal("Broker", str(self._node_id)))
        return await world.ask(request, version)


@asynccontextmanager
async def several(
    monkeypatch: pytest.MonkeyPatch, count: int = 3, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Several]:
    """A cluster of so many brokers, numbered from 1."""
    async with trio.open_nursery() as nursery:
        cluster = Several(nursery)
        monkeypatch.setattr("broker.network.peers.Peers", lambda *arguments: _Peers(cluster, *arguments))
        for node_id in range(1, count + 1):
            await cluster.start(node_id, settings)
        yield cluster
        nursery.cancel_scope.cancel()
