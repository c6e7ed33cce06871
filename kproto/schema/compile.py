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
a string longer than 32767 bytes       an error, as in Kafka
bad UTF-8, endless varints             an error
nesting                                bounded by the schema: the generated code does not recurse
=====================================  =================================================================================

Whatever is wrong, a :class:`~kproto.errors.ProtocolError` says so and nothing else escapes. Memory follows from the
budget: so many elements, none of which costs a request more than 512 bytes, plus copies of strings and bytes (four
times their size at most, where one wide character makes a string wide).

**Encoders** collect chunks. Everything but ``records`` is joined into bytes; a records value is a chunk by itself, the
same object that the message holds, so that a memoryview or a slice of a file reaches the socket untouched. A field that
the version cannot carry must have its default or be ignorable, otherwise ValueError (Kafka's
UnsupportedVersionException), and so is everything else that does not fit its type.
"""

from collections.abc import Callable, Sized
from struct import Struct as Layout
from struct import error as LayoutError
from struct import pack, unpack_from
from typing import Any, Final, TypeAlias, TypeVar, cast

from kproto.errors import Malformed, OverBudget, Truncated
from kproto.ids import ZERO_UUID
from kproto.primitives import ONE_BYTE, Readable, read_uvarint, uvarint
from kproto.schema.declare import NEW, Field, FieldType, Message, Struct, default_lines, fields_of

__all__ = [
    "DEFAULT_ELEMENT_BUDGET",
    "Buffer",
    "decode",
    "decoder",
    "decoder_source",
    "encode",
    "encoder",
    "encoder_source",
]

DEFAULT_ELEMENT_BUDGET: Final = 200_000
"""How many array elements one message may hold. Kafka's largest honest ones (Metadata of a big cluster) hold fewer."""

MAX_STRING: Final = 0x7FFF

Buffer: TypeAlias = bytes | bytearray | memoryview | Sized
"""A chunk of an encoded message: bytes, or a records value of whatever type the message holds."""

M = TypeVar("M", bound=Struct)
Decoder: TypeAlias = Callable[[memoryview, int, int], tuple[M, int]]
Encoder: TypeAlias = Callable[[M], list[Buffer]]


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
    chunks: list[Buffer] = (cls._encoders.get(version) or encoder(cls, version))(message)
    return chunks


def decoder(cls: type[M], version: int) -> Decoder[M]:
    """The compiled ``(memoryview, position, budget) -> (message, position behind it)``. Raises ValueError."""
    compiled = cls._decoders.get(version)
    if compiled is None:
        source, names = decoder_source(cls, version)
        compiled = cls._decoders[version] = _execute(source, names, "decode", cls, version)
    return cast(Decoder[M], compiled)


def encoder(cls: type[M], version: int) -> Encoder[M]:
    """The compiled ``(message) -> chunks``. Raises ValueError."""
    compiled = cls._encoders.get(version)
    if compiled is None:
        source, names = encoder_source(cls, version)
        compiled = cls._encoders[version] = _execute(source, names, "encode", cls, version)
    return cast(Encoder[M], compiled)


def decoder_source(cls: type[Struct], version: int) -> tuple[str, dict[str, Any]]:
    """The source of the decoder and the names it refers to. Raises ValueError for an undeclared version."""
    return _DecoderWriter(cls, version).write()


def encoder_source(cls: type[Struct], version: int) -> tuple[str, dict[str, Any]]:
    """The source of the encoder and the names it refers to. Raises ValueError for an undeclared version."""
    return _EncoderWriter(cls, version).write()


def _execute(source: str, names: dict[str, Any], name: str, cls: type[Struct], version: int) -> Any:
    exec(compile(source, f"<{name} {cls.__name__} v{version}>", "exec"), names)
    return names[name]


# What generated code calls when it leaves the fast path.


def _null(name: str) -> None:
    raise Malformed(f"{name} is null and must not be")


def _wrong_count(name: str, count: int, budget: int, remaining: int) -> None:
    if count < 0:
        _null(name)
    if count > remaining:
        raise Truncated(f"{name} announces {count} elements in {remaining} bytes")
    raise OverBudget(f"{name} announces {count} elements, {budget} are left of the budget")


