"""What a quorum has beside its log: snapshots that are whole and fit the log, and a note of who leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kproto.batches.header import read_header
from kproto.batches.records import iter_records
from kproto.errors import KafkaError, ProtocolError
from kproto.formats import quorum_state
from kproto.formats.cluster_metadata import decode_record
from kproto.formats.metadata_snapshot import (
    DamagedSnapshot,
    Snapshot,
    SnapshotId,
    read_snapshot,
    snapshot_named,
)
from kproto.formats.quorum_state import DamagedQuorumState
from tools.log_check.findings import Finding, Known
from tools.log_files.names import METADATA_TOPIC


def quorum_findings(
    directory: Path, names: Sequence[str], bases: Sequence[int], end: int, known: Known
) -> Iterator[Finding]:
    """Everything about snapshots and `quorum-state` that is not as it should be. Raises OSError.

    `bases` are the first offsets of the log's segments, `end` is where it ends.
    """
    if quorum_state.NAME in names:
        path = directory / quorum_state.NAME
        try:
            quorum_state.decode(path.read_bytes())
        except DamagedQuorumState as error:
            yield Finding(path, f"it is unreadable: {error}; Kafka does not start on it, Ottla leaves it alone")
    start = min(bases, default=0)
    serving: list[SnapshotId] = []
    for name in names:
        snapshot_id = snapshot_named(name)
        if snapshot_id is not None:
            wrong = list(_of_snapshot(directory / name, snapshot_id, end, known))
            yield from wrong
            if snapshot_id.end_offset < start:
                what = "it ends before the log begins: a newer one has taken its place, and it goes with the next one"
                yield Finding(directory / name, what, note=True)
            elif not wrong:
                serving.append(snapshot_id)
    is_quorums = directory.resolve().name == f"{METADATA_TOPIC}-0"
    if is_quorums and start > 0 and not serving and not known.running:
        yield Finding(
            directory,
            f"the log begins at offset {start}, and no whole snapshot says what came before: no broker starts on it",
        )


def _of_snapshot(path: Path, snapshot_id: SnapshotId, end: int, known: Known) -> Iterator[Finding]:
    try:
        snapshot = read_snapshot(path.read_bytes())
    except DamagedSnapshot as error:
        yield Finding(path, f"it is damaged: {error}; a start passes it over")
        return
    if snapshot_id.end_offset > end and not known.running:
        reaches = f"it reaches to offset {snapshot_id.end_offset}, but the log ends at {end}"
        yield Finding(path, f"{reaches}: records that had been in the log are gone, and Ottla does not start on it")
    epochs = {read_header(batch).partition_leader_epoch for batch in snapshot.batches}
    if epochs - {snapshot_id.epoch}:
        yield Finding(path, f"by its name it is of epoch {snapshot_id.epoch}, but it has batches of {sorted(epochs)}")
    yield from _of_records(path, snapshot)


def _of_records(path: Path, snapshot: Snapshot) -> Iterator[Finding]:
    for batch in snapshot.batches:
        try:
            for record in iter_records(batch):
                if record.value is not None:
                    decode_record(record.value)
        except (KafkaError, ProtocolError) as error:
            yield Finding(path, f"it has a record that cannot be read: {error}")
            return
