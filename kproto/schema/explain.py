"""Show what a message is made of: its schema, the source of its codec, or given bytes field by field.

For people: at a prompt, in a bug report, in front of a capture. Nothing in the broker's work calls this module.

:func:`dump` reads bytes by the declaration itself, value by value, and shares nothing with the compiled decoder but the
rules. So it is also what the tests hold the decoder against. Where the bytes break off or make no sense, it shows
everything up to there and then says what is wrong.
"""

from struct import unpack_from

from kproto.errors import Malformed, ProtocolError, Truncated
from kproto.primitives import MAX_STRING, MAX_TAGGED_FIELDS, Readable, read_uvarint
from kproto.schema.compile import DEFAULT_ELEMENT_BUDGET, decoder_source, encoder_source
from kproto.schema.declare import NEVER, NEW, Field, FieldType, Message, Struct, fields_of

__all__ = ["dump", "schema", "source"]

MAX_SHOWN = 40


def schema(cls: type[Struct], *, version: int | None = None) -> str:
    """The fields of a struct and of those inside it, one a line; those of one version if it is given."""
    lines = [_title(cls)]
    _schema_lines(cls, version, 1, lines)
    return "\n".join(lines)


def source(cls: type[Struct], version: int) -> str:
    """The generated decoder and encoder. Raises ValueError for an undeclared version."""
    return f"{decoder_source(cls, version)[0]}\n\n{encoder_source(cls, version)[0]}"


def dump(cls: type[Message], version: int, data: Readable) -> str:
    """Bytes read field by field: where each value lies, its bytes, its name, what it says."""
    return "\n".join(_Reader(cls, version, memoryview(data)).lines)


def _title(cls: type[Struct]) -> str:
    if not issubclass(cls, Message):
        return cls.kafka_name
    flexible = "never flexible" if cls.flexible_version == NEVER else f"flexible from {cls.flexible_version} on"
    key = f" (key {cls.api_key})" if cls.api_key >= 0 else ""
    return f"{cls.kafka_name}{key}, versions {cls.min_version}-{cls.max_version}, {flexible}"


def _schema_lines(cls: type[Struct], version: int | None, depth: int, lines: list[str]) -> None:
    for declared in fields_of(cls):
        if version is not None and version not in declared.versions:
            continue
        lines.append("  " * depth + _described(declared))
        struct = (declared.type.element or declared.type).struct
        if struct is not None:
            _schema_lines(struct, version, depth + 1, lines)


def _described(declared: Field) -> str:
    words = [f"{declared.name}: {declared.type}", f"versions {declared.versions}"]
    if declared.nullable.low <= declared.nullable.high:
        words.append(f"nullable {declared.nullable}")
    if declared.tag is not None:
        words.append(f"tag {declared.tag} in {declared.tagged}")
    if declared.default is not NEW and declared.default != declared.type.zero:
        words.append(f"default {declared.default!r}")
    if declared.ignorable:
        words.append("ignorable")
    if declared.map_key:
        words.append("key")
    return ", ".join(words)


