"""The comparison with Kafka's definitions finds every kind of difference, each in its own line.

A small message stands in for Kafka's: defined in JSON and declared in Python, first alike, then altered in one place.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.schema.catalogue import declarations
from kproto.schema.declare import (
    Array,
    Bool,
    Data,
    Float64,
    Int8,
    Int32,
    Int64,
    Message,
    Records,
    Request,
    Response,
    String,
    Struct,
    Uuid,
    field,
)
from tools.trials.schema_comparison import (
    UnreadableDefinitions,
    compare,
    compare_tables,
    main,
    read_definitions,
    without_comments,
)


class Part(Struct, kafka_name="Partition"):
    index: Int32 = field("0+", map_key=True)
    records: Records | None = field("1+")


class Group(Struct):
    name: String = field("0+")
    flags: Array[Int8] = field("0+")


class AskRequest(Request, api=4711, versions="1-4", flexible="2+", latest_unstable=True):
    client_id: String | None = field("0+", flexible="none", default=None)
    timeout_ms: Int32 = field("0+", default=60_000, ignorable=True)
    topic_id: Uuid = field("3+", ignorable=True)
    cluster: String | None = field("0+", nullable="2+")
    rate: Float64 = field("0+", default=0.5)
    verbose: Bool = field("2+", tag=0, default=True)
    partitions: Array[Part] | None = field("0+", default=None)
    group: Group = field("4+", tag=1)
    groups: Array[Group] = field("0+")


class AskResponse(Response, to=AskRequest):
    lag: Int64 = field("0+", default=-1)


class Note(Data, versions="0"):
    text: String = field("0")


CLASSES: list[type[Message]] = [AskRequest, AskResponse, Note]

GROUP = [
    {"name": "Name", "type": "string", "versions": "0+"},
    {"name": "Flags", "type": "[]int8", "versions": "0+"},
]
PARTITION: list[dict[str, Any]] = [
    {"name": "Index", "type": "int32", "versions": "0+", "mapKey": True, "entityType": "brokerId"},
    {"name": "Records", "type": "records", "versions": "1+", "nullableVersions": "1+", "zeroCopy": True},
]
NULLABLE = {"versions": "0+", "nullableVersions": "0+", "default": "null"}
TAGGED = {"versions": "2+", "taggedVersions": "2+", "tag": 0}
REQUEST: dict[str, Any] = {
    "apiKey": 4711,
    "type": "request",
    "listeners": ["broker"],
    "name": "AskRequest",
    "validVersions": "1-4",
    "flexibleVersions": "2+",
    "latestVersionUnstable": True,
    "fields": [
        {"name": "ClientId", "type": "string", "flexibleVersions": "none", **NULLABLE},
        {"name": "TimeoutMs", "type": "int32", "versions": "0+", "default": "0xea60", "ignorable": True},
        {"name": "TopicId", "type": "uuid", "versions": "3+", "ignorable": True, "about": "prose"},
        {"name": "cluster", "type": "string", "versions": "0+", "nullableVersions": "2+"},
        {"name": "Rate", "type": "float64", "versions": "0+", "default": "0.5"},
        {"name": "Verbose", "type": "bool", "default": "true", **TAGGED},
        {"name": "Partitions", "type": "[]Partition", **NULLABLE, "fields": PARTITION},
        {"name": "Group", "type": "Group", "taggedVersions": "4+", "tag": 1},
        {"name": "Groups", "type": "[]Group", "versions": "0+"},
    ],
    "commonStructs": [{"name": "Group", "versions": "0+", "fields": GROUP}],
}
RESPONSE: dict[str, Any] = {
    "apiKey": 4711,
    "type": "response",
    "name": "AskResponse",
    "validVersions": "1-4",
    "flexibleVersions": "2+",
    "fields": [{"name": "Lag", "type": "int64", "versions": "0+", "default": -1}],
}
NOTE: dict[str, Any] = {
    "type": "data",
    "name": "Note",
    "validVersions": "0",
    "flexibleVersions": "none",
    "fields": [{"name": "Text", "type": "string", "versions": "0", "default": ""}],
}


def folder_of(path: Path, *definitions: dict[str, Any]) -> Path:
    for definition in definitions:
        (path / f"{definition['name']}.json").write_text(json.dumps(definition), encoding="utf-8")
    return path


def differences(path: Path, *definitions: dict[str, Any]) -> list[str]:
    return compare(read_definitions(folder_of(path, *definitions)), CLASSES)


def test_what_agrees_has_no_differences(tmp_path: Path) -> None:
    """The definitions above say what the classes above say."""
    assert differences(tmp_path, REQUEST, RESPONSE, NOTE) == []


def one(index: int, **properties: Any) -> Callable[[dict[str, Any]], None]:
    """Alter properties of a field of the request; None removes one."""

    def alter(definition: dict[str, Any]) -> None:
        for name, value in properties.items():
            if value is None:
                del definition["fields"][index][name]
            else:
                definition["fields"][index][name] = value

    return alter


def whole(**properties: Any) -> Callable[[dict[str, Any]], None]:
    """Alter properties of the request itself."""
    return lambda definition: definition.update(properties)


def inner(index: int, position: int, **properties: Any) -> Callable[[dict[str, Any]], None]:
    """Alter properties of a field inside a field."""
    return lambda definition: definition["fields"][index]["fields"][position].update(properties)


ALTERATIONS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "API key": (whole(apiKey=4712), "AskRequest: API key: Kafka has 4712, we have 4711"),
    "valid versions": (whole(validVersions="1-5"), "AskRequest: versions: Kafka has 1-5, we have 1-4"),
    "oldest version": (whole(validVersions="0-4"), "AskRequest: versions: Kafka has 0-4, we have 1-4"),
    "flexible versions": (whole(flexibleVersions="3+"), "AskRequest: first flexible version: Kafka has 3, we have 2"),
    "never flexible": (
        whole(flexibleVersions="none"),
        "AskRequest: first flexible version: Kafka has 32767, we have 2",
    ),
    "kind": (whole(type="header"), "AskRequest: is defined as a header, declared as a Request"),
    "stability": (
        whole(latestVersionUnstable=False),
        "AskRequest: latest version unstable: Kafka has False, we have True",
    ),
    "new property of a message": (whole(secret=True), "AskRequest: unknown property secret"),
    "type": (one(1, type="int64"), "AskRequest.timeout_ms: type: Kafka has int64, we have int32"),
    "array": (one(1, type="[]int32"), "AskRequest.timeout_ms: type: Kafka has []int32, we have int32"),
    "struct's name": (one(6, type="[]Part"), "AskRequest.partitions: type: Kafka has []Part, we have []Partition"),
    "versions": (one(1, versions="1+"), "AskRequest.timeout_ms: versions: Kafka has 1+, we have 0+"),
    "end of versions": (one(1, versions="0-3"), "AskRequest.timeout_ms: versions: Kafka has 0-3, we have 0+"),
    "nullable versions": (
        one(3, nullableVersions="1+"),
        "AskRequest.cluster: nullable versions: Kafka has 1+, we have 2+",
    ),
    "not nullable": (
        one(3, nullableVersions=None),
        "AskRequest.cluster: nullable versions: Kafka has none, we have 2+",
    ),
    "newly nullable": (
        one(2, nullableVersions="3+"),
        "AskRequest.topic_id: nullable versions: Kafka has 3+, we have none",
    ),
    "tag": (one(5, tag=7), "AskRequest.verbose: tag: Kafka has 7, we have 0"),
    "tagged versions": (
        one(5, taggedVersions="3+"),
        "AskRequest.verbose: tagged versions: Kafka has 3+, we have 2+",
    ),
    "flexible versions of a field": (
        one(0, flexibleVersions=None),
        "AskRequest.client_id: flexible versions of its own: Kafka has None, we have none",
    ),
    "default": (one(1, default="60001"), "AskRequest.timeout_ms: default: Kafka has 60001, we have 60000"),
    "no default": (one(1, default=None), "AskRequest.timeout_ms: default: Kafka has 0, we have 60000"),
    "default null": (one(3, default="null"), "AskRequest.cluster: default: Kafka has None, we have ''"),
    "default of a string": (one(3, default="x"), "AskRequest.cluster: default: Kafka has x, we have ''"),
    "default true": (one(5, default=False), "AskRequest.verbose: default: Kafka has False, we have True"),
    "default of a number": (one(4, default="1.5"), "AskRequest.rate: default: Kafka has 1.5, we have 0.5"),
    "default of an array": (one(6, default=None), "AskRequest.partitions: default: Kafka has <new>, we have None"),
    "ignorable": (one(1, ignorable=False), "AskRequest.timeout_ms: ignorable: Kafka has False, we have True"),
    "newly ignorable": (one(0, ignorable=True), "AskRequest.client_id: ignorable: Kafka has True, we have False"),
    "map key": (one(0, mapKey=True), "AskRequest.client_id: map key: Kafka has True, we have False"),
    "new property of a field": (one(0, secret=1), "AskRequest.client_id: unknown property secret"),
    "name": (inner(6, 0, name="Number"), "AskRequest.partitions.number: not declared"),
    "nested type": (inner(6, 0, type="int16"), "AskRequest.partitions.index: type: Kafka has int16, we have int32"),
    "nested versions": (
        inner(6, 1, versions="2+"),
        "AskRequest.partitions.records: versions: Kafka has 2+, we have 1+",
    ),
    "nested map key": (
        inner(6, 0, mapKey=False),
        "AskRequest.partitions.index: map key: Kafka has False, we have True",
    ),
    "common struct": (
        lambda definition: definition["commonStructs"][0]["fields"][1].update(type="[]int16"),
        "AskRequest.groups.flags: type: Kafka has []int16, we have []int8",
    ),
    "missing field": (
        lambda definition: definition["fields"].pop(2),
        "AskRequest.topic_id: declared, but not defined",
    ),
    "additional field": (
        lambda definition: definition["fields"].append({"name": "New", "type": "int8", "versions": "4+"}),
        "AskRequest.new: not declared",
    ),
    "order of fields": (lambda definition: definition["fields"].reverse(), "AskRequest: order of fields"),
    "struct without fields": (
        lambda definition: definition["fields"][6].pop("fields"),
        "AskRequest.partitions: fields are declared on one side only",
    ),
}


@pytest.mark.parametrize(("alter", "line"), ALTERATIONS.values(), ids=ALTERATIONS)
def test_every_alteration_is_found(tmp_path: Path, alter: Callable[[dict[str, Any]], None], line: str) -> None:
    """Each in a line that names the place and both sides."""
    altered = copy.deepcopy(REQUEST)
    alter(altered)
    found = differences(tmp_path, altered, RESPONSE, NOTE)
    assert any(each.startswith(line) for each in found), found


def test_a_message_too_few_and_one_too_many_are_found(tmp_path: Path) -> None:
    """In both directions."""
    extra = {**NOTE, "name": "Memo"}
    assert differences(tmp_path, REQUEST, RESPONSE, extra) == ["Memo: not declared", "Note: declared, but not defined"]


def test_retired_messages_and_those_of_other_programs_do_not_count(tmp_path: Path) -> None:
    """``validVersions`` none; remote log metadata and the raft quorum's file."""
    retired = {"name": "StopReplicaRequest", "type": "request", "validVersions": "none"}
    left_out = {**NOTE, "name": "QuorumStateData"}
    assert differences(tmp_path, REQUEST, RESPONSE, NOTE, retired, left_out) == []


