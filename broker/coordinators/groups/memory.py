"""What the groups of a broker take in memory, and whether there is room for more.

Members bring metadata, leaders assignments, and every client offsets: each is bounded in its group, and nothing bounds
groups. So all of them share one budget, `ottla.group.state.max.bytes`. What counts is the state, by what it takes here:
an entry costs its strings and bytes, and a fixed price for the objects around them (measured with tracemalloc, rounded
up).

How accounts and budget work is in `broker/coordinators/budget.py`.

Refused are, with what is known to the clients that send it:

    a member that joins, or brings longer metadata    GROUP_MAX_SIZE_REACHED, as in a group that is full
    a first member of the consumer protocol, if its
    classic group takes more as a consumer group      GROUP_MAX_SIZE_REACHED
    assignments that are longer than before           UNKNOWN_SERVER_ERROR, as when their record is too large
    an offset of a partition that had none            INVALID_COMMIT_OFFSET_SIZE

What does not grow (a heartbeat, the next offset of a partition, a rebalance with the same wishes) is always served.
"""

from __future__ import annotations

from typing import Final

from broker.coordinators.budget import Budget as Budget
from broker.coordinators.budget import Held as Held

GROUP_BYTES: Final = 1_000
"""Of a group without members and offsets, beside its id: 950 measured, its map of offsets included."""

MEMBER_BYTES: Final = 1_000
"""Of a member beside its strings, its metadata and its assignment: two deadlines, two parked requests."""

PENDING_BYTES: Final = 600
"""Of an id that was given out, beside the id: its deadline."""

OFFSET_BYTES: Final = 130
"""Of an offset beside its metadata: 118 to 146 measured in maps of 90,000 and of 100."""

SUBSCRIBED_NAME_BYTES: Final = 250
"""Of a topic's name in a subscription of the consumer protocol, beside the name: in the set that members share, and in
the count of names."""

ASSIGNED_TOPIC_BYTES: Final = 600
"""Of a topic of which a member of the consumer protocol shall own partitions, in its target, what it owns, and the
owners."""

ASSIGNED_PARTITION_BYTES: Final = 200
"""Of such a partition."""
