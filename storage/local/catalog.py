"""The partitions that have been asked for: one `LocalLog` each, the same every time.

A partition is cheap (`partition_log.py`), so one that has been asked for once is kept until it is deleted; whether its
log is open is another matter. The directory may hold many more. `known` goes through those that the broker names, which
is how retention and the cleaner find logs that have not been asked for since the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from storage.engine import LogSpec
from storage.local.partition_log import LocalLog, Parts

EveryLog = Callable[[], Iterable[LogSpec]]
"""Names the logs of the whole cluster, at the time of the call."""


class Catalog:
    """The partitions of one store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._logs: dict[tuple[str, bytes, int], LocalLog] = {}

    def __iter__(self) -> Iterator[LocalLog]:
        """Every partition that has been asked for, as of now."""
        return iter(list(self._logs.values()))

    def __len__(self) -> int:
        return len(self._logs)

    def log(self, spec: LogSpec) -> LocalLog:
        """The partition of `spec`."""
        key = spec.topic, spec.topic_id, spec.partition
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = LocalLog(self._parts, spec)
        return log

    def look_up(self, spec: LogSpec) -> LocalLog | None:
        """The partition of `spec`, for tasks that go through `known` by and by: None if its log is gone meanwhile, or
        another topic's of the same name is there, which an opening by the old id would set aside."""
        log = self._logs.get((spec.topic, spec.topic_id, spec.partition))
        if log is not None:
            return log
        data, key = self._parts.volume.data, (spec.topic, spec.partition)
        if key not in data.present or data.belongs_to_another(key, spec.topic_id):
            return None
        return self.log(spec)

    def remove(self, spec: LogSpec) -> None:
        """Take a partition out of the catalog, if it has been asked for."""
        self._logs.pop((spec.topic, spec.topic_id, spec.partition), None)

    def is_open(self, spec: LogSpec) -> bool:
        """Whether the partition's log is open."""
        log = self._logs.get((spec.topic, spec.topic_id, spec.partition))
        return log is not None and log.opened is not None

    def known(self, every_log: EveryLog | None) -> Iterable[LogSpec]:
        """The logs to look after: those that `every_log` names, or without it those that have been asked for."""
        return (log.spec for log in self) if every_log is None else every_log()
