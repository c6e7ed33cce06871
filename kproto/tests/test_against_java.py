"""Our bytes against Apache Kafka's own classes: the last word, where there is a Java to say it.

For every message and version that is declared, records of internal topics included, values that Hypothesis makes: what
we encode Kafka reads as the same values (it shows them as JSON) and writes as the same bytes. Kafka's classes run in a
process of their own, a single Java source file, `java/KafkaCodec.java`.

Needs a JDK, 17 or newer, and the environment variable OTTLA_KAFKA_JARS: a folder with Kafka's jars and those they
need, such as the `libs` of a Kafka distribution of the release that we follow. Skipped otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from kproto.ids import format_uuid
from kproto.schema.compile import decode
from kproto.schema.declare import FieldType, Message, Struct
from kproto.tests.arbitrary_messages import MESSAGES, VERSIONS, carried, joined, messages

SOURCE = Path(__file__).parent / "java" / "KafkaCodec.java"
EXAMPLES = 5


class KafkaCodec:
    """Kafka's codec at the other end of a pipe."""

    def __init__(self, jars: str) -> None:
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", str(SOURCE)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, name: str, version: int, data: bytes) -> tuple[bytes, Any] | str:
        """What Kafka writes after reading `data`, and the values; or its complaint."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name} {version} {data.hex()}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the Java program has ended; what it said stands above"
        first, _, rest = line.rstrip("\n").partition(" ")
        return line.rstrip("\n") if first in ("error", "unknown") else (bytes.fromhex(first), json.loads(rest))

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaCodec]:
    """Kafka's codec, if it can be had here."""
    jars = os.environ.get("OTTLA_KAFKA_JARS")
    if not jars:
        pytest.skip("OTTLA_KAFKA_JARS does not name a folder with Kafka's jars")
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    codec = KafkaCodec(jars)
    try:
        yield codec
    finally:
        codec.close()


def test_kafka_knows_every_message(kafka: KafkaCodec) -> None:
    """In every version that is declared here, and with the same defaults."""
    strange = []
    for cls, version in VERSIONS:
        try:
            encoded = bytes(joined(cls(), version))
        except ValueError:
            continue  # a default that this version cannot carry
        answer = kafka.ask(cls.kafka_name, version, encoded)
        if isinstance(answer, str) or answer[0] != encoded:
            strange.append((cls.kafka_name, version, answer))
    assert not strange


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda each: each.__name__)
def test_kafka_reads_and_writes_the_same_bytes(cls: type[Message], kafka: KafkaCodec) -> None:
    """Every version, with a handful of values each."""
    for version in range(cls.min_version, cls.max_version + 1):
        compare(cls, version, kafka)


def test_kafka_refuses_what_we_refuse(kafka: KafkaCodec) -> None:
    """Bytes that end early or go on too long."""
    for cls, version in VERSIONS[::5]:
        try:
            encoded = bytes(joined(cls(), version))
        except ValueError:
            continue
        for broken in (encoded[:-1], encoded + b"\0"):
            if broken:
                assert isinstance(kafka.ask(cls.kafka_name, version, broken), str), (cls, version)


def compare(cls: type[Message], version: int, kafka: KafkaCodec) -> None:
    @settings(max_examples=EXAMPLES, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages(cls, version))
    def same(message: Any) -> None:
        encoded = bytes(joined(message, version))
        answer = kafka.ask(cls.kafka_name, version, encoded)
        assert not isinstance(answer, str), answer
        rewritten, shown = answer
        check(f"{cls.__name__} v{version}", message, shown, version)
        assert rewritten == encoded
        assert decode(cls, version, rewritten) == message

    same()


def check(path: str, ours: Struct, shown: dict[str, Any], version: int) -> None:
    """The values of a struct as Kafka shows them; a tagged field with its default it does not show."""
    plain = {name.lower(): value for name, value in shown.items()}
    for field in carried(type(ours), version):
        name, mine = field.name.replace("_", ""), getattr(ours, field.name)
        if field.type.name == "records" and mine is not None:
            assert plain.pop(f"{name}sizeinbytes") == len(mine), path
        elif version in field.tagged and name not in plain:
            assert mine == field.fresh_default(), f"{path}.{field.name}"
        else:
            same(f"{path}.{field.name}", field.type, mine, plain.pop(name), version)
    assert not plain, f"{path}: Kafka shows {', '.join(plain)} besides"


def same(path: str, kind: FieldType, mine: Any, shown: Any, version: int) -> None:
    if mine is None or shown is None:
        assert mine is shown, path
    elif kind.struct is not None:
        check(path, mine, shown, version)
    elif kind.element is not None:
        assert len(mine) == len(shown), path
        for number, (each, other) in enumerate(zip(mine, shown, strict=True)):
            same(f"{path}[{number}]", kind.element, each, other, version)
    elif kind.name == "bytes":
        assert b64encode(mine).decode() == shown, path
    elif kind.name == "uuid":
        assert format_uuid(mine) == shown, path
    else:
        assert mine == shown, path
