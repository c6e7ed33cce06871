"""Appends to several logs at once, for engines that have nothing better than one after the other.

Sources: what Kafka does for WriteTxnMarkers (KafkaApis.handleWriteTxnMarkersRequest), partition by partition.
"""

from __future__ import annotations

from collections.abc import Iterable

from kproto.errors import KafkaError
from storage.engine import Append, LogAppend, WrongEnd
from storage.seams.slices import Slices


async def append_each(appends: Iterable[LogAppend]) -> list[Append | KafkaError | WrongEnd]:
    """Append to each log, in order, giving way; the append, or why it was refused, in the place of each."""
    results: list[Append | KafkaError | WrongEnd] = []
    async for log, batches, expected_end, transaction_version in Slices().over(appends):
        try:
            results.append(
                log.begin_append(batches, expected_end=expected_end, transaction_version=transaction_version)
            )
        except (KafkaError, WrongEnd) as error:
            results.append(error.with_traceback(None))
    return results
