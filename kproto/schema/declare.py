"""How a Kafka message is written down in Python: once, for all its versions.

A message is a class; its fields are annotated attributes, each with the range of versions that carry it::

    class TopicProduceData(Struct):
        name: String = field("0-12")
        topic_id: Uuid = field("13+")
        partition_data: Array[PartitionProduceData] = field("0+")

    class ProduceRequest(Request, api=0, versions="3-13", flexible="9+"):
        transactional_id: String | None = field("3+", default=None)
        topic_data: Array[TopicProduceData] = field("0+")

The annotation says what type checkers need (``String`` is ``str`` to them) and what the codec needs (``String`` is
annotated with Kafka's type). ``| None`` means that null may travel: in every version of the field, unless ``nullable=``
says otherwise. The vocabulary is that of Kafka's own schema language, and so are the rules:

* a version range is ``"3"``, ``"3-7"``, ``"3+"`` or ``"none"``; ranges of fields may reach beyond those of the message;
* every field has a default: what ``default=`` says, or zero, false, empty, the zero UUID, a struct of defaults. A field
  that a version does not carry has its default after decoding. Encoding something else into such a version is an
  error, unless the field is ``ignorable``: then it is silently dropped;
* from the ``flexible`` version on lengths are varints and every struct ends in tagged fields (KIP-482). A field with a
  ``tag`` travels there, in its ``tagged`` versions, and only if it differs from its default;
* a struct travels as its fields, one after the other; a nullable one behind a byte that is 1, or -1 for null, except
  that among the tagged fields null is 0.

Messages are built with keyword arguments, compared by value, mutable, and have slots instead of a dictionary. The
constructor is generated when a class is first called, and fields are resolved when a codec is first compiled: importing
a message costs next to nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from operator import attrgetter
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    TypeAlias,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    overload,
)

from kproto.ids import ZERO_UUID

__all__ = [
    "NEVER",
    "Array",
    "Bool",
    "Bytes",
    "Data",
    "Field",
    "FieldType",
    "Float64",
    "Header",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Message",
    "Record",
    "Records",
    "Request",
    "Response",
    "String",
    "Struct",
    "Uint16",
    "Uint32",
    "Uuid",
    "Versions",
    "field",
    "fields_of",
]

NEVER: Final = 0x7FFF
"""The ``flexible_version`` of a message that has none: greater than every version, so comparisons just work."""


@dataclass(frozen=True, slots=True)
class Versions:
    """A closed range of versions; an open end is :data:`NEVER`, and a range with ``high < low`` is empty."""

    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> "Versions":
        """Read Kafka's notation: ``"3"``, ``"3-7"``, ``"3+"``, ``"none"``. Raises ValueError."""
        if text == "none":
            return NO_VERSIONS
        if text.endswith("+"):
            return cls(int(text[:-1]), NEVER)
        low, _, high = text.partition("-")
        return cls(int(low), int(high or low))

    def __contains__(self, version: int) -> bool:
        return self.low <= version <= self.high

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))

    def __str__(self) -> str:
        if self.high < self.low:
            return "none"
        if self.high == NEVER:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


NO_VERSIONS: Final = Versions(0, -1)


@dataclass(frozen=True, slots=True)
class FieldType:
    """What travels: one of Kafka's primitive types, a struct, or an array of either.

    ``name`` is Kafka's (``int32``, ``string``, ``array``, ``struct``). ``code`` is the letter of the :mod:`struct`
    module for types of fixed ``size``, empty for all others. ``zero`` is the default a field of this type has when its
    declaration names none.
    """

    name: str
    code: str = ""
    size: int = 0
    zero: Any = None
    element: "FieldType | None" = None
    struct: "type[Struct] | None" = None

    def __str__(self) -> str:
        if self.element is not None:
            return f"[]{self.element}"
        return self.name if self.struct is None else self.struct.kafka_name


