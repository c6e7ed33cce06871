"""Which shard knows something. Every Kafka client library and broker agrees on this, so it can never change.

A coordinator's internal topic keeps what belongs to one id (a group, a transactional id) in partition
`abs(hash(id)) % partitions`, where the hash is Java's `String.hashCode`: over UTF-16 code units, in 32 bits with
wrap-around. The number of partitions is fixed when the topic is made (`offsets.topic.num.partitions`, for example);
growing the topic would strand what lies in it.

Source: Kafka's GroupCoordinatorService.partitionFor, TransactionStateManager.partitionFor, Utils.abs.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

REMEMBERED: Final = 1_024
"""Ids whose shard is remembered, as those of busy groups are asked for again and again."""

LONGEST_REMEMBERED: Final = 255
"""Characters of an id that is remembered: a peer chooses them, and may choose many."""


def java_hash(text: str) -> int:
    """Java's String.hashCode: s[0]*31^(n-1) + ... + s[n-1] over UTF-16 code units, as a signed 32-bit number."""
    data = text.encode("utf-16-be", "surrogatepass")
    hashed = 0
    for unit in struct.unpack(f">{len(data) // 2}H", data):
        hashed = (31 * hashed + unit) & 0xFFFFFFFF
    return hashed - (1 << 32) if hashed >> 31 else hashed


def shard_of(key: str, partitions: int) -> int:
    """The partition of an internal topic that keeps `key`. The one hash without a positive twin counts as 0."""
    return _remembered(key, partitions) if len(key) <= LONGEST_REMEMBERED else _shard_of(key, partitions)


def _shard_of(key: str, partitions: int) -> int:
    hashed = java_hash(key)
    return 0 if hashed == -(1 << 31) else abs(hashed) % partitions


_remembered = lru_cache(REMEMBERED)(_shard_of)
