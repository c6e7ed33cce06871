"""Retention: whole segments that are too old, or too many, are deleted (`storage/retention.py` says which).

A directory may hold a hundred thousand logs, most of them closed, and a look has to be cheap. So a log is not looked at
before something in it can have expired (`Schedule.expiry`), and those that are due are looked at in chunks: one hop to
a thread lists the closed ones' directories, another judges them all. A closed log that holds records is opened for as
long as it takes.

Kafka: org.apache.kafka.storage.internals.log.LogManager.cleanupLogs.
"""

from __future__ import annotations

import contextlib
from typing import Final

import trio

from kproto.errors import KafkaError
from storage.engine import LogSpec
from storage.local.catalog import Catalog, EveryLog
from storage.local.directory import Key, segments_of
from storage.local.index_file import DamagedIndex
from storage.local.log import Log
from storage.local.partition_log import LocalLog
from storage.local.removal import Removal
from storage.local.schedule import Schedule
from storage.local.segment import Corrupt
from storage.local.volume import Volume
from storage.log_config import NEVER
from storage.seams.disk import Disk
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

CHUNK: Final = 100
"""Logs looked at in one go."""


class Expiry:
    """The retention of one store's logs."""

    def __init__(self, volume: Volume, schedule: Schedule, removal: Removal, catalog: Catalog) -> None:
        self._volume = volume
        self._schedule = schedule
        self._removal = removal
        self._catalog = catalog
        self._log = get_logger("storage")
        self._one_at_a_time = trio.Lock()

    async def apply(self, every_log: EveryLog | None = None) -> None:
        """Delete the segments that have expired, of the logs that `every_log` names."""
        async with self._one_at_a_time:
            await self._apply(every_log)

    async def _apply(self, every_log: EveryLog | None) -> None:
        if self._volume.health.has_stopped:
            return
        now = self._volume.elapsed.at(self._volume.clock.now())
        chunk: list[LogSpec] = []
        async for spec in Slices().over(self._catalog.known(every_log)):  # there may be a hundred thousand
            if self._may_expire((spec.topic, spec.partition), now):
                chunk.append(spec)
            if len(chunk) == CHUNK:
                await self._apply_to(chunk, now)
                chunk = []
        await self._apply_to(chunk, now)

    def _may_expire(self, key: Key, now: int) -> bool:
        return key in self._volume.data.present and self._schedule.expiry.get(key, 0) <= now

    async def _apply_to(self, specs: list[LogSpec], now: int) -> None:
        volume, catalog = self._volume, self._catalog
        closed = [spec for spec in specs if not catalog.is_open(spec)]
        keys = [(spec.topic, spec.partition) for spec in closed]
        bases = await volume.offload.run(_all_segments, volume.disk, [volume.data.path_of(key) for key in keys])
        empty = {key for key, found in zip(keys, bases, strict=True) if not found}
        opened_here: list[tuple[LocalLog, Log]] = []
        logs = []
        for spec in specs:
            key = spec.topic, spec.partition
            if key in empty and not catalog.is_open(spec):
                self._schedule.expiry[key] = NEVER  # until something is appended
                continue
            with contextlib.suppress(KafkaError):  # one that cannot be opened is offline, and has said so
                face = catalog.look_up(spec)
                if face is None:
                    continue
                was_closed = face.opened is None
                logs.append((face, face.open()))
                if was_closed:
                    face.forget_use()
                    opened_here.append(logs[-1])
        await self._expire(logs, now)
        for face, log in opened_here:
            if face.opened is log and not face.forget_use() and face.is_idle:
                face.close()

    async def _expire(self, logs: list[tuple[LocalLog, Log]], now: int) -> None:
        ends = [log.end for _, log in logs]
        verdicts = await self._volume.offload.run(_judge_all, [log for _, log in logs], now)
        starts = []
        for (face, log), end, verdict in zip(logs, ends, verdicts, strict=True):
            if isinstance(verdict, Exception):
                face.unreadable(str(verdict))
                continue
            start, ask_again = verdict
            if log.config.retention_bytes < 0 and (ask_again < NEVER or log.end == end):
                self._schedule.expiry[face.key] = ask_again
            if start > log.start and face.opened is log:
                starts.append((face, start))
        if not starts:
            return
        try:
            for face, start in starts:
                await face.wait_synced(start)
            await self._removal.move_log_starts([(face, start) for face, start in starts if not face.is_deleted])
        except KafkaError as error:
            self._log.error("retention failed, it will be tried again", reason=str(error))
            for face, _ in starts:
                self._schedule.expiry.pop(face.key, None)
            return
        for face, start in starts:
            self._log.info("expired", topic=face.spec.topic, partition=face.spec.partition, log_start_offset=start)


def _all_segments(disk: Disk, directories: list[str]) -> list[list[int]]:
    """Base offsets of the segments in each of these. In a thread."""
    return [segments_of(disk, directory) for directory in directories]


def _judge_all(logs: list[Log], now: int) -> list[tuple[int, int] | Exception]:
    """What retention says of each log. In a thread."""
    verdicts: list[tuple[int, int] | Exception] = []
    for log in logs:
        try:
            verdicts.append(log.judge_retention(now))
        except (OSError, Corrupt, DamagedIndex) as error:
            verdicts.append(error)
    return verdicts
