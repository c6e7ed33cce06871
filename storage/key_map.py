"""The newest record of each key, in little memory: what compaction knows while it goes through a log. Pure.

Records have numbers, in the order of the log. A table of fixed size with open addressing has for each key the number
of its newest record. A slot takes 20 bytes; a Python dict would take 130 for the same.

======  =====  ==============================================================================
slot    bytes
======  =====  ==============================================================================
0       16     BLAKE2b of the key
16      4      number + 1 of its newest record; 0: the slot is free (kept in an array beside)
======  =====  ==============================================================================

Two keys with the same hash would count as one, and the older one's record would be lost. With 128 bits that is not
going to happen by chance: among a thousand million keys with probability 10^-21. Kafka uses MD5 here, for which two
keys of one hash can be made on purpose; for BLAKE2b no way is known.

Where a slot is taken by another key, the next one tried lies a power of two further on, which of them the hash says;
the number of slots is odd, so every slot is reached. The table never fills to the last slot.

Source: org.apache.kafka.storage.internals.log.SkimpyOffsetMap.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

HASH_SIZE: Final = 16
SLOT_SIZE: Final = 20
MOST_NUMBERS: Final = 2**32 - 2
"""Numbers that fit into a slot."""

_new_hash = blake2b
_number = int.from_bytes  # of all 16 bytes: slicing first would take longer


class KeyMap:
    """Numbers of the newest records by key. `capacity` keys fit in, of which memory is taken as slots are used."""

    __slots__ = ("_hashes", "_newest", "_slots", "capacity", "count")

    def __init__(self, capacity: int, load_factor: float = 0.9) -> None:
        assert capacity > 0
        self.capacity = capacity
        self.count = 0
        self._slots = (max(int(capacity / load_factor), capacity) + 2) | 1
        self._hashes = bytearray(HASH_SIZE * self._slots)
        self._newest = array("I", bytes(4 * self._slots))
        assert self._newest.itemsize == 4

    def put_run(self, keys: Iterable[bytes | None], number: int, marks: bytearray, superseded: int) -> None:
        """Records from `number` on have these keys, of which each is the newest now; those without a key do not count.

        The mark of each record that was the newest of its key before becomes `superseded`, and so does that of a record
        without a key. The caller sees to it that there is room (`count` plus the number of keys up to `capacity`).
        """
        newest, hashes, slots, count = self._newest, self._hashes, self._slots, self.count
        for key in keys:
            if key is None:
                marks[number] = superseded
                number += 1
                continue
            digest = _new_hash(key, digest_size=HASH_SIZE).digest()
            slot = _number(digest) % slots
            number += 1
            while known := newest[slot]:
                at = slot << 4
                if hashes[at : at + HASH_SIZE] == digest:
                    marks[known - 1] = superseded
                    break
                slot = (slot + (1 << (digest[15] & 15))) % slots
            else:
                at = slot << 4
                hashes[at : at + HASH_SIZE] = digest
                count += 1
            newest[slot] = number
        self.count = count

    def get(self, key: bytes) -> int:
        """The number of the newest record of `key`; -1 if the map has none."""
        digest = _new_hash(key, digest_size=HASH_SIZE).digest()
        newest, hashes, slots = self._newest, self._hashes, self._slots
        slot = _number(digest) % slots
        while known := newest[slot]:
            at = slot << 4
            if hashes[at : at + HASH_SIZE] == digest:
                return known - 1
            slot = (slot + (1 << (digest[15] & 15))) % slots
        return -1
