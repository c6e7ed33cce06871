"""In which order Kafka goes through members, topics and partitions: the order of Java's hash tables.

Kafka's assignors go through a `HashMap` of members, a `HashSet` of topics and `HashSet`s of partitions, and the first
to come are served first. So the order decides who owns what, and an assignment that is to be Kafka's own has to
reproduce it. It looks random and is not:

* A table has a power of two of *buckets*. A key lies in bucket `spread(hash) & (buckets - 1)`, and iteration goes
  through the buckets in turn.
* Within a bucket, keys stand in the order of their insertion. Growing splits a bucket into two and keeps the order in
  both. Hence: **the order is a stable sort of the insertions by bucket**, whatever happened in between. `put` and `add`
  insert at the end of a bucket, `computeIfAbsent` at its front: there the latest comes first.
* How many buckets there are follows from the constructor and the largest number of keys held; tables do not shrink.

| made by | buckets |
| --- | --- |
| `new HashMap<>()`, `Collectors.toMap` | 16, doubled while keys > 3/4 of them |
| `new HashMap<>(n)` | the power of two >= n, doubled likewise |
| `computeIfAbsent` on either | doubled before, not after it inserts, and also if the key is there already |
| `new HashSet<>(collection)` | `new HashMap<>(max(size / 0.75 + 1, 16))` up to Java 18; slightly fewer since |

The members of a group lie in a `TimelineHashMap`: chained buckets too, but a bucket is the upper bits of the hash times
a constant; the table starts with two buckets and doubles as soon as 3/4 of the keys, with one more that any change may
bring, are more than it has; and of one bucket the newest comes first.

One thing is left out. A bucket with more than eight keys becomes a tree in Java, which moves one key to its front; with
the hashes of real ids this does not happen.

Sources: java.util.HashMap and HashSet (Java 17), Uuid.hashCode, Kafka's BaseHashTable and SnapshottableHashTable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeVar

from broker.coordinators.routing import java_hash
from kproto.ids import Uuid

T = TypeVar("T")

_DEFAULT_BUCKETS: Final = 16
_FIBONACCI: Final = -7046029254386353131 & 0xFFFFFFFFFFFFFFFF
_LONGEST_REMEMBERED: Final = 64
"""Characters of a member id whose hash is remembered: clients use UUIDs, of 22 or 36."""


def spread(hashed: int) -> int:
    """A 32-bit hash as HashMap uses it, with the upper half mixed into the lower."""
    hashed &= 0xFFFFFFFF
    return hashed ^ hashed >> 16


def uuid_hash(uuid: Uuid) -> int:
    """Uuid.hashCode: the four words of 32 bits, one over the other."""
    number = int.from_bytes(uuid, "big")
    number ^= number >> 64
    return (number ^ number >> 32) & 0xFFFFFFFF


def uuid_order(uuid: Uuid) -> bytes:
    """A key to sort by as Uuid.compareTo does: two signed numbers of 64 bits."""
    return bytes((uuid[0] ^ 0x80,)) + uuid[1:8] + bytes((uuid[8] ^ 0x80,)) + uuid[9:]


def text_order(text: str) -> bytes:
    """A key to sort by as String.compareTo does: by UTF-16 code units."""
    return text.encode("utf-16-be", "surrogatepass")


def buckets(keys: int, initial: int = _DEFAULT_BUCKETS) -> int:
    """How many buckets a HashMap made with this initial capacity has, after it held so many keys."""
    count = 1 << max(initial - 1, 0).bit_length()
    while keys > count * 3 // 4:
        count *= 2
    return count


def buckets_of_copy(keys: int) -> int:
    """How many buckets `new HashSet<>(collection)` has."""
    return buckets(keys, max(keys * 4 // 3 + 1, _DEFAULT_BUCKETS))


def text_hash(text: str) -> int:
    """String.hashCode, spread. That of an id of usual length is remembered, since it is asked for time and again."""
    return _remembered_hash(text) if len(text) <= _LONGEST_REMEMBERED else spread(java_hash(text))


@lru_cache(16_384)
def _remembered_hash(text: str) -> int:
    return spread(java_hash(text))


def topic_order(topics: Iterable[Uuid], count: int) -> list[Uuid]:
    """Topic ids, inserted in this order into a table of `count` buckets, as it goes through them."""
    mask = count - 1
    return sorted(topics, key=lambda topic: spread(uuid_hash(topic)) & mask)


def text_set_order(texts: Iterable[str], count: int) -> list[str]:
    """The same for strings."""
    mask = count - 1
    return sorted(texts, key=lambda text: text_hash(text) & mask)


def partition_order(partitions: Sequence[int], count: int) -> Sequence[int]:
    """The same for partitions, whose hash is their number."""
    if len(partitions) < 2:
        return partitions
    if max(partitions) < count:
        return sorted(partitions)
    mask = count - 1
    return sorted(partitions, key=lambda partition: (partition ^ partition >> 16) & mask)


def member_order(members: Iterable[str], joining: str | None = None, peak: int = 0) -> list[str]:
    """The members of a group, given in the order in which it got them, as Kafka's assignors go through them.

    Kafka copies them from the group's TimelineHashMap, whose order matters within a bucket, into a HashMap. A member
    that is `joining` is not in the former yet and is copied last. `peak` is the most keys that the former has held.
    """
    known = [member for member in members if member != joining]
    mask = buckets(len(known) + (joining is not None)) - 1
    slots = 2
    while (max(len(known), peak) + 1) * 3 > slots * 4:
        slots *= 2
    shift = 65 - slots.bit_length()
    known.reverse()  # the newest of a slot comes first
    known.sort(key=lambda member: (_signed(member) * _FIBONACCI & 0xFFFFFFFFFFFFFFFF) >> shift)
    if joining is not None:
        known.append(joining)
    known.sort(key=lambda member: text_hash(member) & mask)
    return known


def _signed(member: str) -> int:
    """String.hashCode again: spreading is undone by doing it once more, as the upper half stands as it was."""
    hashed = spread(text_hash(member))
    return hashed - (1 << 32) if hashed >> 31 else hashed


def subscribed(names: Sequence[str], matched: Collection[str], ids: Mapping[str, Uuid]) -> tuple[Uuid, ...]:
    """The topics of a member, as Kafka goes through them: those it names and those its expression matched.

    `names` are in the order of its record; `matched` may be in any, since Kafka writes them sorted. `ids` are those of
    the topics that exist; others are left out.
    """
    named = text_set_order(dict.fromkeys(names), buckets_of_copy(len(names)))
    if not matched:
        every = named
    else:
        found = text_set_order(sorted(matched, key=text_order), buckets_of_copy(len(matched)))
        # Kafka's UnionSet: the larger of the two, then what only the smaller one has.
        larger, smaller = (named, found) if len(named) > len(found) else (found, named)
        every = list(dict.fromkeys([*larger, *smaller]))
    return tuple([ids[name] for name in every if name in ids])