def _long(buf: memoryview, pos: int, first: int) -> tuple[int, int]:
    """A varint of two bytes or more whose first one has been read: (value, position behind it)."""
    second = buf[pos]
    if second < 0x80:
        return first & 0x7F | second << 7, pos + 1
    third = buf[pos + 1]
    if third < 0x80:
        return first & 0x7F | (second & 0x7F) << 7 | third << 14, pos + 2
    return read_uvarint(buf, pos - 1)


def _long_string(buf: memoryview, pos: int, first: int) -> tuple[int, int]:
    length, pos = _long(buf, pos, first)
    _check_string(length)
    return length, pos


def _check_string(length: int) -> None:
    if length - 1 > MAX_STRING:
        raise Malformed(f"a string of {length - 1} bytes")


def _odd_length(buf: memoryview, pos: int, first: int, name: str) -> tuple[int, int]:
    """A length that must not be null and whose first byte says that it is, or that there is more of it."""
    length = first
    if first > 127:
        length, pos = _long(buf, pos, first)
    if not length:
        _null(name)
    return length, pos


def _odd_string(buf: memoryview, pos: int, first: int, name: str) -> tuple[int, int]:
    length, pos = _odd_length(buf, pos, first, name)
    _check_string(length)
    return length, pos


def _skip_tags(buf: memoryview, pos: int, size: int, count: int) -> int:
    """Pass over a section of tagged fields of which none is known; ``count`` is its first byte."""
    if count > 127:
        count, pos = _long(buf, pos, count)
    for _ in range(count):
        _, pos = read_uvarint(buf, pos)
        length, pos = read_uvarint(buf, pos)
        pos += length
        if pos > size:
            raise Truncated("a tagged field ends beyond the message")
    return pos


def _tag_size(name: str, pos: int, end: int) -> None:
    raise Malformed(f"tagged field {name} ends at byte {pos}, its size says {end}")


def _refuse(message: Struct, version: int, names: list[str]) -> None:
    """Name the field that this version cannot carry."""
    for declared in fields_of(type(message)):
        if declared.name in names and getattr(message, declared.name) != declared.fresh_default():
            raise ValueError(f"{type(message).__name__} v{version} has no field {declared.name}")


def _not_nullable(name: str, version: int) -> None:
    raise ValueError(f"{name} must not be null in version {version}")


def _string_length(length: int) -> bytes:
    if length - 1 > MAX_STRING:
        raise ValueError(f"a string of {length - 1} bytes, more than Kafka's {MAX_STRING}")
    return uvarint(length)


class _Writer:
    """Lines of source, their indentation, and the run of fixed-width values that is still open."""

    def __init__(self, cls: type[Struct], version: int) -> None:
        if not issubclass(cls, Message) or not cls.min_version <= version <= cls.max_version:
            raise ValueError(f"{cls.__name__} has no version {version}")
        self.cls: type[Message] = cls
        self.version = version
        self.lines: list[str] = []
        self.depth = 0
        self.names: dict[str, Any] = {}
        self.numbers = 0
        self.functions: list[str] = []
        self.made: set[str] = set()
        self.codes: list[str] = []
        self.values: list[str] = []

    def emit(self, *lines: str) -> None:
        self.lines += ["    " * self.depth + line for line in lines]

    def variable(self, letter: str) -> str:
        self.numbers += 1
        return f"{letter}{self.numbers}"

    def layout(self, codes: list[str], method: str) -> str:
        """The name of a bound ``pack`` or ``unpack_from`` for a run."""
        name = f"{method}_{''.join(codes)}".replace("?", "Z")
        self.names[name] = getattr(Layout(">" + "".join(codes)), method)
        return name

    def is_flexible(self, declared: Field | None = None) -> bool:
        if declared is not None and declared.flexible is not None:
            return self.version in declared.flexible
        return self.version >= self.cls.flexible_version

    def present(self, struct: type[Struct]) -> list[Field]:
        """Fields in the body of the struct, in order."""
        return [f for f in fields_of(struct) if self.version in f.versions and self.version not in f.tagged]

    def tagged(self, struct: type[Struct]) -> list[Field]:
        """Fields in the tag section, by tag."""
        found = [f for f in fields_of(struct) if self.version in f.versions and self.version in f.tagged]
        return sorted(found, key=lambda f: cast(int, f.tag))

    def smallest(self, declared_type: FieldType, flexible: bool, nullable: bool = False) -> int:
        """The least number of bytes a value can take."""
        if declared_type.size:
            return declared_type.size
        if declared_type.struct is not None:
            if nullable:
                return 1
            inner = sum(
                self.smallest(f.type, self.is_flexible(f), self.version in f.nullable)
                for f in self.present(declared_type.struct)
            )
            return inner + self.is_flexible()
        if flexible:
            return 1
        return 2 if declared_type.name == "string" else 4


