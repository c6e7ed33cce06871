"""How batches enter a transaction: the question to its coordinator, and what the answer means to a producer.

A transactional batch may be appended if its transaction is open in its log already, or if the transaction's coordinator
knows that the partition belongs to it (KIP-890; why, and what the guard is for: `storage/verification.py`). So it is
with what Produce brings, and with the offsets of TxnOffsetCommit, which are a batch for a partition of
`__consumer_offsets`. Which of two questions is asked depends on the producer:

=========  ===============  ===================  ===================================================================
Produce    TxnOffsetCommit  question             the partition gets into the transaction by
=========  ===============  ===================  ===================================================================
3 to 11    0 to 4           `verify_partitions`  AddPartitionsToTxn, AddOffsetsToTxn: the producer has sent it before
12 on      5 on             `add_partitions`     this very request: there is nothing else
=========  ===============  ===================  ===================================================================

All partitions of a request that open the transaction are one question. With `transaction.partition.verification.enable`
off Produce does not ask the first one; the second always is asked.

A coordinator that is asked while the markers of the producer's last transaction are being written answers when they
are: then the marker of that has come to the log, and the guard is worth nothing. So after a yes the guard is looked at,
and if it is another one by now, the coordinator is asked again, a few times. Then clients are told
CONCURRENT_TRANSACTIONS, and try again: what has ended is the transaction before, and the batch is of the next one.

**What a producer is told** where the coordinator says no: its own codes would mean something else in an answer to
Produce, or nothing to older clients. NOT_ENOUGH_REPLICAS makes every client try again, and look up nothing.

=========================================================  =========================================================
the coordinator's code                                     Produce's code
=========================================================  =========================================================
PRODUCER_FENCED                                            INVALID_PRODUCER_EPOCH
NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE,                NOT_ENOUGH_REPLICAS
COORDINATOR_LOAD_IN_PROGRESS, NETWORK_EXCEPTION
CONCURRENT_TRANSACTIONS                                    the same from version 12 on; below, NOT_ENOUGH_REPLICAS
TRANSACTION_ABORTABLE                                      the same from version 11 on; below, INVALID_TXN_STATE
any other                                                  the same
=========================================================  =========================================================

What TxnOffsetCommit says instead is in its handler.

Sources: KIP-890; kafka.server.ReplicaManager.handleProduceAppend, org.apache.kafka.server.transaction
.AddPartitionsToTxnManager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from broker.partitions import Partition
from kproto.batches.header import BatchHeader
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from storage.engine import PartitionLog, VerificationGuard

SAYS_ABORTABLE: Final = 11
"""Produce's version from which on clients know TRANSACTION_ABORTABLE."""

ADDS_PARTITIONS: Final = 12
"""Produce's version from which on its batches add their partitions to the transaction."""

ATTEMPTS: Final = 3
"""Times that a coordinator is asked; each but the first because a transaction has ended meanwhile."""

_AGAIN: Final = frozenset({
    ErrorCode.NETWORK_EXCEPTION, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
})  # fmt: skip


class Transactions(Protocol):
    """The coordinator of transactions, as this page sees it. Both answer with a code for each partition."""

    async def verify_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """Whether the transaction of this producer and epoch is going on and has these partitions."""
        ...

    async def add_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """Add these partitions to the transaction, which this may begin; returns when that is durable."""
        ...


class NotEntered(KafkaError):
    """A batch is not part of its transaction, so its log was not asked to append it."""


class Entering(NamedTuple):
    """A batch that wants into its transaction: where it goes, and its first sequence, -1 if it has none."""

    place: tuple[str, int]
    log: PartitionLog
    base_sequence: int


