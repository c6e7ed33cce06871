"""A log of the distributed engine and its naive twin (`storage/tests/log_machine.py`): other brokers, merges."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from storage.engine import LogStore
from storage.tests.log_machine import LogMachine
from storage.tests.object.object_lab import AT_ONCE, Cluster


class ObjectMachine(LogMachine):
    """Over a database and a bucket in memory; the broker is another one now and then, with more memory or less."""

    engine = "object"
    lists_around = False

    def __init__(self) -> None:
        super().__init__()
        self.place = Cluster(self.clock)
        self.cache_bytes = 1 << 20

    def make(self) -> LogStore:
        return self.place.store(limits=AT_ONCE._replace(merge_from=3, cache_bytes=self.cache_bytes))

    @rule(cache_bytes=st.sampled_from([1, 5000, 1 << 20]))
    def another_broker(self, cache_bytes: int) -> None:
        """The store is closed, and opened with what the database and the bucket hold."""
        self.run(self.store.close)
        self.cache_bytes = cache_bytes
        self.store = self.make()
        self.run(self.store.open)
        self.look()

    @rule()
    def merge(self) -> None:
        """Small runs become one; what can be asked stays as it is."""
        self.run(self.store.merge)
        self.look()
