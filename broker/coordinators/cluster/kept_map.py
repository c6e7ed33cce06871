"""Kept records of one kind, as the image's readers have them: a map that is brought up to date by what has changed.

The records themselves stay in `KeptRecords`, from where snapshots take them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from broker.coordinators.cluster.persistent_map import PersistentMap

K = TypeVar("K")
V = TypeVar("V")


class KeptMap(Generic[K, V]):
    """`value_of` makes of a key what readers get, or None where there is no such record any more."""

    def __init__(self, value_of: Callable[[K], V | None]) -> None:
        self._value_of = value_of
        self._stale: dict[K, None] = {}

    @property
    def changed(self) -> bool:
        """Whether a record has come or gone since the last `advance`."""
        return bool(self._stale)

    def touch(self, key: K) -> None:
        """The record of this key has come, changed or gone."""
        self._stale[key] = None

    def advance(self, old: PersistentMap[K, V]) -> PersistentMap[K, V]:
        """The map of now, made of the one before."""
        if not self._stale:
            return old
        there = {key: self._value_of(key) for key in self._stale}
        self._stale.clear()
        put = {key: value for key, value in there.items() if value is not None}
        return old.updated(put, [key for key in there if key not in put])
