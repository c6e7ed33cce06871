"""Ids of then and of now: what the recorded broker made up, and what the present one made up in its place.

A conversation refers to ids that replies have given out: topic ids, member ids, producer ids with their epochs,
sessions, generations, tokens. Recorded and present reply are walked side by side; where both have an id of a kind, the
recorded one is *bound* to the present one. In later requests the recorded id is replaced by what it is bound to, also
in the headers of record batches, whose checksum then is made again.

A value that nothing has bound stands for itself: ids that a client makes up are the same in both.

| kind | fields |
| --- | --- |
| topic and other ids | every UUID |
| members | `member_id`, `leader` |
| producers | `producer_id`; their `producer_epoch`, `last_stable...` stay offsets |
| fetch sessions | `session_id` |
| generations, epochs of members | `generation_id`, `generation_id_or_member_epoch`, `member_epoch`, for each group |
| the cluster, tokens | `cluster_id`, `token_id`, `hmac` |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kproto.batches.crc32c import crc32c
from kproto.ids import ZERO_UUID
from kproto.schema.declare import Field, Struct, fields_of
from tools.recording.plain import batches

KINDS: Final[Mapping[str, str]] = {
    "member_id": "member",
    "leader": "member",
    "producer_id": "producer",
    "v3_and_below_producer_id": "producer",
    "session_id": "session",
    "generation_id": "generation",
    "generation_id_or_member_epoch": "generation",
    "member_epoch": "generation",
    "cluster_id": "cluster",
    "token_id": "token",
    "hmac": "hmac",
}
OF_GROUPS: Final = {"generation"}
"""Kinds whose values mean something within a group only."""
STANDS_FOR_ITSELF: Final = frozenset({None, "", b"", -2, -1, 0, ZERO_UUID})
"""Values that mean "none"; producers' ids begin at 0."""

IDENTIFYING: Final = (
    ("name",), ("topic",), ("topic_id",), ("group_id",), ("key",), ("partition_index",), ("partition",), ("index",),
    ("api_key",), ("resource_type", "resource_name"), ("transactional_id",), ("group_instance_id",), ("broker_id",),
)  # fmt: skip
"""Fields by which elements of two lists are paired, the first that all of them have and that tells all apart."""

CRC_AT, ATTRIBUTES_AT, PRODUCER_AT = 17, 21, 43
"""Where these stand in a batch."""


