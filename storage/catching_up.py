"""What an engine does when the clock of state has been moved forward on command.

Retention, compaction and what is remembered of producers go by that clock, but the tasks that look for them sleep by
the world's. So what moves the clock asks the engine to look now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from storage.engine import LogSpec


@runtime_checkable
class CatchesUp(Protocol):
    """What an engine can do besides its contract if it goes by a clock that can be moved."""

    async def catch_up(self, every_log: Callable[[], Iterable[LogSpec]] | None = None) -> None:
        """Delete what has expired by now and compact what is due, of the logs that `every_log` names (as for
        `LogStore.maintain`). Returns when that has been done; what cannot be done is logged, and tried again later."""
        ...