def test_a_response_belongs_to_its_request(tmp_path: Path) -> None:
    """By name, as in Kafka."""

    class OtherResponse(Response, to=AskRequest):
        pass

    folder_of(tmp_path, {**RESPONSE, "name": "OtherResponse", "fields": []})
    found = compare(read_definitions(tmp_path), [OtherResponse])
    assert found == ["OtherResponse: request: Kafka has OtherRequest, we have AskRequest"]


def test_comments_are_not_json_but_are_read() -> None:
    """Kafka's files begin with a licence and explain versions between the lines."""
    text = '// licence\n{"name": "http://x", // version 1\n "type": "data"}'
    assert json.loads(without_comments(text)) == {"name": "http://x", "type": "data"}


def test_a_folder_that_cannot_be_read_is_not_an_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No files, no JSON, no definition, one name twice: exit status 2 and one sentence."""
    with pytest.raises(UnreadableDefinitions, match=r"no \*\.json"):
        read_definitions(tmp_path)
    for text in ("{", "[]", '{"name": "x"}'):
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        assert main([str(tmp_path)]) == 2
        assert "x.json" in capsys.readouterr().err
    (tmp_path / "x.json").write_text(json.dumps(NOTE), encoding="utf-8")
    (tmp_path / "y.json").write_text(json.dumps(NOTE), encoding="utf-8")
    with pytest.raises(UnreadableDefinitions, match="second definition of Note"):
        read_definitions(tmp_path)


def test_the_command_counts_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A definition without a declaration, and everything we declare that the folder does not define."""
    folder_of(tmp_path, {**NOTE, "name": "Memo"})
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "Memo: not declared" in lines
    assert "ProduceRequest: declared, but not defined" in lines
    assert lines[-1] == f"1 definitions, {len(declarations()[0])} declarations, {len(lines) - 1} differences"


def test_the_table_of_apis_and_unused_structs_are_compared_as_well(tmp_path: Path) -> None:
    """An API under a wrong key, or missing; a struct that no message uses."""
    defined = {"type": "request", "name": "HeartbeatRequest", "validVersions": "0-4", "apiKey": 12, "fields": []}
    definitions = read_definitions(folder_of(tmp_path, defined, {**REQUEST, "apiKey": 11}))
    found = compare_tables(definitions, [HeartbeatRequest, HeartbeatResponse], [Part])
    assert "API 11: name: Kafka has Ask, we have JoinGroup" in found
    assert "API 0: name: Kafka has None, we have Produce" in found
    assert not any(line.startswith("API 12:") for line in found)
    assert found[-1].endswith("Part: no message uses it")


def test_everything_declared_is_found() -> None:
    """All messages of all modules, each once."""
    classes, structs = declarations()
    assert len(classes) == len(set(classes)) == 273
    assert len(structs) > 200
