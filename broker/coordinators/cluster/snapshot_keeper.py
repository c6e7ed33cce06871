"""When the cluster's log gets a snapshot, which snapshots stay, how far the log is cut, and how a start uses them.

**When** (Kafka: SnapshotGenerator): once `metadata.log.max.record.bytes.between.snapshots` bytes have been added since
the last one, or `metadata.log.max.snapshot.interval.ms` after it if anything has. Bytes that a start had to replay
count as added; in Kafka they do not.

**What stays** (Kafka: KafkaMetadataLog.maybeClean): while there are two or more, and log and snapshots together exceed
`metadata.max.retention.bytes`, or the oldest snapshot's state is older than `metadata.max.retention.ms`, the log is cut
where the next snapshot ends, and what lies wholly before goes: segments, and older snapshots.

**Starting.** The newest snapshot that can be read through, then the log after it. One that cannot be read is named in
the broker's log and left where it is; an older one serves, or the log from its beginning, as far as the log still
reaches back. Otherwise the broker does not start, says why in one sentence, and has touched nothing.

**A snapshot that ends at 0** stands for no log: it is what `kafka-storage format` leaves for a new log to open with.
Its records count when they are in the log, as in Kafka, which would not look for them elsewhere.

**Never lost** (docs/invariants.md, K9 to K12): a snapshot is of durable records only, and is written when the logs of
the topics that it has forgotten are gone, so that no crash leaves files of topics whose deletion is forgotten. The log
is cut only behind a snapshot that was read back whole in this run, after its name was synced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import trio

from broker.coordinators.cluster.machine import ClusterCapture, ClusterMachine
from broker.coordinators.cluster.quorum_files import QuorumFiles, StoredSnapshot
from broker.coordinators.cluster.snapshots import snapshot_batches
from kproto.batches.records import iter_records
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.metadata_snapshot import DamagedSnapshot, Snapshot, SnapshotId
from kproto.formats.quorum_state import QuorumState
from storage.engine import PartitionLog
from storage.seams.clock import Clock
from storage.seams.logging import get_logger

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig

CHECK_SECONDS: Final = 60.0
"""How soon a snapshot that failed is tried again."""

CLEAN_MS: Final = 10 * 60 * 1000
"""How often retention looks when no snapshot is made (Kafka: every minute)."""


class SnapshotRules(NamedTuple):
    """Settings, in bytes and milliseconds; an interval of 0 and a retention below 0 mean never."""

    max_bytes: int
    interval_ms: int
    retention_bytes: int
    retention_ms: int

    @classmethod
    def of(cls, config: BrokerConfig) -> SnapshotRules:
        """Those of a broker's configuration."""
        return cls(
            config.metadata_log_max_record_bytes_between_snapshots,
            config.metadata_log_max_snapshot_interval_ms,
            config.metadata_max_retention_bytes,
            config.metadata_max_retention_ms,
        )


class Captured(NamedTuple):
    """The state at one offset of the log, for a snapshot."""

    id: SnapshotId
    last_timestamp: int
    state: ClusterCapture
    settled: Callable[[], Awaitable[None]]
    """Returns when the records of that state are durable, and the logs of the topics deleted in it are gone."""


class Source(Protocol):
    """Whose state it is: the coordinator."""

    def capture(self) -> Captured | None:
        """The state of now; None while there is none."""
        ...

    @property
    def replayed_bytes(self) -> int:
        """Bytes of the log since the snapshot that the last load began with, if there was one."""
        ...

    @property
    def end_offset(self) -> int:
        """Where the log ends."""
        ...


