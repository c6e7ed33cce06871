"""Producer snapshot (`.snapshot`): what the log remembers of its producers just before the offset in the file's name.

======  =====  =========================  ==============================================================
offset  bytes  field                      meaning
======  =====  =========================  ==============================================================
0       2      version                    1
2       4      crc                        CRC-32C of everything behind this field
6       4      count                      entries that follow
======  =====  =========================  ==============================================================

and 50 bytes for each of the last five batches of each producer, in their order:

======  =====  =========================  ==============================================================
0       8      producer_id
8       2      epoch
10      4      last_sequence              -1: none
14      8      last_offset                of the batch, -1: none
22      4      offset_delta               records in it, less one
26      8      timestamp                  largest in it
34      4      coordinator_epoch          of the last transaction marker
38      8      current_txn_first_offset   -1: no open transaction
======  =====  =========================  ==============================================================

Big-endian. Kafka has one entry per producer, for its last batch, and so forgets at a restart what else may be sent
again; of several entries it keeps the last that it reads, so it reads these files as its own.

A snapshot is written at each roll, at a clean stop, and at a checkpoint if the log has grown much (`snapshotting.py`),
so that an opening log replays batch headers from the newest one instead of from the beginning. A snapshot that cannot
be read is no loss: the one before it serves.

Source: org.apache.kafka.storage.internals.log.ProducerStateManager, ProducerSnapshot.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import Final

from kproto.batches.crc32c import crc32c
from storage.producers import ProducerState

VERSION: Final = 1
HEAD: Final = Struct(">hIi")
CRC_END: Final = 6
ENTRY: Final = Struct(">qhiqiqiq")


def encode(states: Iterable[ProducerState]) -> bytes:
    """The bytes of a snapshot."""
    entries = [ENTRY.pack(*state) for state in states]
    data = bytearray(HEAD.pack(VERSION, 0, len(entries)))
    for entry in entries:
        data += entry
    data[2:CRC_END] = crc32c(memoryview(data)[CRC_END:]).to_bytes(4, "big")
    return bytes(data)


def decode(data: bytes) -> list[ProducerState] | None:
    """The producers of a snapshot; None when the bytes are not a whole one."""
    try:
        version, crc, count = HEAD.unpack_from(data)
    except StructError:
        return None
    if version != VERSION or len(data) != HEAD.size + count * ENTRY.size or crc32c(data[CRC_END:]) != crc:
        return None
    return [ProducerState(*fields) for fields in ENTRY.iter_unpack(data[HEAD.size :])]
