"""What is done by and by: records that have expired, objects that nothing needs, runs that are better one.

**Whose.** Each log is looked after by one broker, and one broker looks after what is no single log's (rows, objects,
orphans): `ObjectStore.share_upkeep` says which, by who lives, and a store that was not told does it all. That is a hint
which saves work. While brokers disagree about who lives, several do the same, or none for a moment, and neither does
harm: the control plane decides each step.

**How much.** Merging and compaction read and write once more what clients have written; `upkeep_share.py` lets them
take a part of the time and no more.

**Retention** moves the start of a log (`expire`); readers see that at once. What lies wholly before a start, or belongs
to a deleted log, is then taken away row by row (`trim`), and an object whose last run has gone is deleted after a
grace.

**Deleting an object** has three steps: the control plane gives its key out (`deletable`), the bucket deletes it, the
control plane notes that (`deleted`). After a failure anywhere it is given out again. Never is an object deleted because
a commit failed.

**Orphans** are objects that were uploaded and never committed: their broker died between, or had given up. The bucket
is listed for them, hour by hour, when an hour is over for longer than `orphan_age_ms`; the first round after the start
looks at all hours. `bury` makes sure that no commit of such a key can happen any more, and only then it is deleted. Of
a commit that comes late and a burial exactly one wins.

A round that fails is tried again in the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import trio

from kproto.errors import KafkaError
from storage.engine import LogSpec
from storage.object.bucket import MOST_DELETED, Bucket, BucketError
from storage.object.control_plane import ControlPlane, LogPositions, ObjectCounts, Retention
from storage.object.limits import Limits
from storage.object.reader import asked
from storage.object.rewriting import KeptLog, Rewriting
from storage.seams.logging import get_logger
from storage.statistics import UpkeepStatistics
from storage.store_settings import StoreSettings

T = TypeVar("T")

AT_A_TIME: Final = 1000
"""Rows, producers or logs of one step."""

LOOKED_AT: Final = 10_000
"""Logs with runs to merge of which one question is, those with most first: their brokers merge them, so that the others
get their turn."""

ORPHAN_ROUND_MS: Final = 15 * 60 * 1000
FOLDERS: Final = ("w/", "m/")
"""Windows, and what was merged or compacted."""


class KeptLogs(NamedTuple):
    """The store, as its upkeep knows it."""

    settings: Callable[[], StoreSettings]
    every: Callable[[], AsyncIterator[KeptLog]]
    """Those that this broker looks after."""
    tidies: Callable[[], bool]
    """Whether this broker looks after what is no single log's."""
    moved: Callable[[LogSpec, LogPositions], None]
    """The start of a log has moved."""
    rewritten: Callable[[LogSpec, int, int], None]
    """These offsets of a log have other runs."""


