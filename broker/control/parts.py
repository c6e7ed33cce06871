"""Which part of a request names a topic, a partition, a group or a transactional id, and answers put together of parts.

A fault may be for one partition of a request that names many: that one is refused, and the others are worked on. So a
request is *split* into the part that is meant and the rest, each a request of the same shape; the rest goes to the
handler, the part that is meant to its `refuse`, and the two answers are *merged*, so that the client gets one answer in
exactly the shape that its API and version have.

Nothing here knows an API by name: what a message names is read off its declaration (`kproto/schema/declare.py`).

| named | by |
| --- | --- |
| a group | a field `group_id`; the elements of `groups`, `groups_names`, `group_ids`; a coordinator's key of type 0 |
| a transactional id | a field `transactional_id`; the elements of `transactional_ids`; a coordinator's key of type 1 |
| a topic | an element of an array about topics, by name or by id; of `topic_names`; a resource of configs of type 2 |
| a partition | in an element about a topic, the elements of an array `partition...` |

A request that means *all* (null, an empty list) names none of them. Answers are merged by keys: elements of an array
that agree in all fields which name something are one element, whose fields are those of the part that is merged in
last, but for arrays, which are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from kproto.ids import ZERO_UUID
from kproto.schema.declare import Field, Struct, fields_of

S = TypeVar("S", bound=Struct)

TOPIC_RESOURCE: Final = 2
GROUP_KEY, TRANSACTION_KEY = 0, 1
_TOPIC_NAMES: Final = ("name", "topic", "topic_name")
_PARTITION_NUMBERS: Final = ("partition_index", "partition", "index", "partition_id")
_KEYS: Final = frozenset(
    (
        *_PARTITION_NUMBERS,
        "group_id",
        "transactional_id",
        "producer_id",
        "key",
        "log_dir",
        "resource_name",
        "resource_type",
    )
)
_LISTS: Final = {
    "groups": "group",
    "groups_names": "group",
    "group_ids": "group",
    "transactional_ids": "transactional_id",
    "topic_names": "topic",
}
"""Arrays of texts, and what each text names."""


class Named(NamedTuple):
    """What a part of a request is looked for by; None: by anything. A partition is one of a topic."""

    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    transactional_id: str | None = None

    @property
    def words(self) -> frozenset[str]:
        """The kinds of name that are asked for."""
        return frozenset(kind for kind, value in self._asdict().items() if value is not None)


ANYTHING: Final = Named()

NameOf = Callable[[bytes], str | None]
"""A topic's id -> its name; None for an id that means nothing."""


def split(message: S, named: Named, name_of: NameOf) -> tuple[S | None, S | None]:
    """(the part of the request that is meant, the rest). None for either where there is none."""
    return _Splitter(named, name_of).split(message, named.words)


class _Splitter:
    """Splits by one `Named`."""

    def __init__(self, named: Named, name_of: NameOf) -> None:
        self._named = named
        self._name_of = name_of

    def split(self, struct: S, open_words: frozenset[str], role: str = "") -> tuple[S | None, S | None]:
        """`open_words` are what has not been found further out; `role`: what the struct is an element about, a `topic`
        or a `partition`, if it is."""
        for kind, value in self._said_by(struct, role):
            if kind in open_words:
                if value != getattr(self._named, kind):
                    return None, struct
                open_words -= {kind}
        if not open_words:
            return struct, None
        meant: dict[str, list[Any]] = {}
        rest: dict[str, list[Any]] = {}
        for field in _arrays(type(struct)):
            elements = getattr(struct, field.name)
            if not elements:
                continue
            inside, outside = self._split_array(struct, field, elements, open_words, role)
            meant[field.name], rest[field.name] = inside, outside
        if not any(meant.values()):
            return None, struct
        return _with(struct, meant), (_with(struct, rest) if any(rest.values()) else None)

    def _split_array(
        self, struct: Struct, field: Field, elements: Iterable[Any], open_words: frozenset[str], role: str
    ) -> tuple[list[Any], list[Any]]:
        inside: list[Any] = []
        outside: list[Any] = []
        element_type = field.type.element
        assert element_type is not None
        if element_type.struct is not None:
            inner = "topic" if is_about_topic(field) else ""
            if role == "topic" and field.name.startswith("partition"):
                inner = "partition"
            for element in elements:
                hit, miss = self.split(element, open_words, inner)
                inside += [] if hit is None else [hit]
                outside += [] if miss is None else [miss]
            return inside, outside
        kind = _listed(struct, field, role)
        if kind is None or open_words != {kind}:
            return [], list(elements)
        wanted = getattr(self._named, kind)
        for element in elements:
            (inside if element == wanted else outside).append(element)
        return inside, outside

    def _said_by(self, struct: Any, role: str) -> Iterable[tuple[str, object]]:
        """What the struct itself names: (kind, value)."""
        cls: type[Struct] = type(struct)
        names = _names(cls)
        if "group_id" in names and (group := struct.group_id):
            yield "group", group
        if "transactional_id" in names and (transactional := struct.transactional_id):
            yield "transactional_id", transactional
        if "key_type" in names and struct.key:
            yield _key_kind(struct), struct.key
        if "resource_type" in names and struct.resource_type == TOPIC_RESOURCE:
            yield "topic", struct.resource_name
        if role == "topic":
            yield "topic", topic_name(struct, self._name_of)
        elif role == "partition" and (number := _partition_number(struct)) is not None:
            yield "partition", number


