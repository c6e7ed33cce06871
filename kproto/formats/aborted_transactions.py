"""The entries of a ``.txnindex`` file: the transactions that were aborted in a segment.

Each entry is the int16 version and then this message; ``storage`` writes and reads the file, in a layout of its own
making that a test holds against this declaration.

Source: Kafka's ``AbortedTxn``.
"""

from kproto.schema.declare import Data, Int64, field


class AbortedTxn(Data, versions="0"):
    producer_id: Int64 = field("0+")
    first_offset: Int64 = field("0+")
    last_offset: Int64 = field("0+")
    last_stable_offset: Int64 = field("0+")
