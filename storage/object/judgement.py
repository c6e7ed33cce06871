"""Appends judged in the order of a commit: what each comes to, and what the log's producers are afterwards. Pure.

Every engine judges producers by `storage/producers.py`, and so does this one: a `LogLedger` is a log's end and its
producers, as the database has them while the commit holds the log's row. PostgreSQL judges the plain case by itself, in
one statement for a whole object; whatever is not plain comes here, and so does everything in the double.

What is added is the guard of a transaction (KIP-890), since the broker that asked the coordinator and the one that
writes the marker may be two. The guard is an offset, `RunAppend.unended_since`: a marker at or beyond it came after the
question, so the answer to the question is void.

Sources: KIP-890; org.apache.kafka.storage.internals.log.{ProducerStateManager, VerificationStateEntry}.
"""

from __future__ import annotations

from collections.abc import Sequence

from kproto.batches.header import TRANSACTIONAL
from kproto.errors import ErrorCode, KafkaError
from storage.aborted_transactions import CompletedTransaction
from storage.engine import WrongEnd
from storage.object.control_plane import AppendOutcome, Commit, Repeated, RunAppend, RunOutcome, Taken
from storage.producers import LogProducers


class LogLedger:
    """A log's end, its producers, and where each producer's last marker lies. `judge` changes them."""

    __slots__ = ("broken", "completed", "end", "markers", "producers")

    def __init__(self, end: int, producers: LogProducers, markers: dict[int, int] | None = None) -> None:
        self.end = end
        self.producers = producers
        self.markers: dict[int, int] = markers if markers is not None else {}
        self.completed: list[CompletedTransaction] = []
        """The transactions that appends judged here have ended."""
        self.broken = False
        """Whether a conditional append of this commit was refused: those behind it expect its end, which there is not,
        even if another broker's append ends at the same offset."""

    def judge(self, append: RunAppend, now: int) -> AppendOutcome:
        """What this append comes to; if it is taken, the ledger goes on behind it. `now` in milliseconds."""
        outcome = self._judge(append, now)
        if append.expected_end is not None and isinstance(outcome, (KafkaError, WrongEnd)):
            self.broken = True
        return outcome

    def _judge(self, append: RunAppend, now: int) -> AppendOutcome:
        base_offset = self.end
        if append.expected_end is not None and (self.broken or append.expected_end != base_offset):
            return WrongEnd(append.expected_end, base_offset)
        if append.batches:
            try:
                self._check_guards(append, now)
                original = self.producers.check_all(
                    append.batches, base_offset, now, transaction_version=append.transaction_version
                )
            except KafkaError as error:
                return error.with_traceback(None)
            if original is not None:
                return Repeated(original.first_offset, original.last_offset)
            self._apply(append, now)
        self.end = base_offset + append.offsets
        return Taken(base_offset)

    def last_stable_offset(self, start: int) -> int:
        """Where readers of committed data stop, in a log that starts at `start`."""
        return max(start, self.producers.last_stable_offset(self.end))

    def _check_guards(self, append: RunAppend, now: int) -> None:
        since = append.unended_since
        for header, marker in append.batches:
            if marker is not None or not header.attributes & TRANSACTIONAL:
                continue
            if not self.producers.would_open(header, now):
                continue
            if since is None or self.markers.get(header.producer_id, -1) >= since:
                raise KafkaError(ErrorCode.INVALID_TXN_STATE, "Record was not part of an ongoing transaction")
            if (
                append.transaction_version >= 2
                and header.base_sequence > 0
                and not self.producers.knows_batches(header.producer_id, now)
            ):
                raise KafkaError(
                    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                    f"producer {header.producer_id} begins a transaction with sequence {header.base_sequence}, "
                    "expected is 0",
                )

    def _apply(self, append: RunAppend, now: int) -> None:
        offset = self.end
        for header, marker in append.batches:
            if marker is None:
                self.producers.apply(header, offset, now)
            else:
                self.markers[header.producer_id] = offset
                completed = self.producers.apply_marker(header, marker, offset, now)
                if completed is not None:
                    self.completed.append(completed)
            offset += header.last_offset_delta + 1


def judge_run(ledger: LogLedger, appends: Sequence[RunAppend], now: int) -> list[AppendOutcome]:
    """The outcome of each append of a run, in order."""
    return [ledger.judge(append, now) for append in appends]


def all_taken(outcomes: Sequence[AppendOutcome]) -> bool:
    """Whether all of a run's appends were taken, so that they lie one behind the other."""
    return all(type(outcome) is Taken for outcome in outcomes)


def refusal(outcomes: Sequence[AppendOutcome]) -> KafkaError | WrongEnd | None:
    """Why a run that depends on these is refused; None if it is not. A repetition is there, so it is no reason."""
    return next((outcome for outcome in outcomes if isinstance(outcome, (KafkaError, WrongEnd))), None)


def broken_logs(commit: Commit, outcomes: Sequence[RunOutcome]) -> set[int]:
    """The logs of which a conditional append was refused in this commit."""
    return {
        run.log_id
        for run, outcome in zip(commit.runs, outcomes, strict=True)
        if outcome.appends is not None
        for append, result in zip(run.appends, outcome.appends, strict=True)
        if append.expected_end is not None and isinstance(result, (KafkaError, WrongEnd))
    }


def behind(commit: Commit, broken: set[int]) -> Commit:
    """The commit as it is behind others, given together with it, that have left these logs' chains broken: conditional
    appends to them expect an end that there never is."""
    if not any(run.log_id in broken for run in commit.runs):
        return commit
    runs = []
    for run in commit.runs:
        if run.log_id in broken:
            appends = [
                append if append.expected_end is None else append._replace(expected_end=-1) for append in run.appends
            ]
            run = run._replace(appends=appends)
        runs.append(run)
    return commit._replace(runs=runs)


def unknown_log(log_id: int) -> KafkaError:
    """The outcome of an append to a log that is not there (any more)."""
    return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"log {log_id} has been deleted")
