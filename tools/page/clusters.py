"""Connections to the cluster, for threads that come and go.

A view is made in a thread by blocking questions, one after the other, over one `Cluster`. Those that are not in use
wait here, so that the next view need not connect first. At most `MOST` are in use; a view that finds none free waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tools.client.cluster import Cluster
from tools.client.properties import ClientProperties

MOST: Final = 6


class Clusters:
    """The cluster behind the bootstrap servers of `properties`, for several threads."""

    def __init__(self, properties: ClientProperties) -> None:
        self.properties = properties
        self._room = threading.Semaphore(MOST)
        self._free: list[Cluster] = []

    @contextmanager
    def borrowed(self) -> Iterator[Cluster]:
        """A cluster for this thread alone. Raises Failed for credentials that cannot be used."""
        with self._room:
            cluster = self._free.pop() if self._free else Cluster(self.properties)
            try:
                yield cluster
            except BaseException:
                cluster.close()  # a reply may still be under way
                raise
            self._free.append(cluster)

    def close(self) -> None:
        """End the connections that are not in use."""
        while self._free:
            self._free.pop().close()
