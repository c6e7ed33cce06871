"""Transaction index (`.txnindex`): the aborted transactions whose markers lie in the segment.

======  =====  ==================  ==================================================================
offset  bytes  field               meaning
======  =====  ==================  ==================================================================
0       2      version             0
2       8      producer_id
10      8      first_offset        first record of the transaction
18      8      last_offset         its abort marker
26      8      last_stable_offset  where stable data ended right after the marker
======  =====  ==================  ==================================================================

Big-endian, in the order of the markers. There is no file as long as nothing was aborted. Like the other indexes it can
be rebuilt: from the markers in the log and the transactions open before them.

Source: org.apache.kafka.storage.internals.log.{TransactionIndex, AbortedTxn}.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from storage.aborted_transactions import CompletedTransaction

LAYOUT: Final = Struct(">hqqqq")
VERSION: Final = 0


def encode(transactions: Iterable[CompletedTransaction]) -> bytes:
    """The bytes of these entries."""
    return b"".join(
        [
            LAYOUT.pack(VERSION, done.producer_id, done.first_offset, done.last_offset, done.last_stable_offset)
            for done in transactions
        ]
    )


def decode(data: bytes, base_offset: int, end_offset: int) -> list[CompletedTransaction] | None:
    """The entries of a segment that spans [base_offset, end_offset); None when the bytes cannot be its index."""
    if len(data) % LAYOUT.size:
        return None
    entries = []
    previous = base_offset - 1
    for version, producer_id, first_offset, last_offset, stable in LAYOUT.iter_unpack(data):
        if version != VERSION or not previous < last_offset < end_offset or not 0 <= first_offset <= last_offset:
            return None
        entries.append(CompletedTransaction(producer_id, first_offset, last_offset, True, stable))
        previous = last_offset
    return entries
