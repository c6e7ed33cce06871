"""What the groups of a broker take in memory, and whether there is room for more.

Members bring metadata, leaders assignments, and every client offsets: each is bounded in its group, and nothing bounds
groups. So all of them share one budget, `ottla.group.state.max.bytes`. What counts is the state, by what it takes here:
an entry costs its strings and bytes, and a fixed price for the objects around them (measured with tracemalloc, rounded
up).

Each machine keeps its own account (`Held`), to the byte, in the same steps in which its state changes, be it by a
decision or by replaying its log; a machine that is dropped takes its account along. The budget is asked only when
something would grow. It then sums up the accounts of the machines that there are (fifty, mostly). What is in the log is
never refused: a directory whose state is above the budget is served, and refuses what would make it larger.

Refused are, with what is known to the clients that send it:

    a member that joins, or brings longer metadata    GROUP_MAX_SIZE_REACHED, as in a group that is full
    assignments that are longer than before           UNKNOWN_SERVER_ERROR, as when their record is too large
    an offset of a partition that had none            INVALID_COMMIT_OFFSET_SIZE

What does not grow (a heartbeat, the next offset of a partition, a rebalance with the same wishes) is always served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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


class Held:
    """The account of one machine."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Budget:
    """How much may be held. `held` sums up all accounts of this broker."""

    __slots__ = ("_held", "limit", "refused")

    def __init__(self, limit: int, held: Callable[[], int]) -> None:
        self._held = held
        self.limit = limit
        self.refused = 0
        """How often something was refused for it."""

    @property
    def held(self) -> int:
        """Bytes that all groups take."""
        return self._held()

    def allows(self, growth: int) -> bool:
        """Whether there is room for so many bytes more; always, if that is none."""
        if growth <= 0 or self._held() + growth <= self.limit:
            return True
        self.refused += 1
        return False
