"""Tables: the transitions of a transactional id, and what an EndTxn is answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.coordinators.transactions import endings
from broker.coordinators.transactions.endings import Ending, judge_end
from broker.coordinators.transactions.states import (
    LAST_EPOCH,
    SETTLED,
    STATES_BY_LABEL,
    TRANSITIONS,
    VERSION_2,
    Transaction,
    TransactionState,
    completed,
    diagram,
    ended,
    fenced,
)
from kproto.errors import ErrorCode

PAGE = Path(__file__).parents[4] / "docs" / "transactions.md"


def transaction(state: TransactionState, epoch: int = 7, started: int = -1) -> Transaction:
    """A transactional id of producer 1000."""
    return Transaction(
        transactional_id="t", producer_id=1000, producer_epoch=epoch, timeout=1, state=state, updated=0, started=started
    )


def test_the_diagram_in_the_docs_is_the_table() -> None:
    """X12: what the page shows is printed by the table that the code goes by."""
    assert f"```mermaid\n{diagram()}```" in PAGE.read_text()


def test_every_state_can_be_left() -> None:
    """And has a name on the wire, as the two states have that no id is ever seen in."""
    assert all(TRANSITIONS[state] for state in TransactionState)
    assert set(STATES_BY_LABEL) == {
        "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead",
        "PrepareEpochFence",
    }  # fmt: skip
    assert {TransactionState.EMPTY, TransactionState.COMPLETE_ABORT, TransactionState.COMPLETE_COMMIT} == SETTLED


def tables() -> list[tuple[int, str, str, str]]:
    """Version, state, column and answer of each cell of the tables on top of `endings.py`."""
    cells = []
    version = 0
    heads: list[str] = []
    assert endings.__doc__ is not None
    for line in endings.__doc__.splitlines():
        if match := re.match(r"\*\*Version (\d)", line):
            version = int(match[1]) if match[1] == "2" else 0
        if not line.startswith("|") or line.startswith("|--"):
            continue
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if row[0] == "state":
            heads = row
            continue
        cells += [(version, row[0], head, cell) for head, cell in zip(heads[1:], row[1:], strict=True)]
    return cells


@pytest.mark.parametrize(("version", "label", "column", "expected"), tables())
def test_a_late_end_changes_nothing(version: int, label: str, column: str, expected: str) -> None:
    """X2: what was decided is said again or refused, never changed; each cell of the tables as Kafka answers."""
    state = STATES_BY_LABEL[label]
    assert state is not None
    epoch = 6 if "repeated" in column else 7
    answer = judge_end(transaction(state), 1000, epoch, column.startswith("commit"), version)
    said = {"*begins*": Ending.BEGINS, "done": Ending.DONE}.get(expected)
    assert answer is (said or ErrorCode[expected])


@pytest.mark.parametrize("state", TransactionState)
@pytest.mark.parametrize("version", [0, VERSION_2])
@pytest.mark.parametrize("commit", [True, False])
def test_other_owners_decide_nothing(state: TransactionState, version: int, commit: bool) -> None:
    """Neither a producer id that the transactional id never had, nor an epoch that is older than the one before."""
    assert judge_end(transaction(state), 1001, 7, commit, version) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert judge_end(None, 1000, 7, commit, version) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    for epoch in (5, 8):
        assert judge_end(transaction(state), 1000, epoch, commit, version) is ErrorCode.PRODUCER_FENCED


def test_the_last_epoch_of_a_producer_id_is_given_to_no_client() -> None:
    """X13: it fences the last owner; the end of the transaction brings a new producer id, and a repetition of that end,
    which names the old one, is answered as before."""
    last = transaction(TransactionState.ONGOING, LAST_EPOCH - 1, started=5)
    assert last.is_epoch_exhausted
    prepared = ended(last, True, VERSION_2, 2000, 9)
    assert (prepared.producer_id, prepared.producer_epoch, prepared.next_producer_id) == (1000, LAST_EPOCH, 2000)
    done = completed(prepared, 10)
    assert (done.producer_id, done.producer_epoch, done.previous_producer_id) == (2000, 0, 1000)
    assert judge_end(done, 1000, LAST_EPOCH - 1, True, VERSION_2) is Ending.DONE
    assert judge_end(done, 1000, LAST_EPOCH - 1, False, VERSION_2) is ErrorCode.INVALID_TXN_STATE
    assert fenced(last, 0, -1, 9).producer_epoch == LAST_EPOCH
