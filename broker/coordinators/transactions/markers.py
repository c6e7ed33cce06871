"""Writing markers: the end of a transaction, in every partition that it has.

A transaction that is decided owes each of its partitions a marker, a control record that says commit or abort. Readers
of committed data see what came of it as soon as the marker stands in the log; so all markers are appended first, in
slices of the event loop, and then waited for together, in as few syncs as the engine can.

A partition that a coordinator keeps its state in is written to through its shard, which alone knows where the log
ends: one of `__consumer_offsets` through the groups', whose pending offsets the marker moves.

**What can go wrong with one marker:**

- The partition is gone, with its topic: there is nothing to end. A topic that was made again under the same name gets a
  marker that ends nothing.
- The log has seen a newer epoch of this producer, or of a coordinator (INVALID_PRODUCER_EPOCH,
  TRANSACTION_COORDINATOR_FENCED). Nothing of this transaction is open there then: a newer epoch is given out only when
  all markers are durable, or an administrator has ended the transaction by hand. It counts as written, and is said.
- The log cannot be written to, or its shard is being loaded: tried again, ever more slowly, until it can or is gone.
  The transactional id waits meanwhile; its other partitions do not.

A marker that is written twice, after a crash for example, ends nothing the second time.

Kafka: TransactionMarkerChannelManager, TransactionMarkerRequestCompletionHandler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import trio

from broker.coordinators.machine import EndOfTransaction
from broker.coordinators.transactions.states import Transaction, ordered
from kproto.errors import ErrorCode, KafkaError
from storage.engine import Append, LogAppend, LogStore, PartitionLog, WrongEnd
from storage.markers import Marker, marker_batch
from storage.seams.clock import Clock
from storage.seams.logging import get_logger
from storage.seams.slices import Slices

FIRST_RETRY: Final = 0.05  # seconds
LAST_RETRY: Final = 10.0

OPENED_AT_ONCE: Final = 64
"""Logs that are made ready for markers together: those that are closed are opened in threads, not in the event loop."""

GONE: Final = frozenset({ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID})
FENCED: Final = frozenset({ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED})


class MarkerWriter:
    """Writes the markers of transactions. `log_of` finds the log of a partition, or None if it does not exist;
    `end_in_shard` has, for each topic of a coordinator, what appends a marker to one of its partitions."""

    def __init__(
        self,
        store: LogStore,
        clock: Clock,
        log_of: Callable[[str, int], PartitionLog | None],
        end_in_shard: Mapping[str, Callable[[int, EndOfTransaction], Awaitable[None]]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._log_of = log_of
        self._end_in_shard = end_in_shard
        self._logger = get_logger(__name__)

    async def write(
        self, transaction: Transaction, coordinator_epoch: int, still: Callable[[], bool] = lambda: True
    ) -> None:
        """Returns when all markers of the transaction, which is decided, are durable.

        `still` says whether this broker coordinates the transaction in that epoch. Raises KafkaError(NOT_COORDINATOR)
        once it does not and markers are left: they are another's to write, or this one's in another epoch.
        """
        end = EndOfTransaction(
            transaction.producer_id,
            transaction.producer_epoch,
            coordinator_epoch,
            transaction.commits,
            transaction.client_version,
        )
        places = list(ordered(transaction.partitions))
        delay = FIRST_RETRY
        while places:
            refused = await self.write_some(end, places)
            for place, error in refused.items():
                if error.code in FENCED:
                    self._logger.warning(
                        "a marker of a transaction is refused: the partition knows a newer epoch",
                        topic=place[0],
                        partition=place[1],
                        producer_id=end.producer_id,
                        producer_epoch=end.producer_epoch,
                        reason=str(error),
                    )
            places = [place for place, error in refused.items() if error.code not in GONE | FENCED]
            if places:
                self._logger.warning(
                    "markers of a transaction cannot be written",
                    transactional_id=transaction.transactional_id,
                    partitions=len(places),
                    reason=str(refused[places[0]]),
                    retry_seconds=delay,
                )
                await trio.sleep(delay)
                delay = min(2 * delay, LAST_RETRY)
                if not still():
                    raise KafkaError(ErrorCode.NOT_COORDINATOR)

    async def write_some(
        self, end: EndOfTransaction, places: list[tuple[str, int]]
    ) -> dict[tuple[str, int], KafkaError]:
        """Write a marker into each of these partitions, once. Returns the refusals, when all others are durable."""
        refused: dict[tuple[str, int], KafkaError] = {}
        async with trio.open_nursery() as nursery:
            logs: list[tuple[tuple[str, int], PartitionLog]] = []
            async for place in Slices().over(places):
                log = self._log_of(*place)
                if log is None:
                    refused[place] = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                elif place[0] in self._end_in_shard:
                    nursery.start_soon(self._end_in_a_shard, end, place, refused)
                else:
                    logs.append((place, log))
            await self._end_in_logs(end, logs, refused)
        return refused

    async def _end_in_a_shard(
        self, end: EndOfTransaction, place: tuple[str, int], refused: dict[tuple[str, int], KafkaError]
    ) -> None:
        try:
            await self._end_in_shard[place[0]](place[1], end)
        except KafkaError as error:
            refused[place] = error

    async def _end_in_logs(
        self,
        end: EndOfTransaction,
        logs: list[tuple[tuple[str, int], PartitionLog]],
        refused: dict[tuple[str, int], KafkaError],
    ) -> None:
        marker = Marker(end.producer_id, end.producer_epoch, end.coordinator_epoch, end.commit)
        batch = partial(marker_batch, marker, self._clock.wall_millis())
        begun: list[tuple[tuple[str, int], Append]] = []
        for start in range(0, len(logs), OPENED_AT_ONCE):
            part = logs[start : start + OPENED_AT_ONCE]
            await self._store.make_ready([log for _, log in part])
            results = await self._store.append_all(
                LogAppend(log, (batch(),), transaction_version=end.transaction_version) for _, log in part
            )
            for (place, _), result in zip(part, results, strict=True):
                if isinstance(result, KafkaError):
                    refused[place] = result
                else:
                    assert not isinstance(result, WrongEnd), "markers are appended wherever the log ends"
                    begun.append((place, result))
        try:
            await self._store.wait_durable(append for _, append in begun)
        except KafkaError:
            for place, append in begun:  # one or more of them; each says for itself
                try:
                    await append.wait_durable()
                except KafkaError as error:
                    refused[place] = error
