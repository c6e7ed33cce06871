"""Compare the messages we declare with a folder of Apache Kafka's own definitions, field by field.

``trials compare-schema FOLDER`` reads every ``*.json`` beneath the folder, which may be Kafka's source tree (the files
there carry ``//`` comments) or a copy, and compares it with the Python classes of ``kproto``:

* a message: kind, API key, valid and flexible versions, whether its newest version is unstable, which request a
  response belongs to;
* a struct: its name, and the names of its fields in the order in which they travel;
* a field: type, versions, nullable versions, tag and tagged versions, its own flexible versions, default, ignorable,
  map key;
* and the whole: a definition we do not declare, a class that no definition has, a struct that no message uses, an API
  that is missing from the table in ``kproto.messages``, a property that this tool has never heard of.

Every difference is one line on stdout, and a count comes last. Exit status 0 means none, 1 some, 2 that the folder
cannot be read.

What is left out, in the definitions as in our declarations: messages whose valid versions are ``none``, and those named
in :data:`LEFT_OUT`. What is not compared: prose, entity types, listeners, and hints to Kafka's code generator.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kproto.release.apis import APIS
from kproto.schema.catalogue import declarations
from kproto.schema.declare import (
    NEVER,
    NEW,
    NO_VERSIONS,
    Data,
    Field,
    Header,
    Message,
    Record,
    Request,
    Response,
    Struct,
    Versions,
    fields_of,
)

LEFT_OUT = {
    "QuorumStateData",
    "RemoteLogSegmentMetadataRecord",
    "RemoteLogSegmentMetadataSnapshotRecord",
    "RemoteLogSegmentMetadataUpdateRecord",
    "RemotePartitionDeleteMetadataRecord",
}
"""Records of tiered storage, which does not exist here, and ``quorum-state``, which never travels as a message: it is a
file of JSON, held against Kafka's own text (``kproto/formats/quorum_state.py``)."""

KINDS: dict[str, type[Message]] = {
    "request": Request,
    "response": Response,
    "header": Header,
    "metadata": Record,
    "coordinator-key": Record,
    "coordinator-value": Record,
    "data": Data,
}

MESSAGE_PROPERTIES = {
    *("apiKey", "type", "name", "validVersions", "flexibleVersions", "fields", "commonStructs"),
    *("latestVersionUnstable", "listeners", "deprecatedVersions"),
}
FIELD_PROPERTIES = {
    *("name", "type", "versions", "nullableVersions", "taggedVersions", "tag", "flexibleVersions", "default"),
    *("ignorable", "mapKey", "fields", "about", "entityType", "zeroCopy"),
}

Definition = Mapping[str, Any]


class UnreadableDefinitions(Exception):
    """The folder, or a file in it, is not what it should be."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print, and tell by the exit status."""
    parser = argparse.ArgumentParser(prog="compare-schema", description="compare our messages with Kafka's definitions")
    parser.add_argument("folder", type=Path, help="a folder of JSON definitions, searched with its subfolders")
    arguments = parser.parse_args(argv)
    try:
        definitions = read_definitions(arguments.folder)
    except UnreadableDefinitions as error:
        print(f"compare-schema: {error}", file=sys.stderr)
        return 2
    classes, structs = declarations()
    differences = compare(definitions, classes) + compare_tables(definitions, classes, structs)
    for difference in differences:
        print(difference)
    print(f"{len(definitions)} definitions, {len(classes)} declarations, {len(differences)} differences")
    return 1 if differences else 0


