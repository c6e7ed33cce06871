"""The generator of decoders, and the functions that generated decoders call when they leave the fast path.

Why the generated code looks the way it does: :mod:`kproto.schema.compile`.
"""

from struct import Struct as Layout
from struct import error as LayoutError
from struct import unpack_from
from typing import Any

from kproto.errors import Malformed, OverBudget, Truncated
from kproto.primitives import MAX_STRING, MAX_TAGGED_FIELDS, read_uvarint
from kproto.schema.declare import Field, FieldType, Struct, default_lines, fields_of
from kproto.schema.writer import Writer


class DecoderWriter(Writer):
    """Writes ``decode(buf, pos, budget) -> (message, pos)``."""

    def write(self) -> tuple[str, dict[str, Any]]:
        self.names |= {
            "LayoutError": LayoutError,
            "Malformed": Malformed,
            "Truncated": Truncated,
            "long": _long,
            "long_string": _long_string,
            "new": object.__new__,
            "many_tags": _many_tags,
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
            "    count, pos = many_tags(buf, pos, count)",
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


# What generated code calls.


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
        count, pos = _many_tags(buf, pos, count)
    for _ in range(count):
        _, pos = read_uvarint(buf, pos)
        length, pos = read_uvarint(buf, pos)
        pos += length
        if pos > size:
            raise Truncated("a tagged field ends beyond the message")
    return pos


def _many_tags(buf: memoryview, pos: int, first: int) -> tuple[int, int]:
    """The number of fields in a section, if its first byte says that there are more than 127."""
    count, pos = _long(buf, pos, first)
    if count > MAX_TAGGED_FIELDS:
        raise Malformed(f"{count} tagged fields in one section")
    return count, pos


def _tag_size(name: str, pos: int, end: int) -> None:
    raise Malformed(f"tagged field {name} ends at byte {pos}, its size says {end}")
