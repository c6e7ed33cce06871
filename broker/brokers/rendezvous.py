"""Which of several brokers is preferred for something: highest random weight, so that no broker has to be asked.

Each pair of a thing and a broker has a weight that anyone can compute, and the heaviest broker is preferred. Brokers
that know of the same brokers agree; when one comes or goes, only what it is preferred for changes hands, and spreads
over all others.

Partitions are not weighed one by one, but in 128 lots. The batches that one broker has put into one object in the
store then belong to few leaders elsewhere, and a hundred thousand partitions cost no more than 128.

Source: Thaler and Ravishankar, "A name-based mapping scheme for rendezvous" (1996).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

from storage.membership import LiveBroker

LOTS: Final = 128


def lot_of(topic_id: bytes, partition: int) -> int:
    """The lot that a partition is in."""
    return crc32(partition.to_bytes(4, "big"), crc32(topic_id)) % LOTS


def ranked(thing: str, brokers: Iterable[LiveBroker]) -> list[LiveBroker]:
    """The brokers in the order of preference for a thing."""

    def weight(broker: LiveBroker) -> tuple[bytes, int]:
        return blake2b(f"{thing}/{broker.node_id}".encode(), digest_size=8).digest(), broker.node_id

    return sorted(brokers, key=weight, reverse=True)


def spread(preferred: Sequence[LiveBroker], count: int) -> list[LiveBroker]:
    """So many of these, in their order, but from as many racks as can be: a rack is used again when all others were."""
    chosen: list[LiveBroker] = []
    left = list(preferred)
    while left and len(chosen) < count:
        racks: set[str | None] = set()
        skipped: list[LiveBroker] = []
        for broker in left:
            if len(chosen) < count and (broker.rack is None or broker.rack not in racks):
                racks.add(broker.rack)
                chosen.append(broker)
            else:
                skipped.append(broker)
        left = skipped
    return chosen