class _DecoderWriter(_Writer):
    def write(self) -> tuple[str, dict[str, Any]]:
        self.names |= {
            "LayoutError": LayoutError,
            "Malformed": Malformed,
            "Truncated": Truncated,
            "long": _long,
            "long_string": _long_string,
            "new": object.__new__,
            "null": _null,
            "odd_length": _odd_length,
            "odd_string": _odd_string,
            "skip_tags": _skip_tags,
            "tag_size": _tag_size,
            "wrong_count": _wrong_count,
            "unpack_from": unpack_from,
        }
        name = f"{self.cls.__name__} v{self.version}"
        self.emit("def decode(buf, pos, budget):")
        self.depth = 1
        self.emit("size = len(buf)", "try:")
        self.depth = 2
        message = self.struct(self.cls)
        self.flush()
        self.depth = 1
        self.emit(
            "except (IndexError, LayoutError):",
            f"    raise Truncated('{name} ends too early') from None",
            "except UnicodeDecodeError:",
            f"    raise Malformed('{name} holds a string that is not UTF-8') from None",
            "if pos > size:",
            f"    raise Truncated('{name} ends too early')",
            f"return {message}, pos",
        )
        return "\n".join([*self.functions, *self.lines, ""]), self.names

    def take(self, code: str, target: str) -> None:
        self.codes.append(code)
        self.values.append(target)

    def flush(self) -> None:
        """Close the run: one statement that reads all of it."""
        codes, targets = self.codes, self.values
        if not codes:
            return
        self.codes, self.values = [], []
        if codes == ["B"]:
            self.emit(f"{targets[0]} = buf[pos]", "pos += 1")
            return
        call = f"{self.layout(codes, 'unpack_from')}(buf, pos)"
        comma = "," if len(targets) == 1 else ""
        self.emit(f"{', '.join(targets)}{comma} = {call}", f"pos += {Layout('>' + ''.join(codes)).size}")

    def struct(self, struct: type[Struct]) -> str:
        """Make a struct and read its fields; the name of the variable that holds it."""
        self.names[struct.__name__] = struct
        target = self.variable("o")
        self.emit(f"{target} = new({struct.__name__})")
        body, tagged = self.present(struct), self.tagged(struct)
        for declared in fields_of(struct):
            if declared not in body:
                self.emit(*default_lines(f"{target}.{declared.name}", declared, self.names))
        for declared in body:
            self.value(declared, f"{target}.{declared.name}")
        if self.is_flexible():
            count = self.variable("t")
            self.take("B", count)
            self.flush()
            self.emit(f"if {count}:")
            if tagged:
                function = self.tags_function(struct, tagged)
                self.emit(f"    pos, budget = {function}(buf, pos, size, budget, {count}, {target})")
            else:
                self.emit(f"    pos = skip_tags(buf, pos, size, {count})")
        return target

    def tags_function(self, struct: type[Struct], tagged: list[Field]) -> str:
        """A function of its own that reads a section of tagged fields: few messages have any."""
        name = f"tags_of_{struct.__name__}"
        if name in self.made:
            return name
        self.made.add(name)
        outer, self.lines, depth, self.depth = self.lines, [], self.depth, 0
        self.emit(f"def {name}(buf, pos, size, budget, count, message):")
        self.depth = 1
        self.emit(
            "if count > 127:",
            "    count, pos = long(buf, pos, count)",
            "for _ in range(count):",
            "    tag = buf[pos]; pos += 1",
            "    if tag > 127: tag, pos = long(buf, pos, tag)",
            "    stop = buf[pos]; pos += 1",
            "    if stop > 127: stop, pos = long(buf, pos, stop)",
            "    stop += pos",
            "    if stop > size: raise Truncated('a tagged field ends beyond the message')",
        )
        self.depth = 2
        for index, declared in enumerate(tagged):
            self.emit(f"{'elif' if index else 'if'} tag == {declared.tag}:")
            self.depth += 1
            self.value(declared, f"message.{declared.name}")
            self.flush()
            self.emit(f"if pos != stop: tag_size({declared.name!r}, pos, stop)")
            self.depth -= 1
        self.emit("else:", "    pos = stop")
        self.depth = 1
        self.emit("return pos, budget", "")
        self.functions += self.lines
        self.lines, self.depth = outer, depth
        return name

    def value(self, declared: Field, target: str) -> None:
        kind, nullable, flexible = declared.type, self.version in declared.nullable, self.is_flexible(declared)
        if kind.size:
            self.take(kind.code, target)
        elif kind.struct is not None:
            self.struct_value(kind.struct, target, nullable, self.version in declared.tagged)
        elif kind.element is not None:
            self.array(kind.element, declared.name, target, nullable, flexible)
        else:
            self.sized(kind.name, declared.name, target, nullable, flexible)

    def struct_value(self, struct: type[Struct], target: str, nullable: bool, tagged: bool) -> None:
        if not nullable:
            made = self.struct(struct)
            self.emit(f"{target} = {made}")
            return
        mark = self.variable("n")
        self.take("B" if tagged else "b", mark)
        self.flush()
        self.emit(f"if {mark} {'== 0' if tagged else '< 0'}:", f"    {target} = None", "else:")
        self.depth += 1
        made = self.struct(struct)
        self.flush()
        self.emit(f"{target} = {made}")
        self.depth -= 1

    def sized(self, kind: str, name: str, target: str, nullable: bool, flexible: bool) -> None:
        """A string, bytes or records."""
        length = self.variable("n")
        string = kind == "string"
        self.take("B" if flexible else "h" if string else "i", length)
        self.flush()
        if nullable:
            if flexible:
                long = "long_string" if string else "long"
                self.emit(f"if {length} > 127: {length}, pos = {long}(buf, pos, {length})")
            self.emit(f"if {length}:" if flexible else f"if {length} >= 0:")
            self.depth += 1
        elif flexible:
            odd = "odd_string" if string else "odd_length"
            self.emit(f"if not 0 < {length} < 128: {length}, pos = {odd}(buf, pos, {length}, {name!r})")
        else:
            self.emit(f"if {length} < 0: null({name!r})")
        convert = {"string": ".tobytes().decode()", "bytes": ".tobytes()", "records": ""}[kind]
        self.emit(f"end = pos + {length}{' - 1' if flexible else ''}", f"{target} = buf[pos:end]{convert}", "pos = end")
        if nullable:
            self.depth -= 1
            self.emit("else:", f"    {target} = None")

    def array(self, element: FieldType, name: str, target: str, nullable: bool, flexible: bool) -> None:
        count = self.variable("n")
        self.take("B" if flexible else "i", count)
        self.flush()
        if flexible:
            self.emit(f"if {count} > 127: {count}, pos = long(buf, pos, {count})", f"{count} -= 1")
        smallest = self.smallest(element, flexible)
        needed = count if smallest == 1 else f"{count} * {smallest}"
        fits = f" or {needed} > size - pos" if smallest else ""
        wrong = f"wrong_count({name!r}, {count}, budget, (size - pos) // {smallest or 1})"
        if nullable:
            self.emit(f"if {count} < 0:", f"    {target} = None", "else:")
            self.depth += 1
            self.emit(f"if {count} > budget{fits}: {wrong}")
        else:
            self.emit(f"if not 0 <= {count} <= budget{fits}: {wrong}")
        self.emit(f"budget -= {count}")
        if element.name == "uuid":
            self.emit(
                f"end = pos + {count} * 16",
                f"{target} = [buf[at:at + 16].tobytes() for at in range(pos, end, 16)]",
                "pos = end",
            )
        elif element.size:
            self.emit(f"{target} = list(unpack_from(f'>{{{count}}}{element.code}', buf, pos))")
            self.emit(f"pos += {needed}")
        else:
            items = self.variable("a")
            self.emit(f"{target} = {items} = []", f"for _ in range({count}):")
            self.depth += 1
            if element.struct is not None:
                made = self.struct(element.struct)
                self.flush()
            else:
                made = self.variable("v")
                self.sized(element.name, name, made, False, flexible)
            self.emit(f"{items}.append({made})")
            self.depth -= 1
        if nullable:
            self.depth -= 1


