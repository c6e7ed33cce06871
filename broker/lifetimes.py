"""Lives of the broker's services: what a reset, a restored copy and a copy of what is there are made of.

One process lives several lives, one behind the other. A *life* is a store and all that knows of it: coordinators,
partitions, fetch sessions, quotas, telemetry, connections. What is kept outside of a life is what a new process would
find again: the listeners, which stay bound, so that the address stays and a client that comes between two lives waits
in the system's queue instead of being refused; the configuration; keys and certificates.

So there is no list of things to be emptied, in which one could be missing. What a service remembers is gone because the
service is, and a broker that was reset is one that has been started: by the same lines (`server.py`).

**Clients** see what they see when a broker is restarted in no time: connections close, and a request under way has no
answer. They connect again, find out which topics there are, and members of groups join again. A producer that numbers
its batches must not live longer than the life that gave it its number: the next life gives out the same ones. Nothing
is waited for before a life ends, because nothing of it will be left.

**A copy** is taken of a life that goes on. To restore one is to begin a life with it; it is checked, and brought to
where it will be needed, before the present life ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from kproto.errors import KafkaError
from storage.copies import Copyable, StoreCopy
from storage.engine import LogStore, StoreError
from storage.seams.logging import get_logger

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.context import Services


class Lifetimes:
    """The present life, and how it is followed by another. `server.py` lives them; others ask here for a change, and
    get control back when the next life serves clients.
    """

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config
        self._changing = trio.Lock()
        self._over = trio.Event()
        self._next = trio.Event()
        self.services: Services | None = None
        """Those of the present life; None while none serves clients."""
        self.have_begun = False
        self.next_has_a_past = False
        """Whether the life behind the present one, if there is to be one, begins with a copy."""

    # -- for the server ------------------------------------------------------------------------------------------------

    def begin(self, services: Services) -> None:
        """Clients are served by these."""
        self.services, self.have_begun = services, True
        self._over = trio.Event()
        self._next.set()

    async def wait_until_over(self) -> None:
        """Return when the present life is to end, because another shall begin."""
        await self._over.wait()

    def end(self) -> None:
        """Clients are served no longer."""
        self.services = None

    # -- for those who ask ---------------------------------------------------------------------------------------------

    async def reset(self) -> None:
        """Begin a life in which nothing has happened, of the same cluster. Raises StoreError with a sentence."""
        async with self._changing:
            await self._begin_another(None)
        get_logger(__name__).info("reset: everything is gone")

    async def restore(self, copy: StoreCopy, node_id: int) -> None:
        """Begin a life with what `copy` holds, which was made by node `node_id`. Raises StoreError with a sentence;
        then the present life goes on."""
        wanted = self._config.ottla_cluster_id
        if node_id != self._config.node_id:
            raise StoreError(
                f"the copy was made by node {node_id}, and this is node {self._config.node_id}: start with "
                f"node.id={node_id}"
            )
        if wanted is not None and copy.cluster_id != wanted:
            raise StoreError(f"the copy is of cluster {copy.cluster_id}, and ottla.cluster.id is {wanted}")
        async with self._changing:
            await self._begin_another(copy)
        get_logger(__name__).info("restored", logs=len(copy.logs), bytes=copy.size)

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[StoreCopy]:
        """A copy of the present life, readable as long as the block lasts. Raises StoreError with a sentence."""
        services = self.serving
        store = copyable(services.store)
        try:
            copy = await store.copy(services.partitions.specs)
        except KafkaError as error:
            raise StoreError(str(error)) from error
        try:
            yield copy
        finally:
            with trio.CancelScope(shield=True):
                await store.let_go(copy)

    async def _begin_another(self, copy: StoreCopy | None) -> None:
        await copyable(self.serving.store).prepare(copy)
        self.next_has_a_past = copy is not None
        self._next = trio.Event()
        self._over.set()
        await self._next.wait()

    @property
    def serving(self) -> Services:
        """The services of the present life. Raises StoreError while none serves clients."""
        if self.services is None:
            raise StoreError("clients are not served at the moment")
        return self.services


def copyable(store: LogStore) -> Copyable:
    """The store as one that can be copied and replaced. Raises StoreError if its engine cannot."""
    if isinstance(store, Copyable):
        return store
    raise StoreError(f"{type(store).__name__} keeps its logs outside of this broker: they are neither copied nor reset")