class SnapshotKeeper:
    """Keeps the snapshots of the cluster's log."""

    def __init__(self, log: PartitionLog, files: QuorumFiles, rules: SnapshotRules, clock: Clock) -> None:
        self._log = log
        self._files = files
        self._rules = rules
        self._clock = clock
        self._logger = get_logger(__name__).bind(topic=log.spec.topic)
        self._proven: dict[SnapshotId, int] = {}  # read through in this run, and the time that each states
        self._due = trio.Event()
        self._covered_bytes = 0  # of the bytes that the source counts
        self._covered_offset = 0
        self._made_at = clock.monotonic_millis()
        self._clean_at = self._made_at
        self._failed = False

    # --- starting

    async def restore(self) -> tuple[ClusterMachine, int]:
        """A machine made of the newest snapshot that is whole, and the offset from which on the log goes on.

        Raises KafkaError(KAFKA_STORAGE_ERROR) when nothing whole reaches back to the beginning.
        """
        start, end = self._log.log_start_offset, self._log.log_end_offset
        unreadable: list[str] = []
        for found in reversed(await self._files.snapshots()):
            if found.id.end_offset < start:
                break
            if found.id.end_offset > end:
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR,
                    f"it ends at offset {end}, but its snapshot {found.id.file_name} reaches further: records that "
                    "had been in the log are gone",
                )
            try:
                snapshot = await self._files.read_snapshot(found.id)
                machine = await self._replayed(snapshot, only_bootstrap=found.id.end_offset == 0)
            except Exception as error:
                reason = error.message if isinstance(error, KafkaError) else str(error)
                self._logger.error("a snapshot cannot be read and is left out", file=found.id.file_name, reason=reason)
                unreadable.append(str(reason))
                continue
            self._proven[found.id] = snapshot.last_timestamp
            self._covered(0, found.id.end_offset)
            if start == end:
                self._log.go_on_in(found.id.epoch)
            return machine, found.id.end_offset
        if unreadable and end == 0:
            raise KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR, f"what it was to open with cannot be read ({unreadable[0]})"
            )
        if start > 0:
            # Replaying the rest would make a cluster that has forgotten its topics, and take their logs for strays.
            why = f"no snapshot of what came before can be read ({unreadable[0]})" if unreadable else (
                "there is no snapshot of what came before"
            )  # fmt: skip
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"it begins at offset {start}, and {why}")
        self._covered(0, 0)
        return ClusterMachine(), 0

    async def _replayed(self, snapshot: Snapshot, *, only_bootstrap: bool) -> ClusterMachine:
        machine = ClusterMachine()
        machine.adopt_quorum(snapshot.quorum)
        for batch in snapshot.batches:
            for record in iter_records(batch):
                decoded = machine.decode(record)
                if decoded is None:
                    continue
                if only_bootstrap:
                    machine.bootstrap.append(decoded)
                else:
                    machine.replay(decoded)
            await trio.lowlevel.checkpoint()
        return machine

    async def note_leader(self, node_id: int, kraft_version: int) -> None:
        """Write down that this node leads, if that is news. What cannot be read or written is said and left alone."""
        try:
            known = await self._files.quorum_state()
            epoch = max(self._log.leader_epoch, -1 if known is None else known.leader_epoch)
            state = QuorumState(min(kraft_version, 1), node_id, epoch, voters=() if kraft_version else (node_id,))
            if state != known:
                await self._files.write_quorum_state(state)
        except KafkaError as error:
            self._logger.warning("who leads could not be noted", reason=error.message)

    # --- making snapshots

    def grown(self, source: Source) -> None:
        """Something was appended: is it time for a snapshot? Quick."""
        if self._wanted(source):
            self._due.set()

    async def run(self, source: Source) -> None:
        """Make snapshots and remove old ones, forever."""
        self._made_at = self._clock.monotonic_millis()
        while True:
            try:
                if self._wanted(source):
                    await self._make(source)
                if self._clock.monotonic_millis() >= self._clean_at:
                    self._clean_at = self._clock.monotonic_millis() + CLEAN_MS
                    await self._clean()
            except KafkaError as error:
                self._failed = True
                self._logger.error("no snapshot, or old ones not removed", reason=error.message)
                await trio.sleep(CHECK_SECONDS)
                continue
            with trio.move_on_after(self._wait_seconds()):
                await self._due.wait()
            self._due = trio.Event()

    def _wait_seconds(self) -> float:
        """Until something may be due by itself; what becomes due by an append wakes the task (`grown`)."""
        now = self._clock.monotonic_millis()
        moments = [self._clean_at, self._made_at + self._rules.interval_ms]
        return max(1, min((moment for moment in moments if moment > now), default=now + CLEAN_MS) - now) / 1000

    def _wanted(self, source: Source) -> bool:
        if source.end_offset <= self._covered_offset:
            return False
        elapsed = self._clock.monotonic_millis() - self._made_at
        return (
            self._failed
            or source.replayed_bytes - self._covered_bytes >= self._rules.max_bytes
            or 0 < self._rules.interval_ms <= elapsed
        )

    async def _make(self, source: Source) -> None:
        covered = source.replayed_bytes
        captured = source.capture()
        if captured is None:
            return
        self._made_at = self._clock.monotonic_millis()
        with trio.move_on_after(CHECK_SECONDS) as patience:
            await captured.settled()
        if patience.cancelled_caught:
            return  # the records were lost, or a deletion takes long: later
        began = self._clock.monotonic_millis()
        pieces = partial(
            snapshot_batches,
            captured.state, captured.id.epoch, captured.last_timestamp, self._clock.wall_millis(),
        )  # fmt: skip
        await self._files.write_snapshot(captured.id, pieces)
        if source.replayed_bytes >= covered:  # else it was loaded again meanwhile, and counts from there
            self._covered(covered, captured.id.end_offset)
        self._failed = False
        self._clean_at = began
        self._logger.info("snapshot written", file=captured.id.file_name, millis=self._clock.monotonic_millis() - began)

    def _covered(self, covered_bytes: int, end_offset: int) -> None:
        self._covered_bytes = covered_bytes
        self._covered_offset = end_offset

    # --- removing them

    async def _clean(self) -> None:
        stored = await self._files.snapshots()
        if len(stored) < 2:
            return
        start = self._log.log_start_offset
        usable = [found for found in stored if found.id.end_offset >= start]
        total = sum(found.size for found in usable)
        keep_from: SnapshotId | None = None
        for oldest, following in pairwise(usable):
            if not await self._expired(oldest, total):
                break
            if await self._is_whole(following.id):
                keep_from = following.id
                await self._log.delete_before(following.id.end_offset)
            total -= oldest.size
        if keep_from is None and len(usable) < len(stored) and await self._is_whole(usable[0].id):
            keep_from = usable[0].id  # an earlier run has cut the log and came no further
        if keep_from is not None:
            gone = [found.id for found in stored if found.id < keep_from]
            await self._files.remove_snapshots(gone)
            self._logger.info("log cut behind a snapshot", file=keep_from.file_name, snapshots_removed=len(gone))

    async def _expired(self, oldest: StoredSnapshot, snapshot_bytes: int) -> bool:
        rules = self._rules
        if rules.retention_bytes >= 0 and self._log.statistics().size + snapshot_bytes > rules.retention_bytes:
            return True
        if rules.retention_ms < 0 or not await self._is_whole(oldest.id):
            return False
        return self._clock.wall_millis() - self._proven[oldest.id] > rules.retention_ms

    async def _is_whole(self, snapshot_id: SnapshotId) -> bool:
        if snapshot_id not in self._proven:
            try:
                self._proven[snapshot_id] = (await self._files.read_snapshot(snapshot_id)).last_timestamp
            except DamagedSnapshot as error:
                self._logger.error("a snapshot is damaged", file=snapshot_id.file_name, reason=str(error))
                return False
        return True
