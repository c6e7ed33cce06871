"""What the generators of decoders and encoders have in common: lines of source, and the run that is still open.

A *run* is what :mod:`kproto.schema.compile` calls neighbouring values of fixed width that one call reads or writes.
"""

from struct import Struct as Layout
from typing import Any, cast

from kproto.schema.declare import Field, FieldType, Message, Struct, fields_of


class Writer:
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