class Bindings:
    """What stands for what. Memory is in proportion to the ids of the recording."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, Any], Any] = {}
        self._epochs: dict[Any, int] = {}
        """Present producer id -> how much larger its present epoch is than the recorded one."""

    def now(self, kind: str, value: Any, group: str = "") -> Any:
        """What stands for a recorded value."""
        if value in STANDS_FOR_ITSELF and not (kind == "producer" and value == 0):
            return value
        return self._now.get((_scoped(kind, group), value), value)

    def bind(self, kind: str, then: Any, now: Any, group: str = "") -> None:
        """From now on `now` stands for `then`."""
        if then in STANDS_FOR_ITSELF and not (kind == "producer" and then == 0):
            return
        self._now[_scoped(kind, group), then] = now

    def is_bound(self, kind: str, value: Any, group: str = "") -> bool:
        """Whether something stands for a value."""
        return (_scoped(kind, group), value) in self._now

    def epoch_now(self, producer_id: Any, epoch: int) -> int:
        """The present epoch of a producer whose present id this is."""
        return epoch if epoch < 0 else epoch + self._epochs.get(producer_id, 0)

    def learn(self, then: Any, now: Any, group: str = "") -> None:
        """Bind the ids of two replies of one kind, `then` the recorded one."""
        for left, right in pairs(then, now):
            for declared in fields_in(left):
                kind = kind_of(declared)
                if declared.name == "members":
                    self._learn_members(left.members, right.members)
                if kind is None or declared.type.element is not None or declared.name == "leader":
                    continue
                if kind == "member" and left is not then:
                    continue
                old, new = getattr(left, declared.name), getattr(right, declared.name)
                if new in STANDS_FOR_ITSELF and kind != "producer":
                    continue
                if kind == "producer" and (old < 0 or new < 0):
                    continue
                self.bind(kind, _hashable(old), _hashable(new), group)
                if kind == "producer" and hasattr(left, "producer_epoch") and left.producer_epoch >= 0:
                    self._epochs[new] = right.producer_epoch - left.producer_epoch

    def _learn_members(self, then: Sequence[Any], now: Sequence[Any]) -> None:
        """Bind the members of a group that have not been heard of by a reply of their own. Brokers list them in no
        particular order, so they belong together by what they have said of themselves, and only then by their place."""
        if not then or not hasattr(then[0], "member_id"):
            return
        claimed = {self.now("member", each.member_id) for each in then if self.is_bound("member", each.member_id)}
        free = [each for each in now if each.member_id not in claimed]
        for each in then:
            if free and not self.is_bound("member", each.member_id):
                said = _said_of(each)
                match = next((other for other in free if _said_of(other) == said), free[0])
                free.remove(match)
                self.bind("member", each.member_id, match.member_id)

    def substitute(self, message: Any, group: str = "") -> None:
        """Put the ids of now into a recorded request, in place."""
        for struct in _structs(message):
            self._substitute_in(struct, group)

    def _substitute_in(self, struct: Any, group: str) -> None:
        group = getattr(struct, "group_id", None) or group
        for declared in fields_in(struct):
            value = getattr(struct, declared.name)
            if declared.type.name == "records" and value is not None:
                setattr(struct, declared.name, self.in_records(value))
            elif (kind := kind_of(declared)) is not None:
                if declared.type.element is not None:
                    setattr(struct, declared.name, [self.now(kind, _hashable(each), group) for each in value or ()])
                else:
                    setattr(struct, declared.name, self.now(kind, _hashable(value), group))
        for prefix in ("", "v3_and_below_"):
            if hasattr(struct, epoch := f"{prefix}producer_epoch"):
                producer = getattr(struct, f"{prefix}producer_id")
                setattr(struct, epoch, self.epoch_now(producer, getattr(struct, epoch)))

    def in_records(self, records: Any) -> Any:
        """Records with the producers of now."""
        found = batches(records)
        if not any(int.from_bytes(batch[PRODUCER_AT : PRODUCER_AT + 8], "big", signed=True) >= 0 for batch in found):
            return records
        changed = bytearray(records)
        at = 0
        for batch in found:
            then = int.from_bytes(batch[PRODUCER_AT : PRODUCER_AT + 8], "big", signed=True)
            if then >= 0:
                now = self.now("producer", then)
                epoch = int.from_bytes(batch[PRODUCER_AT + 8 : PRODUCER_AT + 10], "big", signed=True)
                place = at + PRODUCER_AT
                changed[place : place + 8] = now.to_bytes(8, "big", signed=True)
                changed[place + 8 : place + 10] = self.epoch_now(now, epoch).to_bytes(2, "big", signed=True)
                check = crc32c(memoryview(changed)[at + ATTRIBUTES_AT : at + len(batch)])
                changed[at + CRC_AT : at + CRC_AT + 4] = check.to_bytes(4, "big")
            at += len(batch)
        return memoryview(bytes(changed))


def kind_of(declared: Field) -> str | None:
    """The kind of id that a field holds; None for none."""
    if (declared.type.element or declared.type).name == "uuid":
        return "uuid"
    return KINDS.get(declared.name)


def fields_in(struct: Any) -> tuple[Field, ...]:
    """The fields of a struct."""
    kind: type[Struct] = type(struct)
    return fields_of(kind)


def pairs(then: Any, now: Any) -> Iterator[tuple[Any, Any]]:
    """Two structs of one type, and those inside them that correspond to each other."""
    yield then, now
    for declared in fields_in(then):
        kind = declared.type.element or declared.type
        if kind.struct is None:
            continue
        left, right = getattr(then, declared.name), getattr(now, declared.name)
        if declared.type.element is None:
            if left is not None and right is not None:
                yield from pairs(left, right)
            continue
        for one, other in paired(left or [], right or []):
            if one is not None and other is not None:
                yield from pairs(one, other)


def paired(then: Sequence[Any], now: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Elements of two lists that correspond to each other; None for one that has no other."""
    left, right = identified(then), identified(now)
    if left is None or right is None:
        longest = max(len(then), len(now))
        return [(_at(then, number), _at(now, number)) for number in range(longest)]
    return [(left.get(key), right.get(key)) for key in {**left, **right}]


def identified(elements: Sequence[Any]) -> dict[Any, Any] | None:
    """Elements by what tells them apart; None if nothing does."""
    if not elements:
        return {}
    if not isinstance(elements[0], Struct):
        return None
    for names in IDENTIFYING:
        if all(hasattr(elements[0], name) for name in names):
            found = {tuple(_hashable(getattr(each, name)) for name in names): each for each in elements}
            if len(found) == len(elements) and not (len(names) == 1 and (None,) in found):
                return found if names != ("topic_id",) else None  # ids differ: by their place
    return None


def _structs(struct: Any) -> Iterator[Any]:
    from tools.recording.secrets import structs_of

    return structs_of(struct)


def _said_of(member: Any) -> tuple[Any, ...]:
    """What a member has said of itself."""
    names = ("group_instance_id", "metadata", "member_metadata", "client_id", "subscribed_topic_names")
    return tuple(getattr(member, name, None) for name in names)


def _at(elements: Sequence[Any], number: int) -> Any:
    return elements[number] if number < len(elements) else None


def _scoped(kind: str, group: str) -> str:
    return f"{kind} of {group}" if kind in OF_GROUPS else kind


def _hashable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value
