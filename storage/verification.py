"""Verification: a batch opens a transaction in a log only if the transaction's coordinator knows of it (KIP-890). Pure.

A batch that was delayed on its way may arrive when its transaction has ended. Were it appended, it would open a
transaction that no coordinator will ever end, and hold back every reader of committed data: a *hanging* one. So the
coordinator is asked before a transaction is opened, and here is remembered that it is being asked:

1. `begin` gives the caller a guard: an object that stands for this attempt of this producer.
2. The caller asks the coordinator, which takes a while; other batches and markers come meanwhile.
3. The batch is appended with the guard. It opens the transaction if the guard is still the one in force; that it no
   longer is when a marker or another batch of a transaction has come since (`end`).

Step 3 is what asking alone cannot do: between answer and append the transaction may be ended and the next one begun,
about which nothing was asked. Batches of a transaction that is open in the log already need no guard.

**Sequences.** While the coordinator is asked, batches behind the first may arrive and be verified before it. They must
not be appended before it: the log does not know the producer yet, and would take any sequence for its first. So the
lowest sequence that was seen is remembered, and nothing above it opens the transaction. A producer that speaks version
2 of the protocol (`epoch_bump`) has a new epoch for each transaction: in a log that knows no batch of it, it begins
with 0.

**Bounds.** An attempt is forgotten when the transaction is opened or ended. What is left are attempts that have failed;
those older than `LONGEST` go when there are many.

Sources: KIP-890; org.apache.kafka.storage.internals.log.{VerificationGuard, VerificationStateEntry}.
"""

from __future__ import annotations

from typing import Final

from kproto.batches.header import BatchHeader
from kproto.errors import ErrorCode, KafkaError
from storage.engine import VerificationGuard

LONGEST: Final = 60_000
"""Milliseconds after which no answer of a coordinator is waited for any more."""


class _Attempt:
    """A producer whose coordinator is being asked."""

    __slots__ = ("begun", "epoch", "epoch_bump", "guard", "lowest_sequence")

    def __init__(self, epoch: int, sequence: int, epoch_bump: bool, now: int) -> None:
        self.guard = VerificationGuard()
        self.epoch = epoch
        self.lowest_sequence = sequence
        self.epoch_bump = epoch_bump
        self.begun = now


class Verifications:
    """The attempts of one log, at most `most` of them. Every `now` is in milliseconds of one clock."""

    __slots__ = ("_attempts", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._attempts: dict[int, _Attempt] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    def begin(self, producer_id: int, epoch: int, sequence: int, epoch_bump: bool, now: int) -> VerificationGuard:
        """The guard of this producer's attempt, which begins now or is under way.

        Raises KafkaError(CONCURRENT_TRANSACTIONS) when too many are under way.
        """
        attempt = self._attempts.get(producer_id)
        if attempt is None:
            if len(self._attempts) >= self.most:
                self._forget_old(now)
            attempt = self._attempts[producer_id] = _Attempt(epoch, sequence, epoch_bump, now)
            return attempt.guard
        attempt.begun = now
        if epoch > attempt.epoch:
            attempt.epoch, attempt.lowest_sequence, attempt.epoch_bump = epoch, sequence, epoch_bump
        elif epoch == attempt.epoch and sequence < attempt.lowest_sequence:
            attempt.lowest_sequence = sequence
        return attempt.guard

    def check(self, header: BatchHeader, guard: VerificationGuard | None) -> None:
        """Raises KafkaError(INVALID_TXN_STATE) unless `guard` is the one in force for the producer of this batch."""
        attempt = self._attempts.get(header.producer_id)
        if attempt is None or guard is not attempt.guard:
            raise KafkaError(ErrorCode.INVALID_TXN_STATE, "Record was not part of an ongoing transaction")

    def check_sequence(self, header: BatchHeader, known: bool) -> None:
        """Whether the transaction may begin with this batch. `known` is whether the log knows batches of its producer.

        Raises KafkaError(OUT_OF_ORDER_SEQUENCE_NUMBER).
        """
        attempt, sequence = self._attempts.get(header.producer_id), header.base_sequence
        if attempt is None:
            return
        lowest = 0 if attempt.epoch_bump and not known else attempt.lowest_sequence
        if sequence > lowest:
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"producer {header.producer_id} begins a transaction with sequence {sequence}, expected is {lowest}",
            )

    def end(self, producer_id: int) -> None:
        """The transaction is opened, or ended: no guard given out so far opens another."""
        self._attempts.pop(producer_id, None)

    def copy(self) -> Verifications:
        """Another one, to try out on."""
        twin = Verifications(self.most)
        twin._attempts = self._attempts.copy()
        return twin

    def _forget_old(self, now: int) -> None:
        self._attempts = {
            producer_id: attempt for producer_id, attempt in self._attempts.items() if now - attempt.begun < LONGEST
        }
        if len(self._attempts) >= self.most:
            raise KafkaError(
                ErrorCode.CONCURRENT_TRANSACTIONS,
                f"{len(self._attempts)} transactions are about to begin in this partition, and no more can",
            )
