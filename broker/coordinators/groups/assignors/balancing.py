"""The assignor "uniform" for a group whose members read different topics: spread first, then move what is uneven.

Balance is looked at topic by topic, among the members that read the topic (its *subscribers*), by how many partitions
of all topics each of them has (its *load*):

1. Everyone keeps what it has of topics that it still reads.
2. Topics in order of partitions per subscriber, the most first: each partition without an owner goes to the subscriber
   with the least load.
3. Topics in the same order, again and again: partitions move from the subscriber with the most load, among those that
   have some of this topic, to the one with the least, until both differ by one at most. It ends when all topics have
   been gone through without a move, or after 16 rounds.

If the subscribers of each topic read the same topics, one round balances perfectly. Else the loads along a chain of
overlapping subscriptions may grow by one from member to member; that is Kafka's choice, for the sake of speed.

`_Loads` finds the subscriber with the least and that with the most load without searching: it sorts once, and then a
*low* range grows from the bottom and a *high* range from the top. Everyone in a range has the same load. A partition is
given to each member of the low range in turn; after that the level of the range is one higher, and members that were
there already join it. The high range sinks likewise. Ties are broken by these ranges, not by the members' ids, so they
have to be exactly as they are.

Members are numbers here, their places in Kafka's order.

Sources: Kafka's UniformHeterogeneousAssignmentBuilder and its MemberAssignmentBalancer (KAFKA-17306).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from broker.coordinators.groups.assignors.hash_order import (
    buckets,
    buckets_of_copy,
    partition_order,
    topic_order,
    uuid_order,
)
from broker.coordinators.groups.assignors.spec import Assignment, GroupSpec, unchanged
from kproto.ids import Uuid

ROUNDS: Final = 16
"""How often the topics are gone through at most; Kafka's MAX_ITERATION_COUNT."""

NO_MEMBER: Final = -1


def balanced(spec: GroupSpec, order: Sequence[str]) -> dict[str, Assignment]:
    """The targets of a group whose members read different topics. `order` is Kafka's order of the members."""
    subscribers = _subscribers(spec, order)
    counts = {topic: spec.partitions_of(topic) for topic in subscribers}
    if not subscribers:
        return {member_id: {} for member_id in spec.members}

    assigning = _Assigning(spec, order, subscribers, counts)
    ranked = sorted(
        subscribers,
        key=lambda topic: (
            -(counts[topic] / len(subscribers[topic])),
            len(subscribers[topic]),
            uuid_order(topic),
        ),
    )
    assigning.give_free(ranked)
    assigning.even_out([topic for topic in ranked if len(subscribers[topic]) > 1])
    return assigning.targets()


def _subscribers(spec: GroupSpec, order: Sequence[str]) -> dict[Uuid, list[int]]:
    """The subscribers of each topic, in Kafka's order. Topics with the same ones share a list."""
    readers: dict[int, tuple[Collection[Uuid], list[int]]] = {}
    for place, member_id in enumerate(order):
        topics = spec.members[member_id].topics
        readers.setdefault(id(topics), (topics, []))[1].append(place)
    subscriptions: dict[Uuid, list[int]] = {}
    for topics, places in readers.values():
        for topic in topics:
            subscriptions.setdefault(topic, []).append(places[0])
    places_of = {places[0]: places for _, places in readers.values()}
    merged: dict[tuple[int, ...], list[int]] = {}
    subscribers = {}
    for topic, which in subscriptions.items():
        key = tuple(which)
        found = merged.get(key)
        if found is None:
            found = merged[key] = sorted([place for first in which for place in places_of[first]])
        subscribers[topic] = found
    return subscribers


