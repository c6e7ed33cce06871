"""A log of a cluster read from its beginning, past all caches: for what takes it elsewhere, and what checks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from kproto.errors import KafkaError
from storage.object.control_plane import ControlPlane, RunsQuestion
from storage.object.loading import Loading, Vanished

PIECE: Final = 16 << 20
"""Bytes that are asked for at a time, about."""
PLANS: Final = 10
"""How often a piece is planned again, when what it is made of has been merged meanwhile."""


async def batches_of(
    control: ControlPlane, loading: Loading, log_id: int, start: int, end: int
) -> AsyncGenerator[memoryview, None]:
    """The batches of a log from the one that holds `start` up to offset `end`, some at a time, offsets in them.

    Raises ControlPlaneError, KafkaError (what cannot be read, or is damaged).
    """
    plans = 0
    while start < end:
        (found,) = await control.runs([RunsQuestion(log_id, start, PIECE, end)])
        if found is None or not found.runs:
            return
        for stored in found.runs:
            (loaded,) = await loading.load([stored], background=True)
            if isinstance(loaded, KafkaError):
                raise loaded
            if isinstance(loaded, Vanished):
                plans += 1
                if plans > PLANS:
                    raise loaded
                break
            piece = loaded.slice(start, len(loaded.data), end, True)
            if piece:
                yield piece
            start = max(start, stored.last_offset + 1)
            plans = 0
