"""What an EndTxn is answered: by the state that it finds, by its epoch, and by the decision that it brings.

An EndTxn may come twice, late, or from a producer that is not the owner any more. What was decided can never change, so
all that is left is to say it again, to refuse, or to begin.

**Version 1** (EndTxn v0-4) names the epoch of the owner, before and after the end. Only the owner's epoch is answered,
all others are PRODUCER_FENCED:

| state | commit | abort |
|---|---|---|
| Empty | INVALID_TXN_STATE | INVALID_TXN_STATE |
| Ongoing | *begins* | *begins* |
| PrepareCommit | CONCURRENT_TRANSACTIONS | INVALID_TXN_STATE |
| PrepareAbort | INVALID_TXN_STATE | CONCURRENT_TRANSACTIONS |
| CompleteCommit | done | INVALID_TXN_STATE |
| CompleteAbort | INVALID_TXN_STATE | done |

**Version 2** (EndTxn v5, KIP-890) raises the epoch with each end. So an EndTxn with the owner's epoch is the *next*
one, and one with the epoch before that is a *repetition*, whose answer may have been lost:

| state | commit, next | abort, next | commit, repeated | abort, repeated |
|---|---|---|---|---|
| Empty | INVALID_TXN_STATE | *begins* | PRODUCER_FENCED | PRODUCER_FENCED |
| Ongoing | *begins* | *begins* | PRODUCER_FENCED | PRODUCER_FENCED |
| PrepareCommit | PRODUCER_FENCED | PRODUCER_FENCED | CONCURRENT_TRANSACTIONS | INVALID_TXN_STATE |
| PrepareAbort | PRODUCER_FENCED | PRODUCER_FENCED | INVALID_TXN_STATE | CONCURRENT_TRANSACTIONS |
| CompleteCommit | INVALID_TXN_STATE | *begins* | done | INVALID_TXN_STATE |
| CompleteAbort | INVALID_TXN_STATE | *begins* | INVALID_TXN_STATE | done |

When the epochs of a producer id were used up, its owner has got another id with epoch 0, and a repetition still names
the old one with epoch 32766.

Source: KIP-890; Kafka's TransactionCoordinator.endTransaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from broker.coordinators.transactions.states import LAST_EPOCH, PREPARED, VERSION_2, Transaction, TransactionState
from kproto.errors import ErrorCode


class Ending(Enum):
    """What is to be done, if the request is not refused."""

    BEGINS = "the transaction ends with this decision"
    DONE = "it has ended with this decision before"


_COMMITS: Final[Mapping[TransactionState, bool]] = {
    TransactionState.PREPARE_COMMIT: True,
    TransactionState.COMPLETE_COMMIT: True,
    TransactionState.PREPARE_ABORT: False,
    TransactionState.COMPLETE_ABORT: False,
}
"""How a transaction was decided whose end has begun."""


def judge_end(
    transaction: Transaction | None, producer_id: int, epoch: int, commit: bool, version: int
) -> Ending | ErrorCode:
    """The tables above. `version` is 2 for EndTxn v5, else 0."""
    if transaction is None:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if version >= VERSION_2:
        return _judge_version_2(transaction, producer_id, epoch, commit)
    if transaction.producer_id != producer_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    if transaction.producer_epoch != epoch:
        return ErrorCode.PRODUCER_FENCED
    if transaction.state is TransactionState.ONGOING:
        return Ending.BEGINS
    return _said_again(transaction.state, commit)


def _judge_version_2(transaction: Transaction, producer_id: int, epoch: int, commit: bool) -> Ending | ErrorCode:
    state = transaction.state
    has_a_new_id = (
        transaction.previous_producer_id == producer_id and epoch == LAST_EPOCH - 1 and transaction.producer_epoch == 0
    )
    if transaction.producer_id != producer_id and not has_a_new_id:
        return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    is_next = epoch == transaction.producer_epoch and transaction.producer_id == producer_id
    repeats = epoch == transaction.producer_epoch - 1 or has_a_new_id
    if state in (TransactionState.ONGOING, TransactionState.EMPTY):
        if not is_next:
            return ErrorCode.PRODUCER_FENCED
        return Ending.BEGINS if state is TransactionState.ONGOING or not commit else ErrorCode.INVALID_TXN_STATE
    if repeats:
        return _said_again(state, commit)
    if not is_next or state in PREPARED:
        return ErrorCode.PRODUCER_FENCED
    return ErrorCode.INVALID_TXN_STATE if commit else Ending.BEGINS


def _said_again(state: TransactionState, commit: bool) -> Ending | ErrorCode:
    """The answer to a decision that has been taken before, or the other one."""
    if _COMMITS.get(state) is not commit:
        return ErrorCode.INVALID_TXN_STATE
    return ErrorCode.CONCURRENT_TRANSACTIONS if state in PREPARED else Ending.DONE
