"""A set of prefixes, and the one question that it is asked: does any of them begin this name?

**One look-up, however many there are.** A prefix that begins with another one of the set adds nothing to the answer:
what it begins, the shorter one begins too. Without all such, no prefix of the set begins with another one, and then
only one of them can begin a name: the last one that is not behind the name in alphabetical order. (A prefix of the name
is never behind the name, and whatever lies between the two begins with that prefix too.) So the answer is one
bisection and one comparison, whether the set has prefixes of one length or of all.

**What is covered is kept**, in a list of its own, for the day when the prefix that covers it is removed. Those that
begin with the same prefix lie together in both lists, so a change moves a piece of each; where many change at once, the
lists are put in order once, in one run over them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Sequence
from typing import Final

ONE_BY_ONE: Final = 256
"""A list this many times as long as its changes is changed one by one, for a run over it would take longer."""


class Prefixes:
    """Different prefixes, of which the empty one may be one."""

    __slots__ = ("_all", "shortest")

    def __init__(self) -> None:
        self._all: list[str] = []
        self.shortest: list[str] = []
        """Those that begin with no other one, in order; to be read only."""

    def __bool__(self) -> bool:
        return bool(self._all)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def begin(self, name: str) -> bool:
        """Whether any of them begins the name, or is it."""
        at = bisect_right(self.shortest, name)
        return at > 0 and name.startswith(self.shortest[at - 1])

    def change(self, removed: Collection[str], added: Collection[str]) -> None:
        """Remove some that are there, and add some that are not there then."""
        if (len(removed) + len(added)) * ONE_BY_ONE < len(self._all):
            for prefix in removed:
                self._remove(prefix)
            for prefix in added:
                self._add(prefix)
            return
        if removed:
            gone = frozenset(removed)
            self._all = [prefix for prefix in self._all if prefix not in gone]
        self._all += added
        self._all.sort()
        self.shortest = _uncovered(self._all, 0, len(self._all))

    def _add(self, prefix: str) -> None:
        insort(self._all, prefix)
        if not self.begin(prefix):
            at = bisect_left(self.shortest, prefix)
            self.shortest[at : _end(self.shortest, prefix, at, len(self.shortest))] = [prefix]

    def _remove(self, prefix: str) -> None:
        at = bisect_left(self._all, prefix)
        del self._all[at]
        place = bisect_left(self.shortest, prefix)
        if place < len(self.shortest) and self.shortest[place] == prefix:
            covered = _uncovered(self._all, at, _end(self._all, prefix, at, len(self._all)))
            self.shortest[place : place + 1] = covered

    def check(self) -> None:
        """Assert what this class promises."""
        assert self._all == sorted(set(self._all)), "each once, in order"
        covered = {
            prefix for prefix in self._all for other in self._all if other != prefix and prefix.startswith(other)
        }
        assert self.shortest == [prefix for prefix in self._all if prefix not in covered]


def _uncovered(prefixes: Sequence[str], start: int, end: int) -> list[str]:
    """Those of `prefixes[start:end]`, which are in order, that begin with none of them but themselves."""
    found = []
    while start < end:
        prefix = prefixes[start]
        found.append(prefix)
        start += 1
        if start < end and prefixes[start].startswith(prefix):
            start = _end(prefixes, prefix, start, end)
    return found


def _end(prefixes: Sequence[str], prefix: str, start: int, end: int) -> int:
    """Where those that begin with `prefix`, which lie together from `start` on, end. In steps that double, for they are
    mostly few."""
    step = 1
    while start + step <= end and prefixes[start + step - 1].startswith(prefix):
        start += step
        step *= 2
    return bisect_left(prefixes, True, start, min(start + step, end), key=lambda other: not other.startswith(prefix))
