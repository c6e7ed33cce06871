"""Every declared message, and messages full of arbitrary values, for tests that hold for all of them.

Two ways to fill a message. :func:`filled` draws from a seeded ``random.Random``: fast enough to visit every version of
every message in one test. :func:`messages` is a Hypothesis strategy: slower, but what fails shrinks to something small.
Both fill what the version can carry and leave everything else at its default, so that a message must come back equal
from a round trip.
"""

from importlib import import_module
from pkgutil import iter_modules
from random import Random
from typing import Any

from hypothesis import strategies as st

from kproto import formats
from kproto.messages import APIS, request_type
from kproto.schema.compile import encode
from kproto.schema.declare import Field, FieldType, Message, Struct, fields_of

MODULES = [
    "kproto.messages.envelope",
    "kproto.messages.header",
    *(f"{formats.__name__}.{module.name}" for module in iter_modules(formats.__path__)),
]


def _declared() -> list[type[Message]]:
    found: set[type[Message]] = {request_type(key) for key in APIS}
    found |= {request_type(key).response_type for key in APIS}
    for name in MODULES:
        for value in vars(import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Message) and value.__module__ == name:
                found.add(value)
    return sorted(found, key=lambda cls: cls.__name__)


MESSAGES: list[type[Message]] = _declared()
VERSIONS: list[tuple[type[Message], int]] = [
    (cls, version) for cls in MESSAGES for version in range(cls.min_version, cls.max_version + 1)
]

BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint16": 16, "uint32": 32}
LENGTHS = (0, 1, 2, 5, 20, 126, 127, 128, 300)


def joined(message: Struct, version: int) -> bytes:
    """The whole encoded message."""
    return bytearray().join(encode(message, version))  # type: ignore[arg-type, return-value]


def filled(cls: type[Struct], version: int, random: Random) -> Any:
    """A message with arbitrary values in every field that the version carries."""
    return cls(**{field.name: _value(field, version, random) for field in carried(cls, version)})


def messages(cls: type[Struct], version: int) -> st.SearchStrategy[Any]:
    """The same as a strategy."""
    return st.builds(cls, **{field.name: _strategy(field, version) for field in carried(cls, version)})


def carried(cls: type[Struct], version: int) -> list[Field]:
    return [field for field in fields_of(cls) if version in field.versions]


def _value(field: Field, version: int, random: Random) -> Any:
    if version in field.nullable and random.random() < 0.3:
        return None
    if version in field.tagged and random.random() < 0.3:
        return field.fresh_default()
    return _of_type(field.type, version, random)


def _of_type(kind: FieldType, version: int, random: Random) -> Any:
    if kind.struct is not None:
        return filled(kind.struct, version, random)
    if kind.element is not None:
        return [_of_type(kind.element, version, random) for _ in range(random.choice((0, 1, 1, 2, 3)))]
    match kind.name:
        case "bool":
            return random.random() < 0.5
        case "float64":
            return random.choice((0.0, -1.5, random.random()))
        case "uuid":
            return random.randbytes(16)
        case "string":
            return "".join(random.choice("az09._-ßλ漢🙂") for _ in range(random.choice(LENGTHS)))
        case "bytes" | "records":
            return random.randbytes(random.choice(LENGTHS))
    lowest, highest = _range(kind.name)
    return random.choice((lowest, highest, 0, 1, random.randint(lowest, highest)))


def _range(name: str) -> tuple[int, int]:
    bits = BITS[name]
    return (0, (1 << bits) - 1) if name.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)


def _strategy(field: Field, version: int) -> st.SearchStrategy[Any]:
    strategy = strategy_of(field.type, version)
    return st.none() | strategy if version in field.nullable else strategy


def strategy_of(kind: FieldType, version: int) -> st.SearchStrategy[Any]:
    """Values of a type, null aside."""
    if kind.struct is not None:
        return messages(kind.struct, version)
    if kind.element is not None:
        return st.lists(strategy_of(kind.element, version), max_size=3)
    match kind.name:
        case "bool":
            return st.booleans()
        case "float64":
            return st.floats(allow_nan=False)
        case "uuid":
            return st.binary(min_size=16, max_size=16)
        case "string":
            return st.text(st.characters(codec="utf-8"), max_size=20)
        case "bytes" | "records":
            return st.binary(max_size=20)
    lowest, highest = _range(kind.name)
    return st.integers(lowest, highest)
