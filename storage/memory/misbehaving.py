"""Logs in memory that behave as on a full disk, or a slow one, on command (`storage/misbehaving.py`).

A log that misbehaves is of another class for as long as that lasts, so that those that behave have not one look more on
the way of an append.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import Append, Batch, VerificationGuard
from storage.memory.engine import MemoryAppend, MemoryLog
from storage.misbehaving import Misbehaviour


class LateAppend(MemoryAppend):
    """An append that is durable later, or when the disk is quick again."""

    __slots__ = ("_due", "_over")

    def __init__(self, made: Append, seconds: float, over: trio.Event) -> None:
        super().__init__(made.base_offset, made.last_offset, made.duplicate)
        self._due = trio.current_time() + seconds
        self._over = over

    @property
    def durable(self) -> bool:
        return self._over.is_set() or trio.current_time() >= self._due

    async def wait_durable(self) -> None:
        with trio.move_on_at(self._due):
            await self._over.wait()


def misbehaving(misbehaviour: Misbehaviour, over: trio.Event) -> type[MemoryLog]:
    """The class of logs that behave so; `over` is set when they behave again."""

    class MisbehavingLog(MemoryLog):
        """One log, on command."""

        __slots__ = ()

        def begin_append(
            self,
            batches: Sequence[Batch],
            *,
            expected_end: int | None = None,
            guard: VerificationGuard | None = None,
            transaction_version: int = 0,
        ) -> Append:
            misbehaviour.injected += 1
            if misbehaviour.full:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk is full, as commanded")
            made = super().begin_append(
                batches, expected_end=expected_end, guard=guard, transaction_version=transaction_version
            )
            return LateAppend(made, misbehaviour.sync_seconds, over)

    return MisbehavingLog