_INT8 = FieldType("int8", "b", 1, 0)
_INT16 = FieldType("int16", "h", 2, 0)
_INT32 = FieldType("int32", "i", 4, 0)
_INT64 = FieldType("int64", "q", 8, 0)
_UINT16 = FieldType("uint16", "H", 2, 0)
_UINT32 = FieldType("uint32", "I", 4, 0)
_FLOAT64 = FieldType("float64", "d", 8, 0.0)
_BOOL = FieldType("bool", "?", 1, False)
_UUID = FieldType("uuid", "16s", 16, ZERO_UUID)
_STRING = FieldType("string", zero="")
_BYTES = FieldType("bytes", zero=b"")
_RECORDS = FieldType("records", zero=None)
_ARRAY = FieldType("array")

_T = TypeVar("_T")

Int8: TypeAlias = Annotated[int, _INT8]
Int16: TypeAlias = Annotated[int, _INT16]
Int32: TypeAlias = Annotated[int, _INT32]
Int64: TypeAlias = Annotated[int, _INT64]
Uint16: TypeAlias = Annotated[int, _UINT16]
Uint32: TypeAlias = Annotated[int, _UINT32]
Float64: TypeAlias = Annotated[float, _FLOAT64]
Bool: TypeAlias = Annotated[bool, _BOOL]
Uuid: TypeAlias = Annotated[bytes, _UUID]
"""16 raw bytes."""
String: TypeAlias = Annotated[str, _STRING]
Bytes: TypeAlias = Annotated[bytes, _BYTES]
"""Copied out of the message when decoded."""
Records: TypeAlias = Annotated[Any, _RECORDS]
"""Record batches: a memoryview of the input when decoded; when encoded anything with ``len()``, passed on untouched."""
Array: TypeAlias = Annotated[list[_T], _ARRAY]


class SharedArray(list[_T]):
    """An array that is part of many messages of one kind: what it encodes to is kept, by version.

    Neither it nor its elements may change once it has been encoded. Only arrays of structs declared with
    ``shared=True`` are kept; any other is encoded each time.
    """

    __slots__ = ("encoded",)

    def __init__(self, elements: Iterable[_T] = ()) -> None:
        super().__init__(elements)
        self.encoded: dict[int, bytes] = {}


class ArrayOnDemand(Sequence[_T]):
    """An array of which each element is made when it is looked at, and then forgotten: for answers with very many
    elements, each of them a few words about a key. ``make`` returns equal elements for equal keys.

    A large message is encoded twice, so elements are made twice.
    """

    __slots__ = ("_keys", "_make")

    def __init__(self, keys: Sequence[Any], make: Callable[[Any], _T]) -> None:
        self._keys = keys
        self._make = make

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[_T]:
        return map(self._make, self._keys)

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        if isinstance(index, slice):
            return ArrayOnDemand(self._keys[index], self._make)
        return self._make(self._keys[index])


class _New:
    """Stands for a default that each message gets its own copy of: an empty list, a struct of defaults."""

    def __repr__(self) -> str:
        return "<new>"


NEW: Final = _New()
_UNSAID: Final = _New()


@dataclass(frozen=True, slots=True)
class Field:
    """A field, resolved. ``default`` is an immutable value, or :data:`NEW` for a fresh list or struct."""

    name: str
    type: FieldType
    versions: Versions
    nullable: Versions
    tagged: Versions
    tag: int | None
    flexible: Versions | None
    default: Any
    ignorable: bool
    map_key: bool

    def fresh_default(self) -> Any:
        """The default value, never shared between two messages."""
        if self.default is not NEW:
            return self.default
        return [] if self.type.struct is None else self.type.struct()


@dataclass(frozen=True, slots=True)
class _Declared:
    """What ``field(...)`` was given, kept as it was written until it is needed."""

    versions: str
    nullable: str | None
    tag: int | None
    tagged: str | None
    flexible: str | None
    default: Any
    ignorable: bool
    map_key: bool