def read_definitions(folder: Path) -> dict[str, Definition]:
    """Name -> definition, for every message that counts. Raises UnreadableDefinitions."""
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise UnreadableDefinitions(f"no *.json in {folder}")
    definitions: dict[str, Definition] = {}
    for file in files:
        try:
            definition = json.loads(without_comments(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UnreadableDefinitions(f"{file}: {error}") from error
        if not isinstance(definition, dict) or not {"name", "type", "validVersions"} <= definition.keys():
            raise UnreadableDefinitions(f"{file} does not define a message")
        if definition["validVersions"] == "none" or definition["name"] in LEFT_OUT:
            continue
        if definition["name"] in definitions:
            raise UnreadableDefinitions(f"{file}: a second definition of {definition['name']}")
        definitions[definition["name"]] = definition
    return definitions


def without_comments(text: str) -> str:
    """JSON with ``//`` comments, freed of them; what stands in strings stays."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda match: match[1] or "", text)


def compare(definitions: Mapping[str, Definition], classes: Iterable[type[Message]]) -> list[str]:
    """Every difference between definitions and declared messages, one line each."""
    declared: dict[str, type[Message]] = {}
    differences = []
    for cls in classes:
        if cls.kafka_name in declared:
            differences.append(f"{cls.kafka_name}: declared twice")
        declared[cls.kafka_name] = cls
    for name in sorted(definitions.keys() | declared.keys()):
        if name not in declared:
            differences.append(f"{name}: not declared")
        elif name not in definitions:
            differences.append(f"{name}: declared, but not defined")
        else:
            differences += compare_message(definitions[name], declared[name])
    return differences


def compare_message(definition: Definition, cls: type[Message]) -> Iterator[str]:
    """The differences of one message."""
    name = cls.kafka_name
    yield from unknown_properties(name, definition, MESSAGE_PROPERTIES)
    kind = KINDS.get(definition["type"])
    if kind is None or not issubclass(cls, kind):
        yield f"{name}: is defined as a {definition['type']}, declared as a {cls.__mro__[1].__name__}"
    flexible = Versions.parse(definition.get("flexibleVersions", "none"))
    if flexible.high not in (NEVER, -1):
        yield f"{name}: flexible versions with an end, {flexible}, cannot be declared"
    yield from differing(name, "API key", definition.get("apiKey", -1), cls.api_key)
    declared_versions = Versions(cls.min_version, cls.max_version)
    yield from differing(name, "versions", Versions.parse(definition["validVersions"]), declared_versions)
    first_flexible = flexible.low if flexible.high == NEVER else NEVER
    yield from differing(name, "first flexible version", first_flexible, cls.flexible_version)
    unstable = definition.get("latestVersionUnstable", False)
    if definition["type"] == "request":
        yield from differing(name, "latest version unstable", unstable, cls.latest_version_unstable)
    if issubclass(cls, Response):
        request = name.removesuffix("Response") + "Request"
        yield from differing(name, "request", request, cls.request_type.kafka_name)
    common = {struct["name"]: struct["fields"] for struct in definition.get("commonStructs", [])}
    yield from compare_fields(name, definition["fields"], cls, common)


def compare_fields(
    path: str, definitions: Sequence[Definition], struct: type[Struct], common: Mapping[str, Sequence[Definition]]
) -> Iterator[str]:
    """The differences of a struct and of everything inside it."""
    declared = {field.name: field for field in fields_of(struct)}
    defined = {snake_case(definition["name"]): definition for definition in definitions}
    if len(defined) != len(definitions):
        yield f"{path}: two fields of one name"
    yield from (f"{path}.{name}: not declared" for name in defined.keys() - declared.keys())
    yield from (f"{path}.{name}: declared, but not defined" for name in declared.keys() - defined.keys())
    shared = [name for name in defined if name in declared]
    yield from differing(path, "order of fields", shared, [name for name in declared if name in defined])
    for name in shared:
        yield from compare_field(f"{path}.{name}", defined[name], declared[name])
        inner = (declared[name].type.element or declared[name].type).struct
        type_name = defined[name]["type"].removeprefix("[]")
        fields = defined[name].get("fields") or common.get(type_name)
        if inner is not None and fields is not None:
            yield from compare_fields(f"{path}.{name}", fields, inner, common)
        elif (inner is None) != (fields is None):
            yield f"{path}.{name}: fields are {'declared' if fields is None else 'defined'} on one side only"


def compare_field(path: str, definition: Definition, field: Field) -> Iterator[str]:
    """The differences of one field, without what is inside it."""
    yield from unknown_properties(path, definition, FIELD_PROPERTIES)
    tagged = Versions.parse(definition.get("taggedVersions", "none"))
    flexible = definition.get("flexibleVersions")
    versions = Versions.parse(definition["versions"]) if "versions" in definition else tagged
    yield from differing(path, "type", definition["type"], str(field.type))
    yield from differing(path, "versions", versions, field.versions)
    nullable = Versions.parse(definition.get("nullableVersions", "none"))
    yield from differing(path, "nullable versions", nullable, field.nullable)
    yield from differing(path, "tag", definition.get("tag"), field.tag)
    yield from differing(path, "tagged versions", tagged, field.tagged)
    own = None if flexible is None else Versions.parse(flexible)
    yield from differing(path, "flexible versions of its own", own, field.flexible)
    if definition["type"] == str(field.type):
        yield from differing(path, "default", defined_default(definition, field), field.default)
    yield from differing(path, "ignorable", definition.get("ignorable", False), field.ignorable)
    yield from differing(path, "map key", definition.get("mapKey", False), field.map_key)


def defined_default(definition: Definition, field: Field) -> object:
    """The default that a definition gives a field, by the rules of Kafka's generator.

    ``"null"`` in quotes is null; a bare null says nothing. Records are null unless said otherwise, arrays empty,
    structs made of defaults.
    """
    default = definition.get("default")
    if default is None or default == "":
        return NEW if field.type.element is not None or field.type.struct is not None else field.type.zero
    if default == "null":
        return None
    match field.type.name:
        case "bool":
            return str(default).lower() == "true"
        case "float64":
            return float(default)
        case "string":
            return default
        case name if "int" in name:
            return int(str(default), 0)
    return f"{default} (which a {field.type} cannot have)"


def compare_tables(
    definitions: Mapping[str, Definition], classes: Sequence[type[Message]], structs: Iterable[type[Struct]]
) -> list[str]:
    """The table of APIs against the definitions, and structs that stand around unused."""
    defined = {
        definition["apiKey"]: name.removesuffix("Request")
        for name, definition in definitions.items()
        if definition["type"] == "request" and "apiKey" in definition
    }
    differences: list[str] = []
    for key in sorted(defined.keys() | APIS.keys()):
        api = APIS.get(key)
        differences += differing(f"API {key}", "name", defined.get(key), None if api is None else api.name)
    used = set().union(*(structs_inside(cls) for cls in classes))
    unused = [struct for struct in structs if struct not in used]
    return differences + [f"{struct.__module__}.{struct.__name__}: no message uses it" for struct in unused]


def structs_inside(struct: type[Struct]) -> set[type[Struct]]:
    found: set[type[Struct]] = set()
    for field in fields_of(struct):
        inner = (field.type.element or field.type).struct
        if inner is not None:
            found |= {inner} | structs_inside(inner)
    return found


def unknown_properties(path: str, definition: Definition, known: set[str]) -> Iterator[str]:
    yield from (f"{path}: unknown property {name}" for name in sorted(definition.keys() - known))


def differing(path: str, what: str, defined: object, declared: object) -> Iterator[str]:
    """One line if the two are not the same; ``1`` and ``True`` are not."""
    if defined != declared or type(defined) is not type(declared):
        yield f"{path}: {what}: Kafka has {shown(defined)}, we have {shown(declared)}"


def shown(value: object) -> str:
    if isinstance(value, Versions):
        return "none" if value == NO_VERSIONS else str(value)
    return value if isinstance(value, str) and value else repr(value)


def snake_case(name: str) -> str:
    """``TimeoutMs`` -> ``timeout_ms``."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


if __name__ == "__main__":
    sys.exit(main())
