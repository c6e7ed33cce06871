"""The small files of a data directory: checkpoints, meta.properties, indexes, snapshots; each read from any bytes.

Input: a byte that, modulo 8, chooses the file, then its content. A reader of such a file says None (or raises
Unreadable, for meta.properties, or finds fewer entries, for an index) when the bytes are not a whole file of its kind;
nothing else escapes. What was read is written such that it reads the same.

- Producer snapshots are read as the declared message of :mod:`kproto.formats.producer_snapshot` reads them. The
highest bit of
  the first byte puts the checksum right.
- A look-up in an index never gives an entry above what was asked for; where all entries grow, as they should, it gives
  the one that a naive search finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from struct import Struct
from typing import Any, Final

from kproto.batches.crc32c import crc32c
from kproto.errors import ProtocolError
from kproto.formats.producer_snapshot import ProducerEntry, ProducerSnapshot
from kproto.schema.compile import decode as decode_message
from kproto.schema.declare import fields_of
from kproto.tests.fuzz.bounds import measured
from storage.aborted_transactions import CompletedTransaction
from storage.local import leader_epochs, offset_index, partition_metadata, producer_snapshot, time_index
from storage.local import transaction_index as transactions
from storage.local.checkpoints import MetaProperties, Unreadable, decode_meta_properties, decode_offsets, encode_offsets
from storage.local.index_file import DamagedIndex
from storage.producers import ProducerState
from storage.testing.disks.memory import MemoryDisk

BASE_OFFSET: Final = 1000
CHECKSUM_RIGHT: Final = 0x80


def fuzz_small_files(data: bytes) -> None:
    """The module's docstring describes the input and what is promised of it."""
    if not data:
        return
    content = data[1:]
    match data[0] % 8:
        case 0:
            check_text(content, decode_offsets, lambda offsets: encode_offsets(offsets.items()))
        case 1:
            check_meta_properties(content)
        case 2:
            check_text(content, partition_metadata.decode, partition_metadata.encode)
        case 3:
            check_leader_epochs(content)
        case 4:
            check_snapshot(content, data[0] & CHECKSUM_RIGHT != 0)
        case 5:
            check_text(content, lambda data: transactions.decode(data, BASE_OFFSET, 1 << 40), transactions.encode)
        case 6:
            check_index(content, offset_index.OffsetIndex, offset_index.LAYOUT, by=0)
        case 7:
            check_index(content, time_index.TimeIndex, time_index.LAYOUT, by=0)


def check_text(content: bytes, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> None:
    """None, or something that is written and read again the same."""
    read = measured(lambda: decode(content), len(content), bytes_per_byte=256)
    if read is not None:
        assert decode(encode(read)) == read


def check_meta_properties(content: bytes) -> None:
    try:
        properties = measured(lambda: decode_meta_properties(content), len(content), bytes_per_byte=256)
    except Unreadable:
        return
    # Ids in base64 is what the file is made with; others are kept as they are and never written.
    if all(each.isascii() and each.isalnum() for each in (properties.cluster_id, properties.directory_id or "x")):
        assert decode_meta_properties(properties.encode()) == properties


def check_leader_epochs(content: bytes) -> None:
    epochs = measured(lambda: leader_epochs.decode(content), len(content), bytes_per_byte=256)
    if epochs is None:
        return
    again = leader_epochs.decode(epochs.encode())
    assert again is not None and again.entries == epochs.entries
    entries = list(epochs.entries)
    for entry in entries:
        found = epochs.end_of(entry.epoch, 1 << 62)
        assert found is not None and found[0] == entry.epoch
    epochs.truncate_end(entries[len(entries) // 2].start_offset if entries else 0)
    assert epochs.entries == entries[: len(epochs.entries)]


def check_snapshot(content: bytes, checksum_right: bool) -> None:
    if checksum_right and len(content) >= producer_snapshot.CRC_END:
        crc = crc32c(content[producer_snapshot.CRC_END :]).to_bytes(4, "big")
        content = content[:2] + crc + content[producer_snapshot.CRC_END :]
    states = measured(lambda: producer_snapshot.decode(content), len(content), bytes_per_byte=64)
    declared = None
    if content[:2] == b"\0\1":
        with suppress(ProtocolError):
            declared = decode_message(ProducerSnapshot, 1, content[2:])
    if declared is not None and declared.crc != crc32c(content[producer_snapshot.CRC_END :]):
        declared = None
    assert (states is None) is (declared is None), "the two readers disagree"
    if states is not None and declared is not None:
        names = [field.name for field in fields_of(ProducerEntry)]
        assert [tuple(getattr(entry, name) for name in names) for entry in declared.producer_entries] == [*states]
        assert producer_snapshot.encode(states) == content


def check_index(content: bytes, kind: Callable[..., Any], layout: Struct, *, by: int) -> None:
    entries = list(layout.iter_unpack(content[: len(content) // layout.size * layout.size]))
    path = "data/orders-0/index"

    def look_up() -> list[Any]:
        index = kind(MemoryDisk({path: content}), path, BASE_OFFSET)
        keys = sorted({entry[by] + step for entry in entries[:20] for step in (-1, 0, 1)})
        shift = BASE_OFFSET if kind is offset_index.OffsetIndex else 0
        return [len(index), index.last, *((key + shift, index.lookup(key + shift)) for key in keys)]

    try:
        count, last, *answers = measured(look_up, len(content), bytes_per_byte=256, beside=256 * 1024)
    except DamagedIndex:
        return  # the caller rebuilds it
    assert 0 <= count <= len(entries) and (last is None) is (count == 0)
    grows = all(later[0] > earlier[0] and later[1] > earlier[1] for earlier, later in pairwise(entries))
    for asked, found in answers:
        assert found is None or found[0] <= asked
        if grows:
            shift = BASE_OFFSET if kind is offset_index.OffsetIndex else 0
            naive = [entry for entry in entries[:count] if entry[by] + shift <= asked]
            assert (found[0] if found else None) == (naive[-1][by] + shift if naive else None)


def seeds() -> Iterator[bytes]:
    """A whole file of each kind, and a torn one."""
    states = [ProducerState(7, 0, 41, 40, 1, 1_700_000_000_000, -1, -1), ProducerState(8, 3, 0, 9, 0, 5, 2, 9)]
    spans = [CompletedTransaction(7, 1010, 1020, True, 1020), CompletedTransaction(8, 1015, 1030, True, 1021)]
    epochs = leader_epochs.LeaderEpochs(leader_epochs.EpochStart(*each) for each in ((0, 0), (3, 10), (4, 400)))
    whole = [
        encode_offsets([(("orders", 0), 17), (("a.b_c-d", 12), 0)]),
        MetaProperties("4L6g3nShT-eMCtK--X86sw", 1, "3Db5QLSqSZieL3rJBUUegA").encode(),
        partition_metadata.encode(bytes(range(16))),
        epochs.encode(),
        producer_snapshot.encode(states),
        transactions.encode(spans),
        b"".join(offset_index.LAYOUT.pack(10 * number, 500 * number) for number in range(1, 8)),
        b"".join(time_index.LAYOUT.pack(1_700_000_000_000 + number, 10 * number) for number in range(1, 8)),
    ]
    for number, content in enumerate(whole):
        yield bytes((number,)) + content
        yield bytes((number,)) + content[:-3]
        yield bytes((number,)) + content + bytes(24)
        yield bytes((number,))
    yield b"\x84" + whole[4]
    yield b"\x01#comment\n!other\n\nversion:1\ncluster.id = x\\=y\nnode.id=2\n"
