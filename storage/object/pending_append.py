"""An append on its way: begun, and not committed yet.

Its place among this broker's appends to the log is fixed, its offset is not: that comes with the commit, as everything
else that `storage/engine.py` says of the second step. A conditional append knows its offset at once, because it gets
the one it expects or fails.

`batches` is what a run in memory is later made of: each batch's size and how many offsets it takes. It goes when there
is an answer.

An append is *believed* when this broker has seen its transaction open, or has asked its coordinator. If the control
plane then says INVALID_TXN_STATE, another broker's marker has come between, and the producer does best to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import WrongEnd
from storage.object.control_plane import RunAppend

NEVER_AN_END: Final = -1
"""What an append expects that must not happen any more: no log ends there."""


class PendingAppend:
    """`Append` says what its methods promise."""

    __slots__ = (
        "_answered", "_base", "_error", "_last", "batches", "believed", "duplicate", "durable", "request", "size",
    )  # fmt: skip

    def __init__(self, request: RunAppend, batches: Sequence[tuple[int, int]], *, believed: bool = False) -> None:
        self.request = request
        self.batches = batches
        self.size = request.length
        self.believed = believed
        self.duplicate = False
        self.durable = False
        self._answered: trio.Event | None = None
        self._error: KafkaError | WrongEnd | None = None
        self._base = -1 if request.expected_end is None else request.expected_end
        self._last = self._base + request.offsets - 1

    @property
    def base_offset(self) -> int:
        assert self._base >= 0, "the offset is not known before wait_durable"
        return self._base

    @property
    def last_offset(self) -> int:
        assert self._base >= 0, "the offset is not known before wait_durable"
        return self._last

    @property
    def durable_on_ack(self) -> bool:
        return not self.durable

    @property
    def error(self) -> KafkaError | WrongEnd | None:
        """Why it has failed, if it has."""
        return self._error

    @property
    def answered(self) -> bool:
        """Whether it is committed, or has failed."""
        return self.durable or self._error is not None

    async def wait_durable(self) -> None:
        if not self.durable and self._error is None:
            if self._answered is None:
                self._answered = trio.Event()
            await self._answered.wait()
        if self._error is not None:
            raise self._error.with_traceback(None)

    @property
    def is_conditional(self) -> bool:
        """Whether it is made only where the log ends as its caller expects."""
        return self.request.expected_end is not None

    def abandon(self, error: KafkaError | WrongEnd) -> None:
        """It must not be committed any more: what it follows is lost. The commit that has its bytes leaves it out."""
        self.request = self.request._replace(expected_end=NEVER_AN_END)
        self._error = error
        self._wake()

    def taken(self, base_offset: int) -> None:
        """It is in the log."""
        self._settle(base_offset, base_offset + self.request.offsets - 1)

    def repeated(self, base_offset: int, last_offset: int) -> None:
        """It was there before."""
        self.duplicate = True
        self._settle(base_offset, last_offset)

    def refused(self, error: KafkaError | WrongEnd) -> None:
        """It is not in the log, and will not be; or, after a storage error, that is not known."""
        if self.answered:
            return
        if self.believed and isinstance(error, KafkaError) and error.code is ErrorCode.INVALID_TXN_STATE:
            error = KafkaError(ErrorCode.NOT_ENOUGH_REPLICAS, error.message)
        self._error = error
        self._wake()

    def _settle(self, base_offset: int, last_offset: int) -> None:
        assert self._error is None, "what was abandoned is not taken"
        self._base, self._last = base_offset, last_offset
        self.durable = True
        self._wake()

    def _wake(self) -> None:
        self.batches = ()
        if self._answered is not None:
            self._answered.set()
