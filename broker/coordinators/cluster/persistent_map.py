"""A mapping that never changes, and of which a changed copy is cheap.

The cluster image is read by every request and changed by few, and a reader may hold one image for as long as it likes.
Copying a dict of 100,000 topics for each new topic would take milliseconds; this map hashes its keys into 512 small
dicts and copies only those that a change touches (about 200 entries at 100,000), next to the tuple of 512 references. A
look-up is one index and one dict look-up.

Iteration follows the buckets, so its order means nothing: a caller that shows keys sorts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

BUCKETS: Final = 512
_MASK: Final = BUCKETS - 1


class PersistentMap(Mapping[K, V]):
    """An immutable hash map; `updated` makes the next one."""

    __slots__ = ("_buckets", "_size")

    _buckets: tuple[dict[K, V], ...]
    _size: int

    def __init__(self) -> None:
        """The empty map."""
        empty: dict[K, V] = {}
        self._buckets = (empty,) * BUCKETS
        self._size = 0

    def __getitem__(self, key: K) -> V:
        return self._buckets[hash(key) & _MASK][key]

    def get(self, key: K, default: Any = None) -> Any:
        """As `dict.get`; spelled out because a look-up that misses should not cost an exception."""
        return self._buckets[hash(key) & _MASK].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._buckets[hash(key) & _MASK]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for bucket in self._buckets:
            yield from bucket

    def updated(self, put: Mapping[K, V], remove: Iterable[K] = ()) -> PersistentMap[K, V]:
        """A map without the keys `remove` (absent ones are no error) and then with `put`."""
        buckets = list(self._buckets)
        size = self._size
        copied: set[int] = set()
        for key in remove:
            index = hash(key) & _MASK
            if key in buckets[index]:
                if index not in copied:
                    copied.add(index)
                    buckets[index] = buckets[index].copy()
                del buckets[index][key]
                size -= 1
        for key, value in put.items():
            index = hash(key) & _MASK
            if index not in copied:
                copied.add(index)
                buckets[index] = buckets[index].copy()
            if key not in buckets[index]:
                size += 1
            buckets[index][key] = value
        result: PersistentMap[K, V] = PersistentMap.__new__(PersistentMap)
        result._buckets = tuple(buckets)
        result._size = size
        return result
