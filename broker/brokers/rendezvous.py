"""Which of several brokers is preferred for something: highest random weight, so that no broker has to be asked.

Each pair of a thing and a broker has a weight that anyone can compute, and the heaviest broker is preferred. Brokers
that know of the same brokers agree; when one comes or goes, only what it is preferred for changes hands, and spreads
over all others.

**Partitions of one topic are spread evenly.** Left to chance, the four partitions of a topic have the same leader once
in twenty-seven times. So each broker leads as many as any other, give or take one, and weights only say which: of all
pairs of a partition and a broker the heaviest is taken first, and a broker that has its share takes no more. When a
broker comes or goes, its share is dealt to the others; beyond that about one partition in twenty moves. When a topic is
given more partitions, some of its leaders change.

Topics are not looked at one by one, but in 128 *layouts*, by their ids, and no layout has more than 128 *lots*: those
of a topic with more partitions begin again at the first. So a hundred thousand partitions cost no more than a few
thousand, and brokers of the same cluster work out the same lists.

Source: Thaler and Ravishankar, "A name-based mapping scheme for rendezvous" (1996); Mirrokni, Thorup and Zadimoghaddam,
"Consistent hashing with bounded loads" (2016).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

from storage.membership import LiveBroker

LAYOUTS: Final = 128
LOTS: Final = 128

_WEIGHTS: Final = struct.Struct(">16I")
"""One digest is so many weights."""


def layout_of(topic_id: bytes) -> int:
    """The layout that a topic's partitions follow."""
    return crc32(topic_id) % LAYOUTS


def lots_of(partition_count: int) -> int:
    """How many lots a topic of so many partitions has; partition p is in lot p modulo this."""
    return min(partition_count, LOTS)


def laid_out(layout: int, lots: int, brokers: Sequence[LiveBroker]) -> list[list[LiveBroker]]:
    """For each lot of a layout, all brokers in the order of preference; the first ones are spread evenly. Empty without
    brokers."""
    if not brokers:
        return []
    weights = {broker.node_id: _weights(layout, broker.node_id, lots) for broker in brokers}
    leaders = _even(layout, lots, weights)
    found = []
    for lot in range(lots):
        ranks = {node_id: (node_id == leaders[lot], of_lots[lot], node_id) for node_id, of_lots in weights.items()}
        found.append(sorted(brokers, key=lambda broker: ranks[broker.node_id], reverse=True))
    return found


def _weights(layout: int, node_id: int, lots: int) -> list[int]:
    """A broker's weight for each lot."""
    found: list[int] = []
    while len(found) < lots:
        found += _WEIGHTS.unpack(blake2b(f"layout {layout}/{len(found)}/{node_id}".encode()).digest())
    return found[:lots]


def _even(layout: int, lots: int, weights: dict[int, list[int]]) -> list[int]:
    """The node id that leads each lot, with shares that differ by one at most."""
    share, more = divmod(lots, len(weights))
    by_chance = sorted(weights, key=lambda node_id: _weight(f"layout {layout}", node_id), reverse=True)
    room = {node_id: share + (place < more) for place, node_id in enumerate(by_chance)}
    leaders: dict[int, int] = {}
    pairs = [(of_lots[lot], node_id, lot) for node_id, of_lots in weights.items() for lot in range(lots)]
    for _, node_id, lot in sorted(pairs, reverse=True):
        if lot not in leaders and room[node_id]:
            room[node_id] -= 1
            leaders[lot] = node_id
    return [leaders[lot] for lot in range(lots)]


def ranked(thing: str, brokers: Iterable[LiveBroker]) -> list[LiveBroker]:
    """The brokers in the order of preference for a thing."""
    return sorted(brokers, key=lambda broker: _weight(thing, broker.node_id), reverse=True)


def _weight(thing: str, node_id: int) -> tuple[bytes, int]:
    return blake2b(f"{thing}/{node_id}".encode(), digest_size=8).digest(), node_id


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
