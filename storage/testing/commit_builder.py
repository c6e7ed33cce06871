"""Builders of commits, so that a test of a control plane says in one line what is committed.

await plane.commit([commit("key", (log_id, [append(producer.batch(b"a")), records(3)]))])
"""

from __future__ import annotations

from collections.abc import Sequence

from kproto.errors import KafkaError
from storage.engine import Batch, WrongEnd
from storage.markers import end_marker
from storage.object.control_plane import UNVERIFIED, AppendOutcome, Commit, CommitRun, LogName, RunAppend
from storage.testing.log_builder import EPOCH_MS, batch

TOPIC = b"topic".ljust(16, b"\1")


def name(partition: int = 0, topic_id: bytes = TOPIC) -> LogName:
    """A log's name."""
    return LogName("orders", topic_id, partition)


def append(
    *batches: Batch,
    expected_end: int | None = None,
    transaction_version: int = 0,
    unended_since: int | None = UNVERIFIED,
) -> RunAppend:
    """One append of these batches."""
    headers = [(header, end_marker(header, data)) for header, data in batches]
    return RunAppend(
        sum(header.last_offset_delta + 1 for header, _ in batches),
        sum(len(data) for _, data in batches),
        max(header.max_timestamp for header, _ in batches),
        headers if any(header.producer_id >= 0 for header, _ in headers) else (),
        expected_end,
        transaction_version,
        unended_since,
    )


def records(count: int = 1, timestamp: int = EPOCH_MS, expected_end: int | None = None) -> RunAppend:
    """One append of so many records without a producer."""
    return append(batch(*[b"v"] * count, timestamps=[timestamp] * count), expected_end=expected_end)


def commit(key: str, *runs: tuple[int, Sequence[RunAppend]]) -> Commit:
    """An object with these runs, one behind the other."""
    laid, position = [], 0
    for log_id, appends in runs:
        laid.append(CommitRun(log_id, position, appends))
        position += sum(piece.length for piece in appends)
    return Commit(key, position, laid)


def inline(key: str, *runs: tuple[int, RunAppend], after: int | None = None) -> Commit:
    """A commit without an object; all runs but the first come `after` that one, if that is said."""
    return Commit(
        key,
        0,
        [
            CommitRun(log_id, 0, [piece], bytes([index]) * piece.length, after if index else None)
            for index, (log_id, piece) in enumerate(runs)
        ],
    )


def shown(outcome: AppendOutcome) -> object:
    """An outcome, so that it can be compared."""
    if isinstance(outcome, KafkaError):
        return outcome.code
    if isinstance(outcome, WrongEnd):
        return ("wrong end", outcome.expected, outcome.actual)
    return outcome