class Upkeep:
    """The rounds. `change` asks the control plane for a change until it is answered."""

    def __init__(
        self,
        control: ControlPlane,
        bucket: Bucket,
        rewriting: Rewriting,
        limits: Limits,
        logs: KeptLogs,
    ) -> None:
        self._control = control
        self._bucket = bucket
        self._rewriting = rewriting
        self._limits = limits
        self._logs = logs
        self._listed: str | None = None  # the hour up to which orphans were looked for
        self._list_at = 0
        self.rounds = 0
        self.unmerged = -1
        """Runs that wait to be merged in the logs that this broker looks after, as of the latest round."""
        self.objects: ObjectCounts | None = None
        """As of the latest round; None on a broker that leaves them to another."""
        self._logger = get_logger("storage")

    def statistics(self) -> UpkeepStatistics:
        """Rounds so far."""
        return UpkeepStatistics(0, 0, 0, self.rounds)

    async def run(self) -> None:
        """All of it, forever, each in its own rhythm."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._again, "retention", self._retention_ms, self.expire)
            nursery.start_soon(self._again, "upkeep", lambda: self._limits.upkeep_ms, self.tidy)
            nursery.start_soon(self._again, "merging", lambda: self._limits.upkeep_ms, self.merge)
            nursery.start_soon(self._again, "compaction", self._backoff_ms, self.compact)

    def _retention_ms(self) -> int:
        return self._logs.settings().retention_check_ms

    def _backoff_ms(self) -> int:
        return self._logs.settings().cleaner.backoff_ms

    async def _again(self, what: str, pause_ms: Callable[[], int], work: Callable[[], Awaitable[object]]) -> None:
        failing = False
        while True:
            await trio.sleep(max(pause_ms(), 1) / 1000)
            try:
                await work()
                failing = False
            except (KafkaError, BucketError) as error:
                if not failing:
                    self._logger.warning("upkeep of the store is put off", what=what, reason=str(error))
                failing = True
            self.rounds += 1

    # -- the rounds ----------------------------------------------------------------------------------------------------

    async def expire(self) -> None:
        """Move the starts of logs to where their retention says."""
        specs: dict[int, LogSpec] = {}
        limits: list[Retention] = []
        async for log_id, _, spec in self._logs.every():
            config = spec.config
            if config.delete and (config.retention_ms >= 0 or config.retention_bytes >= 0):
                specs[log_id] = spec
                limits.append(Retention(log_id, config.retention_ms, config.retention_bytes))
        for part in _parts(limits, AT_A_TIME):
            for log_id, positions in await asked(self._control.expire(part)):
                self._logs.moved(specs[log_id], positions)

    async def tidy(self) -> None:
        """Take away rows, producers, objects and orphans that nothing needs, if that is this broker's to do."""
        if not self._logs.tidies():
            self.objects = None
            return
        while await asked(self._control.trim(AT_A_TIME)) == AT_A_TIME:
            pass
        while await asked(self._control.expire_producers(AT_A_TIME)) == AT_A_TIME:
            pass
        await self.delete_objects()
        while await asked(self._control.forget_tombstones(AT_A_TIME)) == AT_A_TIME:
            pass
        self.objects = await asked(self._control.object_counts())
        now = self._control.wall_millis()
        if now >= self._list_at:
            await self.collect_orphans()
            self._list_at = now + ORPHAN_ROUND_MS

    async def delete_objects(self) -> None:
        """Delete the objects whose grace is over."""
        while keys := await asked(self._control.deletable(MOST_DELETED)):
            await self._bucket.delete(keys)
            await asked(self._control.deleted(keys))

    async def collect_orphans(self) -> None:
        """Delete what is in the bucket and was not committed in its time."""
        old = datetime.fromtimestamp((self._control.wall_millis() - self._limits.orphan_age_ms) / 1000, UTC)
        upto = _hour(old)  # not included, as that hour is not over for long enough
        for folder in FOLDERS:
            if self._listed is None:
                await self._collect(folder, upto)
            else:
                hour = datetime.strptime(self._listed, "%Y%m%d%H").replace(tzinfo=UTC)
                while _hour(hour) < upto:
                    await self._collect(f"{folder}{_hour(hour)}/", upto)
                    hour += timedelta(hours=1)
        self._listed = upto

    async def _collect(self, folder: str, upto: str) -> None:
        async for page in self._bucket.list(folder):
            keys = [found.key for found in page if _hour_of(found.key) < upto]
            for part in _parts(keys, MOST_DELETED):
                if orphans := await asked(self._control.bury(part)):
                    self._logger.info("objects that were never committed are deleted", count=len(orphans))
                    await self._bucket.delete(orphans)

    async def merge(self) -> None:
        """Merge the logs that this broker looks after and that have enough runs for it, those with most first."""
        while True:
            candidates = await asked(self._control.merge_candidates(self._limits.merge_from, LOOKED_AT))
            runs = {candidate.log_id: candidate.runs for candidate in candidates}
            mine = [log async for log in self._logs.every() if log.log_id in runs] if runs else []
            mine.sort(key=lambda log: runs[log.log_id], reverse=True)
            self.unmerged = sum(runs[log.log_id] for log in mine)
            waiting = deque(mine)
            merged = 0
            while waiting:
                merged += len(await self._rewriting.merge(waiting))
            if not merged:
                break

    async def compact(self) -> None:
        """Clean the compacted logs that are due."""
        settings = self._logs.settings().cleaner
        if not settings.enable:
            return
        for log in [log async for log in self._logs.every() if log.spec.config.compact]:
            done = await self._rewriting.compact(log, settings, self._control.wall_millis())
            if done is not None:
                self._logs.rewritten(log.spec, *done)


def _hour(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H")


def _hour_of(key: str) -> str:
    """The hour in an object's key; what has none is no object of ours, and is older than none."""
    parts = key.split("/")
    return parts[1] if len(parts) == 3 and len(parts[1]) == 10 and parts[1].isdigit() else "9" * 10


def _parts(things: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
