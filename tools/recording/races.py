"""Requests that raced in the recording, put into the order in which the recorded broker took them.

A recorder between clients and a broker sees when requests pass, and not when the broker works on them: of two that are
on their way at once on different connections, either may be the first. The replies say which it was, and for the same
answers the present broker has to be asked in that order:

- **Produce.** Offsets say who wrote first. A Produce waits for those that the recorded broker appended before it.
- **JoinGroup.** A member that was part of a generation had not joined when the one before it was formed. A JoinGroup
  waits for those of the generation before. And the members of that one, whose coming back completes the new generation,
  wait until those that are new in it have been sent.

A request that was worked on earlier had reached the broker before the later one was answered, so in the recording it
stands before that reply, and nothing waits forever.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

PRODUCE: Final = 0
JOIN_GROUP: Final = 11

Place = tuple[int, int]
"""A request: its connection, and its number there."""


class Races:
    """Who comes after whom. Memory is in proportion to these requests of the recording."""

    def __init__(self) -> None:
        self._appends: dict[tuple[Any, int], list[tuple[int, Place]]] = {}
        self._joins: dict[str, dict[int, list[Place]]] = {}
        self._before: dict[Place, set[Place]] = {}
        self._beside: dict[Place, set[Place]] = {}

    def note(self, api_key: int, place: Place, request: Any, reply: Any) -> None:
        """One recorded request with its reply."""
        if api_key == PRODUCE:
            for topic in reply.responses:
                name = getattr(topic, "name", "") or bytes(topic.topic_id)
                for partition in topic.partition_responses:
                    if not partition.error_code and partition.base_offset >= 0:
                        appends = self._appends.setdefault((name, partition.index), [])
                        appends.append((partition.base_offset, place))
        elif api_key == JOIN_GROUP and not reply.error_code and request is not None:
            self._joins.setdefault(request.group_id, {}).setdefault(reply.generation_id, []).append(place)

    def settle(self) -> None:
        """All have been noted."""
        for appends in self._appends.values():
            appends.sort()
            for (_, first), (_, then) in pairwise(appends):
                self._order([first], [then])
        for generations in self._joins.values():
            for older, newer in pairwise(sorted(generations)):
                self._order(generations[older], generations[newer])
                members = {connection for connection, _ in generations[older]}
                new = {place for place in generations[newer] if place[0] not in members}
                if new:
                    back = [place for place in generations[newer] if place[0] in members]
                    self._beside.update(dict.fromkeys(back, new))
        self._appends.clear()
        self._joins.clear()

    def _order(self, first: list[Place], then: list[Place]) -> None:
        for place in then:
            others = {each for each in first if each[0] != place[0]}
            if others:
                self._before.setdefault(place, set()).update(others)

    def beside(self, place: Place) -> set[Place]:
        """The requests, of other connections, that have to be sent before this one is."""
        return self._beside.get(place, set())

    def before(self, place: Place) -> set[Place]:
        """The requests, of other connections, that have to be answered before this one is sent."""
        return self._before.get(place, set())
