"""The content of a ``.snapshot`` file: what a partition remembers of its producers, up to an offset.

The file is the int16 version and then this message. The checksum is CRC-32C over everything behind it, that is from the
count of the entries on; ``storage`` writes and checks it.

Source: Kafka's ``ProducerStateManager``.
"""

from kproto.schema.declare import Array, Data, Int16, Int32, Int64, Struct, Uint32, field


class ProducerEntry(Struct):
    producer_id: Int64 = field("1")
    epoch: Int16 = field("1")
    last_sequence: Int32 = field("1")
    last_offset: Int64 = field("1")
    offset_delta: Int32 = field("1")
    timestamp: Int64 = field("1")
    coordinator_epoch: Int32 = field("1")
    current_txn_first_offset: Int64 = field("1")


class ProducerSnapshot(Data, versions="1"):
    crc: Uint32 = field("1")
    producer_entries: Array[ProducerEntry] = field("1")
