"""The logs of topics: made when a topic has been decided on, removed when it has gone, and never two for one name.

The cluster log says which topics there are; the store holds their logs. This module keeps the second true to the first:

    create:  decide ──durable──> publish ──> `make`   ──> reply
    delete:  decide ──durable──> publish ──> `remove` ──> reply

**Names are used again at once.** While logs are being made or removed, their topic's name is marked (`making`,
`removing`), from the decision on. A creation waits while the logs of a deleted topic of the same name are still being
removed (`wait_until_removed`), and a removal waits for logs that are still being made, be it for new partitions of a
topic that was there; nothing else waits. Several changes may have marked one name.

**After a crash** between the record and the files: missing logs are made by their first append; logs of topics whose
removal is in the log are deleted at the start (`remove_left_over`). A log of which the cluster log says nothing is left
alone. A removal that failed is remembered (`removal_failed`), for a snapshot would make the next start forget it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import trio

from broker.config.topics import log_config
from broker.coordinators.cluster.image import ClusterImage, Topic
from kproto.errors import KafkaError
from storage.engine import LogSpec, LogStore
from storage.seams.logging import get_logger
from storage.seams.slices import Sliced, Slices

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig


class TopicLogs:
    """Makes and removes the logs of topics. `image` and `config` say what is published now."""

    def __init__(self, store: LogStore, image: Callable[[], ClusterImage], config: Callable[[], BrokerConfig]) -> None:
        self._store = store
        self._image = image
        self._config = config
        self._being_made: Marked = {}
        self._being_removed: Marked = {}
        self.removal_failed = False
        """True once logs of a deleted topic could not be removed: the next start has to."""
        self._logger = get_logger(__name__)

    # --- which names are being worked on

    @contextmanager
    def making(self) -> Iterator[Names]:
        """A block in which the logs of topics are made: `names.add` a name once its topic has been decided on."""
        with _marking(self._being_made) as names:
            yield names

    @contextmanager
    def removing(self) -> Iterator[Names]:
        """A block in which the logs of deleted topics are removed: `names.add` a name once that has been decided on."""
        with _marking(self._being_removed) as names:
            yield names

    async def wait_until_made(self, name: str) -> None:
        """Return when no logs of a topic of this name are being made."""
        while changes := self._being_made.get(name):
            await next(iter(changes)).done.wait()

    async def wait_until_removed(self, names: Iterable[str]) -> None:
        """Return when no logs of a topic of these names are being removed."""
        names = list(names)
        while (name := next((name for name in names if name in self._being_removed), None)) is not None:
            await next(iter(self._being_removed[name])).done.wait()

    def is_being_removed(self, name: str) -> bool:
        """Whether logs of a topic of this name are being removed."""
        return name in self._being_removed

    def removals(self) -> list[trio.Event]:
        """What to wait for until everything that is being removed now has been removed."""
        return [change.done for changes in self._being_removed.values() for change in changes]

    # --- the store

    async def make(self, topics: Sequence[Topic], partitions: Sequence[range]) -> None:
        """Make the logs of these partitions of these topics. A failure is logged: the first append makes up for it."""
        image = self._image()
        specs = [
            spec
            async for spec in self._specs(zip(topics, partitions, strict=True))
            if spec.topic_id in image.topics_by_id  # else it was deleted meanwhile
        ]
        if specs:
            try:
                await self._store.create_logs(specs)
            except KafkaError as error:
                # The topic exists all the same: its record is durable, and its logs are made by their first append.
                self._logger.error("logs not created", topics=[topic.name for topic in topics], reason=str(error))

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Remove all logs of topics that were. A failure is logged: the next start makes up for it."""
        specs = [spec async for spec in self._specs((topic, topic.partitions) for topic in topics)]
        if specs:
            try:
                await self._store.delete_logs(specs)
            except KafkaError as error:
                self.removal_failed = True
                self._logger.error("logs not deleted", topics=[topic.name for topic in topics], reason=str(error))

    async def remove_left_over(self, removed: Iterable[Topic]) -> None:
        """Finish what a crash interrupted: of topics that were `removed`, those that left logs behind."""
        existing = self._store.existing()
        left_over = [
            topic
            for topic in removed
            if topic.name not in self._image().topics
            and topic.name not in self._being_removed
            and any((topic.name, partition) in existing for partition in topic.partitions)
        ]
        if left_over:
            self._logger.info("finishing deletions", topics=[topic.name for topic in left_over])
            with self.removing() as names:
                for topic in left_over:
                    names.add(topic.name)
                await self.remove(left_over)

    def _specs(self, topics: Iterable[tuple[Topic, range]]) -> Sliced[LogSpec]:
        """The logs of these partitions of these topics, giving way between them."""

        def each() -> Iterator[LogSpec]:
            for topic, partitions in topics:
                config = log_config(topic.configs, self._config(), internal=topic.internal)
                for partition in partitions:
                    yield LogSpec(topic.name, topic.topic_id, partition, config, topic.internal)

        return Slices().over(each())


class Names:
    """Topic names that one change works on."""

    def __init__(self, marked: Marked) -> None:
        self._marked = marked
        self.done = trio.Event()
        self.mine: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Mark `name` until the block ends."""
        self._marked.setdefault(name, {})[self] = None
        self.mine[name] = None


Marked: TypeAlias = dict[str, dict[Names, None]]
"""Topic names, and the changes that work on each."""


@contextmanager
def _marking(marked: Marked) -> Iterator[Names]:
    names = Names(marked)
    try:
        yield names
    finally:
        for name in names.mine:
            del marked[name][names]
            if not marked[name]:
                del marked[name]
        names.done.set()
