"""The generator of encoders, and the functions that generated encoders call when they leave the fast path.

Why the generated code looks the way it does: :mod:`kproto.schema.compile`.
"""

from struct import error as LayoutError
from struct import pack
from typing import Any

from kproto.ids import ZERO_UUID
from kproto.primitives import MAX_STRING, ONE_BYTE, uvarint
from kproto.schema.declare import NEW, Field, FieldType, SharedArray, Struct, fields_of
from kproto.schema.writer import Writer


class TooManyElements(Exception):
    """A message has more elements than there was room for; nothing is wrong with it."""


PIECE_PARTS = 2048
"""After about so many parts (a part is a run, a length, a string) a piecewise encoder gives out what it has."""

PIECE_BYTES = 16 * 1024
"""A string, or an array kept encoded, that is larger than this is given out with what was before it."""

ELEMENT_BYTES = 64
"""So many bytes of strings, or of an array kept encoded, take as much room as an element."""


class EncoderWriter(Writer):
    """Writes ``encode(o, room) -> chunks``, which raises TooManyElements when arrays hold more than ``room`` elements,
    where long strings count as several.

    With ``piecewise`` it writes a generator instead, ``encode(o) -> iterator of chunks``: the same bytes, whatever the
    number of elements, with a chunk given out after every ``PIECE_PARTS`` parts. A shared array is kept as a whole, so
    while it is encoded for the first time the chunks are empty.
    """

    def __init__(self, cls: type[Struct], version: int, *, piecewise: bool = False) -> None:
        super().__init__(cls, version)
        self.piecewise = piecewise
        self.in_tags = False

    def write(self) -> tuple[str, dict[str, Any]]:
        self.names |= {
            "LayoutError": LayoutError,
            "SharedArray": SharedArray,
            "ZERO_UUID": ZERO_UUID,
            "not_nullable": _not_nullable,
            "one_byte": ONE_BYTE,
            "pack": pack,
            "refuse": _refuse,
            "string_length": _string_length,
            "tagged_field": _tagged_field,
            "too_many": _too_many,
            "uvarint": uvarint,
        }
        self.has_records = self.holds_records(self.cls)
        self.emit("def encode(o):" if self.piecewise else "def encode(o, room):")
        self.depth = 1
        chunks = self.has_records and not self.piecewise
        self.emit("out = []", "add = out.append", *(["chunks = []"] if chunks else []))
        self.emit(*(["keep = None", f"limit = {PIECE_PARTS}"] if self.piecewise else []), "try:")
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
        if self.piecewise:
            self.emit("if out:", "    yield b''.join(out)")
        elif self.has_records:
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
        nested, self.in_tags = self.in_tags, True
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
        self.lines, self.depth, self.in_tags = outer, depth, nested
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
            give, end = ("yield ", "") if self.piecewise else ("chunks.append(", ")")
            self.emit(
                f"if {length} > {1 if flexible else 0}:",
                f"    {give}b''.join(out){end}",
                f"    {give}{value}{end}",
                "    out.clear()",
            )
        elif self.piecewise and not self.in_tags:
            self.emit(
                f"if {length} > {PIECE_BYTES} and keep is None:",
                "    yield b''.join(out)",
                f"    yield {value}",
                "    out.clear()",
                f"else: add({value})",
            )
        else:
            self.emit(f"add({value})")
            if not self.in_tags:
                self.emit(f"if {length} > {ELEMENT_BYTES}:", f"    room -= {length} // {ELEMENT_BYTES}")
                self.emit("    if room < 0: too_many()")

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
            shared = element.struct is not None and element.struct.shared and not self.holds_records(element.struct)
            if shared:
                self.begin_shared(value)
            if not (self.piecewise or self.in_tags):
                self.emit(f"room -= len({value})", "if room < 0: too_many()")
            item = self.variable("o")
            self.emit(f"for {item} in {value}:")
            self.depth += 1
            before = len(self.lines)
            if element.struct is not None:
                self.struct(element.struct, item)
            else:
                self.sized(element.name, item, False, flexible)
            self.flush()
            if self.piecewise and not self.in_tags:
                self.emit(
                    "if len(out) > limit:",
                    "    if keep is None:",
                    "        yield b''.join(out)",
                    "        out.clear()",
                    "    else:",
                    "        yield b''",
                    f"        limit = len(out) + {PIECE_PARTS}",
                )
            elif len(self.lines) == before:
                self.emit("pass")
            self.depth -= 1
            if shared:
                self.end_shared()

    def begin_shared(self, value: str) -> None:
        """If the array has been encoded before, take those bytes and leave nothing to do; else note where it begins."""
        kept = self.variable("s")
        self.emit(
            "keep = None",
            f"if {value}.__class__ is SharedArray:",
            f"    {kept} = {value}.encoded.get({self.version})",
            f"    if {kept} is None: keep, mark = {value}.encoded, len(out)",
            "    else:",
        )
        if self.piecewise and not self.in_tags:
            self.emit(
                f"        if len({kept}) > {PIECE_BYTES}:",
                "            yield b''.join(out)",
                f"            yield {kept}",
                "            out.clear()",
                f"        else: add({kept})",
            )
        else:
            self.emit(f"        add({kept})")
            if not self.in_tags:
                self.emit(f"        room -= len({kept}) // {ELEMENT_BYTES}", "        if room < 0: too_many()")
        self.emit(f"        {value} = ()")

    def end_shared(self) -> None:
        self.emit(f"if keep is not None: keep[{self.version}] = b''.join(out[mark:])", "keep = None")
        if self.piecewise:
            self.emit(f"limit = {PIECE_PARTS}")


# What generated code calls.


def _refuse(message: Struct, version: int, names: list[str]) -> None:
    """Name the field that this version cannot carry."""
    for declared in fields_of(type(message)):
        if declared.name in names and getattr(message, declared.name) != declared.fresh_default():
            raise ValueError(f"{type(message).__name__} v{version} has no field {declared.name}")


def _too_many() -> None:
    raise TooManyElements


def _not_nullable(name: str, version: int) -> None:
    raise ValueError(f"{name} must not be null in version {version}")


def _string_length(length: int) -> bytes:
    if length - 1 > MAX_STRING:
        raise ValueError(f"a string of {length - 1} bytes, more than Kafka's {MAX_STRING}")
    return uvarint(length)


def _tagged_field(tag: int, parts: list[bytes]) -> bytes:
    value = b"".join(parts)
    return uvarint(tag) + uvarint(len(value)) + value