def topic_name(struct: Struct, name_of: NameOf) -> str | None:
    """The topic that an element is about, whether it says its name or its id."""
    names = _names(type(struct))
    for each in _TOPIC_NAMES:
        if each in names and (name := getattr(struct, each)):
            return str(name)
    topic_id = getattr(struct, "topic_id", ZERO_UUID)
    return None if topic_id == ZERO_UUID else name_of(topic_id)


def is_about_topic(field: Field) -> bool:
    """Whether the elements of this array are about one topic each."""
    struct = None if field.type.element is None else field.type.element.struct
    if struct is None or "topic" not in (field.name + struct.__name__).lower():
        return False
    names = _names(struct)
    return "topic_id" in names or any(each in names for each in _TOPIC_NAMES)


def merged(first: S, last: S) -> S:
    """Both answers in one: where both have an element, that of `last`, but with the elements of both inside."""
    values: dict[str, list[Any]] = {}
    for field in _arrays(type(first)):
        ours, theirs = getattr(first, field.name), getattr(last, field.name)
        if not theirs:
            continue
        element = field.type.element
        if not ours or element is None or element.struct is None:
            values[field.name] = list(theirs)
            continue
        by_key = {key: each for each in theirs for key in _keys(each)}
        both, left = [], {id(each): each for each in theirs}
        for each in ours:
            other = next((by_key[key] for key in _keys(each) if key in by_key), None)
            if other is not None:
                left.pop(id(other), None)
            both.append(each if other is None else _inside(each, other))
        values[field.name] = both + list(left.values())
    return _with(first, values)


def _inside(ours: S, theirs: S) -> S:
    """One element of both answers."""
    nested = [field for field in _arrays(type(ours)) if field.type.element and field.type.element.struct]
    nested = [field for field in nested if getattr(theirs, field.name) and _is_keyed(field)]
    return merged(ours, theirs) if nested else theirs


def has_elements(answer: Struct) -> bool:
    """Whether an answer says something about anything in particular."""
    return any(getattr(answer, field.name) for field in _arrays(type(answer)))


def recoded(struct: S, old: int, new: int) -> S:
    """The same with another error code in every place that has `old`."""
    values: dict[str, Any] = {}
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        if field.name.endswith("error_code") and value == old:
            values[field.name] = new
        elif field.type.element is not None and field.type.element.struct is not None and value:
            values[field.name] = [recoded(each, old, new) for each in value]
    return _with(struct, values) if values else struct


def without_top_error(answer: S) -> S:
    """An answer whose errors are those of its elements."""
    return _with(answer, {"error_code": 0}) if "error_code" in _names(type(answer)) else answer


def with_values(struct: S, **values: Any) -> S:
    """A copy with other values of some fields."""
    return _with(struct, values)


def _with(struct: S, values: dict[str, Any]) -> S:
    cls = type(struct)
    return cls(**{name: values.get(name, getattr(struct, name)) for name in _names(cls)})


@cache
def _names(cls: type[Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in fields_of(cls))


@cache
def _arrays(cls: type[Struct]) -> tuple[Field, ...]:
    return tuple(field for field in fields_of(cls) if field.type.element is not None)


def _is_keyed(field: Field) -> bool:
    struct = None if field.type.element is None else field.type.element.struct
    return struct is not None and bool(_KEYS.union(_TOPIC_NAMES, ("topic_id",)).intersection(_names(struct)))


def _keys(struct: Struct) -> list[tuple[Any, ...]]:
    """What an element is known by: with what else it names, a topic's name, and its id."""
    names = _names(type(struct))
    rest = tuple((name, getattr(struct, name)) for name in names if name in _KEYS)
    topics = [("topic", getattr(struct, name)) for name in names if name in _TOPIC_NAMES and getattr(struct, name)]
    topic_id = getattr(struct, "topic_id", ZERO_UUID)
    if topic_id != ZERO_UUID:
        topics.append(("topic_id", topic_id))
    return [(topic, *rest) for topic in topics] or ([rest] if rest else [])


def _key_kind(struct: Any) -> str:
    return "transactional_id" if struct.key_type == TRANSACTION_KEY else "group"


def _listed(struct: Struct, field: Field, role: str) -> str | None:
    """What the elements of an array of texts or numbers name."""
    if role == "topic":
        return "partition" if field.name.startswith("partition") else None
    if field.name == "coordinator_keys":
        return _key_kind(struct)
    return _LISTS.get(field.name)


def _partition_number(struct: Struct) -> int | None:
    for name in _PARTITION_NUMBERS:
        if name in _names(type(struct)):
            number: int = getattr(struct, name)
            return number
    return None