class Entrance:
    """The batches of one request, all of one producer, on their way into their transaction.

    `outcome` has, for each, what it is to be appended with, or why it is not; it stands once `ask` has returned, or at
    once if there is nothing to ask (`asks`), as for all batches but the first of a transaction in a partition.
    """

    __slots__ = ("_adds", "_asked", "_entering", "_producer", "_refusal", "outcome")

    def __init__(
        self,
        producer_id: int,
        producer_epoch: int,
        entering: Sequence[Entering],
        *,
        adds: bool,
        refusal: Callable[[ErrorCode], NotEntered],
        verify: bool = True,
    ) -> None:
        """`adds`: the request adds its partitions to the transaction; if not, they are verified, unless `verify` is
        False. `refusal` is what the producer is told where the coordinator says no."""
        self._producer = producer_id, producer_epoch
        self._entering = entering
        self._adds = adds
        self._refusal = refusal
        self._asked: dict[tuple[str, int], int] = {}
        self.outcome: list[VerificationGuard | NotEntered | None] = [None] * len(entering)
        if adds or verify:
            for number in range(len(entering)):
                self._verify(number)

    def _verify(self, number: int) -> None:
        """Take the guard of one batch, and note that the coordinator has to be asked about it, if there is need."""
        place, log, base_sequence = self._entering[number]
        try:
            guard = log.start_verification(*self._producer, base_sequence, epoch_bump=self._adds)
        except KafkaError as error:
            self.outcome[number] = NotEntered(error.code, error.message)
            return
        self.outcome[number] = guard
        if guard is not None:
            self._asked[place] = number

    @property
    def asks(self) -> bool:
        """Whether there is a question to the coordinator."""
        return len(self._asked) > 0

    async def ask(self, transactions: Transactions, transactional_id: str) -> None:
        """Ask the coordinator for all partitions in question; again for those where a marker has come meanwhile."""
        question = transactions.add_partitions if self._adds else transactions.verify_partitions
        for _ in range(ATTEMPTS):
            codes = await question(transactional_id, *self._producer, list(self._asked))
            asked, self._asked = self._asked, {}
            for named, number in asked.items():
                if (code := codes[named]) is not ErrorCode.NONE:
                    self.outcome[number] = self._refusal(code)
                    continue
                guard = self.outcome[number]
                self._verify(number)
                if self.outcome[number] is guard:
                    del self._asked[named]
            if not self._asked:
                return
        for number in self._asked.values():
            self.outcome[number] = self._refusal(ErrorCode.CONCURRENT_TRANSACTIONS)


def entrance_of(batches: Sequence[tuple[Partition, BatchHeader]], *, version: int, verify: bool) -> Entrance:
    """That of the batches of a Produce request. `verify` is whether `transaction.partition.verification.enable` is set.

    Raises KafkaError(INVALID_PRODUCER_ID_MAPPING) for batches of several producers.
    """
    producers = {(header.producer_id, header.producer_epoch) for _, header in batches}
    if len(producers) > 1:
        raise KafkaError(
            ErrorCode.INVALID_PRODUCER_ID_MAPPING, "Transactional records contained more than one producer ID"
        )
    return Entrance(
        *next(iter(producers), (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)),
        [Entering((each.topic, each.index), each.log, header.base_sequence) for each, header in batches],
        adds=version >= ADDS_PARTITIONS,
        refusal=partial(refusal, version=version),
        verify=verify,
    )


def refusal(code: ErrorCode, version: int) -> NotEntered:
    """What the producer is told when the coordinator has said `code`."""
    if code is ErrorCode.PRODUCER_FENCED:
        return NotEntered(ErrorCode.INVALID_PRODUCER_EPOCH)
    if code is ErrorCode.TRANSACTION_ABORTABLE and version < SAYS_ABORTABLE:
        code = ErrorCode.INVALID_TXN_STATE
    if code in _AGAIN or (code is ErrorCode.CONCURRENT_TRANSACTIONS and version < ADDS_PARTITIONS):
        return NotEntered(
            ErrorCode.NOT_ENOUGH_REPLICAS,
            f"Unable to verify the partition has been added to the transaction. Underlying error: {code.name}",
        )
    if code is ErrorCode.INVALID_TXN_STATE:
        return NotEntered(code, "Partition was not added to the transaction")
    return NotEntered(code)