class _EncoderWriter(_Writer):
    def write(self) -> tuple[str, dict[str, Any]]:
        self.names |= {
            "LayoutError": LayoutError,
            "ZERO_UUID": ZERO_UUID,
            "not_nullable": _not_nullable,
            "one_byte": ONE_BYTE,
            "pack": pack,
            "refuse": _refuse,
            "string_length": _string_length,
            "tagged_field": _tagged_field,
            "uvarint": uvarint,
        }
        self.has_records = self.holds_records(self.cls)
        self.emit("def encode(o):")
        self.depth = 1
        self.emit("out = []", "add = out.append", *(["chunks = []"] if self.has_records else []), "try:")
        self.depth = 2
        before = len(self.lines)
        self.struct(self.cls, "o")
        self.flush()
        if len(self.lines) == before:
            self.emit("pass")
        self.depth = 1
        name = f"{self.cls.__name__} v{self.version}"
        self.emit(
            "except (LayoutError, TypeError, AttributeError) as error:",
            f"    raise ValueError(f'{name} cannot hold these values: {{error}}') from error",
        )
        if self.has_records:
            self.emit("if out:", "    chunks.append(b''.join(out))", "return chunks")
        else:
            self.emit("return [b''.join(out)]")
        return "\n".join([*self.functions, *self.lines, ""]), self.names

    def holds_records(self, struct: type[Struct]) -> bool:
        for declared in fields_of(struct):
            kind = declared.type.element or declared.type
            if self.version in declared.versions and (
                kind.name == "records" or (kind.struct is not None and self.holds_records(kind.struct))
            ):
                return True
        return False

    def put(self, code: str, value: str = "") -> None:
        """Add a value to the run; the code ``x`` is a zero byte and needs none."""
        self.codes.append(code)
        if value:
            self.values.append(value)

    def packed(self, codes: list[str], values: list[str]) -> str:
        """The call that packs a run."""
        if not values:
            return repr(bytes(len(codes)))
        if codes == ["B"]:
            return f"one_byte[{values[0]}]"
        return f"{self.layout(codes, 'pack')}({', '.join(values)})"

    def flush(self) -> None:
        if self.codes:
            self.emit(f"add({self.packed(self.codes, self.values)})")
        self.codes, self.values = [], []

    def flush_length(self, length: str, to_bytes: str) -> None:
        """Close the run with a compact length: in it while it is one byte long, else behind it."""
        short = self.packed([*self.codes, "B"], [*self.values, length])
        long = f"{to_bytes}({length})"
        if self.codes:
            long = f"{self.packed(self.codes, self.values)} + {long}"
        self.emit(f"add({short} if {length} < 128 else {long})")
        self.codes, self.values = [], []

    def struct(self, struct: type[Struct], source: str) -> None:
        body, tagged = self.present(struct), self.tagged(struct)
        lost = [f for f in fields_of(struct) if self.version not in f.versions and not f.ignorable]
        if lost:
            condition = " or ".join(self.differs(f, f"{source}.{f.name}") for f in lost)
            self.emit(f"if {condition}: refuse({source}, {self.version}, {[f.name for f in lost]})")
        for declared in body:
            self.value(declared, f"{source}.{declared.name}")
        if not self.is_flexible():
            return
        if not tagged:
            self.put("x")
            return
        codes, values = self.codes, self.values
        self.codes, self.values = [], []
        function = self.tags_function(struct, tagged)
        if values:
            section = f"{self.packed(codes, values)} + {function}({source})"
        elif codes:
            section = f"{bytes(len(codes))!r} + {function}({source})"
        else:
            section = f"{function}({source})"
        condition = " or ".join(self.differs(f, f"{source}.{f.name}") for f in tagged)
        self.emit(f"if {condition}:", f"    add({section})", "else:", f"    add({self.packed([*codes, 'x'], values)})")

    def tags_function(self, struct: type[Struct], tagged: list[Field]) -> str:
        """A function of its own that writes a section of tagged fields of which at least one is set."""
        name = f"tags_of_{struct.__name__}"
        if name in self.made:
            return name
        self.made.add(name)
        outer, self.lines, depth, self.depth = self.lines, [], self.depth, 0
        self.emit(f"def {name}(o):", "    count, out = 0, []", "    section = []")
        self.depth = 1
        self.emit("add = out.append")
        for declared in tagged:
            self.emit(f"if {self.differs(declared, f'o.{declared.name}')}:")
            self.depth += 1
            self.emit("count += 1", "out.clear()")
            self.value(declared, f"o.{declared.name}")
            self.flush()
            self.emit(f"section.append(tagged_field({declared.tag}, out))")
            self.depth -= 1
        self.emit("return uvarint(count) + b''.join(section)", "")
        self.functions += self.lines
        self.lines, self.depth = outer, depth
        return name

    def differs(self, declared: Field, source: str) -> str:
        """An expression that is true if a value is not the default of its field."""
        kind, default = declared.type, declared.default
        may_be_null = declared.nullable.low <= declared.nullable.high
        if default is None:
            return f"{source} is not None"
        if kind.struct is not None:
            inner = [self.differs(f, f"{source}.{f.name}") for f in fields_of(kind.struct)]
            return " or ".join([f"{source} is None", *inner] if may_be_null else inner)
        if default is NEW or kind.name == "bytes":
            return f"{source} is None or {source}" if may_be_null else source
        if kind.name == "uuid":
            return f"{source} != ZERO_UUID"
        if not default and not may_be_null:
            return source
        return f"{source} != {default!r}"

    def value(self, declared: Field, source: str) -> None:
        kind, flexible = declared.type, self.is_flexible(declared)
        nullable, ever_nullable = self.version in declared.nullable, declared.nullable.low <= declared.nullable.high
        if kind.name == "uuid":
            self.emit(f"if len({source}) != 16: raise ValueError('{declared.name} is not a UUID of 16 bytes')")
        if kind.size:
            self.put(kind.code, source)
            return
        value = self.variable("v")
        self.emit(f"{value} = {source}")
        if not nullable and (ever_nullable or declared.default is None):
            self.emit(f"if {value} is None: not_nullable({declared.name!r}, {self.version})")
        if kind.struct is not None:
            self.struct_value(kind.struct, value, nullable, self.version in declared.tagged)
        elif kind.element is not None:
            self.array(kind.element, declared.name, value, nullable, flexible)
        else:
            self.sized(kind.name, value, nullable, flexible)

    def struct_value(self, struct: type[Struct], value: str, nullable: bool, tagged: bool) -> None:
        if not nullable:
            self.struct(struct, value)
            return
        self.flush()
        null = b"\0" if tagged else b"\xff"
        self.emit(f"if {value} is None:", f"    add({null!r})", "else:")
        self.depth += 1
        self.put("b", "1")
        self.struct(struct, value)
        self.flush()
        self.depth -= 1

    def sized(self, kind: str, value: str, nullable: bool, flexible: bool) -> None:
        """A string, bytes or records."""
        length = self.variable("n")
        convert = f"{value} = {value}.encode(); " if kind == "string" else ""
        measure = f"{length} = len({value}){' + 1' if flexible else ''}"
        if nullable:
            self.emit(
                f"if {value} is None: {length} = {0 if flexible else -1}; {value} = b''",
                f"else: {convert}{measure}",
            )
        else:
            self.emit(f"{convert}{measure}")
        if flexible:
            self.flush_length(length, "string_length" if kind == "string" else "uvarint")
        else:
            self.put("h" if kind == "string" else "i", length)
            self.flush()
        if kind == "records":
            self.emit(
                f"if {length} > {1 if flexible else 0}:",
                "    chunks.append(b''.join(out))",
                f"    chunks.append({value})",
                "    out.clear()",
            )
        else:
            self.emit(f"add({value})")

    def array(self, element: FieldType, name: str, value: str, nullable: bool, flexible: bool) -> None:
        count = self.variable("n")
        measure = f"{count} = len({value}){' + 1' if flexible else ''}"
        if nullable:
            self.emit(f"if {value} is None: {count} = {0 if flexible else -1}; {value} = ()", f"else: {measure}")
        else:
            self.emit(measure)
        if flexible:
            self.flush_length(count, "uvarint")
        else:
            self.put("i", count)
            self.flush()
        if element.name == "uuid":
            self.emit(f"for each in {value}:")
            self.emit(f"    if len(each) != 16: raise ValueError('{name} holds a UUID of other than 16 bytes')")
            self.emit("    add(each)")
        elif element.size:
            self.emit(f"add(pack(f'>{{len({value})}}{element.code}', *{value}))")
        else:
            item = self.variable("o")
            self.emit(f"for {item} in {value}:")
            self.depth += 1
            before = len(self.lines)
            if element.struct is not None:
                self.struct(element.struct, item)
            else:
                self.sized(element.name, item, False, flexible)
            self.flush()
            if len(self.lines) == before:
                self.emit("pass")
            self.depth -= 1


def _tagged_field(tag: int, parts: list[bytes]) -> bytes:
    value = b"".join(parts)
    return uvarint(tag) + uvarint(len(value)) + value