class _Reader:
    """Reads values one at a time and keeps a line for each."""

    def __init__(self, cls: type[Message], version: int, data: memoryview) -> None:
        self.cls = cls
        self.version = version
        self.data = data
        self.pos = 0
        self.depth = 0
        self.elements = DEFAULT_ELEMENT_BUDGET
        self.lines = [f"{_title(cls)}: {len(data)} bytes as version {version}"]
        self.complete = False
        try:
            self.struct(cls)
            if self.pos != len(data):
                raise Malformed(f"{len(data) - self.pos} bytes left over")
            self.complete = True
        except ProtocolError as error:
            self.lines.append(f"{self.pos:06d}  !! {error}")

    def take(self, size: int) -> memoryview:
        if size < 0 or size > len(self.data) - self.pos:
            raise Truncated(f"{size} bytes wanted, {len(self.data) - self.pos} left")
        taken = self.data[self.pos : self.pos + size]
        self.pos += size
        return taken

    def show(self, start: int, text: str) -> None:
        raw = self.data[start : self.pos]
        shown = bytes(raw[:12]).hex(" ") + (" .." if len(raw) > 12 else "")
        self.lines.append(f"{start:06d}  {shown:<39}{'  ' * self.depth}{text}")

    def is_flexible(self, declared: Field | None = None) -> bool:
        if declared is not None and declared.flexible is not None:
            return self.version in declared.flexible
        return self.version >= self.cls.flexible_version

    def struct(self, struct: type[Struct]) -> None:
        self.depth += 1
        tagged = {}
        for declared in fields_of(struct):
            if self.version in declared.versions and self.version in declared.tagged:
                tagged[declared.tag] = declared
            elif self.version in declared.versions:
                self.value(declared.name, declared.type, self.is_flexible(declared), self.version in declared.nullable)
        if self.is_flexible():
            self.tags(tagged)
        self.depth -= 1

    def tags(self, tagged: dict[int | None, Field]) -> None:
        start = self.pos
        count, self.pos = read_uvarint(self.data, self.pos)
        if count > MAX_TAGGED_FIELDS:
            raise Malformed(f"{count} tagged fields in one section")
        self.show(start, f"tagged fields: {count}")
        for _ in range(count):
            start = self.pos
            tag, self.pos = read_uvarint(self.data, self.pos)
            size, self.pos = read_uvarint(self.data, self.pos)
            self.show(start, f"tag {tag}, {size} bytes")
            declared, start = tagged.get(tag), self.pos
            if declared is None:
                self.take(size)
                self.show(start, "unknown")
                continue
            self.value(declared.name, declared.type, True, self.version in declared.nullable, tagged=True)
            if self.pos != start + size:
                raise Malformed(f"{declared.name} took {self.pos - start} bytes of {size}")

    def value(self, name: str, kind: FieldType, flexible: bool, nullable: bool, *, tagged: bool = False) -> None:
        start = self.pos
        if kind.size:
            (value,) = unpack_from(f">{kind.code}", self.take(kind.size))
            self.show(start, f"{name} = {value.hex() if isinstance(value, bytes) else value!r}")
        elif kind.struct is not None:
            self.nested(name, kind.struct, nullable, tagged)
        elif kind.element is not None:
            self.array(name, kind.element, flexible, nullable)
        else:
            self.sized(name, kind, flexible, nullable)

    def nested(self, name: str, struct: type[Struct], nullable: bool, tagged: bool) -> None:
        start = self.pos
        if nullable:
            mark = self.take(1)[0]
            if mark == 0 if tagged else mark > 127:
                self.show(start, f"{name} = null")
                return
        self.show(start, f"{name}: {struct.kafka_name}")
        self.struct(struct)

    def length(self, name: str, wide: bool, flexible: bool, nullable: bool) -> int | None:
        if flexible:
            length, self.pos = read_uvarint(self.data, self.pos)
            length -= 1
        else:
            size = 4 if wide else 2
            length = int.from_bytes(self.take(size), "big", signed=True)
        if length >= 0:
            return length
        if not nullable:
            raise Malformed(f"{name} is null and must not be")
        return None

    def array(self, name: str, element: FieldType, flexible: bool, nullable: bool) -> None:
        start = self.pos
        count = self.length(name, True, flexible, nullable)
        if count is None:
            self.show(start, f"{name} = null")
            return
        self.show(start, f"{name}: {count} of {element}")
        self.elements -= count
        if self.elements < 0:
            raise Malformed(f"more than {DEFAULT_ELEMENT_BUDGET} elements")
        self.depth += 1
        for index in range(count):
            self.value(f"[{index}]", element, flexible, False)
        self.depth -= 1

    def sized(self, name: str, kind: FieldType, flexible: bool, nullable: bool) -> None:
        start = self.pos
        length = self.length(name, kind.name != "string", flexible, nullable)
        if length is None:
            self.show(start, f"{name} = null")
            return
        if kind.name == "string" and length > MAX_STRING:
            raise Malformed(f"a string of {length} bytes")
        raw = bytes(self.take(length))
        if kind.name == "string":
            try:
                self.show(start, f"{name} = {raw.decode()!r}")
            except UnicodeDecodeError:
                raise Malformed(f"{name} is not UTF-8: {raw[:MAX_SHOWN].hex(' ')}") from None
        else:
            shown = raw[:MAX_SHOWN].hex(" ") + (" .." if length > MAX_SHOWN else "")
            self.show(start, f"{name}: {length} bytes of {kind.name}" + (f" = {shown}" if kind.name == "bytes" else ""))