def field(
    versions: str,
    *,
    nullable: str | None = None,
    tag: int | None = None,
    tagged: str | None = None,
    flexible: str | None = None,
    default: Any = _UNSAID,
    ignorable: bool = False,
    map_key: bool = False,
) -> Any:
    """Declare a field that ``versions`` carry.

    ``nullable``: versions in which null may travel, if not all. ``tag``: its number among the tagged fields, in
    ``tagged`` versions, if not all. ``flexible``: overrides the message's flexible versions for this field alone.
    ``ignorable``: may be dropped by a version that lacks it. ``map_key``: Kafka indexes the array by this field, so
    elements have distinct values of it.
    """
    return _Declared(versions, nullable, tag, tagged, flexible, default, ignorable, map_key)


@dataclass_transform(kw_only_default=True, eq_default=True)
class StructType(type):
    """Turns the declared fields of a class into slots."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "StructType":
        declared = {key: value for key, value in namespace.items() if isinstance(value, _Declared)}
        for key in declared:
            del namespace[key]
        namespace["__slots__"] = tuple(declared)
        namespace["_declared"] = declared
        namespace["_decoders"] = {}
        namespace["_encoders"] = {}
        namespace["_piecewise_encoders"] = {}
        return super().__new__(mcs, name, bases, namespace, **options)


class Struct(metaclass=StructType):
    """A group of fields inside a message."""

    kafka_name: ClassVar[str] = "Struct"
    """Kafka's name of the struct; differs from the class's where one module needs two structs of one name."""
    _declared: ClassVar[dict[str, _Declared]]
    _decoders: ClassVar[dict[int, Any]]
    _encoders: ClassVar[dict[int, Any]]
    _piecewise_encoders: ClassVar[dict[int, Any]]
    shared: ClassVar[bool] = False
    """Whether encoders look for a :class:`SharedArray` where there is an array of these."""

    def __init_subclass__(cls, *, kafka_name: str | None = None, shared: bool = False) -> None:
        cls.kafka_name = kafka_name or cls.__name__
        cls.shared = shared

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        cls.__init__ = _compile_constructor(cls)  # type: ignore[method-assign]
        cls.__init__(self, **values)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        values = _values_of(type(self))
        return bool(values(self) == values(other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The fields that differ from their defaults, as a call that makes the same message."""
        shown = []
        for declared in fields_of(type(self)):
            value = getattr(self, declared.name)
            if value != declared.fresh_default():
                shown.append(f"{declared.name}={bytes(value) if isinstance(value, memoryview) else value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Message(Struct):
    """A struct that travels by itself, in a range of versions.

    ``flexible_version`` is the first flexible one, or :data:`NEVER`. ``api_key`` is -1 for messages without one.
    """

    api_key: ClassVar[int] = -1
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = -1
    flexible_version: ClassVar[int] = NEVER
    latest_version_unstable: ClassVar[bool] = False
    """The newest version is still being worked on; Kafka serves it only on request (`unstable.api.versions.enable`)."""

    def __init_subclass__(
        cls,
        *,
        versions: str = "none",
        flexible: str = "none",
        api: int = -1,
        latest_unstable: bool = False,
        kafka_name: str | None = None,
    ) -> None:
        super().__init_subclass__(kafka_name=kafka_name)
        valid, flexible_versions = Versions.parse(versions), Versions.parse(flexible)
        cls.api_key, cls.min_version, cls.max_version = api, valid.low, valid.high
        cls.flexible_version = flexible_versions.low if flexible_versions.high == NEVER else NEVER
        cls.latest_version_unstable = latest_unstable


class Header(Message):
    """What precedes a request or a response."""


class Request(Message):
    """What a client sends; ``api_key`` names it on the wire."""

    response_type: ClassVar["type[Response]"]


class Response(Message):
    """What answers a :class:`Request`, in the same version."""

    request_type: ClassVar[type[Request]]

    def __init_subclass__(cls, *, to: type[Request], kafka_name: str | None = None) -> None:
        versions = str(Versions(to.min_version, to.max_version))
        flexible = "none" if to.flexible_version == NEVER else f"{to.flexible_version}+"
        super().__init_subclass__(api=to.api_key, versions=versions, flexible=flexible, kafka_name=kafka_name)
        cls.request_type = to
        to.response_type = cls


class Record(Message):
    """A record of an internal topic, or the key of one; ``api_key`` says which kind it is."""


class Data(Message):
    """A message in a place of its own that says what it is: a snapshot's header, an assignment inside a response."""


@cache
def fields_of(cls: type[Struct]) -> tuple[Field, ...]:
    """The fields of a struct in the order in which they travel. Raises TypeError for a faulty declaration."""
    annotations = get_annotations(cls, eval_str=True)
    if annotations.keys() != cls._declared.keys():
        raise TypeError(f"{cls.__name__}: {annotations.keys() ^ cls._declared.keys()} need a type and a field(...)")
    return tuple(_resolve(name, annotations[name], declared) for name, declared in cls._declared.items())


def _resolve(name: str, annotation: Any, declared: _Declared) -> Field:
    optional = get_origin(annotation) in (Union, UnionType)
    if optional:
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    field_type = _type_of(annotation)
    versions = Versions.parse(declared.versions)
    nullable = versions if optional else NO_VERSIONS
    if declared.nullable is not None:
        nullable = Versions.parse(declared.nullable)
    tagged = NO_VERSIONS
    if declared.tag is not None:
        tagged = versions if declared.tagged is None else Versions.parse(declared.tagged)
    default = declared.default
    if default is _UNSAID:
        default = NEW if field_type.struct is not None or field_type.element is not None else field_type.zero
    return Field(
        name=name,
        type=field_type,
        versions=versions,
        nullable=nullable,
        tagged=tagged,
        tag=declared.tag,
        flexible=None if declared.flexible is None else Versions.parse(declared.flexible),
        default=default,
        ignorable=declared.ignorable,
        map_key=declared.map_key,
    )


def _type_of(annotation: Any) -> FieldType:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return FieldType("struct", struct=annotation)
    _, field_type = get_args(annotation)
    assert isinstance(field_type, FieldType)
    if field_type is _ARRAY:
        (element,) = get_args(get_args(annotation)[0])
        return FieldType("array", element=_type_of(element))
    return field_type


@cache
def _values_of(cls: type[Struct]) -> Any:
    names = list(cls._declared)
    return attrgetter(*names) if names else lambda message: ()


def default_lines(target: str, declared: Field, constants: dict[str, Any]) -> list[str]:
    """Statements that give ``target`` the default of a field; the classes they need are added to ``constants``.

    A struct of defaults is spelt out instead of called for: half the time goes into the call.
    """
    if declared.default is not NEW:
        return [f"{target} = {declared.default!r}"]
    if declared.type.struct is None:
        return [f"{target} = []"]
    struct = declared.type.struct
    made = target.replace(".", "_") + "_new"
    constants["new"], constants[struct.__name__] = object.__new__, struct
    lines = [f"{target} = {made} = new({struct.__name__})"]
    for inner in fields_of(struct):
        lines += default_lines(f"{made}.{inner.name}", inner, constants)
    return lines


def _compile_constructor(cls: type[Struct]) -> Any:
    constants: dict[str, Any] = {"NEW": NEW}
    parameters, body = [], []
    for declared in fields_of(cls):
        name = declared.name
        if declared.default is not NEW:
            parameters.append(f"{name}={declared.default!r}")
            body.append(f"self.{name} = {name}")
        else:
            parameters.append(f"{name}=NEW")
            body.append(f"if {name} is not NEW: self.{name} = {name}")
            body.append("else:")
            body += [f"    {line}" for line in default_lines(f"self.{name}", declared, constants)]
    source = f"def __init__(self{', *, ' if parameters else ''}{', '.join(parameters)}):\n    "
    source += "\n    ".join(body or ["pass"])
    exec(compile(source, f"<constructor of {cls.__name__}>", "exec"), constants)
    constructor = constants["__init__"]
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    return constructor
