"""Logs taken over from elsewhere, part by part, each part in one transaction: `ControlPlane.adopt`.

As a commit that is judged (`judged_commits.py`): one way there and back to lock the logs and learn where they end, one
to write. What comes is written as it is said to be; the records are another cluster's, and so is the judgement on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kproto.errors import KafkaError
from storage.engine import WrongEnd
from storage.object.control_plane import Adoption, RunKind, RunOutcome, Taken
from storage.object.judgement import LogLedger, unknown_log
from storage.object.postgres import judged_commits as rows
from storage.object.postgres.connection import Call, Connection, Statement
from storage.object.postgres.outcomes import pack
from storage.object.postgres.values import Parameter, number, numbers, optional_numbers, raws
from storage.producers import LogProducers
from storage.store_settings import ProducerRules

_ADVANCE: Final = Statement(
    "adopt_advance",
    "UPDATE ottla.part SET log_start = $2::bigint, next_offset = $3::bigint, bytes = bytes + $4::bigint, "
    "cum_max_ts = $5::bigint, first_unstable = $6::bigint WHERE part_id = $1::bigint",
)
_FORGET: Final = Statement("adopt_forget", "DELETE FROM ottla.prod WHERE part_id = $1::bigint")

Answer = WrongEnd | KafkaError | None


async def adopt(
    connection: Connection,
    key: str,
    size: int,
    adoptions: Sequence[Adoption],
    node: Parameter,
    incarnation: Parameter,
    inline_key_ms: Parameter,
    rules: ProducerRules,
) -> list[Answer]:
    """Carry it out. Raises Known, Fenced, and what `Connection.run` does."""
    log_ids = [adoption.log_id for adoption in adoptions]
    begun = rows.locked(connection, key, size, log_ids, node, incarnation, inline_key_ms)
    async with begun as (object_id, now, [parts]):
        ends = {row[0]: row for row in parts}
        calls: list[Call] = []
        answers: list[Answer] = []
        live = 0
        for adoption in adoptions:
            row = ends.get(adoption.log_id)
            if row is None:
                answers.append(unknown_log(adoption.log_id))
            elif row[2] != adoption.expected_end:
                answers.append(WrongEnd(adoption.expected_end, row[2]))
            else:
                answers.append(None)
                live += sum(new.inline is None for new in adoption.runs)
                calls += _written(adoption, object_id, row[5], now, rules)
        # Each answer as that of an append, so that it can be asked for again.
        outcomes = [Taken(0) if answer is None else answer for answer in answers]
        calls.append(
            rows.outcome_call(object_id, live, pack([RunOutcome(-1, [outcome], None) for outcome in outcomes]))
        )
        await connection.run([*calls, rows.COMMIT], changes=True)
    return answers


def answers_of(outcomes: Sequence[RunOutcome]) -> list[Answer]:
    """The answers, from what stands in the row of the key."""
    found: list[Answer] = []
    for outcome in outcomes:
        assert outcome.appends is not None
        (append,) = outcome.appends
        found.append(append if isinstance(append, (KafkaError, WrongEnd)) else None)
    return found


def _written(adoption: Adoption, object_id: int, newest: int, now: int, rules: ProducerRules) -> list[Call]:
    """The rows of one log."""
    part = adoption.log_id
    lines = []
    for new in adoption.runs:
        newest = max(newest, new.max_timestamp)
        lines.append(
            (
                part,
                new.last_offset,
                new.base_offset,
                0 if new.inline is not None else object_id,
                new.max_timestamp,
                newest,
                new.position,
                new.length,
                int(RunKind.ABSOLUTE),
            )
        )
    producers = LogProducers(rules._replace(verify=False))
    producers.restore(adoption.producers, now)
    ledger = LogLedger(adoption.end, producers)
    unstable = producers.last_stable_offset(adoption.end) if producers.has_open_transactions else None
    calls: list[Call] = [
        (
            _ADVANCE,
            (
                number(part),
                number(adoption.start),
                number(adoption.end),
                number(sum(new.length for new in adoption.runs)),
                number(newest),
                number(unstable),
            ),
        ),
        (_FORGET, (number(part),)),
    ]
    if lines:
        inline = raws([new.inline for new in adoption.runs])
        calls.append((rows.RUNS, (*map(numbers, zip(*lines, strict=True)), inline)))
    remembered = rows.producer_rows(ledger, {state.producer_id for state in adoption.producers}, now)
    if remembered:
        columns = zip(*((part, *row) for row in remembered), strict=True)
        calls.append((rows.REMEMBER, tuple(map(optional_numbers, columns))))
    if adoption.aborted:
        spans = [
            (part, span.last_offset, span.first_offset, span.first_offset, span.producer_id)
            for span in adoption.aborted
        ]
        calls.append((rows.ABORTED, tuple(map(numbers, zip(*spans, strict=True)))))
    return calls
