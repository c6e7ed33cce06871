"""From a declared message and a version to two flat functions, written out as Python source and compiled on first use.

A generated decoder walks the bytes once, with few calls: nested structs and loops are spelt out in place. For Produce
it begins like this (``python -m tools explain ProduceRequest --version 9 --source`` prints the whole)::

    def decode(buf, pos, budget):
        size = len(buf)
        try:
            o1 = new(ProduceRequest)
            n2 = buf[pos]
            pos += 1
            ...
            o1.acks, o1.timeout_ms, n3 = unpack_from_hiB(buf, pos)
            pos += 7

**Runs.** Neighbouring fields of fixed width are read by one ``unpack_from`` and written by one ``pack``. A run ends
with the length, count or tag-section byte that follows it, so most structs cost one such call per string or array in
them. Compact lengths are varints, but nearly always of one byte: the run takes that byte, and larger ones leave the
fast path.

**Hostile bytes.** What a peer can do wrong, and what stops it:

=====================================  =================================================================================
the message ends early                 indexing and ``unpack_from`` raise. A slice does not: it is silently short, and
                                       ``pos`` moves behind the end. Nothing reads there, for ``pos`` never moves back;
                                       one comparison at the very end catches it
a count that promises too much         every count is checked before anything is allocated: each element takes at least
                                       its smallest encoded size from the remaining bytes, and one from the budget
a length that is negative              null where the field is nullable, else an error (as in Kafka)
unknown tagged fields                  skipped; known ones must end exactly where their size says
more tagged fields than 10,000         an error, as in Kafka: in one section, that is in one struct
a string longer than 32767 bytes       an error, as in Kafka
bad UTF-8, endless varints             an error
nesting                                bounded by the schema: the generated code does not recurse
=====================================  =================================================================================

Whatever is wrong, a :class:`~kproto.errors.ProtocolError` says so and nothing else escapes. Memory follows from the
budget: so many elements, none of which costs a request more than 576 bytes, plus copies of strings and bytes (four
times their size at most, where one wide character makes a string wide).

**Encoders** collect chunks. Everything but ``records`` is joined into bytes; a records value is a chunk by itself, the
same object that the message holds, so that a memoryview or a slice of a file reaches the socket untouched. A field that
the version cannot carry must have its default or be ignorable, otherwise ValueError (Kafka's
UnsupportedVersionException), and so is everything else that does not fit its type.
"""

from collections.abc import Callable, Iterator, Sized
from typing import Any, Final, TypeAlias, TypeVar, cast

from kproto.errors import Malformed
from kproto.primitives import Readable
from kproto.schema.declare import Struct
from kproto.schema.decoding import DecoderWriter
from kproto.schema.encoding import EncoderWriter, TooManyElements

__all__ = [
    "DEFAULT_ELEMENT_BUDGET",
    "Buffer",
    "decode",
    "decoder",
    "decoder_source",
    "encode",
    "encode_in_pieces",
    "encode_within",
    "encoder",
    "encoder_source",
]

DEFAULT_ELEMENT_BUDGET: Final = 200_000
"""How many array elements one message may hold. Kafka's largest honest ones (Metadata of a big cluster) hold fewer."""

Buffer: TypeAlias = bytes | bytearray | memoryview | Sized
"""A chunk of an encoded message: bytes, or a records value of whatever type the message holds."""

M = TypeVar("M", bound=Struct)
Decoder: TypeAlias = Callable[[memoryview, int, int], tuple[M, int]]
Encoder: TypeAlias = Callable[[M, int], list[Buffer]]

NO_LIMIT: Final = 1 << 62


def decode(cls: type[M], version: int, data: Readable, *, budget: int = DEFAULT_ELEMENT_BUDGET) -> M:
    """Decode a whole message. Raises ProtocolError, also for bytes left over; ValueError for an undeclared version."""
    view = memoryview(data)
    message: M
    message, end = (cls._decoders.get(version) or decoder(cls, version))(view, 0, budget)
    if end != len(view):
        raise Malformed(f"{len(view) - end} bytes left over after {cls.__name__} v{version}")
    return message


def encode(message: Struct, version: int) -> list[Buffer]:
    """Encode a message into chunks, the first of which is always bytes. Raises ValueError if it does not fit."""
    cls = type(message)
    chunks: list[Buffer] = (cls._encoders.get(version) or encoder(cls, version))(message, NO_LIMIT)
    return chunks


def encode_within(message: Struct, version: int, elements: int) -> list[Buffer] | None:
    """The same, or None if the message's arrays hold more than so many elements (those of numbers and ids do not
    count): what takes long is for :func:`encode_in_pieces`. Raises ValueError."""
    cls = type(message)
    try:
        chunks: list[Buffer] = (cls._encoders.get(version) or encoder(cls, version))(message, elements)
    except TooManyElements:
        return None
    return chunks


def encode_in_pieces(message: Struct, version: int) -> Iterator[Buffer]:
    """The chunks of :func:`encode`, joined differently, each made when it is asked for: a large message is so neither
    encoded in one go nor in memory as a whole. Raises ValueError on the way."""
    cls = type(message)
    compiled = cls._piecewise_encoders.get(version)
    if compiled is None:
        source, names = EncoderWriter(cls, version, piecewise=True).write()
        compiled = cls._piecewise_encoders[version] = _execute(source, names, "encode", cls, version)
    pieces: Iterator[Buffer] = compiled(message)
    return pieces


def decoder(cls: type[M], version: int) -> Decoder[M]:
    """The compiled ``(memoryview, position, budget) -> (message, position behind it)``. Raises ValueError."""
    compiled = cls._decoders.get(version)
    if compiled is None:
        source, names = decoder_source(cls, version)
        compiled = cls._decoders[version] = _execute(source, names, "decode", cls, version)
    return cast(Decoder[M], compiled)


def encoder(cls: type[M], version: int) -> Encoder[M]:
    """The compiled ``(message, room) -> chunks``, which raises ValueError and TooManyElements. Raises ValueError."""
    compiled = cls._encoders.get(version)
    if compiled is None:
        source, names = encoder_source(cls, version)
        compiled = cls._encoders[version] = _execute(source, names, "encode", cls, version)
    return cast(Encoder[M], compiled)


def decoder_source(cls: type[Struct], version: int) -> tuple[str, dict[str, Any]]:
    """The source of the decoder and the names it refers to. Raises ValueError for an undeclared version."""
    return DecoderWriter(cls, version).write()


def encoder_source(cls: type[Struct], version: int) -> tuple[str, dict[str, Any]]:
    """The source of the encoder and the names it refers to. Raises ValueError for an undeclared version."""
    return EncoderWriter(cls, version).write()


def _execute(source: str, names: dict[str, Any], name: str, cls: type[Struct], version: int) -> Any:
    exec(compile(source, f"<{name} {cls.__name__} v{version}>", "exec"), names)
    return names[name]
