"""What the machines of one kind take in memory, and whether there is room for more.

Each machine keeps its own account (`Held`), to the byte, in the same steps in which its state changes, be it by a
decision or by replaying its log; a machine that is dropped takes its account along. All machines of a kind share one
`Budget`, which is asked only when something would grow. It then sums up the accounts of the machines that there are
(fifty, mostly). What is in the log is never refused: a directory whose state is above the budget is served, and refuses
what would make it larger.
"""

from __future__ import annotations

from collections.abc import Callable


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
        """Bytes that all machines take."""
        return self._held()

    def has_room(self, growth: int) -> bool:
        """Whether so many bytes more would be allowed: to ask for more than is wanted, which is no refusal."""
        return growth <= 0 or self._held() + growth <= self.limit

    def allows(self, growth: int) -> bool:
        """Whether there is room for so many bytes more; always, if that is none."""
        if self.has_room(growth):
            return True
        self.refused += 1
        return False
