"""What an engine can be commanded to do wrong, for tests of those who use it: a disk that is full, or slow.

A `Misbehaviour` is one command, made once and never changed but for its count. An engine that can obey is a
`Misbehaves`; it behaves again when it is given None, and nothing remains: what was refused can be tried again, and what
waits for a slow disk waits no longer.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Misbehaviour:
    """`full`: appends are refused as on a full disk. `sync_seconds`: how much longer it takes until what was appended
    is durable."""

    def __init__(self, *, full: bool = False, sync_seconds: float = 0.0) -> None:
        self.full = full
        self.sync_seconds = sync_seconds
        self.injected = 0
        """Appends refused, and syncs or appends held back."""


@runtime_checkable
class Misbehaves(Protocol):
    """An engine that can be commanded."""

    def misbehave(self, misbehaviour: Misbehaviour | None) -> None:
        """Do this from now on, and nothing else that was commanded before; None: nothing. Raises StoreError with a
        sentence where the engine was not made for that."""
        ...