class _Assigning:
    """The owners of all partitions, while they change."""

    def __init__(
        self,
        spec: GroupSpec,
        order: Sequence[str],
        subscribers: Mapping[Uuid, list[int]],
        counts: Mapping[Uuid, int],
    ) -> None:
        self._spec = spec
        self._order = order
        self._subscribers = subscribers
        self._counts = counts
        self._owners = {topic: [NO_MEMBER] * count for topic, count in counts.items()}
        self._loads = [0] * len(order)
        # Loads to sort by: one more counts as much as all members, so that ties are in the members' order.
        self._keys = list(range(len(order)))
        self._sorted: dict[int, list[int]] = {}  # by the id of a list of subscribers: as they were sorted last
        self._moves = 0
        self._found_even: dict[int, int] = {}  # id of a list of subscribers: after how many moves they were even
        self._copies: list[_Copy | None] = [None] * len(order)
        for place, member_id in enumerate(order):
            self._keep(place, member_id)

    def _keep(self, place: int, member_id: str) -> None:
        member = self._spec.members[member_id]
        read = frozenset(member.topics) if member.assigned else frozenset()
        dropped = [topic for topic in member.assigned if topic not in read]
        for topic, partitions in member.assigned.items():
            if topic in read:
                self._loads[place] += len(partitions)
                self._keys[place] += len(partitions) * len(self._keys)
                owners = self._owners[topic]
                for partition in partitions:
                    owners[partition] = place
        if dropped:
            copy = self._copies[place] = _Copy(member.assigned)
            for topic in dropped:
                copy.drop(topic)

    def give_free(self, ranked: Sequence[Uuid]) -> None:
        """Step 2: every partition without an owner gets one."""
        for topic in ranked:
            free = [partition for partition, owner in enumerate(self._owners[topic]) if owner == NO_MEMBER]
            if free:
                loads = self._sorted_loads(self._subscribers[topic])
                for partition in free:
                    self._move(topic, partition, loads.least())

    def even_out(self, ranked: Sequence[Uuid]) -> None:
        """Step 3: partitions move until no topic is uneven any more."""
        last_moved = None  # the place of the topic since which nothing has moved
        for _ in range(ROUNDS):
            for place, topic in enumerate(ranked):
                if place == last_moved:
                    return
                if self._even_out(topic) or last_moved is None:
                    last_moved = place

    def _even_out(self, topic: Uuid) -> bool:
        """Move partitions of one topic between its subscribers. True if any moved."""
        subscribers = self._subscribers[topic]
        if self._found_even.get(id(subscribers)) == self._moves:
            return False  # and nothing has moved since
        held = list(map(self._loads.__getitem__, subscribers))
        if max(held) - min(held) <= 1:
            self._found_even[id(subscribers)] = self._moves
            return False
        loads = self._sorted_loads(subscribers)
        owned: dict[int, list[int]] = {}
        for partition, owner in enumerate(self._owners[topic]):
            owned.setdefault(owner, []).append(partition)
        moved = False
        while True:
            giver = loads.most(owned)
            if giver == NO_MEMBER:
                return moved
            partition = owned[giver].pop()
            taker = loads.least()
            if loads.even:
                return moved
            self._move(topic, partition, taker)
            moved = True

    def _sorted_loads(self, subscribers: list[int]) -> _Loads:
        ranked = self._sorted.get(id(subscribers))
        if ranked is None:
            ranked = self._sorted[id(subscribers)] = list(subscribers)
        ranked.sort(key=self._keys.__getitem__)  # nearly sorted already, if topics have the same subscribers
        return _Loads(self._loads, ranked)

    def _move(self, topic: Uuid, partition: int, taker: int) -> None:
        self._moves += 1
        owners = self._owners[topic]
        giver = owners[partition]
        if giver != NO_MEMBER:
            self._copy(giver).remove(topic, partition)
            self._loads[giver] -= 1
            self._keys[giver] -= len(self._keys)
        owners[partition] = taker
        self._loads[taker] += 1
        self._keys[taker] += len(self._keys)
        # Kafka sizes a new set for the partitions of the topic, spread evenly over its subscribers.
        share = -(-self._counts[topic] // len(self._subscribers[topic]))
        self._copy(taker).add(topic, partition, share)

    def _copy(self, place: int) -> _Copy:
        copy = self._copies[place]
        if copy is None:
            copy = self._copies[place] = _Copy(self._spec.members[self._order[place]].assigned)
        return copy

    def targets(self) -> dict[str, Assignment]:
        """What each member has now."""
        targets: dict[str, Assignment] = {}
        for member_id, copy in zip(self._order, self._copies, strict=True):
            before = self._spec.members[member_id].assigned
            if copy is None:
                targets[member_id] = before
            else:
                after = copy.assignment()
                targets[member_id] = before if unchanged(before, after) else after
        return targets


class _Copy:
    """A target that is being changed, and the order in which Java's tables hold it.

    A dictionary is in the order of insertion, and what is removed and inserted again comes last, as in a bucket. New
    topics come first in theirs (`hash_order.py`), and have a lower rank than all before them.
    """

    __slots__ = ("_buckets", "_lowest", "_ranks", "_sets", "_topic_buckets")

    def __init__(self, assigned: Assignment) -> None:
        self._topic_buckets = buckets(len(assigned), len(assigned))
        self._ranks: dict[Uuid, int] = {}
        self._lowest = 0
        self._sets: dict[Uuid, dict[int, None]] = {}
        self._buckets: dict[Uuid, int] = {}
        for rank, topic in enumerate(topic_order(assigned, buckets(len(assigned)))):
            partitions = assigned[topic]
            count = self._buckets[topic] = buckets_of_copy(len(partitions))
            self._sets[topic] = dict.fromkeys(partition_order(partitions, count))
            self._ranks[topic] = rank

    def drop(self, topic: Uuid) -> None:
        del self._sets[topic]

    def remove(self, topic: Uuid, partition: int) -> None:
        held = self._sets[topic]
        del held[partition]
        if not held:
            del self._sets[topic]

    def add(self, topic: Uuid, partition: int, share: int) -> None:
        if len(self._sets) > self._topic_buckets * 3 // 4:
            self._topic_buckets *= 2
        held = self._sets.get(topic)
        if held is None:
            held = self._sets[topic] = {}
            self._lowest -= 1
            self._ranks[topic] = self._lowest
            self._buckets[topic] = buckets(0, share * 4 // 3 + 1)
        held[partition] = None
        if len(held) > self._buckets[topic] * 3 // 4:
            self._buckets[topic] *= 2

    def assignment(self) -> Assignment:
        topics = sorted(self._sets, key=self._ranks.__getitem__)
        return {
            topic: tuple(partition_order(list(self._sets[topic]), self._buckets[topic]))
            for topic in topic_order(topics, self._topic_buckets)
        }


class _Loads:
    """The subscribers of one topic by load, while partitions are given to those with the least, taken from those with
    the most.

    `low_end` bounds the low range, [0, low_end) of the sorted subscribers; all of it has load `low_level`, or one more
    up to `low_next`, which is served next. The high range is [high_start, high_end), served from its end. Subscribers
    that have nothing to give are moved behind it.
    """

    __slots__ = (
        "_high_end",
        "_high_level",
        "_high_next",
        "_high_start",
        "_loads",
        "_low_end",
        "_low_level",
        "_low_next",
        "_sorted",
    )

    def __init__(self, loads: Sequence[int], ranked: list[int]) -> None:
        self._loads = loads
        self._sorted = ranked
        self._low_end = 0
        self._low_level = loads[self._sorted[0]] - 1
        self._low_next = 0
        self._high_start = self._high_end = len(self._sorted)
        self._high_level = loads[self._sorted[-1]] + 1
        self._high_next = len(self._sorted) - 1

    @property
    def even(self) -> bool:
        """Whether moving one more partition would not improve anything."""
        return self._high_level - self._low_level <= 1

    def least(self) -> int:
        """The subscriber that is to get the next partition."""
        ranked = self._sorted
        if self._low_next >= self._low_end:
            self._low_level += 1
            if self._high_start == len(ranked):  # nothing has been taken, so all behind the range is still sorted
                self._low_end = bisect_right(ranked, self._low_level, lo=self._low_end, key=self._loads.__getitem__)
            while self._low_end < len(ranked) and self._loads[ranked[self._low_end]] == self._low_level:
                self._low_end += 1
            self._low_next = 0
        place = ranked[self._low_next]
        self._low_next += 1
        return place

    def most(self, owned: Mapping[int, list[int]]) -> int:
        """The subscriber that is to give up the next partition, or NO_MEMBER if none has one. `owned` says what each
        has to give; those that have nothing are excluded from now on, and mostly these are nearly all."""
        ranked, loads = self._sorted, self._loads
        start, end, following = self._high_start, self._high_end, self._high_next
        while True:
            if following < start:
                if end <= start and start > 0:
                    # All of the range had nothing to give: start it again below.
                    self._high_level = loads[ranked[start - 1]]
                else:
                    self._high_level -= 1
                level = self._high_level
                while start > 0 and loads[ranked[start - 1]] == level:
                    start -= 1
                following = end - 1
            if following < 0:
                place = NO_MEMBER
                break
            place = ranked[following]
            if owned.get(place):
                following -= 1
                break
            end -= 1
            ranked[following], ranked[end] = ranked[end], place
            following -= 1
        self._high_start, self._high_end, self._high_next = start, end, following
        return place
